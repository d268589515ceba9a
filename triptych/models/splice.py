"""Put image tokens into their slots: all of what makes a language model see.

Not where slots are (``data.template``) nor what tokens are (a family's ``project``).

Shapes: B rows, T tokens a row, H hidden size, N distinct images, K tokens an image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from triptych.core.errors import ModelError
from triptych.data.batch import BatchSlot


def splice(words_BTH: Tensor, marks_BT: Tensor, slots: Sequence[BatchSlot], tokens_NKH: Tensor | None) -> Tensor:
    """Return embeds_BTH: ``words_BTH`` with slot s holding ``tokens_NKH[s.image]``. Gradients flow into both.

    Args:
        words_BTH: embeddings of all tokens; what stands in a slot is ignored.
        marks_BT: bool, True where the ids hold an image mark.
        slots: in any order; an image may stand in several.
        tokens_NKH: of each distinct image; None: there is no image.

    Raises:
        ModelError: a slot is not K long, overlaps another, or names an image that is not there; an image stands
            nowhere; marks and slots are not the same positions.
    """
    images, length = (0, 0) if tokens_NKH is None else (tokens_NKH.shape[0], tokens_NKH.shape[1])
    _check(slots, images=images, length=length, shape=(marks_BT.shape[0], marks_BT.shape[1]))
    rows = torch.tensor([slot.row for slot in slots for _ in range(length)], dtype=torch.long)
    columns = torch.tensor([at for slot in slots for at in range(slot.start, slot.stop)], dtype=torch.long)
    places = torch.zeros(marks_BT.shape, dtype=torch.long)
    places.index_put_((rows, columns), torch.ones_like(rows), accumulate=True)
    _check_places(places, marks_BT.cpu())
    if tokens_NKH is None or not slots:
        return words_BTH
    chosen = torch.tensor([slot.image for slot in slots], device=tokens_NKH.device)
    values = tokens_NKH[chosen].flatten(0, 1).to(words_BTH.device, words_BTH.dtype)
    return words_BTH.index_put((rows.to(words_BTH.device), columns.to(words_BTH.device)), values)


def _check(slots: Sequence[BatchSlot], *, images: int, length: int, shape: tuple[int, int]) -> None:
    for slot in slots:
        if not (0 <= slot.row < shape[0] and 0 <= slot.start <= slot.stop <= shape[1]):
            raise ModelError(f"{slot} lies outside of the batch's {shape} tokens.")
        if not 0 <= slot.image < images:
            raise ModelError(f"row {slot.row}: a slot is for image {slot.image}, but there are {images} images.")
        if slot.stop - slot.start != length:
            raise ModelError(
                f"row {slot.row}: the slot of image {slot.image} is {slot.stop - slot.start} long, "
                f"but an image has {length} tokens. Render with the model's own count_image_tokens."
            )
    if unused := set(range(images)) - {slot.image for slot in slots}:
        raise ModelError(f"{len(unused)} of {images} images stand in no slot, the first is image {min(unused)}.")


def _check_places(places_BT: Tensor, marks_BT: Tensor) -> None:
    if bool((places_BT > 1).any()):
        raise ModelError("two slots overlap: images stand one after the other.")
    if bool((wrong := places_BT.bool() != marks_BT).any()):
        row, column = (int(at) for at in wrong.nonzero()[0])
        kind = "an image mark without a slot" if bool(marks_BT[row, column]) else "a slot without an image mark"
        raise ModelError(
            f"row {row}, token {column}: {kind} ({int(marks_BT.sum())} marks, {int(places_BT.sum())} places in slots)."
        )
