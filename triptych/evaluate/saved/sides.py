"""What is compared: one result, question by question, from a run folder, an evaluation or a file of marked items.

Not the comparison (``compare.py``). Which result of one folder stands against which of another: those of the same
questions, by the model that the run is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from triptych.core.errors import DataError, NotFoundError
from triptych.core.files import read_json_lines
from triptych.core.records import Example, Json, text_of
from triptych.evaluate.reading.answers import ANSWERS
from triptych.evaluate.running.gather import BLIND, EVALS, MODEL, Evaluation, parse_name, read_evaluations
from triptych.evaluate.running.result import ITEMS, RESULT

PREFERRED = ("tuned", MODEL, "untuned")
"""Whose result stands for a run, the first that is there."""


@dataclass(frozen=True)
class Side:
    """One result, question by question."""

    run: str
    """What people call where it lies."""
    benchmark: str
    part: str
    condition: str
    scores: Mapping[str, float]
    """By the question's id."""
    failed: frozenset[str]
    """Ids of questions without a score."""
    questions: Mapping[str, Example]
    """By id; empty where only marks are known. Of marked items they have facts alone, and no words."""
    judge: str | None = None
    """Who marked the replies; empty: a rule did; None: not known."""
    rules: str = ""
    """Benchmark whose way of adding up holds; empty: not known, and every question weighs the same."""
    chance: float | None = None
    majority: float | None = None

    @property
    def asked(self) -> frozenset[str]:
        """Ids of all questions, with a score or without."""
        return self.failed.union(self.scores)

    @property
    def evaluated(self) -> tuple[str, str]:
        """Benchmark and part: what was asked."""
        return self.benchmark, self.part


def read_sides(path: Path) -> list[Side]:
    """Return the results that a run, a folder of evaluations, one evaluation, or a file of marked items holds.

    Raises:
        NotFoundError: no such path, or no result in it.
        DataError: a file is not what it should be.
    """
    if path.is_file():
        if path.name != ITEMS or not all((path.parent / name).is_file() for name in (RESULT, ANSWERS)):
            return [_marked(path)]
        path = path.parent
    folder = path / EVALS if (path / EVALS).is_dir() else path
    evaluations = read_evaluations(folder)
    if not evaluations:
        raise NotFoundError(f"{path}: no results there (*/{RESULT}). Name a run, or its folder {EVALS}.")
    return [side_of(evaluation, path) for evaluation in evaluations]


def pairs_of_conditions(sides: Sequence[Side], benchmarks: Sequence[str]) -> Iterator[tuple[Side, Side]]:
    """Yield every two conditions of what was asked, the better known first: tuned, untuned, blind."""
    for evaluated in dict.fromkeys(side.evaluated for side in sides if not benchmarks or side.benchmark in benchmarks):
        yield from combinations([side for side in reversed(sides) if side.evaluated == evaluated], 2)


def pairs_of_folders(
    left: Sequence[Side], right: Sequence[Side], *, benchmarks: Sequence[str], condition: str | None
) -> tuple[list[tuple[Side, Side]], list[str]]:
    """Return the pairs of two folders, and in words what only one of them has.

    Args:
        left: results of the first folder.
        right: of the second.
        benchmarks: only these; none: all.
        condition: of both; None: the one that stands for its run.
    """
    if len(left) == len(right) == 1 and condition is None and not benchmarks:
        return [(left[0], right[0])], []  # two that were named one by one are meant, whatever they are called
    mains = [_mains(sides, benchmarks, condition) for sides in (left, right)]
    pairs = [(side, mains[1][evaluated]) for evaluated, side in mains[0].items() if evaluated in mains[1]]
    alone = [
        f"only in {side.run}: {side.benchmark} {side.part}"
        for mine, theirs in (mains, mains[::-1])
        for evaluated, side in mine.items()
        if evaluated not in theirs
    ]
    return pairs, alone


