"""Greedy decoding: rows end by themselves, and the others do not notice."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from triptych.infer.greedy import Spoken, speak
from triptych.models.families.tiny import tiny

NEVER = -1
ROWS = 5


def replies(steps: Iterable[Spoken]) -> list[list[int]]:
    said: list[list[int]] = [[] for _ in range(ROWS)]
    for step in steps:
        for row, token in zip(step.rows, step.ids, strict=True):
            said[row].append(token)
    return said


def prompts() -> tuple[Tensor, Tensor]:
    """Embeddings of five prompts of 3 to 7 positions, padded on the left, and their mask."""
    lengths = torch.arange(3, 3 + ROWS)[:, None]
    mask_BT = (torch.arange(7) >= 7 - lengths).long()
    return torch.randn(ROWS, 7, 48, generator=torch.Generator().manual_seed(1)), mask_BT


def test_a_row_ends_with_its_stop_token_and_the_others_go_on() -> None:
    network = tiny(3).network.requires_grad_(False)
    embeds_BTH, mask_BT = prompts()
    endless = replies(speak(network, embeds_BTH, mask_BT=mask_BT, stop=NEVER, max_tokens=12))
    assert {len(row) for row in endless} == {12}
    for stop in sorted({token for row in endless for token in row}):
        ended = replies(speak(network, embeds_BTH, mask_BT=mask_BT, stop=stop, max_tokens=12))
        assert ended == [row[: row.index(stop) + 1] if stop in row else row for row in endless]


def test_generation_ends_when_every_row_has_ended() -> None:
    network = tiny(3).network.requires_grad_(False)
    embeds_BTH, mask_BT = prompts()
    first = next(speak(network, embeds_BTH[:1], mask_BT=mask_BT[:1], stop=NEVER, max_tokens=3))
    steps = list(speak(network, embeds_BTH[:1], mask_BT=mask_BT[:1], stop=first.ids[0], max_tokens=3))
    assert steps == [first]


def test_the_callers_gradients_are_as_they_were_between_two_tokens() -> None:
    network = tiny(3).network.requires_grad_(False)
    embeds_BTH, mask_BT = prompts()
    for _ in speak(network, embeds_BTH, mask_BT=mask_BT, stop=NEVER, max_tokens=2):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
