"""Kinds of questions about several images whose answers follow from what the annotations say is in them.

Not their words (``phrases.yaml``, ``truth``). A kind looks at each image for one value (a count, a set of names) and
puts the values together to the answer. So the answer can be worked out again with images exchanged, and one can tell
whether some images alone settle it: where every value that the others may have leads to the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from random import Random
from typing import Literal

from triptych.core.records import Json
from triptych.generate.item import View
from triptych.generate.kit import combine
from triptych.generate.kit.combine import Details, Value
from triptych.generate.kit.sorts import Sort, sort_of, sorts_in

AnswerForm = Literal["yes_no", "number", "image", "thing"]

MOST_GUESSES = 512
"""Combinations of values of unseen images that are tried."""
_COUNTS = (0, 1, 2, 5)
"""How many of a sort an unseen image may hold."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of question."""

    skill: str
    form: AnswerForm
    look: Callable[[View, Details], Value]
    """What one image says."""
    answer: Callable[[Sequence[Value], Details, int], str | None]
    """(value of each image in order, details, how many images) -> the answer; None: there is none, a tie."""
    fewest: int = 2
    """Fewest images it makes sense with."""
    pair: bool = False
    """It is about two of the images, ``a`` and ``b``."""
    lone: bool = False
    """It is about one of the images, ``a``, picked out among others by its number."""
    follows: bool = False
    """It is about what comes after one of the images, ``a``."""
    relation: bool = False
    """It is about two sorts of things and how they stand to each other ("a dog left of a cat")."""
    number: bool = False
    """Its question has a number in it ("two dogs")."""
    quantified: bool = False
    """It is about all images though one of them may settle it, and nobody knows which before looking: "in every image",
    "in any image". Whoever left those out would leave only one answer."""
    all_things: bool = False
    """It may be asked of things of any sort."""

    def settle(self, views: Sequence[View], details: Details) -> str | None:
        """Return the answer for these images."""
        return self.answer([self.look(view, details) for view in views], details, len(views))

    def needs(self, count: int, details: Details) -> tuple[int, ...]:
        """Return the numbers of the images that it is about."""
        if self.lone:
            return (combine.number_in(details, "a"),)
        return (
            tuple(sorted((combine.number_in(details, "a"), combine.number_in(details, "b"))))
            if self.pair
            else tuple(range(1, count + 1))
        )

    def settled_by(self, views: Sequence[View], details: Details, *, seen: frozenset[int]) -> str | None:
        """Return the answer that those images alone settle, whatever the others hold; None: they do not.

        Args:
            views: all images.
            details: what is asked.
            seen: numbers of the images that are seen, from 1.
        """
        values = [self.look(view, details) for view in views]
        relevant = self.needs(len(views), details)
        ranges = [
            (value,) if at in seen or at not in relevant else _possible(value, values, details)
            for at, value in enumerate(values, start=1)
        ]
        answers: set[str | None] = set()
        total = 1
        for each in ranges:
            total *= len(each)
        guesses = product(*ranges) if total <= MOST_GUESSES else _drawn(ranges, values)
        for guess in guesses:
            answers.add(self.answer(guess, details, len(views)))
            if len(answers) > 1:
                return None
        return answers.pop()

    def enough(self, views: Sequence[View], details: Details) -> tuple[int, ...]:
        """Return the numbers of the images each of which settles the answer alone."""
        return tuple(
            at for at in range(1, len(views) + 1) if self.settled_by(views, details, seen=frozenset((at,))) is not None
        )


def exchanged(views: Sequence[View], pair: tuple[int, int]) -> list[View]:
    """Return the images with those of two numbers in each other's place."""
    changed = list(views)
    one, other = pair[0] - 1, pair[1] - 1
    changed[one], changed[other] = changed[other], changed[one]
    return changed


def propose(kind: Kind, views: Sequence[View], *, random: Random, whole: bool) -> Details | None:
    """Return drawn details of a question of a kind that these images answer; None where nothing offers itself.

    Args:
        kind: what is asked.
        views: in order.
        random: what is drawn follows from it.
        whole: whether things of any sort may be asked for ("objects").
    """
    if len(views) < kind.fewest:
        return None
    details: dict[str, Json] = {}
    if kind.lone or kind.pair:
        one, other = random.sample(range(1, len(views) + 1), 2)
        details = {"a": one, "b": other} if kind.pair else {"a": one}
    if kind.follows:
        details = {"a": random.randrange(1, len(views))}
    if kind.relation:
        found = _relations(views)
        if not found:
            return None
        label, one_sort, other_sort = random.choice(found)
        if random.random() < 0.5 and len({other for _, _, other in found}) > 1:
            other_sort = random.choice(sorted({other for _, _, other in found} - {other_sort}))
        return {**details, "relation": label, "sort": one_sort.as_json(), "other": other_sort.as_json()}
    if kind.form != "thing":
        sorts = [sort for sort in sorts_in(views) if sort != Sort() or (whole and kind.all_things)]
        if not sorts:
            return None
        details["sort"] = random.choice(sorts).as_json()
    if kind.number:
        values = [value for value in (kind.look(view, details) for view in views) if isinstance(value, int)]
        details["number"] = max(1, random.choice([*values, random.randint(1, 4)]))
    return details


def _count(view: View, details: Details) -> int:
    return sort_of(details.get("sort")).count(view)


