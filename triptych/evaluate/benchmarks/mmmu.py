"""MMMU: college questions of 30 subjects with one to seven images among the words. Validation: 900; accuracy.

Source: Yue et al. 2024 (arXiv:2311.16502), the layout of MMMU/MMMU (a folder for each subject) and of lmms-lab/MMMU.
Each image stands where the question or an option says ``<image k>``, as often as it does. What is asked for is that of
the authors' code and of lmms-eval. Open questions are read by the authors' rule (``metrics/mmmu.py``). For multiple
choice that rule draws an option where a reply names none; the published number told here has what a draw is worth.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Hashable, Iterator
from pathlib import Path

from triptych.core.records import Example, ImageRef, Json, Text
from triptych.data.disk.rows import bad
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.metrics.mmmu import letter_score, open_is_right
from triptych.evaluate.question.question_rows import Source, choice, fact_of, free, letter_at, lettered, read_questions
from triptych.evaluate.question.short_answers import answers_of, same_words, says_something
from triptych.evaluate.reading import scorers

FILES = ("data/validation-*.parquet", "validation-*.parquet", "*/validation-*.parquet", "validation.jsonl")
ASKS_LETTER = "\n\nAnswer with the option's letter from the given choices directly."
ASKS_WORDS = "\n\nAnswer the question using a single word or phrase."
_IMAGE = re.compile(r"<image (\d)>")
_SUBJECT = re.compile(r"[a-z]+_(.+)_\d+")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of the validation split."""
    return read_questions(path, _build, files=FILES)


def score(question: Example, reply: str) -> float:
    """Return whether the option is right, or an open reply by the authors' rule."""
    if scorers.is_choice(question):
        return scorers.correct(question, reply)
    return float(open_is_right(answers_of(question), reply))


def published(question: Example, reply: str) -> float:
    """Return the same by the authors' rule for both; a reply for which it would draw an option has a draw's worth."""
    if scorers.is_choice(question):
        return letter_score(scorers.options_of(question), reply, right=scorers.reference_of(question))
    return score(question, reply)


def answered(question: Example, reply: str) -> bool:
    """Return whether an option is named, or an open reply says anything."""
    return scorers.is_answered(question, reply) if scorers.is_choice(question) else says_something(question, reply)


def label(question: Example) -> Hashable:
    """Return the right option, or the words of an open question's answer."""
    return scorers.reference_label(question) if scorers.is_choice(question) else same_words(question)


def _build(source: Source) -> Iterator[Example]:
    name, question, answer = source.name(), source.text("question"), source.text("answer")
    subject = _SUBJECT.fullmatch(name)
    kind = subject[1] if subject else fact_of(source.row, "subfield")
    if source.row.get("question_type") == "multiple-choice":
        options = _literal(source.row.get("options"), "options")
        asked = "\n".join([question, *lettered(options, "{letter}. {option}")]) + ASKS_LETTER
        right = letter_at(answer, len(options))
        yield choice(
            source, _placed(asked, source), name=name, options=options, right=right, question=question, kind=kind
        )
    else:
        answers = _literal(answer, "the answer") if answer.startswith("[") else [answer]
        prompt = _placed(f"{question}{ASKS_WORDS}", source)
        own: list[Json] = [*answers]
        yield free(source, prompt, name=name, reply=answers[0], answers=own, question=question, kind=kind)


def _literal(value: object, what: str) -> list[str]:
    """Return the list that a text spells in Python, as this layout has it, or that a list is."""
    try:
        spelt = ast.literal_eval(value) if isinstance(value, str) else value
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        spelt = None
    if not isinstance(spelt, list) or not spelt or not all(isinstance(entry, str) for entry in spelt):
        raise bad(f"{what} is no list of texts: {str(value)[:40]!r}. Mend the row or leave it out.")
    return spelt


def _placed(text: str, source: Source) -> list[Text | ImageRef]:
    """Return the words with each image where its number stands. Raises RowError or ImageError: it is not there."""
    pieces = _IMAGE.split(text)
    seen = {number: source.image(f"image_{number}") for number in dict.fromkeys(pieces[1::2])}
    parts = [seen[piece] if position % 2 else Text(piece) for position, piece in enumerate(pieces)]
    return [part for part in parts if part != Text("")]


BENCHMARK = Benchmark(
    questions=questions,
    score=score,
    chance=chance_of,
    cite="Yue et al. 2024 (CVPR, arXiv:2311.16502), Apache-2.0",
    about="college questions of 30 subjects, images among the words",
    answered=answered,
    label=label,
    images="1 to 7",
    task_count=30,
    items=900,
    source="hub: MMMU/MMMU, validation",
    licence="Apache-2.0",
    max_tokens=128,
    published=published,
)
