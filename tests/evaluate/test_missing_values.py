"""Rows of test files with nothing where an answer, an option or a time should be: refused, and nothing is made up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.samples.sized import draw, write_json, write_video
from triptych.core.plugins import find
from triptych.core.records import Example, images_of, text_of
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.reading.scorers import options_of, reference_of

NAN, INFINITY, HUGE = float("nan"), float("inf"), 10**400


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))


def read(name: str, path: Path) -> Example | Refused:
    (row,) = find("benchmark", name, expected=Benchmark).questions(path)
    return row


def asked(name: str, folder: Path, answer: object) -> Example | Refused:
    """Return the question of a folder with one row of this answer."""
    image = draw(folder, "images/a.png", 0, 0)
    match name:
        case "mirb":
            row = {"images": [image], "questions": "Which place?", "answers": answer}
            write_json(folder / "sightseeing.json", [row])
            return read(name, folder)
        case "remi":
            task = {"task": "Charts", "question": "<image1> How many?", "label": answer, "image_1": image}
            write_json(folder / "test.json", [task])
            return read(name, folder)
    instance = {"context": "{image#1} What is it?", "images_path": ["a.png"]}
    held = {"sample_id": 1, "task_instruction_id": 0, "task_instance": instance, "response": answer}
    write_json(folder / "Set.json", {"meta_data": {"task_instruction": ["Look."]}, "data": [held]})
    return read(name, folder / "Set.json")


@pytest.mark.parametrize("name", ["mirb", "remi", "milebench"])
@pytest.mark.parametrize("answer", [None, NAN, True, ["Rome", "Roma"], {"a": 1}, ""])
def test_an_answer_that_is_not_there_or_no_text_refuses_the_row(name: str, answer: object, tmp_path: Path) -> None:
    assert isinstance(asked(name, tmp_path, answer), Refused)


@pytest.mark.parametrize("name", ["mirb", "remi", "milebench"])
@pytest.mark.parametrize(("answer", "meant"), [("Rome", "Rome"), (3, "3"), (3.0, "3"), (2.5, "2.5")])
def test_an_answer_that_is_a_number_is_read_as_people_write_it(
    name: str, answer: object, meant: str, tmp_path: Path
) -> None:
    question = asked(name, tmp_path, answer)
    assert isinstance(question, Example)
    assert reference_of(question) == (json.dumps({"answer": meant}) if name == "remi" else meant)
    assert find("benchmark", name, expected=Benchmark).score(question, reference_of(question)) == pytest.approx(1)


@pytest.mark.parametrize("nothing", [None, NAN, "N/A"])
def test_an_option_of_qbench2_that_is_not_there_is_none(nothing: object, tmp_path: Path) -> None:
    images = {f"image{number}": draw(tmp_path, f"{number}.png", 0, number) for number in (1, 2)}
    kinds = {"question_type": 0, "question_concern": 0, "correct_choice": "B"}
    options = {"option0": "Left", "option1": 2.0, "option2": nothing, "option3": nothing}
    write_json(tmp_path / "test.json", [{"id": "q", "question": "Which?", **images, **kinds, **options}])
    question = read("qbench2", tmp_path / "test.json")
    assert isinstance(question, Example)
    assert options_of(question) == ("Left", "2")
    assert "(C)" not in text_of(question.turns[0])


@pytest.mark.parametrize(("held", "options"), [(None, 2), (NAN, 2), ("nan", 2), (3.0, 3), (["x"], 0)])
def test_an_option_of_mmbench_is_a_text_a_number_or_none(held: object, options: int, tmp_path: Path) -> None:
    image = draw(tmp_path, "a.png", 0, 0)
    row = {"index": 1, "question": "Which?", "image": image, "A": "x", "B": "y", "C": held, "answer": "A"}
    (tmp_path / "dev.jsonl").write_text(json.dumps(row))
    question = read("mmbench", tmp_path / "dev.jsonl")
    assert (len(options_of(question)) if isinstance(question, Example) else 0) == options
    assert not isinstance(question, Example) or ("C. 3" in text_of(question.turns[0])) == (options == 3)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        *((NAN, 2.0), (0.0, NAN), (0.0, INFINITY), (-INFINITY, 2.0), (HUGE, HUGE), (-1e308, -1e308), (0.0, -0.1)),
        *((1e308, 1e308), (2.0, 1.0), (30.0, 31.0), (False, True), ("0", "1"), (None, None)),
    ],
    ids=lambda value: repr(value)[:9],
)
def test_a_part_of_a_video_that_is_none_refuses_the_row(start: object, end: object, tmp_path: Path) -> None:
    assert isinstance(_part(tmp_path, start, end), Refused)


@pytest.mark.parametrize(("start", "end"), [(0.0, 99.0), (-1.0, 1e308), (1, 2), (1.5, 1.5)])
def test_a_part_of_a_video_ends_where_the_video_does(start: object, end: object, tmp_path: Path) -> None:
    question = _part(tmp_path, start, end)
    assert isinstance(question, Example)
    taken = [int(image.source.rpartition("=")[2]) for image in images_of(question)]
    assert taken == sorted(taken)
    assert len(taken) == 8


def _part(folder: Path, start: object, end: object) -> Example | Refused:
    write_video(folder / "video/star/Charades_v1_480/a.mp4", frames=31, fps=10)
    row = {"video": "a.mp4", "question": "?", "candidates": ["x", "y"], "answer": "y", "start": start, "end": end}
    write_json(folder / "json/action_sequence.json", [row])
    return read("mvbench", folder / "json/action_sequence.json")


@pytest.mark.parametrize("number", [NAN, INFINITY, HUGE, True, None, "1"], ids=lambda value: repr(value)[:9])
@pytest.mark.parametrize("name", ["genai_bench", "evalcrafter"])
def test_what_people_prefer_is_a_number_that_is_one(name: str, number: object, tmp_path: Path) -> None:
    draw(tmp_path, "0000_left/0.png", 0, 0)
    said = [{"from": "human", "value": 'the text prompt is "a dog",\nall'}]
    row = {"id": "0000_left", "images": ["0.png"], "conversations": said}
    held = {"preference": number, "score_list": [1, 2, number]}
    (tmp_path / "test.jsonl").write_text(json.dumps({**row, **held}))
    assert isinstance(read(name, tmp_path), Refused)
