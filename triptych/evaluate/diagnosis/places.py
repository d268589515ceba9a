"""Scores by number of images and by place of the deciding image, and replies by which image was left out.

Not a change of a question (``perturbations``), nor the places of options (``option_bias``): nothing is asked here. The
deciding image is known where the question's facts or its words tell it; where none do, it is the one image
whose absence changed the reply.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from triptych.core.records import Example, ImageRef, Text
from triptych.data.text.labels import labels_in
from triptych.data.text.references import find_references
from triptych.evaluate.benchmark import story_of
from triptych.evaluate.certainty.statistics import Score, summarise
from triptych.evaluate.diagnosis.findings import ScoredReply, same_reply
from triptych.evaluate.diagnosis.perturbations import changed_image, of_question
from triptych.evaluate.reading import scorers

SHUFFLES = 2000
Chance = Callable[[Example], float]


@dataclass(frozen=True, slots=True)
class Groups:
    """Scores by a number: the number of images, or a place."""

    scores: Mapping[int, Score]
    p: float
    """p-value of the test that the score does not depend on the number."""
    p_holm: float = 1.0
    """p, corrected for all tests of numbers and places (Holm)."""


@dataclass(frozen=True, slots=True)
class Importance:
    """What leaving out one image at a time did."""

    questions: int
    changed: Mapping[int, Score]
    """By place: how often the reply changed when the image there was left out. Chance is of no meaning here."""
    none: float
    """Share of questions in which no image changed the reply."""
    one: float
    """Share of questions in which exactly one did."""
    deciding: Score | None
    """How often the reply changed without the image that the question is about; None: it is not known."""
    others: Score | None
    """How often the reply changed without another image; None: it is not known."""


def by_images(asked: Sequence[ScoredReply], chance: Chance, *, seed: int) -> Groups:
    """Return scores by the number of images."""
    return grouped(asked, [_count(each.question) for each in asked], within=None, chance=chance, seed=seed)


def by_place(
    asked: Sequence[ScoredReply],
    without: Mapping[str, Sequence[ScoredReply]],
    *,
    chance: Chance,
    seed: int,
    orders: Mapping[str, Sequence[ScoredReply]] | None = None,
) -> tuple[Groups, str]:
    """Return scores by the place of the deciding image, from 1, and how that image is known; no scores if it is not.

    Args:
        asked: unchanged questions.
        without: of a question, what was asked with one image left out.
        chance: of a question.
        seed: of the test.
        orders: of a question, what was asked with its options in other orders. It counts with its mean over all of
            them; where options name images, their place is that of an image too, and it counts in all orders or not.
    """
    asked = [one for each in asked if (one := _over_orders(each, (orders or {}).get(each.question.id, ()))) is not None]
    known = [(each, place) for each in asked if (place := deciding_image(each.question)) is not None]
    how = "the question's words or facts name it"
    if not known:
        how = "without it, and only without it, the reply was another"
        known = [(each, place) for each in asked if (place := _only_change(each, without)) is not None]
    counts = [_count(each.question) for each, _ in known]
    return grouped(
        [each for each, _ in known], [place for _, place in known], within=counts, chance=chance, seed=seed
    ), how


def deciding_image(question: Example) -> int | None:
    """Return the number of the image that a question is about, from 1; None: it does not say, or there are several.

    It is the fact ``position``, from 0; else the one image that the reference names; else the one that the last words
    of the user name, where they do not only label it.
    """
    count = sum(isinstance(part, ImageRef) for turn in question.turns for part in turn.parts)
    position = question.facts.get("position")
    if isinstance(position, int) and not isinstance(position, bool):
        return position + 1 if position < count else None
    if count < 2:
        return None
    right = scorers.reference_of(question)
    if scorers.is_choice(question):
        label = scorers.reference_label(question)
        options = scorers.options_of(question)
        right = options[label] if isinstance(label, int) else ""
        if any(_named(option, count) for option in options) and len(_named(right, count)) != 1:
            return None
    if len(named := _named(right, count)) == 1:
        return named.pop()
    last = max((at for at, turn in enumerate(question.turns[:-1]) if turn.role == "user"), default=0)
    first = 1 + sum(isinstance(part, ImageRef) for turn in question.turns[:last] for part in turn.parts)
    parts = question.turns[last].parts
    labels = labels_in(parts, first, count=count)
    shown = first - 1 + sum(isinstance(part, ImageRef) for part in parts)
    found: set[int] = set()
    for at, part in enumerate(parts):
        if isinstance(part, Text):
            own = {label.at for label in labels.get(at, [])}
            found |= {
                number
                for reference in find_references(part.text, count=count, shown=shown)
                if reference.start not in own
                for number in reference.numbers
            }
    return found.pop() if len(found) == 1 else None


def importance_of(
    unchanged: Mapping[str, ScoredReply], changed: Sequence[ScoredReply], *, seed: int
) -> Importance | None:
    """Return which places mattered when one image at a time was left out; None: nothing was."""
    rows = [
        (unchanged[name], number, not same_reply(unchanged[name], each))
        for each in changed
        if (name := of_question(each.question)) in unchanged and (number := changed_image(each.question)) is not None
    ]
    if not rows:
        return None
    moved_of: dict[str, int] = {}
    for one, _, moved in rows:
        moved_of[one.question.id] = moved_of.get(one.question.id, 0) + moved
    counts = list(moved_of.values())

    def share(chosen: Sequence[tuple[ScoredReply, int, bool]]) -> Score:
        return summarise(
            [float(moved) for _, _, moved in chosen],
            chances=[0.0] * len(chosen),
            clusters=[story_of(one.question) for one, _, _ in chosen],
            seed=seed,
        )

    known = [(row, deciding_image(row[0].question)) for row in rows]
    own = [row for row, place in known if place == row[1]]
    other = [row for row, place in known if place not in (None, row[1])]
    places = sorted({number for _, number, _ in rows})
    return Importance(
        questions=len(counts),
        changed={place: share([row for row in rows if row[1] == place]) for place in places},
        none=sum(count == 0 for count in counts) / len(counts),
        one=sum(count == 1 for count in counts) / len(counts),
        deciding=share(own) if own else None,
        others=share(other) if other else None,
    )


def shuffled_p(
    values: Sequence[float], groups: Sequence[int], *, within: Sequence[Hashable] | None, seed: int
) -> float:
    """Return the p-value of the test that groups do not differ: their numbers dealt anew, within blocks.

    The statistic is the spread of the groups' means around the mean of each block, weighed by their sizes.
    """
    blocks = within or [0] * len(values)
    order = {block: number for number, block in enumerate(dict.fromkeys(blocks))}
    of_block = np.array([order[block] for block in blocks])
    given = np.asarray(values, dtype=np.float64)
    means = np.bincount(of_block, weights=given) / np.bincount(of_block)
    centred = given - means[of_block]
    labels = np.unique(np.asarray(groups), return_inverse=True)[1]
    sizes = np.bincount(labels)
    if len(sizes) < 2 or not centred.any():
        return 1.0

    def spread(numbers: NDArray[np.intp]) -> float:
        return float((np.bincount(numbers, weights=centred) ** 2 / sizes).sum())

    rng = np.random.default_rng(seed)
    observed = spread(labels) * (1 - 1e-9)
    members = [np.flatnonzero(of_block == block) for block in range(len(order))]
    extreme = 0
    for _ in range(SHUFFLES):
        dealt = labels.copy()
        for block in members:
            dealt[block] = labels[rng.permutation(block)]
        extreme += spread(dealt) >= observed
    return (1 + extreme) / (1 + SHUFFLES)


def grouped(
    asked: Sequence[ScoredReply],
    numbers: Sequence[int],
    *,
    within: Sequence[Hashable] | None,
    chance: Chance,
    seed: int,
) -> Groups:
    """Return scores by number, and the test that the number does not matter within blocks."""
    scores = {}
    for number in sorted(set(numbers)):
        group = [each for each, own in zip(asked, numbers, strict=True) if own == number]
        scores[number] = summarise(
            [each.score for each in group],
            chances=[chance(each.question) for each in group],
            clusters=[story_of(each.question) for each in group],
            seed=seed,
        )
    return Groups(scores, _p_of(asked, numbers, within, seed) if len(scores) > 1 else 1.0)


def _p_of(asked: Sequence[ScoredReply], numbers: Sequence[int], within: Sequence[Hashable] | None, seed: int) -> float:
    """Return the p-value of the groups. Questions of one cluster, block and group are dealt as one, with their mean:
    they are no evidence of their own."""
    blocks = within or [0] * len(asked)
    values: dict[tuple[str, Hashable, int], list[float]] = {}
    for each, block, number in zip(asked, blocks, numbers, strict=True):
        values.setdefault((story_of(each.question), block, number), []).append(each.score)
    means = [float(np.mean(scores)) for scores in values.values()]
    return shuffled_p(means, [number for _, _, number in values], within=[block for _, block, _ in values], seed=seed)


def _over_orders(each: ScoredReply, others: Sequence[ScoredReply]) -> ScoredReply | None:
    """Return a question with its mean over the orders of its options; None: its place would be that of an option."""
    if scorers.is_choice(each.question):
        options = scorers.options_of(each.question)
        images = _count(each.question)
        tied = any(not option.strip() or _named(option, images) for option in options)
        if tied and len(others) + 1 < len(options):
            return None
    return replace(each, score=float(np.mean([each.score, *(other.score for other in others)])))


def _only_change(each: ScoredReply, without: Mapping[str, Sequence[ScoredReply]]) -> int | None:
    moved = [
        changed_image(other.question) for other in without.get(each.question.id, ()) if not same_reply(each, other)
    ]
    return moved[0] if len(moved) == 1 else None


def _named(text: str, count: int) -> set[int]:
    return {number for reference in find_references(text, count=count) for number in reference.numbers}


def _count(question: Example) -> int:
    return sum(isinstance(part, ImageRef) for turn in question.turns for part in turn.parts)
