"""Folders whose files are there and say what cannot be: each is told in one line with the file, never a traceback."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.models.published import LANGUAGES, save_language
from triptych.core import plugins
from triptych.core.errors import ModelError
from triptych.models.disk.check import check_model
from triptych.models.disk.missing_files import missing_file, whole_numbers_in
from triptych.models.disk.weight_check import check_part
from triptych.models.family import Family, open_model
from triptych.models.parts import load_language

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12345\n"
Harm = Callable[[Path], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "llava"
    plugins.find("family", "llava", expected=Family).samples["vit"](0).save(folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "odd"))


def in_config(**changes: Any) -> Harm:
    """Return a harm that changes config.json; ``text_config`` and ``vision_config`` by what they say."""

    def harm(folder: Path) -> None:
        said = json.loads((folder / "config.json").read_text())
        for name, value in changes.items():
            said[name] = (said.get(name) or {}) | value if isinstance(value, dict) else value
        (folder / "config.json").write_text(json.dumps(said))

    return harm


def a_list(*names: str) -> Harm:
    return lambda folder: [(folder / name).write_text("[]") for name in names]


def template(jinja: str) -> Harm:
    def harm(folder: Path) -> None:
        (folder / "triptych.json").unlink()
        (folder / "chat_template.jinja").write_text(jinja)

    return harm


def sharded(folder: Path, **index: Any) -> None:
    """Write the weights as three shards, with this index."""
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    files = {name: f"model-0000{1 + number % 3}-of-00003.safetensors" for number, name in enumerate(sorted(weights))}
    for file in set(files.values()):
        save_file({name: weights[name] for name in files if files[name] == file}, folder / file, {"format": "pt"})
    (folder / INDEX).write_text(json.dumps(index or {"metadata": {}, "weight_map": files}))


def cut(name: str, size: int) -> Harm:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def a_torn_shard(folder: Path) -> None:
    sharded(folder)
    cut("model-00002-of-00003.safetensors", -1000)(folder)


def a_shard_that_points(folder: Path) -> None:
    sharded(folder)
    (folder / "model-00003-of-00003.safetensors").write_text(POINTER)


def no_index(folder: Path) -> None:
    sharded(folder)
    (folder / INDEX).unlink()


def whole_numbers(folder: Path) -> None:
    weights = {name: weight.to(torch.int8) for name, weight in load_file(folder / WEIGHTS).items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def as_pickles(folder: Path, *, single: bool = False, numbers: bool = False, old: bool = False) -> None:
    """Write the weights as torch saves them: one file or two shards; as whole numbers; as torch did before 1.6."""
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = ["pytorch_model.bin"] if single else [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    files = {name: names[number % len(names)] for number, name in enumerate(sorted(weights))}
    for file in names:
        kept = {
            name: weights[name].to(torch.int8) if numbers else weights[name] for name in files if files[name] == file
        }
        torch.save(kept, folder / file, _use_new_zipfile_serialization=not old)
    if not single:
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))


def a_torn_pickle_of_two(folder: Path) -> None:
    as_pickles(folder)
    cut("pytorch_model-00002-of-00002.bin", 2000)(folder)


def a_pickle_less(folder: Path) -> None:
    as_pickles(folder)
    (folder / "pytorch_model-00002-of-00002.bin").unlink()


ODD: dict[str, tuple[Harm, str]] = {
    "dtype": (in_config(dtype="bf16"), r"config\.json: dtype is 'bf16', .*bfloat16"),
    "dtype list": (in_config(dtype=["float32"]), r"config\.json: dtype is \['float32'\]"),
    "no heads": (
        in_config(text_config={"num_attention_heads": 0}),
        r"config\.json: text_config\.num_attention_heads is 0",
    ),
    "no patch": (in_config(vision_config={"patch_size": 0}), r"config\.json: vision_config\.patch_size is 0"),
    "negative": (in_config(text_config={"hidden_size": -4}), r"config\.json: text_config\.hidden_size is -4"),
    "tokenizer list": (a_list("tokenizer.json"), r"tokenizer\.json holds a list"),
    "tokenizer settings list": (a_list("tokenizer_config.json"), r"tokenizer_config\.json holds a list"),
    "class": (lambda folder: (folder / "tokenizer_config.json").write_text('{"tokenizer_class": 7}'), "class is 7"),
    "preparation list": (
        a_list("preprocessor_config.json", "processor_config.json"),
        r"processor_config\.json holds a",
    ),
    "generation list": (a_list("generation_config.json"), r"generation_config\.json holds a list"),
    "template divides": (template("{{ 1 / 0 }}"), "its chat template is none that is known"),
    "template runs": (template("{% for i in range(10**9) %}x{% endfor %}"), "its chat template is none that is known"),
    "no model_type": (in_config(model_type=None), r"config\.json says no model_type"),
    "model_type number": (in_config(model_type=5), r"config\.json: model_type is 5"),
    "config list": (a_list("config.json"), r"config\.json holds a list"),
    "torn": (cut(WEIGHTS, -500), r"model\.safetensors breaks off: [\d,]+ of its [\d,]+ bytes.*Bring that file again"),
    "torn header": (cut(WEIGHTS, 50), r"model\.safetensors breaks off.*Bring that file again"),
    "torn number": (cut(WEIGHTS, 4), r"model\.safetensors breaks off.*Bring that file again"),
    "empty": (cut(WEIGHTS, 0), r"model\.safetensors is empty.*Bring that file again"),
    "pointer": (lambda folder: (folder / WEIGHTS).write_text(POINTER), r"model\.safetensors is a pointer of git-lfs"),
    "no weights": (
        lambda folder: (folder / WEIGHTS).write_text("<html>" * 9),
        r"model\.safetensors is no file of weig",
    ),
    "pointing tokenizer": (lambda f: (f / "tokenizer.json").write_text(POINTER), r"tokenizer\.json is a pointer of"),
    "torn shard": (a_torn_shard, r"model-00002-of-00003\.safetensors breaks off.*Bring that file again"),
    "pointing shard": (a_shard_that_points, r"model-00003-of-00003\.safetensors is a pointer of git-lfs.*git lfs pull"),
    "no index": (no_index, r"model\.safetensors\.index\.json is missing, .* 3 files.*Bring that file again"),
    "index list": (a_list(INDEX), r"index\.json holds a list"),
    "no weight_map": (lambda f: sharded(f, metadata={}), r"index\.json has no weight_map.*Bring that file again"),
    "no metadata": (lambda f: sharded(f, weight_map={"a": "b"}), r"index\.json has no metadata"),
    "torn pickle": (a_torn_pickle_of_two, r"pytorch_model-00002-of-00002\.bin breaks off.*Bring that file again"),
    "lost pickle": (
        a_pickle_less,
        r"pytorch_model-00002-of-00002\.bin is missing \(1 of the 2 files that pytorch_model",
    ),
    "numbers in a pickle": (
        lambda folder: as_pickles(folder, single=True, numbers=True),
        r"pytorch_model\.bin: .* whole numbers .*torch\.int8.* quantization_config",
    ),
    "numbers in an old pickle": (
        lambda folder: as_pickles(folder, single=True, numbers=True, old=True),
        r"pytorch_model\.bin: .* whole numbers .*torch\.int8.* quantization_config",
    ),
    "numbers in two": (
        lambda folder: as_pickles(folder, numbers=True),
        r"pytorch_model-00001-of-00002\.bin: .* whole nu",
    ),
    "longer": (
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes() + b"\0" * 9),
        r"model\.safetensors has [\d,]+ bytes, and its header speaks of [\d,]+\. Was the",
    ),
    "whole numbers": (whole_numbers, r"model\.safetensors: .* whole numbers .*I8.* quantization_config"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_cannot_be_is_told_in_a_line_with_the_file(name: str, folder: Path) -> None:
    harm, told = ODD[name]
    if name == "index list":
        sharded(folder)
    harm(folder)
    with pytest.raises(ModelError, match=told) as refusal:
        open_model(folder)
    assert str(folder) in str(refusal.value)
    wrong = " | ".join(check.said for check in check_model(str(folder)) if check.verdict == "wrong")
    assert re.search(told, wrong), wrong
    assert "\n" not in f"{refusal.value}{wrong}"


@pytest.mark.parametrize("penalty", ["1.1", 0, [1.1]])
def test_a_penalty_that_is_no_number_is_told(penalty: object, folder: Path) -> None:
    said = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(said | {"repetition_penalty": penalty}))
    (wrong,) = [check for check in check_model(str(folder)) if check.verdict == "wrong"]
    assert wrong.name == "stop"
    assert f"repetition_penalty is {json.dumps(penalty)}, and a number above 0 is wanted" in wrong.said


def test_a_processor_that_divides_by_zero_is_told_as_one_that_fails(folder: Path) -> None:
    said = json.loads((folder / "processor_config.json").read_text())
    (folder / "processor_config.json").write_text(json.dumps(said | {"patch_size": 0}))
    (counts,) = [check for check in check_model(str(folder)) if check.name == "counts"]
    assert (counts.verdict, "its own processor fails here" in counts.said) == ("not tried", True)


def test_whole_numbers_that_the_network_has_as_such_are_right(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS) | {"model.vision_tower.embeddings.position_ids": torch.arange(5)[None]}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    open_model(folder)
    assert not [check for check in check_model(str(folder)) if "whole numbers" in check.said]


def test_whole_numbers_with_a_word_on_what_they_stand_for_are_another_matter(folder: Path) -> None:
    whole_numbers(folder)
    floats = {name: tuple(weight.shape) for name, weight in load_file(folder / WEIGHTS).items()}
    assert "whole numbers" in str(whole_numbers_in(folder, floats))
    in_config(quantization_config=None)(folder)
    assert "whole numbers" in str(whole_numbers_in(folder, floats))
    in_config(quantization_config={"quant_method": "any"})(folder)
    assert whole_numbers_in(folder, floats) is None


@pytest.mark.parametrize("shards", [False, True], ids=["one file", "shards"])
def test_spare_files_of_weights_that_are_not_loaded_are_no_matter(shards: bool, folder: Path) -> None:
    weights = {name: weight.to(torch.int8) for name, weight in load_file(folder / WEIGHTS).items()}
    if shards:
        sharded(folder)
    save_file(weights, folder / "model-int8.safetensors")
    open_model(folder)
    assert not [check for check in check_model(str(folder)) if "whole numbers" in check.said]


def test_a_spare_file_that_breaks_off_is_not_said_to_be_what_keeps_a_model_from_opening(folder: Path) -> None:
    (folder / "earlier.safetensors").write_bytes(b"")
    (folder / "later.safetensors").write_text(POINTER)
    cut(WEIGHTS, -500)(folder)
    assert str(missing_file(folder, "")).startswith(f"{WEIGHTS} breaks off")


def test_a_part_of_whole_numbers_or_torn_is_told(tmp_path: Path) -> None:
    folder = save_language(tmp_path, LANGUAGES["llama-tied"])
    whole_numbers(folder)
    for harm, told in ((lambda _: None, r"model\.safetensors: .*whole numbers"), (cut(WEIGHTS, -9), "breaks off")):
        harm(folder)
        assert re.search(told, check_part(folder, sees=False).said)
        with pytest.raises(ModelError, match=told):
            load_language(folder)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("single", [False, True])
def test_pickles_of_floats_open(single: bool, old: bool, folder: Path) -> None:
    as_pickles(folder, single=single, old=old)
    open_model(folder)
    assert not [check for check in check_model(str(folder)) if check.verdict == "wrong"]


def test_pickles_beside_the_files_that_are_loaded_are_no_matter(folder: Path) -> None:
    torch.save(
        {name: weight.to(torch.int8) for name, weight in load_file(folder / WEIGHTS).items()}, folder / "old.bin"
    )
    torch.save(torch.load(folder / "old.bin"), folder / "pytorch_model.bin")
    (folder / "pytorch_model.bin.index.json").write_text('{"metadata": {}, "weight_map": {"a": "gone.bin"}}')
    open_model(folder)
    assert missing_file(folder, "") is None


@pytest.mark.parametrize("other", ["trainer_state.json", "extra.json"])
@pytest.mark.parametrize("harm", ["", "link", "folder"])
def test_files_that_say_nothing_of_a_model_are_blamed_for_none_of_its(other: str, harm: str, folder: Path) -> None:
    if harm == "link":
        (folder / other).symlink_to("/nowhere/file.json")
    elif harm == "folder":
        (folder / other).mkdir()
    else:
        (folder / other).write_text("")
    in_config(text_config={"num_attention_heads": 0})(folder)
    assert "num_attention_heads is 0" in str(missing_file(folder, ""))
    cut(WEIGHTS, -500)(folder)
    assert str(missing_file(folder, "")).startswith(f"{WEIGHTS} breaks off")
