"""otter_simple: Otter's newer training (instruction format ``simple``), without spaces around questions and answers.

Source: Otter (arXiv:2305.03726) and MIMIC-IT (arXiv:2306.05425). Images that a turn begins with stand before ``User:``.
As published: trained are the answers, those of in-context examples too, each with its ``<|endofchunk|>``, and what the
tokenizer calls its end. Headers are not, so there is no clean variant. Not done here: the published code's cleaning of
words, and its cutting.
A tokenizer may join the colon of ``User:`` with words: never a reply's, which follow the token ``<answer>``.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="otter_simple",
    begin="{bos}",
    end="{eos}",
    system=Around("", " "),
    user=Around("User:", ""),
    assistant=Around(" GPT:<answer>", ""),
    stop="<|endofchunk|>",
    images_lead=True,
    also_trained=("demonstrations", "end"),
)
