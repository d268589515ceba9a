"""Packs of encoded conversations -> one rectangle of tensors, and the mask that keeps neighbours apart.

Not the model's side: where images' tokens go is said by ``slots``, their pixels come later. A pack is one row;
its conversations stand one after another and must not see each other (``segments_BT``, ``block_mask``).

Shapes: B rows, T tokens a row, N conversations that a score head reads, S its targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from triptych.core.errors import DataError
from triptych.core.records import ImageRef
from triptych.data.template import Encoded

IGNORE = -100
"""Label of a position where nothing is learnt."""

PADDING = -1
"""Segment of a position that belongs to no conversation."""


@dataclass(frozen=True, slots=True)
class BatchSlot:
    """Where one image's tokens stand, with its family's marks between them: positions [start, stop) of a row.

    Empty where it shares the tokens of the image before it (``data.template.Slot``).
    """

    row: int
    start: int
    stop: int
    image: int
    """Index into ``Batch.images``."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Conversations of a step, ready for a model. Tensors are on the CPU, and int64 where nothing else is said."""

    ids_BT: Tensor
    labels_BT: Tensor
    """The ids where they are trained, else IGNORE; unshifted, as Hugging Face has them. The first token of a
    conversation is never trained: nothing stands before it from which it could be told."""
    positions_BT: Tensor
    """Restart at 0 for each conversation; 0 in padding."""
    segments_BT: Tensor
    """Number of the conversation in its row, from 0; PADDING where there is none."""
    slots: tuple[BatchSlot, ...]
    """By row, then by position."""
    images: tuple[ImageRef, ...]
    """The step's distinct images, in order of first use. One that stands in slots of two lengths is there twice."""
    example_ids: tuple[str, ...]
    """By row, then by position."""
    trained_tokens: int
    """Labels that are not IGNORE."""
    tokens: int
    """Positions that are not padding."""
    targets_NS: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    """float32: what a score head is to say of each conversation; empty where nobody knows, or no head is asked."""
    reads_NS2: Tensor = field(default_factory=lambda: torch.zeros(0, 0, 2, dtype=torch.int64))
    """(row, column) at which a score head reads each target; empty where no head is asked."""
    sources: tuple[int, ...] = ()
    """Number of the source of each of ``example_ids``; empty where nobody knows."""

    @property
    def spans(self) -> tuple[int, ...]:
        """Positions of the slots in which each of ``images`` stands."""
        return tuple(dict(sorted((slot.image, slot.stop - slot.start) for slot in self.slots)).values())

    @property
    def supervised(self) -> int:
        """What a step's loss is the mean over: targets of a score head, or else trained tokens."""
        return self.targets_NS.numel() or self.trained_tokens


