"""Recipes: complete when saved, refused in one line when wrong, and a run folder belongs to one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.train.runs import recipe_text
from triptych.core.config import Length, parse_config
from triptych.core.errors import ConfigError, RunError
from triptych.train.claim import claim_run
from triptych.train.recipe import RECIPE, Recipe, Tune, load_recipe, resolve


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(recipe_text(tmp_path, align=True))
    return path


def test_a_saved_recipe_is_complete_and_reads_back_equal(file: Path, tmp_path: Path) -> None:
    recipe = load_recipe(file)
    claim_run(recipe, tmp_path / "run")
    text = (tmp_path / "run" / RECIPE).read_text()
    for default in ("ridge: 0.01", "forward_tokens: 320", "train: frozen", "template: chatml", "projector: linear"):
        assert default in text
    assert resolve(parse_config(text, model=Recipe, file="saved")) == recipe


def test_an_override_reaches_a_stage_by_its_name(file: Path) -> None:
    stage = load_recipe(file, ["stages.tune.length=200 steps", "stages.tune.parts.language.rank=2"]).stages[1]
    assert isinstance(stage, Tune)
    assert stage.length == Length(200, "steps")
    assert stage.parts.language.train == "lora"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages.tune.lenght=1 epoch", "unknown key. Did you mean 'length'?"),
        ("stages.align.length=1 epoch", "stages.align.length: unknown key"),
        ("stages.tune.kind=tuna", "stages.tune.kind: nothing is called 'tuna'. Did you mean 'tune'?"),
        ("stages.tune.step_tokens=300", "step_tokens must be a multiple of pack_tokens (160), found 300"),
        ("stages.tune.forward_tokens=480", "forward_tokens must be at most step_tokens (320)"),
        ("stages.tune.length=0 steps", "length must be more than zero, found '0 steps'"),
        ("stages.tune.data=[]", "stages.tune.data: "),
        ("stages.tune.data.0.source=nocolon", "stages.tune.data.0.source: "),
        ("stages.tune.parts.language.rank=0", "stages.tune.parts.language.rank: should be greater than or equal to 1"),
        ("stages.tune.parts.language.targets=[]", "stages.tune.parts.language.targets: "),
        ("stages.tune.parts.language.rate=.inf", "stages.tune.parts.language.rate: "),
        ("stages.tune.parts={}", "every part is frozen"),
        ("stages.tune.parts.projector.train=lora", "stages.tune.parts.projector"),
        ("stages.tune.data.0.weight=0", "stages.tune.data.0.weight: should be greater than 0"),
        ("stages.tune.data.0.limit=0", "stages.tune.data.0.limit: should be greater than or equal to 1"),
        ("stages.tune.data.0.transforms=[{kind: nothing}]", "stages.tune.data.0.transforms.0: "),
        ("stages.align.data.0.budget={}", "a closed_form stage counts no tokens"),
        ("stages.tune.mixing=root", "stages.tune.mixing"),
        ("stages.tune.mixing=0.5", "stages.tune.mixing"),
        ("stages.tune.budget.overlong=cut", "stages.tune.budget.overlong: "),
        ("stages.tune.workers=-1", "stages.tune.workers: should be greater than or equal to 0"),
        ("stages.align.name=tune", "two stages are called 'tune'"),
        (
            "model.open=runs/x/model",
            "give exactly one of parts (a new model), open (a finished one) and sample (a toy)",
        ),
        ("name=a/b", "name: write it with letters of English, digits, '.', '_' and '-', without spaces"),
        ("seed=-1", "seed: "),
        ("model={family: tiny}", "and sample (a toy)"),
        ("model={sample: mlp}", "a sample needs its family"),
        ("model.image_processor={size: 3}", "image_processor changes an opened model's"),
        (
            "stages.tune.parts.vision={train: lora, rate: 1, rank: 1, alpha: 1, dropout: 0.1}",
            "always in evaluation mode",
        ),
        ("stages.tune.parts.head={train: full, rate: 1e-3}", "objective reply has no score head"),
        ("stages.tune.objective={kind: regression, targets: []}", "stages.tune.objective.targets: "),
        ("stages.tune.objective={kind: regression, targets: [a, a]}", "'a' is named twice"),
        ("stages.tune.objective={kind: classification, targets: [a], classes: 1}", "stages.tune.objective.classes: "),
        ("stages.tune.precision=float16", "stages.tune.precision: "),
        ("stages.tune.parts.language.first_weights=zero", "stages.tune.parts.language.first_weights: "),
        ("parallel.kind=deepspeed", "parallel.kind: "),
    ],
)
def test_a_wrong_recipe_is_refused_in_one_line(file: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe(file, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_done_to_data_is_saved_with_the_recipe(file: Path, tmp_path: Path) -> None:
    entry = "{source: messages:a.jsonl, weight: 0.5, limit: 10, transforms: [{kind: number_images}]}"
    recipe = load_recipe(file, [f"stages.tune.data=[{entry}]", "stages.tune.mixing=3", "stages.tune.budget={}"])
    claim_run(recipe, tmp_path / "run")
    text = (tmp_path / "run" / RECIPE).read_text()
    assert "kind: number_images" in text
    assert "overlong: refuse" in text
    assert resolve(parse_config(text, model=Recipe, file="saved")) == recipe


def test_a_run_of_an_earlier_release_is_taken_up(file: Path, tmp_path: Path) -> None:
    """Its recipe.yaml says nothing of the keys that came later: they have their defaults."""
    recipe = load_recipe(file)
    claim_run(recipe, tmp_path / "run")
    path = tmp_path / "run" / RECIPE
    tree = yaml.safe_load(path.read_text())
    for key in ("parallel", "log"):
        del tree[key]
    for key in ("sample", "image_processor"):
        del tree["model"][key]
    for stage in tree["stages"]:
        for key in ("objective", "precision", "checkpoint_activations", "compile", "liger", "budget", "in_memory_rows"):
            stage.pop(key, None)
        for key in ("balance", "workers", "mixing"):
            stage.pop(key, None)
        stage["data"] = [{"source": entry["source"]} for entry in stage["data"]]
        if "parts" in stage:
            del stage["parts"]["head"]
            for plan in stage["parts"].values():
                for key in ("decay", "warmup", "only", "first_weights"):
                    plan.pop(key, None)
    path.write_text(yaml.safe_dump(tree))
    assert not claim_run(recipe, tmp_path / "run")


def test_a_run_may_go_on_elsewhere_and_tell_others(file: Path, tmp_path: Path) -> None:
    claim_run(load_recipe(file), tmp_path / "run")
    elsewhere = ["parallel.kind=ddp", "log.tensorboard=true", "stages.tune.workers=2"]
    elsewhere += ["stages.tune.checkpoint_activations=true", "stages.tune.checkpoint_every=3 steps"]
    assert not claim_run(load_recipe(file, [*elsewhere, "stages.tune.forward_tokens=160"]), tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").touch()
    with pytest.raises(RunError, match=r"stages\.tune\.precision is \"float32\" there, \"bfloat16\" here"):
        claim_run(load_recipe(file, ["stages.tune.precision=bfloat16"]), tmp_path / "run")


def test_an_opened_model_says_its_family_itself_and_may_be_given_another_template(file: Path) -> None:
    with pytest.raises(ConfigError, match="the family is the opened model's own"):
        load_recipe(file, ["model.parts=null", "model.open=runs/x/model"])
    recipe = load_recipe(file, ["model={open: runs/x/model, template: plain}"])
    assert recipe.model.family is None
    assert recipe.model.template == "plain"
