"""fuyu: Fuyu-8B as it was released: a picture, ``<s>``, what is asked, ``<0x04>``, the answer.

Source: Bavishi et al. 2023 (adept.ai/blog/fuyu-8b) and ``FuyuProcessor`` of transformers. Nothing names the speakers.
As published, one picture stands before one question; here several stand one after another, and each answer has its
``|ENDOFTEXT|``. The spaces that the published tokenizer puts in front of a run of words are written here, and the
family's tokenizer adds none.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="fuyu",
    system=Around("<s> System: ", "\n"),
    user=Around("<s> ", ""),
    assistant=Around("<0x04>", ""),
    stop="|ENDOFTEXT|",
    lead=" ",
    images_lead=True,
)
