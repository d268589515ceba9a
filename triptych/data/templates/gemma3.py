"""gemma3: Gemma 3 as it was released: what the system says heads the user's first turn, and who replies is the model.

Source: the chat template of Gemma 3's instruction-tuned models (arXiv:2503.19786), which trims what users and replies
say between images, and their processor, which writes the marks and line ends around each image. Trained are a reply
and its stop. Nobody can tell what the system said from what the user did.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="gemma3",
    begin="{bos}",
    system=Around("<start_of_turn>user\n", "\n\n"),
    after_system="",
    user=Around("<start_of_turn>user\n", "<end_of_turn>\n"),
    assistant=Around("<start_of_turn>model\n", "\n"),
    stop="<end_of_turn>",
    image_before="\n\n<start_of_image>",
    image_after="<end_of_image>\n\n",
    trimmed=True,
)
