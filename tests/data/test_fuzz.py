"""Broken rows, files and pictures through every reader, in short; ``benchmarks/fuzz.py`` is the long form."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fuzz import Tally, fuzz_files, fuzz_images, fuzz_records
from benchmarks.mutations import line_of, mutated, mutated_bytes, mutated_png, pictures


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("seed", [1, 2])
def test_mutated_rows_are_used_or_refused_with_a_reason(seed: int, tmp_path: Path) -> None:
    tally = Tally()
    fuzz_records(tmp_path, tally, records=400, draw=Random(seed))
    assert tally.faults == []
    assert tally.rows.total() == 400
    assert tally.rows["used"] > 20, "mutations must leave some rows whole, or nothing is tested behind the first check"
    assert len(tally.rows) > 4, "and they must fail in different ways"


def test_mutated_files_are_read_or_refused(tmp_path: Path) -> None:
    tally = Tally()
    fuzz_files(tmp_path, tally, files=80, draw=Random(3))
    assert tally.faults == []
    assert tally.files["read"] > 5
    assert tally.files["refused"] > 5


def test_mutated_pictures_are_shown_or_refused(tmp_path: Path) -> None:
    tally = Tally()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about broken TIFF tags
        fuzz_images(tmp_path, tally, images=160, draw=Random(4))
    assert tally.faults == []
    assert tally.images["image unreadable"] > 20
    assert tally.images["whole"] > 20


def test_a_crash_a_hang_and_a_wrong_size_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import benchmarks.fuzz as fuzz

    def spin(_source: str) -> tuple[int, int]:
        while True:
            pass

    def fall(_source: str) -> tuple[int, int]:
        raise KeyError("a bug")

    for harm in (spin, fall, lambda _source: (1, 2)):
        monkeypatch.setattr(fuzz, "ITEM_S", 0.1)
        monkeypatch.setattr(fuzz, "mutated_bytes", lambda content, _draw: content)
        monkeypatch.setattr(fuzz, "whole_size", harm)
        tally = Tally()
        fuzz_images(tmp_path, tally, images=1, draw=Random(0))
        assert tally.faults


@settings(max_examples=30)
@given(seed=st.integers(0, 1 << 30))
def test_the_same_seed_makes_the_same_harm(seed: int) -> None:
    row = {"id": "x", "images": ["a.png"], "conversation": [{"role": "user", "content": "<image> Hello"}]}
    png = pictures_of_one_kind()
    makers = (
        lambda draw: line_of(mutated(json.loads(json.dumps(row)), draw), draw),
        lambda draw: mutated_bytes(png, draw),
        lambda draw: mutated_png(png, draw),
    )
    for make in makers:
        assert make(Random(seed)) == make(Random(seed))
    assert b"\n" not in line_of(mutated(row, Random(seed)), Random(seed))  # type: ignore[arg-type]


def pictures_of_one_kind(kept: dict[str, bytes] = {}) -> bytes:  # noqa: B006  # made once
    kept.update(kept or {"png": pictures()["plain.png"]})
    return kept["png"]
