"""llava_v1: LLaVA-1.5 and Video-LLaVA: vicuna_v1 with a curious human.

Source: ``conv_llava_v1`` of LLaVA (arXiv:2304.08485); Mantis has it as ``llava_v1`` and ``videollava``. As published:
a reply's words and its ``</s>`` are trained.
"""

from dataclasses import replace

from triptych.data.templates import vicuna_v1

TEMPLATE = replace(
    vicuna_v1.TEMPLATE,
    name="llava_v1",
    default_system=(
        "A chat between a curious human and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the human's questions."
    ),
)
