"""The drawn data set: deterministic, balanced, unanswerable without its images."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable
from importlib import resources
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
import yaml
from PIL import Image

from triptych.core.records import Example, ImageRef, Text, images_of, text_of
from triptych.starter.questions import ALSO, CATEGORY_WORDS, KINDS, SKILLS, Scene, said
from triptych.starter.scenes import SCENARIOS
from triptych.starter.storyboard import Sizes, draw_storyboard, split_things

SMALL = Sizes(portraits=1, tune=208, held_in=416, held_out=208)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Example]]:
    return draw_storyboard(tmp_path_factory.mktemp("storyboard"), seed=3, sizes=SMALL)


def question_of(example: Example) -> str:
    return text_of(example.turns[-2])


def answer_of(example: Example) -> str:
    return text_of(example.turns[-1])


def test_the_same_seed_draws_the_same_words_and_the_same_pixels(tmp_path: Path) -> None:
    sizes = Sizes(portraits=1, tune=8, held_in=8, held_out=8)

    def digest(folder: Path, seed: int) -> str:
        drawn = draw_storyboard(folder, seed=seed, sizes=sizes)
        words = [text_of(turn) for part in drawn.values() for example in part for turn in example.turns]
        pixels = [path.read_bytes() for path in sorted(folder.rglob("*.png"))]
        return hashlib.sha256("\n".join(words).encode() + b"".join(pixels)).hexdigest()

    assert digest(tmp_path / "a", 1) == digest(tmp_path / "b", 1)
    assert digest(tmp_path / "c", 2) != digest(tmp_path / "a", 1)


def test_every_skill_meets_every_scenario(parts: dict[str, list[Example]]) -> None:
    for name in ("tune", "held_in", "held_out"):
        met = Counter((example.skills[0], example.facts["scenario"]) for example in parts[name])
        assert len(met) == len(SKILLS) * len(SCENARIOS)
        assert max(met.values()) == min(met.values())


def test_conversations_have_2_to_8_images_in_front_and_in_mid_sentence_and_several_turns(
    parts: dict[str, list[Example]],
) -> None:
    examples = parts["tune"] + parts["held_in"] + parts["held_out"]
    counts = {len(images_of(example)) for example in examples}
    assert min(counts) == 2
    assert max(counts) == 8
    assert any(isinstance(example.turns[0].parts[0], ImageRef) for example in examples)
    assert any(isinstance(example.turns[0].parts[0], Text) for example in examples)
    assert {len(example.turns) for example in parts["tune"]} >= {10, 12}
    assert {len(example.turns) for example in parts["held_in"]} == {2, 4}


def test_an_image_that_comes_in_a_later_turn_stands_in_that_turn(parts: dict[str, list[Example]]) -> None:
    late = [example for example in parts["held_in"] if len(example.turns) == 4]
    assert late
    assert all(any(isinstance(part, ImageRef) for part in example.turns[2].parts) for example in late)


def test_held_out_questions_show_things_and_phrases_that_tuning_never_saw(parts: dict[str, list[Example]]) -> None:
    tuned, held_out = (tuple(thing.word for thing in things) for things in split_things(3))
    assert not set(tuned) & set(held_out)
    said = " ".join(text_of(turn) for example in parts["tune"] for turn in example.turns).split()
    assert not set(held_out) & {word.strip(".,:?") for word in said}
    words = yaml.safe_load(resources.files("triptych.starter").joinpath("phrases.yaml").read_text("utf-8"))
    tables = [words["more"], words["choices"], *words["openings"].values(), *words["questions"].values()]
    for table in tables:
        assert not {str(phrase) for phrase in table["tuned"]} & {str(phrase) for phrase in table["held_out"]}


def test_tiles_of_a_large_picture_are_boxes_of_one_file(parts: dict[str, list[Example]]) -> None:
    example = next(example for example in parts["held_in"] if example.facts["scenario"] == "patches")
    images = images_of(example)
    assert len({image.source for image in images}) == 1
    with Image.open(images[0].source) as picture:
        area = sum((r - left) * (b - top) for left, top, r, b in (image.box for image in images if image.box))
        assert area == picture.width * picture.height


def test_a_question_about_a_category_shows_one_thing_that_fits() -> None:
    pool = split_things(3)[0]
    for seed in range(300):
        kind = KINDS["category"]
        scene = Scene(kind.arrange(pool, 5, Random(seed)), ("a", "b", "c", "d", "e"), pool)
        asked = kind.ask(scene, Random(seed))
        category = next(name for name, words in CATEGORY_WORDS.items() if words == asked.words["c"])
        fits = [t for t in scene.things if t.category == category or t.word in ALSO.get(category, ())]
        assert [said(thing) for thing in fits] == [asked.answer]


def test_a_late_question_offers_nothing_that_was_talked_about_before() -> None:
    pool = split_things(3)[0]
    scene = Scene(pool[:5], ("1", "2", "3", "4", "5"), pool, start=3)
    for seed in range(50):
        asked = KINDS["name"].ask(scene, Random(seed))
        assert not {said(thing) for thing in pool[:3]} & {asked.answer, *asked.rivals}


def guess_first_option(example: Example) -> str:
    options = example.facts["options"]
    assert isinstance(options, list)
    return str(options[0]) if options else ""


def guess_last_mentioned_thing(example: Example) -> str:
    words = question_of(example).replace(",", " ").replace(".", " ").replace("?", " ").replace(":", " ").split()
    things = [b for a, b in pairwise(words) if a == "the"]
    return f"the {things[-1]}" if things else ""


def guess_first_mentioned_thing(example: Example) -> str:
    words = question_of(example).replace(",", " ").replace(".", " ").replace("?", " ").replace(":", " ").split()
    things = [b for a, b in pairwise(words) if a == "the"]
    return f"the {things[0]}" if things else ""


GUESSES: dict[str, Callable[[Example], str]] = {
    "yes": lambda example: "yes",
    "no": lambda example: "no",
    "image 1": lambda example: "image 1",
    "frame 2": lambda example: "frame 2",
    "front": lambda example: "the front view",
    "1": lambda example: "1",
    "2": lambda example: "2",
    "first option": guess_first_option,
    "first thing": guess_first_mentioned_thing,
    "last thing": guess_last_mentioned_thing,
}


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("guess", sorted(GUESSES))
def test_no_simple_guess_beats_chance(parts: dict[str, list[Example]], kind: str, guess: str) -> None:
    """The bound is four standard deviations of a fair guess: loose enough to be still, tight enough to find a leak."""
    examples = [example for name in ("tune", "held_in", "held_out") for example in parts[name]]
    examples = [example for example in examples if example.facts["kind"] == kind and len(example.turns) == 2]
    chances = [example.facts["chance"] for example in examples]
    assert all(isinstance(chance, float) for chance in chances)
    expected = sum(float(str(chance)) for chance in chances)
    deviation = math.sqrt(sum(float(str(chance)) * (1 - float(str(chance))) for chance in chances))
    hits = sum(GUESSES[guess](example) == answer_of(example) for example in examples)
    assert hits <= expected + 4 * deviation + 1


def test_a_guesser_that_learns_from_the_words_alone_stays_near_chance(parts: dict[str, list[Example]]) -> None:
    """The nearest tuning question by words gives its answer; on held-in questions that is no better than chance."""
    known = [(set(text_of(example.turns[0]).split()), text_of(example.turns[1])) for example in parts["tune"]]
    asked = [example for example in parts["held_in"] if len(example.turns) == 2]
    hits = 0
    for example in asked:
        words = set(text_of(example.turns[0]).split())
        _, answer = max(known, key=lambda entry: len(words & entry[0]) / len(words | entry[0]))
        hits += answer == answer_of(example)
    chance = sum(float(str(example.facts["chance"])) for example in asked) / len(asked)
    assert hits / len(asked) < chance + 0.05


def test_every_question_has_its_answer_among_those_that_are_possible(parts: dict[str, list[Example]]) -> None:
    free = [example for example in parts["held_in"] + parts["held_out"] if not example.facts["choice"]]
    for example in free:
        answers = example.facts["answers"]
        assert isinstance(answers, list)
        assert answers.count(answer_of(example)) == 1
        assert example.facts["chance"] == 1 / len(answers)


def test_every_question_has_its_answer_among_its_options(parts: dict[str, list[Example]]) -> None:
    chosen = [example for name in ("held_in", "held_out") for example in parts[name] if example.facts["choice"]]
    assert len(chosen) > 50
    for example in chosen:
        options = example.facts["options"]
        assert isinstance(options, list)
        assert options.count(answer_of(example)) == 1
        assert all(str(option) in question_of(example) for option in options)
