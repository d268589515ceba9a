"""llava_qwen_1_5_eval: how LLaVA-Interleave Bench asks: a line end of its own after every image.

Source: LLaVA-NeXT-Interleave (arXiv:2407.07895), ``model_vqa.py``. Only for asking the published models as their
authors did; training has no such line ends (``llava_qwen_1_5``). The mask is clean.
"""

from dataclasses import replace

from triptych.data.templates import llava_qwen_1_5_clean

TEMPLATE = replace(llava_qwen_1_5_clean.TEMPLATE, name="llava_qwen_1_5_eval", image_after="\n", images_apart=True)
