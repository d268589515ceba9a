"""Videos to frames, sheets to views, large pictures to tiles, too many images to fewer: through references alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.data.talking import made, note, refused, said, talk
from tests.pictures import draw, real_data
from triptych.core.errors import ConfigError
from triptych.core.records import Example, ImageRef, Part, Text, Turn, VideoRef, images_of, videos_of
from triptych.data.format import Refused, read_source
from triptych.data.media.images import load_image, measure
from triptych.data.media.tiles import LLAVA_GRIDS, all_grids, choose_grid, cut_evenly, cut_fitted, fitted_size
from triptych.data.transform import TransformPlan, apply


def asked(*parts: Part, name: str = "x") -> Example:
    return Example(name, (Turn("user", parts), Turn("assistant", (Text("Yes."),))), origin="rows.jsonl: row 0")


@pytest.fixture
def film(tmp_path: Path) -> VideoRef:
    for at in range(9):
        draw(tmp_path / "film" / f"f_{at}.png", colour=(at, 0, 0))
    return VideoRef(str(tmp_path / "film"))


def test_a_video_becomes_frames_in_its_place(film: VideoRef) -> None:
    (row,) = made("frames", asked(Text("Before "), film, Text(" after?")), n=3)
    assert said(row)[0] == "Before [f_0][f_4][f_8] after?"
    assert videos_of(row) == ()
    assert note(row) == {"videos": [{"video": film.source, "of": 9, "frames": [0, 4, 8]}]}


def test_frames_say_which_video_they_are_of(film: VideoRef) -> None:
    (row,) = made("frames", asked(film, film, Text(" or "), film, Text("?")), n=2)
    names = [image.video for image in images_of(row)]
    assert names == [film.source] * 2 + [f"{film.source}#2"] * 2 + [f"{film.source}#3"] * 2
    (row,) = made("frames", asked(film, film, Text("?")), n=2, as_images=True)
    assert {image.video for image in images_of(row)} == {""}


def test_a_rate_a_limit_and_a_budget_say_how_many_frames(film: VideoRef) -> None:
    def count(**settings: float) -> int:
        return len(images_of(made("frames", asked(film, Text("?")), **settings)[0]))

    assert count(fps=1.0, folder_fps=2.0) == 5
    assert count(fps=1.0, folder_fps=2.0, most=2) == 2
    assert count(n=9, budget_tokens=100, frame_tokens=30) == 3
    assert count(n=9, budget_tokens=100, frame_tokens=30, most=2) == 2
    two = asked(film, Text(" or "), film, Text("?"))
    assert len(images_of(made("frames", two, n=9, most=5)[0])) == 4


def test_the_time_can_be_told_as_it_is_published(film: VideoRef) -> None:
    (row,) = made(
        "frames", asked(film, Text("What?")), n=3, folder_fps=2.0, text="\n{count} of {seconds} s: {times}.\n"
    )
    assert said(row)[0] == "[f_0][f_4][f_8]\n3 of 4.50 s: 0.00s,2.00s,4.00s.\nWhat?"


def test_images_after_a_video_keep_their_names(film: VideoRef) -> None:
    row = asked(ImageRef("/a.png"), film, ImageRef("/b.png"), Text("Is image 1 in the film, is image 2?"))
    assert said(made("frames", row, n=3)[0])[0] == "[a][f_0][f_4][f_8][b]Is image 1 in the film, is image 5?"
    doubtful = asked(film, ImageRef("/b.png"), Text("Is the left image in the film?"))
    (kept,) = made("frames", doubtful, n=3)
    assert "left image" in str(note(kept)["left"])
    assert len(images_of(kept)) == 4


def test_the_last_image_before_a_video_is_not_the_last_one_when_frames_follow(film: VideoRef) -> None:
    row = asked(ImageRef("/a.png"), ImageRef("/b.png"), film, Text("What is in the last image and the first frame?"))
    assert said(made("frames", row, n=2)[0])[0].endswith("What is in the second image and the first frame?")
    row = asked(film, ImageRef("/a.png"), ImageRef("/b.png"), Text("Is the last image in frame 1?"))
    assert said(made("frames", row, n=2)[0])[0].endswith("Is the last image in frame 1?")


def test_a_row_whose_words_would_mean_other_images_once_frames_come_is_refused(film: VideoRef) -> None:
    row = asked(film, ImageRef("/b.png"), Text("Is image 1 older than the left image?"))
    assert refused("frames", row, n=3).reason == "unclear reference"


def test_videos_without_frames_rates_or_room_are_refused(film: VideoRef) -> None:
    assert refused("frames", asked(film, Text("?")), fps=1.0).reason == "frame rate unknown"
    assert refused("frames", asked(film, film, Text("?")), n=2, most=1).reason == "too many videos"
    assert refused("frames", talk("[film] What?", "That."), n=2).reason == "video file missing"
    for settings in ({}, {"n": 2, "fps": 1.0}, {"n": 2, "budget_tokens": 10}, {"n": 0}):
        with pytest.raises(ConfigError):
            TransformPlan.parse({"kind": "frames", **settings})


def test_frames_of_real_videos_follow_the_published_rate() -> None:
    rows = list(read_source(f"mantis_video:{real_data('mantis_examples')}/chat_video/train.json"))
    plan = TransformPlan.parse({"kind": "frames", "fps": 1.0, "most": 8})
    out = list(apply([plan], rows, seed=0))
    used = [row for row in out if isinstance(row, Example)]
    assert len(used) == 3
    assert sum(isinstance(row, Refused) for row in out) == 17
    assert all(1 < len(images_of(row)) <= 8 and not videos_of(row) for row in used)
    assert all(image.source.partition("!frame=")[2].isdecimal() for row in used for image in images_of(row))


def test_a_sheet_is_cut_into_its_views_and_they_get_names(tmp_path: Path) -> None:
    sheet = Image.new("RGB", (70, 20), "white")
    sheet.paste("red", (0, 0, 30, 20))
    sheet.paste("blue", (40, 0, 70, 20))
    sheet.save(tmp_path / "sheet.png")
    row = asked(ImageRef(str(tmp_path / "sheet.png")), Text("Which?"))
    (cut,) = made("views", row, split=[2, 1], gap_px=10, names=["Left", "Right"])
    assert said(cut)[0] == "Left: [sheet]\nRight: [sheet]\nWhich?"
    assert [image.box for image in images_of(cut)] == [(0, 0, 30, 20), (40, 0, 70, 20)]
    colours = [load_image(image).getcolors() for image in images_of(cut)]
    assert colours == [[(600, (255, 0, 0))], [(600, (0, 0, 255))]]


def test_views_need_as_many_names_and_pixels_as_there_are_views(tmp_path: Path) -> None:
    assert refused("views", talk("[a][b] Which?", "That."), names=["Front"]).reason == "views and names differ"
    tiny = draw(tmp_path / "tiny.png", size=(2, 2))
    assert refused("views", asked(tiny, Text("?")), split=[4, 1]).reason == "image too small"
    assert said(made("views", talk("[a][b] Which?", "That."))[0])[0] == "View 1: [a]\nView 2: [b]\nWhich?"
    (left,) = made("views", asked(tiny, Text("Is image 1 red?")), split=[2, 1])
    assert "left" in note(left)


def test_grids_are_the_published_ones() -> None:
    golden = json.loads((real_data("golden") / "llava_interleave.json").read_text("utf-8"))["anyres"]
    assert [[columns * 384, rows * 384] for columns, rows in LLAVA_GRIDS] == golden["pinpoints5_wh"]
    assert len(golden["images"]) == 43
    for image in golden["images"]:
        size = tuple(image["size_wh"])
        assert [*choose_grid(size, LLAVA_GRIDS, tile_px=384)] == image["pinpoints5"]["grid_wh"]
        assert [*choose_grid(size, all_grids(6), tile_px=384)] == image["anyres_max_9"]["grid_wh"]


@pytest.mark.parametrize("size", [(266, 190), (1, 1), (1000, 7), (3000, 2000), (384, 384), (5, 900), (769, 1153)])
@pytest.mark.parametrize("grid", [(1, 1), (1, 3), (3, 1), (2, 2), (6, 5)])
def test_tiles_cover_the_picture_once(size: tuple[int, int], grid: tuple[int, int]) -> None:
    for cut in (cut_fitted, cut_evenly):
        tiles = cut(size, grid, tile_px=384)
        covered = Image.new("L", size, 0)
        for tile in tiles:
            left, top, right, bottom = tile.box
            assert 0 <= left < right <= size[0]
            assert 0 <= top < bottom <= size[1]
            assert all(1 <= side <= 384 for side in tile.resize)
            assert covered.crop(tile.box).getextrema() == (0, 0)
            covered.paste(255, tile.box)
        assert covered.getextrema() == (255, 255)
        assert [(tile.row, tile.column) for tile in tiles] == sorted((tile.row, tile.column) for tile in tiles)


def test_a_fitted_picture_keeps_its_shape() -> None:
    assert fitted_size((266, 190), (1, 2), tile_px=384) == (384, 275)
    tiles = cut_fitted((266, 190), (1, 2), tile_px=384)
    assert [tile.resize for tile in tiles] == [(384, 138), (384, 137)]


def test_a_large_picture_becomes_a_small_copy_and_tiles(tmp_path: Path) -> None:
    picture = draw(tmp_path / "large.png", size=(100, 50))
    (row,) = made("patches", asked(picture, Text("What?")), tile_px=50, before="({row},{column})")
    assert said(row)[0] == "[large](1,1)[large](1,2)[large]What?"
    small, *tiles = images_of(row)
    assert (small.box, small.size) == (None, (50, 25))
    assert [tile.box for tile in tiles] == [(0, 0, 50, 50), (50, 0, 100, 50)]
    assert [load_image(image).size for image in images_of(row)] == [(50, 25), (50, 50), (50, 50)]
    assert [measure(image).size for image in images_of(row)] == [image.size for image in images_of(row)]
    assert note(row) == {"cut": [{"size": [100, 50], "grid": [2, 1]}]}


def test_tiles_of_a_part_lie_in_that_part(tmp_path: Path) -> None:
    part = ImageRef(draw(tmp_path / "large.png", size=(300, 100)).source, box=(100, 0, 300, 100))
    (row,) = made("patches", asked(part, Text("What?")), tile_px=100, small="last")
    *tiles, small = images_of(row)
    assert small.box == (100, 0, 300, 100)
    assert [tile.box for tile in tiles] == [(100, 0, 200, 100), (200, 0, 300, 100)]


def test_what_needs_no_tiles_stays_unless_it_is_done_as_published(tmp_path: Path) -> None:
    picture = draw(tmp_path / "small.png", size=(40, 30))
    row = asked(picture, Text("What?"))
    assert made("patches", row) == [row]
    small, *tiles = images_of(made("patches", row, published=True)[0])
    assert small.resize == (384, 384)
    assert len(tiles) == 2
    pair = asked(draw(tmp_path / "a.png", size=(900, 900)), draw(tmp_path / "b.png", size=(900, 900)), Text("What?"))
    assert made("patches", pair) == [pair]
    assert len(images_of(made("patches", pair, images="all")[0])) == 10
    named = asked(*images_of(pair), Text("What is in image 2?"))
    assert "left" in note(made("patches", named, images="all")[0])


@pytest.mark.parametrize("words", ["What is in the last image?", "What does image 1 show?"])
def test_a_picture_that_the_words_call_by_its_number_is_not_cut_in_tiles(words: str, tmp_path: Path) -> None:
    row = asked(draw(tmp_path / "large.png", size=(900, 900)), Text(words))
    (left,) = made("patches", row, small="last")
    assert left.turns == row.turns
    assert "left" in note(left)


def test_rows_with_too_many_or_too_few_images_are_refused() -> None:
    assert refused("limit_images", talk("[a][b][c] Which?", "That."), most=2).reason == "too many images"
    assert refused("limit_images", talk("Which?", "That."), most=2, fewest=1).reason == "too few images"
    row = talk("[a][b] Which?", "That.")
    assert made("limit_images", row, most=2) == [row]


def test_frames_are_thinned_where_no_words_depend_on_one() -> None:
    (row,) = made("limit_images", talk("[a][b][c][d][e] What happens?", "That."), most=3, on_more="sample")
    assert said(row)[0] == "[a][c][e] What happens?"
    assert note(row) == {"of": 5, "kept": [1, 3, 5]}
    (row,) = made("limit_images", talk("[z] Like this: [a][b][c]", "That."), most=2, on_more="sample")
    assert said(row)[0] == "[z] Like this: [a]"
    for words in ("[a][b][c] Is image 2 older?", "[a][b][c] Is the left image older?", "[a] or [b] or [c]?"):
        assert refused("limit_images", talk(words, "No."), most=1, on_more="sample").reason == "too many images"
