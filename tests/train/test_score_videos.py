"""The videos of ``benchmarks/score.py`` are what it says they are; and a toy model learns what pictures show.

Not whether the starter models learn it: that takes minutes, and ``docs/score.md`` tells it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from benchmarks.score_videos import (
    ASPECTS,
    FRAMES,
    LEVELS,
    QUALITY_KINDS,
    TEMPORAL_KINDS,
    VIEW_PX,
    Video,
    drawn_pictures,
    frames_of,
    lenders,
    plan,
    split,
    write_split,
)
from tests.train.runs import toy_recipe
from triptych.core.records import Example, images_of, text_of
from triptych.data.format import read_source
from triptych.evaluate.metrics.spearman import rank_correlation
from triptych.infer.scores import Scored, Scorer
from triptych.models.family import open_model
from triptych.models.vision.features import FeatureStore
from triptych.train.trainer import train

BEST = Video(
    picture="drawn-000",
    foreign="drawn-001",
    levels=(4, 4, 1),
    quality_kind="blur",
    temporal_kind="flicker",
    direction=(1, 1),
    phase=0,
    seed=5,
)


@pytest.fixture(scope="module")
def pictures() -> dict[str, Image.Image]:
    return drawn_pictures(10, seed=3)


def apart(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two frames, in levels of 0 to 255."""
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean())


def test_no_aspect_tells_of_another() -> None:
    videos = plan(list("abcdefg"), 3, seed=1)
    assert set(Counter(video.levels for video in videos).values()) == {3}
    assert len({video.levels for video in videos}) == len(LEVELS) ** len(ASPECTS)
    shares = np.corrcoef(np.array([video.levels for video in videos]).T)
    np.testing.assert_allclose(shares, np.eye(len(ASPECTS)), atol=1e-12)


def test_no_picture_nor_its_copy_is_in_two_splits(pictures: dict[str, Image.Image]) -> None:
    copies = {f"copy of {name}": picture.resize((300, 300)).resize((256, 256)) for name, picture in pictures.items()}
    names = split({**pictures, **copies}, seed=0)
    assert sorted(name for part in names.values() for name in part) == sorted([*pictures, *copies])
    where = {name: part for part, members in names.items() for name in members}
    assert all(where[name] == where[f"copy of {name}"] for name in pictures)
    assert all(names.values())
    for members in names.values():
        videos = plan(members, 1, seed=2)
        assert {name for video in videos for name in (video.picture, video.foreign)} <= set(members)
        assert all(video.picture != video.foreign for video in videos)


@pytest.mark.parametrize("kind", QUALITY_KINDS)
def test_the_lower_the_quality_the_further_are_frames_from_the_picture(
    kind: str, pictures: dict[str, Image.Image]
) -> None:
    clean = frames_of(BEST, pictures)
    for frame in range(FRAMES):
        worn = [frames_of(replace(BEST, quality_kind=kind, levels=(at, 4, 1)), pictures)[frame] for at in (4, 3, 2, 1)]
        distances = [apart(clean[frame], each) for each in worn]
        assert distances[0] == 0
        assert all(less < more for less, more in pairwise(distances))


@pytest.mark.parametrize("kind", TEMPORAL_KINDS)
@pytest.mark.parametrize("phase", [0, 1])
def test_the_lower_the_consistency_the_further_is_every_other_frame_from_the_next(
    kind: str, phase: int, pictures: dict[str, Image.Image]
) -> None:
    videos = [replace(BEST, temporal_kind=kind, phase=phase, levels=(4, at, 1)) for at in (4, 3, 2, 1)]
    shown = [frames_of(video, pictures) for video in videos]
    for first, second in pairwise(range(FRAMES)):
        distances = [apart(frames[first], frames[second]) for frames in shown]
        assert distances[0] == 0
        assert all(less < more for less, more in pairwise(distances))
    for frame in range(1 - phase, FRAMES, 2):
        assert all(frames[frame] == shown[0][frame] for frames in shown)


