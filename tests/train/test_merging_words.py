"""What an adapter learnt with its own tokenizer is reached by it after the merge: added tokens, another template."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PolyConfig, PromptTuningConfig, get_peft_model
from tokenizers import AddedToken
from torch import Tensor

from tests.train.test_merging_older_names import change_config, logits_of, save_adapter
from triptych.core.errors import ModelError
from triptych.data.template import find_template
from triptych.models.families.tiny import tiny
from triptych.models.family import Model, open_model
from triptych.train.merging import merged_model

ADDED = ("<loc1>", "<loc2>")
TABLES = ["embed_tokens", "lm_head"]
Q_PROJ = r".*language_model.*q_proj"
ROWS = 320
"""Of the base's table: its tokenizer has 260 tokens."""


def test_added_tokens_in_spare_rows_are_the_merged_models(tmp_path: Path) -> None:
    tuned = learnt(tmp_path, whole=TABLES)
    assert "<loc1>" not in open_model(tmp_path / "base").tokenizer.get_vocab()
    merged = merged_model(tmp_path / "adapter")
    assert torch.allclose(logits_of(merged), tuned, atol=1e-4)
    merged.save(tmp_path / "merged")
    tokenizer = open_model(tmp_path / "merged").tokenizer
    ids = tokenizer("at <loc2><loc1>.", add_special_tokens=False)["input_ids"]
    assert ids[3:5] == [261, 260]
    assert tokenizer.decode([260, 9], skip_special_tokens=True) == tokenizer.decode([9])


@pytest.mark.parametrize("rows", [332, 272])
def test_a_table_that_was_grown_or_cut_before_learning_is_merged_whole(rows: int, tmp_path: Path) -> None:
    tuned = learnt(tmp_path, whole=TABLES, rows=rows)
    merged = merged_model(tmp_path / "adapter")
    assert torch.allclose(logits_of(merged), tuned, atol=1e-4)
    merged.save(tmp_path / "merged")
    again = open_model(tmp_path / "merged")
    assert again.network.get_input_embeddings().weight.shape == (rows, 48)
    assert again.network.config.text_config.vocab_size == rows
    assert torch.allclose(logits_of(again), tuned, atol=1e-4)


def test_a_grown_table_without_a_tokenizer_is_told_by_its_sizes(tmp_path: Path) -> None:
    learnt(tmp_path, whole=TABLES, rows=332)
    (tmp_path / "adapter" / "tokenizer.json").unlink()
    said = refusal_of(tmp_path)
    assert f"lm_head is 332x48 in the adapter and 320x48 in {tmp_path / 'base'}" in said
    assert "Tokens were added" in said
    assert "tokenizer.json" in said


def test_a_grown_table_whose_head_is_not_there_is_told(tmp_path: Path) -> None:
    learnt(tmp_path, whole=["embed_tokens"], rows=332)
    assert "embed_tokens is 332x48 in the adapter and 320x48" in refusal_of(tmp_path)


def test_a_token_that_has_no_row_is_told(tmp_path: Path) -> None:
    learnt(tmp_path, added=[f"<loc{number}>" for number in range(70)])
    assert "has 320 rows, none for '<loc60>', '<loc61>', " in refusal_of(tmp_path)


def test_a_token_in_the_place_of_another_is_told(tmp_path: Path) -> None:
    learnt(tmp_path)
    path = tmp_path / "adapter" / "tokenizer.json"
    said = json.loads(path.read_text())
    said["added_tokens"] = [each for each in said["added_tokens"] if each["content"] != "<image>"]
    next(each for each in said["added_tokens"] if each["content"] == "<loc1>")["id"] = 259
    path.write_text(json.dumps(said))
    assert "'<loc1>'" in refusal_of(tmp_path)


def test_the_template_beside_an_adapter_is_the_merged_models(tmp_path: Path) -> None:
    learnt(tmp_path, added=[])
    (tmp_path / "adapter" / "chat_template.jinja").write_text(find_template("mantis_internvl2_5").jinja)
    merged = merged_model(tmp_path / "adapter")
    assert merged.template.name == "mantis_internvl2_5"
    merged.save(tmp_path / "merged")
    again = open_model(tmp_path / "merged")
    assert again.template.name == "mantis_internvl2_5"
    assert again.tokenizer.chat_template == find_template("mantis_internvl2_5").jinja


