"""Folders that are not what they should be: each is refused in one line that says why, and never half opened."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from triptych.core import plugins
from triptych.core.errors import ModelError, NotFoundError
from triptych.core.records import Json
from triptych.models.disk.check import check_model
from triptych.models.disk.locate import locate
from triptych.models.disk.missing_files import missing_file
from triptych.models.family import Family, open_model

FAMILIES = ("flamingo", "fuyu", "gemma3", "idefics2", "idefics3", "internvl", "llava", "llava_next", "qwen_vl")
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module", params=FAMILIES)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of each family as it should be."""
    folder = tmp_path_factory.mktemp("models") / request.param
    next(iter(plugins.find("family", request.param, expected=Family).samples.values()))(0).save(folder)
    return folder


def change(folder: Path, how: Callable[[dict[str, Tensor]], None]) -> None:
    weights = load_file(folder / WEIGHTS)
    how(weights)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def a_weight_less(folder: Path) -> None:
    def leave_one_out(weights: dict[str, Tensor]) -> None:
        del weights[min(name for name in weights if "layers" in name)]

    change(folder, leave_one_out)


def a_shorter_weight(folder: Path) -> None:
    def shorten(weights: dict[str, Tensor]) -> None:
        name = min(name for name in weights if weights[name].ndim == 2)
        weights[name] = weights[name][:-1].contiguous()

    change(folder, shorten)


def an_adapter_beside(folder: Path) -> None:
    change(folder, lambda weights: weights.update({"model.q_proj.lora_A.default.weight": torch.zeros(2, 2)}))


def torn_weights(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:2000])


def empty_weights(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"")


def no_pickle(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"no pickle")


def an_empty_pickle(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"")


def a_torn_note(folder: Path) -> None:
    (folder / "triptych.json").write_text("{oops")


def a_strange_note(folder: Path) -> None:
    said = json.loads((folder / "triptych.json").read_text())
    (folder / "triptych.json").write_text(json.dumps(said | {"parts": {"vision": {"colour": "red"}}}))


def a_size_in_words(folder: Path) -> None:
    said = json.loads((folder / "config.json").read_text())
    said["text_config"]["hidden_size"] = "forty-eight"
    (folder / "config.json").write_text(json.dumps(said))


def words_for_a_part(folder: Path) -> None:
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(said | {"text_config": "llama"}))


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def half_a_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:500])


