"""``triptych models check`` and ``info``: whether a folder is what it should be, and what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path as Folder
from typing import Annotated

import typer

from triptych.cli.groups.sources import AsJson, json_text

Path = Annotated[
    str,
    typer.Argument(
        metavar="PATH", help="A model's folder, its hub id (OWNER/NAME), or a name of triptych models list."
    ),
]

MARKS = {"ok": "ok       ", "wrong": "WRONG    ", "not tried": "not tried"}


def check_folder(path: Path, *, as_json: AsJson = False) -> None:
    """Check a model: family, template, special tokens, token counts, weights, stop. Ends with 1 if one is wrong.

    No weight is read: names and shapes are compared.
    """
    from triptych.models import zoo

    hub_id = zoo.hub_id_of(path)  # before torch is loaded

    from triptych.models.disk.check import check_model

    found = []
    for check in check_model(hub_id):
        found.append(check)
        if not as_json:
            typer.echo(f"{MARKS[check.verdict]}  {check.name:<8}  {check.said}")
    if as_json:
        typer.echo(json_text([asdict(check) for check in found]))
    if any(check.verdict == "wrong" for check in found):
        raise typer.Exit(1)


def print_info(path: Path, *, as_json: AsJson = False) -> None:
    """Say what a model is: its family, its template and how that is known, and what pictures cost it.

    Of a released checkpoint that is no folder here: what is known of it, without fetching anything.
    """
    from triptych.cli.groups.models_zoo import print_entry
    from triptych.models import zoo

    if not Folder(path).is_dir() and (known := zoo.find(path)) is not None:
        print_entry(*known, as_json=as_json)
        return

    from triptych.models.disk.check import inform

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
    for name, value in lines.items():
        typer.echo(f"{name:<11}  {value}")


COMMANDS: dict[str, Callable[..., None]] = {"check": check_folder, "info": print_info}
