"""Mementos: describe what happens in a sequence of images; daily life, robots and comics. 699 sequences to measure.

Source: Wang et al. 2024 (arXiv:2401.10529), in the layout of Mantis-VL/MIQA_eval, config ``mementos``, splits
``single_image_dl``, ``_robo``, ``_cmc``: {id, images, question, answer}. As Mantis asks it: the row's question, then at
most 13 images. A judge takes objects and actions out of reference and reply and gives synonyms one word; recall,
precision and F1 of each are the published measures, and ``score`` is the mean of the two F1. Two things are not as
published: the judge's request is in words of ours, and the authors' tables of synonyms, pickles, are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from triptych.core.records import Example, Text, Turn
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.metrics.mementos import LISTS, keyword_lists, keyword_scores
from triptych.evaluate.question.question_rows import Source, free, read_questions
from triptych.evaluate.reading import scorers
from triptych.evaluate.reading.judge import Judge, needs_judge

FILES = ("mementos/single_*.parquet", "single_*.parquet", "single_*.json", "single_*.jsonl")
MOST_IMAGES = 13
REQUEST = """Text 1 was written by a person, text 2 by a model, about the same images.
List the objects and the actions that each names. An object can be touched and has at most two words. An action is one \
of those objects', in its root form. Where two lists name the same thing in other words, use one word in all lists.
Write four lines and nothing else, like these:
Object list 1: [dog, toy]
Action list 1: [bark, look up]
Object list 2: [dog]
Action list 2: [play]

Text 1: %s

Text 2: %s
"""


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield one question a row."""
    return read_questions(path, _build, files=FILES)


def _build(source: Source) -> Iterator[Example]:
    domain = source.file.stem.split("-")[0].rpartition("_")[2]
    yield free(
        source,
        [Text(source.text("question")), *source.images("images")[:MOST_IMAGES]],
        name=f"{domain}/{source.name()}",
        reply=source.text("answer"),
        kind=domain,
        question=source.text("question"),
        scenario="frames",
    )


def _ask(question: Example, reply: str) -> Example:
    asked = REQUEST % (scorers.reference_of(question), reply)
    return Example(question.id, (Turn("user", (Text(asked),)),))


def _read(question: Example, verdict: str) -> Mapping[str, float] | None:
    lists = keyword_lists(verdict)
    if lists is None:
        return None
    objects, actions, said_objects, said_actions = (lists[name] for name in LISTS)
    found = {
        "object": keyword_scores(objects, said_objects, synonyms={}),
        "behaviour": keyword_scores(actions, said_actions, synonyms={}, pairs=True),
    }
    measures = {
        f"{name} {measure}": value
        for name, overlap in found.items()
        for measure, value in (("recall", overlap.recall), ("precision", overlap.precision), ("F1", overlap.f1))
    }
    return {"score": (found["object"].f1 + found["behaviour"].f1) / 2, **measures}


BENCHMARK = Benchmark(
    questions=questions,
    score=needs_judge,
    chance=chance_of,
    cite="Wang, Zhou, Liu et al. 2024 (arXiv:2401.10529); asked as Mantis does (Jiang et al. 2024)",
    about="descriptions of image sequences, objects and actions compared after a judge",
    items=699,
    task_count=3,
    images="2 to 13",
    source="hub: Mantis-VL/MIQA_eval, mementos, single_*",
    metric="judge",
    max_tokens=512,
    judge=Judge(ask=_ask, read=_read, published="gpt-4-1106-preview", max_tokens=1000),
)
