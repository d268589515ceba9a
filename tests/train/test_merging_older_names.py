"""An adapter in the names of an older transformers, or of LLaVA's own trainer, merges as one in today's names does."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.models.originals import save_original
from triptych.core.errors import ModelError
from triptych.models.families.tiny import tiny
from triptych.models.family import Model, open_model
from triptych.train.merging import merged_model

IDS = torch.tensor([[5, 6, 7, 8, 9, 30, 40]])
OLD = {
    r"model\.language_model\.": "language_model.model.",
    r"model\.multi_modal_projector\.": "multi_modal_projector.",
    r"lm_head\.": "language_model.lm_head.",
}
"""Today's names -> those of transformers before 4.52, in which Mantis's trainer writes."""
ORIGINAL = {
    r"model\.language_model\.": "model.",
    r"model\.multi_modal_projector\.linear_1\.": "model.mm_projector.0.",
    r"model\.multi_modal_projector\.linear_2\.": "model.mm_projector.2.",
}
"""Today's names -> those of LLaVA's own code."""
WORDS = ["q_proj", "v_proj", "down_proj"]
PATTERN = r".*language_model.*(q_proj|v_proj|down_proj)"


@pytest.mark.parametrize("names", [OLD, ORIGINAL], ids=["before 4.52", "original"])
@pytest.mark.parametrize("targets", [WORDS, PATTERN], ids=["words", "a pattern of today's names"])
def test_an_adapter_in_older_names_says_what_it_says_in_todays(
    names: Mapping[str, str], targets: list[str] | str, tmp_path: Path
) -> None:
    tuned = write_adapter(tmp_path, names, targets=targets)
    merged = merged_model(tmp_path / "adapter")
    assert torch.allclose(logits_of(merged), tuned, atol=1e-4)
    assert not torch.allclose(logits_of(tiny(0)), tuned, atol=1e-2)


@pytest.mark.parametrize("names", [OLD, ORIGINAL], ids=["before 4.52", "original"])
def test_what_was_trained_whole_has_older_names_too(names: Mapping[str, str], tmp_path: Path) -> None:
    write_adapter(tmp_path, names, targets=WORDS)
    long = ("model.multi_modal_projector.linear_1.bias", "model.multi_modal_projector.linear_2.weight")
    state = tiny(0).network.state_dict()
    beside = {name: torch.full_like(state[name], 0.5) for name in long}
    torch.save(renamed(beside, names), tmp_path / "adapter" / "non_lora_trainables.bin")
    merged = merged_model(tmp_path / "adapter").network.state_dict()
    assert all(torch.equal(merged[name], beside[name]) for name in long)


def test_a_weight_saved_whole_in_an_adapter_of_older_names_is_taken(tmp_path: Path) -> None:
    tuned = write_adapter(tmp_path, OLD, targets=WORDS, whole=["lm_head"])
    assert torch.allclose(logits_of(merged_model(tmp_path / "adapter")), tuned, atol=1e-4)


def test_an_adapter_of_fewer_layers_than_its_base_is_refused_in_older_names_too(tmp_path: Path) -> None:
    write_adapter(tmp_path, OLD, targets=WORDS)
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file({name: value for name, value in load_file(path).items() if ".layers.0." in name}, path)
    with pytest.raises(ModelError, match="does not fit"):
        merged_model(tmp_path / "adapter")


@pytest.mark.parametrize("names", [{}, OLD, ORIGINAL], ids=["current", "before 4.52", "original"])
def test_an_adapter_of_some_layers_alone_is_taken(names: Mapping[str, str], tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "base")
    plan = LoraConfig(r=4, target_modules=["q_proj", "down_proj"], layers_to_transform=[1], init_lora_weights=False)
    tuned = save_adapter(open_model(tmp_path / "base"), tmp_path / "adapter", plan)
    rename_adapter(tmp_path / "adapter", names)
    change_config(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "base"))
    assert torch.allclose(logits_of(merged_model(tmp_path / "adapter")), tuned, atol=1e-4)


def test_an_adapter_that_lost_all_of_a_part_is_refused(tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "base")
    plan = LoraConfig(r=4, target_modules=["q_proj", "fc1"], init_lora_weights=False)
    save_adapter(open_model(tmp_path / "base"), tmp_path / "adapter", plan)
    change_config(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "base"))
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file({name: value for name, value in load_file(path).items() if "vision" not in name}, path)
    with pytest.raises(ModelError, match=r"does not fit.*vision_tower.*is only in one of the two"):
        merged_model(tmp_path / "adapter")


def test_a_scale_of_a_layer_that_is_not_there_is_refused(tmp_path: Path) -> None:
    write_adapter(tmp_path, OLD, targets=WORDS)
    change_config(tmp_path / "adapter", alpha_pattern={"somewhere.layers.0.self_attn.q_proj": 64})
    with pytest.raises(ModelError, match=r"does not fit.*alpha_pattern names 'somewhere"):
        merged_model(tmp_path / "adapter")


def test_a_scale_of_one_layer_in_older_names_is_that_layers(tmp_path: Path) -> None:
    scales = {"model.language_model.layers.0.self_attn.q_proj": 64}
    tuned = write_adapter(tmp_path, OLD, targets=WORDS, scales=scales)
    change_config(tmp_path / "adapter", alpha_pattern={"language_model.model.layers.0.self_attn.q_proj": 64})
    assert torch.allclose(logits_of(merged_model(tmp_path / "adapter")), tuned, atol=1e-4)


def test_a_folder_of_llavas_own_trainer_merges_into_the_whole_model(tmp_path: Path) -> None:
    state = save_original(tmp_path / "whole", "LlavaLlamaForCausalLM", {"image_aspect_ratio": "pad"}, tower="clip")
    model = open_model(tmp_path / "whole")
    pattern = r".*language_model.*(q_proj|v_proj)"
    tuned = save_adapter(model, tmp_path / "adapter", LoraConfig(r=4, target_modules=pattern, init_lora_weights=False))
    rename_adapter(tmp_path / "adapter", ORIGINAL)
    change_config(tmp_path / "adapter", target_modules=["q_proj", "v_proj"], base_model_name_or_path=None)
    projector = {name: value for name, value in state.items() if "mm_projector" in name}
    torch.save(renamed(projector, {}), tmp_path / "adapter" / "non_lora_trainables.bin")
    merged = merged_model(tmp_path / "adapter", base=str(tmp_path / "whole"))
    assert torch.allclose(logits_of(merged), tuned, atol=1e-4)


def test_a_projector_of_one_layer_does_not_go_into_one_of_two(tmp_path: Path) -> None:
    write_adapter(tmp_path, {}, targets=PATTERN)
    name, old = "model.multi_modal_projector.linear_1.bias", "base_model.model.model.mm_projector.bias"
    bias = torch.full_like(tiny(0).network.state_dict()[name], 0.5)
    torch.save({old: bias}, tmp_path / "adapter" / "non_lora_trainables.bin")
    assert torch.equal(merged_model(tmp_path / "adapter").network.state_dict()[name], bias)
    config = tmp_path / "base" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"projector_hidden_act": "gelu"}))
    with pytest.raises(ModelError, match="has no place in LlavaForConditionalGeneration"):
        merged_model(tmp_path / "adapter")


def test_a_base_that_is_a_language_model_alone_is_told(tmp_path: Path) -> None:
    write_adapter(tmp_path, {}, targets=PATTERN)
    (tmp_path / "spoken").mkdir()
    (tmp_path / "spoken" / "config.json").write_text('{"model_type": "llama"}')
    change_config(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "spoken"))
    with pytest.raises(ModelError, match=r"the language model alone.*--base"):
        merged_model(tmp_path / "adapter")


def write_adapter(
    folder: Path,
    names: Mapping[str, str],
    *,
    targets: list[str] | str,
    whole: list[str] | None = None,
    scales: dict[str, int] | None = None,
) -> Tensor:
    """Write a base and an adapter of its language model, renamed; return what both together say."""
    tiny(0).save(folder / "base")
    layers = targets if isinstance(targets, str) else rf".*language_model.*({'|'.join(targets)})"
    plan = LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=layers,
        modules_to_save=whole,
        alpha_pattern=scales or {},
        init_lora_weights=False,
    )
    tuned = save_adapter(open_model(folder / "base"), folder / "adapter", plan)
    rename_adapter(folder / "adapter", names)
    change_config(folder / "adapter", base_model_name_or_path=str(folder / "base"), target_modules=targets)
    return tuned


def save_adapter(model: Model, folder: Path, plan: LoraConfig) -> Tensor:
    torch.manual_seed(0)
    adapted = get_peft_model(model.network, plan)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "modules_to_save" in name or "trainable_tokens" in name:
                weight.add_(torch.randn_like(weight))
    adapted.save_pretrained(str(folder))
    adapted.eval()
    with torch.no_grad():
        said: Tensor = adapted(input_ids=IDS).logits
    return said


def rename_adapter(folder: Path, names: Mapping[str, str]) -> None:
    path = folder / "adapter_model.safetensors"
    weights = {name.removeprefix("base_model.model."): value for name, value in load_file(path).items()}
    save_file(renamed(weights, names), path)


def renamed(weights: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return weights as a trainer writes them, under names of its time."""
    found = {}
    for name, value in weights.items():
        pattern = next((each for each in names if re.match(each, name)), None)
        old = name if pattern is None else re.sub(f"^{pattern}", names[pattern], name)
        found[f"base_model.model.{old}"] = value.clone()
    return found


def change_config(folder: Path, **settings: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def logits_of(model: Model) -> Tensor:
    with torch.no_grad():
        said: Tensor = model.network(input_ids=IDS).logits
    return said
