"""A recipe is shown whole, compared key by key, checked and planned, without training and without a hub."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from tests.models.originals import save_original
from tests.models.published import LANGUAGES, save_language, save_tower
from tests.train.runs import recipe_text, write_tune
from triptych.cli.main import build_app
from triptych.core.config import parse_config
from triptych.core.errors import ModelError, NotFoundError
from triptych.models.families.tiny import tiny
from triptych.train.inspection.shown import page_of
from triptych.train.recipe import ModelPlan, Recipe, load_recipe, resolve
from triptych.train.start import start_model

RECIPES = Path(__file__).resolve().parent.parent.parent / "recipes"


def said(*words: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(build_app(), ["recipe", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(recipe_text(tmp_path))
    return path


def test_what_is_shown_is_the_same_recipe_again(toy: Path) -> None:
    for path in (toy, *sorted(RECIPES.glob("*.yaml"))):
        page = said("show", path)
        assert resolve(parse_config(page, model=Recipe, file="shown")) == load_recipe(path)


@given(number=st.floats(min_value=0, exclude_min=True, allow_infinity=False) | st.just(1234567.0))
def test_a_shown_number_has_all_its_digits(number: float) -> None:
    stages = "[{name: align, kind: closed_form, data: [{source: a:b}]}]"
    text = f"name: toy\nmodel: {{family: tiny, sample: mlp}}\nstages: {stages}"
    recipe = parse_config(text, model=Recipe, file="toy")
    stage = recipe.stages[0].model_copy(update={"ridge": number})
    recipe = resolve(recipe.model_copy(update={"stages": (stage,)}))
    assert parse_config("\n".join(page_of(recipe)), model=Recipe, file="shown") == recipe


def test_a_shown_recipe_has_units_and_tells_the_defaults_that_it_leaves(toy: Path) -> None:
    lines = {line.strip().partition(":")[0]: line for line in said("show", toy, "stages.tune.clip=2").splitlines()}
    assert lines["clip"].endswith("# norm of the gradient, default 1.0")
    assert lines["pack_tokens"].endswith("# tokens")
    assert "#" not in lines["compile"]
    told = json.loads(said("show", toy, "stages.tune.clip=2", "--json"))
    assert "stages.tune.clip" in told["not_default"]
    assert "stages.tune.decay" not in told["not_default"]
    assert told["recipe"]["stages"][0]["forward_tokens"] == 320


def test_two_recipes_are_compared_in_every_key(toy: Path) -> None:
    other = toy.with_name("other.yaml")
    other.write_text(toy.read_text().replace("rank: 4", "rank: 8").replace("name: toy", "name: other"))
    rows = [line.split() for line in said("diff", toy, other).splitlines()[1:]]
    assert rows == [["name", "toy", "other"], ["stages.tune.parts.language.rank", "4", "8"]]
    assert said("diff", toy, toy).strip() == "the same recipe"


def test_a_recipe_in_order_is_found_so(toy: Path) -> None:
    page = said("check", toy)
    assert "0 wrong, 0 missing, 0 warning" in page
    assert "weights move" in page


@pytest.mark.parametrize(
    ("change", "level", "message"),
    [
        ("stages.tune.data.0.source=messages:nowhere.jsonl", "missing", "nowhere.jsonl is not there"),
        ("stages.tune.data.0.source=mesages:x", "wrong", "no format is called 'mesages'. Did you mean 'messages'?"),
        ("model.family=tyni", "wrong", "no family is called 'tyni'"),
        ("stages.tune.pack_tokens=4096", "wrong", "the language model has 2048 positions"),
        ("stages.tune.parts.language.targets=[c_attn]", "wrong", "no linear layer 'c_attn'"),
        ("stages.tune.parts.projector.only=[linear_9]", "wrong", "no module 'linear_9'; there are: linear_1, linear_2"),
        ("stages.tune.objective={kind: regression, targets: [quality]}", "wrong", "no label 'quality', a target"),
        ("stages.tune.pack_tokens=10", "wrong", "24 of 24 are refused, the first: "),
        ("stages.tune.pack_tokens=10", "wrong", "pack_tokens is 10: raise pack_tokens, or shorten it"),
        ("stages.tune.warmup=9 steps", "warning", "'9 steps' is more than the whole stage, '6 steps'"),
    ],
)
def test_what_is_not_in_order_is_told(toy: Path, change: str, level: str, message: str) -> None:
    sizes = ["stages.tune.step_tokens=4096", "stages.tune.forward_tokens=4096"] if "4096" in change else []
    model = ["model.parts.vision=x", "model.parts.language=x"] if "family" in change else []
    found = json.loads(said("check", toy, change, *sizes, *model, "--json", code=0 if level == "warning" else 1))
    assert any(each["level"] == level and message in each["message"] for each in found), found


def harmed(folder: Path, how: str) -> None:
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    if how == "torn":
        weights.write_bytes(content[:3000])
    elif how == "pointer":
        weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n")
    elif how == "link":
        weights.symlink_to("/nowhere")
    elif how == "folder":
        weights.mkdir()


@pytest.mark.parametrize("how", ["gone", "torn", "pointer", "link", "folder"])
def test_a_model_to_open_whose_weights_cannot_be_read_is_told(toy: Path, how: str) -> None:
    folder = toy.with_name("model")
    tiny(0).save(folder)
    opens = ("model={open: " + str(folder) + "}", "stages.tune.parts.language.targets=[q_proj]")
    (good,) = [each for each in json.loads(said("check", toy, *opens, "--json")) if each["key"] == "model.weights"]
    assert (good["level"], "are there" in good["message"]) == ("ok", True)
    harmed(folder, how)
    found = json.loads(said("check", toy, *opens, "--json", code=1))
    (told,) = [each for each in found if each["key"] == "model.weights"]
    assert told["level"] == "wrong"
    assert str(folder) in told["message"]


def test_a_model_to_open_whose_configuration_is_torn_is_told(toy: Path) -> None:
    folder = toy.with_name("model")
    tiny(0).save(folder)
    config = (folder / "config.json").read_text()
    for torn in (config[:40], "[]", "version https://git-lfs.github.com/spec/v1\n"):
        (folder / "config.json").write_text(torn)
        found = json.loads(said("check", toy, "model={open: " + str(folder) + "}", "--json", code=1))
        (told,) = [each for each in found if each["key"] == "model.open" and each["level"] == "wrong"]
        assert f"{folder / 'config.json'}: " in told["message"]


@pytest.mark.parametrize(("kind", "why"), [(None, "says no model_type"), (5, "says of model_type 5, which is no")])
def test_a_model_to_open_that_does_not_say_its_kind_is_told(toy: Path, kind: int | None, why: str) -> None:
    folder = toy.with_name("model")
    tiny(0).save(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": kind}))
    found = json.loads(said("check", toy, "model={open: " + str(folder) + "}", "--json", code=1))
    (told,) = [each for each in found if each["key"] == "model.open" and each["level"] == "wrong"]
    assert f"{folder}: config.json {why}" in told["message"]


SHORTER = ("stages.tune.pack_tokens=320", "stages.tune.step_tokens=320")


def opened_original(toy: Path, **settings: object) -> tuple[str, ...]:
    """Return the changes of a recipe that opens a folder of LLaVA's own code, whose config.json says more."""
    folder = toy.with_name("original")
    save_original(folder, "LlavaLlamaForCausalLM", {"image_aspect_ratio": "pad", **settings}, tower="clip")
    return ("model={open: " + str(folder) + "}", "stages.tune.parts.language.targets=[q_proj]")


