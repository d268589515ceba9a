"""Rows of an adapter's own tokens: of one table or two, held whole or by themselves, and what needs none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken
from torch import Tensor

from tests.train.test_merging_older_names import change_config, logits_of, save_adapter
from tests.train.test_merging_words import Q_PROJ, TABLES, change_json, learnt, refusal_of
from triptych.models.families.tiny import tiny
from triptych.models.family import open_model
from triptych.train.merging import merged_model


@pytest.mark.parametrize(
    "how",
    [
        {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"target_modules": ["q_proj", "embed_tokens"], "modules_to_save": ["multi_modal_projector"]},
    ],
    ids=str,
)
def test_of_one_weight_one_name_is_enough(how: dict[str, object], tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "base")
    model = open_model(tmp_path / "base")
    model.tokenizer.add_tokens([AddedToken("<loc1>", special=True, normalized=False)], special_tokens=True)
    model.network.resize_token_embeddings(272, mean_resizing=False)
    plan = LoraConfig(**{"r": 4, "target_modules": Q_PROJ, "init_lora_weights": False, **how})  # type: ignore[arg-type]
    tuned = save_adapter(model, tmp_path / "adapter", plan)
    model.tokenizer.save_pretrained(tmp_path / "adapter")
    change_config(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "base"))
    assert torch.allclose(logits_of(merged_model(tmp_path / "adapter")), tuned, atol=1e-4)


@pytest.mark.parametrize("indices", [[260], {"embed_tokens": [260]}], ids=str)
def test_rows_that_were_learnt_by_themselves_make_the_tables_grow(indices: object, tmp_path: Path) -> None:
    tuned = learnt_alone(tmp_path, indices, tied=True)
    merged = merged_model(tmp_path / "adapter")
    assert merged.network.get_input_embeddings().weight.shape == (261, 48)
    assert torch.allclose(logits_of(merged), tuned[..., :261], atol=1e-4)
    merged.save(tmp_path / "merged")
    again = open_model(tmp_path / "merged")
    assert again.tokenizer("<loc1>")["input_ids"] == [260]
    assert torch.allclose(logits_of(again), tuned[..., :261], atol=1e-4)


@pytest.mark.parametrize(("indices", "fits"), [([260], False), ({"embed_tokens": [260], "lm_head": [260]}, True)])
def test_of_two_tables_each_needs_rows_of_its_own(indices: object, fits: bool, tmp_path: Path) -> None:
    tuned = learnt_alone(tmp_path, indices, tied=False)
    if fits:
        assert torch.allclose(logits_of(merged_model(tmp_path / "adapter")), tuned[..., :261], atol=1e-4)
        return
    said = refusal_of(tmp_path)
    assert "has 260 rows, none for '<loc1>'. Learn it anew with `trainable_token_indices` of all of them" in said


@pytest.mark.parametrize("both", [True, False])
def test_a_token_that_the_settings_list_besides_needs_a_row(both: bool, tmp_path: Path) -> None:
    model = tiny(0)
    model.save(tmp_path / "base")
    save_adapter(model, tmp_path / "adapter", LoraConfig(r=4, target_modules=Q_PROJ))
    change_config(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "base"))
    model.tokenizer.save_pretrained(tmp_path / "adapter")
    named = ("additional_special_tokens", "extra_special_tokens") if both else ("additional_special_tokens",)
    change_json(tmp_path / "adapter" / "tokenizer_config.json", **{name: ["<loc1>"] for name in named})
    assert "has 260 rows, none for '<loc1>'" in refusal_of(tmp_path)


def test_two_tables_of_other_sizes_are_told(tmp_path: Path) -> None:
    learnt(tmp_path, whole=TABLES, rows=332)
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    weights = load_file(path)
    save_file(
        {name: value[:330] if name.endswith("lm_head.weight") else value for name, value in weights.items()}, path
    )
    said = refusal_of(tmp_path)
    assert "x48 in the adapter and 320x48 in " in said
    assert "Its table and head have not as many rows" in said


def test_tables_cut_below_the_bases_tokens_are_told(tmp_path: Path) -> None:
    learnt(tmp_path, added=[], whole=TABLES, rows=258)
    said = refusal_of(tmp_path)
    assert "tables of words have 258 rows, none for " in said
    assert said.endswith("Learn it anew on tables of 260 rows or more.")


def test_a_pad_token_that_has_a_row_is_taken(tmp_path: Path) -> None:
    learnt(tmp_path, added=[])
    model = open_model(tmp_path / "base")
    model.tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    model.tokenizer.save_pretrained(tmp_path / "adapter")
    merged = merged_model(tmp_path / "adapter")
    assert merged.tokenizer.convert_tokens_to_ids("[PAD]") == 260


def test_a_token_is_taken_as_special_as_it_was(tmp_path: Path) -> None:
    learnt(tmp_path, added=[])
    model = open_model(tmp_path / "base")
    tokens = [AddedToken("<loc1>", special=False, normalized=False), AddedToken("cat", single_word=True)]
    model.tokenizer.add_tokens(tokens)
    model.tokenizer.save_pretrained(tmp_path / "adapter")
    tokenizer = merged_model(tmp_path / "adapter").tokenizer
    assert not any(tokenizer.added_tokens_decoder[number].special for number in (260, 261))
    assert tokenizer.decode([260], skip_special_tokens=True) == "<loc1>"
    assert tokenizer("concat a cat")["input_ids"].count(261) == 1


def learnt_alone(folder: Path, indices: object, *, tied: bool) -> Tensor:
    """Write a base and an adapter of it with the row of a token that was added; return what both together say."""
    network = (written := tiny(0)).network
    if not tied:
        network.lm_head.weight = torch.nn.Parameter(network.lm_head.weight.detach().clone())
        network.config.tie_word_embeddings = network.config.text_config.tie_word_embeddings = False
    written.save(folder / "base")
    model = open_model(folder / "base")
    model.tokenizer.add_tokens([AddedToken("<loc1>", special=True, normalized=False)], special_tokens=True)
    model.network.resize_token_embeddings(272, mean_resizing=False)
    how = {"r": 4, "target_modules": Q_PROJ, "trainable_token_indices": indices, "init_lora_weights": False}
    plan = LoraConfig(**how)  # type: ignore[arg-type]
    tuned = save_adapter(model, folder / "adapter", plan)
    model.tokenizer.save_pretrained(folder / "adapter")
    change_config(folder / "adapter", base_model_name_or_path=str(folder / "base"))
    return tuned
