"""An adapter over a base that opening gives an image token, with tokens of its own in or behind that one's place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from tokenizers import AddedToken
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer

from tests.models.originals import save_original
from tests.train.test_merging_older_names import change_config, logits_of, save_adapter
from tests.train.test_merging_words import change_json, refusal_of
from triptych.models.family import Model, open_model
from triptych.train.merging import merged_model

MARK = 259
"""Where opening puts the image token: behind the base's own 259 tokens."""
TABLES = ["embed_tokens", "lm_head"]
PAD = {"pad_token": "[PAD]"}


@pytest.mark.parametrize("spare", [0, 8])
@pytest.mark.parametrize("names", [PAD, {"unk_token": "<unk>"}], ids=str)
def test_an_idle_token_in_the_image_tokens_place_is_left_out(
    names: dict[str, str], spare: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = learnt(tmp_path, spare=spare, pad=names == PAD)
    change_json(tmp_path / "adapter" / "tokenizer_config.json", **names)
    merged = merged_model(tmp_path / "adapter")
    assert same(merged, tuned)
    assert merged.tokenizer.get_vocab() == open_model(tmp_path / "base").tokenizer.get_vocab()
    assert merged.image_token_id == MARK
    why = "its place is the image token's" if spare else "there is no row of them and none is needed"
    assert f"left out, for {why}: '{next(iter(names.values()))}'" in capsys.readouterr().err


@pytest.mark.parametrize("pad", [False, True])
def test_a_learnt_token_in_its_place_stays_and_the_image_token_moves(pad: bool, tmp_path: Path) -> None:
    tuned = learnt(tmp_path, added=["<loc1>"], whole=TABLES, rows=272, pad=pad)
    merged = merged_model(tmp_path / "adapter")
    assert same(merged, tuned)
    merged.save(tmp_path / "merged")
    again = open_model(tmp_path / "merged")
    assert same(again, tuned)
    for model in (merged, again):
        assert model.tokenizer("a<loc1>")["input_ids"][1:] == [MARK]
        assert model.image_token_id == model.rendering.image_token_id == MARK + 1
        assert model.tokenizer.convert_tokens_to_ids("<image>") == MARK + 1
        assert model.tokenizer.chat_template == open_model(tmp_path / "base").tokenizer.chat_template
    assert AutoConfig.from_pretrained(tmp_path / "merged").image_token_id == MARK + 1


def test_an_image_token_of_the_adapters_own_is_taken_where_it_is(tmp_path: Path) -> None:
    tuned = learnt(tmp_path, added=["<loc1>", "<loc2>", "<image>"], whole=TABLES, rows=272)
    merged = merged_model(tmp_path / "adapter")
    assert same(merged, tuned)
    assert merged.image_token_id == merged.tokenizer.convert_tokens_to_ids("<image>") == MARK + 2


def test_tokens_behind_its_place_leave_it_there(tmp_path: Path) -> None:
    tuned = learnt(tmp_path, added=["<loc1>"], pad=True, pad_first=True, whole=TABLES, rows=272)
    merged = merged_model(tmp_path / "adapter")
    assert same(merged, tuned)
    assert merged.image_token_id == MARK
    assert merged.tokenizer.convert_tokens_to_ids("<loc1>") == MARK + 1


@pytest.mark.parametrize("spare", [1, 8])
def test_a_token_of_the_bases_spare_row_has_what_is_filed_there(spare: int, tmp_path: Path) -> None:
    tuned = learnt(tmp_path, added=["<loc1>"], spare=spare)
    merged = merged_model(tmp_path / "adapter")
    assert same(merged, tuned)
    assert merged.image_token_id == MARK + 1
    for end in (merged.network.get_input_embeddings(), merged.network.get_output_embeddings()):
        weight = end.get_parameter("weight")
        assert torch.allclose(weight[MARK + 1], weight[:MARK].mean(dim=0), atol=1e-6)


@pytest.mark.parametrize("added", [["<loc1>"], []])
def test_whole_tables_without_a_row_for_it_are_told(added: list[str], tmp_path: Path) -> None:
    learnt(tmp_path, added=added, whole=TABLES, rows=MARK + len(added))
    said = refusal_of(tmp_path)
    assert f"the adapter's tables of words have {MARK + len(added)} rows" in said
    assert "none for '<image>'" in said
    assert f"Learn it anew on tables of {MARK + len(added) + 1} rows or more" in said


def test_a_learnt_token_without_a_row_is_told(tmp_path: Path) -> None:
    learnt(tmp_path, added=["<loc1>"])
    assert f"has {MARK} rows, none for '<loc1>'" in refusal_of(tmp_path)


def same(model: Model, tuned: Tensor) -> bool:
    """Return whether a model says what the tuned one says, but for the image token's row, which no words ask for."""
    said = logits_of(model)
    kept = [number for number in range(min(said.shape[-1], tuned.shape[-1])) if number != model.image_token_id]
    return torch.allclose(said[..., kept], tuned[..., kept], atol=1e-4)


def learnt(
    folder: Path,
    *,
    added: list[str] | None = None,
    pad: bool = False,
    pad_first: bool = False,
    spare: int = 0,
    whole: list[str] | None = None,
    rows: int | None = None,
) -> Tensor:
    """Write a base in LLaVA's layout and an adapter of it, as a trainer does that knows no image token.

    Return what both together say.
    """
    kind = "LlavaQwenForCausalLM" if spare else "LlavaLlamaForCausalLM"
    state = save_original(folder / "base", kind, {"image_aspect_ratio": "pad"}, tower="clip", spare=spare)
    model = open_model(folder / "base")
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    if pad and pad_first:
        tokenizer.add_special_tokens({**PAD})
    tokens = [AddedToken(token, special=True, normalized=False) for token in added or []]
    tokenizer.add_tokens(tokens, special_tokens=True)
    if pad and not pad_first:
        tokenizer.add_special_tokens({**PAD})
    filed = {"embed_tokens": state["model.embed_tokens.weight"], "lm_head": state["lm_head.weight"]}
    ends = (model.network.get_input_embeddings(), model.network.get_output_embeddings())
    for end, weight in zip(ends, filed.values(), strict=True):
        end.weight.data[: len(weight)] = weight
    if rows is not None:
        model.network.resize_token_embeddings(rows, mean_resizing=False)
    plan = LoraConfig(r=4, target_modules=r".*language_model.*q_proj", modules_to_save=whole, init_lora_weights=False)
    tuned = save_adapter(model, folder / "adapter", plan)
    tokenizer.save_pretrained(folder / "adapter")
    change_config(folder / "adapter", base_model_name_or_path=str(folder / "base"))
    assert json.loads((folder / "adapter" / "adapter_config.json").read_text())["modules_to_save"] == whole
    return tuned
