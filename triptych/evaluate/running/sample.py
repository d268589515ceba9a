"""Which questions ``--limit`` asks: small groups whole, one from each of equal stretches of the data, in its order.

Not parts for several machines (``shards``). Where data repeat their kinds of question in turn (yes, no, yes, no),
every so-many-th question is of one kind: so the place within a stretch is drawn. Questions of a small story stay
together, as some numbers are of all of them: both answers of an image, four of two captions. A large one is asked in
part, as the same number of questions about more images says more; not where the total is made of pairs within it.
Pure: the same rows and limit are the same questions, in every run, on every machine, for every model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from itertools import chain
from random import Random
from typing import TypeVar

from triptych.core.log import counted, say
from triptych.core.records import Example
from triptych.data.format import Refused
from triptych.evaluate.benchmark import story_of

T = TypeVar("T")
Row = TypeVar("Row", bound=Example | Refused)
_LARGEST = 8
"""Questions of the largest story that is asked whole whatever the benchmark."""
_SEED = 0


def sample_questions(rows: Sequence[Row], limit: int | None, *, whole: bool = False) -> Sequence[Row]:
    """Return the rows that are asked under a limit, and say how many they are where that is not the limit.

    Args:
        rows: questions, and rows that are none, each a story of its own.
        limit: most of them; None: all.
        whole: ask large stories whole, too, as the benchmark's total is of pairs within them.
    """
    stories = kept_together(rows, whole=whole)
    chosen = sample(rows, limit, story=lambda row: stories[id(row)])
    if limit is not None and len(chosen) < min(limit, len(rows)):
        say(f"--limit {limit}: {counted(len(chosen), 'question')}, whole groups that share images or a story")
    elif limit is not None and min(Counter(stories.values()).values(), default=0) > limit:
        say(f"--limit {limit}: the beginning of a group that shares images or a story, as no whole group is so small")
    return chosen


def kept_together(rows: Sequence[Example | Refused], *, whole: bool = False) -> dict[int, Hashable]:
    """Return what each row is asked together with, by the row's ``id()``; ``whole`` as in ``sample_questions``."""
    found = {id(row): story_of(row) if isinstance(row, Example) else id(row) for row in rows}
    sizes = Counter(found.values())
    return {row: story if whole or sizes[story] <= _LARGEST else row for row, story in found.items()}


def sample(rows: Sequence[T], limit: int | None, *, story: Callable[[T], Hashable]) -> Sequence[T]:
    """Return at most so many rows, in their order: whole stories, spread over all; None: all rows.

    One story is drawn from each of as many equal stretches as stories fit on average; then, and where larger ones do
    not fit, others are, until none fits. Where no story fits, it is the beginning of one.

    Args:
        rows: of which.
        limit: most of them.
        story: (row) -> what it shares with others.
    """
    if limit is None or limit >= len(rows):
        return rows
    members: dict[Hashable, list[int]] = {}
    for at, row in enumerate(rows):
        members.setdefault(story(row), []).append(at)
    stories, random = list(members.values()), Random(_SEED)
    stretches = len(stories) * limit // len(rows)
    spread = [
        random.randrange(number * len(stories) // stretches, (number + 1) * len(stories) // stretches)
        for number in range(stretches)
    ]
    others = sorted(set(range(len(stories))).difference(spread))
    random.shuffle(spread)
    random.shuffle(others)
    chosen: list[int] = []
    for number in chain(spread, others):
        if len(chosen) + len(stories[number]) <= limit:
            chosen += stories[number]
    return [rows[at] for at in sorted(chosen or stories[others[0]][:limit])]
