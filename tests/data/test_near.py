"""A picture is found again when it was scaled, saved again or cut a little; and another picture is another."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from tests.pictures import real_data
from triptych.data.media.fingerprint import WINDOWS, Fingerprint, fingerprint
from triptych.data.media.near import candidates, equal_pixels, lay_over

Change = Callable[[Image.Image], Image.Image]


def scene(seed: int) -> Image.Image:
    """Return a picture with things in it, unlike that of any other seed."""
    draw = Random(seed)
    picture = Image.new("RGB", (240, 180), tuple(draw.choices(range(256), k=3)))
    pen = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y, size = draw.randrange(220), draw.randrange(160), draw.randrange(15, 90)
        shape = draw.choice((pen.ellipse, pen.rectangle))
        shape((x, y, x + size, y + size // draw.choice((1, 2))), fill=tuple(draw.choices(range(256), k=3)))
    return picture.filter(ImageFilter.GaussianBlur(2))


def saved(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def cut(picture: Image.Image, share: float, seed: int = 0) -> Image.Image:
    """Return a part that keeps ``share`` of each side."""
    draw = Random(seed)
    width, height = round(picture.width * share), round(picture.height * share)
    left, top = draw.randint(0, picture.width - width), draw.randint(0, picture.height - height)
    return picture.crop((left, top, left + width, top + height))


def found(ones: list[Image.Image], others: list[Image.Image]) -> set[tuple[int, int]]:
    """Return the pairs of pictures that are taken for one."""
    left, right = ([fingerprint(each, crops=True) for each in these] for these in (ones, others))
    return {
        (pair.left, pair.right)
        for pair in candidates(left, right)
        if lay_over(ones[pair.left], others[pair.right], window=pair.window).same
    }


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda it: it.resize((it.width // 2, it.height // 2)), id="half"),
        pytest.param(lambda it: it.resize((it.width * 2, it.height * 2)), id="double"),
        pytest.param(lambda it: saved(it, 30), id="saved at 30"),
        pytest.param(lambda it: saved(it.resize((it.width // 3, it.height // 3)), 50), id="a third, saved at 50"),
        pytest.param(lambda it: saved(cut(it, 0.95), 60), id="95% of each side"),
        pytest.param(lambda it: saved(cut(it, 0.85), 60), id="85% of each side"),
    ],
)
def test_a_changed_picture_is_found_and_no_other(change: Change) -> None:
    scenes = [scene(seed) for seed in range(12)]
    assert found([change(each) for each in scenes], scenes) == {(number, number) for number in range(12)}


def test_a_cut_is_found_where_the_whole_has_windows_only() -> None:
    whole = scene(1)
    part = cut(whole, 0.88)
    assert found([part], [whole]) == {(0, 0)}
    assert found([whole], [part]) == set(), "ask the other way round for that"


def test_equal_pixels_are_grouped_whatever_else() -> None:
    plain = Image.new("RGB", (8, 8), "white")
    prints = [fingerprint(each, crops=False) for each in (scene(1), plain, scene(2), scene(1), plain.copy())]
    assert equal_pixels(prints) == [(0, 3), (1, 4)]
    assert fingerprint(plain, crops=False).pixels != fingerprint(plain.resize((4, 16)), crops=False).pixels


def test_plain_pictures_are_never_alike_but_by_their_pixels() -> None:
    plain = [Image.new("RGB", (64, 64), colour) for colour in ("white", "#fefefe", "black")]
    assert all(fingerprint(each, crops=True).plain for each in plain)
    assert found(plain, plain) == set()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2), (7, 5000)])
def test_pictures_of_any_shape_have_a_fingerprint(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    assert fingerprint(picture, crops=True).hashes.shape == (len(WINDOWS), 4)
    assert -1 <= lay_over(picture, picture, window=3).correlation <= 1.0001


def prints_of(count: int, *, windows: int, seed: int) -> list[Fingerprint]:
    draw = np.random.default_rng(seed)
    hashes = draw.integers(0, 1 << 64, (count, windows, 4), dtype=np.uint64, endpoint=False)
    thumb = np.zeros((16, 16, 3), dtype=np.uint8)
    return [Fingerprint(bytes([1]), each, thumb, plain=False) for each in hashes]


def test_the_search_grows_by_blocks_not_by_pairs_in_python() -> None:
    """10,000 against 2,000 is 20 million pairs: well under a second for arrays, minutes for a loop."""
    left, right = prints_of(10_000, windows=1, seed=1), prints_of(2_000, windows=1, seed=2)
    left[777] = right[1234]
    start = time.monotonic()
    (pair,) = candidates(left, right)
    assert (pair.left, pair.right, pair.window) == (777, 1234, 0)
    assert time.monotonic() - start < 4


def test_a_picture_is_no_copy_of_itself_in_one_list() -> None:
    prints = [fingerprint(scene(seed), crops=False) for seed in (1, 2, 1)]
    assert {(pair.left, pair.right) for pair in candidates(prints, prints)} == {(0, 2), (2, 0)}


def test_real_photographs_are_found_again_and_told_apart() -> None:
    folder = real_data("mantis_examples") / "chat"
    paths = sorted(folder.rglob("*.jpg"), key=lambda path: path.name)[::12][:25]
    photos = [Image.open(path).convert("RGB") for path in paths]
    changed = [saved(cut(each, 0.9, seed), 50) for seed, each in enumerate(photos)]
    pairs = found(changed, photos)
    assert {one for one, other in pairs if one != other} == set()
    assert len(pairs) >= 24
    assert not [pair for pair in found(photos, photos) if pair[0] != pair[1]]


def test_real_photographs_without_a_narrow_border_are_found_again() -> None:
    """4% at every edge lies between the windows that leave out 0 and 8%: it has one of its own."""
    folder = real_data("mantis_examples") / "chat"
    paths = sorted(folder.rglob("*.jpg"))
    photos = [Image.open(paths[number]).convert("RGB") for number in (63, 90, 97, 162, 166, 209, 298, 321, 332)]
    inner = [each.crop([round(share * side) for share in (0.04, 0.96) for side in each.size]) for each in photos]
    assert found([saved(each, 95) for each in inner], photos) == {(number, number) for number in range(len(photos))}


def test_fingerprints_do_not_depend_on_the_file(tmp_path: Path) -> None:
    scene(3).save(tmp_path / "a.png")
    scene(3).save(tmp_path / "a.bmp")
    one, other = (fingerprint(Image.open(tmp_path / name).convert("RGB"), crops=True) for name in ("a.png", "a.bmp"))
    assert one.pixels == other.pixels
    assert (one.hashes == other.hashes).all()
