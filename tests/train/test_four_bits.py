"""Runs over weights in 4 bits: the steps of peft over transformers' own, taken up again, merged, in two processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig, PreTrainedModel

from tests.train.processes import run_ranks, said
from tests.train.runs import toy_recipe
from tests.train.test_export import logits, plan_of, words
from tests.train.test_plain_loop import learn_alone
from triptych.core.errors import RunError
from triptych.models.families.tiny import tiny
from triptych.models.family import open_model
from triptych.models.memory.quantise import quantise, quantised, weight_of
from triptych.train.export.export import export
from triptych.train.measuring.meters import StepReport
from triptych.train.measuring.operations import weights_in
from triptych.train.merging import merged_model
from triptych.train.recipe import Recipe, Tune
from triptych.train.stage_state import StageState, begin_stage
from triptych.train.start import start_model
from triptych.train.step import train_step
from triptych.train.trainer import Hooks, train

pytest.importorskip("bitsandbytes", reason="an optional package: pip install bitsandbytes")

STEPS, RATE = 4, 1e-2
PARTS = "  family: tiny\n  parts: {vision: vit, language: llama}"
LORA = "language: {train: lora, rate: 1e-2, rank: 4, alpha: 8, dropout: 0.1}"
OVER_4_BITS = (LORA, f"language: {{train: qlora, rate: {RATE}, rank: 4, alpha: 8}}")
CONSTANT = ("schedule: linear", "schedule: constant\n    clip: 1000000.0\n    decay: 0.0\n    betas: [0.9, 0.999]")
FROZEN = ("projector: {train: full, rate: 3e-3}", "projector: {train: frozen}")
TOWER = ("    parts:\n", "    parts:\n      vision: {train: qlora, rate: 1e-3, rank: 4, alpha: 8}\n")
DIFFERS = "over a base that is not in these, replies differ"
AFTER = """    checkpoint_every: 2 steps
  - name: after
    kind: tune
    data: [{source: "messages:TUNE"}]
    length: 3 steps
    pack_tokens: 160
    step_tokens: 320
    parts: {projector: {train: full, rate: 1e-3}}
"""


def opening(folder: Path, *changes: tuple[str, str]) -> Recipe:
    """Return the toy recipe over a folder with a model, whose tower has biases that no 16 bits hold."""
    model = tiny(0)
    with torch.no_grad():
        for name, weight in model.network.named_parameters():
            if name.endswith("_proj.bias"):
                weight.normal_(std=0.1)  # a toy's are zero
    model.save(folder / "opened")
    return toy_recipe(folder, (PARTS, f"  open: {folder / 'opened'}"), *changes)


def in_4_bits(folder: Path) -> PreTrainedModel:
    """Return what plain transformers opens with the language model's layers in 4 bits."""
    wanted = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
        llm_int8_skip_modules=["model.vision_tower", "model.multi_modal_projector", "lm_head"],
    )
    opened: PreTrainedModel = AutoModelForImageTextToText.from_pretrained(
        folder, quantization_config=wanted, dtype=torch.float32
    )
    for _, layer in quantised(opened):
        cast(Any, layer).support_avx512bf16_for_cpu = False  # it cannot with rows as short as a toy's
    return opened


def peft_losses(network: nn.Module, state: StageState) -> Iterator[tuple[float, float]]:
    """Yield the loss and the gradient's norm of each step, a conversation at a time."""
    moving = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(moving, lr=RATE, betas=(0.9, 0.999), weight_decay=0.0)
    network.train()
    for number in range(STEPS):
        total = learn_alone(network, state, number)
        norm = nn.utils.clip_grad_norm_(moving, 1e6)
        optimizer.step()
        optimizer.zero_grad()
        yield total, float(norm)


def adapted(network: PreTrainedModel, state: StageState, *, decomposed: bool) -> PeftModel:
    """Return what peft makes of it for training, its adapter at the same first weights."""
    prepared = prepare_model_for_kbit_training(network, gradient_checkpointing_kwargs={"use_reentrant": False})
    plan = LoraConfig(r=4, lora_alpha=8, target_modules=r".*language_model\.layers.*_proj", use_dora=decomposed)
    found = get_peft_model(prepared, plan)
    assert isinstance(found, PeftModel)
    ours = {name.partition("layers.")[2]: weight for name, weight in state.weights.items()}
    theirs = {name.partition("layers.")[2]: each for name, each in found.named_parameters() if each.requires_grad}
    assert ours.keys() == theirs.keys()
    with torch.no_grad():
        for name, weight in theirs.items():
            if "magnitude" in name:
                torch.testing.assert_close(ours[name], weight)
            weight.copy_(ours[name])
    return found


@pytest.mark.parametrize("plan", ["qlora", "qdora"])
def test_the_steps_are_those_of_peft_over_what_transformers_opens_in_4_bits(tmp_path: Path, plan: str) -> None:
    over = (LORA, OVER_4_BITS[1].replace("qlora", plan))
    recipe = opening(
        tmp_path, over, FROZEN, CONSTANT, ("checkpoint_every", "checkpoint_activations: true\n    checkpoint_every")
    )
    (stage,) = recipe.stages
    assert isinstance(stage, Tune)
    state = begin_stage(start_model(recipe.model, seed=1), stage, run=tmp_path / "run", seed=2)
    network = in_4_bits(tmp_path / "opened")
    ours = {name.partition(".base_layer")[0]: weight_of(each) for name, each in quantised(state.model.network)}
    theirs = {name: weight_of(each) for name, each in quantised(network)}
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())
    other = adapted(network, state, decomposed=plan == "qdora")
    reports = [train_step(state, number) for number in range(STEPS)]
    wanted = list(peft_losses(other, state))
    assert wanted[-1][0] < wanted[0][0] - 0.1
    for report, (loss, norm) in zip(reports, wanted, strict=True):
        assert report.loss == pytest.approx(loss, rel=1e-4)
        assert report.gradient_norm == pytest.approx(norm, rel=1e-3)


