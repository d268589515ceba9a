"""otter_llama2: Otter's training on Llama 2 (instruction format ``llama2``).

Source: Otter (arXiv:2305.03726). An image stands after ``[INST]``, a line end after it. The mask is that of
``otter_simple``. The published format has no system turn; one that is given stands in front, on a line of its own.
"""

from dataclasses import replace

from triptych.data.template import Around
from triptych.data.templates import otter_simple

TEMPLATE = replace(
    otter_simple.TEMPLATE,
    name="otter_llama2",
    system=Around("", "\n"),
    user=Around("[INST]", "[/INST]"),
    assistant=Around("<answer>", ""),
    image_after="\n",
    images_lead=False,
)
