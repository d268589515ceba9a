"""Ratings of videos against people's: Spearman's correlation aspect by aspect, and the share of pairs in their order.

Not the reading of replies (``video_quality``). Source: VideoScore's benchmark (arXiv:2406.15252): the mean over aspects
of Spearman's rho; or, of pairs, the mean of the five aspects compared, strictly where people prefer one, and less than
one half apart where they do not. There a number that is missing counts as 0; here a reply that gives none comes last in
rank, and no pair with it is right. A side on which all are alike has no rho there and 0 here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations, permutations
from math import inf, isfinite, nan
from statistics import fmean
from sys import float_info

import numpy as np

from triptych.core.records import Example
from triptych.evaluate.benchmark import fact
from triptych.evaluate.metrics.spearman import pair_is_right, rank_correlation, ranks
from triptych.evaluate.question.video_quality import ASPECTS, closeness, ratings_said
from triptych.evaluate.reading.scorers import reference_of

Marked = Sequence[tuple[Example, float]]
Preferred = Callable[[Example, Example], float | None]
"""(one, other) -> 1: people prefer the one; 0: the other; 0.5: neither; None: nobody was asked."""
STEP = 8.0
"""A score is the mean rating over this: a power of two, so that nothing is lost. It is so of the scale that is asked
for, and beside it; of ratings below ``_LOWEST`` and above ``_HIGHEST`` scores near ever more slowly to 0 and 1."""
_LOWEST, _HIGHEST = STEP / 1024, STEP - 1.0


def aspect_score(question: Example, reply: str) -> float:
    """Return how close a reply's rating of the question's aspect is to people's, 0 to 1."""
    said = ratings_said(reply).get(fact(question, "kind"))
    return 0.0 if said is None else closeness(said, _rating(question))


def aspect_answered(question: Example, reply: str) -> bool:
    """Return whether a reply rates the question's aspect."""
    return fact(question, "kind") in ratings_said(reply)


def aspect_ranks(replies: Sequence[tuple[Example, str]]) -> list[float]:
    """Return the rank of each reply's rating among those of its aspect, over their number: above 0, to 1."""
    said = [ratings_said(reply).get(fact(question, "kind"), -inf) for question, reply in replies]
    scores = [0.0] * len(replies)
    for where in _by_kind([question for question, _ in replies]).values():
        for at, rank in zip(where, ranks([said[at] for at in where]).tolist(), strict=True):
            scores[at] = rank / len(where)
    return scores


def mean_correlation(marked: Marked) -> float:
    """Return the mean over aspects of rho between people's ratings and scores, -1 to 1."""
    rhos = []
    for where in _by_kind([question for question, _ in marked]).values():
        people = [_rating(marked[at][0]) for at in where]
        rhos.append(rank_correlation(people, [marked[at][1] for at in where]) or 0.0)
    return fmean(rhos)


def mean_rating(reply: str) -> float | None:
    """Return the mean of the five aspects, rounded as NumPy rounds it, as published; None: one is missing or infinite.

    Two means that are equal, or one half apart, to all digits that were said may differ in the last bit: the published
    numbers have it so.
    """
    said = ratings_said(reply)
    return float(np.mean([*said.values()])) if len(said) == len(ASPECTS) and all(map(isfinite, said.values())) else None


def pair_score(question: Example, reply: str) -> float:
    """Return how close a reply's mean rating is to the reference's: all there is to say of one reply of a pair."""
    said, wanted = mean_rating(reply), mean_rating(reference_of(question))
    return 0.0 if said is None or wanted is None else closeness(said, wanted)


def pair_answered(question: Example, reply: str) -> bool:
    """Return whether a reply rates all five aspects."""
    return mean_rating(reply) is not None


def pair_points(replies: Sequence[tuple[Example, str]]) -> list[float]:
    """Return each reply's mean rating as a score above 0, to 1, which rises with it on any scale; without one, 0."""
    means = [mean_rating(reply) for _, reply in replies]
    return [0.0 if mean is None else _points(mean) for mean in means]


def pairwise(marked: Marked, preferred: Preferred) -> float:
    """Return the share of pairs in people's order, the mean over kinds of question; NaN where there is no pair.

    Args:
        marked: videos and ``pair_points``; those of one ``story`` are compared. A story that is there twice, as in a
            resample, counts twice; a pair of which one is missing does not count.
        preferred: what people say of two of them.
    """
    shares = []
    for where in _by_kind([question for question, _ in marked]).values():
        times = Counter(marked[at][0].id for at in where)
        videos = {marked[at][0].id: marked[at] for at in where}
        stories: defaultdict[str, list[tuple[Example, float]]] = defaultdict(list)
        for video in videos.values():
            stories[fact(video[0], "story")].append(video)
        right = total = 0
        for story in stories.values():
            for one, other in permutations(story, 2):
                wanted = preferred(one[0], other[0])
                if wanted is not None:
                    weight = times[one[0].id]
                    total += weight
                    right += weight * _in_order(one[1], other[1], wanted)
        if total:
            shares.append(right / total)
    return fmean(shares) if shares else nan


def compared(questions: Sequence[Example], preferred: Preferred) -> list[tuple[int, int]]:
    """Return the positions of every two videos that ``pairwise`` compares."""
    stories: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for at, question in enumerate(questions):
        stories[fact(question, "kind"), fact(question, "story")].append(at)
    return [
        (one, other)
        for story in stories.values()
        for one, other in combinations(story, 2)
        if preferred(questions[one], questions[other]) is not None
        or preferred(questions[other], questions[one]) is not None
    ]


def _in_order(one: float, other: float, preferred: float) -> bool:
    return one > 0 < other and pair_is_right(_mean_of(one), _mean_of(other), preferred=preferred)


def _points(mean: float) -> float:
    if mean < _LOWEST:
        return _LOWEST / (STEP + _LOWEST - mean)
    return mean / STEP if mean <= _HIGHEST else 1 - (STEP - _HIGHEST) / (STEP + mean - _HIGHEST)


def _mean_of(points: float) -> float:
    """Return the mean rating that has these points, off the scale to nine places."""
    if points < _LOWEST / STEP:
        return round(_LOWEST + STEP - _LOWEST / points, 9)
    left = max(1 - points, float_info.epsilon)
    return points * STEP if points <= _HIGHEST / STEP else round(_HIGHEST - STEP + (STEP - _HIGHEST) / left, 9)


def _by_kind(questions: Sequence[Example]) -> dict[str, list[int]]:
    found: defaultdict[str, list[int]] = defaultdict(list)
    for at, question in enumerate(questions):
        found[fact(question, "kind")].append(at)
    return found


def _rating(question: Example) -> float:
    return float(fact(question, "people"))
