"""COCO captions in context: 5,000 photographs of Karpathy's test split, five captions each; CIDEr at K shots.

Source: Chen et al. 2015 (arXiv:1504.00325), Karpathy's ``dataset_coco.json`` beside ``train2014/`` and ``val2014/``.
Prompt, shots and score are in ``captions`` and ``shots``: 4 shots unless the path ends in ``#shots=K``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question import captions
from triptych.evaluate.question.question_rows import Source
from triptych.evaluate.question.short_answers import same_words, says_something


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the test split, each with its shots."""
    return captions.read_captions(path, file="dataset_coco.json", image=_image, name="cocoid")


def _image(source: Source) -> str:
    return f"{source.text('filepath')}/{source.text('filename')}"


BENCHMARK = Benchmark(
    questions=questions,
    score=captions.score,
    corpus=captions.cider,
    chance=chance_of,
    cite="Chen et al. 2015 (arXiv:1504.00325), splits of Karpathy and Fei-Fei 2015; asked as Otter (arXiv:2306.05425)",
    about="captions of photographs at 4 shots, or #shots=K; CIDEr over 10, papers print 1,000 times that",
    answered=says_something,
    label=same_words,
    images="1 and one a shot",
    items=5000,
    task_count=1,
    source="https://cocodataset.org (2014) with dataset_coco.json of Karpathy's splits, test",
    licence="captions CC-BY-4.0; each photograph its owner's",
    metric="cider",
    max_tokens=64,
)
