"""internvl: InternVL as transformers has it: ChatML without a system turn of its own, a line end behind each image.

Source: the chat template of the ``-hf`` folders of InternVL3 (arXiv:2504.10479) and 3.5 (arXiv:2508.18265), and their
processor, which writes the marks around each image. InternVL's own code says a line in Chinese in front instead
(``mantis_internvl2_5``). Trained are a reply and its stop.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="internvl",
    system=Around("<|im_start|>system\n", "<|im_end|>\n"),
    user=Around("<|im_start|>user\n", "<|im_end|>\n"),
    assistant=Around("<|im_start|>assistant\n", "\n"),
    stop="<|im_end|>",
    image_before="<img>",
    image_after="</img>\n",
)
