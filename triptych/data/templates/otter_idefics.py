"""otter_idefics: Otter's training on Idefics (instruction format ``idefics``).

Source: Otter (arXiv:2305.03726). The mask is that of ``otter_simple``. Different here: the line end behind the last
``<end_of_utterance>`` stands before the end too; the published code takes it away there. Prompts are the same.
"""

from dataclasses import replace

from triptych.data.template import Around
from triptych.data.templates import otter_simple

TEMPLATE = replace(
    otter_simple.TEMPLATE,
    name="otter_idefics",
    system=Around("", "<end_of_utterance>\n"),
    user=Around("User:", "<end_of_utterance>\n"),
    assistant=Around("Assistant:<answer>", "\n"),
    stop="<end_of_utterance>",
    image_before="<fake_token_around_image>",
    image_after="<fake_token_around_image>",
    images_lead=False,
)
