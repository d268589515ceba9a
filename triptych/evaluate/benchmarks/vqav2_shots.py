"""VQA v2 in context: the 214,354 validation questions at K shots, scored as ``vqav2`` is.

Source: Goyal et al. 2017 (arXiv:1612.00837), the official files ``v2_OpenEnded_mscoco_SPLIT2014_questions.json`` and
``v2_mscoco_SPLIT2014_annotations.json`` beside ``train2014/`` and ``val2014/``. Prompt and shots are in ``vqa_shots``
and ``shots``: 4 shots unless the path ends in ``#shots=K``. The published suite stops replies after 5 tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from triptych.core.records import Example
from triptych.data.format import Refused
from triptych.evaluate.benchmarks import vqav2
from triptych.evaluate.metrics.vqa import best_of
from triptych.evaluate.question.vqa_shots import Files, read_vqa

FILES = Files("v2_OpenEnded_mscoco_{split}2014_questions.json", "v2_mscoco_{split}2014_annotations.json")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the validation split, each with its shots."""
    return read_vqa(path, FILES, best_of=lambda answers: best_of(answers, rules="official"), kind="answer_type")


BENCHMARK = replace(
    vqav2.BENCHMARK,
    questions=questions,
    cite="Goyal et al. 2017 (CVPR, arXiv:1612.00837), CC-BY-4.0; asked as Otter (arXiv:2306.05425)",
    about="open questions about photographs at 4 shots, or #shots=K",
    images="1 and one a shot",
    source="https://visualqa.org/download.html, v2, train and validation with COCO 2014",
)
