"""mantis_plain_clean: mantis_plain's ids, and trained are the caption and its line end alone.

The default for new runs. Source: see ``mantis_plain``. The space before the caption belongs to its first word, so that
training starts with the generation prompt.
"""

from dataclasses import replace

from triptych.data.templates import mantis_plain

TEMPLATE = replace(
    mantis_plain.TEMPLATE,
    name="mantis_plain_clean",
    image_after="</Image>)",
    image_between="</Image>) (image {k}: <Image>",
    lead=" ",
    also_trained=(),
)
