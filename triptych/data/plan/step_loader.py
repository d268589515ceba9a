"""A step -> what it needs from the disk: its rows as tokens and its images as pixels. Loads no torch.

Not the order of steps (``step_plan``), and not tensors: ``batch`` makes them. A row with an image that cannot be read
is refused here by name, and its pack goes on without it; no other row moves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from triptych.core.errors import DataError
from triptych.core.records import ImageRef
from triptych.data.format import Refused
from triptych.data.media.images import ImageError, load_image
from triptych.data.plan.measures import doubt_lengths
from triptych.data.plan.reader import Read, Reader
from triptych.data.plan.step_plan import Step
from triptych.data.template import Encoded


@dataclass(frozen=True, slots=True)
class LoadedStep:
    """What one step learns from, read from the disk."""

    step: Step
    packs: tuple[tuple[Read, ...], ...]
    """The rows of each pack, in the order of ``step.packs``; in the place of a row that cannot be used, its refusal."""
    pictures: Mapping[ImageRef, Image.Image]
    """Each distinct image of the rows that can be used, decoded; empty where pixels were not asked for."""


class StepLoader:
    """Loads steps. Picklable, so that it can be sent to a worker process."""

    def __init__(self, read: Callable[[int], Read], *, decode: bool) -> None:
        """Say how rows are read.

        Args:
            read: returns the row of a number, as tokens or refused.
            decode: whether the images' pixels are wanted too.
        """
        self._read = read
        self._decode = decode

    def __call__(self, step: Step) -> LoadedStep:
        """Return the step's rows and images.

        Raises:
            DataError: a pack has other tokens than was planned.
        """
        seen: dict[ImageRef, Image.Image | ImageError] = {}
        packs = tuple(tuple(self._whole(self._read(row), seen) for row in pack) for pack in step.packs)
        for pack, rows, planned in zip(packs, step.packs, step.lengths, strict=False):
            lengths = [len(read.row.ids) for read in pack if isinstance(read.row, Encoded)]
            if len(lengths) == len(rows) and sum(lengths) != planned:
                # Known to the next new run. Where rows are held in memory, each run measures them itself.
                if isinstance(reader := getattr(self._read, "__self__", None), Reader):
                    doubt_lengths(reader.corpora, rows)
                raise DataError(
                    f"step {step.number}: rows {', '.join(map(str, rows))} have {sum(lengths)} tokens, {planned} when "
                    "they were measured: the data changed since, or the code that reads them did. Put them back, or "
                    "use another name for the run: a new one measures them again."
                )
        wanted = {image for pack in packs for read in pack for image in _images(read)}
        pictures = {image: found for image, found in seen.items() if image in wanted}
        return LoadedStep(
            step, packs, {image: found for image, found in pictures.items() if isinstance(found, Image.Image)}
        )

    def _whole(self, read: Read, seen: dict[ImageRef, Image.Image | ImageError]) -> Read:
        """Return the row, or its refusal where one of its images cannot be read."""
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
