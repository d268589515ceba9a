"""Videos whose frames carry what has no name in PyAV, as Motion JPEG with EXIF does: they open, turned as it says."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from triptych.data.media.video import load_frame, probe

ORIENTATION, MAKER = 0x0112, 0x010F


def pictures(path: Path, *, orientation: int) -> Path:
    """Make a Motion JPEG of three grey frames, their upper left corner white."""
    exif = Image.Exif()
    exif[MAKER], exif[ORIENTATION] = "a camera", orientation
    canvas = np.full((64, 96, 3), 80, dtype=np.uint8)
    canvas[:16, :16] = 255
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for number in range(3):
            content = io.BytesIO()
            Image.fromarray(canvas).save(content, "JPEG", exif=exif)
            packet = av.Packet(content.getvalue())
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base, packet.is_keyframe = Fraction(1, 25), True
            container.mux(packet)
    return path


@pytest.mark.parametrize(
    ("orientation", "size", "corner"),
    [(1, (96, 64), (8, 8)), (3, (96, 64), (88, 56)), (6, (64, 96), (56, 8)), (8, (64, 96), (8, 88))],
)
def test_frames_with_exif_are_shown_as_it_turns_them(
    orientation: int, size: tuple[int, int], corner: tuple[int, int], tmp_path: Path
) -> None:
    path = pictures(tmp_path / "a.mov", orientation=orientation)
    frame = load_frame(str(path), 2)
    assert frame.size == probe(str(path)).size == size
    assert min(frame.getpixel(corner)) > 200  # type: ignore[arg-type,type-var]
    assert max(frame.getpixel((48 if size[0] == 96 else 32, 40))) < 120  # type: ignore[arg-type,type-var]
