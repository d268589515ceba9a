"""Activations computed again, compiled layers, bfloat16, fused kernels: the same model is learnt."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch._dynamo.testing import CompileCounterWithBackend
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from tests.train.runs import toy_recipe
from triptych.core.errors import ModelError
from triptych.models.attention.segments import SEGMENTS, attend
from triptych.train.parallel.blocks import reset_blocks
from triptych.train.parallel.shards import blocks_of
from triptych.train.recipe import Recipe, Tune
from triptych.train.stage_state import StageState, begin_stage
from triptych.train.start import start_model
from triptych.train.step import train_step
from triptych.train.trainer import train

LORA = "language: {train: lora, rate: 1e-2, rank: 4, alpha: 8, dropout: 0.1}"
FULL = (LORA, "language: {train: full, rate: 1e-3}")
TOWER = ("    parts:\n", "    parts:\n      vision: {train: full, rate: 1e-3}\n")


def stage_of(recipe: Recipe) -> Tune:
    (stage,) = recipe.stages
    assert isinstance(stage, Tune)
    return stage


def begin(folder: Path, *changes: tuple[str, str], key: str) -> StageState:
    """Return the toy run with one key more in its stage."""
    recipe = toy_recipe(folder, *changes, ("    schedule: linear\n", f"    schedule: linear\n    {key}\n"))
    stage = stage_of(recipe)
    return begin_stage(start_model(recipe.model, seed=0), stage, run=folder / key.partition(":")[0], seed=0)


@pytest.mark.parametrize("changes", [[], [FULL, TOWER]])
def test_activations_computed_again_give_the_same_gradient_also_in_packs_and_with_dropout(
    tmp_path: Path, changes: list[tuple[str, str]]
) -> None:
    kept = begin(tmp_path, *changes, key="clip: 1.0")
    again = begin(tmp_path, *changes, key="checkpoint_activations: true")
    assert any(len(pack) > 1 for pack in kept.plan.step(0).packs), "a pack of one would hide a lost mask"
    assert train_step(again, 0).loss_nats == train_step(kept, 0).loss_nats
    for name, weight in kept.weights.items():
        assert weight.grad is None or torch.equal(again.weights[name].grad, weight.grad), name  # type: ignore[arg-type]


def test_less_is_kept_where_activations_are_computed_again(tmp_path: Path) -> None:
    saved = {}
    for key in ("clip: 1.0", "checkpoint_activations: true"):
        state, total = begin(tmp_path, FULL, key=key), 0

        def count(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal total
            total += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            train_step(state, 0)
        saved[key] = total
    # The hooks count what is kept outside of the layers, and inside of those that keep all.
    assert saved["checkpoint_activations: true"] < 0.5 * saved["clip: 1.0"]


def test_layers_are_left_as_they_were(tmp_path: Path) -> None:
    state = begin(tmp_path, key="checkpoint_activations: true")
    layers = blocks_of(state.model.body)
    assert all("forward" in layer.__dict__ for layer in layers)
    reset_blocks(state.model, state.stage)
    assert not any("forward" in layer.__dict__ for layer in layers)


def test_bfloat16_is_near_and_leaves_weights_and_moments_in_float32(tmp_path: Path) -> None:
    exact, rough = begin(tmp_path, FULL, key="clip: 1.0"), begin(tmp_path, FULL, key="precision: bfloat16")
    ours, theirs = train_step(rough, 0), train_step(exact, 0)
    assert ours.loss_nats == pytest.approx(theirs.loss_nats, rel=2e-2)
    assert ours.loss_nats != theirs.loss_nats
    assert {weight.dtype for weight in rough.weights.values()} == {torch.float32}
    assert {state["exp_avg"].dtype for state in rough.optimizer.state.values()} == {torch.float32}
    (folder,) = [
        train(toy_recipe(tmp_path, ("    schedule", "    precision: bfloat16\n    schedule")), run=tmp_path / "r")
    ]
    assert {weight.dtype for weight in load_file(folder / "model.safetensors").values()} == {torch.float32}


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[CompileCounterWithBackend]:
    """Let layers be traced as for a compiler, and counted, without one: for a CPU it would take minutes."""
    counter = CompileCounterWithBackend("aot_eager")
    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counter))
    yield counter
    ALL_ATTENTION_FUNCTIONS.register(SEGMENTS, attend)


def test_layers_are_compiled_once_for_packs_of_any_lengths(traced: CompileCounterWithBackend, tmp_path: Path) -> None:
    state = begin(tmp_path, key="compile: true")
    counts, lengths = [], []
    for step in range(6):
        train_step(state, step)
        counts.append(traced.frame_count)
        lengths.append([len(pack) for pack in state.plan.step(step).packs])
    assert len(set(map(str, lengths[2:]))) > 1, "packs of as many conversations would hide it"
    assert counts[0] > 0
    assert counts[-1] == counts[2], "once for a length, once for any"
    assert counts[-1] <= 10


def test_traced_layers_give_the_same_gradient(traced: CompileCounterWithBackend, tmp_path: Path) -> None:
    plain, compiled = begin(tmp_path, FULL, key="clip: 1.0"), begin(tmp_path, FULL, key="compile: true")
    assert train_step(compiled, 0).loss_nats == pytest.approx(train_step(plain, 0).loss_nats, rel=1e-5)
    assert traced.frame_count > 0
    for name, weight in plain.weights.items():
        torch.testing.assert_close(compiled.weights[name].grad, weight.grad, rtol=1e-3, atol=1e-5, msg=name)
    reset_blocks(compiled.model, compiled.stage)
    assert ALL_ATTENTION_FUNCTIONS[SEGMENTS] is attend


@pytest.mark.skipif(not torch.cuda.is_available(), reason="for a CPU, torch.compile takes minutes to build a toy model")
def test_compiled_layers_give_the_same_gradient(tmp_path: Path) -> None:
    plain, compiled = begin(tmp_path, FULL, key="clip: 1.0"), begin(tmp_path, FULL, key="compile: true")
    assert train_step(compiled, 0).loss_nats == pytest.approx(train_step(plain, 0).loss_nats, rel=1e-5)
    for name, weight in plain.weights.items():
        torch.testing.assert_close(compiled.weights[name].grad, weight.grad, rtol=1e-3, atol=1e-5, msg=name)


def test_fused_kernels_that_are_not_there_are_asked_for_in_one_line(tmp_path: Path) -> None:
    wanted = "needs the package liger-kernel" if find_spec("liger_kernel") is None else "needs a GPU"
    if find_spec("liger_kernel") and torch.cuda.is_available():
        pytest.skip("liger-kernel and a GPU are both here")
    with pytest.raises(ModelError, match=f"liger: true {wanted}"):
        begin(tmp_path, key="liger: true")
