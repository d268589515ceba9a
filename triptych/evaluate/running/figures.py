"""Figures that papers print beside accuracy, with 95% intervals: MME's sums of accuracy and accuracy+, POPE's F1.

Not a benchmark's formula (``Benchmark.figures``) and no mean of scores (``result``). A figure is a formula of sums over
stories, so an interval is that of the formula over stories drawn anew, within the tasks of their first questions, and
at least Wilson's for as many independent stories as its spread is worth. A figure that is the same however stories are
drawn rests on those that would change it: recall on the stories with things to find.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from triptych.evaluate.benchmark import Benchmark, Figures, MarkedReply, fact, story_of
from triptych.evaluate.certainty.power import Floats, numbered
from triptych.evaluate.certainty.statistics import draws, in_range

RESAMPLES = 2000
_ALIKE = 1e-9
"""Share of the best value below which values differ by rounding."""
_FEW = 8
"""With fewer stories nothing is said of how sure a figure is: its interval is all there can be."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number as papers print it, in their unit."""

    value: float
    low: float
    high: float
    best: float
    """The best value there is; the worst is 0."""
    published: float | None = None
    """The same by the authors' own reading of replies, where the benchmark has it."""


def figures_of(
    marked: Sequence[MarkedReply], benchmark: Benchmark, *, published: Sequence[MarkedReply] = (), seed: int = 0
) -> dict[str, Figure]:
    """Return a benchmark's figures by name; none where it has none, or no question has a score.

    Args:
        marked: every question that has a score.
        benchmark: whose figures.
        published: the same questions as the authors' own code reads their replies.
        seed: of the bootstrap.
    """
    formula = benchmark.figures
    if formula is None or not marked:
        return {}
    stories = _stories(marked)
    counts = np.array([formula.count(story) for story in stories], dtype=np.float64)
    values = formula.values(counts.sum(axis=0).tolist())
    theirs = _values(published, formula)
    blocks = numbered([fact(story[0].question, benchmark.tasks) for story in stories])
    found: dict[str, list[float]] = {name: [] for name in values}
    if len(stories) >= _FEW:
        for drawn in draws(blocks, seed=seed, resamples=RESAMPLES):
            for sums in (drawn @ counts).tolist():
                for name, value in formula.values(sums).items():
                    found.setdefault(name, []).append(value)
    made = {}
    for name, value in values.items():
        best, drawn = formula.best(name), np.array(found[name], dtype=np.float64)
        low, high = 0.0, best
        if len(drawn):
            worth = _bearing(stories, counts, formula, name) if np.ptp(drawn) < _ALIKE * best else None
            low, high = in_range(value, drawn, units=len(stories), most=best, worth=worth)
        made[name] = Figure(value, min(low, value), max(high, value), best, theirs.get(name))
    return made


def _bearing(stories: Sequence[Sequence[MarkedReply]], counts: Floats, formula: Figures, name: str) -> float:
    """Return how many stories a figure rests on: as many as would each move it as much, were its replies otherwise."""
    sums, best = counts.sum(axis=0), formula.best(name)
    value, squares = formula.values(sums.tolist())[name], 0.0
    for story, counted in zip(stories, counts, strict=True):
        turned = [replace(one, score=float(one.score < 0.5), answered=True) for one in story]
        otherwise = formula.values((sums - counted + formula.count(turned)).tolist())
        squares += ((otherwise.get(name, value) - value) / best) ** 2
    return min(float(len(stories)), 1 / squares) if squares else float(len(stories))


def _values(marked: Sequence[MarkedReply], formula: Figures) -> Mapping[str, float]:
    if not marked:
        return {}
    counts = np.array([formula.count(story) for story in _stories(marked)], dtype=np.float64)
    return formula.values(counts.sum(axis=0).tolist())


def _stories(marked: Sequence[MarkedReply]) -> list[list[MarkedReply]]:
    found: defaultdict[str, list[MarkedReply]] = defaultdict(list)
    for one in marked:
        found[story_of(one.question)].append(one)
    return list(found.values())
