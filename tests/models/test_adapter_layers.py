"""Which layers of a language model gain an adapter: those that are linear in all they do, with weights of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import FalconConfig, Llama4TextConfig, PhimoeConfig, PreTrainedConfig, Zamba2Config

from tests.models.pictures import ask, encoded, logits_of
from tests.models.published import BODY, release
from triptych.core.errors import ModelError
from triptych.data.batch import collate
from triptych.models import toys
from triptych.models.adapters import AdapterPlan, adapter_state, add_adapter, merge
from triptych.models.family import Model, open_model

PLAN = AdapterPlan(rank=4, alpha=8, targets="all-linear", dropout=0.0, seed=3)
GROUPS = {**BODY, "num_key_value_heads": 2}


def llama_4(size: int) -> PreTrainedConfig:
    return Llama4TextConfig(**GROUPS, vocab_size=size, head_dim=12, intermediate_size_mlp=64, num_local_experts=2)


def phi_moe(size: int) -> PreTrainedConfig:
    return PhimoeConfig(**GROUPS, vocab_size=size, num_local_experts=4, num_experts_per_tok=2, pad_token_id=0)


def falcon(size: int) -> PreTrainedConfig:
    sizes = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    return FalconConfig(**sizes, vocab_size=size, tie_word_embeddings=False)


def zamba_2(size: int) -> PreTrainedConfig:
    """Its second and fourth layer share their attention."""
    state = {"mamba_d_state": 8, "n_mamba_heads": 8, "mamba_headdim": 12, "mamba_expand": 2, "mamba_ngroups": 1}
    return Zamba2Config(
        **(GROUPS | {"num_hidden_layers": 4} | state),
        vocab_size=size,
        layers_block_type=["mamba", "hybrid", "mamba", "hybrid"],
        hybrid_layer_ids=[1, 3],
        chunk_size=16,
        num_mem_blocks=1,
        adapter_rank=4,
    )


def opened(folder: Path, text: Callable[[int], PreTrainedConfig]) -> Model:
    """Return a LLaVA of this language model."""
    release(folder, text=text)
    model = open_model(folder / "released")
    toys.enliven(model.network, seed=0)
    return model


@pytest.mark.parametrize(
    ("text", "never", "always"),
    [(llama_4, "router", "q_proj"), (phi_moe, "router", "q_proj"), (falcon, "lm_head", "query_key_value")],
)
def test_a_layer_that_gives_more_than_a_linear_one_gains_no_adapter(
    text: Callable[[int], PreTrainedConfig], never: str, always: str, tmp_path: Path
) -> None:
    model = opened(tmp_path, text)
    batch = collate([[encoded(model, ask("words", "What is two and two?", reply="four"))]], pad_id=0)
    add_adapter(model, PLAN)
    layers = {name.partition(".lora_")[0].rpartition(".")[2] for name in adapter_state(model)}
    assert always in layers
    assert never not in layers
    with torch.no_grad():
        for weight in adapter_state(model).values():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
        live = logits_of(model, batch)
        assert torch.allclose(logits_of(merge(model), batch), live, atol=1e-4)


@pytest.mark.parametrize(("text", "told"), [(phi_moe, True), (falcon, False)])
def test_experts_that_no_adapter_reaches_are_told_of(
    text: Callable[[int], PreTrainedConfig], told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = opened(tmp_path, text)
    experts = sum(weight.numel() for name, weight in model.parts()["language"].named_parameters() if "experts" in name)
    share = experts / sum(weight.numel() for weight in model.parts()["language"].parameters())
    capsys.readouterr()
    add_adapter(model, PLAN)
    said = capsys.readouterr().err
    assert (f"language: {share:.0%} of its weights are experts in tensors such as model.layers.0." in said) == told
    assert ("which no adapter reaches" in said) == told


def test_a_weight_that_two_layers_share_gains_no_adapter(tmp_path: Path) -> None:
    model = opened(tmp_path, zamba_2)
    with pytest.raises(ModelError, match=r"layers\.1\..*q_proj and .*layers\.3\..*q_proj are one weight") as refusal:
        add_adapter(model, PLAN)
    assert "choose targets among ['in_proj', 'linear', 'out_proj']" in str(refusal.value)
    with pytest.raises(ModelError, match="train it whole"):
        add_adapter(model, replace(PLAN, targets=["q_proj"]))
    add_adapter(model, replace(PLAN, targets=["in_proj", "out_proj"]))
    assert adapter_state(model)
