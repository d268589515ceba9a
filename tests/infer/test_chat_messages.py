"""A question as chat messages: images as they are where every decoder shows them so, else as we show them."""

from __future__ import annotations

import base64
import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Text, Turn, VideoRef
from triptych.data.media.images import ImageError, load_image
from triptych.infer.endpoint.chat_messages import data_uri, guess_tokens, messages_of
from triptych.infer.settings import EndpointSettings

ORIENTATION = 0x0112


def sent(image: ImageRef, *, side_px: int = 2048, most_bytes: int = 5_000_000) -> tuple[str, bytes]:
    head, _, body = data_uri(image, side_px=side_px, most_bytes=most_bytes).partition(";base64,")
    return head.removeprefix("data:image/"), base64.b64decode(body)


def noise(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize(("suffix", "mode"), [("jpg", "RGB"), ("jpg", "L"), ("png", "RGB"), ("png", "P")])
def test_a_plain_file_is_sent_as_it_is(tmp_path: Path, suffix: str, mode: str) -> None:
    path = tmp_path / f"plain.{suffix}"
    noise((30, 20), mode).save(path)
    kind, content = sent(ImageRef(str(path)))
    assert content == path.read_bytes()
    assert kind == {"jpg": "jpeg", "png": "png"}[suffix]


def oddities(folder: Path) -> dict[str, ImageRef]:
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    noise((30, 20)).save(folder / "turned.jpg", exif=turned)
    noise((20, 20)).save(folder / "square.png", exif=turned)
    noise((30, 20), "CMYK").save(folder / "cmyk.jpg")
    noise((30, 20), "RGBA").save(folder / "clear.png")
    noise((30, 20)).save(folder / "photo.webp", lossless=True)
    noise((30, 20)).save(folder / "drawing.bmp")
    Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100).save(folder / "deep.png")
    noise((30, 20), "LA").save(folder / "grey_clear.png")
    noise((30, 20), "1").save(folder / "ink.png")
    noise((30, 20), "P").save(folder / "hole.png", transparency=3)
    noise((30, 20), "CMYK").save(folder / "print.tif")
    noise((30, 20), "P").save(folder / "moving.gif", save_all=True, append_images=[noise((30, 20), "P").rotate(90)])
    noise((30, 20)).save(
        folder / "moving.webp", save_all=True, append_images=[noise((30, 20)).rotate(9)], lossless=True
    )
    noise((30, 20)).save(folder / "pictures.png", save_all=True, append_images=[noise((30, 20)).rotate(90)])
    found = {path.name: ImageRef(str(path)) for path in folder.iterdir()}
    plain = found["drawing.bmp"]
    return found | {
        "box": ImageRef(plain.source, box=(3, 4, 13, 19)),
        "resized": ImageRef(plain.source, resize=(11, 7)),
    }


def test_whatever_is_odd_is_sent_as_we_show_it(tmp_path: Path) -> None:
    for name, image in oddities(tmp_path).items():
        kind, content = sent(image)
        with Image.open(io.BytesIO(content)) as picture:
            assert ORIENTATION not in picture.getexif(), name
            shown = picture.convert("RGB")
        ours = load_image(image)
        assert shown.size == ours.size, name
        if kind == "png":
            assert shown.tobytes() == ours.tobytes(), name
        else:
            assert name in {"turned.jpg", "cmyk.jpg"}
            assert np.abs(np.asarray(shown, float) - np.asarray(ours, float)).mean() < 8, name


def test_a_large_image_is_scaled_to_the_longest_side(tmp_path: Path) -> None:
    noise((400, 100)).save(tmp_path / "wide.png")
    kind, content = sent(ImageRef(str(tmp_path / "wide.png")), side_px=200)
    with Image.open(io.BytesIO(content)) as picture:
        assert (kind, picture.size) == ("png", (200, 50))


@pytest.mark.parametrize("most_bytes", [60_000, 8_000, 1_500])
def test_an_image_is_sent_within_the_bytes(tmp_path: Path, most_bytes: int) -> None:
    noise((200, 160)).save(tmp_path / "noise.png")
    kind, content = sent(ImageRef(str(tmp_path / "noise.png")), most_bytes=most_bytes)
    assert kind == "jpeg"
    assert len(content) <= most_bytes
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.width / picture.height == pytest.approx(200 / 160, rel=0.1)


def test_a_torn_or_absent_image_is_named(tmp_path: Path) -> None:
    noise((60, 60)).save(tmp_path / "torn.jpg")
    (tmp_path / "torn.jpg").write_bytes((tmp_path / "torn.jpg").read_bytes()[:500])
    for name in ("torn.jpg", "gone.jpg"):
        with pytest.raises(ImageError, match=name):
            sent(ImageRef(str(tmp_path / name)))


def test_a_video_is_sent_as_frames_in_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "film"
    folder.mkdir()
    for number in range(9):
        Image.new("RGB", (8, 8), (number * 20, 0, 0)).save(folder / f"frame_{number}.png")
    question = Example("q", (Turn("user", (Text("before"), VideoRef(str(folder)), Text("after"))),))
    (message,) = messages_of(question, EndpointSettings(video_frames=3))
    content = message["content"]
    assert isinstance(content, list)
    expected = [base64.b64encode((folder / f"frame_{number}.png").read_bytes()).decode() for number in (0, 4, 8)]
    assert content == [
        {"type": "text", "text": "before"},
        *({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{each}"}} for each in expected),
        {"type": "text", "text": "after"},
    ]


def test_a_guess_counts_characters_and_images() -> None:
    rng = random.Random(1)
    text = "".join(rng.choices("abc ", k=300))
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    assert guess_tokens([{"role": "user", "content": text}]) == 100
    assert guess_tokens([{"role": "user", "content": [image, {"type": "text", "text": text}, image]}]) == 3100


def test_a_demonstration_with_a_system_turn_is_refused() -> None:
    shown = Example("s", (Turn("system", (Text("x"),)), Turn("user", (Text("y"),)), Turn("assistant", (Text("z"),))))
    question = Example("q", (Turn("user", (Text("?"),)),), demonstrations=(shown,))
    with pytest.raises(DataError, match="system turn"):
        messages_of(question, EndpointSettings())
