"""plain: stage-1 captions. The images, then the caption and a line end; a generated reply ends with its first line.

Source: ``conv_plain`` of LLaVA (arXiv:2304.08485). As published: only the caption and its line end are trained.
What users say is left out, so ``parse`` gives back images and replies alone.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="plain",
    system=Around("", ""),
    user=Around("", ""),
    assistant=Around("", ""),
    stop="\n",
    images_only=True,
    image_ends_text=True,
)