def collate(
    packs: Sequence[Sequence[Encoded]], *, pad_id: int, width: int | None = None, sources: Sequence[Sequence[int]] = ()
) -> Batch:
    """Lay each pack into one row, its conversations one after another, padded on the right.

    Args:
        packs: at least one; each holds the conversations of one row.
        pad_id: the id that fills rows up.
        width: tokens of a row; None: those of the longest pack.
        sources: number of the source of each conversation, in the packs' order; empty where nobody knows.

    Raises:
        DataError: a pack is longer than ``width``.
    """
    every = [encoded for pack in packs for encoded in pack]
    assert len({(len(encoded.reads), len(encoded.targets)) for encoded in every}) <= 1, "all are scored alike, or none"
    lengths = [sum(len(encoded.ids) for encoded in pack) for pack in packs]
    shape = (len(packs), _width(packs, lengths, width))
    ids_BT = torch.full(shape, pad_id)
    labels_BT = torch.full(shape, IGNORE)
    positions_BT = torch.zeros(shape, dtype=torch.int64)
    segments_BT = torch.full(shape, PADDING)
    slots: list[BatchSlot] = []
    images: dict[tuple[ImageRef, int], int] = {}
    reads: list[list[tuple[int, int]]] = []
    for row, pack in enumerate(packs):
        start = 0
        for segment, encoded in enumerate(pack):
            here = slice(start, start + len(encoded.ids))
            ids = torch.tensor(encoded.ids, dtype=torch.int64)
            learnt = torch.tensor(encoded.trained, dtype=torch.bool)
            learnt[:1] = False
            ids_BT[row, here] = ids
            labels_BT[row, here] = ids.where(learnt, IGNORE)
            positions_BT[row, here] = torch.arange(len(ids))
            segments_BT[row, here] = segment
            for slot in encoded.slots:
                image = images.setdefault((slot.image, slot.stop - slot.start), len(images))
                slots.append(BatchSlot(row, start + slot.start, start + slot.stop, image))
            reads.append([(row, start + column) for column in encoded.reads])
            start = here.stop
    return Batch(
        ids_BT=ids_BT,
        labels_BT=labels_BT,
        positions_BT=positions_BT,
        segments_BT=segments_BT,
        slots=tuple(slots),
        images=tuple(image for image, _ in images),
        example_ids=tuple(encoded.id for encoded in every),
        trained_tokens=int((labels_BT != IGNORE).sum()),
        tokens=sum(lengths),
        targets_NS=torch.tensor([encoded.targets for encoded in every], dtype=torch.float32),
        sources=tuple(source for pack in sources for source in pack),
        reads_NS2=torch.tensor(reads, dtype=torch.int64).reshape(len(every), len(every[0].reads) if every else 0, 2),
    )


def _width(packs: Sequence[Sequence[Encoded]], lengths: Sequence[int], width: int | None) -> int:
    """Return the tokens of a row. Raises DataError: a pack is longer than ``width``."""
    longest = max(lengths)
    if width is None:
        return longest
    if longest > width:
        first = packs[lengths.index(longest)][0].id
        raise DataError(f"the pack of example {first!r} has {longest} tokens, a row {width}: raise pack_tokens.")
    return width


def pad_left(batch: Batch) -> Batch:
    """Return the batch with each row's padding moved from its end to its front, so that all rows end together."""
    shifts = (batch.segments_BT == PADDING).sum(dim=1).tolist()

    def moved(values_BT: Tensor) -> Tensor:
        return torch.stack([values_T.roll(shift) for values_T, shift in zip(values_BT, shifts, strict=True)])

    return replace(
        batch,
        ids_BT=moved(batch.ids_BT),
        labels_BT=moved(batch.labels_BT),
        positions_BT=moved(batch.positions_BT),
        segments_BT=moved(batch.segments_BT),
        slots=tuple(
            replace(slot, start=slot.start + shifts[slot.row], stop=slot.stop + shifts[slot.row])
            for slot in batch.slots
        ),
        reads_NS2=batch.reads_NS2 + _to_columns(batch.reads_NS2, shifts),
    )


def _to_columns(reads_NS2: Tensor, shifts: Sequence[int]) -> Tensor:
    """Return how far each reading moves: nothing in rows, and in columns as far as its row did."""
    columns_NS = torch.tensor(shifts)[reads_NS2[..., 0]]
    return torch.stack([torch.zeros_like(columns_NS), columns_NS], dim=-1)


def block_mask(segments_BT: Tensor) -> Tensor:
    """Return who may look at whom, bool [B, 1, T, T]; True at [b, 0, i, j] when i may look at j.

    A token sees itself and what stands before it in its own conversation. A padding position sees only itself,
    so that no row of a softmax is empty.
    """
    same_BTT = segments_BT[:, :, None] == segments_BT[:, None, :]
    real_BT1 = (segments_BT != PADDING)[:, :, None]
    itself_TT = torch.eye(segments_BT.shape[1], dtype=torch.bool, device=segments_BT.device)
    return ((same_BTT & real_BT1).tril() | itself_TT)[:, None]
