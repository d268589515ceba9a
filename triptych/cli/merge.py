"""``triptych merge``: an adapter disappears into its model, which then is an ordinary Hugging Face folder."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from triptych.core.log import say


def run(
    path: Annotated[
        Path, typer.Argument(metavar="RUN_OR_ADAPTER", help="A run's folder, or one with an adapter_config.json.")
    ],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the merged model goes.")],
    base: Annotated[
        str | None, typer.Option("--base", metavar="MODEL", help="The adapter's base. Default: the one it names.")
    ] = None,
    step: Annotated[
        int | None,
        typer.Option("--step", metavar="N", min=1, help="A run as it stood after this step. Default: as it stands."),
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option("--stage", metavar="NAME", help="Whose step it is. Default: the last stage that has it."),
    ] = None,
) -> None:
    """Merge what a run has learnt so far, or an adapter that peft wrote, into a plain model.

    A run that came to its end has done so itself: its model is in RUN/model.

    An earlier step (--step) becomes a model, too, where its checkpoint stayed: see keep_checkpoints in the recipe.

    Learnt over 4 bits (qlora), a run's adapter is merged onto what these stand for, one of peft onto the base itself.
    """
    from triptych.train.merging import check_apart, merged_model

    check_apart(path, out, base=base)
    model = merged_model(path, base=base, step=step, stage=stage)
    model.save(out)
    say(f"merged: {out}")
    say(f"try it:  triptych {'chat' if model.score_head is None else 'score'} {quote(str(out))} IMAGE...")
