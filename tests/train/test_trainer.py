"""A whole run: what it leaves in its folder, and that plain transformers opens the model."""

from __future__ import annotations

import json
import resource
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText

from tests.train.processes import run_ranks, said
from tests.train.runs import toy_recipe
from triptych.core.config import parse_config
from triptych.core.errors import RunError
from triptych.core.files import read_json_lines
from triptych.data.batch import Batch, collate
from triptych.data.media.images import load_image
from triptych.models.family import Model
from triptych.train.measuring.meters import StepReport, rewind_records
from triptych.train.recipe import Recipe, Tune, resolve
from triptych.train.release import settle_parts
from triptych.train.stage_state import begin_stage
from triptych.train.start import start_model
from triptych.train.step import train_step
from triptych.train.trainer import Hooks, train


def test_a_run_leaves_records_of_every_step_and_stage(tmp_path: Path) -> None:
    reports: list[StepReport] = []
    stages: list[tuple[str, bool]] = []

    def after_stage(name: str, model: Model) -> None:
        stages.append((name, any(weight.requires_grad for weight in model.network.parameters())))

    run = tmp_path / "run"
    hooks = Hooks(after_step=reports.append, after_stage=after_stage)
    assert train(toy_recipe(tmp_path, align=True), run=run, hooks=hooks) == run / "model"
    assert stages == [("align", False), ("tune", False)]
    assert [report.step for report in reports] == [1, 2, 3, 4, 5, 6]
    records = list(read_json_lines(run / "metrics.jsonl"))
    aligned, align_cost, *steps, tune_cost = records
    assert aligned["explained_variance"] > 0.9  # type: ignore[operator]
    assert aligned["nearest_name_accuracy"] == 1.0
    assert {"stage", "wall_s", "peak_gib"} == set(align_cost) == set(tune_cost)
    assert [step["step"] for step in steps] == [1, 2, 3, 4, 5, 6]
    assert {
        "stage", "step", "loss_nats", "rate_projector", "rate_language", "tokens", "trained_tokens", "tokens_per_s",
        "images", "memory_gib", "packing_fill", "wall_s",
    } <= set(steps[0])  # fmt: skip
    assert (run / "recipe.yaml").exists()
    (run / "model").rename(run / "gone")  # as if killed before the model was saved: hooks are told again
    train(toy_recipe(tmp_path, align=True), run=run, hooks=hooks)
    assert [name for name, _ in stages] == ["align", "tune"] * 2
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["align-1", "tune-6"]


def test_the_merged_model_opens_in_plain_transformers_with_the_logits_of_the_adapted_one(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path)
    (stage,) = recipe.stages
    assert isinstance(stage, Tune)
    model = start_model(recipe.model, seed=0)
    untouched = start_model(recipe.model, seed=0)
    state = begin_stage(model, stage, run=tmp_path / "run", seed=0)
    for number in range(4):
        train_step(state, number)
    model.network.eval()
    batch = collate([[next(encoded for encoded in state.encoded if encoded.slots)]], pad_id=0)
    adapted = logits_of(model, batch)
    assert not torch.allclose(adapted, logits_of(untouched, batch), atol=1e-2)

    settle_parts(model)
    model.save(tmp_path / "model")
    torch.testing.assert_close(logits_of(model, batch), adapted, rtol=1e-4, atol=1e-4)
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "model").eval()
    assert not any("lora" in name for name, _ in plain.named_parameters())
    pixels_NCHW = torch.stack([model.pixels(load_image(batch.images[slot.image])).values for slot in batch.slots])
    with torch.no_grad():
        logits = plain(input_ids=batch.ids_BT, pixel_values=pixels_NCHW).logits
    torch.testing.assert_close(logits, adapted, rtol=1e-4, atol=1e-4)


