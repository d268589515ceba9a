"""Put image tokens into their slots: all of what makes a language model see.

Not where slots are (``data.template``) nor what tokens are (a family's ``project``). A slot may hold other tokens
between the image's, such as the end of a row: only image marks are replaced.

Shapes: B rows, T tokens a row, H hidden size, K tokens of an image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from triptych.core.errors import ModelError
from triptych.data.batch import BatchSlot
from triptych.models.memory.transfer import send


def splice(words_BTH: Tensor, marks_BT: Tensor, *, slots: Sequence[BatchSlot], tokens: Sequence[Tensor]) -> Tensor:
    """Return embeds_BTH: ``words_BTH`` with the marks of slot s holding ``tokens[s.image]``. Gradients flow into both.

    Args:
        words_BTH: embeddings of all tokens; what stands at a mark is ignored.
        marks_BT: bool, True where the ids hold an image mark; on the host, as all is checked there.
        slots: in any order; an image may stand in several.
        tokens: tokens_KH of each image.

    Raises:
        ModelError: a slot has not as many marks as its image has tokens, overlaps another, or names an image that is
            not there; an image stands nowhere; a mark is in no slot.
    """
    marked_BT = marks_BT.cpu()
    counts = count_marks(marked_BT, slots, images=len(tokens))
    for image, (found, own) in enumerate(zip(counts, tokens, strict=True)):
        if found != len(own):
            _refuse_count(slots, image, found, len(own))
    if not slots:
        return words_BTH
    rows, columns, values = [], [], []
    for slot in slots:
        here = marked_BT[slot.row, slot.start : slot.stop].nonzero()[:, 0] + slot.start
        rows.append(torch.full_like(here, slot.row))
        columns.append(here)
        values.append(tokens[slot.image])
    at = (send(torch.cat(rows), words_BTH.device), send(torch.cat(columns), words_BTH.device))
    return words_BTH.index_put(at, send(torch.cat(values), words_BTH.device, dtype=words_BTH.dtype))


def count_marks(marks_BT: Tensor, slots: Sequence[BatchSlot], *, images: int) -> list[int]:
    """Return how many marks the slots of each image have: the same number in each of them.

    Raises:
        ModelError: slots and marks do not fit together, as ``splice``.
    """
    marks_BT = marks_BT.cpu()
    inside_BT = torch.zeros_like(marks_BT)
    counts: list[int | None] = [None] * images
    for slot in slots:
        _check_place(slot, images=images, shape=(marks_BT.shape[0], marks_BT.shape[1]))
        if bool(inside_BT[slot.row, slot.start : slot.stop].any()):
            raise ModelError(
                f"row {slot.row}: two slots overlap at token {slot.start}: images stand one after another."
            )
        inside_BT[slot.row, slot.start : slot.stop] = True
        found = int(marks_BT[slot.row, slot.start : slot.stop].sum())
        if counts[slot.image] not in (None, found):
            _refuse_count(slots, slot.image, found, counts[slot.image] or 0)
        counts[slot.image] = found
    if unused := [image for image, count in enumerate(counts) if count is None]:
        raise ModelError(f"{len(unused)} of {images} images stand in no slot, the first is image {unused[0]}.")
    if bool((lost := marks_BT & ~inside_BT).any()):
        row, column = (int(at) for at in lost.nonzero()[0])
        raise ModelError(f"row {row}, token {column}: an image mark without a slot.")
    return [count or 0 for count in counts]


def _check_place(slot: BatchSlot, *, images: int, shape: tuple[int, int]) -> None:
    if not (0 <= slot.row < shape[0] and 0 <= slot.start <= slot.stop <= shape[1]):
        raise ModelError(f"{slot} lies outside of the batch's {shape} tokens.")
    if not 0 <= slot.image < images:
        raise ModelError(f"row {slot.row}: a slot is for image {slot.image}, but there are {images} images.")


def _refuse_count(slots: Sequence[BatchSlot], image: int, marks: int, tokens: int) -> None:
    row = next(slot.row for slot in slots if slot.image == image)
    raise ModelError(
        f"row {row}: a slot of image {image} has {marks} image marks, but the image has {tokens} tokens. "
        "Render with the model's own `rendering`."
    )
