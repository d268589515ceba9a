"""The zoo says what is so, as far as it can be counted here; and what is fetched is what is needed, whole or told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForImageTextToText
from typer.testing import CliRunner

import triptych.models.flamingo.network  # noqa: F401 - it makes transformers know Otter
from tests.models.hubs import SHA, Hub, Repository, stand_in
from triptych.cli.main import build_app
from triptych.core import plugins
from triptych.core.errors import NotFoundError, RunError
from triptych.data.template import template_names
from triptych.models import zoo
from triptych.models.disk import hub
from triptych.models.disk.recognise import published
from triptych.models.families.tiny import tiny
from triptych.models.family import open_model

ENTRIES = zoo.catalogue().checkpoints
SHAPES = zoo.catalogue().shapes


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_parameters_are_those_of_a_network_of_these_shapes(name: str) -> None:
    said = dict(SHAPES[name])
    with torch.device("meta"):
        network = AutoModelForImageTextToText.from_config(AutoConfig.for_model(str(said.pop("model_type")), **said))
    counted = sum(weight.numel() for weight in network.parameters())
    told = {each.parameters for each in ENTRIES.values() if each.shapes == name}
    assert told == {counted}


def test_shapes_families_and_templates_are_there() -> None:
    families = set(plugins.names("family"))
    for name, each in ENTRIES.items():
        assert each.family in families, name
        assert each.template is None or each.template in template_names(), name
        assert (each.shapes is None) == (each.parameters is None), name
        assert each.shapes is None or each.shapes in SHAPES, name
        assert "weights" not in each.tried, name


def test_the_zoo_says_of_families_and_templates_what_published_checkpoints_say() -> None:
    facts = published()
    both = [each for each in ENTRIES.values() if each.hub_id in facts]
    assert len(both) > 15
    for each in both:
        assert (each.family, each.template) == (facts[each.hub_id].family, facts[each.hub_id].template), each.hub_id


def test_every_work_and_every_family_of_released_models_is_there() -> None:
    assert {each.work for each in ENTRIES.values()} == set(zoo.WORKS)
    assert {each.family for each in ENTRIES.values()} == set(plugins.names("family")) - {"tiny"}
    assert len({each.hub_id for each in ENTRIES.values()}) == len(ENTRIES)


def test_memory_is_weights_and_the_keys_and_values_of_a_conversation() -> None:
    entry = ENTRIES["mantis-siglip"]
    # 32 layers, 8 heads of 128, keys and values, 2 bytes: 131,072 bytes a token
    assert zoo.cache_bytes(entry, tokens=1000) == 131_072_000
    assert zoo.memory_bytes(entry, tokens=1000) == 2 * (entry.parameters or 0) + 131_072_000
    assert zoo.memory_bytes(ENTRIES["mantis-bakllava-7b"]) is None
    assert zoo.cache_bytes(ENTRIES["otter-mpt7b"], tokens=1) == 2 * 2 * 32 * 4096


def test_the_list_can_be_narrowed_and_says_what_there_is_else() -> None:
    shown = CliRunner().invoke(build_app(), ["models", "list", "--family", "idefics3", "--json"])
    told = json.loads(shown.stdout)["zoo"]
    assert {each["family"] for each in told.values()} == {"idefics3"}
    assert not any(each["weights_run_here"] for each in told.values())
    with pytest.raises(NotFoundError, match="there are: base, interleave, mantis, mimicit, videoscore"):
        zoo.select(work="llava")


def test_info_of_a_name_or_a_hub_id_tells_without_fetching() -> None:
    by_name = CliRunner().invoke(build_app(), ["models", "info", "interleave-7b"])
    by_id = CliRunner().invoke(build_app(), ["models", "info", "lmms-lab/llava-next-interleave-qwen-7b"])
    assert by_name.stdout == by_id.stdout
    assert "template     llava_qwen_1_5_clean" in by_name.stdout
    assert zoo.NOT_RUN in by_name.stdout


def test_a_name_that_is_not_known_is_told_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="Did you mean 'mantis-siglip'"):
        CliRunner().invoke(build_app(), ["models", "get", "mantis-sglip"], catch_exceptions=False)


@given(
    st.lists(
        st.sampled_from(
            [
                *("config.json", "tokenizer.json", "model.safetensors", "model.safetensors.index.json"),
                *("pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.safetensors", "a.gguf"),
                *("onnx/config.json", "original/model.safetensors", "chat_template.jinja", "README.md", "image.png"),
            ]
        ),
        unique=True,
    )
)
def test_of_several_kinds_of_weights_one_is_wanted_and_folders_never(names: list[str]) -> None:
    wanted = hub.wanted_files(names)
    assert set(wanted) <= set(names)
    assert not any("/" in name or name.endswith((".gguf", ".png")) for name in wanted)
    kinds = {name.rsplit(".", 1)[1] for name in wanted if name.endswith((".safetensors", ".bin"))}
    assert len(kinds) <= 1
    assert "bin" not in kinds or not any(name.endswith(".safetensors") and "/" not in name for name in names)
    if "model.safetensors" in names:
        assert "consolidated.safetensors" not in wanted
        assert "pytorch_model.bin.index.json" not in wanted


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("made") / "model"
    tiny(0).save(folder)
    (folder / "triptych.json").unlink()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_model_is_fetched_with_what_it_needs_and_opens(model: dict[str, bytes], tmp_path: Path) -> None:
    spare = {"pytorch_model.bin": b"old", "onnx/model.onnx": b"no", "teaser.png": b"no"}
    with stand_in(me__toy=Repository({**model, **spare})) as there:
        got = hub.bring("me/toy", tmp_path / "toy", template="chatml", endpoint=there.url)
        heard = len(there.heard)
        hub.bring("me/toy", tmp_path / "toy", template="chatml", endpoint=there.url)
        assert not any(line.startswith("GET /me/toy/resolve") for line in there.heard[heard:])
    assert (got.files, got.left) == (len(model), 2)  # of the top: the old weights and the teaser
    assert got.size_bytes == sum(map(len, model.values()))
    assert {path.name for path in (tmp_path / "toy").iterdir()} == {*model, "triptych.json", ".cache", ".got.json"}
    assert open_model(tmp_path / "toy").template.name == "chatml"


def test_a_download_that_was_cut_goes_on_where_it_was(tmp_path: Path) -> None:
    weights = bytes(range(256)) * (12 << 12)  # 12 MiB: what is kept is kept by 10
    with stand_in(me__toy=Repository({"config.json": b"{}", "model.safetensors": weights})) as there:
        there.cut_after["model.safetensors"] = 11 << 20
        hub.bring("me/toy", tmp_path / "toy", endpoint=there.url)
        asked = [line for line in there.heard if line.startswith("GET /me/toy/resolve") and "model.safetensors" in line]
    assert len(asked) == 2
    assert asked[1].endswith(f"bytes={10 << 20}-")
    assert (tmp_path / "toy" / "model.safetensors").read_bytes() == weights


def _refused(there: Hub, folder: Path, **settings: str) -> str:
    with pytest.raises((NotFoundError, RunError)) as told:
        hub.bring("me/toy", folder, endpoint=there.url, **settings)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_what_the_hub_refuses_is_told_in_a_line_that_says_what_to_do(model: dict[str, bytes], tmp_path: Path) -> None:
    with stand_in(me__toy=Repository(model, gated=True)) as there:
        assert "accept its terms at https://huggingface.co/me/toy" in _refused(there, tmp_path / "a")
    with stand_in() as there:
        assert "no such model, or it is private" in _refused(there, tmp_path / "a")
    with stand_in(me__toy=Repository({"weights.gguf": b"x"})) as there:
        assert "it has no config.json" in _refused(there, tmp_path / "a")
    assert "the hub cannot be reached" in _refused(Hub(url="http://127.0.0.1:9"), tmp_path / "b")
    with stand_in(me__toy=Repository(model)) as there:
        there.broken = 500
        assert "the hub answers 500" in _refused(there, tmp_path / "a")
    assert not (tmp_path / "a" / "config.json").exists()


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(
    model: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(1 << 30, 1 << 30, 1 << 20))
    with stand_in(me__toy=Repository(model)) as there:
        assert "are needed" in _refused(there, tmp_path / "toy")
        assert not any(line.startswith("GET /me/toy/resolve") for line in there.heard)


def test_a_folder_of_other_things_is_left_alone(model: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with stand_in(me__toy=Repository(model)) as there:
        assert "holds other things" in _refused(there, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_command_fetches_through_the_hubs_address(model: dict[str, bytes], tmp_path: Path) -> None:
    with stand_in(me__toy=Repository(model)) as there:
        ran = subprocess.run(
            [sys.executable, "-m", "triptych", "models", "get", "me/toy"],
            env={**os.environ, "HF_ENDPOINT": there.url, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "triptych models check me/toy\n"
    assert "licence: not known" in ran.stderr
    assert (tmp_path / "hub" / "models--me--toy" / "snapshots" / SHA / "config.json").is_file()
