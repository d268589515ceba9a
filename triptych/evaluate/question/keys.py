"""Answers without questions: a key ``{id: answer}``, and what can be marked with it.

Not the marking (``marking``). A key alone tells the options where a benchmark's ids do (``question_of``), where all
answers are letters, and where they are a few words, such as true and false. Otherwise the questions are needed, and
that is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from string import ascii_uppercase

from triptych.core.errors import DataError
from triptych.core.records import Example, Json, Text, Turn
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.question_rows import read_object
from triptych.evaluate.reading import scorers

_MOST_WORDS = 6
"""Different answers of a key that are taken as the options of every question."""
_ELSEWHERE = ("label", "other_answer", "people")
"""Facts beside the reference that say what is right, and that no text stands for."""
_LETTER = re.compile(r"\(?([A-Za-z])[).]?")


def read_key(path: Path) -> dict[str, str]:
    """Return the answers by id.

    Raises:
        DataError: no such file, no JSON object, an id is there twice, or an answer is neither a text nor a number.
    """
    key: dict[str, str] = {}
    for name, answer in read_object(path, once=True).items():
        if isinstance(answer, bool) or not isinstance(answer, str | int | float) or not str(answer).strip():
            raise DataError(f"{path}: the answer of {name!r} is {answer!r}. Give a letter, a text or a number.")
        # 3.0 is how programs write the number 3.
        key[name] = str(int(answer)) if isinstance(answer, float) and answer.is_integer() else str(answer).strip()
    if not key:
        raise DataError(f"{path}: no answers. A key is an object {{id: answer}}.")
    return key


def questions_of_key(benchmark: Benchmark, key: Mapping[str, str], *, path: Path) -> tuple[Benchmark, list[Example]]:
    """Return the questions that a key alone makes, and the benchmark whose rules fit them.

    Raises:
        DataError: the key does not tell the options; or an id or an answer is not the benchmark's.
    """
    if benchmark.question_of is not None:
        return benchmark, [_known(benchmark.question_of, name, answer, path) for name, answer in key.items()]
    words = sorted({answer.casefold(): answer for answer in key.values()}.values())  # "Yes" and "yes" are one option
    letters = [found[1].upper() for answer in words if (found := _LETTER.fullmatch(answer))]
    if len(letters) == len(words):
        count = max(2, ascii_uppercase.index(max(letters)) + 1)
        asked, options = " ".join(f"({letter})" for letter in ascii_uppercase[:count]), [""] * count
    elif 2 <= len(words) <= _MOST_WORDS:
        asked, options = "", words
    else:
        raise DataError(f"{path}: the key alone does not tell what the options are. Name the questions with --data.")
    facts: dict[str, Json] = {"kind": "all", "choice": True, "options": [*options]}
    turns = Turn("user", (Text(asked),))
    made = [
        Example(name, (turns, Turn("assistant", (Text(answer),))), origin=f"{path}: {name}", facts=facts)
        for name, answer in key.items()
    ]
    return _by_options(benchmark), made


def with_answers(
    benchmark: Benchmark, questions: list[Example], *, key: Mapping[str, str], path: Path
) -> list[Example]:
    """Return the questions that the key has, each with the key's answer in place of all that the data accept.

    Raises:
        DataError: an answer names none of its question's options, or several; or the data say what is right in
            another way than by an answer.
    """
    found = [(question, key[question.id]) for question in questions if question.id in key]
    return [_answered(benchmark, question, answer, path) for question, answer in found]


def _known(question_of: Callable[[str, str], Example], name: str, answer: str, path: Path) -> Example:
    try:
        return question_of(name, answer)
    except DataError as error:
        raise DataError(f"{path}: {name!r}: {error}") from None


def _answered(benchmark: Benchmark, question: Example, answer: str, path: Path) -> Example:
    if scorers.is_choice(question):
        return _with_option(question, answer, path)
    if held := next((name for name in _ELSEWHERE if question.facts.get(name)), None):
        raise DataError(f"{path}: no key says what is right here ({held!r} of the data does). Mark with --data alone.")
    facts, accepted = question.facts, question.facts.get("answers")
    # For ``scorers.correct`` the answers are all that a reply may choose from; for others, what people accepted.
    if isinstance(accepted, list) and benchmark.score is not scorers.correct:
        facts = {**facts, "answers": [answer] * len(accepted)}  # as many as before: VQA's rule counts who said it
    return replace(question, turns=_ending_in(question, answer), facts=facts)


def _with_option(question: Example, answer: str, path: Path) -> Example:
    """Return a multiple-choice question whose reference is another option, spelled as the reference was."""
    # Without the old place of the right option, which would go before the answer's words.
    free = replace(question, turns=_ending_in(question, answer), facts={**question.facts, "right": None})
    right = scorers.reference_position(free)
    if right is None:
        raise DataError(f"{path}: {question.id!r}: the answer {answer!r} names none of the options, or several.")
    options, was = scorers.options_of(question), scorers.reference_of(question)
    letter = _LETTER.fullmatch(was.strip())
    if letter and was.strip().casefold() not in {option.strip().casefold() for option in options}:
        said = was.replace(letter[1], ascii_uppercase[right], 1)
    else:
        said = options[right].lower() if was.islower() else options[right]
    facts = {**question.facts, "right": right} if "right" in question.facts else question.facts
    return replace(question, turns=_ending_in(question, said), facts=facts)


def _ending_in(question: Example, words: str) -> tuple[Turn, ...]:
    return (*question.turns[:-1], Turn("assistant", (Text(words),)))


def _by_options(benchmark: Benchmark) -> Benchmark:
    """Return the benchmark with the rules of plain choices: its own may ask more than a key tells."""
    return replace(
        benchmark,
        score=scorers.correct,
        answered=scorers.is_answered,
        label=scorers.reference_label,
        chance=chance_of,
        aggregate="micro",
        tasks="kind",
        together={},
        published=None,
        figures=None,
        judge=None,
        corpus=None,
        statistic=None,
    )
