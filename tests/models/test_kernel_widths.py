"""The kernel for packs is tried with the widths that it will be asked for: values may have others than keys."""

from __future__ import annotations

import pytest
import torch
from transformers import DeepseekV3Config, LlamaConfig, PreTrainedConfig

from triptych.models.attention import segments
from triptych.models.attention.segments import attend, segments_on, try_kernel


class Tried:
    """What stands where ``kernel_agrees`` does. State: the widths of keys and values it was asked for."""

    def __init__(self) -> None:
        self.widths: list[tuple[int, int]] = []

    def __call__(
        self,
        _device: torch.device,
        _dtype: torch.dtype,
        *,
        size: int,
        windowed: bool,
        values: int | None = None,
        **_numbers: int,
    ) -> bool:
        assert not windowed
        self.widths.append((size, values or size))
        return False


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Tried:
    found = Tried()
    monkeypatch.setattr(segments, "kernel_agrees", found)
    return found


@pytest.mark.parametrize("values", [8, 5])
def test_layers_ask_with_their_own_widths(tried: Tried, values: int) -> None:
    query_BATD, value_BATD = torch.randn(1, 2, 6, 8).bfloat16(), torch.randn(1, 2, 6, values).bfloat16()
    on_a_device = segments.Segments(
        segments_on(torch.tensor([[0, 0, 0, 1, 1, 1]]), query_BATD.device).each,
        edges_N=torch.tensor([0, 3, 6], dtype=torch.int32),
        longest=3,
    )
    found, _ = attend(torch.nn.Identity().eval(), query_BATD, query_BATD, value_BATD, None, segments=on_a_device)
    assert found.shape == (1, 6, 2, values)
    assert tried.widths == [(8, values)]


MIXED = DeepseekV3Config(num_attention_heads=4, qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=10)
CONFIGS: list[tuple[PreTrainedConfig, tuple[int, int]]] = [
    (LlamaConfig(hidden_size=32, num_attention_heads=4), (8, 8)),
    (MIXED, (12, 10)),
]


@pytest.mark.parametrize(("text", "widths"), CONFIGS)
def test_the_trial_before_the_layers_is_of_the_same_widths(
    tried: Tried, text: PreTrainedConfig, widths: tuple[int, int]
) -> None:
    class OnACard:
        device, dtype = torch.device("cuda"), torch.bfloat16

    try_kernel(text, OnACard())  # type: ignore[arg-type]
    assert tried.widths == [widths]
