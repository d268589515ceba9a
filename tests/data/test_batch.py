"""Batches: what shares a row must not meet, and everything is where its slot says."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.toys import toy_images
from triptych.core.errors import DataError
from triptych.data.batch import IGNORE, PADDING, Batch, block_mask, collate
from triptych.data.template import Encoded, Slot

MARK, PAD = 999, 0
IMAGES = toy_images(3)


@st.composite
def encodeds(draw: st.DrawFn) -> Encoded:
    """A conversation of 1 to 9 words, with images between them; all ids are > 0."""
    ids: list[int] = []
    trained: list[bool] = []
    slots: list[Slot] = []
    for word in draw(st.lists(st.integers(1, 900), min_size=1, max_size=9)):
        ids.append(word)
        trained.append(draw(st.booleans()))
        if draw(st.booleans()):
            cost = draw(st.integers(1, 3))
            slots.append(Slot(len(ids), len(ids) + cost, draw(st.sampled_from(IMAGES))))
            ids += [MARK] * cost
            trained += [False] * cost
    return Encoded(f"talk {draw(st.integers(0, 99))}", tuple(ids), tuple(trained), tuple(slots))


pack_lists = st.lists(st.lists(encodeds(), min_size=1, max_size=4), min_size=1, max_size=3)


def words(count: int, *, trained: bool = True, id: str = "talk") -> Encoded:
    return Encoded(id, tuple(range(1, count + 1)), (trained,) * count, ())


def spans(packs: list[list[Encoded]]) -> list[tuple[int, slice, Encoded]]:
    """Return (row, place in the row, conversation) of all, counted independently of collate."""
    placed = []
    for row, pack in enumerate(packs):
        for number, encoded in enumerate(pack):
            start = sum(len(before.ids) for before in pack[:number])
            placed.append((row, slice(start, start + len(encoded.ids)), encoded))
    return placed


@given(pack_lists)
def test_each_conversation_stands_whole_and_counts_from_zero(packs: list[list[Encoded]]) -> None:
    batch = collate(packs, pad_id=PAD)
    for row, here, encoded in spans(packs):
        assert tuple(batch.ids_BT[row, here].tolist()) == encoded.ids
        assert batch.positions_BT[row, here].tolist() == list(range(len(encoded.ids)))
        assert len(set(batch.segments_BT[row, here].tolist())) == 1
    assert batch.tokens == sum(len(encoded.ids) for _, _, encoded in spans(packs))
    assert batch.example_ids == tuple(encoded.id for _, _, encoded in spans(packs))


@given(pack_lists)
def test_segments_are_numbered_in_each_row_and_the_rest_is_padding(packs: list[list[Encoded]]) -> None:
    batch = collate(packs, pad_id=PAD)
    for row, pack in enumerate(packs):
        numbers = [number for number, encoded in enumerate(pack) for _ in encoded.ids]
        padding = batch.ids_BT.shape[1] - len(numbers)
        assert batch.segments_BT[row].tolist() == numbers + [PADDING] * padding
        assert batch.ids_BT[row, len(numbers) :].tolist() == [PAD] * padding
        assert batch.positions_BT[row, len(numbers) :].tolist() == [0] * padding


@given(pack_lists)
def test_labels_are_the_trained_ids_and_nothing_else(packs: list[list[Encoded]]) -> None:
    batch = collate(packs, pad_id=PAD)
    expected = torch.full_like(batch.ids_BT, IGNORE)
    for row, here, encoded in spans(packs):
        for place, (number, learnt) in enumerate(zip(encoded.ids, encoded.trained, strict=True)):
            if learnt and place > 0:
                expected[row, here.start + place] = number
    assert torch.equal(batch.labels_BT, expected)
    assert batch.trained_tokens == (expected != IGNORE).sum()


def test_no_token_is_learnt_from_the_neighbour_in_front() -> None:
    batch = collate([[words(3), words(2)]], pad_id=PAD)
    assert batch.labels_BT.tolist() == [[IGNORE, 2, 3, IGNORE, 2]]
    assert batch.trained_tokens == 3


@given(pack_lists)
def test_slots_point_at_the_image_tokens_of_their_image(packs: list[list[Encoded]]) -> None:
    batch = collate(packs, pad_id=PAD)
    covered = torch.zeros_like(batch.ids_BT, dtype=torch.bool)
    for slot in batch.slots:
        assert not covered[slot.row, slot.start : slot.stop].any()
        covered[slot.row, slot.start : slot.stop] = True
    assert torch.equal(covered, batch.ids_BT == MARK)
    said = [(row, slot.image) for row, _, encoded in spans(packs) for slot in encoded.slots]
    assert [(slot.row, batch.images[slot.image]) for slot in batch.slots] == said


@given(pack_lists)
def test_an_image_that_is_shown_often_at_one_length_is_listed_once(packs: list[list[Encoded]]) -> None:
    batch = collate(packs, pad_id=PAD)
    lengths = {slot.image: slot.stop - slot.start for slot in batch.slots}
    listed = [(image, lengths[number]) for number, image in enumerate(batch.images)]
    assert len(set(listed)) == len(listed)
    assert {slot.image for slot in batch.slots} == set(range(len(batch.images)))


@given(pack_lists)
def test_a_token_sees_itself_and_what_its_own_conversation_said_before(packs: list[list[Encoded]]) -> None:
    batch = collate(packs, pad_id=PAD)
    mask = block_mask(batch.segments_BT)
    width = batch.ids_BT.shape[1]
    expected = torch.eye(width, dtype=torch.bool).repeat(len(packs), 1, 1)
    for row, here, encoded in spans(packs):
        size = len(encoded.ids)
        expected[row, here, here] = torch.ones(size, size, dtype=torch.bool).tril()
    assert mask.shape == (len(packs), 1, width, width)
    assert torch.equal(mask[:, 0], expected)


def attend(batch: Batch, values_T: torch.Tensor) -> torch.Tensor:
    """Return row 0 of an attention whose scores and values come from the ids at each position."""
    values_1TH = values_T.double()[None, None, :, None] * torch.tensor([0.01, -0.003, 0.02], dtype=torch.float64)
    mask = block_mask(batch.segments_BT)
    return torch.nn.functional.scaled_dot_product_attention(values_1TH, values_1TH, values_1TH, attn_mask=mask)[0, 0]


@given(encodeds(), encodeds(), encodeds())
def test_attention_in_a_pack_is_that_of_the_conversation_alone(first: Encoded, second: Encoded, other: Encoded) -> None:
    packed = collate([[first, second, other]], pad_id=PAD, width=60 * 2)
    alone = collate([[second]], pad_id=PAD)
    start = len(first.ids)
    ours = attend(packed, packed.ids_BT[0])[start : start + len(second.ids)]
    torch.testing.assert_close(ours, attend(alone, alone.ids_BT[0]), rtol=0, atol=1e-12)


def test_padding_makes_no_nan() -> None:
    batch = collate([[words(2)]], pad_id=PAD, width=5)
    scores = torch.zeros(1, 1, 5, 5).masked_fill(~block_mask(batch.segments_BT), -torch.inf)
    weights = scores.softmax(-1)[0, 0]
    assert not weights.isnan().any()
    assert torch.equal(weights[2:], torch.eye(5)[2:])


def test_padding_does_not_see_padding_and_is_not_seen() -> None:
    mask = block_mask(torch.tensor([[0, 0, PADDING, PADDING]]))[0, 0]
    assert mask.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_rows_are_as_wide_as_the_longest_pack_unless_said_otherwise() -> None:
    packs = [[words(3), words(2)], [words(4)]]
    assert collate(packs, pad_id=PAD).ids_BT.shape == (2, 5)
    assert collate(packs, pad_id=PAD, width=8).ids_BT.shape == (2, 8)


def test_all_tensors_are_int64() -> None:
    batch = collate([[words(3)]], pad_id=PAD)
    tensors = (batch.ids_BT, batch.labels_BT, batch.positions_BT, batch.segments_BT)
    assert {tensor.dtype for tensor in tensors} == {torch.int64}


def test_a_pack_that_is_wider_than_its_row_is_named() -> None:
    with pytest.raises(DataError, match=r"the pack of example 'long' has 6 tokens, a row 5: raise pack_tokens"):
        collate([[words(3)], [words(4, id="long"), words(2)]], pad_id=PAD, width=5)