def only_the_settings_of_a_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def a_shard_less(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    names = {name: f"model-0000{1 + number % 2}-of-00002.safetensors" for number, name in enumerate(sorted(weights))}
    first = min(names.values())
    kept = {name: weights[name] for name, file in names.items() if file == first}
    (folder / WEIGHTS).unlink()
    save_file(kept, folder / first, metadata={"format": "pt"})
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def no_weights(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / f"{WEIGHTS}.incomplete")


def a_link_to_nowhere(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to("/nowhere/model.safetensors")


def a_folder_in_its_place(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).mkdir()


def other_torn_weights_beside(folder: Path) -> None:
    (folder / "other.safetensors").write_bytes(b"")


def a_torn_score_head(folder: Path) -> None:
    (folder / "score_head.safetensors").write_bytes(b"")
    said = json.loads((folder / "triptych.json").read_text())
    score = {"targets": ["quality"], "loss": "mse", "asked": "plain"}
    (folder / "triptych.json").write_text(json.dumps(said | {"score": score}))


BREAKS: dict[Callable[[Path], None], str] = {
    a_weight_less: "1 weights are missing",
    a_shorter_weight: "1 weights are of another shape than config.json says",
    an_adapter_beside: "1 weights are those of an adapter.*merge it first",
    torn_weights: "weights cannot be read",
    empty_weights: "weights cannot be read",
    no_pickle: "weights cannot be read",
    an_empty_pickle: "weights cannot be read",
    a_torn_note: "triptych.json cannot be read",
    a_strange_note: "`parts` does not say whence they are",
    a_size_in_words: "hidden_size",
    words_for_a_part: "text_config",
    no_tokenizer: "tokenizer",
    only_the_settings_of_a_tokenizer: "its tokenizer is missing: there is no tokenizer.json.*Bring that file again",
    half_a_tokenizer: "tokenizer.json breaks off or is no JSON.*Bring that file again",
    a_shard_less: "model-00002-of-00002.safetensors is missing .1 of the 2 files.*Bring that file again",
    no_weights: "its weights are missing.*Bring that file again",
    a_link_to_nowhere: "model.safetensors is a link to /nowhere/model.safetensors, which is not there. Bring that file",
    a_folder_in_its_place: "model.safetensors is a folder, and a file is wanted",
    other_torn_weights_beside: "other.safetensors cannot be read",
    a_torn_score_head: "score_head.safetensors cannot be read",
}


@pytest.mark.parametrize("harm", BREAKS, ids=lambda harm: harm.__name__)
def test_a_broken_folder_is_refused_in_one_line(whole: Path, harm: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(whole, folder)
    harm(folder)
    with pytest.raises(ModelError, match=BREAKS[harm]) as refusal:
        open_model(folder)
    assert str(folder) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    found = list(check_model(str(folder)))
    assert [check for check in found if check.verdict == "wrong"]
    assert not any("\n" in check.said for check in found)


def _changed(
    family: str, folder: Path, *, sample: str = "", config: Json | None = None, images: Json | None = None
) -> Path:
    """Save a toy whose config.json and image processor say these things too."""
    samples = plugins.find("family", family, expected=Family).samples
    samples[sample or next(iter(samples))](0).save(folder)
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(said | (config or {})))
    for file in (folder / "preprocessor_config.json", folder / "processor_config.json"):
        said = json.loads(file.read_text()) if file.is_file() else {}
        inner = said if file.name.startswith("pre") else said.get("image_processor", {})
        inner.update(images or {})
        if said:
            file.write_text(json.dumps(said))
    return folder


@pytest.mark.parametrize(
    ("family", "settings", "told"),
    [
        ("llava", {"images": {"size": {"longest_edge": 32}}}, "the image processor cannot prepare a picture"),
        ("llava", {"config": {"vision_feature_layer": -9}}, "vision_feature_layer is -9 .* has 2 layers: .* -3 to 2"),
        ("llava_next", {"config": {"vision_feature_layer": 7}}, "vision_feature_layer is 7 in config.json"),
        ("llava_next", {"sample": "clip", "config": {"vision_feature_select_strategy": "full"}}, "Say 'default'"),
        ("llava_next", {"images": {"image_grid_pinpoints": [[16, 32], [48, 16]]}}, "give both files the same"),
        ("idefics2", {"images": {"do_pad": False}}, "do_pad: false"),
        ("idefics3", {"images": {"max_image_size": {"longest_edge": 24}}}, "tiles of 24 pixels.*tower is 16"),
        ("internvl", {"images": {"do_resize": False}}, "do_resize: false is no way that InternVL's"),
        ("internvl", {"images": {"size": {"height": 24, "width": 24}}}, "tiles of 24x24 pixels.*tower is 16"),
        ("internvl", {"config": {"image_seq_length": 9}}, "is 9, but 4 x 4 patches with downsample_ratio 0.5 make 4"),
        ("internvl", {"config": {"vision_feature_layer": 9}}, "vision_feature_layer is 9 .* one number from -3 to 2"),
        ("internvl", {"config": {"vision_feature_layer": [-1]}}, r"vision_feature_layer is \[-1\] .* one number"),
        ("internvl", {"config": {"vision_feature_select_strategy": "full"}}, "is 'full' .* Say 'default'"),
        ("internvl", {"images": {"image_processor_type": "CLIPImageProcessor"}}, "CLIPImageProcessor.* cuts no tiles"),
        ("qwen_vl", {"images": {"do_resize": False}}, "do_resize: false"),
        ("qwen_vl", {"images": {"size": {"min_pixels": 256, "max_pixels": 600}}}, "call them shortest_edge"),
        ("fuyu", {"images": {"do_resize": False}}, "do_resize: false"),
        ("gemma3", {"images": {"do_pan_and_scan": True}}, "do_pan_and_scan: true adds cut-outs"),
        ("gemma3", {"images": {"do_resize": False}}, "do_resize: false is no way that Gemma 3's"),
        ("gemma3", {"images": {"size": {"height": 24, "width": 24}}}, "of 24x24 pixels, but image_size of the tower"),
        ("gemma3", {"config": {"mm_tokens_per_image": 9}}, "is 9: 4 x 4 patches do not make so many squares"),
    ],
)
def test_odd_settings_of_images_are_told_before_a_picture_is_shown(
    family: str, settings: Any, told: str, tmp_path: Path
) -> None:
    folder = _changed(family, tmp_path / "odd", **settings)
    with pytest.raises(ModelError, match=told) as refusal:
        _ = open_model(folder).rendering
    assert "\n" not in str(refusal.value)
    assert any(re.search(told, check.said) for check in check_model(str(folder)) if check.verdict == "wrong")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_weights_that_may_not_be_read_are_not_said_to_be_missing(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    shutil.copytree(whole, folder)
    (folder / WEIGHTS).chmod(0)
    with pytest.raises(ModelError, match=r"model\.safetensors may not be read by this user .permission denied"):
        open_model(folder)
    (told,) = [check for check in check_model(str(folder)) if check.verdict == "wrong"]
    assert (told.name, "permission denied" in told.said) == ("weights", True)


def test_a_file_that_may_not_be_read_is_named(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != WEIGHTS)
    told = "model.safetensors may not be read by this user (permission denied). Give it read permission."
    assert missing_file(whole, "No such file or directory") == told


def test_a_torn_generation_config_is_told(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(whole, folder)
    assert [check for check in check_model(str(folder)) if check.verdict == "wrong"] == []
    (folder / "generation_config.json").write_text("{oops")
    (wrong,) = [check for check in check_model(str(folder)) if check.verdict == "wrong"]
    assert (wrong.name, wrong.said.split(":")[0]) == ("stop", "generation_config.json cannot be read")


def test_the_folder_of_a_run_stands_for_its_model(tmp_path: Path) -> None:
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "model" / "config.json").write_text("{}")
    assert locate(str(tmp_path / "run")) == tmp_path / "run" / "model"
    (tmp_path / "run" / "model" / "config.json").unlink()
    with pytest.raises(NotFoundError, match=r"no config\.json"):
        locate(str(tmp_path / "run"))
