"""mantis_mllava_v1_mmtag: mantis_mllava_v1 with a system line that explains the ``<Image>`` tags, as it was published.

Source: Mantis (arXiv:2405.01483), ``conv_mllava_v1_mmtag``. The mask is that of ``mantis_mllava_v1``.
"""

from dataclasses import replace

from triptych.data.templates import mantis_mllava_v1

TEMPLATE = replace(
    mantis_mllava_v1.TEMPLATE,
    name="mantis_mllava_v1_mmtag",
    default_system=(
        "A chat between a curious user and an artificial intelligence assistant. "
        "The assistant is able to understand the multiple visual contents that the user provides, "
        "and assist the user with a variety of tasks using natural language."
        "Each visual content will be provided with the following format: <Image>visual content</Image>."
    ),
)
