"""What a run has learnt so far, and what peft wrote, become plain models that answer as their adapters did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from tests.models.pictures import ask, draw_pictures, encoded, logits_of
from tests.train.runs import toy_recipe
from triptych.cli.merge import run as merge
from triptych.core.config import dump_config
from triptych.core.errors import ConfigError, ModelError, NotFoundError, RunError
from triptych.data.batch import collate
from triptych.models.families.tiny import tiny
from triptych.models.family import Model, open_model
from triptych.train.measuring.meters import StepReport
from triptych.train.merging import check_apart, merged_model
from triptych.train.start import start_model
from triptych.train.trainer import Hooks, train

PROJECTOR_AND_ADAPTER = ("language: {train: lora, rate: 1e-2,", "language: {train: dora, rate: 1e-2,")


class StoppedError(Exception):
    """A run that somebody ends."""


def test_a_run_that_is_not_at_its_end_merges_to_what_it_has_learnt(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, PROJECTOR_AND_ADAPTER)

    def stop_at(report: StepReport) -> None:
        if report.step == 5:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(recipe, run=tmp_path / "run", hooks=Hooks(after_step=stop_at))
    merged = merged_model(tmp_path / "run")
    merged.save(tmp_path / "four_steps")
    four = toy_recipe(tmp_path, PROJECTOR_AND_ADAPTER, ("length: 6 steps", "length: 4 steps"), ("linear", "constant"))
    same = toy_recipe(tmp_path, PROJECTOR_AND_ADAPTER, ("linear", "constant"))
    with pytest.raises(StoppedError):
        train(same, run=tmp_path / "same", hooks=Hooks(after_step=stop_at))
    whole = open_model(train(four, run=tmp_path / "four"))
    assert torch.equal(_logits(whole, tmp_path), _logits(merged_model(tmp_path / "same"), tmp_path))
    assert not torch.equal(_logits(merged, tmp_path), _logits(start_model(recipe.model, seed=0), tmp_path))
    assert torch.equal(_logits(open_model(tmp_path / "four_steps"), tmp_path), _logits(merged, tmp_path))


def test_a_finished_run_merges_to_its_model(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, ("length: 6 steps", "length: 2 steps"), align=True)
    finished = open_model(train(recipe, run=tmp_path / "run"))
    assert torch.equal(_logits(merged_model(tmp_path / "run"), tmp_path), _logits(finished, tmp_path))


def test_what_was_learnt_over_a_stage_that_is_lost_is_not_merged(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, ("length: 6 steps", "length: 2 steps"), align=True)
    train(recipe, run=tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "align-1" / "complete").unlink()
    with pytest.raises(RunError, match="no whole checkpoint yet"):
        merged_model(tmp_path / "run")


@pytest.mark.parametrize("root", [False, True], ids=["rank", "root"])
@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
def test_an_adapter_that_peft_wrote_merges_into_the_base_it_names(dora: bool, root: bool, tmp_path: Path) -> None:
    tuned = _peft_folder(tmp_path, dora=dora, root=root)
    merged = merged_model(tmp_path / "adapter")
    assert torch.allclose(_logits(merged, tmp_path), tuned, atol=1e-4)
    assert not torch.allclose(_logits(tiny(0), tmp_path), tuned, atol=1e-2)
    merged.save(tmp_path / "merged")
    assert torch.allclose(_logits(open_model(tmp_path / "merged"), tmp_path), tuned, atol=1e-4)


def test_weights_that_were_trained_beside_the_adapter_are_taken_too(tmp_path: Path) -> None:
    _peft_folder(tmp_path)
    name = "base_model.model.model.multi_modal_projector.linear_1.bias"
    bias = tiny(0).network.state_dict()["model.multi_modal_projector.linear_1.bias"]
    torch.save({name: torch.full_like(bias, 0.5)}, tmp_path / "adapter" / "non_lora_trainables.bin")
    state = merged_model(tmp_path / "adapter").network.state_dict()
    assert torch.equal(state["model.multi_modal_projector.linear_1.bias"], torch.full_like(bias, 0.5))
    torch.save({"base_model.model.mm_projector.bias": bias}, tmp_path / "adapter" / "non_lora_trainables.bin")
    with pytest.raises(ModelError, match="has no place in LlavaForConditionalGeneration"):
        merged_model(tmp_path / "adapter")


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    _peft_folder(tmp_path)
    tiny(0, tower="convolutional").save(tmp_path / "other")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    config["target_modules"] = ["q_proj", "linear_1"]
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="does not fit"):
        merged_model(tmp_path / "adapter", base=str(tmp_path / "other"))


def test_what_cannot_be_merged_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"neither a run's folder \(recipe.yaml\) nor an adapter's"):
        merged_model(tmp_path)
    (tmp_path / "recipe.yaml").write_text("name: toy\nmodel: {open: x}\nstages: []\n")
    with pytest.raises(ModelError, match="leave --base out"):
        merged_model(tmp_path, base="x")
    train(toy_recipe(tmp_path, ("length: 6 steps", "length: 1 steps")), run=tmp_path / "run")
    for folder in (tmp_path / "run" / "checkpoints").iterdir():
        (folder / "complete").unlink()
    with pytest.raises(RunError, match="no whole checkpoint yet"):
        merged_model(tmp_path / "run")


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("adapter_config.json", b"{torn", "not JSON"),
        ("adapter_config.json", b"[]", "names no base model"),
        ("adapter_config.json", b'{"base_model_name_or_path": 3}', "names no base model"),
        ("adapter_model.safetensors", b"torn" * 9, "or is torn"),
        ("non_lora_trainables.bin", b"torn", "cannot be read, perhaps it is torn"),
    ],
)
def test_a_torn_adapter_is_told_by_its_file(tmp_path: Path, file: str, content: bytes, said: str) -> None:
    _peft_folder(tmp_path)
    (tmp_path / "adapter" / file).write_bytes(content)
    with pytest.raises(ModelError, match=said) as told:
        merged_model(tmp_path / "adapter")
    assert str(tmp_path / "adapter") in str(told.value)
    assert "\n" not in str(told.value)


def test_what_is_beside_an_adapter_and_is_no_weight_is_told(tmp_path: Path) -> None:
    _peft_folder(tmp_path)
    torch.save([1], tmp_path / "adapter" / "non_lora_trainables.bin")
    with pytest.raises(ModelError, match="something else than weights"):
        merged_model(tmp_path / "adapter")


def test_a_recipe_that_is_no_text_is_told_when_its_run_is_merged(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"recipe\.yaml: cannot be read as UTF-8"):
        merged_model(tmp_path)


@pytest.mark.parametrize("place", ["base", "adapter", "a link to the base"])
@pytest.mark.parametrize("named", [True, False])
def test_nothing_is_merged_over_what_it_is_made_of(
    named: bool, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _peft_folder(tmp_path)
    (tmp_path / "a link to the base").symlink_to("base")
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.glob("*/*")}
    with pytest.raises(ModelError, match=f"--out: {place} is .* give a new folder"):
        merge(Path("adapter"), out=Path(place), base=str(tmp_path / "base") if named else None)
    assert {path: path.read_bytes() for path in tmp_path.glob("*/*")} == before


def test_a_run_is_not_merged_over_the_model_it_began_with(tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "base")
    change = ("  family: tiny\n  parts: {vision: vit, language: llama}", f"  open: {tmp_path / 'base'}")
    train(toy_recipe(tmp_path, ("length: 6 steps", "length: 1 steps"), change), run=tmp_path / "run")
    with pytest.raises(ModelError, match="is the model that it was learnt on"):
        merge(tmp_path / "run", out=tmp_path / "base")
    merge(tmp_path / "run", out=tmp_path / "run" / "model")


@pytest.mark.parametrize("key", ["vision", "language", "projector_weights"])
def test_a_run_is_not_merged_over_a_part_that_it_began_with(key: str, tmp_path: Path) -> None:
    part = tmp_path / "parts" / key
    (part / "model").mkdir(parents=True)
    named = {"vision": "starter:vit", "language": "starter:llama", key: str(part)}
    lines = "".join(f"    {name}: {value}\n" for name, value in named.items())
    change = ("  family: tiny\n  parts: {vision: vit, language: llama}", f"  family: llava\n  parts:\n{lines}")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text(dump_config(toy_recipe(tmp_path, change)))
    for out in (part, part / "model"):
        with pytest.raises(ModelError, match="a part of it, which would be lost: give a new folder"):
            check_apart(tmp_path / "run", out)
    check_apart(tmp_path / "run", tmp_path / "new")


def test_nothing_is_merged_over_the_run_whose_model_an_adapter_was_learnt_on(tmp_path: Path) -> None:
    _peft_folder(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "base").rename(tmp_path / "run" / "model")
    for out in ("run", "run/model"):
        with pytest.raises(ModelError, match="is the model that it was learnt on"):
            check_apart(tmp_path / "adapter", tmp_path / out, base=str(tmp_path / "run"))


def _peft_folder(folder: Path, *, dora: bool = False, root: bool = False) -> Tensor:
    """Write a base and an adapter of it; return what both together say."""
    tiny(0).save(folder / "base")
    model = open_model(folder / "base")
    aim = r".*language_model.*\.(q|down)_proj"
    plan = LoraConfig(r=4, lora_alpha=8, target_modules=aim, use_dora=dora, use_rslora=root, init_lora_weights=False)
    plan.base_model_name_or_path = str(folder / "base")
    torch.manual_seed(0)
    adapted = get_peft_model(model.network, plan)
    adapted.save_pretrained(str(folder / "adapter"))
    model.network.eval()
    return _logits(model, folder)


def _logits(model: Model, folder: Path) -> Tensor:
    pictures = draw_pictures(folder / "pictures", 2)
    batch = collate([[encoded(model, ask("a", "Is ", *pictures, " alike?", reply="no"))]], pad_id=0)
    with torch.no_grad():
        return logits_of(model, batch)
