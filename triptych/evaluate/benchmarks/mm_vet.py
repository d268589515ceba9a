"""MM-Vet: 218 open questions about pictures that take several skills at once; a judge gives 0.0 to 1.0.

Source: Yu et al. 2023 (arXiv:2308.02490), the layout of lmms-lab/MMVet: {question_id, image, question, answer,
capability}. The prompt is the question as it is, as the authors ask it. Skills are rec, ocr, know, gen, spat and math;
a task is the set of skills that a question takes. The judge knows what ``<AND>`` and ``<OR>`` in an answer mean, but is
asked in words of ours and without the authors' seven examples: numbers are near the published ones, not theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from triptych.core.records import Example, Text, Turn
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of, fact
from triptych.evaluate.metrics.verdict import read_verdict
from triptych.evaluate.question.question_rows import Source, free, read_questions
from triptych.evaluate.reading import scorers
from triptych.evaluate.reading.judge import Judge, needs_judge

FILES = ("data/test-*.parquet", "test-*.parquet", "test.jsonl")
REQUEST = """Compare a model's answer to a question about a picture with the right answer.
How right is it, from 0.0 (wrong) to 1.0 (right), in steps of 0.1? Other words for the same thing are as good. \
Where the right answer has <AND>, all its parts must be there for 1.0, and some give a part of it; where it has <OR>, \
any one of its parts is enough.
Reply with one line like this and nothing else: score: 0.5

Question: %s
Right answer: %s
Model's answer: %s
"""


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of the test split."""
    return read_questions(path, _build, files=FILES)


def _build(source: Source) -> Iterator[Example]:
    question = source.text("question")
    skills = tuple(sorted(filter(None, re.split(r"[,\s]+", source.text("capability")))))
    asked = free(
        source,
        (source.image("image"), Text(question)),
        name=source.name("question_id"),
        reply=source.text("answer"),
        kind="+".join(skills) or "unknown",
        question=question,
    )
    yield replace(asked, skills=skills)


def _ask(question: Example, reply: str) -> Example:
    answer = scorers.reference_of(question).replace("<AND>", " <AND> ").replace("<OR>", " <OR> ")
    return Example(question.id, (Turn("user", (Text(REQUEST % (fact(question, "question"), answer, reply)),)),))


def _read(question: Example, verdict: str) -> Mapping[str, float] | None:
    score = read_verdict(verdict, top=1.0).score
    return None if score is None else {"score": score}


BENCHMARK = Benchmark(
    questions=questions,
    score=needs_judge,
    chance=chance_of,
    cite="Yu, Yang, Li, Wang, Lin, Liu, Wang, Wang 2023 (ICML 2024; arXiv:2308.02490)",
    about="open questions that take several skills at once, marked by a judge",
    items=218,
    task_count=16,
    images="1",
    source="hub: lmms-lab/MMVet, test",
    metric="judge",
    max_tokens=1024,
    judge=Judge(ask=_ask, read=_read, published="gpt-4-0613", max_tokens=16),
)
