"""Few shots in context: who is shown, in which order, and what the path says; captions are scored by CIDEr."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.samples.golden import SAMPLES
from triptych.core.errors import ConfigError, DataError
from triptych.core.plugins import find
from triptych.core.records import Example, images_of, text_of
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.metrics.cider import corpus_cider
from triptych.evaluate.question import captions
from triptych.evaluate.question.path_options import split_path
from triptych.evaluate.question.short_answers import answers_of
from triptych.evaluate.reading.scorers import reference_of

NAMES = ("coco_caption", "flickr30k", "vqav2_shots", "okvqa_shots")
every_one = pytest.mark.parametrize("name", NAMES)


def asked(name: str, options: str = "") -> list[Example]:
    rows = list(find("benchmark", name, expected=Benchmark).questions(Path(f"{SAMPLES / name}{options}")))
    assert not [row for row in rows if isinstance(row, Refused)]
    return [row for row in rows if isinstance(row, Example)]


@every_one
@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_path_says_how_many_shots_stand_in_front(name: str, count: int) -> None:
    for question in asked(name, f"#shots={count}"):
        assert len(question.demonstrations) == count == question.facts["shots"]
        assert len(images_of(question)) == count + 1
        for shot in question.demonstrations:
            assert [turn.role for turn in shot.turns] == ["user", "assistant"]
            assert reference_of(shot)


@every_one
def test_shots_are_distinct_rows_of_the_training_split(name: str) -> None:
    test = {question.id for question in asked(name)}
    for question in asked(name):
        shown = [shot.id for shot in question.demonstrations]
        assert len(set(shown)) == len(shown) == 4
        assert test.isdisjoint(shown)


@every_one
def test_shots_depend_on_the_seed_and_the_question_alone(name: str) -> None:
    whole = asked(name)
    assert asked(name) == whole == asked(name, "#seed=42")
    assert asked(name, "#seed=1") != whole
    assert [question.turns for question in asked(name, "#seed=1")] == [question.turns for question in whole]


def test_leaving_a_question_out_changes_no_others_shots(tmp_path: Path) -> None:
    folder = tmp_path / "coco"
    shutil.copytree(SAMPLES / "coco_caption", folder)
    file = folder / "dataset_coco.json"
    told = json.loads(file.read_text())
    whole = list(find("benchmark", "coco_caption", expected=Benchmark).questions(folder))
    del told["images"][0]
    told["images"].append(told["images"].pop(0))  # Another order, too.
    file.write_text(json.dumps(told))
    left = list(find("benchmark", "coco_caption", expected=Benchmark).questions(folder))
    shots = {
        row.id: [text_of(shot.turns[1]) for shot in row.demonstrations] for row in whole if isinstance(row, Example)
    }
    told_of = [row for row in left if isinstance(row, Example)]
    assert len(told_of) == 2
    assert all([text_of(shot.turns[1]) for shot in row.demonstrations] == shots[row.id] for row in told_of)


@every_one
def test_more_shots_than_there_are_rows_is_an_error(name: str) -> None:
    with pytest.raises(DataError, match="too few for 6 shots"):
        asked(name, "#shots=6")


def test_a_question_whose_shot_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "coco"
    shutil.copytree(SAMPLES / "coco_caption", folder)
    for picture in sorted((folder / "train2014").iterdir()):
        picture.unlink()
    rows = list(find("benchmark", "coco_caption", expected=Benchmark).questions(folder))
    assert len(rows) == 3
    assert all(isinstance(row, Refused) and row.reason == "image file missing" for row in rows)
    assert all(isinstance(row, Refused) and "a shot of it" in row.message for row in rows)
    assert len(list(find("benchmark", "coco_caption", expected=Benchmark).questions(Path(f"{folder}#shots=0")))) == 3


def test_a_row_of_no_known_split_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "coco"
    shutil.copytree(SAMPLES / "coco_caption", folder)
    file = folder / "dataset_coco.json"
    told = json.loads(file.read_text())
    told["images"].append({**told["images"][0], "split": "tset"})
    told["images"].append(7)
    file.write_text(json.dumps(told))
    rows = list(find("benchmark", "coco_caption", expected=Benchmark).questions(folder))
    refused = [row.message for row in rows if isinstance(row, Refused)]
    assert len(rows) == 5
    assert ["split is 'tset'" in refused[0], "the row is 7" in refused[1]] == [True, True]


@pytest.mark.parametrize(
    ("name", "said"), [("#shot=4", "no option is called 'shot'"), ("#shots=few", "Write a whole number")]
)
def test_a_wrong_option_is_an_error_that_says_so(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        asked("coco_caption", name)


def test_a_folder_with_the_sign_in_its_name_is_that_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run#3"
    folder.mkdir()
    assert split_path(folder, {"shots": 4}) == (folder, {"shots": 4})
    assert split_path(tmp_path / "a#shots=2#seed=7", {"shots": 4, "seed": 1}) == (
        tmp_path / "a",
        {"shots": 2, "seed": 7},
    )


def test_captions_are_scored_together_as_the_metric_scores_them() -> None:
    questions = asked("coco_caption")
    said = ["A red dog stands there.", reference_of(questions[1]), "nothing of the kind"]
    references = [answers_of(question) for question in questions]
    found = captions.cider(list(zip(questions, said, strict=True)))
    assert found == pytest.approx([score / 10 for score in corpus_cider(references, said)])
    assert found[1] == pytest.approx(1)
    assert 0 < found[0] < 1
    assert captions.cider([]) == []


def test_one_caption_alone_is_scored_without_a_test_around_it() -> None:
    question = asked("coco_caption")[0]
    assert captions.score(question, reference_of(question)) == pytest.approx(1)
    assert 0 < captions.score(question, "A red dog sits.") < 1
    assert captions.score(question, "") == 0
