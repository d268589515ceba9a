"""Edited images of a diagnosis: compressed as JPEG, blanked, put side by side. Each is a file that is made once.

Not which images are edited: ``perturbations`` says. Invariant: a file's name follows from the bytes of the images that
it is made of and from the edit, so that the same question is asked again with the same images.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from triptych.core.files import write_atomically
from triptych.core.records import ImageRef, Json
from triptych.data.media.images import MAX_PIXELS, ImageError, load_image, measure
from triptych.data.media.locate import digest_of

QUALITY = 50
"""JPEG quality of ``ImageEdits.as_jpeg``."""
GREY = (127, 127, 127)
SEPARATOR = ((0, 1), (255, 8), (0, 1))
"""(grey, width in pixels) of the stripes between two images side by side: ten pixels in all."""


@dataclass(frozen=True, slots=True)
class ImageEdits:
    """Edits images, and keeps the results as files of one folder."""

    folder: Path

    def as_jpeg(self, image: ImageRef) -> ImageRef:
        """Return the image as a JPEG of quality 50. Raises ImageError."""
        return self._made("jpeg", [image], lambda pictures: pictures[0], suffix="jpg")

    def blanked(self, image: ImageRef) -> ImageRef:
        """Return a grey image of the same size. Raises ImageError."""
        width, height = _size(image)
        return self._made(f"grey {width}x{height}", [], lambda _: Image.new("RGB", (width, height), GREY))

    def side_by_side(self, images: Sequence[ImageRef]) -> ImageRef:
        """Return one image of all: each scaled to the mean height, in order, a stripe of ten pixels between two.

        Source: what Mantis' evaluation does for models that take one image (arXiv:2405.01483, ``merge``).

        Raises:
            ImageError: an image cannot be read, or all together are too large.
        """
        height, widths = _strip(images)
        if height * (sum(widths) + 10 * len(widths)) > MAX_PIXELS:
            raise ImageError("image too large", f"{len(images)} images side by side have more than {MAX_PIXELS} pixels")
        return self._made("side by side", images, joined)

    def _made(
        self,
        how: str,
        images: Sequence[ImageRef],
        make: Callable[[Sequence[Image.Image]], Image.Image],
        *,
        suffix: str = "png",
    ) -> ImageRef:
        """Return the edited image, from its file where it was made before.

        Args:
            how: the edit; part of what the file is named by.
            images: what it is made of.
            make: (their pixels) -> the edited image.
            suffix: of the file: ``png`` or ``jpg``.
        """
        sources: list[Json] = [
            [digest_of(image.source), list(image.box or ()), list(image.resize or ())] for image in images
        ]
        name = hashlib.sha256(json.dumps([how, *sources]).encode()).hexdigest()[:24]
        path = self.folder.absolute() / f"{name}.{suffix}"
        if not path.exists():
            file = io.BytesIO()
            picture = make([load_image(image) for image in images])
            if suffix == "jpg":
                picture.save(file, "JPEG", quality=QUALITY)
            else:
                picture.save(file, "PNG")
            write_atomically(path, file.getvalue())
        return measure(ImageRef(str(path)))


def joined(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return the images side by side, each scaled (bicubic) to the mean height, with stripes between them."""
    height = sum(picture.height for picture in pictures) // len(pictures)
    scaled = [picture.resize((_scaled(picture.size, height), height)) for picture in pictures]
    stripe = sum(width for _, width in SEPARATOR)
    whole = Image.new("RGB", (sum(each.width for each in scaled) + stripe * (len(scaled) - 1), height), "white")
    at = 0
    for number, each in enumerate(scaled):
        if number:
            for grey, width in SEPARATOR:
                whole.paste((grey, grey, grey), (at, 0, at + width, height))
                at += width
        whole.paste(each, (at, 0))
        at += each.width
    return whole


def half_size(image: ImageRef) -> ImageRef:
    """Return the image at half its width and height; nothing is written. Raises ImageError."""
    width, height = _size(image)
    half = (max(1, width // 2), max(1, height // 2))
    return ImageRef(image.source, size=half, box=image.box, resize=half)


def _strip(images: Sequence[ImageRef]) -> tuple[int, list[int]]:
    """Return the height of images side by side, and the width of each."""
    sizes = [_size(image) for image in images]
    height = sum(size[1] for size in sizes) // len(sizes)
    return height, [_scaled(size, height) for size in sizes]


def _scaled(size: tuple[int, int], height: int) -> int:
    return max(1, size[0] * height // size[1])


def _size(image: ImageRef) -> tuple[int, int]:
    size = measure(image).size
    assert size is not None
    return size