def test_a_template_whose_end_was_added_ends_replies(tmp_path: Path) -> None:
    learnt(tmp_path, added=["</s>", "<s>"])
    (tmp_path / "adapter" / "chat_template.jinja").write_text(find_template("vicuna_v1").jinja)
    merged = merged_model(tmp_path / "adapter")
    assert merged.template.name == "vicuna_v1"
    assert merged.network.generation_config.eos_token_id == 260


def test_a_template_that_nobody_knows_is_told_and_can_be_named(tmp_path: Path) -> None:
    learnt(tmp_path, added=[])
    (tmp_path / "adapter" / "chat_template.jinja").write_text("{{ messages[0]['role'] }}: what?")
    said = refusal_of(tmp_path)
    assert "chat template" in said
    assert str(tmp_path / "adapter" / "triptych.json") in said
    (tmp_path / "adapter" / "triptych.json").write_text('{"template": "mantis_internvl2_5"}')
    assert merged_model(tmp_path / "adapter").template.name == "mantis_internvl2_5"


def test_a_tokenizer_that_is_the_bases_changes_nothing(tmp_path: Path) -> None:
    tuned = learnt(tmp_path, added=[])
    # What the base's own note says stands above its chat template, so it does where the adapter has the same one.
    for folder in ("base", "adapter"):
        (tmp_path / folder / "chat_template.jinja").write_text("{{ messages[0]['role'] }}: what?")
    merged, base = merged_model(tmp_path / "adapter"), open_model(tmp_path / "base")
    assert torch.allclose(logits_of(merged), tuned, atol=1e-4)
    assert merged.tokenizer.get_vocab() == base.tokenizer.get_vocab()
    assert merged.template == base.template
    assert merged.sources == base.sources


def test_of_two_templates_that_write_alike_the_bases_stays(tmp_path: Path) -> None:
    learnt(tmp_path, added=[], template="mantis_qwen2_vl")
    (tmp_path / "base" / "chat_template.jinja").write_text("{{ messages[0]['role'] }}: what?")
    (tmp_path / "adapter" / "chat_template.jinja").write_text(find_template("mantis_qwen2_vl").jinja)
    assert find_template("mantis_qwen2_vl").jinja == find_template("mantis_qwen2_vl_clean").jinja
    assert merged_model(tmp_path / "adapter").template.name == "mantis_qwen2_vl"


