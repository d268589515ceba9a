"""qwen3_vl: Qwen3-VL as it was released: ChatML without a default system turn, each image between its two marks.

Source: the chat template of Qwen3-VL's Instruct models (arXiv:2511.21631), without tools. Trained are a reply and its
stop.
"""

from dataclasses import replace

from triptych.data.templates import chatml

TEMPLATE = replace(
    chatml.TEMPLATE,
    name="qwen3_vl",
    image_before="<|vision_start|>",
    image_after="<|vision_end|>",
)
