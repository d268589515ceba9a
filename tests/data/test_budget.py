"""Whatever the budget: images are never cut, never parted from their words, and cost what was planned."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pictures import draw
from tests.toys import NUMBERED, encode, talk, toy_tokenizer
from triptych.core.records import Example, ImageRef, Text, VideoRef, images_of, text_of
from triptych.data.format import Refused
from triptych.data.media.images import load_image, measure
from triptych.data.plan.budget import NO_COST, OVER_BUDGET, UNCUT_VIDEO, WORDS_REFER, Budget, Fitted, fit
from triptych.data.plan.costs import Cost, Fixed, Merged, Patches
from triptych.data.plan.costs_tiled import AnyRes, Split, Tiles
from triptych.data.template import Template, find_template

TOKENIZER = toy_tokenizer()
CHATML = find_template("chatml")
NEXT = AnyRes(
    tile_px=64,
    tile_patches=4,
    grids=tuple((64 * columns, 64 * rows) for columns, rows in itertools.product(range(1, 4), repeat=2)),
    view=16,
    most_tiles=4,
    among_others=17,
)
COSTS: tuple[Cost, ...] = (
    Fixed(9),
    NEXT,
    replace(NEXT, among_others=None),
    Split(longest_px=256, tile_px=64, tile_tokens=3),
    Patches(patch_px=30, limit=(300, 210)),
    Merged(),
    Tiles(tile=(64, 64), tile_tokens=5),
)
SAID = ("What is it?", "A cat.", "Image 2 shows it.", "the last image", "See the left image", "x " * 40, "")
NUMBERS = itertools.count()


def image(width: int, height: int, name: str | None = None) -> ImageRef:
    return ImageRef(f"/pictures/{next(NUMBERS) if name is None else name}.png", (width, height))


def chat(*pairs: tuple[list[str | ImageRef], str], system: str = "") -> Example:
    turns = [turn for said, reply in pairs for turn in (("user", said), ("assistant", [reply]))]
    front = [("system", [system])] if system else []
    return talk(*front, *turns)  # type: ignore[arg-type]


def count_text(template: Template = CHATML) -> object:
    def count(example: Example) -> int:
        return len(encode(example, template, TOKENIZER, cost=lambda _: 1).ids) - len(images_of(example))

    return count


def fitted(example: Example, budget: Budget, *, cost: Cost, template: Template = CHATML) -> Fitted | Refused:
    numbered = "{k}" in template.image_before
    return fit(example, budget, cost=cost, count_text=count_text(template), numbered=numbered)  # type: ignore[arg-type]


def spans(example: Example, cost: Cost) -> list[int]:
    among = cost.among(len(images_of(example)))
    return [among.span(image.size or (0, 0)) for image in images_of(example)]


sizes = st.tuples(st.integers(1, 400), st.integers(1, 400))
parts = st.lists(st.one_of(st.sampled_from(SAID), sizes.map(lambda size: image(*size))), max_size=4)
pairs = st.tuples(parts, st.sampled_from(SAID[1:4]))
examples = st.builds(
    lambda said, system, shown: replace(
        chat(*said, system=system), demonstrations=tuple(replace(chat(each), id="shown") for each in shown)
    ),
    st.lists(pairs, min_size=1, max_size=4),
    st.sampled_from(["", "You look."]),
    st.lists(pairs, max_size=2),
)
limits = st.one_of(st.none(), st.integers(0, 1500))
budgets = st.builds(
    Budget,
    image_tokens=limits,
    images_tokens=limits,
    example_tokens=limits,
    least_side_px=st.sampled_from([None, 1, 20, 100]),
)


@settings(max_examples=300)
@given(example=examples, budget=budgets, cost=st.sampled_from(COSTS), template=st.sampled_from([CHATML, NUMBERED]))
def test_no_budget_whatever_leads_to_a_mismatch_between_placeholders_and_features(
    example: Example, budget: Budget, cost: Cost, template: Template
) -> None:
    result = fitted(example, budget, cost=cost, template=template)
    if isinstance(result, Refused):
        assert result.reason in {OVER_BUDGET, WORDS_REFER, NO_COST}
        return
    made = result.example
    expected = spans(made, cost)
    waiting = iter(expected)
    encoded = encode(made, template, TOKENIZER, cost=lambda _: next(waiting))
    assert [slot.stop - slot.start for slot in encoded.slots] == expected
    mark = TOKENIZER.convert_tokens_to_ids("<image>")
    assert encoded.ids.count(mark) == sum(expected)
    assert len(encoded.ids) <= (budget.example_tokens if budget.example_tokens is not None else len(encoded.ids))
    assert sum(expected) <= (budget.images_tokens if budget.images_tokens is not None else sum(expected))
    assert all(span <= (budget.image_tokens if budget.image_tokens is not None else span) for span in expected)


@settings(max_examples=300)
@given(example=examples, budget=budgets, cost=st.sampled_from(COSTS))
def test_what_stays_is_whole(example: Example, budget: Budget, cost: Cost) -> None:
    result = fitted(example, budget, cost=cost, template=NUMBERED)
    if isinstance(result, Refused):
        return
    made, acts = result.example, [act["act"] for act in result.acts]
    assert acts == sorted(set(acts))  # "shortened" comes before "shrunk", each once at most.
    gone = len(example.turns) - len(made.turns)
    assert gone % 2 == 0
    fewer = len(made.demonstrations) < len(example.demonstrations)
    assert ("shortened" in acts) == (gone > 0 or fewer)
    assert gone == 0 or not made.demonstrations
    assert [turn.role for turn in made.turns if turn.role == "system"] == [
        turn.role for turn in example.turns if turn.role == "system"
    ]
    kept = [turn for turn in example.turns if turn.role != "system"][gone:]
    for turn, before in zip([turn for turn in made.turns if turn.role != "system"], kept, strict=True):
        assert [type(part) for part in turn.parts] == [type(part) for part in before.parts]
    old = images_of(example)[len(images_of(example)) - len(images_of(made)) :]
    floor = budget.least_side_px or 56
    for small, full in zip(images_of(made), old, strict=True):
        assert (small.source, small.box) == (full.source, full.box)
        assert small.size is not None
        assert full.size is not None
        assert small.resize == (None if small.size == full.size else small.size)
        assert min(small.size) >= min(floor, min(full.size))
        assert small.size[0] <= full.size[0]
        assert small.size[1] <= full.size[1]
    assert ("shrunk" in acts) == any(image.resize for image in images_of(made))


@given(rows=st.lists(st.tuples(examples, budgets), max_size=12), cost=st.sampled_from(COSTS))
def test_used_and_shrunk_and_shortened_and_refused_are_all(rows: list[tuple[Example, Budget]], cost: Cost) -> None:
    results = [fitted(example, budget, cost=cost) for example, budget in rows]
    counts = Counter("refused" if isinstance(result, Refused) else result.outcome for result in results)
    assert counts.total() == len(rows)
    assert counts.keys() <= {"used", "shrunk", "shortened", "refused"}
    for (example, _), result in zip(rows, results, strict=True):
        if isinstance(result, Fitted):
            assert (result.outcome == "used") == (result.example == example) == (result.acts == ())
            assert all(act["id"] == example.id and act["message"] for act in result.acts)
        else:
            assert example.id in result.message


def test_images_are_shrunk_together_before_any_turn_goes() -> None:
    example = chat((["Which?", image(560, 280)], "This."), (["And now?", image(280, 280), image(57, 57)], "That."))
    assert spans(example, Merged()) == [200, 100, 4]
    result = fitted(example, Budget(images_tokens=120), cost=Merged())
    assert isinstance(result, Fitted)
    assert result.outcome == "shrunk"
    assert len(result.example.turns) == 4
    wide, square, small = (image.size or (0, 0) for image in images_of(result.example))
    assert wide == (2 * wide[1], wide[1])
    assert wide[1] == square[0] == square[1]
    assert small == (56, 56)  # The floor.
    assert 100 < sum(spans(result.example, Merged())) <= 120
    (act,) = result.acts
    assert act == {
        "id": "talk",
        "act": "shrunk",
        "message": f"3 of 3 images made smaller: 304 image tokens before, {sum(spans(result.example, Merged()))} after",
    }


def test_early_turns_go_with_their_images_and_the_rest_has_its_full_size_back() -> None:
    first, second, third = image(560, 560), image(280, 280), image(280, 280)
    example = chat(
        (["First.", first], "Yes."), (["Then.", second], "No."), (["Last.", third], "So."), system="Look well."
    )
    result = fitted(example, Budget(images_tokens=100, least_side_px=280), cost=Merged())
    assert isinstance(result, Fitted)
    assert [text_of(turn) for turn in result.example.turns] == ["Look well.", "Last.", "So."]
    assert images_of(result.example) == (third,)
    assert result.outcome == "shortened"
    assert [act["message"] for act in result.acts] == ["left out in front: 0 demonstrations, 4 turns, 2 images"]


def test_demonstrations_go_before_the_conversations_own_turns() -> None:
    shown = tuple(replace(chat((["See", image(300, 300)], "A.")), id=f"shown-{number}") for number in range(3))
    example = replace(chat((["Own", image(300, 300)], "B."), (["Last", image(300, 300)], "C.")), demonstrations=shown)
    result = fitted(example, Budget(images_tokens=30), cost=Fixed(9))
    assert isinstance(result, Fitted)
    assert [each.id for each in result.example.demonstrations] == ["shown-2"]
    assert len(result.example.turns) == 4


def test_words_alone_may_be_too_many() -> None:
    example = chat((["word " * 300], "Yes."), (["Short?"], "Yes."))
    result = fitted(example, Budget(example_tokens=60), cost=Fixed(9))
    assert isinstance(result, Fitted)
    assert [text_of(turn) for turn in result.example.turns] == ["Short?", "Yes."]
    refused = fitted(chat((["word " * 300], "Yes.")), Budget(example_tokens=60), cost=Fixed(9))
    assert isinstance(refused, Refused)
    assert refused.reason == OVER_BUDGET
    assert "over the budget (example_tokens 60): its 0 images" in refused.message


def test_images_of_one_cost_are_not_shrunk_in_vain() -> None:
    example = chat((["See", image(800, 800), image(800, 800)], "Yes."))
    for cost in (Fixed(9), Split(longest_px=256, tile_px=64, tile_tokens=3)):
        refused = fitted(example, Budget(images_tokens=17), cost=cost)
        assert isinstance(refused, Refused)
        assert refused.reason == OVER_BUDGET
        assert "which this model's images cannot do" in refused.message


@pytest.mark.parametrize(
    ("said", "template", "now"),
    [
        ("Compare image 2 with Image 3.", NUMBERED, "Compare image 1 with Image 2."),
        ("the second picture and the last image", NUMBERED, "the first picture and the last image"),
        ("Is it a cat?", NUMBERED, "Is it a cat?"),
        ("Is it a cat?", CHATML, "Is it a cat?"),
        ("the last image?", CHATML, "the last image?"),
        ("Compare it with image 1.", NUMBERED, None),
        ("Is it the first image?", CHATML, None),
        ("Compare it with the previous image.", NUMBERED, None),
        ("Compare image 2 with image 3.", CHATML, None),
    ],
)
def test_words_that_count_images_follow_or_the_row_is_refused(said: str, template: Template, now: str | None) -> None:
    example = chat((["First.", image(9, 9)], "Yes."), ([image(9, 9), image(9, 9), said], "So."))
    result = fitted(example, Budget(images_tokens=20), cost=Fixed(9), template=template)
    if now is None:
        assert isinstance(result, Refused)
        assert result.reason == WORDS_REFER
        assert "fits once early turns are left out, but the words" in result.message
    else:
        assert isinstance(result, Fitted)
        assert result.example.turns[0].parts[-1] == Text(now)
        assert ("numbers follow" in str(result.acts[0]["message"])) == (said != now)


def test_words_do_not_matter_where_the_turns_that_go_have_no_images() -> None:
    example = chat((["word " * 300], "Yes."), ([image(9, 9), image(9, 9), "Compare image 1 with image 2."], "So."))
    result = fitted(example, Budget(example_tokens=100), cost=Fixed(9))
    assert isinstance(result, Fitted)
    assert result.outcome == "shortened"
    assert text_of(result.example.turns[0]) == "Compare image 1 with image 2."


def test_one_image_left_of_several_costs_what_it_costs_alone() -> None:
    alone, among = NEXT.span((192, 192)), NEXT.among(2).span((192, 192))
    assert (alone, among) == (88, 17)
    example = chat((["First.", image(192, 192)], "Yes."), (["Last.", image(192, 192)], "So."))
    result = fitted(example, Budget(images_tokens=33, least_side_px=192), cost=NEXT)
    assert isinstance(result, Refused)  # Without the first, the last alone would be cut in tiles.
    result = fitted(example, Budget(images_tokens=33, least_side_px=30), cost=NEXT)
    assert isinstance(result, Refused)
    assert isinstance(fitted(example, Budget(images_tokens=34), cost=NEXT), Fitted)


def test_a_picture_that_the_model_refuses_is_named() -> None:
    thin = image(2, 900, name="thin")
    for cost, said in ((Merged(), "more than 200 times"), (Patches(), "nothing is left of 1x9000")):
        shape = thin if isinstance(cost, Merged) else image(1, 9000, name="thin")
        refused = fitted(chat((["See", image(9, 9), shape], "Yes.")), Budget(), cost=cost)
        assert isinstance(refused, Refused)
        assert refused.reason == NO_COST
        assert "/pictures/thin.png: " in refused.message
        assert said in refused.message


def test_a_video_must_be_frames_before() -> None:
    refused = fitted(talk(("user", [VideoRef("/v.mp4"), "What?"]), ("assistant", "A dog.")), Budget(), cost=Fixed(9))
    assert isinstance(refused, Refused)
    assert refused.reason == UNCUT_VIDEO


def test_a_shrunk_image_is_loaded_at_the_size_that_was_planned(tmp_path: Path) -> None:
    ref = measure(draw(tmp_path / "a.png", size=(301, 203)))
    boxed = measure(replace(ref, box=(1, 2, 300, 100)))
    result = fitted(chat((["See", ref, boxed], "Yes.")), Budget(images_tokens=30, least_side_px=28), cost=Merged())
    assert isinstance(result, Fitted)
    assert result.outcome == "shrunk"
    for made in images_of(result.example):
        assert load_image(made).size == made.size == made.resize == measure(made).size


def test_the_budget_of_a_data_set_keeps_within_that_of_the_run() -> None:
    run = Budget(image_tokens=100, example_tokens=4000)
    own = Budget(image_tokens=200, images_tokens=900, least_side_px=28)
    expected = Budget(image_tokens=100, images_tokens=900, example_tokens=4000, least_side_px=28)
    assert own.within(run) == run.within(own) == expected
    assert Budget().within(run) == run


def test_fitting_takes_the_same_way_each_time() -> None:
    random = Random(3)
    said = [([image(random.randint(60, 900), random.randint(60, 900)), "See"], "Yes.") for _ in range(6)]
    first, second = (fitted(chat(*said), Budget(images_tokens=700), cost=Merged()) for _ in range(2))
    assert first == second
    assert isinstance(first, Fitted)
    assert sum(spans(first.example, Merged())) > 600  # Not far below what there is room for.
