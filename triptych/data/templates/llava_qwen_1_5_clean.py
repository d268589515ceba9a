"""llava_qwen_1_5_clean: LLaVA-NeXT-Interleave's conversation; trained are replies and their stops alone.

The default for new runs. Source: see ``llava_qwen_1_5``. Images stay where they were said.
"""

from dataclasses import replace

from triptych.data.templates import llava_qwen_1_5

TEMPLATE = replace(
    llava_qwen_1_5.TEMPLATE, name="llava_qwen_1_5_clean", one_image_first=False, also_trained=(), trained_tokens=()
)
