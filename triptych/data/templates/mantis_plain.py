"""mantis_plain: Mantis's stage-1 captions, as they were published: images, then the first reply and a line end.

Source: Mantis (arXiv:2405.01483), ``conv_llava_plain``, the PLAIN branch of ``mantis/train/data.py`` and
``MLlavaProcessor``, which numbers images. Places in the first reply hold the last images; the others stand in front, a
space after each. As published, everything but the images is trained: the beginning, the words around images, the
caption. ``mantis_plain_clean`` trains caption and line end alone. Later replies and all that users say are left out, so
``parse`` does not give them back, and a turn's prompt is not the next one's beginning. The space before the caption
belongs to its first word.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="mantis_plain",
    begin="{bos}",
    system=Around("", ""),
    user=Around("", ""),
    assistant=Around("", ""),
    stop="\n",
    image_before="(image {k}: <Image>",
    image_after="</Image>)",
    image_between="</Image>) (image {k}: <Image>",
    lead=" ",
    images_only=True,
    first_reply_only=True,
    also_trained=("begin", "wrappers"),
)
