"""``triptych models check``, ``info`` and ``list``: whether a folder is what it should be, and what opens what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.groups.sources import AsJson, json_text

if TYPE_CHECKING:
    from triptych.core.records import Json

Path = Annotated[str, typer.Argument(metavar="PATH", help="A model's folder, or its hub id (OWNER/NAME).")]

MARKS = {"ok": "ok       ", "wrong": "WRONG    ", "not tried": "not tried"}


def check_folder(path: Path, *, as_json: AsJson = False) -> None:
    """Check a model: family, template, special tokens, token counts, weights, stop. Ends with 1 if one is wrong.

    No weight is read: names and shapes are compared.
    """
    from triptych.models.check import check_model

    found = []
    for check in check_model(path):
        found.append(check)
        if not as_json:
            typer.echo(f"{MARKS[check.verdict]}  {check.name:<8}  {check.said}")
    if as_json:
        typer.echo(json_text([asdict(check) for check in found]))
    if any(check.verdict == "wrong" for check in found):
        raise typer.Exit(1)


def tell_folder(path: Path, *, as_json: AsJson = False) -> None:
    """Say what a model is: its family, its template and how that is known, and what pictures cost it."""
    from triptych.models.check import inform

    info = inform(path)
    if as_json:
        typer.echo(json_text(info.record()))
        return
    kind = f"{info.model_type}, from {info.original}" if info.original else info.model_type
    costs = ", ".join(f"{size}: {tokens}" for size, tokens in info.tokens.items())
    lines = {
        "folder": str(info.folder),
        "family": f"{info.family} ({kind})",
        "template": f"{info.template}: {info.template_by}",
        "image token": f"{info.image_token} ({info.image_token_id})",
        "tokens": costs,
    }
    for name, said in lines.items():
        typer.echo(f"{name:<11}  {said}")


def list_openable(*, as_json: AsJson = False) -> None:
    """List the model families, what each opens, and the published checkpoints whose template is known by their id."""
    from triptych.core import plugins
    from triptych.models.family import Family
    from triptych.models.original import LANGUAGES
    from triptych.models.recognise import published

    families = {name: plugins.find("family", name, Family) for name in plugins.names("family")}
    facts = published()
    if as_json:
        told: dict[str, Json] = {
            name: {"about": each.about, "model_types": [*each.model_types]} for name, each in families.items()
        }
        known: dict[str, Json] = {name: asdict(fact) for name, fact in facts.items()}
        typer.echo(json_text({"families": told, "original": [*LANGUAGES], "published": known}))
        return
    for name, each in families.items():
        typer.echo(f"{name:<16} {', '.join(each.model_types) or 'toys alone'}")
        typer.echo(f"{'':<16} {each.about}")
    typer.echo(f"\nof LLaVA's own code: {', '.join(LANGUAGES)}")
    typer.echo("\npublished, known by their hub ids:")
    for name, fact in facts.items():
        typer.echo(f"{name:<48} {fact.family:<16} {fact.template}")


COMMANDS: dict[str, Callable[..., None]] = {"check": check_folder, "info": tell_folder, "list": list_openable}
