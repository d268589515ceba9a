"""mantis_fuyu: Mantis on Fuyu (Mantis-8B-Fuyu), as it was published. Images are numbered from 0 there.

Source: Mantis (arXiv:2405.01483), ``conv_mfuyu_v1`` and ``MFuyuProcessor``: every run of words begins with ``<s>``.
As published, ``ASSISTANT:`` is trained with each reply and its ``|ENDOFTEXT|``; ``mantis_fuyu_clean`` trains reply and
stop alone. What closes an image (``|NEWLINE|``, ``|ENDOFIMAGE|``) belongs to the image's own tokens.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="mantis_fuyu",
    begin="<s>",
    system=Around("", "\n"),
    user=Around("USER: ", "<0x04>"),
    assistant=Around("ASSISTANT:", ""),
    stop="|ENDOFTEXT|",
    lead=" ",
    default_system=(
        "You are a helpful language and vision assistant. "
        "You are able to understand the visual content that the user provides, "
        "and assist the user with a variety of tasks using natural language."
    ),
    image_before="image {k}: ",
    image_after="<s>",
    first_number=0,
    also_trained=("header", "wrappers"),
)
