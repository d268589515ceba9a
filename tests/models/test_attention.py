"""A pack attended conversation by conversation gives the numbers of the same pack under a mask."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    BloomConfig,
    BloomModel,
    Gemma2Config,
    Gemma2Model,
    GPT2Config,
    GPT2Model,
    Lfm2Config,
    Lfm2Model,
    LlamaConfig,
    LlamaModel,
    PreTrainedModel,
    Qwen2Config,
    Qwen2Model,
)

from triptych.core.errors import ModelError
from triptych.data.batch import PADDING, block_mask
from triptych.models.attention.packs import PackAttention, agrees
from triptych.models.attention.segments import SEGMENTS, attend, attending, segments_of, segments_on

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 11}


def llama() -> PreTrainedModel:
    return LlamaModel(LlamaConfig(**SIZES, num_key_value_heads=2))


def qwen() -> PreTrainedModel:
    return Qwen2Model(Qwen2Config(**SIZES, num_key_value_heads=2))


def gpt() -> PreTrainedModel:
    return GPT2Model(GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=11))


def gemma() -> PreTrainedModel:
    return Gemma2Model(Gemma2Config(**SIZES, num_key_value_heads=2, head_dim=8, attn_logit_softcapping=0.5))


def body_of(network: PreTrainedModel) -> Callable[..., Tensor]:
    def body(embeds_BTH: Tensor, positions_BT: Tensor | None, attention_mask: Tensor | None, **more: object) -> Tensor:
        found = network(
            inputs_embeds=embeds_BTH, position_ids=positions_BT, attention_mask=attention_mask, use_cache=False, **more
        )
        hidden_BTH: Tensor = found.last_hidden_state
        return hidden_BTH

    return body


def seeded(make: Callable[[], PreTrainedModel]) -> PreTrainedModel:
    torch.manual_seed(0)
    return make().eval()


@st.composite
def packs(draw: st.DrawFn) -> Tensor:
    """Rows of up to four conversations, with padding at their end."""
    lengths = draw(st.lists(st.lists(st.integers(1, 7), max_size=4), min_size=1, max_size=3))
    width = max(1, *(sum(row) for row in lengths)) + draw(st.integers(0, 3))
    segments_BT = torch.full((len(lengths), width), PADDING)
    for row, each in enumerate(lengths):
        numbers = [number for number, length in enumerate(each) for _ in range(length)]
        segments_BT[row, : len(numbers)] = torch.tensor(numbers, dtype=torch.int64)
    return segments_BT


def positions_of(segments_BT: Tensor) -> Tensor:
    positions_BT = torch.zeros_like(segments_BT)
    for row, start, stop in segments_of(segments_BT):
        positions_BT[row, start:stop] = torch.arange(stop - start)
    return positions_BT


@given(packs())
def test_segments_are_the_runs_of_one_number(segments_BT: Tensor) -> None:
    covered = torch.full_like(segments_BT, PADDING)
    for row, start, stop in segments_of(segments_BT):
        assert segments_BT[row, start:stop].unique().numel() == 1
        covered[row, start:stop] = segments_BT[row, start]
    assert torch.equal(covered, segments_BT)


@pytest.mark.parametrize("make", [llama, qwen, gpt])
@settings(max_examples=15, deadline=None)
@given(segments_BT=packs())
def test_hidden_states_and_gradients_are_those_under_the_mask(
    make: Callable[[], PreTrainedModel], segments_BT: Tensor
) -> None:
    network = seeded(make)
    body, real_BT = body_of(network), segments_BT != PADDING
    if not real_BT.any():
        return
    embeds_BTH = torch.randn(*segments_BT.shape, 32, generator=torch.Generator().manual_seed(1))
    weights_NH = torch.randn(int(real_BT.sum()), 32, generator=torch.Generator().manual_seed(2))
    found = []
    for by_segments in (True, False):
        leaf_BTH = embeds_BTH.clone().requires_grad_()
        if by_segments:
            with attending(network.config, SEGMENTS):
                hidden_BTH = body(
                    leaf_BTH, positions_of(segments_BT), None, segments=segments_on(segments_BT, embeds_BTH.device)
                )
        else:
            hidden_BTH = body(leaf_BTH, positions_of(segments_BT), block_mask(segments_BT))
        (hidden_BTH[real_BT] * weights_NH).sum().backward()
        assert leaf_BTH.grad is not None
        found.append((hidden_BTH[real_BT].detach(), leaf_BTH.grad[real_BT]))
    for ours, wanted in zip(*found, strict=True):
        assert torch.allclose(ours, wanted, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("make", [llama, qwen, gpt])
def test_networks_that_hand_the_segments_on_agree(make: Callable[[], PreTrainedModel]) -> None:
    network = seeded(make)
    assert agrees(body_of(network), network.config, like=torch.zeros(1, 1, 32))
    assert network.config._attn_implementation != SEGMENTS


def test_a_network_with_another_attention_is_found_out() -> None:
    network = seeded(gemma)
    assert not agrees(body_of(network), network.config, like=torch.zeros(1, 1, 32))


def test_without_segments_nothing_is_attended() -> None:
    states_BATD = torch.zeros(1, 1, 3, 4)
    with pytest.raises(ModelError, match="no segments"):
        attend(torch.nn.Identity(), states_BATD, states_BATD, states_BATD, None)


def lfm() -> PreTrainedModel:
    """Convolutions, and one layer that attends."""
    return Lfm2Model(Lfm2Config(**SIZES, num_key_value_heads=2, layer_types=["conv", "full_attention"]))


def bloom() -> PreTrainedModel:
    return BloomModel(BloomConfig(hidden_size=32, n_layer=2, n_head=4, vocab_size=11))


@pytest.mark.parametrize(
    ("make", "said"), [(lfm, "carry one conversation into the next"), (bloom, "it takes no mask of packs")]
)
def test_a_network_that_would_mix_neighbours_is_given_no_packs(make: Callable[[], PreTrainedModel], said: str) -> None:
    network = seeded(make)
    packs = PackAttention(network, network.config)
    embeds_BTH, positions_ABT = torch.randn(1, 5, 32), torch.tensor([[[0, 1, 2, 0, 1]]])
    with pytest.raises(ModelError, match=said) as refusal:
        packs.hidden(embeds_BTH, torch.tensor([[0, 0, 0, 1, 1]]), positions_ABT=positions_ABT)
    assert "\n" not in str(refusal.value)


def test_a_network_with_convolutions_reads_one_conversation_a_row() -> None:
    network = seeded(lfm)
    embeds_BTH, alone_BT = torch.randn(1, 5, 32), torch.tensor([[0, 0, 0, PADDING, PADDING]])
    with torch.no_grad():
        ours = PackAttention(network, network.config).hidden(
            embeds_BTH, alone_BT, positions_ABT=torch.tensor([[[0, 1, 2, 0, 0]]])
        )
        wanted = network(inputs_embeds=embeds_BTH[:, :3], use_cache=False).last_hidden_state
    assert torch.allclose(ours[:, :3], wanted, atol=1e-5)


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_conversations_whose_length_changes_others_positions_do_not_stand_together(kind: str) -> None:
    more = {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4, "original_max_position_embeddings": 3}
    rope = {"rope_type": kind, "rope_theta": 1e4, "factor": 4.0, **(more if kind == "longrope" else {})}
    longest = 12 if kind == "longrope" else 3
    config = LlamaConfig(**SIZES, num_key_value_heads=2, max_position_embeddings=longest, rope_parameters=rope)
    torch.manual_seed(0)
    network = LlamaModel(config).eval()
    packs = PackAttention(network, network.config)

    def hidden(*lengths: int) -> Tensor:
        segments_BT = torch.tensor([[number for number, length in enumerate(lengths) for _ in range(length)]])
        embeds_BTH = torch.randn(1, sum(lengths), 32, generator=torch.Generator().manual_seed(sum(lengths)))
        with torch.no_grad():
            return packs.hidden(embeds_BTH, segments_BT, positions_ABT=positions_of(segments_BT)[None])

    assert hidden(2, 3).shape == (1, 5, 32)
    assert hidden(4).shape == (1, 4, 32)
    with pytest.raises(ModelError, match=f"of 2 and of 5 positions stand together: beyond 3 .*{kind}"):
        hidden(2, 5)
