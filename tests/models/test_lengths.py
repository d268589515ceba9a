"""What shows only where conversations are long, or stand behind others, is computed right or refused in one line."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    BertConfig,
    Gemma3TextConfig,
    GPT2Config,
    GPTJConfig,
    Llama4TextConfig,
    LlamaConfig,
    OPTConfig,
    PhimoeConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2MoeConfig,
)

from tests.models.test_attention import positions_of
from triptych.core.errors import ModelError
from triptych.data.batch import PADDING
from triptych.models.attention.lengths import batchable_length, reach_of, rope_changes, table_of
from triptych.models.attention.packs import PackAttention

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 11}
MORE = {**SIZES, "intermediate_size": 48, "num_key_value_heads": 2, "initializer_range": 0.3, "pad_token_id": 0}
EXPERTS = {"num_experts_per_tok": 2}
SPARSE = {"moe_intermediate_size": 16, "shared_expert_intermediate_size": 16, "num_experts": 4}
LLAMA_4 = {
    "head_dim": 8,
    "intermediate_size_mlp": 48,
    "num_local_experts": 2,
    "moe_layers": [],
    "no_rope_layers": [1, 0],
}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}


def network_of(config: PreTrainedConfig) -> PreTrainedModel:
    torch.manual_seed(0)
    network: PreTrainedModel = AutoModel.from_config(config)
    return network.eval()


def rows_of(*lengths: int) -> tuple[Tensor, Tensor]:
    segments_BT = torch.tensor([[number for number, length in enumerate(lengths) for _ in range(length)]])
    return torch.randn(1, sum(lengths), 32, generator=torch.Generator().manual_seed(1)), segments_BT


@torch.no_grad()
def packed(packs: PackAttention, *lengths: int) -> Tensor:
    embeds_BTH, segments_BT = rows_of(*lengths)
    return packs.hidden(embeds_BTH, segments_BT, positions_ABT=positions_of(segments_BT)[None])


@torch.no_grad()
def alone(network: PreTrainedModel, *lengths: int) -> Tensor:
    parts = rows_of(*lengths)[0].split(lengths, dim=1)
    return torch.cat([network(inputs_embeds=part, use_cache=False).last_hidden_state for part in parts], dim=1)


LONG: dict[str, PreTrainedConfig] = {
    "qwen2_moe": Qwen2MoeConfig(
        **MORE, **EXPERTS, **SPARSE, use_sliding_window=True, sliding_window=4, max_window_layers=1
    ),
    "phimoe": PhimoeConfig(**MORE, **EXPERTS, num_local_experts=4, sliding_window=4),
    "llama4": Llama4TextConfig(**MORE, **LLAMA_4, attention_chunk_size=4, attn_temperature_tuning=False),
}


@pytest.mark.parametrize("name", LONG)
def test_windows_and_chunks_that_only_the_mask_knows_are_seen_in_packs(name: str) -> None:
    network = network_of(LONG[name])
    packs = PackAttention(network, network.config)
    for lengths in ((9, 11), (3, 2), (10,)):
        assert torch.allclose(packed(packs, *lengths), alone(network, *lengths), atol=2e-5)


def test_blocks_of_keys_are_chosen_in_a_row_of_its_own() -> None:
    sparse = {"index_n_heads": 2, "index_head_dim": 8, "index_block_size": 8, "index_topk_blocks": 2}
    kinds = {"layer_types": ["full_attention", "minimax_m3_sparse"], "index_local_blocks": 1, "rotary_dim": 8}
    experts = {"num_local_experts": 4, "dense_intermediate_size": 48, "shared_intermediate_size": 16, **EXPERTS}
    network = network_of(AutoConfig.for_model("minimax_m3_vl_text", **MORE, head_dim=8, **sparse, **kinds, **experts))
    packs = PackAttention(network, network.config)
    assert torch.allclose(packed(packs, 19), alone(network, 19), atol=2e-5)
    with pytest.raises(ModelError, match=r"a pack of 19 tokens: .* Lower pack_tokens to 8"):
        packed(packs, 10, 9)


def test_a_scale_that_counts_along_the_pack_is_refused() -> None:
    network = network_of(Llama4TextConfig(**MORE, **LLAMA_4, attn_temperature_tuning=True, floor_scale=8))
    packs = PackAttention(network, network.config)
    for lengths in ((3, 4), (12,)):
        assert torch.allclose(packed(packs, *lengths), alone(network, *lengths), atol=2e-5)
    with pytest.raises(ModelError, match="beyond 7 tokens a conversation among others is not what it is alone"):
        packed(packs, 6, 6)


def test_what_computes_a_conversation_otherwise_behind_another_is_given_no_packs() -> None:
    network = network_of(
        Llama4TextConfig(**MORE, **LLAMA_4, attn_temperature_tuning=True, floor_scale=4, attn_scale=2.0)
    )
    with pytest.raises(ModelError, match="a conversation behind another is not what it is alone"):
        packed(PackAttention(network, network.config), 2, 1)


def test_layers_that_choose_columns_are_given_packs_of_no_more() -> None:
    network = network_of(AutoConfig.for_model("doge", **MORE, keep_window_size=8, sliding_window=None))
    packs = PackAttention(network, network.config)
    assert torch.allclose(packed(packs, 4, 4), alone(network, 4, 4), atol=2e-5)
    assert torch.allclose(packed(packs, 20), alone(network, 20), atol=2e-5)
    with pytest.raises(ModelError, match="beyond 8 tokens"):
        packed(packs, 4, 5)
    embeds_BTH, segments_BT = rows_of(5, 7)
    with pytest.raises(ModelError, match="a pack of 12 tokens"):
        packs.hidden(
            embeds_BTH,
            segments_BT.masked_fill(segments_BT == 1, PADDING),
            positions_ABT=positions_of(segments_BT)[None],
        )


BOTH_WAYS: dict[str, PreTrainedConfig] = {
    "bert": BertConfig(**SIZES, intermediate_size=48),
    "gemma3": Gemma3TextConfig(**MORE, head_dim=8, sliding_window=8, use_bidirectional_attention=True),
}


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_a_network_whose_words_see_those_behind_them_is_not_made_causal(name: str) -> None:
    network = network_of(BOTH_WAYS[name])
    with pytest.raises(ModelError, match="has words see those behind them") as refusal:
        packed(PackAttention(network, network.config), 5)
    assert "\n" not in str(refusal.value)


TABLES: dict[str, PreTrainedConfig] = {
    "gpt2": GPT2Config(vocab_size=11, n_embd=32, n_layer=1, n_head=4, n_positions=8),
    "opt": OPTConfig(**SIZES, ffn_dim=48, word_embed_proj_dim=32, max_position_embeddings=8),
    "gptj": GPTJConfig(vocab_size=11, n_embd=32, n_layer=1, n_head=4, rotary_dim=4, n_positions=8),
    "biogpt": AutoConfig.for_model("biogpt", **SIZES, intermediate_size=48, max_position_embeddings=8),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_conversation_longer_than_the_table_of_positions_is_refused(name: str) -> None:
    network = network_of(TABLES[name])
    packs = PackAttention(network, network.config)
    assert packed(packs, 8, 5).shape == (1, 13, 32)
    with pytest.raises(ModelError, match=r"a conversation of 9 tokens: .* a table of 8 positions"):
        packed(packs, 3, 9)


def test_rotary_positions_have_no_table() -> None:
    config = LlamaConfig(**MORE, max_position_embeddings=8)
    assert table_of(network_of(config), config) is None


def test_dynamic_positions_do_not_depend_on_what_was_computed_before() -> None:
    network = network_of(LlamaConfig(**MORE, max_position_embeddings=8, rope_parameters=DYNAMIC))
    packs = PackAttention(network, network.config)
    first = {length: packed(packs, length) for length in (8, 10, 30)}
    assert torch.equal(first[30], alone(network_of(network.config), 30))
    for length in (10, 8):
        assert torch.equal(packed(packs, length), first[length])


def test_positions_of_one_kind_of_layer_are_seen_too() -> None:
    nested = {"full_attention": DYNAMIC, "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}
    kinds = {"layer_types": ["sliding_attention", "full_attention"], "rope_parameters": nested}
    config = Gemma3TextConfig(**MORE, head_dim=8, sliding_window=4, max_position_embeddings=8, **kinds)
    assert rope_changes(config) == [("dynamic", 8)]
    packs = PackAttention(network_of(config), config)
    first = packed(packs, 10)
    with pytest.raises(ModelError, match="of 3 and of 10 positions stand together"):
        packed(packs, 10, 3)
    packed(packs, 20)
    assert torch.equal(packed(packs, 10), first)


def test_it_is_positions_that_change_others_and_not_tokens() -> None:
    network = network_of(LlamaConfig(**MORE, max_position_embeddings=4, rope_parameters=DYNAMIC))
    packs = PackAttention(network, network.config)
    embeds_BTH, segments_BT = rows_of(6, 6)
    with pytest.raises(ModelError, match="of 3 and of 6 positions"), torch.no_grad():
        packs.hidden(embeds_BTH, segments_BT, positions_ABT=torch.tensor([[[0, 1, 1, 1, 1, 2, 0, 1, 2, 3, 4, 5]]]))


def test_how_far_rows_are_alike_is_the_least_that_a_configuration_says() -> None:
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [2.0] * 4}
    longrope = LlamaConfig(
        **MORE, max_position_embeddings=64, rope_parameters={**rope, "original_max_position_embeddings": 16}
    )
    local = AutoConfig.for_model("gpt_neo", num_layers=2, attention_types=[[["global", "local"], 1]], window_size=12)
    assert (reach_of(longrope), batchable_length(longrope)) == (16, 16)
    assert (reach_of(local), batchable_length(local)) == (12, None)
    assert (reach_of(LONG["llama4"]), batchable_length(LONG["llama4"])) == (4, None)
    assert reach_of(LlamaConfig(**MORE)) is None
