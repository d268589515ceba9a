"""``triptych models list`` and ``get``: released checkpoints and what opens them, and bringing one to this disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.groups.sources import AsJson, json_text
from triptych.core.log import say

if TYPE_CHECKING:
    from triptych.core.records import Json
    from triptych.models.zoo import Entry

GB = 1e9
NOT_KNOWN = "not known"


def list_models(
    *,
    family: Annotated[str | None, typer.Option("--family", help="Only those that this family opens.")] = None,
    work: Annotated[
        str | None, typer.Option("--work", help="Only those of mantis, interleave, mimicit, videoscore or base.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List released checkpoints and bases, the families, and what each family opens."""
    from triptych.models import zoo

    chosen = zoo.select(family=family, work=work)
    if as_json:
        record: dict[str, Json] = {"zoo": {name: _record(each) for name, each in chosen.items()}}
        if family is None and work is None:
            record |= _openable()
        typer.echo(json_text(record))
        return
    wide = max(map(len, chosen))
    licences = max(len(each.licence or NOT_KNOWN) for each in chosen.values())
    typer.echo(
        f"{'name':<{wide + 2}} {'family':<16} {'billion':>7} {'GB in 16 bits':>13}  {'licence':<{licences}} hub id"
    )
    previous = ""
    for name, each in chosen.items():
        if each.work != previous:
            typer.echo(f"{zoo.WORKS[each.work]}:")
            previous = each.work
        count = "?" if each.parameters is None else f"{each.parameters / 1e9:.2f}"
        weights = zoo.weight_bytes(each)
        size = "?" if weights is None else f"{weights / GB:.1f}"
        typer.echo(
            f"  {name:<{wide}} {each.family:<16} {count:>7} {size:>13}  {each.licence or NOT_KNOWN:<{licences}}"
            f" {each.hub_id}"
        )
    typer.echo(f"\nparameters are counted from shapes; {zoo.NOT_RUN}: triptych models info NAME says what was tried")
    if family is None and work is None:
        _print_openable()


def get_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of triptych models list, or a hub id.")],
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Where it goes. Default: the hub's cache.")
    ] = None,
    *,
    revision: Annotated[
        str | None, typer.Option("--revision", help="A branch, tag or commit. Default: the zoo's, else main.")
    ] = None,
) -> None:
    """Bring a released model to this disk: only the files it needs. Whatever ended it, the same command goes on."""
    from triptych.core.errors import NotFoundError
    from triptych.models import zoo

    known = zoo.find(name)
    if known is None and "/" not in name:
        raise NotFoundError(f"no released checkpoint is called {name!r}.{zoo.nearest(name)} See triptych models list.")

    from triptych.models.disk.hub import bring

    entry = None if known is None else known[1]
    hub_id = name if entry is None else entry.hub_id
    say(f"{hub_id}, licence: {NOT_KNOWN if entry is None else entry.licence or NOT_KNOWN}")
    got = bring(
        hub_id,
        folder,
        revision=revision or (None if entry is None else entry.revision),
        template=None if entry is None else entry.template,
    )
    left = f"; {got.left} files that it does not need were left" if got.left else ""
    say(f"{got.files} files, {got.size_bytes / GB:,.2f} GB in {got.folder}{left}")
    typer.echo(f"triptych models check {hub_id if folder is None else folder}")


def print_entry(name: str, entry: Entry, *, as_json: bool) -> None:
    """Say what is known of a released checkpoint."""
    from triptych.models import zoo

    if as_json:
        typer.echo(json_text({"name": name, **_record(entry)}))
        return
    weights, kept = zoo.weight_bytes(entry), zoo.cache_bytes(entry)
    memory = NOT_KNOWN
    if weights is not None and kept is not None:
        memory = (
            f"{(weights + kept) / GB:.1f} GB in 16 bits: weights {weights / GB:.1f}, keys and values of"
            f" {zoo.TOKENS:,} tokens {kept / GB:.1f}; and what layers need in passing"
        )
    count = NOT_KNOWN if entry.parameters is None else f"{entry.parameters:,}, counted from its shapes"
    lines = {
        "name": name,
        "hub id": entry.hub_id,
        "revision": entry.revision or "main",
        "work": zoo.WORKS[entry.work],
        "about": entry.about,
        "family": entry.family,
        "template": entry.template or "told by its own chat template",
        "parameters": count,
        "memory": memory,
        "licence": (entry.licence or NOT_KNOWN) + ("; gated" if entry.gated else ""),
    }
    for key, value in lines.items():
        typer.echo(f"{key:<11}  {value}")
    for tried in entry.tried:
        typer.echo(f"{'tried':<11}  {tried}: {zoo.MEANS[tried]}")
    typer.echo(f"{'not tried':<11}  {zoo.NOT_RUN}")
    typer.echo(f"\nbring it here:  triptych models get {name} [DIR]")


def _record(entry: Entry) -> dict[str, Json]:
    from triptych.models import zoo

    return {
        **entry.model_dump(mode="json"),
        "weight_bytes": zoo.weight_bytes(entry),
        "memory_bytes": zoo.memory_bytes(entry),
        "weights_run_here": False,
    }


def _openable() -> dict[str, Json]:
    from triptych.core import plugins
    from triptych.models.disk.llava_kind import LANGUAGES
    from triptych.models.disk.recognise import published
    from triptych.models.family import Family

    families = {name: plugins.find("family", name, expected=Family) for name in plugins.names("family")}
    openable: dict[str, Json] = {
        name: {"about": each.about, "model_types": [*each.model_types]} for name, each in families.items()
    }
    known: dict[str, Json] = {name: asdict(fact) for name, fact in published().items()}
    return {"families": openable, "original": [*LANGUAGES], "published": known}


def _print_openable() -> None:
    from triptych.core import plugins
    from triptych.models.disk.llava_kind import LANGUAGES
    from triptych.models.family import Family

    typer.echo("\nfamilies, and what config.json calls what they open:")
    for name in plugins.names("family"):
        each = plugins.find("family", name, expected=Family)
        typer.echo(f"  {name:<16} {', '.join(each.model_types) or 'toys alone'}")
        typer.echo(f"  {'':<16} {each.about}")
    typer.echo(f"\nof LLaVA's own code: {', '.join(LANGUAGES)}")


COMMANDS: dict[str, Callable[..., None]] = {"list": list_models, "get": get_model}
