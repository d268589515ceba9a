"""How far scores agree with labels, target by target: rank correlation with its interval, and squared error.

Not for benchmarks of videos, which have their own rules (``question/against_people.py``). Always giving the labels'
mean is the error to beat; it has no rank correlation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from triptych.core.records import Example, Json
from triptych.evaluate.certainty.statistics import Interval, interval_of
from triptych.evaluate.metrics.spearman import rank_correlation


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the scores of one target agree with its labels."""

    target: str
    n: int
    """Conversations with a label."""
    rho: float | None
    """Spearman's, -1 to 1; None: labels or scores are all the same."""
    interval: Interval
    """Of rho, 95%: bootstrap over conversations."""
    squared_error: float
    """Mean, in squares of the label's unit."""
    mean_error: float
    """Mean squared error of always giving the mean of these labels."""
    right: float | None = None
    """Share of classes that are right, where scores are classes."""

    def as_json(self) -> dict[str, Json]:
        """Return every field, as ``triptych score --json`` prints it."""
        return {
            "target": self.target,
            "n": self.n,
            "spearman": self.rho,
            "low": self.interval.low,
            "high": self.interval.high,
            "squared_error": self.squared_error,
            "squared_error_of_mean": self.mean_error,
            **({} if self.right is None else {"accuracy": self.right}),
        }


def agreement(
    target: str, labels: Sequence[float], *, scores: Sequence[float], classes: bool = False, seed: int = 0
) -> Agreement:
    """Return how far scores agree with labels.

    Args:
        target: what they are of.
        labels: at least one.
        scores: one for each label, in their order.
        classes: whether both are numbers of classes.
        seed: of the bootstrap.

    Raises:
        ValueError: a score is NaN or infinite.
    """
    for number, score in enumerate(scores):
        if not math.isfinite(score):
            raise ValueError(f"score {number} of {target!r} is {score}, which is no number")
    rho = rank_correlation(labels, scores)

    def resampled(places: Sequence[int]) -> float:
        drawn = rank_correlation([labels[at] for at in places], [scores[at] for at in places])
        return math.nan if drawn is None else drawn

    mean = fmean(labels)
    return Agreement(
        target=target,
        n=len(labels),
        rho=rho,
        interval=Interval(-1.0, 1.0) if rho is None else interval_of(resampled, len(labels), seed=seed),
        squared_error=fmean((label - score) ** 2 for label, score in zip(labels, scores, strict=True)),
        mean_error=fmean((label - mean) ** 2 for label in labels),
        right=fmean(float(label == score) for label, score in zip(labels, scores, strict=True)) if classes else None,
    )


def agreements(
    examples: Sequence[Example], scores: Mapping[str, Sequence[float]], *, targets: Sequence[str], classes: bool = False
) -> list[Agreement]:
    """Return how far scores agree with the labels of rows, for each target that any row has a label for.

    Args:
        examples: rows, some with labels.
        scores: by a row's id, one for each target.
        targets: their names.
        classes: whether scores are numbers of classes.

    Raises:
        ValueError: a score of a row with a label is NaN or infinite.
    """
    found = []
    for place, target in enumerate(targets):
        pairs = [
            (value, scores[example.id][place])
            for example in examples
            for name, value in example.labels
            if name == target
        ]
        if pairs:
            labels, predicted = zip(*pairs, strict=True)
            found.append(agreement(target, labels, scores=predicted, classes=classes))
    return found