def logits_of(model: Model, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        features = model.encode([model.pixels(load_image(image)) for image in batch.images])
        return model.head(model.hidden(model.weave(batch, features)))


def test_the_merged_weights_hold_what_the_adapter_learnt(tmp_path: Path) -> None:
    learnt: list[float] = []
    recipe = toy_recipe(tmp_path, ("6 steps", "40 steps"), ("dropout: 0.1", "dropout: 0.0"))
    hooks = Hooks(after_step=lambda report: learnt.append(report.loss_nats))
    folder = train(recipe, run=tmp_path / "run", hooks=hooks)
    assert learnt[-1] < 0.7 * learnt[0]
    # Going on from the finished model, its first step finds the loss where the last one left it.
    tree = json.loads(recipe.model_dump_json())
    tree["model"] = {"open": str(folder)}
    again = resolve(parse_config(json.dumps(tree), model=Recipe, file="again"))
    losses: list[float] = []
    train(again, run=tmp_path / "again", hooks=Hooks(after_step=lambda report: losses.append(report.loss_nats)))
    assert losses[0] < 0.8 * learnt[0]


def test_two_gradient_stages_follow_each_other(tmp_path: Path) -> None:
    tree = json.loads(toy_recipe(tmp_path).model_dump_json())
    tree["stages"].append({**tree["stages"][0], "name": "tune2", "length": "2 steps"})
    recipe = resolve(parse_config(json.dumps(tree), model=Recipe, file="two"))
    train(recipe, run=tmp_path / "run")
    steps = [(r["stage"], r["step"]) for r in read_json_lines(tmp_path / "run" / "metrics.jsonl") if "step" in r]
    assert steps == [("tune", n) for n in range(1, 7)] + [("tune2", 1), ("tune2", 2)]


def test_the_same_recipe_twice_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    weights = {}
    for name, changes in (("a", []), ("b", []), ("c", [("seed: 3", "seed: 4")])):
        folder = train(toy_recipe(tmp_path, *changes), run=tmp_path / name)
        weights[name] = (folder / "model.safetensors").read_bytes()
    assert weights["a"] == weights["b"]
    assert weights["a"] != weights["c"]


def test_a_loss_that_is_not_finite_names_the_last_good_checkpoint(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, ("rate: 1e-2", "rate: 1e18"), ("rate: 3e-3", "rate: 1e18"), ("2 steps", "1 step"))
    with pytest.raises(RunError, match=r"stage 'tune': the (loss|gradient's norm) is (nan|inf)") as caught:
        train(recipe, run=tmp_path / "run")
    assert f"The last good checkpoint is {tmp_path / 'run' / 'checkpoints' / 'tune-'}" in str(caught.value)
    assert "Lower the parts' rates" in str(caught.value)


def test_another_recipe_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    train(toy_recipe(tmp_path), run=tmp_path / "run")
    with pytest.raises(RunError, match="seed is 3 there, 4 here"):
        train(toy_recipe(tmp_path, ("seed: 3", "seed: 4"), ("vision: vit", "vision: nowhere")), run=tmp_path / "run")


def test_features_of_a_frozen_tower_are_encoded_once_for_all_stages(tmp_path: Path) -> None:
    train(toy_recipe(tmp_path, align=True), run=tmp_path / "run")
    files = list((tmp_path / "run" / "features").rglob("*.safetensors"))
    assert len(files) == 1, "eight pictures are one chunk, encoded by the first stage"


def test_records_beyond_the_checkpoint_are_dropped_and_those_of_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [
        {"stage": "draw", "wall_s": 1.0},
        {"stage": "align", "step": 1},
        {"stage": "align", "wall_s": 2.0},
        {"stage": "tune", "step": 1},
        {"stage": "tune", "step": 2},
        {"stage": "tune", "step": 3},
        {"stage": "tune", "wall_s": 2.0},
        {"stage": "later", "step": 1},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"stage": "tu')
    rewind_records(path, "tune", step=2, later=["later"])
    assert list(read_json_lines(path)) == lines[:5]
    rewind_records(tmp_path / "none.jsonl", "tune", step=2)


@dataclass(frozen=True)
class Room:
    """Let no file of a process grow beyond so many bytes, which stands for a disk that is full."""

    file_bytes: int

    def __call__(self, rank: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.file_bytes, resource.RLIM_INFINITY))


@pytest.mark.parametrize(
    ("ranks", "file_bytes"), [(1, 1_000), (1, 100_000), (2, 100_000)], ids=["recipe", "model", "model, two processes"]
)
def test_a_full_disk_is_told_in_a_line_whatever_was_to_be_written(tmp_path: Path, ranks: int, file_bytes: int) -> None:
    recipe, run = toy_recipe(tmp_path, ("0.1}", "0.0}")), tmp_path / "run"
    assert run_ranks(recipe, run, ranks=ranks, before=Room(file_bytes)) == [2] * ranks
    (error,) = [line for line in said(run, 0).splitlines() if line.startswith("error: ")]
    assert "no more can be written" in error
    assert "give the same command again to go on" in error
    assert "Traceback" not in said(run, 0)
    assert not (run / "model").exists()
    assert run_ranks(recipe, run, ranks=ranks) == [0] * ranks
    assert (run / "model" / "config.json").is_file()
