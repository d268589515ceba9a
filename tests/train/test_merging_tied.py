"""An adapter on a head that shares its weight with the embeddings goes into one of the two alone."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForImageTextToText

from tests.train.test_merging_older_names import IDS, change_config, logits_of, save_adapter
from triptych.core.errors import ModelError
from triptych.models.adapters import untie_adapted
from triptych.models.families.flamingo import FAMILY as FLAMINGO
from triptych.models.families.tiny import tiny
from triptych.models.family import open_model
from triptych.train.merging import merged_model


@pytest.mark.parametrize("targets", [["q_proj", "lm_head"], ["embed_tokens"], ["embed_tokens", "lm_head"]], ids=str)
def test_an_adapter_on_a_tied_weight_says_the_same_merged_and_saved(targets: list[str], tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "base")
    plan = LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False)
    tuned = save_adapter(open_model(tmp_path / "base"), tmp_path / "adapter", plan)
    change_config(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "base"))
    merged = merged_model(tmp_path / "adapter")
    assert torch.allclose(logits_of(merged), tuned, rtol=1e-4, atol=1e-4)
    merged.save(tmp_path / "merged")
    assert torch.allclose(logits_of(open_model(tmp_path / "merged")), tuned, rtol=1e-4, atol=1e-4)
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged")
    with torch.no_grad():
        assert torch.allclose(plain(input_ids=IDS).logits, tuned, rtol=1e-4, atol=1e-4)
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert not config["tie_word_embeddings"]
    assert not config["text_config"]["tie_word_embeddings"]


def test_a_head_that_was_trained_whole_is_saved_as_one_of_its_own(tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "base")
    plan = LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["lm_head"], init_lora_weights=False)
    tuned = save_adapter(open_model(tmp_path / "base"), tmp_path / "adapter", plan)
    change_config(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "base"))
    merged = merged_model(tmp_path / "adapter")
    assert torch.allclose(logits_of(merged), tuned, atol=1e-4)
    assert not merged.network.config.tie_word_embeddings


def test_rows_that_were_trained_alone_in_a_tied_table_are_the_heads_too(tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "base")
    plan = LoraConfig(r=4, target_modules=["q_proj"], trainable_token_indices=[5, 6], init_lora_weights=False)
    tuned = save_adapter(open_model(tmp_path / "base"), tmp_path / "adapter", plan)
    change_config(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "base"))
    merged = merged_model(tmp_path / "adapter")
    assert torch.allclose(logits_of(merged), tuned, atol=1e-4)
    assert not torch.allclose(logits_of(tiny(0)), tuned, atol=1e-2)
    assert merged.network.get_input_embeddings().weight is merged.network.get_output_embeddings().weight
    assert merged.network.config.tie_word_embeddings


def test_a_model_whose_tied_weight_has_no_adapter_stays_tied(tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "base")
    plan = LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False)
    save_adapter(open_model(tmp_path / "base"), tmp_path / "adapter", plan)
    change_config(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "base"))
    network = merged_model(tmp_path / "adapter").network
    assert network.config.tie_word_embeddings
    assert network.get_input_embeddings().weight is network.get_output_embeddings().weight


@pytest.mark.parametrize("targets", [["lm_head"], ["wte"]], ids=str)
def test_a_flamingo_whose_head_is_its_table_is_untied_too(targets: list[str], tmp_path: Path) -> None:
    FLAMINGO.samples["mpt"](0).save(tmp_path / "base")
    plan = LoraConfig(r=4, target_modules=targets, init_lora_weights=False)
    tuned = save_adapter(open_model(tmp_path / "base"), tmp_path / "adapter", plan)
    change_config(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "base"))
    merged_model(tmp_path / "adapter").save(tmp_path / "merged")
    assert torch.allclose(logits_of(open_model(tmp_path / "merged")), tuned, rtol=1e-4, atol=1e-4)


def test_another_weight_that_two_layers_share_is_not_parted() -> None:
    model = tiny(0)
    first, second = (model.network.get_submodule(f"model.language_model.layers.{n}.mlp.up_proj") for n in (0, 1))
    first.weight = second.weight
    get_peft_model(model.network, LoraConfig(r=4, target_modules=["up_proj"]))
    with pytest.raises(ModelError, match="are one weight"):
        untie_adapted(model.network)


def test_nothing_is_warned_of_that_is_dealt_with(tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "base")
    plan = LoraConfig(r=4, target_modules=["lm_head"], init_lora_weights=False)
    save_adapter(open_model(tmp_path / "base"), tmp_path / "adapter", plan)
    change_config(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "base"))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        merged_model(tmp_path / "adapter")
    assert [str(each.message) for each in told if issubclass(each.category, UserWarning)] == []
