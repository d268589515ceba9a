"""What is exported opens where it should, says what is so, and is there whole or not at all."""

from __future__ import annotations

import json
import shlex
from collections import namedtuple
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    CLIPVisionModel,
)

from tests.models.pictures import ask, draw_pictures, encoded, pixels_of
from tests.train.runs import toy_recipe
from triptych.core import plugins
from triptych.core.errors import ConfigError, ModelError, NotFoundError, RunError
from triptych.data.batch import collate
from triptych.models.families.tiny import tiny
from triptych.models.family import Family, Model, open_model
from triptych.train.export import serving
from triptych.train.export.export import export
from triptych.train.export.plan import ExportPlan, parse_plan
from triptych.train.export.written import new_folder, without_places
from triptych.train.trainer import train

FAMILIES = {name: plugins.find("family", name, expected=Family) for name in plugins.names("family")}
SAMPLES = {
    f"{family}-{name}": make for family, found in FAMILIES.items() for name, make in list(found.samples.items())[:2]
}
VLLM = {
    *("llava-vit", "llava_next-clip", "llava_onevision-anyres", "idefics3-split", "qwen_vl-qwen2_vl", "tiny-mlp"),
    *("gemma3-windowed", "internvl-qwen2"),
}
"""Samples whose network vLLM has."""
LORA = "language: {train: lora, rate: 1e-2,"


def plan_of(*settings: str) -> ExportPlan:
    return parse_plan(settings)


def words(model: Model, folder: Path) -> dict[str, Tensor]:
    """Return what a network of transformers takes of a conversation about two pictures."""
    pictures = draw_pictures(folder / "pictures", 2)
    batch = collate([[encoded(model, ask("a", "Is ", *pictures, " alike ?", reply="no"))]], pad_id=0)
    return model.inputs(batch, pixels_of(model, batch.images))


@torch.no_grad()
def logits(network: Callable[..., object], inputs: dict[str, Tensor]) -> Tensor:
    found: Tensor = network(**inputs).logits  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_an_exported_folder_opens_in_plain_transformers_as_its_card_says_with_equal_logits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = SAMPLES[name](0)
    model.save(tmp_path / "model")
    export(str(tmp_path / "model"), tmp_path / "out", plan=plan_of())
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "out").eval()
    inputs = words(model, tmp_path)
    assert torch.equal(logits(plain, inputs), logits(model.network, inputs))
    card = (tmp_path / "out" / "README.md").read_text()
    assert ("import triptych.models.flamingo.network" in card) == (model.family == "flamingo")
    assert ("writes no conversations" in card) == (model.family == "fuyu")
    monkeypatch.chdir(tmp_path)
    shown: dict[str, object] = {}
    block = card.partition("```python\n")[2].partition("```")[0]
    if find_spec("torchvision") is None and "needs torchvision" in block:
        with pytest.raises((ImportError, ValueError), match=r"(?i)torchvision"):
            exec(block, shown)
    else:
        exec(block, shown)
    assert type(shown["model"]) is type(model.network)


def test_a_run_is_exported_with_its_adapters_merged(aligned_run: Path, tmp_path: Path) -> None:
    tuned = open_model(aligned_run / "model")
    inputs = words(tuned, tmp_path)
    for name, source in {"of_run": aligned_run, "of_model": aligned_run / "model"}.items():
        export(str(source), tmp_path / name, plan=plan_of())
        plain = AutoModelForImageTextToText.from_pretrained(tmp_path / name).eval()
        assert torch.equal(logits(plain, inputs), logits(tuned.network, inputs))
        assert ModelCard.load(tmp_path / name / "README.md").data.library_name == "transformers"
        assert "- tune: 3 steps" in (tmp_path / name / "README.md").read_text()


def test_weights_are_written_in_the_dtype_that_is_asked_for(tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "model")
    done = export(str(tmp_path / "model"), tmp_path / "half", plan=plan_of("dtype=bfloat16"))
    whole = sum(path.stat().st_size for path in (tmp_path / "model").iterdir())
    assert done.size_bytes < 0.75 * whole
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "half", dtype="auto")
    assert plain.dtype == torch.bfloat16


