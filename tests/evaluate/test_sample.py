"""What is asked under a limit: whole stories from all over the data, of every kind that takes turns in it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.samples.golden import SAMPLES
from triptych.core.plugins import find, names
from triptych.core.records import Example, Text, Turn, images_of
from triptych.core.shard import Shard
from triptych.data.media.locate import exists
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.reading import scorers
from triptych.evaluate.running.run import evaluate
from triptych.evaluate.running.sample import sample, sample_questions
from triptych.infer.canned import CannedResponder


def question(name: str, reply: str, story: str) -> Example:
    turns = (Turn("user", (Text(f"{name}?"),)), Turn("assistant", (Text(reply),)))
    return Example(name, turns, facts={"choice": True, "options": ["Yes", "No"], "story": story})


@pytest.mark.parametrize("limit", [100, 250, 500, 1000])
def test_where_kinds_take_turns_a_limit_asks_all_of_them(limit: int) -> None:
    for period in (2, 4, 5):
        found = Counter(at % period for at in sample(range(3000), limit, story=lambda at: at))
        assert sum(found.values()) == limit
        assert min(found.values()) > 0.6 * limit / period


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(1, 60))
def test_stories_are_asked_whole_in_order_and_until_no_other_fits(sizes: list[int], limit: int) -> None:
    rows = [(story, at) for story, size in enumerate(sizes) for at in range(size)]
    chosen = sample(rows, limit, story=lambda row: row[0])
    assert list(chosen) == sorted(set(chosen))
    if limit >= len(rows):
        assert chosen == rows
    elif limit < min(sizes):
        assert list(chosen) == [(chosen[0][0], at) for at in range(limit)]
    else:
        asked = Counter(story for story, _ in chosen)
        assert all(sizes[story] == count for story, count in asked.items())
        left = [size for story, size in enumerate(sizes) if story not in asked]
        assert len(chosen) <= limit < len(chosen) + min(left)
    assert chosen == sample(rows, limit, story=lambda row: row[0])


@given(st.integers(1, 200), st.integers(1, 200))
def test_of_single_questions_as_many_are_asked_as_the_limit_says_one_of_each_stretch(count: int, limit: int) -> None:
    chosen = sample(range(count), limit, story=lambda at: at)
    assert len(chosen) == min(count, limit)
    for number, at in enumerate(chosen):
        if limit < count:
            assert number * count // limit <= at < (number + 1) * count // limit


def test_stories_that_are_scattered_over_the_data_are_asked_whole() -> None:
    rows = [f"{story}/{turn}" for turn in range(4) for story in range(50)]
    chosen = sample(rows, 40, story=lambda row: row.split("/")[0])
    assert set(Counter(row.split("/")[0] for row in chosen).values()) == {4}
    assert len(chosen) == 40


def test_fewer_questions_than_the_limit_are_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [question(f"{story}{side}", "Yes", str(story)) for story in range(40) for side in "abcd"]
    assert len(sample_questions(rows, 10)) == 8
    assert "--limit 10: 8 questions, whole groups that share images or a story\n" in capsys.readouterr().err
    assert len(sample_questions(rows, 3)) == 3
    assert "--limit 3: the beginning of a group that shares images or a story" in capsys.readouterr().err
    for limit in (None, 8, 160, 1000):
        sample_questions(rows, limit)
    assert capsys.readouterr().err == ""


def test_of_large_groups_single_questions_are_asked_unless_the_total_is_of_pairs_within_them() -> None:
    rows = [question(f"{story} {at}", "Yes", str(story)) for story in range(40) for at in range(30)]
    chosen = sample_questions(rows, 120)
    assert len(chosen) == 120
    assert len({row.id.split()[0] for row in chosen}) == 40
    whole = Counter(row.id.split()[0] for row in sample_questions(rows, 120, whole=True))
    assert list(whole.values()) == [30] * 4


def test_models_parts_and_blind_runs_are_asked_the_same_under_one_limit(tmp_path: Path) -> None:
    rows = [question(str(at), "Yes", f"image {at // 3}") for at in range(90)]
    asks = Benchmark(
        questions=lambda path: rows, score=scorers.correct, chance=chance_of, cite="ours", about="three of each image"
    )

    def asked(name: str, *, blind: bool = False, shard: Shard | None = None) -> list[str]:
        responder, folder = CannedResponder(lambda question: "Yes", name), tmp_path / f"{name}{blind}{shard}"
        evaluate(asks, tmp_path, responder=responder, folder=folder, limit=20, blind=blind, shard=shard)
        return [json.loads(line)["id"] for line in (folder / "items.jsonl").read_text().splitlines()]

    seen = asked("one")
    assert len(seen) == 18
    assert seen == asked("other") == asked("one", blind=True)
    parts = [asked("one", shard=Shard(number, 2)) for number in (1, 2)]
    assert sorted(parts[0] + parts[1]) == sorted(seen)


def test_who_always_says_yes_is_right_half_the_time_under_a_limit_too(tmp_path: Path) -> None:
    rows = [question(str(at), ("Yes", "No")[at % 2], f"image {at // 6}") for at in range(600)]
    asks = Benchmark(
        questions=lambda path: rows, score=scorers.correct, chance=chance_of, cite="ours", about="yes and no in turn"
    )
    yes = CannedResponder(lambda question: "Yes")
    for limit in (60, 120, 300):
        folder = tmp_path / str(limit)
        assert evaluate(asks, tmp_path, responder=yes, folder=folder, limit=limit).total.score == 0.5
    alone = replace(asks, questions=lambda path: [question(row.id, scorers.reference_of(row), row.id) for row in rows])
    found = evaluate(alone, tmp_path, responder=yes, folder=tmp_path / "alone", limit=300).total
    assert 0.4 < found.score < 0.6


PACKED = [
    name
    for name in sorted({*names("benchmark")} - {"nextqa_oe"})  # its score needs WordNet, its pictures are in videos
    if any((SAMPLES / name).rglob("*.parquet")) and not find("benchmark", name, expected=Benchmark).judge
]
"""Benchmarks whose layout has pictures within Parquet."""


@pytest.mark.parametrize("name", PACKED)
def test_only_pictures_of_questions_that_are_asked_are_unpacked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = find("benchmark", name, expected=Benchmark)
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "few"))
    seen: list[Example] = []

    def reply(question: Example) -> str:
        seen.append(question)
        assert all(exists(image.source) for image in images_of(question))
        return "yes"

    evaluate(benchmark, SAMPLES / name, responder=CannedResponder(reply), folder=tmp_path / "run", limit=1)
    shown = {image.source for question in seen for image in images_of(question)}
    kept = {str(path) for path in (tmp_path / "few" / "images").rglob("*") if path.is_file()}
    assert kept == {source for source in shown if "few/images" in source}
