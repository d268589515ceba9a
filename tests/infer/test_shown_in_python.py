"""Pictures as people hand them over in Python: a path as text, a path, a reference; and what is none of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import triptych


class Somewhere:
    """A path of another library."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


@pytest.fixture
def red(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.new("RGB", (3, 2), "red").save(path)
    return path


def test_a_picture_is_loaded_from_a_text_a_path_and_a_reference(red: Path) -> None:
    for given in (str(red), red, Somewhere(red), triptych.ImageRef(str(red))):
        pixels = triptych.load_image(given)
        assert (pixels.size, pixels.getpixel((0, 0))) == ((3, 2), (255, 0, 0))


@pytest.mark.parametrize("kind", [str, Path])
def test_a_picture_that_is_not_there_or_is_none_is_one_clear_line(tmp_path: Path, kind: type) -> None:
    with pytest.raises(triptych.TriptychError, match=r"gone\.png: no such image"):
        triptych.load_image(kind(tmp_path / "gone.png"))
    (tmp_path / "t").write_text("words")
    with pytest.raises(triptych.TriptychError, match=r"t: image unreadable \(cannot identify image file 'it'\)") as one:
        triptych.load_image(kind(tmp_path / "t"))
    assert "\n" not in str(one.value)


def test_a_short_name_is_not_searched_for_within_the_words_of_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t").write_text("words")
    with pytest.raises(triptych.TriptychError, match="cannot identify image file 'it'"):
        triptych.load_image("t")


@pytest.mark.parametrize("given", [5, None, b"a.png", "", triptych.ImageRef(Path("a.png"))])  # type: ignore[arg-type]
def test_what_is_no_picture_is_refused_with_what_to_give(given: object) -> None:
    with pytest.raises(triptych.TriptychError, match=r"is no (image|place of an image)\. Give "):
        triptych.load_image(given)  # type: ignore[arg-type]


def test_one_text_is_no_batch_of_letters() -> None:
    with triptych.load("http://127.0.0.1:9/v1#m") as model, pytest.raises(triptych.TriptychError, match="there is ask"):
        model.batch("What is this?")
