"""Who sees whom in a pack with images that see themselves whole is what transformers' Gemma 3 has of each alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import Gemma3TextConfig
from transformers.models.gemma3.modeling_gemma3 import create_masks_for_vision_model, get_block_sequence_ids_for_mask

from triptych.data.batch import PADDING
from triptych.models.attention.blocks import NO_BLOCK, block_masks, blocks_of, near_mask
from triptych.models.attention.segments import segments_of

HOST = torch.device("cpu")
WINDOW = 3


@st.composite
def packs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Return which tokens are those of images and whose conversation each is of; images may end and begin one."""
    rows = draw(
        st.lists(
            st.lists(st.lists(st.booleans(), min_size=1, max_size=9), min_size=1, max_size=3), min_size=1, max_size=3
        )
    )
    width = max(sum(map(len, row)) for row in rows) + draw(st.integers(0, 2))
    marks_BT = torch.zeros(len(rows), width, dtype=torch.bool)
    segments_BT = torch.full((len(rows), width), PADDING)
    for number, row in enumerate(rows):
        at = 0
        for segment, said in enumerate(row):
            marks_BT[number, at : at + len(said)] = torch.tensor(said)
            segments_BT[number, at : at + len(said)] = segment
            at += len(said)
    return marks_BT, segments_BT


def theirs(marks_L: Tensor) -> dict[str, Tensor]:
    """Return the masks of transformers for a conversation by itself, bool [L, L]."""
    config = Gemma3TextConfig(hidden_size=8, num_attention_heads=2, num_hidden_layers=2, sliding_window=WINDOW)
    config._attn_implementation = "sdpa"
    length = len(marks_L)
    made = create_masks_for_vision_model(
        config,
        inputs_embeds=torch.zeros(1, length, 8),
        attention_mask=torch.ones(1, length, dtype=torch.long),
        past_key_values=None,
        position_ids=torch.arange(length)[None],
        block_sequence_ids=get_block_sequence_ids_for_mask(marks_L.long()[None]),
    )
    return {kind: mask[0, 0] for kind, mask in made.items()}


@settings(max_examples=100, deadline=None)
@given(packs())
def test_masks_of_each_conversation_are_those_of_transformers(pack: tuple[Tensor, Tensor]) -> None:
    marks_BT, segments_BT = pack
    segments = segments_of(segments_BT)
    masks = block_masks(segments, blocks_of(marks_BT, segments_BT), windows=[None, WINDOW], device=HOST)
    for number, (row, start, stop) in enumerate(segments):
        wanted = theirs(marks_BT[row, start:stop])
        for window, kind in ((None, "full_attention"), (WINDOW, "sliding_attention")):
            mask = masks[window][number]
            seen = torch.ones(stop - start, stop - start, dtype=torch.bool).tril() if mask is None else mask
            assert torch.equal(seen, wanted[kind])


def test_images_side_by_side_in_two_conversations_are_two_blocks() -> None:
    marks_BT, segments_BT = torch.tensor([[False, True, True, True, False]]), torch.tensor([[0, 0, 1, 1, PADDING]])
    assert blocks_of(marks_BT, segments_BT).tolist() == [[NO_BLOCK, 0, 1, 1, NO_BLOCK]]


def test_only_what_looks_ahead_or_less_far_back_has_a_mask() -> None:
    segments_BT = torch.tensor([[0, 0, 1, 1, 1, 1, 2, 2]])
    marks_BT = torch.tensor([[False, False, False, False, False, False, True, True]])
    segments = segments_of(segments_BT)
    masks = block_masks(segments, blocks_of(marks_BT, segments_BT), windows=[None, WINDOW], device=HOST)
    assert [mask is None for mask in masks[None]] == [True, True, False]
    assert [mask is None for mask in masks[WINDOW]] == [True, False, False]


def test_a_conversation_within_the_window_has_one_mask_for_all_layers() -> None:
    segments_BT = torch.tensor([[0, 0, 0, 1, 1, 1, 1]])
    segments = segments_of(segments_BT)
    masks = block_masks(segments, blocks_of(segments_BT >= 0, segments_BT), windows=[None, WINDOW], device=HOST)
    assert masks[None][0] is masks[WINDOW][0]
    assert masks[None][1] is not masks[WINDOW][1]


@pytest.mark.parametrize("window", [1, 2, 5])
def test_what_is_near_reaches_back_as_far_as_the_window(window: int) -> None:
    near_TT = near_mask(4, window)
    assert all(bool(near_TT[at, other]) == (other > at - window) for at in range(4) for other in range(4))
