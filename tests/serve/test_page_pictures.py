"""The page and pictures: what a person is shown is what the model is sent, whatever the file is called."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from tests.serve.browser import opened, playwright, png, send
from tests.serve.page_server import Script, scripted

expect = playwright.expect
ORIENTATION = 0x0112


pytestmark = pytest.mark.flaky(reruns=2)
"""See ``browser.py``."""


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted(Script()) as running:
        running.go.set()
        yield running


def saved(kind: str, **options: Any) -> bytes:
    """A picture that lies on its side, in a file of one kind."""
    file = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(file, kind, **options)
    return file.getvalue()


def turned(kind: str) -> bytes:
    """The same, with the note that it is to be shown upright."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return saved(kind, exif=exif)


@pytest.mark.parametrize(
    ("name", "content", "sent"),
    [
        ("a.webp", saved("WEBP"), "image/webp"),
        ("a.webp", turned("WEBP"), "image/png"),
        ("a.jpg", turned("JPEG"), "image/jpeg"),
        ("a.png", saved("WEBP"), "image/webp"),
        ("a.png", saved("ICO", sizes=[(40, 40)]), "image/png"),
        ("a.png", saved("GIF"), "image/png"),
    ],
    ids=["webp", "turned webp", "turned jpeg", "webp called png", "ico called png", "gif called png"],
)
def test_what_is_sent_is_what_is_shown(browser: Any, script: Script, name: str, content: bytes, sent: str) -> None:
    kind = {"webp": "image/webp", "jpg": "image/jpeg", "png": "image/png"}[name.partition(".")[2]]
    with opened(browser, script.url) as page:
        page.set_input_files("#files", [{"name": name, "mimeType": kind, "buffer": content}])
        chip = page.locator("#editor .chip")
        expect(chip).to_have_count(1)
        shown = chip.get_attribute("title").rpartition(", ")[2]
        send(page)
        expect(page.locator("#turns .assistant")).to_have_count(1)
    url = script.asked[0]["messages"][0]["content"][0]["image_url"]["url"]
    head, _, data = url.partition(";base64,")
    assert head == f"data:{sent}"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.format is not None
        assert image.format.lower() == sent.rpartition("/")[2]
        upright = image.getexif().get(ORIENTATION, 1) == 6
        width, height = reversed(image.size) if upright else image.size
    assert shown == f"{width}×{height}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_thin_picture_is_seen_and_stands_on_white(browser: Any, script: Script, scheme: str) -> None:
    with opened(browser, script.url, color_scheme=scheme) as page:
        thin = {"name": "thin.png", "mimeType": "image/png", "buffer": png("black", size=(1, 900))}
        page.set_input_files("#files", [thin])
        image = page.locator("#editor .chip img")
        expect(image).to_have_css("background-color", "rgb(255, 255, 255)")
        assert image.bounding_box()["width"] >= 24
