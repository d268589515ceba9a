"""Rows put together in groups: what ``merge`` and ``contrast`` share. Not what is made of a group.

Invariant: every row is in exactly one group, alone where nothing fits; which rows meet does not depend on the order in
which they were read, unless that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field, model_validator

from triptych.core.config import Settings
from triptych.core.records import Example, ImageRef, Json, VideoRef
from triptych.data.format import Refused
from triptych.data.transform import NOTES, draw

LOOK_AHEAD = 256
"""Rows that are tried as the next member of a group before the group is left as it is."""


class Grouping(Settings):
    """Which rows meet in a new one."""

    images: tuple[int, int] = (2, 4)
    """Fewest and most images of a new row."""
    share: float = Field(default=1.0, ge=0.0, le=1.0)
    """Probability that a row is put together with others; else it stays as it is."""
    order: Literal["drawn", "read"] = "drawn"
    """Whether neighbours are drawn, or are those of the file, as in the published data."""
    others: Literal["keep", "refuse"] = "keep"
    """What becomes of rows that cannot be used here: they stay as they are, or are refused."""

    @model_validator(mode="after")
    def _check_images(self) -> Grouping:
        if not 2 <= self.images[0] <= self.images[1]:
            raise ValueError("images is [fewest, most] with 2 <= fewest <= most")
        return self


def group_rows(
    examples: Sequence[Example],
    usable: Sequence[int],
    *,
    settings: Grouping,
    seed: int,
    fits: Callable[[Sequence[Example], Example], bool],
) -> list[tuple[int, ...]]:
    """Return groups of indexes into ``examples``: every usable one in one group, in the order in which it was dealt.

    Args:
        examples: all rows.
        usable: indexes of those that can be put together.
        settings: sizes and share.
        seed: of what is drawn.
        fits: (members so far, candidate) -> whether it may join them.
    """
    waiting = list(usable)
    if settings.order == "drawn":
        waiting.sort(key=lambda at: (draw(seed, examples[at].id).random(), at))
    waiting.reverse()  # The next one is the last: lists are quick at their end.
    fewest, most = settings.images
    groups: list[tuple[int, ...]] = []
    while waiting:
        group = [waiting.pop()]
        random = draw(seed, "group", examples[group[0]].id)
        size = random.randint(fewest, most) if random.random() < settings.share else 1
        ahead = 1
        while len(group) < size and ahead <= min(len(waiting), LOOK_AHEAD):
            if fits([examples[at] for at in group], examples[waiting[-ahead]]):
                group.append(waiting.pop(-ahead))
            else:
                ahead += 1
        if len(group) < fewest:
            # It stays alone; those that were to join it wait for another.
            waiting += reversed(group[1:])
            group = group[:1]
        groups.append(tuple(group))
    return groups


def in_place(
    examples: Sequence[Example],
    usable: Sequence[int],
    *,
    groups: Sequence[Sequence[int]],
    made: Mapping[int, Example],
    refused: Callable[[Example], Refused] | None,
) -> Iterator[Example | Refused]:
    """Yield the examples in their order, those of a group of several replaced by what was made of them.

    Args:
        examples: all rows.
        usable: indexes of those that could be put together.
        groups: indexes of the rows of each group.
        made: index of the first row of a group of several -> what was made of the group; it stands there.
        refused: refuses a row that is not usable; None: such rows stay as they are.
    """
    gone = {at for group in groups if len(group) > 1 for at in group}
    used = set(usable)
    for at, example in enumerate(examples):
        if at in made:
            yield made[at]
        elif at not in gone:
            yield example if at in used or refused is None else refused(example)


def one_image_of(example: Example) -> ImageRef | None:
    """Return the image of an example that has exactly one, and no video, demonstration or system turn; else None."""
    parts = [part for turn in example.turns for part in turn.parts]
    images = [part for part in parts if isinstance(part, ImageRef)]
    roles = [turn.role for turn in example.turns]
    takes_turns = roles == ["user", "assistant"] * (len(roles) // 2) and bool(roles)
    if example.demonstrations or len(images) != 1 or not takes_turns or images[0] not in example.turns[0].parts:
        return None
    return None if any(isinstance(part, VideoRef) for part in parts) else images[0]


def same_image(one: ImageRef, other: ImageRef) -> bool:
    """Return whether two references show the same part of the same picture."""
    return (one.source, one.box) == (other.source, other.box)


def joined(parents: Sequence[Example], kind: str, **what: Json) -> Example:
    """Return an example without turns that stands for its parents, in the order of their images.

    Its id is theirs, joined by ``+``. Facts that all share stay; the others, and the parents' ids, are in its note.
    Labels and skills of all are kept, a label with the number of its image.
    """
    shared = {
        key: value
        for key, value in parents[0].facts.items()
        if key != NOTES and all(key in parent.facts and parent.facts[key] == value for parent in parents)
    }
    own: list[Json] = [{key: value for key, value in parent.facts.items() if key not in shared} for parent in parents]
    note: dict[str, Json] = {"kind": kind, "parents": [parent.id for parent in parents], **what}
    if any(own):
        note["facts"] = own
    labels = [
        (f"{name} of image {k}", value) for k, parent in enumerate(parents, start=1) for name, value in parent.labels
    ]
    return replace(
        parents[0],
        id="+".join(parent.id for parent in parents),
        turns=(),
        labels=tuple(labels),
        skills=tuple(dict.fromkeys(skill for parent in parents for skill in parent.skills)),
        facts={**shared, NOTES: [note]},
    )
