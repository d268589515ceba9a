"""A step -> what it needs from the disk: its rows as tokens and its pictures as pixels. Loads no torch.

Not the order of steps (``loader``), and not tensors: ``batch`` makes them. A row with a picture that cannot be read is
refused here by name, and its pack goes on without it; no other row moves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from triptych.core.errors import DataError
from triptych.core.records import ImageRef
from triptych.data.format import Refused
from triptych.data.media.images import ImageError, load_image
from triptych.data.plan.loader import Step
from triptych.data.plan.reader import Read
from triptych.data.template import Encoded


@dataclass(frozen=True, slots=True)
class Loaded:
    """A step that was read."""

    step: Step
    packs: tuple[tuple[Read, ...], ...]
    """As ``step.packs``."""
    pictures: Mapping[ImageRef, Image.Image]
    """The distinct pictures of the rows that can be used; empty where nobody wanted pixels."""


class Load:
    """Loads steps. Goes to another process with what it reads by."""

    def __init__(self, read: Callable[[int], Read], *, decode: bool) -> None:
        """Take how a row is read, and whether pixels are wanted."""
        self._read = read
        self._decode = decode

    def __call__(self, step: Step) -> Loaded:
        """Return the step's rows and pictures.

        Raises:
            DataError: a pack has other tokens than was planned.
        """
        seen: dict[ImageRef, Image.Image | ImageError] = {}
        packs = tuple(tuple(self._whole(self._read(row), seen) for row in pack) for pack in step.packs)
        for pack, rows, planned in zip(packs, step.packs, step.lengths, strict=False):
            lengths = [len(read.row.ids) for read in pack if isinstance(read.row, Encoded)]
            if len(lengths) == len(rows) and sum(lengths) != planned:
                raise DataError(
                    f"step {step.number}: rows {', '.join(map(str, rows))} have {sum(lengths)} tokens, {planned} when "
                    "they were measured: the data changed since. Put them back, or use another name for the run."
                )
        wanted = {image for pack in packs for read in pack for image in _images(read)}
        pictures = {image: found for image, found in seen.items() if image in wanted}
        return Loaded(
            step, packs, {image: found for image, found in pictures.items() if isinstance(found, Image.Image)}
        )

    def _whole(self, read: Read, seen: dict[ImageRef, Image.Image | ImageError]) -> Read:
        """Return the row, or its refusal where one of its pictures cannot be read."""
        if not self._decode or isinstance(read.row, Refused):
            return read
        for image in read.row.images:
            if image not in seen:
                try:
                    seen[image] = load_image(image)
                except ImageError as error:
                    seen[image] = error
            found = seen[image]
            if isinstance(found, ImageError):
                where = f"{read.row.origin} (id {read.row.id!r})"
                return Read(Refused(where, found.reason, f"{where}: {found}"))
        return read


def _images(read: Read) -> Sequence[ImageRef]:
    return read.row.images if isinstance(read.row, Encoded) else ()