def _any(view: View, details: Details) -> int:
    return min(1, _count(view, details))


def _names(view: View, details: Details) -> frozenset[str]:
    return frozenset(thing.name for thing in view.things)


def _related(view: View, details: Details) -> int:
    one, other = sort_of(details.get("sort")), sort_of(details.get("other"))
    return sum(
        one.means(thing) and label == details.get("relation") and other.means(view.things[number])
        for thing in view.things
        for label, number in thing.relations
        if number < len(view.things)
    )


def _relations(views: Sequence[View]) -> list[tuple[str, Sort, Sort]]:
    """Return (relation, sort, other sort) of things that stand so to each other somewhere, sorted."""
    found = set()
    for view in views:
        for thing in view.things:
            for label, number in thing.relations:
                if number < len(view.things):
                    other = view.things[number]
                    pairs = product(_sorts_of(thing.name, thing.attributes), _sorts_of(other.name, other.attributes))
                    found |= {(label, one, two) for one, two in pairs}
    return sorted(found)


def _sorts_of(name: str, attributes: Sequence[str]) -> list[Sort]:
    return [Sort(name=name), *(Sort(attribute, name) for attribute in attributes)]


def _possible(value: Value, values: Sequence[Value], details: Details) -> tuple[Value, ...]:
    """Return what an unseen image may say: what others say, a little more, what is asked for, something else."""
    if not isinstance(value, frozenset):
        counts = combine.ints_in(values)
        return tuple(sorted({*_COUNTS, *counts, max(counts) + 1, combine.number_in(details, "number")}))
    names = sorted(frozenset[str]().union(*combine.sets_in(values)))
    other = frozenset(("something else",))
    return (frozenset(), frozenset(names), *(frozenset((name,)) for name in names), other, value)


def _drawn(ranges: Sequence[Sequence[Value]], values: Sequence[Value]) -> list[tuple[Value, ...]]:
    """Return some combinations where there are too many: the ends first, then drawn ones, the same every time."""
    random = Random(repr(sorted(map(repr, values))))
    ends = [tuple(each[at] if at < len(each) else each[-1] for each in ranges) for at in range(len(_COUNTS) + 1)]
    one_off = [
        (*(each[0] for each in ranges[:at]), ranges[at][-1], *(each[0] for each in ranges[at + 1 :]))
        for at in range(len(ranges))
    ]
    drawn = [tuple(random.choice(each) for each in ranges) for _ in range(MOST_GUESSES - len(ends) - len(one_off))]
    return [*ends, *one_off, *drawn]


KINDS: dict[str, Kind] = {
    "in_one": Kind("co-reference", "number", _count, combine.in_one, lone=True, all_things=True),
    "which": Kind("co-reference", "image", _any, combine.which),
    "more": Kind("comparison", "image", _count, combine.more, pair=True, all_things=True),
    "how_many_more": Kind("comparison", "number", _count, combine.how_many_more, pair=True, all_things=True),
    "same_number": Kind("comparison", "yes_no", _count, combine.same_number, pair=True, all_things=True),
    "both": Kind("comparison", "yes_no", _any, combine.both, pair=True),
    "shared": Kind("comparison", "thing", _names, combine.shared, pair=True),
    "only_in": Kind("comparison", "thing", _names, combine.only_in, pair=True),
    "most": Kind("comparison", "image", _count, combine.most, fewest=3, all_things=True),
    "total": Kind("reasoning", "number", _count, combine.total, all_things=True),
    "every": Kind("reasoning", "yes_no", _any, combine.every, quantified=True),
    "images_with": Kind("reasoning", "number", _any, combine.images_with, fewest=3),
    "odd_one_out": Kind("reasoning", "image", _any, combine.odd_one_out, fewest=3),
    "exactly": Kind("reasoning", "yes_no", _count, combine.exactly, number=True, quantified=True, all_things=True),
    "images_exactly": Kind(
        "reasoning", "number", _count, combine.images_exactly, fewest=3, number=True, all_things=True
    ),
    "some": Kind("reasoning", "yes_no", _any, combine.some, quantified=True),
    "stands": Kind("reasoning", "yes_no", _related, combine.some, relation=True, quantified=True),
    "first": Kind("temporal", "image", _any, combine.first, fewest=3),
    "last": Kind("temporal", "image", _any, combine.last, fewest=3),
    "grows": Kind("temporal", "yes_no", _count, combine.grows, fewest=3, all_things=True),
    "after": Kind("temporal", "thing", _names, combine.after, fewest=3, follows=True),
}
"""Name -> kind; the order is that in which they are drawn."""


def telling_pair(kind: Kind, views: Sequence[View], *, details: Details) -> tuple[tuple[int, int] | None, str | None]:
    """Return two images, and the answer when they are exchanged: one that differs, where there are two such."""
    now = kind.settle(views, details)
    pairs = list(combinations(range(1, len(views) + 1), 2))
    if kind.pair:
        pairs = [(combine.number_in(details, "a"), combine.number_in(details, "b"))]
    elif kind.lone:
        pairs = [pair for pair in pairs if combine.number_in(details, "a") in pair]
    settled = [(pair, kind.settle(exchanged(views, pair), details)) for pair in pairs]
    told = [(pair, answer) for pair, answer in settled if answer is not None]
    changed = [(pair, answer) for pair, answer in told if answer != now]
    best = changed or told
    return best[0] if best else (None, None)
