"""Kept replies: found by what was asked of whom, whatever the question is called and wherever its pictures lie."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from triptych.core.errors import DataError
from triptych.core.records import Answer, Example, ImageRef, Text, Turn, VideoRef, images_of
from triptych.infer.answer_cache import AnswerCache, Digests, prompt_key


@pytest.fixture
def question(tmp_path: Path) -> Example:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "red.png")
    Image.new("RGB", (9, 9), "blue").save(tmp_path / "blue.png")
    red, blue = ImageRef(str(tmp_path / "red.png")), ImageRef(str(tmp_path / "blue.png"))
    return Example("q", (Turn("user", (Text("Is "), red, Text(" or "), blue, Text(" red?"))),), facts={"kind": "x"})


def key(question: Example, *, fingerprint: str = "f", max_tokens: int = 8) -> str:
    return prompt_key(question, fingerprint=fingerprint, max_tokens=max_tokens, digests=Digests())


def test_a_reply_is_there_for_the_next_run_and_under_another_name(question: Example, tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "c", "f")
    name = key(question)
    assert cache.get(name, name="q") is None
    cache.put(name, Answer("q", "the first\nof both", tokens_in=7, tokens_out=3, cut=True))
    later = AnswerCache(tmp_path / "c", "f")
    again = replace(question, id="other", facts={}, skills=("s",), origin="elsewhere")
    found = later.get(key(again), name="other")
    assert found == Answer("other", "the first\nof both", tokens_in=7, tokens_out=3, cut=True)


def test_the_key_follows_pixels_words_order_responder_and_length(question: Example, tmp_path: Path) -> None:
    moved = tmp_path / "moved.png"
    moved.write_bytes((tmp_path / "red.png").read_bytes())
    parts = question.turns[0].parts
    blue = parts[3]
    assert isinstance(blue, ImageRef)

    def with_parts(*parts: Text | ImageRef) -> Example:
        return replace(question, turns=(Turn("user", parts),))

    red = ImageRef(str(moved))
    assert key(with_parts(Text("Is "), red, Text(" or "), blue, Text(" red?"))) == key(question)
    others = {
        key(question),
        key(question, fingerprint="g"),
        key(question, max_tokens=9),
        key(with_parts(Text("Is "), blue, Text(" or "), red, Text(" red?"))),
        key(with_parts(Text("Is "), red, blue, Text(" or "), Text(" red?"))),
        key(with_parts(Text("Is "), red, Text(" or "), replace(blue, box=(0, 0, 4, 4)), Text(" red?"))),
        key(with_parts(Text("Is "), red, Text(" or "), replace(blue, resize=(4, 4)), Text(" red?"))),
        key(replace(question, demonstrations=(Example("d", (*question.turns, Turn("assistant", (Text("a"),)))),))),
    }
    assert len(others) == 8
    (tmp_path / "red.png").write_bytes((tmp_path / "blue.png").read_bytes())
    assert key(question) not in others


def test_the_key_tells_frames_of_a_video_from_pictures_wherever_it_lies(question: Example) -> None:
    first, second = images_of(question)

    def with_videos(*names: str) -> str:
        shown = (replace(image, video=name) for image, name in zip((first, second), names, strict=True))
        return key(replace(question, turns=(Turn("user", (*shown, Text("?"))),)))

    assert with_videos("/a/film.mp4", "/a/film.mp4") == with_videos("/b.mp4", "/b.mp4")
    assert with_videos("/a.mp4", "/b.mp4") == with_videos("/b.mp4", "/a.mp4")
    assert len({with_videos("", ""), with_videos("v", "v"), with_videos("v", "w"), with_videos("v", "")}) == 4


def test_the_key_of_a_folder_of_frames_follows_every_frame(tmp_path: Path) -> None:
    for place in ("film", "moved"):
        (tmp_path / place).mkdir()
        for number in range(3):
            Image.new("RGB", (8, 8), (number * 20, 0, 0)).save(tmp_path / place / f"frame_{number}.png")

    def of(place: str) -> str:
        return key(Example("q", (Turn("user", (VideoRef(str(tmp_path / place)), Text("?"))),)))

    before = of("film")
    assert of("moved") == before
    (tmp_path / "film" / "notes.txt").write_text("not shown")
    assert of("film") == before
    Image.new("RGB", (8, 8), "white").save(tmp_path / "film" / "frame_1.png")
    assert of("film") != before
    (tmp_path / "moved" / "frame_2.png").unlink()
    assert of("moved") not in {before, of("film")}


def test_a_responder_never_sees_the_replies_of_another(question: Example, tmp_path: Path) -> None:
    one = AnswerCache(tmp_path, "one")
    one.put(key(question, fingerprint="one"), Answer("q", "yes"))
    assert AnswerCache(tmp_path, "other").get(key(question, fingerprint="other"), name="q") is None
    assert AnswerCache(tmp_path, "other").get(key(question, fingerprint="one"), name="q") is None


def write_many(folder: Path, process: int) -> None:
    cache = AnswerCache(folder, "f")
    for number in range(50):
        cache.put(f"{process}-{number}", Answer("x", f"reply {number} of {process} " + "word " * 200))


def test_several_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=write_many, args=(tmp_path, process)) for process in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    cache = AnswerCache(tmp_path, "f")
    for process in range(3):
        for number in range(50):
            found = cache.get(f"{process}-{number}", name="x")
            assert found is not None
            assert found.text.startswith(f"reply {number} of {process} ")


def test_a_torn_last_line_is_left_out_and_a_foreign_line_is_named(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path, "f")
    cache.put("a", Answer("x", "whole"))
    (file,) = tmp_path.glob("*/*.jsonl")
    with file.open("a") as open_file:
        open_file.write('{"key": "b", "reply": "to')
    found = AnswerCache(tmp_path, "f")
    assert (found.get("a", name="x"), found.get("b", name="x")) == (Answer("x", "whole"), None)
    (file.parent / "foreign.jsonl").write_text('{"key": 3}\n')
    with pytest.raises(DataError, match=r"foreign\.jsonl: line 1"):
        AnswerCache(tmp_path, "f")


def test_a_picture_is_read_once(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "red.png")
    digests = Digests()
    first = digests.of(str(tmp_path / "red.png"))
    (tmp_path / "red.png").unlink()
    assert digests.of(str(tmp_path / "red.png")) == first
    assert "missing" in digests.of(str(tmp_path / "gone.png"))
