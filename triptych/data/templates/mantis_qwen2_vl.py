"""mantis_qwen2_vl: Mantis on Qwen2-VL, as it was published.

Source: Mantis (arXiv:2405.01483), its template ``qwen2_vl``, and Qwen2-VL (arXiv:2409.12191) for what stands around an
image. As published, the assistant's header and the line end before it are trained with each reply and its
``<|im_end|>``; ``mantis_qwen2_vl_clean`` trains reply and stop alone.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="mantis_qwen2_vl",
    system=Around("<|im_start|>system\n", "<|im_end|>\n"),
    user=Around("<|im_start|>user\n", "<|im_end|>"),
    assistant=Around("\n<|im_start|>assistant\n", "\n"),
    stop="<|im_end|>",
    default_system="You are a helpful assistant.",
    image_before="<|vision_start|>",
    image_after="<|vision_end|>",
    also_trained=("header", "wrappers"),
)