@pytest.mark.parametrize(
    "change",
    [
        LORA,
        "language: {train: dora, rate: 1e-2,",
        "vision: {train: lora, rate: 1e-2, rank: 2, alpha: 8}\n      " + LORA,
    ],
    ids=["lora", "dora", "two_ranks"],
)
def test_an_adapter_alone_opens_in_peft_with_equal_logits(change: str, tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, ("length: 6 steps", "length: 3 steps"), (LORA, change), align=True)
    tuned = open_model(train(recipe, run=tmp_path / "run"))
    done = export(str(tmp_path / "run"), tmp_path / "adapter", plan=plan_of("adapter=true"))
    assert done.lines == (f"triptych merge {tmp_path / 'adapter'} --out DIR",)
    base = AutoModelForImageTextToText.from_pretrained(tmp_path / "adapter" / "base").eval()
    inputs = words(tuned, tmp_path)
    before = logits(base, inputs)
    adapted = PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
    assert torch.allclose(logits(adapted, inputs), logits(tuned.network, inputs), atol=1e-4)
    assert not torch.allclose(before, logits(tuned.network, inputs), atol=1e-2)
    names = set(load_file(tmp_path / "adapter" / "adapter_model.safetensors"))
    assert any("multi_modal_projector" in name for name in names)  # it moved as a whole
    assert not any("embed_tokens" in name for name in names)


def test_an_adapter_of_an_opened_model_names_it_and_needs_no_base_beside(tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "base")
    recipe = toy_recipe(
        tmp_path,
        ("length: 6 steps", "length: 2 steps"),
        ("  family: tiny\n  parts: {vision: vit, language: llama}", f"  open: {tmp_path / 'base'}"),
    )
    tuned = open_model(train(recipe, run=tmp_path / "run"))
    export(str(tmp_path / "run"), tmp_path / "adapter", plan=plan_of("adapter=true"))
    assert not (tmp_path / "adapter" / "base").exists()
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tmp_path / "base")
    export(str(tmp_path / "adapter"), tmp_path / "merged", plan=plan_of())
    inputs = words(tuned, tmp_path)
    merged = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged").eval()
    assert torch.allclose(logits(merged, inputs), logits(tuned.network, inputs), atol=1e-4)


def test_what_has_no_adapter_says_so(aligned_run: Path, tmp_path: Path) -> None:
    whole = toy_recipe(
        tmp_path,
        ("length: 6 steps", "length: 1 steps"),
        (f"{LORA} rank: 4, alpha: 8, dropout: 0.1}}", "language: {train: frozen}"),
    )
    train(whole, run=tmp_path / "whole")
    with pytest.raises(ModelError, match="its last stage, 'tune', has no adapter"):
        export(str(tmp_path / "whole"), tmp_path / "out", plan=plan_of("adapter=true"))
    with pytest.raises(NotFoundError, match="is no run's folder"):
        export(str(aligned_run / "model"), tmp_path / "out", plan=plan_of("adapter=true"))
    with pytest.raises(ConfigError, match="leave layout out"):
        plan_of("adapter=true", "layout=vllm")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_vllm_gets_what_it_has_and_the_rest_is_refused(name: str, tmp_path: Path) -> None:
    SAMPLES[name](0).save(tmp_path / "model")
    out = tmp_path / "out"
    if not any(name == each or (name.split("-")[0] == each.split("-")[0] != "llava") for each in VLLM):
        with pytest.raises(ModelError, match=r"vLLM 0\.33\.0.*triptych serve"):
            export(str(tmp_path / "model"), out, plan=plan_of("layout=vllm"))
        assert not out.exists()
        return
    done = export(str(tmp_path / "model"), out, plan=plan_of("layout=vllm", "images=6"))
    assert done.lines[0] == f"vllm serve {out} --limit-mm-per-prompt '{{\"image\": 6}}'"
    said = json.loads((out / "config.json").read_text())
    assert set(said["architectures"]) <= serving.VLLM_CLASSES
    assert serving.missing_for_vllm(out) == []
    assert AutoTokenizer.from_pretrained(out).chat_template


