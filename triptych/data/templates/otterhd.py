"""otterhd: OtterHD, which is Fuyu-8B tuned on MIMIC-IT (instruction format ``fuyu``).

Source: OtterHD (arXiv:2311.04219), ``process_text_formatting`` and ``prepare_fuyu`` of the published code. Images that
a turn begins with stand before ``User:``, then ``<s>``; ``<0x04>`` begins the answer. As published: trained are the
answer and ``|ENDOFTEXT|``. There a conversation had one image and one turn; here several images stand one after
another, and each answer has its ``|ENDOFTEXT|`` (the published labels of a second turn train the question). The spaces
that the published tokenizer puts in front of a run of words are written here, and the family's tokenizer adds none.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="otterhd",
    system=Around("<s> System: ", "\n"),
    user=Around("<s> User:", ""),
    assistant=Around(" Assistant:<0x04>", ""),
    stop="|ENDOFTEXT|",
    lead=" ",
    images_lead=True,
)
