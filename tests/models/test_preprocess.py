"""Pictures are made ready in several threads: in their order, alike, and the frames of a video one after the other."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.models.pictures import draw_pictures
from triptych.core import plugins
from triptych.core.records import ImageRef
from triptych.data.media.images import ImageError, load_image
from triptych.models.family import Family, Model
from triptych.models.vision import preprocess
from triptych.models.vision.preprocess import prepared

FAMILIES = {name: plugins.find("family", name, expected=Family) for name in plugins.names("family")}
SAMPLES = {f"{family}-{name}": make for family, found in FAMILIES.items() for name, make in found.samples.items()}


@pytest.fixture(autouse=True)
def several_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocess, "cores_each", lambda: 4)


def test_what_is_prepared_comes_in_its_order_from_several_threads() -> None:
    gate = threading.Barrier(4)

    def meet(number: int) -> tuple[int, str]:
        if number < 4:
            gate.wait(timeout=30)  # only four at once come through
        return number * 2, threading.current_thread().name

    found = prepared(meet, range(40))
    assert [double for double, _ in found] == [2 * number for number in range(40)]
    assert len({name for _, name in found}) > 1


def test_frames_of_a_video_are_read_by_one_thread_in_their_order() -> None:
    videos = ("/v/a.mp4", "/v/b.mp4", "/v/c.mp4")
    images = [ImageRef(f"{video}!frame={frame}", (8, 8)) for frame in range(6) for video in videos]
    images += [ImageRef(f"/p/{number}.png", (8, 8)) for number in range(6)]
    read: dict[str, list[tuple[str, str]]] = defaultdict(list)

    def note(image: ImageRef) -> str:
        video, _, frame = image.source.partition("!")
        read[video].append((frame, threading.current_thread().name))
        return image.source

    assert prepared(note, images, image=lambda each: each) == [image.source for image in images]
    for video in videos:
        assert [frame for frame, _ in read[video]] == [f"frame={frame}" for frame in range(6)]
        assert len({name for _, name in read[video]}) == 1


def test_a_picture_that_cannot_be_read_is_told_of(tmp_path: Path) -> None:
    good = draw_pictures(tmp_path, 3)
    torn = ImageRef(str(tmp_path / "torn.png"), (8, 8))
    Path(torn.source).write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"torn\.png"):
        prepared(load_image, [*good, torn, *good], image=lambda each: each)


@pytest.mark.parametrize("sample", sorted(SAMPLES))
def test_every_family_prepares_the_same_pixels_in_threads(sample: str, tmp_path: Path) -> None:
    make: Callable[[int], Model] = SAMPLES[sample]
    model = make(0)
    images = [load_image(image) for image in draw_pictures(tmp_path, 6)] * 4
    alone = [model.pixels(image).values for image in images]
    found = prepared(model.pixels, images)
    assert all(torch.equal(seen.values, wanted) for seen, wanted in zip(found, alone, strict=True))
    assert [seen.size for seen in found] == [image.size for image in images]