def _mains(sides: Sequence[Side], benchmarks: Sequence[str], condition: str | None) -> dict[tuple[str, str], Side]:
    """Return the side that stands for the run, by what was asked."""
    order = PREFERRED if condition is None else (condition,)
    found: dict[tuple[str, str], Side] = {}
    for evaluated in dict.fromkeys(side.evaluated for side in sides):
        here = {side.condition: side for side in sides if side.evaluated == evaluated}
        others = [] if condition is not None else sorted(here, key=lambda name: name == BLIND)
        name = next((name for name in (*order, *others) if name in here), None)
        if name is not None and (not benchmarks or evaluated[0] in benchmarks):
            found[evaluated] = here[name]
    return found


def same_words(one: Example, other: Example) -> bool:
    """Return whether two questions of one id have the same words; one without any, a marked item, may be any."""
    words = [[(turn.role, text_of(turn)) for turn in question.turns] for question in (one, other)]
    return words[0] == words[1] or not all(words)  # a blind question has the same ones


def names_of(one: Side, other: Side) -> tuple[str, str]:
    """Return what to call two results, as short as tells them apart; that one is blind is always said."""
    if one.run == other.run:
        return one.condition, other.condition
    names = [Path(side.run).resolve().name for side in (one, other)]
    if names[0] == names[1]:
        names = [one.run, other.run]
    if one.condition != other.condition or one.condition == BLIND:
        names = [f"{name} ({side.condition})" for name, side in zip(names, (one, other), strict=True)]
    return names[0], names[1]


def side_of(evaluation: Evaluation, path: Path) -> Side:
    """Return an evaluation's scores, by question; ``path`` is what people call its run.

    Raises:
        DataError: a line of its files is not what it should be.
    """
    marks = evaluation.marks
    return Side(
        run=str(path),
        benchmark=evaluation.benchmark,
        part=evaluation.part,
        condition=evaluation.condition,
        scores={name: score for name, score in marks.items() if score is not None},
        failed=frozenset(name for name, score in marks.items() if score is None),
        questions={name: item.question for name, item in evaluation.items.items()},
        judge=evaluation.judge,
        rules=evaluation.rules,
        chance=evaluation.total.chance,
        majority=evaluation.majority,
    )


def _marked(path: Path) -> Side:
    """Read marked items: a line each with ``id`` and ``score``, or ``correct``.

    `triptych mark` also writes the benchmark, and the facts of a question that its total is made of.
    """
    scores: dict[str, float] = {}
    failed = set()
    facts: dict[str, Mapping[str, Json]] = {}
    benchmarks: set[str] = set()
    by_rule = True  # triptych mark, which writes the benchmark into its lines, asks no judge
    for number, record in enumerate(read_json_lines(path, ours=False), start=1):
        score = record.get("score", record.get("correct"))
        if "id" not in record or not isinstance(score, int | float | None):
            raise DataError(f'{path}: line {number}: expected "id" and "score" or "correct", found {record!r:.80}.')
        if score is not None and not 0 <= score <= 1:  # nor NaN
            raise DataError(f"{path}: line {number}: the score {score} is not from 0 to 1.")
        name = str(record["id"])
        if name in scores or name in failed:
            raise DataError(f"{path}: line {number}: the id {name!r} is there twice. Leave one of them out.")
        if score is None:
            failed.add(name)
        else:
            scores[name] = float(score)
        by_rule = by_rule and "benchmark" in record
        known = record.get("facts")
        benchmarks.add(str(record.get("benchmark") or "") if isinstance(known, dict) else "")
        if isinstance(known, dict):
            facts[name] = known
    # Where a line does not say how it is added up, or they say different things, every question weighs the same.
    rules = benchmarks.pop() if len(benchmarks) == 1 else ""
    questions = {name: Example(name, (), facts=known) for name, known in facts.items()}
    benchmark, part, _ = parse_name(path.parent.name) if path.name == ITEMS else ("items", "all", "")
    return Side(
        run=str(path),
        benchmark=rules or benchmark,
        part=part,
        condition=MODEL,
        scores=scores,
        failed=frozenset(failed),
        questions=questions,
        judge="" if by_rule and scores else None,
        rules=rules,
    )
