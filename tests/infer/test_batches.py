"""Who is asked with whom: groups share what they say they share, batches keep within their budget, nobody is lost."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from triptych.core.records import ImageRef
from triptych.data.template import Encoded, Slot
from triptych.infer.decoding.batches import alone, group_by_beginning, plan_batches


def prompt(name: str, ids: tuple[int, ...], *images: tuple[int, str]) -> Encoded:
    """A prompt whose images stand at these positions, two tokens each."""
    slots = tuple(Slot(at, at + 2, ImageRef(source)) for at, source in images)
    return Encoded(name, ids, (False,) * len(ids), slots)


prompts_of_few_words = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=12).map(tuple), max_size=20).map(
    lambda rows: [prompt(str(number), ids) for number, ids in enumerate(rows)]
)


@given(prompts_of_few_words)
def test_a_group_shares_what_it_says_and_leaves_each_prompt_something(prompts: list[Encoded]) -> None:
    groups = group_by_beginning(prompts)
    assert sorted(each.id for group in groups for each in group.prompts) == sorted(each.id for each in prompts)
    for group in groups:
        assert group.common[0] == 0
        for before, each, common in zip(group.prompts, group.prompts[1:], group.common[1:], strict=False):
            shorter = min(len(before.ids), len(each.ids))
            assert before.ids[:common] == each.ids[:common]
            assert common < shorter <= 2 * common
            assert common == shorter - 1 or before.ids[common] != each.ids[common], "as much as there is"


def test_questions_on_the_same_images_are_a_group_and_on_others_not() -> None:
    ids = (7, 9, 9, 8, 9, 9)
    first = [prompt(f"a{number}", (*ids, number), (1, "one"), (4, "two")) for number in range(3)]
    other = [prompt(f"b{number}", (*ids, number), (1, "three"), (4, "two")) for number in range(3)]
    groups = group_by_beginning([*first, *other])
    assert {frozenset(each.id for each in group.prompts): group.common for group in groups} == {
        frozenset({"a0", "a1", "a2"}): (0, 6, 6),
        frozenset({"b0", "b1", "b2"}): (0, 6, 6),
    }


def test_an_image_that_is_shown_otherwise_is_another() -> None:
    """LLaVA-OneVision shows a picture alone in tiles, beside others without: more tokens are not the same and more."""
    alone_, beside = (
        Encoded(name, (7, *[9] * span, 8), (False,) * (span + 2), (Slot(1, 1 + span, ImageRef("one")),))
        for name, span in (("alone", 40), ("beside", 50))
    )
    assert [len(group.prompts) for group in group_by_beginning([alone_, beside])] == [1, 1]


def test_images_that_share_a_token_are_all_looked_at() -> None:
    """The second image of each has no token of its own."""
    said, after = (0,) * 10, (1,) * 12
    shown = [prompt(name, said + after, (3, "a")) for name in "xyz"]
    slot = shown[0].slots[0]
    others = [replace(slot, start=slot.stop, image=replace(slot.image, source=name)) for name in "bbc"]
    prompts = [replace(each, slots=(*each.slots, other)) for each, other in zip(shown, others, strict=True)]
    groups = group_by_beginning(prompts)
    assert sorted(sorted(each.id for each in group.prompts) for group in groups) == [["x", "y"], ["z"]]


def test_the_turns_of_one_conversation_are_a_group() -> None:
    turns = [prompt(str(length), tuple(range(1, length + 1))) for length in (20, 26, 32)]
    (group,) = group_by_beginning(turns)
    assert (len(group.prompts), group.common, group.tokens) == (3, (0, 19, 25), 34)


def test_a_common_system_line_makes_no_group() -> None:
    prompts = [prompt(str(number), (1, 2, 3, *range(number * 10, number * 10 + 9))) for number in range(1, 6)]
    assert {len(group.prompts) for group in group_by_beginning(prompts)} == {1}


def test_batches_keep_within_the_budget_and_lose_nothing() -> None:
    rng = random.Random(2)
    prompts = [prompt(str(number), (1,) * rng.randint(1, 90)) for number in range(60)]
    for groups in ([alone(each) for each in prompts], group_by_beginning(prompts)):
        batches = list(plan_batches(groups, budget=200, reply=10))
        for batch in batches:
            rows = sum(len(group.prompts) for group in batch)
            assert rows * (max(group.longest for group in batch) + 10) <= 200 or rows == 1
            assert len({len(group.prompts) == 1 for group in batch}) == 1
        asked = sorted(each.id for batch in batches for group in batch for each in group.prompts)
        assert asked == sorted(each.id for each in prompts)
        assert len(batches) < 40