def test_the_more_dynamic_the_less_of_a_frame_is_still_there_in_the_next(pictures: dict[str, Image.Image]) -> None:
    for direction in ((1, 0), (0, -1), (-1, 1)):
        moved = []
        for level in LEVELS:
            one, other, *_ = frames_of(replace(BEST, direction=direction, levels=(4, 4, level)), pictures)
            assert one.size == other.size == (VIEW_PX, VIEW_PX)
            moved.append(_moved(one, other, direction))
        assert moved[0] == 0
        assert all(less < more for less, more in pairwise(moved))


def _moved(one: Image.Image, other: Image.Image, direction: tuple[int, int]) -> int:
    """Return by how many pixels the view wandered: where one frame lies over the other without a difference."""
    for step in range(VIEW_PX):
        left, top = (max(0, step * each) for each in direction)
        width, height = (VIEW_PX - abs(step * each) for each in direction)
        back = (left - step * direction[0], top - step * direction[1])
        seen = one.crop((left, top, left + width, top + height))
        if seen.tobytes() == other.crop((*back, back[0] + width, back[1] + height)).tobytes():
            return step
    raise AssertionError("the frames share nothing")


def test_rows_say_the_same_words_and_have_as_many_frames(tmp_path: Path, pictures: dict[str, Image.Image]) -> None:
    videos = plan(list(pictures), 1, seed=4)[:5]
    write_split(videos, pictures, tmp_path / "train.json", prefix="train")
    rows = [row for row in read_source(f"mantis_classification:{tmp_path / 'train.json'}") if isinstance(row, Example)]
    assert len(rows) == len(videos)
    assert len({text_of(row.turns[0]) for row in rows}) == 1
    assert {len(images_of(row)) for row in rows} == {FRAMES}
    assert [row.labels for row in rows] == [tuple(zip(ASPECTS, video.levels, strict=True)) for video in videos]


def test_each_video_lends_its_frames_once_to_one_of_another_picture() -> None:
    videos = plan(list("abcdefghi"), 2, seed=5)
    lent = lenders(videos, seed=0)
    assert sorted(lent) == list(range(len(videos)))
    assert all(videos[at].picture != videos[lender].picture for at, lender in enumerate(lent))


def test_a_head_learns_what_held_out_pictures_show_and_nothing_without_them(tmp_path: Path) -> None:
    random, rows = Random(7), []
    for number in range(120):
        light = random.randint(0, 255)
        Image.new("RGB", (32, 32), (light, light, random.randint(0, 255))).save(tmp_path / f"{number}.png")
        labels = {"light": 1 + 3 * light / 255}
        rows.append({"id": f"row-{number}", "images": [f"{number}.png"], "prompt": "How light?", "labels": labels})
    (tmp_path / "learnt.json").write_text(json.dumps(rows[:80]))
    (tmp_path / "asked.json").write_text(json.dumps(rows[80:]))
    recipe = toy_recipe(
        tmp_path,
        (f'"messages:{tmp_path / "tune.jsonl"}"', f'"mantis_classification:{tmp_path / "learnt.json"}"'),
        ("kind: tune\n", "kind: tune\n    objective: {kind: regression, targets: [light]}\n"),
        ("dropout: 0.1}", "dropout: 0.0}\n      head: {train: full, rate: 1e-2}"),
        ("6 steps", "40 steps"),
        ("2 steps", "40 steps"),
    )
    train(recipe, run=tmp_path / "run")
    model = open_model(tmp_path / "run" / "model")
    asked = [row for row in read_source(f"mantis_classification:{tmp_path / 'asked.json'}") if isinstance(row, Example)]
    found = {each.id: each for each in Scorer(model, features=FeatureStore(model)).score(asked)}
    said = [each.scores[0] for row in asked if isinstance(each := found[row.id], Scored)]
    labels = [row.labels[0][1] for row in asked]
    assert (rank_correlation(labels, said) or 0) > 0.8
    assert abs(rank_correlation(labels, said[1:] + said[:1]) or 0) < 0.4
