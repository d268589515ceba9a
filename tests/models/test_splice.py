"""Image tokens stand in their slots, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from triptych.core.errors import ModelError
from triptych.data.batch import BatchSlot
from triptych.models.splice import splice

HIDDEN = 3


def test_a_slot_holds_its_images_tokens_and_words_stay() -> None:
    words, tokens = torch.randn(1, 6, HIDDEN), torch.randn(2, 2, HIDDEN)
    slots = [BatchSlot(0, 3, 5, image=0), BatchSlot(0, 0, 2, image=1)]
    embeds = splice(words, _marks(slots, 1, 6), slots=slots, tokens=list(tokens))
    assert torch.equal(embeds[0], torch.stack([tokens[1, 0], tokens[1, 1], words[0, 2], *tokens[0], words[0, 5]]))


def test_without_slots_words_are_all_there_is() -> None:
    words = torch.randn(2, 4, HIDDEN)
    assert torch.equal(splice(words, torch.zeros(2, 4, dtype=torch.bool), slots=[], tokens=[]), words)


def test_images_differ_in_length_and_marks_between_their_tokens_stay() -> None:
    words, tokens = torch.randn(1, 7, HIDDEN), [torch.randn(1, HIDDEN), torch.randn(3, HIDDEN)]
    slots = [BatchSlot(0, 1, 2, image=0), BatchSlot(0, 2, 6, image=1)]
    marks = torch.tensor([[False, True, True, False, True, True, False]])
    embeds = splice(words, marks, slots=slots, tokens=tokens)
    expected = [words[0, 0], tokens[0][0], tokens[1][0], words[0, 3], tokens[1][1], tokens[1][2], words[0, 6]]
    assert torch.equal(embeds[0], torch.stack(expected))


@given(st.data())
def test_another_image_changes_its_slots_and_nothing_else(data: st.DataObject) -> None:
    length, images = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    order = data.draw(st.permutations([*range(images), *data.draw(st.lists(st.integers(0, images - 1), max_size=3))]))
    gaps = data.draw(st.lists(st.integers(0, 2), min_size=len(order), max_size=len(order)))
    slots, end = [], 0
    for image, gap in zip(order, gaps, strict=True):
        slots.append(BatchSlot(0, end + gap, end + gap + length, image))
        end += gap + length
    words, tokens = torch.zeros(1, end + 1, HIDDEN), torch.randn(images, length, HIDDEN)
    changed = data.draw(st.integers(0, images - 1))
    other = tokens.clone()
    other[changed] += 1.0
    marks = _marks(slots, 1, end + 1)
    moved = (
        splice(words, marks, slots=slots, tokens=list(other)) != splice(words, marks, slots=slots, tokens=list(tokens))
    ).any(dim=-1)[0]
    assert torch.equal(moved, _marks([slot for slot in slots if slot.image == changed], 1, end + 1)[0])


def test_gradients_flow_into_tokens_and_words_but_not_into_words_under_a_slot() -> None:
    words = torch.randn(2, 4, HIDDEN, requires_grad=True)
    tokens = torch.randn(1, 2, HIDDEN, requires_grad=True)
    slots = [BatchSlot(0, 1, 3, image=0), BatchSlot(1, 0, 2, image=0)]
    splice(words, _marks(slots, 2, 4), slots=slots, tokens=list(tokens)).sum().backward()
    assert tokens.grad is not None
    assert words.grad is not None
    assert torch.equal(tokens.grad, torch.full((1, 2, HIDDEN), 2.0))
    assert torch.equal(words.grad[..., 0], torch.tensor([[1.0, 0, 0, 1], [0, 0, 1, 1]]))


@pytest.mark.parametrize(
    ("slots", "marked", "images", "said"),
    [
        ([BatchSlot(0, 0, 3, 0)], [0, 1, 2], 1, "a slot of image 0 has 3 image marks, but the image has 2 tokens"),
        ([BatchSlot(0, 0, 2, 1)], [0, 1], 1, "for image 1, but there are 1 images"),
        ([BatchSlot(0, 0, 2, 0)], [0, 1], 2, "1 of 2 images stand in no slot, the first is image 1"),
        ([BatchSlot(0, 0, 2, 0)], [0, 1, 2], 1, "token 2: an image mark without a slot"),
        ([BatchSlot(0, 0, 2, 0)], [0], 1, "a slot of image 0 has 1 image marks, but the image has 2 tokens"),
        ([BatchSlot(0, 0, 2, 0), BatchSlot(0, 1, 3, 0)], [0, 1, 2], 1, "two slots overlap"),
        ([BatchSlot(0, 4, 6, 0)], [4], 1, "outside of the batch's (1, 5) tokens"),
        ([BatchSlot(0, -1, 1, 0)], [0], 1, "outside of the batch's (1, 5) tokens"),
        ([BatchSlot(1, 0, 2, 0)], [0, 1], 1, "outside of the batch's (1, 5) tokens"),
        ([BatchSlot(0, 0, 2, 0)], [0, 1], 0, "there are 0 images"),
    ],
)
def test_a_count_that_does_not_match_is_refused(
    slots: list[BatchSlot], marked: list[int], images: int, said: str
) -> None:
    marks = torch.zeros(1, 5, dtype=torch.bool)
    marks[0, marked] = True
    tokens = list(torch.randn(images, 2, HIDDEN))
    with pytest.raises(ModelError) as refusal:
        splice(torch.randn(1, 5, HIDDEN), marks, slots=slots, tokens=tokens)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def _marks(slots: list[BatchSlot], rows: int, width: int) -> Tensor:
    marks = torch.zeros(rows, width, dtype=torch.bool)
    for slot in slots:
        marks[slot.row, slot.start : slot.stop] = True
    return marks
