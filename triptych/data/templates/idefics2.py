"""idefics2: Idefics2 as it was released: a blank behind ``User:``, none where an image comes first.

Source: the chat template of Idefics2 (arXiv:2405.02246), before which its tokenizer puts its beginning. An image stands
between ``<fake_token_around_image>`` tokens, one of them between two images. Trained are a reply, with the blank before
it, and its stop.
"""

from dataclasses import replace

from triptych.data.templates import idefics3

TEMPLATE = replace(
    idefics3.TEMPLATE,
    name="idefics2",
    image_before="<fake_token_around_image>",
    image_after="<fake_token_around_image>",
    image_between="<fake_token_around_image>",
)
