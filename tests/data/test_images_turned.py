"""A TIFF that says how it is turned: upright and of the size that was measured, however its pixels are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from triptych.data.media.images import load_image, whole_size

ORIENTATION = 0x0112
LEVELS = np.arange(35, dtype=np.uint16).reshape(5, 7) * 1_800
SEEN = {
    1: LEVELS,
    2: LEVELS[:, ::-1],
    3: LEVELS[::-1, ::-1],
    4: LEVELS[::-1],
    5: LEVELS.T,
    6: LEVELS[::-1].T,
    7: LEVELS[::-1, ::-1].T,
    8: LEVELS[:, ::-1].T,
}
"""What people see, by EXIF's orientation, of pixels that are kept as ``LEVELS``."""


def picture_of(levels: NDArray[np.uint16], mode: str) -> Image.Image:
    """Return levels as a picture of a mode; where it has several channels, each is another."""
    if mode == "I;16":
        return Image.fromarray(levels.copy())
    grey = Image.fromarray((levels >> 8).astype(np.uint8))
    if mode == "P":
        grey.putpalette([value for level in range(256) for value in (level, 255 - level, level // 2)])
        return grey
    if mode in ("L", "1"):
        return grey.convert(mode, dither=Image.Dither.NONE)
    channels = [Image.fromarray(np.asarray(grey) // (number + 1)) for number in range(len(mode))]
    return Image.merge(mode, channels)


@pytest.mark.parametrize("orientation", SEEN)
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "I;16"])
def test_a_turned_tiff_shows_what_the_same_pixels_show_that_were_turned_before(
    mode: str, compression: str, orientation: int, tmp_path: Path
) -> None:
    turned, upright = tmp_path / "turned.tif", tmp_path / ("upright.tif" if mode == "CMYK" else "upright.png")
    picture_of(LEVELS, mode).save(turned, compression=compression, tiffinfo={ORIENTATION: orientation})
    picture_of(SEEN[orientation], mode).save(upright)
    shown, wanted = load_image(turned), load_image(upright)
    assert whole_size(str(turned)) == shown.size == wanted.size
    assert np.asarray(shown).tolist() == np.asarray(wanted).tolist()
