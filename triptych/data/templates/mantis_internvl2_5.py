"""mantis_internvl2_5: Mantis on InternVL 2.5. The published mask leaves the header out: it is clean as it is.

Source: Mantis (arXiv:2405.01483), its template ``internvl2_5``, and InternVL 2.5 (arXiv:2412.05271) for what stands
around an image. As published: a reply's words and its ``<|im_end|>`` are trained.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="mantis_internvl2_5",
    system=Around("<|im_start|>system\n", "<|im_end|>\n"),
    user=Around("<|im_start|>user\n", "<|im_end|>\n"),
    assistant=Around("<|im_start|>assistant\n", "\n"),
    stop="<|im_end|>",
    default_system=(
        "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。"
    ),
    image_before="<img>",
    image_after="</img>",
)
