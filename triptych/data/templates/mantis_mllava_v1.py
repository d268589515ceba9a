"""mantis_mllava_v1: Mantis on Vicuna and other language models that end a turn with ``</s>``, as it was published.

Source: Mantis (arXiv:2405.01483), ``conv_mllava_v1`` and ``MLlavaProcessor``. As published, ``ASSISTANT:`` is trained
with each reply and its ``</s>``; ``mantis_mllava_v1_clean`` trains reply and stop alone.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="mantis_mllava_v1",
    begin="{bos}",
    system=Around("", "</s>"),
    user=Around("USER: ", "</s>"),
    assistant=Around("ASSISTANT:", ""),
    stop="</s>",
    lead=" ",
    default_system=(
        "A chat between a curious human and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the human's questions."
    ),
    image_before="(image {k}: <Image>",
    image_after="</Image>)",
    also_trained=("header", "wrappers"),
)
