"""``triptych export``: a tuned model for others: a folder, its card, an adapter alone, vLLM, llama.cpp, the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triptych.core.log import say

GB = 1e9


def run(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A run's folder, a model's, an adapter's of peft, or a hub id.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder; nothing is overwritten.")],
    *,
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help="layout=vllm or gguf, adapter=true, dtype=bfloat16, licence=apache-2.0, push=OWNER/NAME, ...",
        ),
    ] = None,
) -> None:
    """Write a model that plain transformers opens, adapters merged, with a card filled from its run."""
    from triptych.train.export.plan import parse_plan

    plan = parse_plan(settings or [])  # first: an error in it is told before torch is loaded

    from triptych.train.export.export import export
    from triptych.train.export.serving import VLLM

    done = export(model, folder, plan=plan)
    say(f"exported: {done.folder} ({done.size_bytes / GB:,.2f} GB), its card: {done.folder / 'README.md'}")
    if plan.layout == "vllm":
        say(f"for vLLM {VLLM}, whose registry has this network; not run here. It asks for transformers below 5.21.")
    if plan.layout == "gguf":
        say("for a checkout of llama.cpp; its scripts were not run here. They make the GGUF files:")
    for line in done.lines:
        typer.echo(line)
    if done.address is not None:
        say(f"on the hub: {done.address}")
