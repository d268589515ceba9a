"""vicuna_v1: Vicuna 1.5's conversation, as LLaVA-1.5 has it, images where they were said.

Source: ``conv_vicuna_v1`` of LLaVA (arXiv:2304.08485), the same in Mantis. As published: a reply's words and its
``</s>`` are trained. Roles are plain text: somebody who says ``ASSISTANT:`` cannot be told from the template.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="vicuna_v1",
    begin="{bos}",
    system=Around("", " "),
    user=Around("USER: ", " "),
    assistant=Around("ASSISTANT:", ""),
    stop="</s>",
    lead=" ",
    image_ends_text=True,
    default_system=(
        "A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions."
    ),
)
