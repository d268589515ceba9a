"""otter: Otter as in its papers, and as its released models are asked: spaces around questions and answers.

Source: Otter (arXiv:2305.03726) and MIMIC-IT (arXiv:2306.05425); later training is ``otter_simple``. As published:
trained are the answers, those of in-context examples too, each with its ``<|endofchunk|>``; the end is not, which
``otter_simple`` trains.
"""

from dataclasses import replace

from triptych.data.template import Around
from triptych.data.templates import otter_simple

TEMPLATE = replace(
    otter_simple.TEMPLATE, name="otter", user=Around("User: ", ""), lead=" ", also_trained=("demonstrations",)
)
