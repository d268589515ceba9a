"""mantis_idefics_3: Mantis on Idefics3, as it was published: with two beginnings of text.

Source: Mantis (arXiv:2405.01483), ``conv_idefics_3``: mantis_idefics_2 after a written ``<|begin_of_text|>``, and the
tokenizer puts its own in front. What stands around an image's tiles (``<row_1_col_1>``, ``<global-img>``) belongs to
the image's own tokens. The mask is that of ``mantis_idefics_2``.
"""

from dataclasses import replace

from triptych.data.templates import mantis_idefics_2

TEMPLATE = replace(
    mantis_idefics_2.TEMPLATE,
    name="mantis_idefics_3",
    begin="{bos}<|begin_of_text|>",
    image_before="",
    image_after="",
    image_between=None,
)
