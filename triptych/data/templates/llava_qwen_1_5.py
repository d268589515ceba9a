"""llava_qwen_1_5: LLaVA-NeXT-Interleave's training (template qwen_1_5), as it was published.

Source: LLaVA-NeXT-Interleave (arXiv:2407.07895), ``preprocess_qwen`` and ``preprocess_multimodal`` of LLaVA-NeXT: a
turn's only image, or only video, is moved in front of its words. As published, the assistant's header is trained with
each reply, and so is every ``<|im_start|>``, ``<|im_end|>`` and line end wherever it stands. ``llava_qwen_1_5_clean``
trains replies and their stops alone and leaves images where they were said. As images move, ``parse`` does not give
back where they were. The published training puts out the id -200 for an image.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="llava_qwen_1_5",
    system=Around("<|im_start|>system\n", "<|im_end|>\n"),
    user=Around("<|im_start|>user\n", "<|im_end|>\n"),
    assistant=Around("<|im_start|>assistant\n", "\n"),
    stop="<|im_end|>",
    default_system="You are a helpful assistant.",
    one_image_first=True,
    also_trained=("header", "wrappers"),
    trained_tokens=("<|im_start|>", "<|im_end|>", "\n"),
)