def test_a_run_stopped_between_or_in_stages_ends_with_the_same_bits_and_merges_to_them(tmp_path: Path) -> None:
    half = ("schedule: linear", "schedule: linear\n    precision: bfloat16")
    after = (AFTER.splitlines(keepends=True)[0], AFTER.replace("TUNE", str(tmp_path / "tune.jsonl")))
    recipe = opening(tmp_path, OVER_4_BITS, TOWER, half, after, ("6 steps", "4 steps"))
    through = train(recipe, run=tmp_path / "through")

    def stop_at(stage: str, step: int) -> Hooks:
        def ask(report: StepReport) -> None:
            if (report.stage, report.step) == (stage, step):
                os.kill(os.getpid(), signal.SIGTERM)

        return Hooks(after_step=ask)

    for stage, step in (("tune", 3), ("after", 1)):
        with pytest.raises(RunError, match="stopped by SIGTERM"):
            train(recipe, run=tmp_path / "stopped", hooks=stop_at(stage, step))
    wanted = load_file(through / "model.safetensors")
    for folder in (train(recipe, run=tmp_path / "stopped"), merged(tmp_path / "through", tmp_path / "merged")):
        found = load_file(folder / "model.safetensors")
        assert found.keys() == wanted.keys()
        assert [name for name, weight in wanted.items() if not torch.equal(weight, found[name])] == []
    assert biases(through) == biases(tmp_path / "opened"), "a frozen bias has moved"


def merged(run: Path, folder: Path) -> Path:
    merged_model(run).save(folder)
    return folder


def biases(folder: Path) -> dict[str, list[float]]:
    """Return those of the tower's layers that are kept in 4 bits."""
    weights = load_file(folder / "model.safetensors")
    found = {name: weight.tolist() for name, weight in weights.items() if name.endswith("_proj.bias")}
    assert found
    return found


def test_an_adapter_alone_has_the_tuned_models_logits_over_its_base_in_4_bits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = opening(tmp_path, OVER_4_BITS, FROZEN)
    tuned = open_model(train(recipe, run=tmp_path / "run"))
    export(str(tmp_path / "run"), tmp_path / "adapter", plan=plan_of("adapter=true"))
    assert DIFFERS in capsys.readouterr().err
    inputs = words(tuned, tmp_path)
    wanted = logits(tuned.network, inputs)
    small = PeftModel.from_pretrained(in_4_bits(tmp_path / "opened"), str(tmp_path / "adapter")).eval()
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "opened")
    whole = PeftModel.from_pretrained(plain, str(tmp_path / "adapter")).eval()
    assert distance(logits(small, inputs), wanted) < 1e-3
    assert distance(logits(whole, inputs), wanted) > 1e-2


def test_a_base_that_is_written_besides_is_what_the_4_bits_stand_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = open_model(train(toy_recipe(tmp_path, OVER_4_BITS), run=tmp_path / "run"))
    export(str(tmp_path / "run"), tmp_path / "adapter", plan=plan_of("adapter=true"))
    assert DIFFERS not in capsys.readouterr().err
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "adapter" / "base")
    whole = PeftModel.from_pretrained(plain, str(tmp_path / "adapter")).eval()
    inputs = words(tuned, tmp_path)
    assert distance(logits(whole, inputs), logits(tuned.network, inputs)) < 1e-3


def distance(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max())


def test_weights_in_4_bits_are_counted_as_what_they_stand_for() -> None:
    model = tiny(0)
    vision = model.parts()["vision"]
    before, _ = weights_in(vision)
    assert quantise(model.network, vision) > 0
    assert weights_in(vision)[0] == before


@pytest.mark.parametrize("plan", ["qlora", "qdora"])
def test_two_processes_learn_what_one_learns(tmp_path: Path, plan: str) -> None:
    changes = ((LORA, OVER_4_BITS[1].replace("qlora", plan)), ("seed: 3", "seed: 3\nparallel: {kind: ddp}"))
    recipe = opening(tmp_path, *changes)
    train(recipe, run=tmp_path / "one")
    assert run_ranks(recipe, tmp_path / "many", ranks=2) == [0, 0]
    one, many = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("one", "many"))
    for name, weight in one.items():
        torch.testing.assert_close(many[name], weight, rtol=1e-4, atol=1e-5, msg=name)


def test_fsdp_says_that_it_cannot_share_them(tmp_path: Path) -> None:
    recipe = opening(tmp_path, OVER_4_BITS, ("seed: 3", "seed: 3\nparallel: {kind: fsdp}"))
    assert run_ranks(recipe, tmp_path / "run", ranks=2) == [2, 2]
    assert "kept in 4 bits, which fsdp cannot share among several processes" in said(tmp_path / "run", 0)
