"""mantis_openflamingo: Mantis on OpenFlamingo, as it was published.

Source: Mantis (arXiv:2405.01483), ``conv_openflamingo``. As published, a line end and ``Assistant:`` are trained with
each reply and its ``<|endofchunk|>``; ``mantis_openflamingo_clean`` trains reply and stop alone. A tokenizer may join
the colon with what a reply begins with: then training does not start with the generation prompt.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="mantis_openflamingo",
    system=Around("", "<|endofchunk|>\n"),
    user=Around("User:", "<|endofchunk|>"),
    assistant=Around("\nAssistant:", "\n"),
    stop="<|endofchunk|>",
    also_trained=("header", "wrappers"),
)
