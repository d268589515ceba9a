"""``triptych models``: what a user reads of a folder that is whole, and of one that is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from triptych.cli.main import build_app
from triptych.core import plugins
from triptych.models.families.llava_next import tiny
from triptych.models.family import Family


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny(0).save(tmp_path / "model")
    return tmp_path / "model"


def models(*words: str) -> Result:
    return CliRunner().invoke(build_app(), ["models", *words])


def verdicts(folder: Path) -> dict[str, tuple[str, str]]:
    shown = models("check", str(folder), "--json")
    found = json.loads(shown.stdout)
    assert shown.exit_code == int(any(check["verdict"] == "wrong" for check in found))
    return {check["name"]: (check["verdict"], check["said"]) for check in found}


def test_a_whole_folder_is_right_in_every_check(folder: Path) -> None:
    shown = models("check", str(folder))
    assert shown.exit_code == 0
    assert [line.split()[:2] for line in shown.stdout.splitlines()] == [
        ["ok", name] for name in ("family", "template", "tokens", "counts", "weights", "stop")
    ]
    assert "52 to 88 tokens for 6 sizes of pictures" in shown.stdout


def test_missing_and_unknown_weights_are_named(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state["no.such.weight"] = state.pop("image_newline")
    state["multi_modal_projector.linear_2.bias"] = state["multi_modal_projector.linear_2.bias"][:-1].clone()
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    verdict, said = verdicts(folder)["weights"]
    assert verdict == "wrong"
    assert "1 missing: model.image_newline" in said
    assert "1 of another shape: model.multi_modal_projector.linear_2.bias" in said
    assert "1 unexpected: no.such.weight" in said


def test_a_count_that_its_own_processor_does_not_write_is_told(folder: Path) -> None:
    file = folder / "processor_config.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps(settings | {"patch_size": 8}))
    verdict, said = verdicts(folder)["counts"]
    assert verdict == "wrong"
    assert said.startswith("a picture of 336x336 is 88 tokens here, ")


def test_another_stop_than_the_templates_is_told(folder: Path) -> None:
    (folder / "generation_config.json").write_text('{"eos_token_id": [0, 7]}')
    verdict, said = verdicts(folder)["stop"]
    assert (verdict, said) == ("wrong", "generation_config.json stops at [0, 7], the template's replies end with 2.")


def test_words_that_become_the_image_token_are_told(folder: Path) -> None:
    file = folder / "tokenizer.json"
    said = json.loads(file.read_text())
    for token in said["added_tokens"]:
        if token["content"] == "<image>":
            token["special"] = False
    file.write_text(json.dumps(said))
    config = folder / "tokenizer_config.json"
    kept = {name: value for name, value in json.loads(config.read_text()).items() if "special" not in name}
    config.write_text(json.dumps(kept))
    assert verdicts(folder)["tokens"][0] == "wrong"


def test_a_folder_that_no_family_opens_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    assert list(verdicts(tmp_path)) == ["family"]


def test_info_says_what_a_folder_is(folder: Path) -> None:
    shown = models("info", str(folder))
    assert shown.exit_code == 0
    assert "family       llava_next (llava_next)" in shown.stdout
    assert "template     chatml: triptych.json says so" in shown.stdout
    told = json.loads(models("info", str(folder), "--json").stdout)
    assert told["tokens"]["64x48"] == tiny(0).cost.tokens((64, 48))
    assert told["image_token"] == "<image>"


def test_the_list_names_every_family_and_what_it_opens() -> None:
    shown = models("list").stdout
    told = json.loads(models("list", "--json").stdout)
    for name in plugins.names("family"):
        assert name in shown
        assert told["families"][name]["model_types"] == list(plugins.find("family", name, expected=Family).model_types)
    assert "LlavaQwenForCausalLM" in shown
    assert told["published"]["llava-hf/llava-1.5-7b-hf"]["template"] == "vicuna_v1"


def test_the_lists_columns_are_as_wide_as_the_longest_name_and_licence() -> None:
    heading, *lines = [line for line in models("list", "--work", "mantis").stdout.splitlines() if "  " in line]
    assert len(lines) > 3
    assert {line.index(f" {line.split()[1]} ") + 1 for line in lines} == {heading.index("family")}
    assert {line.rindex(" ") + 1 for line in lines} == {heading.index("hub id")}
