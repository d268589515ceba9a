"""OK-VQA in context: the 5,046 validation questions at K shots, scored as ``okvqa`` is.

Source: Marino et al. 2019 (arXiv:1906.00067), the official files ``OpenEnded_mscoco_SPLIT2014_questions.json`` and
``mscoco_SPLIT2014_annotations.json`` beside ``train2014/`` and ``val2014/``. Prompt and shots are in ``vqa_shots`` and
``shots``: 4 shots unless the path ends in ``#shots=K``. The published suite stops replies after 5 tokens and takes
words to their stems before it compares; here they are compared as ``okvqa`` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from triptych.core.records import Example
from triptych.data.format import Refused
from triptych.evaluate.benchmarks import okvqa
from triptych.evaluate.metrics.vqa import best_of
from triptych.evaluate.question.vqa_shots import Files, read_vqa

FILES = Files("OpenEnded_mscoco_{split}2014_questions.json", "mscoco_{split}2014_annotations.json")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the validation split, each with its shots."""
    return read_vqa(path, FILES, best_of=lambda answers: best_of(answers, rules="evalai"), kind="question_type")


BENCHMARK = replace(
    okvqa.BENCHMARK,
    questions=questions,
    cite="Marino et al. 2019 (CVPR, arXiv:1906.00067); asked as Otter (arXiv:2306.05425)",
    about="questions that need outside knowledge at 4 shots, or #shots=K",
    images="1 and one a shot",
    source="https://okvqa.allenai.org, train and validation with COCO 2014",
)
