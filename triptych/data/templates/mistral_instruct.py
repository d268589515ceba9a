"""mistral_instruct: llama_2 with one beginning before the whole conversation, as LLaVA-1.6 on Mistral has it.

Source: ``conv_mistral_instruct`` of LLaVA-NeXT (arXiv:2407.07895). The mask is that of ``llama_2``.
"""

from dataclasses import replace

from triptych.data.template import Around
from triptych.data.templates import llama_2

TEMPLATE = replace(
    llama_2.TEMPLATE,
    name="mistral_instruct",
    begin="{bos}",
    system=Around("[INST] <<SYS>>\n", "\n<</SYS>>\n\n"),
    user=Around("[INST] ", " [/INST]"),
)
