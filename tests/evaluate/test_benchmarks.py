"""The benchmarks read their layouts, and a conversation becomes questions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tests.pictures import real_data
from triptych.core.errors import DataError
from triptych.core.plugins import find, names
from triptych.core.records import Example, ImageRef, Json, Text, Turn, images_of
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of, each_reply, without_images
from triptych.evaluate.reading.scorers import reference_of
from triptych.evaluate.running.asked import groups_of

PICTURE = ImageRef("/nowhere.png")


def conversation(facts: dict[str, Json]) -> Example:
    turns = (
        Turn("user", (PICTURE, Text("What?"))),
        Turn("assistant", (Text("a dog"),)),
        Turn("user", (Text("Where is the dog?"), PICTURE)),
        Turn("assistant", (Text("image 2"),)),
    )
    return Example("c", turns, skills=("temporal",), facts=facts)


def test_each_reply_with_facts_is_a_question_with_what_came_before() -> None:
    own: list[Json] = [{"chance": 0.1, "skills": ["co-reference"]}, {"chance": 0.5}]
    first, second = each_reply(conversation({"scenario": "views", "turns": own}))
    assert (first.id, second.id) == ("c/1", "c/2")
    assert (len(first.turns), len(second.turns)) == (2, 4)
    assert (reference_of(first), reference_of(second)) == ("a dog", "image 2")
    assert (chance_of(first), chance_of(second)) == (0.1, 0.5)
    assert (first.skills, second.skills) == (("co-reference",), ("temporal",))
    assert first.facts["story"] == second.facts["story"] == "c"
    assert first.facts["scenario"] == "views"


def test_facts_of_a_whole_conversation_are_about_its_last_reply() -> None:
    (only,) = each_reply(conversation({"chance": 0.5}))
    assert (only.id, reference_of(only), len(only.turns)) == ("c", "image 2", 4)


def test_facts_for_the_wrong_number_of_replies_are_refused() -> None:
    with pytest.raises(DataError, match="2 replies"):
        list(each_reply(conversation({"turns": [{}]})))


@pytest.mark.parametrize("chance", [None, True, -0.1, 1.5, "half"])
def test_a_chance_that_is_none_is_refused(chance: Json) -> None:
    with pytest.raises(DataError, match="chance"):
        chance_of(conversation({"chance": chance}))


def test_blindness_reaches_demonstrations() -> None:
    shown = conversation({})
    blind = without_images(Example("x", shown.turns[:1], demonstrations=(shown,)))
    assert not images_of(blind)
    assert blind.demonstrations[0].turns[0].parts == (Text("What?"),)


@pytest.mark.parametrize("name", names("benchmark"))
def test_a_benchmark_says_what_it_is_and_whose(name: str) -> None:
    benchmark = find("benchmark", name, expected=Benchmark)
    assert benchmark.about
    assert benchmark.cite


def test_storyboard_reads_both_parts_of_a_folder_or_one_file(board: Path) -> None:
    read = find("benchmark", "storyboard", expected=Benchmark).questions
    both = [question for question in read(board) if isinstance(question, Example)]
    assert [question.facts["split"] for question in both] == ["held_in"] * 16 + ["held_out"] * 16
    assert [row.id for row in read(board / "held_out.jsonl") if isinstance(row, Example)] == [
        question.id for question in both[16:]
    ]


def test_a_storyboard_folder_without_a_part_is_refused(board: Path) -> None:
    (board / "held_out.jsonl").unlink()
    with pytest.raises(DataError, match=r"held_out\.jsonl"):
        list(find("benchmark", "storyboard", expected=Benchmark).questions(board))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three statements in Cornell NLVR's layout, in folders 0, 4 and 5."""
    rows = []
    for number, directory in enumerate(("0", "4", "5")):
        place = tmp_path / "nlvr" / "images" / directory / f"dev-{number}-0-0.png"
        place.parent.mkdir(parents=True)
        Image.new("RGB", (400, 100), "grey").save(place)
        row = {"sentence": "There is a box.", "identifier": f"{number}-0", "directory": directory}
        rows.append({**row, "label": "true" if number else "false"})
    (tmp_path / "nlvr" / "dev.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "nlvr"


def test_nlvr_asks_true_or_false_of_three_boxes(corpus: Path) -> None:
    benchmark = find("benchmark", "nlvr", expected=Benchmark)
    rows = list(benchmark.questions(corpus))
    assert not [row for row in rows if isinstance(row, Refused)]
    for question in rows:
        assert isinstance(question, Example)
        boxes = [image.box for image in images_of(question)]
        assert boxes == [(0, 0, 100, 100), (150, 0, 250, 100), (300, 0, 400, 100)]
        assert benchmark.chance(question) == 0.5
        right = reference_of(question)
        wrong = "false" if right == "true" else "true"
        assert benchmark.score(question, f"{right.title()}.") == benchmark.score(question, f"It is {right}") == 1.0
        assert benchmark.score(question, wrong) == benchmark.score(question, "maybe") == 0.0
        assert not benchmark.answered(question, "maybe")


def test_nlvr_holds_a_set_together_and_not_the_words_of_two_sets(corpus: Path) -> None:
    benchmark = find("benchmark", "nlvr", expected=Benchmark)
    rows = [row for row in benchmark.questions(corpus) if isinstance(row, Example)]
    assert len({row.facts["story"] for row in rows}) == 1
    assert groups_of(benchmark, rows) == {"consistency": {"0": 1, "1": 1, "2": 1}}
    real = [row for row in benchmark.questions(real_data("nlvr_dev")) if isinstance(row, Example)]
    sizes = groups_of(benchmark, real)["consistency"]
    assert (len(real), len(sizes), Counter(sizes.values())) == (989, 267, {4: 204, 3: 48, 2: 14, 1: 1})


def test_nlvr_measures_on_the_folders_that_it_is_told(corpus: Path) -> None:
    read = find("benchmark", "nlvr", expected=Benchmark).questions
    chosen = [row for row in read(Path(f"{corpus}#directories=4-5")) if isinstance(row, Example)]
    assert [row.facts["directory"] for row in chosen] == ["4", "5"]
