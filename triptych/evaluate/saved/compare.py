"""Two results side by side, item by item: is there evidence that one is better, and how much would it take?

Not the tests (``pairs.py``) nor what is said of them (``comparison_text.py``). Takes run folders, folders of
evaluations, single evaluations, or files of marked items; pairs them by the question's id, and never quietly leaves a
question out: other questions are refused by name, failed ones are counted. Scores that one judge
gave are not held against those of another, nor of a rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan
from pathlib import Path

import numpy as np

from triptych.core.errors import ConfigError, DataError, NotFoundError
from triptych.core.plugins import find
from triptych.core.records import Example, images_of
from triptych.evaluate.benchmark import Benchmark, fact, story_of, total_of
from triptych.evaluate.certainty.pairs import Paired, compare_scores, compare_values, holm
from triptych.evaluate.certainty.power import ALPHA, design_of
from triptych.evaluate.certainty.statistics import majority as majority_of
from triptych.evaluate.running.gather import BLIND
from triptych.evaluate.saved.sides import (
    Side,
    names_of,
    pairs_of_conditions,
    pairs_of_folders,
    read_sides,
    same_words,
)

_NAMED = 3
"""Most ids that a message names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two results of the same questions."""

    benchmark: str
    part: str
    first: str
    second: str
    """What people call the two results."""
    chance: float | None
    majority: float | None
    blind: float | None
    """The score without images on the questions that are compared, where it was measured."""
    judge: str
    """Who marked the replies of both; empty: a rule, or it is not known."""
    statistic: str
    """How the two totals are made, in a few words (``benchmark.total_of``)."""
    paired: Paired
    p_holm: float
    """p, corrected for all comparisons that were made at once (Holm)."""
    left_out: int
    """Questions that have a score on one side only, or were asked on one side only."""
    verdict: str


@dataclass(frozen=True, slots=True)
class Comparisons:
    """All that was compared at once."""

    rows: tuple[Comparison, ...]
    alone: tuple[str, ...]
    """A line for each result that is there on one side only."""


def compare_folders(
    first: Path,
    second: Path | None = None,
    *,
    benchmarks: Sequence[str] = (),
    condition: str | None = None,
    common: bool = False,
    seed: int = 0,
) -> Comparisons:
    """Compare what two folders or files hold, or the conditions of one.

    Args:
        first: a run, a folder of evaluations, one evaluation, or a file of marked items.
        second: the same; None: every two conditions of the first.
        benchmarks: only these; none: all that are there.
        condition: of both, where there are two folders; None: tuned, else the model, else untuned.
        common: compare the questions that both were asked, where they were not asked the same.
        seed: of flips and bootstrap.

    Raises:
        NotFoundError: nothing there, or nothing that can be compared.
        DataError: different questions or judges, or a file that is not what it should be.
        ConfigError: a condition of one folder only.
    """
    if second is None and condition is not None:
        raise ConfigError(f"--condition {condition} is of two runs; of {first} alone all conditions are compared.")
    left = read_sides(first)
    sides = [*left, *(read_sides(second) if second is not None else ())]
    known = sorted({side.benchmark for side in sides})
    if unknown := set(benchmarks).difference(known):
        raise NotFoundError(f"no results of {', '.join(sorted(unknown))}. There are: {', '.join(known)}.")
    alone: list[str] = []
    if second is None:
        pairs = list(pairs_of_conditions(left, benchmarks))
        if not pairs:
            raise NotFoundError(f"{first}: no two conditions of the same questions. Name a second folder.")
    else:
        pairs, alone = pairs_of_folders(left, sides[len(left) :], benchmarks=benchmarks, condition=condition)
        there = sorted({side.condition for side in sides})
        if condition is not None and condition not in there:
            raise NotFoundError(f"no results of the condition {condition}. There are: {', '.join(there)}.")
        if not pairs:
            raise NotFoundError(f"{first} and {second} have nothing in common: {'; '.join(alone)}.")
    return Comparisons(compare_pairs(pairs, among=sides, common=common, seed=seed), tuple(alone))


def compare_pairs(
    pairs: Sequence[tuple[Side, Side]], *, among: Sequence[Side] = (), common: bool = False, seed: int = 0
) -> tuple[Comparison, ...]:
    """Compare each pair, and correct for how many there are.

    Args:
        pairs: of results.
        among: all results that are there; blind ones of the same questions are baselines of the comparison.
        common: compare the questions that both were asked, where they were not asked the same.
        seed: of flips and bootstrap.

    Raises:
        DataError: two results are not of the same questions, or were marked by different judges.
    """
    blind = {(side.run, side.evaluated): side for side in among if side.condition == BLIND}
    shared = [_shared(one, other, common=common) for one, other in pairs]
    found = [_paired(each, one, other, seed=seed) for each, (one, other) in zip(shared, pairs, strict=True)]
    corrected = holm([paired.p for paired in found])
    rows = []
    for (one, other), each, paired, p_holm in zip(pairs, shared, found, corrected, strict=True):
        names = names_of(one, other)
        without = blind.get((one.run, one.evaluated)) or blind.get((other.run, other.evaluated))
        if without and _judges_differ(one, without):
            without = None
        chance, majority = _guesses(each, one)
        rows.append(
            Comparison(
                benchmark=one.benchmark,
                part=one.part,
                first=names[0],
                second=names[1],
                chance=chance,
                majority=majority,
                blind=_worth(each, without.scores) if without else None,
                judge=one.judge or other.judge or "",
                statistic=total_of(each.benchmark),
                paired=paired,
                p_holm=p_holm,
                left_out=len(one.asked | other.asked) - len(each.ids),
                verdict=verdict_on(paired, p_holm, names=names, comparisons=len(found)),
            )
        )
    return tuple(rows)


def check_pair(one: Side, other: Side, *, common: bool = False) -> None:
    """Refuse two results that are not of the same questions, or not marked alike; with ``common``, that share none.

    Raises:
        DataError: it names the judges, what is only on one side, or a question that reads otherwise on the other, or
            was marked by another rule.
    """
    if _judges_differ(one, other):
        marked = [f"{it.run} ({it.condition}) by {it.judge or 'a rule'}" for it in (one, other)]
        raise DataError(
            f"{one.benchmark} was not marked alike: {', '.join(marked)}. Evaluate both with the same --judge; their "
            "replies are kept."
        )
    if one.asked != other.asked and not common:
        raise DataError(
            f"{one.run} ({one.condition}) and {other.run} ({other.condition}) were not asked the same questions of "
            f"{one.benchmark}: {_listed(one.asked - other.asked)} only in the first, "
            f"{_listed(other.asked - one.asked)} only in the second. --common compares what they share."
        )
    shared = one.scores.keys() & other.scores.keys()
    if not shared:
        raise DataError(f"{one.run} and {other.run}: no question of {one.benchmark} has a score on both sides.")
    for name in sorted(shared & one.questions.keys() & other.questions.keys()):
        if not same_words(one.questions[name], other.questions[name]):
            raise DataError(
                f"{one.run} and {other.run}: {name!r} is not the same question on both sides. Ask both the same "
                "benchmark."
            )
        rules = [fact(side.questions[name], "rule") for side in (one, other)]
        if rules[0] != rules[1] and all(rules):
            raise DataError(
                f"{one.run} and {other.run}: {name!r} was marked by {rules[0]} and by {rules[1]}. Ask both the same "
                "benchmark; their replies are kept."
            )


def verdict_on(paired: Paired, p_holm: float, *, names: tuple[str, str], comparisons: int = 1) -> str:
    """Return in a few words what the evidence says.

    Args:
        paired: the two results.
        p_holm: corrected for several comparisons.
        names: of the two.
        comparisons: how many ``p_holm`` is corrected for.
    """
    if p_holm < ALPHA:
        better, worse = names if paired.difference > 0 else names[::-1]
        return f"{better} is better than {worse}"
    if paired.p < ALPHA:
        return f"no evidence of a difference, as one of {comparisons} comparisons"
    return "no evidence of a difference"


@dataclass(frozen=True, slots=True)
class _Shared:
    """The questions of a pair that have a score on both sides, and how they are added up."""

    ids: tuple[str, ...]
    questions: tuple[Example, ...]
    """As many; none where only marks are known."""
    benchmark: Benchmark | None
    """None: not known, or nothing is known of the questions; then every question weighs the same."""

    @property
    def clusters(self) -> list[str] | None:
        """What each question shares with others; None: not known."""
        return [str(story_of(question)) for question in self.questions] or None

    @property
    def strata(self) -> list[str] | None:
        """The group of each question, of which the total is a mean; None: it is no such mean."""
        if self.benchmark is None or self.benchmark.aggregate == "micro":
            return None
        return [fact(question, self.benchmark.group) for question in self.questions]


def _shared(one: Side, other: Side, *, common: bool) -> _Shared:
    check_pair(one, other, common=common)
    ids = tuple(name for name in one.scores if name in other.scores)
    sides = [side for side in (one, other) if all(name in side.questions for name in ids)]
    if not sides:
        return _Shared(ids, (), None)
    # One that was asked blind may not know which questions show the same images.
    known = max(sides, key=lambda side: sum(len(images_of(side.questions[name])) for name in ids))
    rules = known.rules or one.rules or other.rules
    return _Shared(ids, tuple(known.questions[name] for name in ids), _benchmark(rules) if rules else None)


def _paired(shared: _Shared, one: Side, other: Side, *, seed: int) -> Paired:
    scores = [one.scores[name] for name in shared.ids]
    others = [other.scores[name] for name in shared.ids]
    if shared.benchmark is not None and (statistic := shared.benchmark.statistic) is not None:
        try:
            if within := shared.benchmark.in_total(shared.questions):
                questions = [shared.questions[at] for at in within]
                return compare_values(
                    [scores[at] for at in within],
                    [others[at] for at in within],
                    value=lambda marks: statistic([(questions[at], mark) for at, mark in marks]),
                    clusters=[str(story_of(question)) for question in questions],
                    seed=seed,
                    least=shared.benchmark.least,
                )
        except (ValueError, LookupError) as error:  # marked items may lack a fact, or have another word in it
            raise DataError(
                f"{one.run} and {other.run}: the facts that are kept do not make the total of {one.rules} ({error}). "
                "Mark the replies again."
            ) from None
        raise DataError(
            f"{one.run} and {other.run}: of the questions of {one.rules} that both scored no pair is whole, so there"
            " is nothing to compare."
        )
    return compare_scores(scores, others, clusters=shared.clusters, strata=shared.strata, seed=seed)


def _judges_differ(one: Side, other: Side) -> bool:
    return one.judge is not None and other.judge is not None and one.judge != other.judge


def _worth(shared: _Shared, scores: Mapping[str, float]) -> float | None:
    """Return the total of another result on the same questions; None where it has not all of them."""
    if not all(name in scores for name in shared.ids):
        return None
    marks = [scores[name] for name in shared.ids]
    if shared.benchmark is not None and shared.benchmark.statistic is not None:
        value = shared.benchmark.statistic(list(zip(shared.questions, marks, strict=True)))
        return None if isnan(value) else value
    return _mean(shared, marks)


def _guesses(shared: _Shared, one: Side) -> tuple[float | None, float | None]:
    """Return chance and majority of the questions that are compared; of all, they are as the result tells them."""
    if len(shared.ids) == len(one.scores):
        return one.chance, one.majority
    if shared.benchmark is None or not all(question.turns for question in shared.questions):
        return None, None
    add_up = partial(shared.benchmark.guessed, shared.questions)
    chance = add_up([shared.benchmark.chance(question) for question in shared.questions])
    labels = [(fact(question, "kind"), shared.benchmark.label(question)) for question in shared.questions]
    return chance, majority_of(labels, total=add_up)


def _mean(shared: _Shared, values: Sequence[float]) -> float:
    return design_of(len(values), strata=shared.strata).mean(np.asarray(values, dtype=np.float64))


def _benchmark(name: str) -> Benchmark | None:
    """Return the plug-in, for how it adds up; None for a name that is none: then every question weighs the same."""
    try:
        return find("benchmark", name, expected=Benchmark)
    except NotFoundError:
        return None


def _listed(ids: frozenset[str]) -> str:
    named = sorted(ids)[:_NAMED]
    more = ", ..." if len(ids) > _NAMED else ""
    return f"{len(ids)} ({', '.join(named)}{more})" if ids else "none"
