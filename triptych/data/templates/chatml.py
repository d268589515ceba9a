"""chatml: OpenAI's ChatML as SmolLM2 and Qwen speak it, without a default system turn."""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="chatml",
    system=Around("<|im_start|>system\n", "<|im_end|>\n"),
    user=Around("<|im_start|>user\n", "<|im_end|>\n"),
    assistant=Around("<|im_start|>assistant\n", "\n"),
    stop="<|im_end|>",
)
