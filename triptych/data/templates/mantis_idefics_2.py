"""mantis_idefics_2: Mantis on Idefics2 (Mantis-8B-Idefics2), as it was published. Images are not numbered there.

Source: Mantis (arXiv:2405.01483), ``conv_idefics_2``, and Idefics2 (arXiv:2405.02246): an image stands between
``<fake_token_around_image>`` tokens, one of them between two images. As published, a line end and ``Assistant:`` are
trained with each reply and its ``<end_of_utterance>``; ``mantis_idefics_2_clean`` trains reply and stop alone.
A tokenizer may join the colon with what a reply begins with: then training does not start with the generation prompt.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="mantis_idefics_2",
    begin="{bos}",
    system=Around("", "<end_of_utterance>\n"),
    user=Around("User:", "<end_of_utterance>"),
    assistant=Around("\nAssistant:", "\n"),
    stop="<end_of_utterance>",
    image_before="<fake_token_around_image>",
    image_after="<fake_token_around_image>",
    image_between="<fake_token_around_image>",
    also_trained=("header", "wrappers"),
)
