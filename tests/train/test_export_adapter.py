"""The base that an adapter alone names is one that plain transformers opens, from whatever folder it is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText

from tests.models.originals import save_original
from tests.train.runs import toy_recipe
from tests.train.test_export import logits, plan_of, words
from triptych.core.errors import ModelError
from triptych.models.families.tiny import tiny
from triptych.models.family import open_model
from triptych.train.export.export import export
from triptych.train.merging import merged_model
from triptych.train.trainer import train

PARTS = "  family: tiny\n  parts: {vision: vit, language: llama}"
LONGER = [(f"{what}_tokens: {old}", f"{what}_tokens: 640") for what, old in (("pack", 160), ("step", 320))]
SHORT = ("length: 6 steps", "length: 2 steps")


def test_the_base_of_an_opened_checkpoint_of_llavas_own_code_is_written_besides(tmp_path: Path) -> None:
    save_original(tmp_path / "original", "LlavaLlamaForCausalLM", {"image_aspect_ratio": "pad"}, tower="clip")
    recipe = toy_recipe(tmp_path, SHORT, *LONGER, (PARTS, f"  open: {tmp_path / 'original'}"))
    tuned = open_model(train(recipe, run=tmp_path / "run"))
    export(str(tmp_path / "run"), tmp_path / "adapter", plan=plan_of("adapter=true"))
    said = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert said["base_model_name_or_path"] == str(tmp_path / "adapter" / "base")
    assert 'from_pretrained("adapter/base", dtype="float32")' in (tmp_path / "adapter" / "README.md").read_text()
    base = AutoModelForImageTextToText.from_pretrained(tmp_path / "adapter" / "base").eval()
    adapted = PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
    inputs = words(tuned, tmp_path)
    assert torch.allclose(logits(adapted, inputs), logits(tuned.network, inputs), atol=1e-4)


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_an_adapter_scaled_by_the_root_of_its_rank_says_so(kind: str, tmp_path: Path) -> None:
    """Of two parts with different ranks, plain peft over the base says what the run's model says."""
    adapters = (
        ("{train: full, rate: 3e-3}", f"{{train: {kind}, rate: 1e-2, rank: 2, alpha: 3, scale: root}}"),
        ("{train: lora, rate: 1e-2, rank: 4,", f"{{train: {kind}, rate: 1e-2, rank: 16, scale: root,"),
    )
    tuned = open_model(train(toy_recipe(tmp_path, SHORT, *adapters), run=tmp_path / "run"))
    export(str(tmp_path / "run"), tmp_path / "adapter", plan=plan_of("adapter=true"))
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["use_rslora"] is True
    base = AutoModelForImageTextToText.from_pretrained(tmp_path / "adapter" / "base").eval()
    inputs = words(tuned, tmp_path)
    untuned = logits(base, inputs)
    adapted = PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
    assert not torch.allclose(untuned, logits(tuned.network, inputs), atol=1e-2)
    assert torch.allclose(logits(adapted, inputs), logits(tuned.network, inputs), atol=1e-4)
    merged = merged_model(tmp_path / "adapter")
    assert torch.allclose(logits(merged.network, inputs), logits(tuned.network, inputs), atol=1e-4)


def test_adapters_of_two_scales_do_not_go_into_one_of_pefts(tmp_path: Path) -> None:
    both = ("{train: full, rate: 3e-3}", "{train: lora, rate: 1e-2, rank: 2, alpha: 3, scale: root}")
    train(toy_recipe(tmp_path, SHORT, both), run=tmp_path / "run")
    with pytest.raises(ModelError, match="one scale, rank or root, in all parts: leave adapter out"):
        export(str(tmp_path / "run"), tmp_path / "adapter", plan=plan_of("adapter=true"))


@pytest.mark.parametrize("run", [False, True])
def test_a_base_of_a_recipes_relative_path_is_named_by_its_whole_path(
    run: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny(0).save(Path("before/model" if run else "before"))
    recipe = toy_recipe(tmp_path, SHORT, (PARTS, "  open: before"))
    train(recipe, run=Path("run"))
    export("run", Path("adapter"), plan=plan_of("adapter=true"))
    assert not Path("adapter/base").exists()
    named = json.loads(Path("adapter/adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == str(tmp_path / "before" / ("model" if run else ""))
    monkeypatch.chdir("/")
    base = AutoModelForImageTextToText.from_pretrained(named)
    PeftModel.from_pretrained(base, str(tmp_path / "adapter"))


def test_a_base_written_besides_is_named_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train(toy_recipe(tmp_path, SHORT), run=Path("run"))
    export("run", Path("adapter"), plan=plan_of("adapter=true"))
    named = json.loads(Path("adapter/adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == str(tmp_path / "adapter" / "base")
    assert 'from_pretrained("adapter/base", dtype="float32")' in Path("adapter/README.md").read_text()
