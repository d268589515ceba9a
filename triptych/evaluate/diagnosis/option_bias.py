"""Option bias: does a model choose an option by what it says or by its place? Over all orders that were asked.

Not the orders (``option_order``). A model without bias chooses the same option, or draws it alike, wherever it stands.
So the test permutes the options that were chosen among the orders of a question, and holds the places that this gives
against the places that were chosen. A model that guesses passes, and so does one that is always wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from string import ascii_uppercase

import numpy as np
from numpy.typing import NDArray

from triptych.evaluate.benchmark import story_of
from triptych.evaluate.certainty.statistics import Interval, Score, interval, summarise
from triptych.evaluate.diagnosis.findings import Leaning, ScoredReply, same_reply
from triptych.evaluate.diagnosis.perturbations import CHANGED, of_question
from triptych.evaluate.diagnosis.places import SHUFFLES, Chance, Groups, grouped
from triptych.evaluate.reading import scorers

Picked = Sequence[tuple[Mapping[int, int], int | None]]
"""For each order of a question's options: the place of each option, and the option that was chosen, both from 0."""


@dataclass(frozen=True, slots=True)
class OptionBias:
    """What the order of options does: over all orders that were asked, the published one included."""

    questions: int
    orders: int
    chosen: Mapping[int, Interval]
    """By place, from 1: the 95% interval of ``shares``."""
    shares: Mapping[int, float]
    """By place: the share of replies that choose it."""
    expected: Mapping[int, float]
    """By place: the share of replies that would choose it, were they always right."""
    consistent: Score
    """Questions whose reply chooses the same option in every order."""
    circular: Score
    """Questions that are answered right in every order."""
    by_place: Groups
    """Scores by the place of the right option."""
    p: float
    """p-value of the test that what is chosen does not depend on its place."""
    p_holm: float = 1.0
    """p, corrected for all tests of numbers and places (Holm)."""

    @property
    def surplus(self) -> dict[int, float]:
        """By place: how much more often it is chosen than right."""
        return {place: share - self.expected[place] for place, share in self.shares.items()}

    @property
    def leaning(self) -> Leaning:
        """The place that is chosen most too often or too rarely, as the finding on option orders holds it."""
        place = max(self.surplus, key=lambda at: abs(self.surplus[at]))
        return Leaning(
            place=option_name(place),
            chosen=self.shares[place],
            right=self.expected[place],
            p=self.p_holm,
            most=max(abs(end - self.expected[at]) for at, span in self.chosen.items() for end in span),
            consistent=self.consistent.score,
        )


def option_bias_of(
    unchanged: Mapping[str, ScoredReply], changed: Sequence[ScoredReply], *, chance: Chance, seed: int
) -> OptionBias | None:
    """Return what the order of options does; None: no question was asked in several."""
    ordered = sorted(
        (each for each in changed if of_question(each.question) in unchanged), key=lambda it: of_question(it.question)
    )
    groups = [
        [unchanged[name], *members] for name, members in groupby(ordered, key=lambda it: of_question(it.question))
    ]
    if not groups:
        return None
    rows = [each for group in groups for each in group]
    picked = [scorers.choice_of(each.question, each.reply).option for each in rows]
    right = [scorers.reference_label(each.question) for each in rows]
    clusters = [story_of(each.question) for each in rows]
    places = range(max(len(scorers.options_of(each.question)) for each in rows))
    chosen = {place: [float(option == place) for option in picked] for place in places}
    alone = [story_of(group[0].question) for group in groups]
    same = [all(same_reply(group[0], each) for each in group[1:]) for group in groups]
    always = [all(each.score == 1 for each in group) for group in groups]

    def share(marks: Sequence[bool], chances: Sequence[float]) -> Score:
        return summarise(list(map(float, marks)), chances=chances, clusters=alone, seed=seed)

    return OptionBias(
        questions=len(groups),
        orders=len(rows),
        chosen={place + 1: interval(chosen[place], clusters=clusters, seed=seed) for place in places},
        shares={place + 1: float(np.mean(chosen[place])) for place in places},
        expected={place + 1: float(np.mean([it == place for it in right])) for place in places},
        consistent=share(same, [0.0] * len(groups)),
        circular=share(always, [chance(group[0].question) ** len(group) for group in groups]),
        by_place=grouped(rows, [int(str(it)) + 1 for it in right], within=clusters, chance=chance, seed=seed),
        p=lean_p([_picked(group) for group in groups], clusters=alone, seed=seed),
    )


def lean_p(groups: Sequence[Picked], *, clusters: Sequence[str], seed: int) -> float:
    """Return the p-value of the test that what is chosen does not depend on where it stands.

    The statistic is the sum over places of (how often chosen, less what dealing anew gives on average) squared.

    Args:
        groups: of each question, for each of its orders: (where each option stands, the option that was chosen).
        clusters: of each question, what it shares with others: their replies are permuted alike.
        seed: of the permutations.
    """
    width = max(len(places) for group in groups for places, _ in group)
    owner = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    # at[q, i, j]: the place, in order i of question q, of what was chosen in order j; the last: nothing was chosen.
    tables: dict[int, tuple[list[list[list[int]]], list[int]]] = {}
    for group, cluster in zip(groups, clusters, strict=True):
        at = [[width if option is None else places[option] for _, option in group] for places, _ in group]
        same = tables.setdefault(len(group), ([], []))
        same[0].append(at)
        same[1].append(owner[cluster])
    stacked = [(np.array(at), np.array(owners)) for at, owners in tables.values()]
    expected = np.sum([_counts(at, width) / at.shape[1] for at, _ in stacked], axis=0)
    rng = np.random.default_rng(seed)

    def spread(counts: NDArray[np.int64]) -> float:
        return float(((counts - expected) ** 2).sum())

    def dealt() -> float:
        counts = np.zeros(width, dtype=np.int64)
        for at, owners in stacked:
            orders = rng.random((len(owner), at.shape[1])).argsort(axis=1)[owners]
            counts += _counts(np.take_along_axis(at, orders[:, :, None], axis=2), width)
        return spread(counts)

    chosen = [_counts(np.diagonal(at, axis1=1, axis2=2), width) for at, _ in stacked]
    observed = spread(np.sum(chosen, axis=0)) - 1e-9
    return (1 + sum(dealt() >= observed for _ in range(SHUFFLES))) / (1 + SHUFFLES)


def option_name(place: int) -> str:
    """Return what people call a place of the options, from 1: its letter."""
    return ascii_uppercase[place - 1] if place <= len(ascii_uppercase) else str(place)


def _counts(places: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    return np.bincount(places.ravel(), minlength=width + 1)[:width]


def _picked(group: Sequence[ScoredReply]) -> Picked:
    """Return where each option of a question stands and which was chosen, by its number in the published order."""
    made = []
    for each in group:
        order = _order(each)
        chosen = scorers.choice_of(each.question, each.reply).option
        places = {option: place for place, option in enumerate(order)}
        made.append((places, None if chosen is None else order[chosen]))
    return made


def _order(each: ScoredReply) -> list[int]:
    """Return the number of the option that stands at each place."""
    changed = each.question.facts.get(CHANGED)
    order = changed.get("order") if isinstance(changed, dict) else None
    if isinstance(order, list):
        return [int(str(option)) for option in order]
    return list(range(len(scorers.options_of(each.question))))
