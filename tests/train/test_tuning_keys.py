"""Keys of a recipe on how adapters count, how fast they learn and where a schedule ends, through whole runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.train.runs import stop_at, toy_recipe
from tests.train.test_forecast_only import EIGHT_B
from triptych.core.errors import ConfigError, RunError
from triptych.core.files import read_json_lines
from triptych.train.forecast.estimate import Assumed, memory_of, work_of
from triptych.train.recipe import Tune
from triptych.train.trainer import train

ROOT = ("rank: 4, alpha: 8", "rank: 4, alpha: 8, scale: root")
TWICE = ("rank: 4, alpha: 8", "rank: 4, alpha: 16")
"""Counts 16 / 4 times, which is 8 / root of 4."""
FASTER = ("rank: 4, alpha: 8", "rank: 4, alpha: 8, rate_b: 16")
FLOOR = ("schedule: linear", "schedule: linear\n    floor: 0.4")
STREAMED = ("schedule: linear", "schedule: linear\n    in_memory_rows: 0")


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def same_weights(run: Path, other: Path) -> bool:
    ours, theirs = weights_of(run), weights_of(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def rates_of(run: Path, *, part: str) -> list[object]:
    return [line[f"rate_{part}"] for line in read_json_lines(run / "metrics.jsonl") if f"rate_{part}" in line]


@pytest.mark.parametrize("train_by", ["lora", "dora", "qlora", "qdora"])
def test_an_adapter_scaled_by_the_root_learns_as_one_of_the_alpha_that_counts_as_much(
    train_by: str, tmp_path: Path
) -> None:
    if train_by.startswith("q"):
        pytest.importorskip("bitsandbytes", reason="an optional package: pip install bitsandbytes")
    kind = ("language: {train: lora", f"language: {{train: {train_by}")
    train(toy_recipe(tmp_path, kind, ROOT), run=tmp_path / "root")
    train(toy_recipe(tmp_path, kind, TWICE), run=tmp_path / "twice")
    train(toy_recipe(tmp_path, kind), run=tmp_path / "plain")
    assert same_weights(tmp_path / "root", tmp_path / "twice")
    assert not same_weights(tmp_path / "root", tmp_path / "plain")


@pytest.mark.parametrize("change", [ROOT, FASTER, FLOOR], ids=["scale", "rate_b", "floor"])
def test_a_run_that_was_stopped_ends_with_the_same_bits(change: tuple[str, str], tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, change)
    train(recipe, run=tmp_path / "whole")
    with pytest.raises(RunError, match="after step 3 of 6"):
        train(recipe, run=tmp_path / "run", hooks=stop_at(3))
    train(recipe, run=tmp_path / "run")
    assert same_weights(tmp_path / "run", tmp_path / "whole")
    train(toy_recipe(tmp_path), run=tmp_path / "plain")
    assert not same_weights(tmp_path / "run", tmp_path / "plain")


def test_a_second_matrix_of_another_rate_keeps_the_rates_that_are_told(tmp_path: Path) -> None:
    train(toy_recipe(tmp_path, FASTER), run=tmp_path / "faster")
    train(toy_recipe(tmp_path), run=tmp_path / "plain")
    assert rates_of(tmp_path / "faster", part="language") == rates_of(tmp_path / "plain", part="language")


@pytest.mark.parametrize("changes", [[], [STREAMED]], ids=["in memory", "as they come"])
def test_every_part_falls_to_the_floor(changes: list[tuple[str, str]], tmp_path: Path) -> None:
    own = ("rate: 3e-3", "rate: 3e-3, warmup: 2 steps")
    recipe = toy_recipe(tmp_path, own, FLOOR if not changes else (STREAMED[0], f"{STREAMED[1]}\n    floor: 0.4"))
    train(recipe, run=tmp_path / "run")
    fallen = [0.4 + 0.6 * (6 - step) / 6 for step in range(6)]
    assert rates_of(tmp_path / "run", part="language") == pytest.approx([1e-2 * factor for factor in fallen])
    later = [1 / 3, 2 / 3, *(0.4 + 0.6 * (6 - step) / 4 for step in range(2, 6))]
    assert rates_of(tmp_path / "run", part="projector") == pytest.approx([3e-3 * factor for factor in later])


def test_a_forecast_asks_for_no_more_than_before(tmp_path: Path) -> None:
    both = ("rank: 4, alpha: 8", "rank: 4, alpha: 8, scale: root, rate_b: 16")
    plain, changed = (toy_recipe(tmp_path, *changes).stages[0] for changes in ([], [both, FLOOR]))
    assert isinstance(plain, Tune)
    assert isinstance(changed, Tune)
    memory, more = (memory_of(each, EIGHT_B, gpus=1, parallel="none", assumed=Assumed()) for each in (plain, changed))
    work, most = (work_of(each, EIGHT_B, tokens=1000, assumed=Assumed()) for each in (plain, changed))
    assert (memory, work) == (more, most)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("schedule: linear", "schedule: constant\n    floor: 0.1"), "floor: a constant schedule never falls"),
        (("schedule: linear", "floor: 1"), r"stages\.tune\.floor: "),
        (("schedule: linear", "keep_checkpoints: 0"), r"stages\.tune\.keep_checkpoints"),
        (("schedule: linear", "keep_checkpoints: most"), r"stages\.tune\.keep_checkpoints"),
        (("rank: 4", "rank: 4, rate_b: 0"), r"language\.rate_b: should be greater than 0"),
        (("rank: 4", "rank: 4, scale: rslora"), r"language\.scale: "),
    ],
)
def test_what_a_key_cannot_be_is_told_in_one_line(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        toy_recipe(tmp_path, change)
    assert str(caught.value).count("\n") < 2