@pytest.mark.parametrize("named", ["LlavaLlamaForCausalLM", "LlamaForCausalLM"])
def test_a_checkpoint_of_llavas_own_code_is_checked_as_any_other(toy: Path, named: str) -> None:
    opens = opened_original(toy, architectures=[named])
    found = json.loads(said("check", toy, *opens, *SHORTER, "--json"))
    assert {each["level"] for each in found} <= {"ok", "unknown"}
    assert "model_type 'llava' is opened by family 'llava'" in [each["message"] for each in found]
    assert "as the stage takes them, all of these can be learnt" in str(found)
    weights = toy.with_name("original") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:3000])
    found = json.loads(said("check", toy, *opens, *SHORTER, "--json", code=1))
    assert [each["key"] for each in found if each["level"] == "wrong"] == ["model.weights"]


def test_a_part_that_llavas_own_code_takes_from_elsewhere_is_not_fetched(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.models.disk.locate.snapshot_download", None)
    opens = opened_original(toy, mm_vision_tower="nobody/tower")
    found = json.loads(said("check", toy, *opens, *SHORTER, "--json", code=1))
    told = {each["message"]: each["level"] for each in found}
    assert told["LlavaLlamaForCausalLM of LLaVA's own code, which opens as a class of transformers"] == "ok"
    assert [level for said, level in told.items() if said.startswith("nobody/tower is not on this disk")] == ["missing"]


def test_what_is_wrong_with_a_checkpoint_of_llavas_own_code_is_told(toy: Path) -> None:
    for wrong, why in (
        ({"mm_vision_tower": None}, "does not say mm_vision_tower"),
        ({"hidden_size": "wide"}, "hidden_"),
    ):
        found = json.loads(said("check", toy, *opened_original(toy, **wrong), *SHORTER, "--json", code=1))
        (told,) = [each for each in found if each["level"] == "wrong"]
        assert (told["key"], why in told["message"]) == ("model.open", True)
        shutil.rmtree(toy.with_name("original"))


def test_weights_that_a_run_leaves_alone_are_told_and_not_wrong(toy: Path) -> None:
    folder = toy.with_name("model")
    tiny(0).save(folder)
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "model.spare.weight": torch.zeros(2)}, folder / "model.safetensors", {"format": "pt"})
    opens = ("model={open: " + str(folder) + "}", "stages.tune.parts.language.targets=[q_proj]")
    (told,) = [each for each in json.loads(said("check", toy, *opens, "--json")) if each["key"] == "model.weights"]
    assert (told["level"], told["message"].split("; ")[-1]) == ("ok", "1 not used: model.spare.weight")
    start_model(ModelPlan(open=str(folder)), seed=0)


