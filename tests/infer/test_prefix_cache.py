"""Beginnings that are known: how much of a prompt they are, and which of it can be taken over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.pictures import draw_pictures
from tests.toys import toy_images
from triptych.core.records import ImageRef
from triptych.data.template import Encoded, Slot
from triptych.infer.decoding.batches import common_prefix
from triptych.infer.engine.prefix_cache import (
    LEAST_TOKENS,
    CachedPrefix,
    PrefixCache,
    PromptKeys,
    rest_of,
    usable,
)
from triptych.infer.engine.slots import PrefixKV

NOTHING = PrefixKV((), ())
TOKENS = st.lists(st.integers(0, 2), max_size=12).map(tuple)


def prompt_of(length: int, *slots: tuple[int, int]) -> Encoded:
    images = toy_images(len(slots))
    placed = tuple(Slot(start, stop, image) for (start, stop), image in zip(slots, images, strict=True))
    return Encoded("one", tuple(range(length)), (False,) * length, placed)


def known(key: Sequence[int]) -> CachedPrefix:
    return CachedPrefix(tuple(key), tuple(range(1, len(key) + 1)), NOTHING)


@given(one=TOKENS, other=TOKENS)
def test_what_is_common_is_the_longest_common_beginning(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    found = common_prefix(one, other)
    assert one[:found] == other[:found]
    assert found == min(len(one), len(other)) or one[found] != other[found]


@pytest.mark.parametrize(
    ("found", "alone", "beside"),
    [
        (30, 29, 29),  # one token is left to be computed
        (25, 25, 25),
        (21, 20, 10),  # within the last of three images that follow one another
        (20, 20, 10),
        (14, 10, 10),
        (10, 10, 10),
        (LEAST_TOKENS - 1, 0, 0),
    ],
)
def test_no_cut_is_within_an_image_nor_where_images_are_one_medium_behind_one(
    found: int, alone: int, beside: int
) -> None:
    prompt = prompt_of(30, (10, 15), (15, 20), (20, 24))
    assert usable(prompt, found) == alone
    assert usable(prompt, found, cross_attends=True) == beside


def test_images_that_share_a_token_all_tell_prompts_apart(tmp_path: Path) -> None:
    first, second, third = draw_pictures(tmp_path, 3)
    known = PromptKeys()
    keys = []
    for shown in ((first, second), (first, third), (first,), (second, first), (first, second)):
        slots = (Slot(3, 4, shown[0]), *(Slot(4, 4, image) for image in shown[1:]))
        keys.append(known.key(Encoded("one", tuple(range(9)), (False,) * 9, slots)))
    assert len(set(keys)) == 4
    assert keys[0] == keys[4]


def test_no_cut_parts_images_that_share_a_token() -> None:
    prompt = prompt_of(30, (10, 11), (11, 11), (11, 11), (20, 21), (21, 21))
    assert usable(prompt, 11, cross_attends=True) == 10
    assert usable(prompt, 12, cross_attends=True) == 12
    assert [(slot.start, slot.stop) for slot in rest_of(prompt, 12).slots] == [(8, 9), (9, 9)]


def test_the_rest_of_a_prompt_has_its_images_where_they_are() -> None:
    prompt = prompt_of(30, (10, 15), (20, 24))
    rest = rest_of(prompt, 15)
    assert rest.ids == prompt.ids[15:]
    assert [(slot.start, slot.stop, slot.image) for slot in rest.slots] == [(5, 9, prompt.slots[1].image)]
    assert rest_of(prompt, 0) == prompt


@given(keys=st.lists(TOKENS.filter(bool), max_size=10), asked=TOKENS, most=st.integers(0, 30))
def test_what_is_found_is_the_most_of_what_is_kept(
    keys: list[tuple[int, ...]], asked: tuple[int, ...], most: int
) -> None:
    prefixes = PrefixCache(most)
    kept: list[tuple[int, ...]] = []
    for key in keys:
        if room := prefixes.tokens_to_keep(key):
            prefixes.add(known(key[:room]))
            kept.append(key[:room])
        assert prefixes.tokens <= most
    best, found = prefixes.find(asked)
    assert found <= max((common_prefix(asked, key) for key in kept), default=0)
    if best is not None:
        assert common_prefix(asked, best.key) == found > 0
        assert prefixes.find(asked, over=found) == (None, 0)


def test_a_longer_beginning_takes_the_place_of_those_it_begins_with() -> None:
    prefixes = PrefixCache(100)
    prefixes.add(known([1, 2, 3]))
    prefixes.add(known([1, 2, 3, 4, 5]))
    assert prefixes.tokens == 5
    assert prefixes.tokens_to_keep((1, 2)) == 0, "known already"
    assert prefixes.tokens_to_keep((1, 2, 4)) == 3


def test_pictures_are_forgotten_and_no_number_is_ever_given_to_two(tmp_path: Path) -> None:
    shown = draw_pictures(tmp_path, 12)
    pictures, given = PromptKeys(most=4), dict[int, ImageRef]()
    for image in (*shown, *shown, *shown[-4:]):
        (number,) = pictures.key(Encoded("one", (0,), (False,), (Slot(0, 1, image),)))
        assert given.setdefault(number, image) == image
        assert len(pictures) <= 4
    assert len(given) == 24, "the last four were still known"