def test_a_llava_is_divided_for_llama_cpp_with_nothing_lost(tmp_path: Path) -> None:
    model = tiny(0, projector="mlp")
    model.save(tmp_path / "model")
    out = tmp_path / "out"
    done = export(str(tmp_path / "model"), out, plan=plan_of("layout=gguf"))
    assert done.lines[0] == f"python convert_hf_to_gguf.py {out / 'language'} --outfile {out / 'model.gguf'}"
    assert "--clip-model-is-vision --image-mean 0.5 0.5 0.5 --image-std" in done.lines[1]

    ids_BT = torch.arange(5, 15)[None]
    language = AutoModelForCausalLM.from_pretrained(out / "language").eval()
    assert torch.equal(logits(language, {"input_ids": ids_BT}), logits(model.network, {"input_ids": ids_BT}))
    assert AutoTokenizer.from_pretrained(out / "language").get_vocab() == model.tokenizer.get_vocab()

    tower, loading = CLIPVisionModel.from_pretrained(out / "vision", output_loading_info=True)
    assert (loading["missing_keys"], loading["unexpected_keys"]) == (set(), set())
    pixels_NCHW = torch.randn(2, 3, 32, 32)
    own = model.network.get_submodule("model.vision_tower")
    with torch.no_grad():
        found = tower.eval()(pixels_NCHW, output_hidden_states=True).hidden_states[-2]
        assert torch.equal(found, own(pixels_NCHW, output_hidden_states=True).hidden_states[-2])
    assert all(name.startswith("vision_model.") for name in load_file(out / "vision" / "model.safetensors"))
    assert json.loads((out / "vision" / "config.json").read_text())["vision_feature_layer"] == -2

    projector = torch.load(out / "llava.projector", weights_only=True)
    expected = model.network.get_submodule("model.multi_modal_projector").state_dict()
    assert set(projector) == {f"model.mm_projector.{layer}.{what}" for layer in (0, 2) for what in ("weight", "bias")}
    assert torch.equal(projector["model.mm_projector.2.weight"], expected["linear_2.weight"])


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_llama_cpp_gets_a_way_or_a_clear_no(name: str, tmp_path: Path) -> None:
    SAMPLES[name](0).save(tmp_path / "model")
    family = name.split("-")[0]
    if family in ("qwen_vl", "idefics3") or name == "tiny-mlp":
        done = export(str(tmp_path / "model"), tmp_path / "out", plan=plan_of("layout=gguf"))
        assert any("mmproj" in line for line in done.lines)
    else:
        with pytest.raises(ModelError, match=r"llama\.cpp cannot take this model: .* Leave layout out"):
            export(str(tmp_path / "model"), tmp_path / "out", plan=plan_of("layout=gguf"))
        assert not (tmp_path / "out").exists()
    if family == "idefics3":
        text = json.loads((tmp_path / "out" / "config.json").read_text())["text_config"]
        assert text["architectures"] == ["LlamaForCausalLM"]
        assert AutoModelForImageTextToText.from_pretrained(tmp_path / "out").config.model_type == "idefics3"


@pytest.mark.parametrize("layout", [(), ("layout=transformers",), ("layout=gguf",)])
def test_a_number_of_images_that_nothing_would_say_is_refused(layout: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="images: it is for vLLM's launch line: add layout=vllm, or leave it out"):
        plan_of(*layout, "images=16")


def test_lines_to_copy_are_quoted(tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "model")
    done = export(str(tmp_path / "model"), tmp_path / "mine and yours", plan=plan_of("layout=vllm"))
    for line in (*done.lines, *export(str(tmp_path / "model"), tmp_path / "an other", plan=plan_of()).lines):
        assert {"mine and yours", "an other"} & {Path(word).name for word in shlex.split(line)}, line


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "model")
    (tmp_path / "out").mkdir()
    export(str(tmp_path / "model"), tmp_path / "out", plan=plan_of())  # an empty one is taken
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    with pytest.raises(RunError, match="is not empty"):
        export(str(tmp_path / "model"), tmp_path / "out", plan=plan_of())
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ModelError("no")])
def test_whatever_ends_the_writing_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    def write() -> None:
        with new_folder(tmp_path / "out", needed_bytes=1) as work:
            (work / "config.json").write_text("{}")
            raise error

    with pytest.raises((RunError, KeyboardInterrupt, ModelError)):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_fails_its_check_gets_no_name(tmp_path: Path) -> None:
    model = tiny(0)
    model.save(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "generation_config.json").read_text())
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps(config | {"eos_token_id": 0}))
    with pytest.raises(ModelError, match=r"so nothing is left of it: stop: generation_config\.json stops at 0"):
        export(str(tmp_path / "model"), tmp_path / "out", plan=plan_of())
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny(0).save(tmp_path / "model")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(1 << 30, 1 << 30, 1 << 20))
    with pytest.raises(RunError, match=r"about [1-9][0-9]* KiB are needed and 64 MiB to spare, 1 MiB are free"):
        export(str(tmp_path / "model"), tmp_path / "out", plan=plan_of())
    assert not (tmp_path / "out").exists()


@given(st.lists(st.from_regex(r"[a-z0-9_.-]{1,8}", fullmatch=True), min_size=2, max_size=5))
def test_folders_of_absolute_paths_are_left_out_and_others_kept(names: list[str]) -> None:
    path = "/" + "/".join(names)
    assert without_places(f"source: messages:{path}") == f"source: messages:.../{names[-1]}"
    assert without_places(f"open: {path}#a=1") == f"open: .../{names[-1]}#a=1"
    kept = f"messages:{'/'.join(names)} OWNER/NAME https://host/{names[-1]}"
    assert without_places(kept) == kept
