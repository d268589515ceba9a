"""Which image is which medium, and which word sees it: a word sees the medium before it in its own conversation.

Not what a medium looks like (``blocks.py``). Places are computed on the CPU, before any number is.

Shapes: B rows, T tokens a row, M media a row, L latents a medium, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.models.memory.transfer import send


@dataclass(frozen=True, slots=True)
class Mark:
    """One image's place among the tokens: several images at one place are the frames of one medium."""

    row: int
    column: int
    image: int


@dataclass(frozen=True, slots=True)
class Medium:
    """One medium of a row: an image, or the frames of a video."""

    row: int
    start: int
    """Column of its first mark: from there on words see it."""
    stop: int
    """Column at which its conversation ends."""
    next: int
    """Column at which the next medium of its conversation starts, else ``stop``."""
    images: tuple[int, ...]
    """Indices of its images, in order; several are frames."""
    number: int
    """Index of the medium in its conversation, from 0."""


def media_of(marks: Sequence[Mark], segments_BT: Tensor, *, join_adjacent: bool) -> tuple[Medium, ...]:
    """Return the media of a batch, by row and then by place.

    Args:
        marks: of all images, those at one place in their order.
        segments_BT: number of each token's conversation.
        join_adjacent: images at neighbouring places are frames of one medium too.
    """
    segments = segments_BT.tolist()
    groups: list[list[Mark]] = []
    for mark in sorted(marks, key=_place):
        last = groups[-1][-1] if groups else None
        behind = mark.column - last.column if last is not None and last.row == mark.row else None
        joins = join_adjacent and behind == 1 and _segment(segments, mark) == _segment(segments, groups[-1][-1])
        if behind == 0 or joins:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    media: list[Medium] = []
    number = 0
    for at, group in enumerate(groups):
        first = group[0]
        row, own = segments[first.row], _segment(segments, first)
        stop = next((column for column in range(first.column, len(row)) if row[column] != own), len(row))
        begins = at == 0 or (groups[at - 1][0].row, _segment(segments, groups[at - 1][0])) != (first.row, own)
        number = 0 if begins else number + 1
        after = groups[at + 1][0] if at + 1 < len(groups) else None
        shared = after is not None and after.row == first.row and after.column < stop
        media.append(
            Medium(
                row=first.row,
                start=first.column,
                stop=stop,
                next=after.column if shared and after is not None else stop,
                images=tuple(mark.image for mark in group),
                number=number,
            )
        )
    return tuple(media)


def sight(media: Sequence[Medium], shape: tuple[int, int], *, immediate: bool) -> Tensor:
    """Return sees_BTM, bool: which of its row's media each token sees, on the CPU.

    Args:
        media: from ``media_of``.
        shape: (B, T).
        immediate: a word sees the last medium before it; False: all before it.
    """
    counts = [0] * shape[0]
    places: list[int] = []
    for medium in media:
        places.append(counts[medium.row])
        counts[medium.row] += 1
    sees_BTM = torch.zeros(*shape, max(counts, default=0), dtype=torch.bool)
    for medium, place in zip(media, places, strict=True):
        sees_BTM[medium.row, medium.start : medium.next if immediate else medium.stop, place] = True
    return sees_BTM


def lay_out(media: Sequence[Medium], latents: Sequence[Tensor], *, rows: int) -> Tensor:
    """Return media_BMLC: each row's media in order, zeros where a row has fewer.

    Args:
        media: from ``media_of``; at least one.
        latents: latents_LC of each.
        rows: B.
    """
    by_row: list[list[int]] = [[] for _ in range(rows)]
    for number, medium in enumerate(media):
        by_row[medium.row].append(number)
    most = max(len(numbers) for numbers in by_row)
    blank = len(media)
    index_BM = torch.tensor([numbers + [blank] * (most - len(numbers)) for numbers in by_row])
    table = torch.stack([*latents, torch.zeros_like(latents[0])])
    return table[send(index_BM, table.device)]


def _place(mark: Mark) -> tuple[int, int]:
    return mark.row, mark.column


def _segment(segments: list[list[int]], mark: Mark) -> int:
    return segments[mark.row][mark.column]
