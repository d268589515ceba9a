"""idefics3: Idefics3 and SmolVLM as they were released: a blank behind ``User:``, none where an image comes first.

Source: the chat templates of Idefics3 (arXiv:2408.12637) and of SmolVLM (arXiv:2504.05299): ``<|begin_of_text|>`` or
``<|im_start|>``, which is what each one's tokenizer calls its beginning, and roles in plain text. What stands around an
image's tiles belongs to the image's own tokens. Trained are a reply, with the blank before it, and its stop.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="idefics3",
    begin="{bos}",
    system=Around("System:", "<end_of_utterance>\n"),
    user=Around("User:", "<end_of_utterance>\n"),
    assistant=Around("Assistant:", "\n"),
    stop="<end_of_utterance>",
    lead=" ",
    leads_words=True,
)
