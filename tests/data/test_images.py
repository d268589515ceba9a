"""Pictures: the header tells the size that the pixels have, and each oddity has one outcome."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, features

from tests.pictures import draw
from triptych.core.errors import DataError
from triptych.core.records import ImageRef
from triptych.data.media.images import MAX_PIXELS, ImageError, load_image, measure, whole_size

RED, WHITE = (255, 0, 0), (255, 255, 255)


def half_and_half(width: int = 40, height: int = 20) -> Image.Image:
    """Return a picture that is red on the left and blue on the right."""
    picture = Image.new("RGB", (width, height), "blue")
    picture.paste("red", (0, 0, width // 2, height))
    return picture


def reason_of(path: Path, *, decode: bool) -> str:
    with pytest.raises(DataError) as caught:
        load_image(ImageRef(str(path))) if decode else measure(ImageRef(str(path)))
    assert isinstance(caught.value, ImageError)
    assert str(path) in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_a_turned_picture_stands_upright_and_the_header_knows(suffix: str, orientation: int, tmp_path: Path) -> None:
    path = tmp_path / f"photo{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    half_and_half().save(path, exif=exif)
    size = measure(ImageRef(str(path))).size
    pixels = load_image(ImageRef(str(path)))
    assert size == pixels.size == ((20, 40) if orientation >= 5 else (40, 20))
    red_at = {1: (2, 9), 2: (37, 9), 3: (37, 9), 4: (2, 9), 5: (9, 2), 6: (9, 2), 7: (9, 37), 8: (9, 37)}[orientation]
    red, _, blue = pixels.getpixel(red_at)  # type: ignore[misc]
    assert red > 200 > 60 > blue


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_a_senseless_orientation_turns_nothing(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    half_and_half().save(tmp_path / "a.jpg", exif=exif)
    assert measure(ImageRef(str(tmp_path / "a.jpg"))).size == (40, 20)
    assert load_image(ImageRef(str(tmp_path / "a.jpg"))).size == (40, 20)


def test_measuring_decodes_nothing(tmp_path: Path) -> None:
    half_and_half(400, 300).save(tmp_path / "whole.jpg")
    torn = tmp_path / "torn.jpg"
    torn.write_bytes((tmp_path / "whole.jpg").read_bytes()[:800])
    assert measure(ImageRef(str(torn))).size == (400, 300)
    assert reason_of(torn, decode=True) == "image unreadable"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".webp", ".tif", ".bmp"])
def test_a_truncated_file_is_refused_and_never_half_shown(suffix: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"torn{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert reason_of(path, decode=True) == "image unreadable"


def test_a_palette_keeps_its_colours_and_its_transparency_is_white(tmp_path: Path) -> None:
    picture = Image.new("P", (4, 2), 0)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((3, 1), 1)
    picture.save(tmp_path / "palette.png", transparency=1)
    pixels = load_image(ImageRef(str(tmp_path / "palette.png")))
    assert (pixels.mode, pixels.getpixel((0, 0)), pixels.getpixel((3, 1))) == ("RGB", RED, WHITE)


@pytest.mark.parametrize(("mode", "clear"), [("RGBA", (255, 0, 0, 0)), ("LA", (0, 0))])
def test_transparency_lies_on_white(mode: str, clear: tuple[int, ...], tmp_path: Path) -> None:
    Image.new(mode, (3, 3), clear).save(tmp_path / "clear.png")
    assert load_image(ImageRef(str(tmp_path / "clear.png"))).getpixel((1, 1)) == WHITE


def test_half_transparent_red_on_white_is_pink(tmp_path: Path) -> None:
    Image.new("RGBA", (3, 3), (255, 0, 0, 128)).save(tmp_path / "half.png")
    assert load_image(ImageRef(str(tmp_path / "half.png"))).getpixel((1, 1)) == (255, 127, 127)


def test_a_transparent_colour_is_white_too(tmp_path: Path) -> None:
    Image.new("RGB", (3, 3), RED).save(tmp_path / "keyed.png", transparency=RED)
    assert load_image(ImageRef(str(tmp_path / "keyed.png"))).getpixel((1, 1)) == WHITE


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm", ".jp2"])
def test_sixteen_bits_are_scaled_and_not_clipped(suffix: str, tmp_path: Path) -> None:
    values = np.array([[0, 256, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / f"deep{suffix}")
    pixels = np.asarray(load_image(ImageRef(str(tmp_path / f"deep{suffix}"))))
    assert pixels[0].tolist() == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]


@pytest.mark.parametrize("kind", [np.int32, np.float32])
@pytest.mark.parametrize("value", [0, 200, 62000, 70000])
def test_pixels_without_a_defined_white_are_refused_whatever_they_hold(
    kind: type[np.generic], value: int, tmp_path: Path
) -> None:
    Image.fromarray(np.full((2, 2), value, dtype=kind)).save(tmp_path / "scientific.tif")
    with pytest.raises(ImageError, match="pixels have no defined white; save it with 8 bits a channel"):
        load_image(tmp_path / "scientific.tif")


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=100)
    red, green, blue = load_image(ImageRef(str(tmp_path / "print.jpg"))).getpixel((4, 4))  # type: ignore[misc]
    assert red > 240
    assert max(green, blue) < 15


def test_a_printers_jpeg_has_its_inks_inverted_as_adobe_writes_them(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(tmp_path / "print.jpg", quality=100)
    assert b"Adobe" in (tmp_path / "print.jpg").read_bytes()
    Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(tmp_path / "print.tif")
    for name in ("print.jpg", "print.tif"):
        red, green, blue = load_image(ImageRef(str(tmp_path / name))).getpixel((4, 4))  # type: ignore[misc]
        assert red < 15
        assert min(green, blue) > 240


def test_a_palette_without_transparency_keeps_all_its_colours(tmp_path: Path) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([1, 2, 3, 250, 251, 252])
    picture.putpixel((1, 0), 1)
    for name in ("a.png", "a.gif", "a.bmp"):
        picture.save(tmp_path / name)
        pixels = load_image(ImageRef(str(tmp_path / name)))
        assert [pixels.getpixel((at, 0)) for at in (0, 1)] == [(1, 2, 3), (250, 251, 252)]


def test_a_palettes_half_transparent_colour_is_mixed_with_white(tmp_path: Path) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    picture.save(tmp_path / "a.png", transparency=bytes([128, 0]))
    pixels = load_image(ImageRef(str(tmp_path / "a.png")))
    assert [pixels.getpixel((at, 0)) for at in (0, 1)] == [(255, 127, 127), WHITE]


@pytest.mark.parametrize(
    ("colour_type", "values", "extra", "shown"),
    [
        (0, [0x12FF, 0x8000], b"", [(0x12,) * 3, (0x80,) * 3]),
        (0, [0x12FF, 0x8000], b"\x12\xff", [WHITE, (0x80,) * 3]),
        (2, [0x12FF, 0x8000, 0xFFFF, 0, 0xFF, 0x100], b"", [(0x12, 0x80, 0xFF), (0, 0, 1)]),
        (4, [0x12FF, 0xFFFF, 0x8000, 0], b"", [(0x12,) * 3, WHITE]),
        (6, [0xFFFF, 0, 0, 0xFFFF, 0xFFFF, 0, 0, 0], b"", [RED, WHITE]),
    ],
)
def test_sixteen_bits_of_each_kind_of_png_show_their_high_bytes(
    colour_type: int, values: list[int], extra: bytes, shown: list[tuple[int, int, int]], tmp_path: Path
) -> None:
    row = b"\0" + struct.pack(f">{len(values)}H", *values)
    head = struct.pack(">IIBBBBB", 2, 1, 16, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", head), *([(b"tRNS", extra)] if extra else []), (b"IDAT", zlib.compress(row)), (b"IEND", b"")]
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks))
    pixels = load_image(ImageRef(str(tmp_path / "deep.png")))
    assert [pixels.getpixel((at, 0)) for at in (0, 1)] == shown


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_an_animation_is_its_first_frame(suffix: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 6), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    red, green, blue = load_image(ImageRef(str(tmp_path / f"a{suffix}"))).getpixel((3, 3))  # type: ignore[misc]
    assert (red > 240, green < 15, blue < 15) == (True, True, True)


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    assert measure(draw(tmp_path / "dot.png", size=(1, 1))).size == (1, 1)


def test_a_box_is_cut_out_of_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    half_and_half().save(tmp_path / "a.png", exif=exif)
    top = ImageRef(str(tmp_path / "a.png"), box=(0, 0, 20, 20))
    assert measure(top).size == (20, 20)
    pixels = load_image(top)
    assert pixels.size == (20, 20)
    assert pixels.getcolors() == [(400, RED)]


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".webp"])
def test_a_side_of_one_pixel_is_no_trouble(suffix: str, size: tuple[int, int], tmp_path: Path) -> None:
    image = draw(tmp_path / f"thin{suffix}", size=size)
    assert measure(image).size == load_image(image).size == size
    wide = ImageRef(image.source, resize=(7, 3))
    assert measure(wide).size == load_image(wide).size == (7, 3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    width=st.integers(1, 80), height=st.integers(1, 80), boxed=st.booleans(), suffix=st.sampled_from([".jpg", ".png"])
)
def test_a_resized_picture_is_its_box_scaled_from_all_pixels(
    width: int, height: int, boxed: bool, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"noise{suffix}"
    if not path.exists():
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)).save(path)
    box = (10, 20, 70, 60) if boxed else None
    image = ImageRef(str(path), box=box, resize=(width, height))
    whole = load_image(ImageRef(str(path), box=box))
    assert measure(image).size == (width, height)
    assert load_image(image).tobytes() == whole.resize((width, height), Image.Resampling.BICUBIC).tobytes()
    assert measure(image, whole=(90, 60)) == measure(image)


@pytest.mark.parametrize("resize", [(0, 5), (5, 0), (-1, 5), (100_000, 100_000)])
def test_an_impossible_resize_is_refused_before_anything_is_made(resize: tuple[int, int], tmp_path: Path) -> None:
    image = ImageRef(draw(tmp_path / "a.png").source, resize=resize)
    for look in (measure, load_image):
        with pytest.raises(ImageError) as caught:
            look(image)
        assert caught.value.reason == "resize impossible"


@pytest.mark.parametrize("box", [(0, 0, 33, 24), (-1, 0, 8, 8), (8, 0, 8, 8), (8, 8, 4, 12), (0, 20, 8, 25)])
def test_a_box_outside_the_picture_is_refused(box: tuple[int, int, int, int], tmp_path: Path) -> None:
    image = ImageRef(draw(tmp_path / "a.png", size=(32, 24)).source, box=box)
    for look in (measure, load_image):
        with pytest.raises(ImageError, match=r"a\.png: box .* 32x24") as caught:
            look(image)
        assert caught.value.reason == "box outside picture"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_pixel_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png_header(20_000, 20_000))
    assert reason_of(bomb, decode=False) == "image too large"
    bomb.write_bytes(png_header(MAX_PIXELS // 1000 + 1, 1000))
    assert reason_of(bomb, decode=True) == "image too large"


def test_a_size_of_zero_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "none.png").write_bytes(png_header(0, 10))
    assert reason_of(tmp_path / "none.png", decode=False) == "image unreadable"


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", b"no picture at all", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"]
)
def test_a_file_that_is_no_picture_is_unreadable(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    assert reason_of(tmp_path / "a.jpg", decode=False) == "image unreadable"


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    assert reason_of(tmp_path / "gone.jpg", decode=False) == "image file missing"


def test_a_picture_that_may_not_be_read_says_what_to_do_and_its_own_name_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = str(tmp_path / "a.png")

    def refuse(*given: object, **named: object) -> None:
        raise PermissionError(13, "Permission denied", source)

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(ImageError) as caught:
        measure(ImageRef(source))
    assert str(caught.value) == (
        f"{source}: image unreadable (Permission denied). Give it read permission or leave the row out."
    )


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_torn_exif_block_spoils_no_picture(tmp_path: Path) -> None:
    half_and_half().save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\x01")
    assert load_image(ImageRef(str(tmp_path / "a.jpg"))).size == (40, 20)


KINDS = [
    kind for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF") if kind != "AVIF" or features.check("avif")
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(KINDS),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6)), max_size=4),
    data=st.data(),
)
def test_any_damage_gives_a_picture_of_the_told_size_or_a_refusal(
    kind: str, cuts: list[tuple[float, bytes]], data: st.DataObject, tmp_path: Path
) -> None:
    file = io.BytesIO()
    half_and_half().save(file, kind)
    content = bytearray(file.getvalue())
    for place, put in cuts:
        start = int(place * len(content))
        content[start : start + len(put)] = put
    path = tmp_path / "damaged"
    path.write_bytes(bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))]))
    try:
        size = whole_size(str(path))
        pixels = load_image(ImageRef(str(path)))
    except ImageError:
        return
    assert pixels.size == size


def png_header(width: int, height: int) -> bytes:
    """Return the start of a PNG that claims this size."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG's chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
