"""Images made ready for a tower, several at once: decoding and resizing let other threads work.

Not ahead of time. What is done to one image is its family's (``Model.pixels``), mostly ``processed``. The frames of a
video are read by one thread, in their order: out of it, a decoder begins anew for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from PIL.Image import Image

from triptych.core.machine import cores_each
from triptych.core.records import ImageRef
from triptych.data.media.locate import place_of
from triptych.models.family import Seen
from triptych.models.parts import ImageProcessor

A = TypeVar("A")
B = TypeVar("B")

THREADS = 8
"""Most threads: with more, what they do between decoding and resizing keeps them waiting for each other."""


def processed(processor: ImageProcessor, image: Image) -> Seen:
    """Return the pixels that an image processor of transformers makes of one image, without the axis of batches."""
    return Seen(processor(image, return_tensors="pt")["pixel_values"][0].float(), image.size)


def prepared(prepare: Callable[[A], B], items: Sequence[A], *, image: Callable[[A], ImageRef] | None = None) -> list[B]:
    """Return ``prepare(item)`` of each, in their order.

    Args:
        prepare: is called in several threads at once.
        items: any number.
        image: which image ``prepare`` reads for an item; None: it reads none.

    Raises:
        Exception: what ``prepare`` raises for an item.
    """
    groups: dict[object, list[int]] = {}
    for number, item in enumerate(items):
        groups.setdefault(number if image is None else _behind(image(item), number), []).append(number)
    threads = min(THREADS, cores_each(), len(groups))
    if threads < 2:
        return [prepare(item) for item in items]

    def in_order(numbers: Sequence[int]) -> list[B]:
        return [prepare(items[number]) for number in numbers]

    with ThreadPoolExecutor(threads, thread_name_prefix="pictures") as pool:
        found = list(pool.map(in_order, groups.values()))
    by_number = dict(
        pair for numbers, made in zip(groups.values(), found, strict=True) for pair in zip(numbers, made, strict=True)
    )
    return [by_number[number] for number in range(len(items))]


def _behind(image: ImageRef, number: int) -> object:
    """Return what images have in common that one thread reads."""
    place = place_of(image.source)
    return place.container if place.kind == "frame" else number
