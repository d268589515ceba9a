"""A picture's fingerprint: what stays the same when it is scaled, saved again or cut a little at its edges.

Not a search: ``near`` compares many. The perceptual hash is ``imagehash``'s (DCT, 16 by 16 signs), taken of the whole
picture and of windows that leave up to a sixth of a side out, so that a cut picture equals one of the other's windows.
Source: Zauner, Implementation and benchmarking of perceptual image hash functions, 2010. Invariant: equal pixels have
equal fingerprints, whatever file they are in.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import product

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Hash = NDArray[np.uint64]
"""(..., 4): 256 signs of a picture's low frequencies. The first word holds the lowest 64, which are the steadiest."""

WORDS = 4
_SIDE = 16
_LOW = 8
_WORK_PX = 160
"""Longest side of the copy that windows are cut from."""
THUMB_PX = 16
"""Side of the small copy that candidates are compared by."""
PLAIN = 6.0
"""Grey levels, standard deviation: a picture with less has no low frequencies to speak of, only noise's signs."""
CUTS = (0.0, 0.08, 0.16)
"""Shares of a side that a window may leave out at one edge; both edges of a side together at most the last."""

NARROW = 0.04
"""Share of a side that one more window leaves out at every edge: midway between the others, where cuts were missed."""


def _windows() -> tuple[tuple[float, float, float, float], ...]:
    spans = [(first, last) for first, last in product(CUTS, CUTS) if first + last <= CUTS[-1]]
    return (*((left, top, right, bottom) for (left, right), (top, bottom) in product(spans, spans)), (NARROW,) * 4)


WINDOWS = _windows()
"""(left, top, right, bottom) as shares that are left out. The first is the whole picture."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is kept of a picture: 32 bytes a window, and 768 bytes of pixels."""

    pixels: bytes
    """Digest of size and RGB values: equal exactly where every pixel is."""
    hashes: Hash
    """(windows, 4), the whole picture's first."""
    thumb: NDArray[np.uint8]
    """(THUMB_PX, THUMB_PX, 3), RGB; sides scaled each on its own."""
    plain: bool
    """Whether it is so even (one colour, an empty page) that only its exact pixels tell it from others."""


def fingerprint(picture: Image.Image, *, crops: bool) -> Fingerprint:
    """Return the fingerprint of RGB pixels, as ``images.load_image`` gives them.

    Args:
        picture: what to look at.
        crops: with the hashes of all ``WINDOWS``, so that cut copies can be found; otherwise of the whole alone.
    """
    digest = hashlib.blake2b(f"{picture.width}x{picture.height}".encode(), digest_size=16)
    digest.update(picture.tobytes())
    grey = picture.convert("L")
    grey.thumbnail((_WORK_PX, _WORK_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
    thumb = picture.resize((THUMB_PX, THUMB_PX), Image.Resampling.BOX)
    return Fingerprint(
        pixels=digest.digest(),
        hashes=np.stack([_hash(_window(grey, window)) for window in WINDOWS[: None if crops else 1]]),
        thumb=np.asarray(thumb),
        plain=float(np.asarray(grey, dtype=np.float32).std()) < PLAIN,
    )


def _window(grey: Image.Image, window: tuple[float, float, float, float]) -> Image.Image:
    left, top, right, bottom = window
    width, height = grey.size
    box = (round(left * width), round(top * height), width - round(right * width), height - round(bottom * height))
    return grey.crop(box) if box != (0, 0, width, height) and box[0] < box[2] and box[1] < box[3] else grey


def _hash(grey: Image.Image) -> Hash:
    signs = imagehash.phash(grey, hash_size=_SIDE).hash
    low = signs[:_LOW, :_LOW].ravel()
    rest = np.concatenate([signs[:_LOW, _LOW:].ravel(), signs[_LOW:].ravel()])
    packed: Hash = np.packbits(np.concatenate([low, rest])).view(np.uint64)
    return packed