@pytest.mark.parametrize("part", [0, 1], ids=["vision", "language"])
def test_a_part_whose_weights_cannot_be_read_is_told(toy: Path, part: int) -> None:
    seen = save_tower(toy.with_name("tower"), "clip")
    folders = [seen, save_language(toy.with_name("language"), LANGUAGES["llama-tied"])]
    sizes = [f"stages.tune.{what}_tokens=320" for what in ("pack", "step", "forward")]
    put = (f"model={{parts: {{vision: {folders[0]}, language: {folders[1]}}}}}", *sizes)
    found = json.loads(said("check", toy, *put, "--json"))
    assert [each["level"] for each in found if each["key"] == "model.weights"] == ["ok", "ok"]
    harmed(folders[part], "torn")
    found = json.loads(said("check", toy, *put, "--json", code=1))
    (told,) = [each for each in found if each["key"] == "model.weights" and each["level"] == "wrong"]
    assert str(folders[part]) in told["message"]


@pytest.mark.parametrize(("on_bad", "level"), [("raise", "wrong"), ("refuse", "warning")])
def test_a_row_that_the_run_would_refuse_is_told(toy: Path, on_bad: str, level: str) -> None:
    (source,) = {stage.data[0].source for stage in load_recipe(toy, []).stages if stage.name == "tune"}
    path = Path(source.partition(":")[2])
    lines = path.read_text().splitlines()
    lines[3] = lines[3].replace(json.loads(lines[3])["images"][0], "gone.png")
    path.write_text("\n".join(lines) + "\n")
    code = 1 if level == "wrong" else 0
    found = json.loads(said("check", toy, f"stages.tune.on_bad={on_bad}", "--json", code=code))
    (told,) = (each for each in found if "are refused" in each["message"])
    assert told["level"] == level
    assert told["message"].startswith("as the stage takes them, 1 of 24 are refused")
    assert "gone.png" in told["message"]


def test_a_source_whose_first_rows_are_foreign_may_have_others(toy: Path) -> None:
    """M4's sources are one file of rows, each with the pictures of another set."""
    (source,) = {stage.data[0].source for stage in load_recipe(toy, []).stages if stage.name == "tune"}
    path = Path(source.partition(":")[2])
    foreign = json.dumps({**json.loads(path.read_text().splitlines()[0]), "images": ["gone.png"] * 3})
    path.write_text("\n".join([foreign] * 50) + "\n" + path.read_text())
    found = json.loads(said("check", toy, "stages.tune.on_bad=refuse", "--json"))
    (told,) = (each for each in found if "can be used" in each["message"])
    assert told["level"] == "warning"
    assert told["message"].startswith(f"none of the first 50 rows of {source} can be used: ")
    told = json.loads(said("check", toy, "stages.tune.on_bad=raise", "--json", code=1))
    assert any(each["level"] == "wrong" and "has no row" in each["message"] for each in told)


