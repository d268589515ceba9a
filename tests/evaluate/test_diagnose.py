"""A diagnosis finds out what canned models lean on, asks nothing twice, and says so on a page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from tests.evaluate.test_report import Page
from triptych.core.errors import DataError, NotFoundError, RunError
from triptych.core.records import Example, ImageRef, Json, Text, Turn, images_of, text_of
from triptych.data.media.images import load_image
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.diagnosis.conditions import choose_conditions
from triptych.evaluate.diagnosis.diagnose import diagnose
from triptych.evaluate.diagnosis.findings import Finding, ScoredReply
from triptych.evaluate.diagnosis.outcome import Diagnosis, diagnosis_to_json, lines_of, write_diagnosis
from triptych.evaluate.diagnosis.places import by_images, shuffled_p
from triptych.evaluate.page.diagnose_cards import moved_by
from triptych.evaluate.page.diagnose_page import write_page
from triptych.evaluate.reading import scorers
from triptych.infer.canned import CannedResponder

COLOURS = ("red", "green", "blue", "yellow", "black", "white")
ATTACK = "<script>alert(1)</script>"
Say = Callable[[Example], str]


def board(folder: Path, count: int = 24) -> Benchmark:
    """Questions about one of three coloured images, each with pictures of its own; half of them multiple choice."""
    folder.mkdir(parents=True, exist_ok=True)
    asked = []
    for number in range(count):
        colours = [COLOURS[(number + step) % 6] for step in (0, 1, 3)]
        images = []
        for place, colour in enumerate(colours):
            path = folder / f"{number}-{place}.png"
            Image.new("RGB", (24, 16), colour).save(path)
            images.append(ImageRef(str(path), (24, 16)))
        at = number % 3
        options = [colours[at], COLOURS[(number + 2) % 6], COLOURS[(number + 4) % 6]]
        options = options[number % 2 :] + options[: number % 2]
        words = f" Which colour has image {at + 1}?"
        facts: dict[str, Json] = {"kind": "colour", "chance": 1 / 6, "answers": [*COLOURS]}
        if number % 4 < 2:
            words += "".join(f"\n({letter}) {option}" for letter, option in zip("ABC", options, strict=True))
            facts |= {"choice": True, "options": [*options], "chance": 1 / 3}
        parts = [part for k, image in enumerate(images, start=1) for part in (Text(f" Image {k}: "), image)]
        reply = Turn("assistant", (Text(colours[at]),))
        asked.append(Example(f"q{number}", (Turn("user", (*parts, Text(words))), reply), facts=facts))
    return Benchmark(
        questions=lambda _: asked, score=scorers.correct, chance=chance_of, cite="drawn", about="colours <of> images"
    )


def seen_colour(question: Example) -> str:
    """Read the number in the words, look at that image, and name its nearest colour; empty without it."""
    number = int(re.findall(r"image (\d)\?", text_of(question.turns[-1]))[0])
    images = images_of(question)
    return "" if number > len(images) else colour_of(images[number - 1])


def colour_of(image: ImageRef) -> str:
    pixel = np.asarray(load_image(image))[4, 4].astype(int)
    far = {name: int(((pixel - ImageColor.getrgb(name)[:3]) ** 2).sum()) for name in COLOURS}
    nearest = min(far, key=lambda name: far[name])
    return nearest if far[nearest] < 9000 else ""


def told(tmp_path: Path, say: Say, *only: str, count: int = 24, name: str = "canned") -> Diagnosis:
    return diagnose(
        board(tmp_path / "board", count),
        tmp_path,
        responder=CannedResponder(say, name),
        folder=tmp_path / "diagnosis",
        name="colours",
        conditions=choose_conditions(only),
    )


def by_name(found: Diagnosis) -> dict[str, Finding]:
    return {each.condition.name: each for each in found.findings}


def test_a_model_that_sees_needs_its_images_at_their_numbers_and_nothing_else(tmp_path: Path) -> None:
    found = by_name(told(tmp_path, seen_colour))
    for name in ("blind", "wrong_images", "shuffled_wrong", "left_out", "merged"):
        assert found[name].verdict == "lower", name
    for name in ("shuffled_right", "in_front", "option_order", "jpeg", "half_size"):
        assert found[name].verdict == "no evidence of a difference", name
        pair = found[name].paired
        assert pair is not None
        assert (pair.difference, pair.first_better) == (0, 0)
    assert found["interleaved"].verdict == "not asked"
    assert sum(found["interleaved"].skipped.values()) == 24


def test_a_model_that_ignores_images_is_found_out(tmp_path: Path) -> None:
    found = told(tmp_path, lambda question: COLOURS[int(question.id.split("#")[0][1:]) % 6])
    assert found.total.score == pytest.approx(1 / 3, abs=0.1)
    for each in found.findings:
        assert each.verdict in ("no evidence of a difference", "not asked")
        if each.condition.name != "option_order":
            assert not each.replies_changed
    assert found.importance is not None
    assert (found.importance.none, found.importance.one) == (1.0, 0.0)


def test_a_model_that_only_reads_the_first_image_is_found_out(tmp_path: Path) -> None:
    found = told(tmp_path, lambda question: colour_of(images_of(question)[0]) if images_of(question) else "")
    assert found.place_known.startswith("the question's words")
    scores = {place: score.score for place, score in found.by_place.scores.items()}
    assert scores == {1: 1.0, 2: 0.0, 3: 0.0}
    assert found.by_place.p < 0.01
    assert found.importance is not None
    assert {place: score.score for place, score in found.importance.changed.items()} == {1: 1.0, 2: 0.0, 3: 0.0}
    assert by_name(found)["shuffled_wrong"].verdict != "higher"


def test_a_model_that_only_reads_option_places_is_found_out(tmp_path: Path) -> None:
    found = told(tmp_path, lambda question: "A" if "(A)" in text_of(question.turns[-1]) else "red", "option_order")
    bias = found.option_bias
    assert bias is not None
    assert (bias.questions, bias.orders) == (12, 36)
    assert bias.shares == {1: 1.0, 2: 0.0, 3: 0.0}
    assert bias.expected == pytest.approx({1: 1 / 3, 2: 1 / 3, 3: 1 / 3})
    assert (bias.consistent.score, bias.circular.score) == (0.0, 0.0)
    assert bias.by_place.p < 0.01
    seeing = told(tmp_path / "seeing", seen_colour, "option_order").option_bias
    assert seeing is not None
    assert (seeing.consistent.score, seeing.circular.score) == (1.0, 1.0)


def test_nothing_is_asked_twice_and_the_second_page_is_the_first(tmp_path: Path) -> None:
    asked: list[str] = []

    def say(question: Example) -> str:
        asked.append(question.id)
        return seen_colour(question)

    first = told(tmp_path, say)
    page = write_page(tmp_path / "diagnosis", first).read_text()
    count = len(asked)
    again = told(tmp_path, say)
    assert len(asked) == count
    assert diagnosis_to_json(again) == diagnosis_to_json(first)
    assert write_page(tmp_path / "diagnosis", again).read_text() == page


def test_only_what_is_named_is_asked_and_an_unknown_name_is_refused(tmp_path: Path) -> None:
    found = told(tmp_path, seen_colour, "blind", "half_size")
    assert [each.condition.name for each in found.findings] == ["blind", "half_size"]
    assert {each.comparisons for each in found.findings} == {2}
    folders = {path.name for path in (tmp_path / "diagnosis" / "colours").iterdir()}
    assert folders == {"unchanged", "blind", "half_size"}
    with pytest.raises(NotFoundError, match=r"no condition 'blimd'\. There are: blind, "):
        choose_conditions(["blimd"])


def test_p_values_are_corrected_for_all_conditions_that_were_asked(tmp_path: Path) -> None:
    found = told(tmp_path, seen_colour)
    tested = [each for each in found.findings if each.paired is not None]
    assert {each.comparisons for each in tested} == {len(tested)} == {10}
    assert all(each.paired is not None and each.p_holm >= each.paired.p for each in tested)


def test_few_questions_are_never_called_no_difference(tmp_path: Path) -> None:
    found = by_name(told(tmp_path, seen_colour, "jpeg", count=6))["jpeg"]
    assert found.means == "No evidence of a difference, and too few questions to rule one out."
    many = by_name(told(tmp_path / "many", seen_colour, "jpeg", "blind", count=60))["jpeg"]
    assert many.means == "No evidence of a difference. A worse coding costs it nothing that this sees."


def test_the_page_stands_alone_and_escapes_what_models_say(tmp_path: Path) -> None:
    found = told(tmp_path, lambda question: ATTACK if not images_of(question) else seen_colour(question), name=ATTACK)
    page = write_page(tmp_path / "diagnosis", found).read_text()
    read = Page(page)
    assert not read.open
    assert ATTACK not in page
    assert not any(tag == "script" for tag, _ in read.tags)
    asked_for = [given[key] for _, given in read.tags for key in ("src", "href") if key in given]
    assert asked_for
    assert all(str(place).startswith(("data:image/jpeg", "#")) for place in asked_for)
    assert "colours &lt;of&gt; images" in page
    for each in found.findings:
        assert each.condition.title in page
        assert each.means.split(":")[0] in page.replace("&#39;", "'")
    assert page.count("data:image/jpeg;base64,") > 12
    assert "corrected p" in page


def test_a_second_benchmark_is_added_to_the_page_of_the_same_model(tmp_path: Path) -> None:
    folder = tmp_path / "diagnosis"
    for name, responder in (("colours", "one"), ("shapes", "one"), ("others", "two")):
        found = diagnose(
            board(tmp_path / name, 6),
            tmp_path,
            responder=CannedResponder(seen_colour, responder),
            folder=folder,
            name=name,
            conditions=choose_conditions(["blind"]),
        )
        page = write_page(folder, found).read_text()
        wanted = {"colours": {"colours"}, "shapes": {"colours", "shapes"}, "others": {"others"}}[name]
        assert set(re.findall(r'<section id="(\w+)">', page)) == wanted


def test_the_numbers_are_there_for_programs_and_people(tmp_path: Path) -> None:
    found = told(tmp_path, seen_colour)
    written = json.loads(write_diagnosis(tmp_path / "diagnosis", found).read_text())
    assert written["conditions"]["blind"]["paired"]["difference"] == -1.0
    assert len(written["conditions"]["blind"]["fell"]) == 24
    assert written["by_place"]["scores"].keys() == {"1", "2", "3"}
    assert written["option_order"]["consistent"]["score"] == 1.0
    lines = lines_of(found)
    assert lines[0].startswith("colours: 100.0% unchanged")
    assert any("24 questions not asked: images among the words already" in line for line in lines)


def test_a_failed_reply_is_counted_and_not_taken_for_a_wrong_one(tmp_path: Path) -> None:
    replies = {f"q{number}": "red" for number in range(6)}
    benchmark = board(tmp_path / "board", 6)
    found = diagnose(
        benchmark,
        tmp_path,
        responder=CannedResponder(replies),
        folder=tmp_path / "diagnosis",
        name="colours",
        conditions=choose_conditions(["left_out"]),
    )
    [finding] = found.findings
    assert (finding.failed, finding.asked, finding.paired) == (18, 0, None)
    assert "got no reply" in finding.means


def test_where_no_question_has_a_score_nothing_else_is_asked_and_it_is_said_why(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"^colours: none of 4 questions got a score .* The first: no canned reply"):
        diagnose(
            board(tmp_path / "board", 4),
            tmp_path,
            responder=CannedResponder({}),
            folder=tmp_path / "diagnosis",
            name="colours",
            conditions=choose_conditions(["blind", "left_out"]),
        )
    assert [path.name for path in (tmp_path / "diagnosis" / "colours").iterdir()] == ["unchanged"]


def test_a_condition_without_replies_has_a_page_that_says_so(tmp_path: Path) -> None:
    def say(question: Example) -> str:
        if not images_of(question):
            raise DataError("torn")
        return "red"

    found = told(tmp_path, say, "blind", count=4)
    assert found.findings[0].failed == 4
    assert found.findings[0].means.startswith("It was asked and got no reply")
    assert found.findings[0].means in write_page(tmp_path / "diagnosis", found).read_text()


def test_questions_of_one_story_are_no_evidence_of_their_own(tmp_path: Path) -> None:
    def asked(story: int) -> list[ScoredReply]:
        images = tuple(ImageRef(f"{story}-{number}.png") for number in range(2 + story % 2))
        turns = (Turn("user", (*images, Text("What?"))), Turn("assistant", (Text("x"),)))
        facts: dict[str, Json] = {"story": f"{story}", "chance": 0.5}
        return [ScoredReply(Example(f"{story}/{k}", turns, facts=facts), "x", float(story % 2)) for k in range(30)]

    few = [each for story in range(4) for each in asked(story)]
    many = [each for story in range(40) for each in asked(story)[:3]]
    assert by_images(few, chance_of, seed=0).p > 0.1
    assert by_images(many, chance_of, seed=0).p < 0.01


def test_only_a_score_that_goes_past_the_middle_turns_right_into_wrong(tmp_path: Path) -> None:
    def scored(share: float) -> Benchmark:
        return replace(
            board(tmp_path / f"{share}", 4),
            score=lambda question, reply: share if images_of(question) else share - 0.25,
        )

    for share, kind in ((0.6, "right, then wrong"), (0.4, "scored less")):
        found = diagnose(
            scored(share),
            tmp_path,
            responder=CannedResponder(seen_colour),
            folder=tmp_path / kind,
            name="colours",
            conditions=choose_conditions(["blind"]),
        )
        moved = moved_by(found.findings[0].condition, found.unchanged, changed=found.changed["blind"])
        assert {each.kind for each in moved} == {kind}


def test_the_page_can_be_read_aloud(tmp_path: Path) -> None:
    page = Page(write_page(tmp_path / "diagnosis", told(tmp_path, seen_colour)).read_text())
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))
    assert all(given.get("alt") for tag, given in page.tags if tag == "img")
    drawn = [given for tag, given in page.tags if tag == "svg"]
    assert drawn
    assert all(given.get("role") == "img" and given.get("aria-label") for given in drawn)
    assert all(given.get("scope") in ("row", "col") for tag, given in page.tags if tag == "th")


def test_dealing_groups_anew_sees_a_difference_and_none(tmp_path: Path) -> None:
    groups = [number % 4 for number in range(80)]
    assert shuffled_p([float(group == 0) for group in groups], groups, within=None, seed=0) < 0.001
    assert shuffled_p([float(number // 4 % 2) for number in range(80)], groups, within=None, seed=0) > 0.5
    assert shuffled_p([1.0] * 80, groups, within=None, seed=0) == 1.0
    assert shuffled_p([float(group) / 3 for group in groups], groups, within=groups, seed=0) == 1.0


def test_questions_of_one_story_never_lend_each_other_images(tmp_path: Path) -> None:
    benchmark = board(tmp_path / "board", 6)
    asked = [replace(row, facts={**row.facts, "story": "one"}) for row in benchmark.questions(tmp_path)
             if isinstance(row, Example)]  # fmt: skip
    found = diagnose(
        replace(benchmark, questions=lambda _: asked),
        tmp_path,
        responder=CannedResponder(seen_colour),
        folder=tmp_path / "diagnosis",
        name="colours",
        conditions=choose_conditions(["wrong_images"]),
    )
    assert found.findings[0].verdict == "not asked"
