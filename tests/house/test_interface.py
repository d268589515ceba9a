"""What others build on is frozen here: a change of it is a change of this file, made on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

import triptych
from tests.train.runs import toy_recipe
from triptych.cli.main import build_app, command_names
from triptych.models.families.tiny import tiny
from triptych.train.recipe import load_recipe
from triptych.train.trainer import train

NAMES = {
    "Answer",
    "Assistant",
    "Benchmark",
    "CannedResponder",
    "Example",
    "Family",
    "FeatureStore",
    "Format",
    "ImageRef",
    "LocalResponder",
    "Model",
    "Recipe",
    "Refused",
    "Responder",
    "Template",
    "Text",
    "TriptychError",
    "Turn",
    "load",
    "load_config",
    "load_examples",
    "load_image",
    "open_model",
    "picture",
    "read_source",
    "render",
}

COMMANDS = {
    "arena": ["ANSWERS", "--json", "--judge", "--limit", "--out", "--votes"],
    "audit": ["BENCHMARK", "ANSWERS", "--answers", "--data", "--json"],
    "chat": ["MODEL", "IMAGE"],
    "compare": ["RUN_A", "RUN_B", "--benchmark", "--common", "--condition", "--json"],
    "data check": ["SOURCE", "--headers", "--html", "--json", "--strict"],
    "data convert": ["SOURCE", "DST", "--skip"],
    "data decontaminate": ["SOURCE", "--against", "--json", "--out"],
    "data get": ["NAME", "--jobs", "--revision", "--to"],
    "data import": ["CONFIG", "--images", "--out", "--root", "--videos"],
    "data plan": ["RECIPE", "KEY=VALUE", "--json", "--ranks", "--steps"],
    "data render": ["SOURCE", "--json", "--limit", "--template", "--tokenizer"],
    "data show": ["SOURCE", "--html", "--id", "--model", "--row"],
    "data split": ["SOURCE", "HELD", "REST", "--seed", "--share"],
    "data stats": ["SOURCE", "--json"],
    "data transform": ["SOURCE", "DST", "--seed", "--steps"],
    "demo": [],
    "diagnose": ["MODEL", "BENCHMARK", "KEY=VALUE", "--data", "--json", "--judge", "--limit", "--only", "--out"],
    "eval": ["MODEL", "BENCHMARK", "KEY=VALUE", "--blind", "--data", "--judge", "--limit", "--out", "--shard"],
    "export": ["MODEL", "DIR", "KEY=VALUE"],
    "generate list": ["KIND", "--json"],
    "generate merge": ["DIR", "--out"],
    "generate report": ["RUN"],
    "generate review": ["RUN", "--port"],
    "generate run": ["RECIPE", "KEY=VALUE", "--run", "--shard"],
    "list": ["KIND", "--json", "--skill", "--suite", "--task"],
    "mark": ["BENCHMARK", "ANSWERS", "--answers", "--data", "--json", "--out"],
    "merge": ["RUN_OR_ADAPTER", "--base", "--out", "--stage", "--step"],
    "merge-answers": ["FOLDER", "--out"],
    "models check": ["PATH", "--json"],
    "models get": ["NAME", "DIR", "--revision"],
    "models info": ["PATH", "--json"],
    "models list": ["--family", "--json", "--work"],
    "recipe check": ["RECIPE", "KEY=VALUE", "--json"],
    "recipe diff": ["A", "B", "--json"],
    "recipe plan": ["RECIPE", "KEY=VALUE", "--gpu", "--gpus", "--json", "--mfu", "--tokens"],
    "recipe show": ["RECIPE", "KEY=VALUE", "--json"],
    "report": ["RUN", "--format"],
    "rescore": ["RUN", "--benchmark", "--json", "--keep"],
    "score": ["MODEL", "FILE", "--frames", "--json", "--out", "--prompt", "--text"],
    "serve": ["MODEL", "MODEL_B] [KEY=VALUE"],
    "starter draw": ["FOLDER", "--questions", "--seed", "--tune"],
    "starter weights": ["NAME", "--image-tokens"],
    "train": ["RECIPE", "KEY=VALUE", "--run"],
}


def test_the_public_names_are_these() -> None:
    offered = {name for name in dir(triptych) if not name.startswith("_")}
    modules = {"annotations", "importlib", "TYPE_CHECKING"}
    rooms = {"cli", "core", "data", "evaluate", "generate", "infer", "models", "serve", "starter", "train"}
    assert offered - modules - rooms == NAMES


def test_every_public_name_is_there_and_explains_itself() -> None:
    for name in NAMES:
        thing = getattr(triptych, name)
        assert thing.__doc__, name
        assert thing.__name__ == name


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    assert not hasattr(triptych, "train_everything")


def test_files_and_folders_may_be_named_in_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = toy_recipe(tmp_path, ("length: 6 steps", "length: 1 steps"))
    Path("toy.yaml").write_text(recipe.model_dump_json())
    assert triptych.load_config("toy.yaml", model=triptych.Recipe) == recipe == load_recipe("toy.yaml")
    assert train(recipe, run="run").is_dir()
    tiny(0).save("copy")
    model = triptych.open_model("copy")
    model.parts()["vision"].requires_grad_(False)
    assert len(triptych.FeatureStore(model, "features").features([triptych.ImageRef("red-0.png")])) == 1


def test_the_commands_and_their_options_are_these() -> None:
    assert _commands() == COMMANDS


def test_help_lists_every_command_of_the_folder() -> None:
    group = typer.main.get_command(build_app())
    assert list(group.commands) == command_names()


def _commands() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    waiting = [("", typer.main.get_command(build_app()))]
    while waiting:
        name, command = waiting.pop()
        if commands := getattr(command, "commands", None):
            waiting += [(f"{name} {inner}".strip(), each) for inner, each in commands.items()]
            continue
        arguments = [_argument(param) for param in command.params if param.param_type_name == "argument"]
        options = sorted(param.opts[0] for param in command.params if param.param_type_name == "option")
        found[name] = [*arguments, *options]
    return dict(sorted(found.items()))


def _argument(param: object) -> str:
    metavar = getattr(param, "metavar", None)
    name = metavar if isinstance(metavar, str) else str(getattr(param, "name", "")).upper()
    return "KIND" if "|" in name else name.strip("[].")