TEXT_ALONE = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML as trainers of texts write it: contents are strings there."""


def test_a_template_of_texts_alone_that_writes_as_the_bases_does_is_the_bases(tmp_path: Path) -> None:
    tuned = learnt(tmp_path, added=[])
    path = tmp_path / "adapter" / "chat_template.jinja"
    path.write_text(TEXT_ALONE)
    merged = merged_model(tmp_path / "adapter")
    assert merged.template == open_model(tmp_path / "base").template
    assert torch.allclose(logits_of(merged), tuned, atol=1e-4)
    path.write_text(TEXT_ALONE.replace("im_start", "begin"))
    assert "its chat template is neither" in refusal_of(tmp_path)


def test_a_template_of_texts_alone_is_held_against_one_that_takes_parts_alone(tmp_path: Path) -> None:
    learnt(tmp_path, added=[], template="mantis_internvl2_5")
    parts = "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}"
    turns = "{% for message in messages %}{{ message['role'] }}: CONTENT; {% endfor %}"
    (tmp_path / "base" / "chat_template.jinja").write_text(turns.replace("CONTENT", parts))
    (tmp_path / "adapter" / "chat_template.jinja").write_text(turns.replace("CONTENT", "{{ '' + message['content'] }}"))
    assert merged_model(tmp_path / "adapter").template == open_model(tmp_path / "base").template
    (tmp_path / "base" / "chat_template.jinja").write_text(turns.replace("CONTENT", parts + "."))
    assert "its chat template is neither" in refusal_of(tmp_path)


SYSTEM = "A chat between a curious user and an artificial intelligence assistant. "
BY_TRAINER = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% endif %}"
    "{% if system_message is defined %}{{ system_message }}{% endif %}{% for message in loop_messages %}"
    "{% set content = message['content'] %}{% if message['role'] == 'user' %}{{ 'USER: ' + content + ' ASSISTANT:' }}"
    "{% elif message['role'] == 'assistant' %}{{ content + '</s>' }}{% endif %}{% endfor %}"
)
"""What LLaMA-Factory writes into a tokenizer without chat template, behind what a system turn says unless told."""


@pytest.mark.parametrize("begin", ["", "{{ '<|endoftext|>' }}"])
def test_a_template_that_a_trainer_wrote_where_there_was_none_gives_way_to_the_bases(
    begin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = speaking_vicuna(tmp_path, begin + "{% set system_message = '" + SYSTEM.strip() + "' %}" + BY_TRAINER)
    merged = merged_model(tmp_path / "adapter")
    assert merged.template.name == "vicuna_v1"
    assert torch.allclose(logits_of(merged), tuned, atol=1e-4)
    said = capsys.readouterr().err
    assert f"its chat template is not known, and {tmp_path / 'base'}'s is taken, whose tokenizer has none" in said
    assert "first they differ behind '" in said
    assert '{"template": NAME}' in said


def test_it_does_not_give_way_where_it_has_other_words_around_turns(tmp_path: Path) -> None:
    speaking_vicuna(tmp_path, BY_TRAINER.replace("USER:", "Human:"))
    assert "neither" in refusal_of(tmp_path)


def test_it_does_not_give_way_to_a_tokenizers_own(tmp_path: Path) -> None:
    speaking_vicuna(tmp_path, BY_TRAINER)
    (tmp_path / "base" / "chat_template.jinja").write_text(find_template("vicuna_v1").jinja)
    said = refusal_of(tmp_path)
    assert "its chat template is neither" in said
    assert f"first they differ behind '': it writes 'USER: Hello. ASSISTA', {tmp_path / 'base'}'s 'A chat be" in said


def test_a_template_that_cannot_be_filled_in_is_told_as_such(tmp_path: Path) -> None:
    learnt(tmp_path, added=[])
    (tmp_path / "adapter" / "chat_template.jinja").write_text("{{ 1 / 0 }}")
    assert "it makes no prompt of a conversation" in refusal_of(tmp_path)


@pytest.mark.parametrize("theirs", ["{{ messages[0].role }}:\r\nwhat?\n", "{{  messages[0]['role'] }}:\nwhat?"])
def test_a_template_that_differs_from_the_bases_in_white_space_is_the_bases(theirs: str, tmp_path: Path) -> None:
    learnt(tmp_path, added=[])
    (tmp_path / "base" / "chat_template.jinja").write_text("{{ messages[0]['role'] }}:\nwhat?")
    (tmp_path / "adapter" / "chat_template.jinja").write_text(theirs)
    assert merged_model(tmp_path / "adapter").template == open_model(tmp_path / "base").template


@pytest.mark.parametrize("names", [{"pad_token": "[PAD]"}, {"unk_token": "<unk>", "bos_token": "<s>"}], ids=str)
def test_a_token_that_needs_no_row_is_left_out_where_there_is_none(
    names: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(0).save(tmp_path / "base")
    model = open_model(tmp_path / "base")
    plan = LoraConfig(r=4, target_modules=Q_PROJ, init_lora_weights=False)
    tuned = save_adapter(model, tmp_path / "adapter", plan)
    change_config(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "base"))
    if "pad_token" in names:
        model.tokenizer.add_special_tokens({**names})
    model.tokenizer.save_pretrained(tmp_path / "adapter")
    change_json(tmp_path / "adapter" / "tokenizer_config.json", **names)
    merged = merged_model(tmp_path / "adapter")
    assert torch.allclose(logits_of(merged), tuned, atol=1e-4)
    assert merged.tokenizer.get_vocab() == open_model(tmp_path / "base").tokenizer.get_vocab()
    said = capsys.readouterr().err
    assert all(f"'{token}'" in said for token in names.values())
    assert "left out, for there is no row" in said


@pytest.mark.parametrize("both", [True, False])
def test_code_beside_a_tokenizer_is_neither_run_nor_asked_for(
    both: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("asked whether code is to be run"))
    tuned = learnt(tmp_path, whole=TABLES)
    for folder in ("adapter", "base") if both else ("adapter",):
        path = tmp_path / folder / "tokenizer_config.json"
        change_json(path, auto_map={"AutoTokenizer": ["tokenization_own.Own", None]}, tokenizer_class="Own")
    merged = merged_model(tmp_path / "adapter")
    assert torch.allclose(logits_of(merged), tuned, atol=1e-4)
    assert "<loc1>" in merged.tokenizer.get_vocab()


def test_a_tokenizer_that_is_code_alone_is_the_bases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tuned = learnt(tmp_path, added=[])
    folder = tmp_path / "adapter"
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_bytes(b"of a kind that nobody knows")
    change_json(
        folder / "tokenizer_config.json",
        auto_map={"AutoTokenizer": ["tokenization_own.Own", None]},
        tokenizer_class="Own",
    )
    merged = merged_model(folder)
    assert torch.allclose(logits_of(merged), tuned, atol=1e-4)
    assert merged.tokenizer.get_vocab() == open_model(tmp_path / "base").tokenizer.get_vocab()
    assert "its tokenizer is code of its own" in capsys.readouterr().err


def test_a_link_to_a_tokenizer_that_is_gone_is_told(tmp_path: Path) -> None:
    learnt(tmp_path, whole=TABLES)
    path = tmp_path / "adapter" / "tokenizer.json"
    path.unlink()
    path.symlink_to(tmp_path / "gone.json")
    assert f"tokenizer.json is a link to {tmp_path / 'gone.json'}, which is not there" in refusal_of(tmp_path)


def test_a_torn_tokenizer_is_told(tmp_path: Path) -> None:
    learnt(tmp_path)
    (tmp_path / "adapter" / "tokenizer.json").write_text("{torn")
    assert "tokenizer" in refusal_of(tmp_path)


def test_a_prompt_that_was_learnt_is_no_change_of_weights(tmp_path: Path) -> None:
    base(tmp_path)
    plan = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    plan.base_model_name_or_path = str(tmp_path / "base")
    plan.save_pretrained(str(tmp_path / "adapter"))
    assert "an adapter of peft_type PROMPT_TUNING changes no weights" in refusal_of(tmp_path)


def test_an_adapter_that_peft_cannot_merge_is_told(tmp_path: Path) -> None:
    plan = PolyConfig(r=2, target_modules=Q_PROJ)
    get_peft_model(base(tmp_path).network, plan).save_pretrained(str(tmp_path / "adapter"))
    change_config(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "base"))
    assert "peft cannot merge an adapter of its kind" in refusal_of(tmp_path)


def base(folder: Path, template: str = "chatml") -> Model:
    """Write a base whose table has spare rows, and return it."""
    model = tiny(0, template=template)
    model.network.resize_token_embeddings(ROWS, mean_resizing=False)
    model.save(folder / "base")
    return open_model(folder / "base")


def learnt(
    folder: Path,
    *,
    added: Sequence[str] = ADDED,
    whole: list[str] | None = None,
    rows: int = ROWS,
    template: str = "chatml",
) -> Tensor:
    """Write a base and an adapter of it with its tokenizer, as trainers do; return what both together say."""
    model = base(folder, template)
    tokens = [AddedToken(token, special=True, normalized=False) for token in added]
    model.tokenizer.add_tokens(tokens, special_tokens=True)
    if rows != ROWS:
        model.network.resize_token_embeddings(rows, mean_resizing=False)
    plan = LoraConfig(r=4, target_modules=Q_PROJ, modules_to_save=whole, init_lora_weights=False)
    tuned = save_adapter(model, folder / "adapter", plan)
    model.tokenizer.save_pretrained(folder / "adapter")
    change_config(folder / "adapter", base_model_name_or_path=str(folder / "base"))
    return tuned


def speaking_vicuna(folder: Path, jinja: str) -> Tensor:
    """Write a base that says its template beside its processor alone, and an adapter with this one in its tokenizer."""
    model = base(folder)
    model.tokenizer.add_tokens([AddedToken(token, special=True) for token in ("</s>", "<s>")], special_tokens=True)
    model.save(folder / "base")
    for name in ("triptych.json", "chat_template.jinja"):
        (folder / "base" / name).unlink()
    said = {"chat_template": find_template("vicuna_v1").jinja}
    (folder / "base" / "chat_template.json").write_text(json.dumps(said))
    model = open_model(folder / "base")
    plan = LoraConfig(r=4, target_modules=Q_PROJ, init_lora_weights=False)
    tuned = save_adapter(model, folder / "adapter", plan)
    model.tokenizer.chat_template = jinja
    model.tokenizer.save_pretrained(folder / "adapter")
    change_config(folder / "adapter", base_model_name_or_path=str(folder / "base"))
    return tuned


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal_of(folder: Path) -> str:
    with pytest.raises(ModelError) as told:
        merged_model(folder / "adapter")
    assert str(folder / "adapter") in str(told.value)
    assert "\n" not in str(told.value)
    return str(told.value)
