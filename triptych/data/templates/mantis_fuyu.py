"""mantis_fuyu: Mantis on Fuyu (Mantis-8B-Fuyu), as it was published. Images are numbered from 0 there.

Source: Mantis (arXiv:2405.01483), ``conv_mfuyu_v1`` and ``MFuyuProcessor``. Every run of words begins anew for the
published tokenizer, which puts a space in front; the spaces are written here, and the family's tokenizer adds none.
As published, ``ASSISTANT:`` is trained with each reply and its ``|ENDOFTEXT|``; ``mantis_fuyu_clean`` trains reply and
stop alone. ``mantis_fuyu_from_1`` counts images from 1. Lines of patches end with marks of the image's own. Different
here: a conversation without images begins with ``<s>`` too, and the patches of an image in a reply are not trained.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="mantis_fuyu",
    begin="<s> ",
    system=Around("", "\n"),
    after_system="USER: ",
    user=Around(" USER: ", "<0x04>"),
    assistant=Around("ASSISTANT:", ""),
    stop="|ENDOFTEXT|",
    lead=" ",
    default_system=(
        "You are a helpful language and vision assistant. "
        "You are able to understand the visual content that the user provides, "
        "and assist the user with a variety of tasks using natural language."
    ),
    image_before="image {k}: |IMAGE|",
    image_after="|ENDOFIMAGE|<s> ",
    first_number=0,
    also_trained=("header", "wrappers"),
)