def test_a_package_that_is_not_here_is_told(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.train.packages.find_spec", lambda _: None)
    found = json.loads(said("check", toy, "stages.tune.liger=true", "--json", code=1))
    assert [each["message"] for each in found if each["level"] == "missing"] == [
        "liger needs the package liger-kernel, which is not here: pip install liger-kernel"
    ]


def test_a_twin_that_drifts_is_told(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    original, twin = RECIPES / "mantis_clip.yaml", RECIPES / "tiny" / "mantis_clip.yaml"
    (tmp_path / "mantis_clip.yaml").write_text(original.read_text())
    (tmp_path / "tiny" / "mantis_clip.yaml").write_text(twin.read_text().replace("rate: 1.0e-5", "rate: 1.0e-4"))
    found = json.loads(said("check", tmp_path / "mantis_clip.yaml", "--json", code=1))
    drifted = [each["message"] for each in found if each["key"] == "twin"]
    assert len(drifted) == 2
    assert drifted[0] == "stages.instruct.parts.projector.rate is 1e-05 in the recipe, 0.0001 in the twin"


def test_a_published_run_is_planned_without_a_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (plan,) = json.loads(said("plan", RECIPES / "mantis_clip.yaml", "--gpu", "a100-40g", "--gpus", "16", "--json"))
    assert plan["fits"]
    assert 8 < plan["hours"] < 36
    slow, quick = plan["hours_unpacked"]
    assert quick < 36 < slow, "what Mantis told of its trainer, which did not pack"
    (alone,) = json.loads(said("plan", RECIPES / "mantis_clip.yaml", "--gpu", "a100-40g", "--json"))
    assert not alone["fits"]
    assert any("GPUs" in each["what"] for each in alone["changes"])
    assert alone["changes"][-1]["total_gib"] < 39.6
    assert alone["hours"] == pytest.approx(16 * plan["hours"], rel=1e-3)


def test_a_plan_says_what_it_does_not_know() -> None:
    assert "unknown: nobody tells how much the data hold" in said("plan", RECIPES / "nlvr.yaml")
    assert "where nothing is packed" in said("plan", RECIPES / "nlvr.yaml", "--tokens", "1e6")
    for own in ("0.3", "0.4"):  # the second is also what is assumed where none is given
        assert "where nothing is packed" not in said("plan", RECIPES / "nlvr.yaml", "--tokens", "1e6", "--mfu", own)


def test_adapters_that_do_not_fit_are_planned_in_4_bits_and_in_smaller_packs() -> None:
    (plan,) = json.loads(said("plan", RECIPES / "qwen_vl_lora.yaml", "--gpu", "rtx4090", "--json"))
    sizes = {each["what"]: each["total_gib"] for each in plan["changes"]}
    quantised = sizes["instead parts.language: {train: qlora, ...}"]
    smaller = sizes["and with it pack_tokens and forward_tokens: 4096"]
    assert smaller < quantised < plan["total_gib"]
    asked = ["stages.instruct.parts.language.train=qlora"]
    asked += [f"stages.instruct.{key}=4096" for key in ("pack_tokens", "forward_tokens")]
    (as_told,) = json.loads(said("plan", RECIPES / "qwen_vl_lora.yaml", *asked, "--gpu", "rtx4090", "--json"))
    assert as_told["total_gib"] == pytest.approx(smaller, abs=0.01)
    assert as_told["fits"]


def test_a_plan_tells_what_a_frozen_towers_features_take_of_the_disk() -> None:
    (published,) = json.loads(said("plan", RECIPES / "mantis_clip.yaml", "--json"))
    assert published["features"]["picture"] == 576 * 1024 * 4
    assert published["features"]["kept"] is False
    assert "not kept, as there are more rows than in_memory_rows" in said("plan", RECIPES / "mantis_clip.yaml")
    own = said("plan", RECIPES / "nlvr.yaml")
    assert "features     kept on the run's disk: 0.24 MiB a picture; where there is no room" in own
    few = said("plan", RECIPES / "mantis_clip.yaml", "stages.0.in_memory_rows=1000000")
    assert "features     kept on the run's disk: 2.25 MiB a picture, 5,637.8 GiB for all" in few
    moving = said("plan", RECIPES / "nlvr.yaml", "stages.tune.parts.vision={train: full, rate: 1e-5}")
    assert "features" not in moving


def test_a_short_run_is_planned_in_seconds_and_a_long_one_in_hours() -> None:
    short = said("plan", RECIPES / "nlvr.yaml", "--gpu", "rtx4090", "--tokens", "1.2e6")
    assert "steps, an epoch is 1.20 million tokens: 22 seconds in packs" in short
    assert " 0.0 " not in short.partition("length")[2]
    assert "15.0 hours in packs" in said("plan", RECIPES / "mantis_clip.yaml", "--gpu", "a100-40g", "--gpus", "16")


def test_a_plan_for_an_unknown_gpu_or_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no GPU is called 'gtx'"):
        said("plan", RECIPES / "nlvr.yaml", "--gpu", "gtx")
    with pytest.raises(ModelError, match="the size of nobody/nothing is not known"):
        said("plan", RECIPES / "mantis_fuyu.yaml", "model.open=nobody/nothing")
    write_tune(tmp_path)
    (tmp_path / "toy.yaml").write_text(recipe_text(tmp_path))
    with pytest.raises(ModelError, match="a toy model needs no plan"):
        said("plan", tmp_path / "toy.yaml")
