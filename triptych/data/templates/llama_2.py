"""llama_2: Llama 2's conversation, the system turn inside the user's first one.

Source: Llama 2 (arXiv:2307.09288); ``conv_llama_2`` of LLaVA and Mantis. The long default system line of those is not
said here: give a system turn. As published: a reply's words, the space after them and ``</s>`` are trained.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="llama_2",
    system=Around("<s>[INST] <<SYS>>\n", "\n<</SYS>>\n\n"),
    user=Around("<s>[INST] ", " [/INST]"),
    assistant=Around("", ""),
    stop="</s>",
    lead=" ",
    tail=" ",
    after_system="",
    image_ends_text=True,
)
