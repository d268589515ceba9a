"""``triptych data transform``: a source with steps applied to its rows, written as new data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.groups.sources import Source, measured_rows
from triptych.core.log import counted, say

if TYPE_CHECKING:  # pictures are loaded when a command needs them
    from triptych.core.records import Example
    from triptych.data.transform import TransformPlan

LISTED = 10
"""Refused rows that are listed one by one."""


def transform_source(
    source: Source,
    to: Annotated[str, typer.Argument(metavar="DST", help="FORMAT:PATH of the new file, e.g. messages:new.jsonl.")],
    *,
    steps: Annotated[
        Path, typer.Option("--steps", metavar="FILE.yaml", help="steps: [{kind: NAME, ...settings}, ...], in order.")
    ],
    seed: Annotated[int, typer.Option("--seed", help="Decides, with a row's id, all that is drawn.")] = 0,
) -> None:
    """Write the rows that steps make of a source; the pictures are copied beside the new file."""
    from triptych.core.config import load_config
    from triptych.data.disk.writing import target_of
    from triptych.data.transform import Steps

    path, write = target_of(to, [source])
    plans = load_config(steps, model=Steps).steps
    refused: Counter[str] = Counter()
    left: Counter[str] = Counter()
    count = write(_made(source, plans, seed, refused, left), path)
    for reason, rows in refused.most_common():
        say(f"refused: {reason}: {rows}")
    for kind, rows in left.most_common():
        say(f"{kind} left {counted(rows, 'row')} as they were; their notes say why")
    say(f"{path}: {counted(count, 'row')}, {refused.total()} refused")


def _made(
    source: str, plans: tuple[TransformPlan, ...], seed: int, refused: Counter[str], left: Counter[str]
) -> Iterator[Example]:
    """Yield the rows that can be used; count the others, and the rows that a step could not change."""
    from triptych.core.records import Example
    from triptych.data.transform import apply, left_by

    for row in apply(plans, measured_rows(source), seed=seed):
        if isinstance(row, Example):
            left.update(left_by(row))
            yield row
            continue
        if refused.total() < LISTED:
            say(f"refused: {row.message}")
        refused[row.reason] += 1


COMMANDS: dict[str, Callable[..., None]] = {"transform": transform_source}
