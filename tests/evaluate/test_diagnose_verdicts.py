"""A diagnosis says of canned models what they do, and not what a row alone might mean."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.evaluate.test_diagnose import COLOURS, board, by_name, colour_of, seen_colour, told
from triptych.core.records import Example, ImageRef, Json, Text, Turn, images_of, text_of
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.diagnosis.conditions import choose_conditions
from triptych.evaluate.diagnosis.diagnose import diagnose
from triptych.evaluate.diagnosis.option_bias import lean_p
from triptych.evaluate.diagnosis.outcome import Diagnosis, diagnosis_to_json, lines_of
from triptych.evaluate.page.diagnose_page import write_page
from triptych.evaluate.reading import scorers
from triptych.infer.canned import CannedResponder

UNSEEN = "No evidence of a difference. That says nothing: it was not seen to use its images."


def asked_of(benchmark: Benchmark, folder: Path, say: Callable[[Example], str], *only: str) -> Diagnosis:
    return diagnose(
        benchmark,
        folder,
        responder=CannedResponder(say),
        folder=folder / "diagnosis",
        name="b",
        conditions=choose_conditions(only),
    )


def which_is(folder: Path, count: int) -> Benchmark:
    """Questions whose options are images: "Which image is red? (A) Image 1 (B) Image 2"."""
    folder.mkdir()
    rows = []
    for number in range(count):
        colours = [COLOURS[number % 6], COLOURS[(number + 1 + number // 6 % 5) % 6]]
        images = []
        for place, colour in enumerate(colours):
            path = folder / f"{number}-{place}.png"
            Image.new("RGB", (8, 8), colour).save(path)
            images.append(ImageRef(str(path), (8, 8)))
        right = number % 2
        facts: dict[str, Json] = {"choice": True, "options": ["Image 1", "Image 2"], "right": right, "kind": "which"}
        words = Text(f"Which image is {colours[right]}? (A) Image 1 (B) Image 2")
        turns = (Turn("user", (*images, words)), Turn("assistant", (Text("AB"[right]),)))
        rows.append(Example(f"w{number}", turns, facts=facts))
    return Benchmark(questions=lambda _: rows, score=scorers.correct, chance=chance_of, cite="drawn", about="which")


def test_a_model_that_never_reads_the_number_is_not_told_to_know_which_image_is_which(tmp_path: Path) -> None:
    """It scores less in another order, whether the words are right or wrong."""
    ignores = told(tmp_path, lambda question: colour_of(images_of(question)[0]), "shuffled_wrong", count=60)
    assert [each.condition.name for each in ignores.findings] == ["shuffled_right", "shuffled_wrong"]
    said = by_name(ignores)["shuffled_wrong"]
    told_lower = replace(said, p_holm=0.001, paired=replace(said.paired, difference=-0.3))  # type: ignore[type-var]
    assert told_lower.means == "Another order changes its answers; whether it follows the words is not seen."
    heeds = by_name(told(tmp_path / "sees", seen_colour, "shuffled_wrong"))["shuffled_wrong"]
    assert heeds.means == "It goes by which image the words name: named wrongly, it scores less than named right."
    assert 'Against "Other order, words kept right": −' in heeds.numbers
    assert replace(heeds, confirmed=None).means == told_lower.means


def test_one_wide_picture_is_held_against_the_same_words(tmp_path: Path) -> None:
    """What the words cost, as they change when images stand in front, is not what the merging costs."""

    def thrown_off(question: Example) -> str:
        said = text_of(question.turns[0])
        return scorers.reference_of(question) if said.count("Image") == 3 else "pink"

    benchmark = board(tmp_path / "board", 30)
    rights = {row.id: row for row in benchmark.questions(tmp_path) if isinstance(row, Example)}

    def say(question: Example) -> str:
        return thrown_off(replace(question, turns=(*question.turns, rights[question.id].turns[-1])))

    found = asked_of(benchmark, tmp_path, say, "merged")
    assert [each.condition.name for each in found.findings] == ["in_front", "merged"]
    front, merged = found.findings
    assert (front.verdict, merged.verdict, merged.held) == ("lower", "no evidence of a difference", 30)
    assert merged.paired is not None
    assert merged.paired.difference == 0
    conditions = diagnosis_to_json(found)["conditions"]
    assert isinstance(conditions, dict)
    assert isinstance(conditions["merged"], dict)
    assert (conditions["merged"]["held"], conditions["merged"]["fell"]) == (30, [])
    alone = diagnose(
        benchmark,
        tmp_path,
        responder=CannedResponder(say),
        folder=tmp_path / "alone",
        name="b",
        conditions=[each for each in choose_conditions(["merged"]) if each.name == "merged"],
    )
    assert alone.findings[0].verdict == "not asked"
    assert alone.findings[0].skipped == {"its words change too, and there is no reply to the same words": 30}


def test_what_costs_a_model_nothing_says_nothing_where_it_was_not_seen_to_look(tmp_path: Path) -> None:
    found = by_name(told(tmp_path, lambda question: "red", count=60))
    for name in ("shuffled_right", "in_front", "merged", "jpeg", "half_size"):
        assert found[name].means == UNSEEN, name
    alone = by_name(told(tmp_path / "alone", seen_colour, "jpeg", count=60))["jpeg"]
    assert alone.means.endswith(" Whether it uses its images was not asked.")


@pytest.mark.parametrize("half", [False, True])
def test_a_model_that_chooses_a_place_is_told_so_in_its_row_and_nowhere_else(tmp_path: Path, half: bool) -> None:
    benchmark = which_is(tmp_path / "which", 60)

    def says_a(question: Example) -> str:
        if half and int(question.id.split("#")[0][1:]) % 4 < 2:
            colour = re.findall(r"image is (\w+)", text_of(question.turns[0]))[0]
            place = [colour_of(image) for image in images_of(question)].index(colour) + 1
            return "A" if f"(A) Image {place}" in text_of(question.turns[0]) else "B"
        return "A"

    found = asked_of(benchmark, tmp_path, says_a, "option_order")
    (row,) = found.findings
    assert row.verdict == "leans"
    share = "75" if half else "100"
    told_place = f"A is chosen {share}% of the time, and right 50%"
    assert row.means.startswith(f"It leans on a place: {told_place}.")
    assert found.by_place.p > 0.5
    lines = "\n".join(lines_of(found))
    assert lines.count(told_place) == 2
    assert "Place of the deciding image. No evidence that it matters where it stands" in lines
    assert told_place in write_page(tmp_path / "diagnosis", found).read_text()
    unordered = asked_of(benchmark, tmp_path / "blind", says_a, "jpeg")
    assert not unordered.by_place.scores  # a letter is the place of an image there


def test_a_model_that_chooses_the_option_is_told_that_it_does(tmp_path: Path) -> None:
    (row,) = told(tmp_path, seen_colour, "option_order", count=160).findings
    assert row.means == (
        "No evidence of a difference. It is not seen to prefer a place, and the published order is no easier or harder "
        "for it than others. It chooses the same option in every order in 100%."
    )


def picks(say: Callable[[int, int], int], questions: int) -> list[Sequence[tuple[dict[int, int], int | None]]]:
    """Four options in all rotations; ``say(question, order)`` is the place that is chosen."""
    made: list[Sequence[tuple[dict[int, int], int | None]]] = []
    for number in range(questions):
        orders = [[(place + shift) % 4 for place in range(4)] for shift in range(4)]
        made.append(
            [({it: at for at, it in enumerate(order)}, order[say(number, shift)]) for shift, order in enumerate(orders)]
        )
    return made


def test_a_model_that_guesses_is_rarely_told_to_lean() -> None:
    draw = random.Random(0)
    alone = [str(number) for number in range(30)]
    told_to = [
        lean_p(picks(lambda number, order: draw.randrange(4), 30), clusters=alone, seed=seed) < 0.05
        for seed in range(60)
    ]
    assert sum(told_to) <= 6
    assert lean_p(picks(lambda number, order: 0, 30), clusters=alone, seed=0) < 0.001
    assert lean_p(picks(lambda number, order: -order % 4, 30), clusters=alone, seed=0) == 1.0


def test_the_tests_of_numbers_and_places_are_corrected_among_themselves(tmp_path: Path) -> None:
    found = told(tmp_path, lambda question: colour_of(images_of(question)[0]), "option_order", count=48)
    bias = found.option_bias
    assert bias is not None
    assert found.by_place.p_holm == pytest.approx(3 * found.by_place.p)
    assert bias.p_holm >= bias.p
    assert bias.by_place.p_holm >= bias.by_place.p
