"""plain: stage-1 captions. The tokenizer's beginning, if it has one, the images, then the caption and a line end.

Source: ``conv_plain`` and ``preprocess_plain`` of LLaVA (arXiv:2304.08485). As published: only the caption and its line
end are trained. A generated reply ends with its first line. What users say is left out, so ``parse`` gives back images
and replies alone.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="plain",
    begin="{bos}",
    system=Around("", ""),
    user=Around("", ""),
    assistant=Around("", ""),
    stop="\n",
    images_only=True,
    image_ends_text=True,
)
