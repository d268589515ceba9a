"""``data split``: rows that are held out, and the others, such that no picture of the first stands among the second.

Rows belong together where they show one picture, or a copy of it that was resized or saved again, or one video; rows
without either where they say the same. Such groups are held out whole or not at all, in an order that follows from a
seed and the rows' ids: rows that are added move few of the others.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, VideoRef, images_of, videos_of
from triptych.data.format import Refused, read_source
from triptych.data.media.fingerprint import Fingerprint
from triptych.data.text.wording import all_words
from triptych.data.trust.check import Look, groups_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Which rows of a source are held out, by their places among all of its rows."""

    held: frozenset[int]
    rest: frozenset[int]
    refused: tuple[Refused, ...]
    groups: int
    """Sets of rows that belong together, most of them of one row."""
    largest: int
    """Rows of the largest of them."""


@dataclass(frozen=True, slots=True)
class _Row:
    drawn: bytes
    """Decides when it is its turn to be held out."""
    media: tuple[ImageRef | VideoRef, ...]
    words: str
    """All of them, where it has no media."""


def split(source: str, *, share: float, seed: int = 0) -> Split:
    """Choose rows to be held out; all pixels are looked at.

    Args:
        source: ``FORMAT:PATH``.
        share: of the rows that can be used, between 0 and 1: at most so many are held out.
        seed: another one is another choice.

    Raises:
        DataError: the file as a whole cannot be read, or no group is as small as what is to be held out.
    """
    prints: dict[ImageRef, Fingerprint] = {}
    look, rows, refused = Look(prints), dict[int, _Row](), []
    for number, row in enumerate(read_source(source)):
        seen = look.at(row)
        if isinstance(seen, Refused):
            refused.append(seen)
        else:
            assert isinstance(row, Example)
            media: tuple[ImageRef | VideoRef, ...] = (*images_of(row), *videos_of(row))
            drawn = hashlib.sha256(f"{seed} {row.id}".encode()).digest()
            rows[number] = _Row(drawn, media, "" if media else " ".join(all_words(row)))
    if not rows:
        why = f": {refused[0].message}" if refused else ""
        raise DataError(f"{source} has no row that can be used{why}")
    copies = groups_of(prints)
    together = _together({number: _signs(row, copies) for number, row in rows.items()})
    order = sorted(together, key=lambda group: min(rows[number].drawn for number in group))
    most = max(1, round(share * len(rows)))
    held: set[int] = set()
    for group in order:
        if len(held) + len(group) <= most:
            held.update(group)
    if not held:
        least = min(len(group) for group in together)
        raise DataError(
            f"{source}: each row belongs to a group of {least} or more that share pictures or words, and {most} are to"
            " be held out. Ask for a larger share."
        )
    return Split(
        held=frozenset(held),
        rest=frozenset(rows.keys() - held),
        refused=tuple(refused),
        groups=len(together),
        largest=max(len(group) for group in together),
    )


def rows_at(source: str, places: frozenset[int]) -> Iterator[Example]:
    """Yield the rows at these places, in order."""
    for number, row in enumerate(read_source(source)):
        if number in places and isinstance(row, Example):
            yield row


def _signs(row: _Row, copies: dict[ImageRef, str]) -> list[str]:
    """Return what of a row binds it to others."""
    media = [copies[each] if isinstance(each, ImageRef) else f"video {each.source}" for each in row.media]
    return media or [f"words {row.words}"]


def _together(signs: dict[int, Sequence[str]]) -> list[list[int]]:
    """Return the rows in groups that have no sign in common."""
    heads = {number: number for number in signs}

    def head(number: int) -> int:
        while heads[number] != number:
            heads[number] = number = heads[heads[number]]
        return number

    first: dict[str, int] = {}
    for number, own in signs.items():
        for sign in own:
            one, other = head(first.setdefault(sign, number)), head(number)
            heads[max(one, other)] = min(one, other)
    groups = defaultdict(list)
    for number in signs:
        groups[head(number)].append(number)
    return list(groups.values())
