"""What a content part says beside its name: sizes and parts of videos are refused, the rest passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.reading import Row, read, shape
from triptych.core.records import Example, Json
from triptych.data.format import Refused

A = "pictures/a.png"
MARKED = ("sharegpt", "swift")
NAMED = (*MARKED, "trl", "messages")


def row(*parts: Json, **others: Json) -> Row:
    said: Json = [{"role": "user", "content": [*parts]}, {"role": "assistant", "content": "Yes."}]
    return {"id": "x", "messages": said, **others}


def one(name: str, folder: Path, row: Row) -> Example | Refused:
    (found,) = read(name, folder, row)
    return found


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("more", [{"resized_height": 280}, {"min_pixels": 4}, {"box": [0, 0, 4, 4]}, {"text": "a cat"}])
def test_what_a_part_says_of_an_image_beside_its_name_is_not_lost(name: str, more: Row, folder: Path) -> None:
    found = one(name, folder, row({"type": "image", "image": A, **more}))
    assert isinstance(found, Refused)
    assert "which would be lost" in found.message
    assert isinstance(one(name, folder, row({"type": "image", "image": A, **dict.fromkeys(more)})), Example)


@pytest.mark.parametrize("name", [*MARKED, "messages"])
@pytest.mark.parametrize("key", ["video_start", "video_end", "fps", "nframes"])
def test_a_part_of_a_video_is_not_shown_as_all_of_it(name: str, key: str, folder: Path) -> None:
    found = one(name, folder, row({"type": "video", "video": "pictures", key: 2.0}))
    assert isinstance(found, Refused)
    assert repr(key) in found.message
    found = one(name, folder, row({"type": "video", "video": {"path": "pictures", key: 2.0}}))
    assert isinstance(found, Refused)
    assert repr(key) in found.message
    assert isinstance(one(name, folder, row({"type": "video", "video": "pictures", key: None})), Example)


@pytest.mark.parametrize("name", NAMED)
def test_a_part_that_names_two_things_is_refused_and_one_that_repeats_itself_is_not(name: str, folder: Path) -> None:
    found = one(name, folder, row({"type": "image", "image": A, "url": "pictures/b.png"}))
    assert isinstance(found, Refused)
    assert "another under 'url'" in found.message
    found = one(name, folder, row({"type": "image", "image": A, "url": A, "path": None}))
    assert isinstance(found, Example)
    assert shape(found)[0] == "user: [a]"


@pytest.mark.parametrize("name", MARKED)
@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": A, "detail": "low"}},
        {"type": "image_url", "image_url": A, "detail": "auto", "text": None},
        {"type": "image_url", "value": A},
        {"type": "image", "source": {"type": "url", "url": A}, "cache_control": {"type": "ephemeral"}},
    ],
)
def test_keys_that_are_for_a_server_are_passed_over(name: str, part: Row, folder: Path) -> None:
    found = one(name, folder, row(part))
    assert isinstance(found, Example), found
    assert shape(found)[0] == "user: [a]"
