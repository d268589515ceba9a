"""Which frames of a video are taken: the picks are the published ones, and lie within the video."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pictures import real_data
from triptych.data.media.video import (
    WAYS,
    pick_arange,
    pick_fps,
    pick_interval,
    pick_linspace,
    pick_middle,
    pick_step,
    pick_uniform,
)


def test_the_picks_are_the_published_ones() -> None:
    golden = json.loads((real_data("golden") / "llava_interleave.json").read_text())["frames"]
    assert list(pick_linspace(49, 16)) == list(pick_uniform(49, 16)) == golden["linspace_16_of_49"]
    assert list(pick_linspace(73, 10)) == golden["linspace_10_of_73"]
    assert list(pick_arange(49, 16)) == golden["arange_16_of_49"]
    one = pick_fps(150, 25, fps=1)
    assert list(one) == golden["decord_150f_25fps_1fps"]["idx"]
    assert [index / 25 for index in one] == golden["decord_150f_25fps_1fps"]["t"]
    bound = pick_fps(150, 25, fps=1, at_most=4)
    assert list(bound) == golden["decord_150f_25fps_upbound4"]["idx"]
    assert [index / 25 for index in bound] == golden["decord_150f_25fps_upbound4"]["t"]
    assert {str(frames): len(pick_interval(frames, 16)) for frames in (100, 160, 161, 250, 300)} == golden[
        "demo_interval_16"
    ]


def test_a_step_gives_fewer_than_asked_as_published() -> None:
    assert pick_step(9, 8) == (0, 2, 4, 6, 8)
    assert pick_step(8, 8) == tuple(range(8))


def test_the_middles_of_stretches() -> None:
    assert pick_middle(81, 4) == (10, 30, 50, 70)


def test_a_rate_above_the_videos_own_takes_every_frame() -> None:
    assert pick_fps(5, 8, fps=100) == (0, 1, 2, 3, 4)
    assert pick_fps(10, 8, fps=8, at_most=4, force=True) == (0, 3, 6, 9)
    assert pick_fps(3, 8, fps=1, at_most=4, force=True) == (0, 0, 1, 2)
    assert pick_fps(3, 8, fps=1, at_most=4) == (0,)


@given(frames=st.integers(1, 5000), count=st.integers(1, 128))
def test_every_way_picks_rising_frames_of_the_video(frames: int, count: int) -> None:
    for name, pick in WAYS.items():
        picked = pick(frames, count)
        assert list(picked) == sorted(picked), name
        assert 0 <= picked[0] <= picked[-1] < frames, name
        if name in {"uniform", "arange"}:
            assert len(picked) == len(set(picked)) == min(frames, count), name
        elif name in {"linspace", "middle"}:
            assert len(picked) == count, name
        elif name == "step":
            assert len(set(picked)) == len(picked) <= count, name
        else:
            assert len(set(picked)) == len(picked) >= min(frames, count), name


@pytest.mark.parametrize(("frames", "count"), [(0, 3), (3, 0), (-1, 1)])
def test_nothing_cannot_be_picked(frames: int, count: int) -> None:
    for pick in WAYS.values():
        with pytest.raises(ValueError, match="at least 1"):
            pick(frames, count)
    with pytest.raises(ValueError, match="above 0"):
        pick_fps(3, 0, fps=1)
