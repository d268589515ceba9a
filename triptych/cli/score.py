"""``triptych score``: numbers for videos and pictures from a model's score head; beside labels, how far they agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.groups.sources import json_text
from triptych.core.errors import ConfigError, DataError
from triptych.core.log import say

if TYPE_CHECKING:  # networks are loaded when a command needs them
    from triptych.core.records import Example, Json
    from triptych.data.plan.scoring import Scoring
    from triptych.evaluate.saved.agreement import Agreement
    from triptych.infer.scores import Scored, Scorer


def run(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model with a score head: its folder, or hub id.")],
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Videos, folders of frames, pictures; or data: FORMAT:PATH."),
    ],
    *,
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="TEXT", help="Ask this about a file, before its pictures.")
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="TEXT", help="What a video was made from; stands in the question.")
    ] = None,
    frames: Annotated[int, typer.Option("--frames", min=1, help="Frames of a video, evenly spaced.")] = 16,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the JSON here as well.")] = None,
) -> None:
    """Score files, or the rows of data; where rows have labels, tell how far the scores agree with them.

    A head knows the words it was tuned on best: rows of data bring theirs, for files give them with --prompt.
    VideoScore is asked as its own example asks; give it --text.
    """
    from triptych.models.disk.locate import on_disk

    if prompt is not None and text is not None:
        raise ConfigError("--prompt is all that is asked: write what --text says into it, and leave --text out.")
    on_disk(model)  # First: an error in a name is told before torch is loaded.

    from triptych.core.files import write_atomically
    from triptych.evaluate.saved.agreement import agreements
    from triptych.infer.scores import Scorer
    from triptych.models.memory.placement import open_to_answer
    from triptych.models.vision.features import cached_features

    say(f"opening {model}")
    opened = open_to_answer(model)
    scorer = Scorer(opened, features=cached_features(opened))
    scoring = scorer.head.scoring
    asked = _usable(files, scoring, prompt=prompt, text=text, frames=frames)
    found = _scored(scorer, asked)
    scores = {name: each.scores for name, each in found.items()}
    agreed = agreements([asked[name] for name in found], scores, targets=scoring.targets, classes=scoring.loss == "ce")
    output = json_text(_as_json(model, scoring, asked, found, agreed))
    if out is not None:
        write_atomically(out, output + "\n")
    if as_json:
        typer.echo(output)
        return
    for line in (*_table(found, scoring), *_agreement_table(agreed)):
        typer.echo(line)


def _usable(
    files: Sequence[str], scoring: Scoring, *, prompt: str | None, text: str | None, frames: int
) -> dict[str, Example]:
    """Return what is asked, by id; say what cannot be."""
    from triptych.core.records import Example
    from triptych.infer.score_questions import asked_as_videoscore, question_words, questions_about

    some_file = any(Path(each).expanduser().exists() for each in files)
    if some_file and prompt is None and text is None and asked_as_videoscore(scoring):
        say("asked without --text: how far a file agrees with its text is scored for an empty one")
    asked: dict[str, Example] = {}
    for row in questions_about(files, prompt or question_words(scoring, text=text), scoring=scoring, frames=frames):
        if not isinstance(row, Example):
            say(f"refused: {row.message}")
        elif row.id in asked:
            raise DataError(f"{row.origin}: the id {row.id!r} is there twice. Give every row its own.")
        else:
            asked[row.id] = row
    return asked


def _scored(scorer: Scorer, asked: Mapping[str, Example]) -> dict[str, Scored]:
    """Return what could be scored, by id, in the order it was asked; say what could not be."""
    from triptych.core.log import progress
    from triptych.infer.scores import Scored

    found: dict[str, Scored] = {}
    with progress("scoring", len(asked)) as advance:
        for each in scorer.score(list(asked.values())):
            if isinstance(each, Scored):
                found[each.id] = each
            else:
                say(f"refused: {each.reason}")
            advance(1)
    if not found:
        raise DataError("nothing could be scored; the reasons are told above.")
    return {name: found[name] for name in asked if name in found}


def _as_json(
    model: str,
    scoring: Scoring,
    asked: Mapping[str, Example],
    found: Mapping[str, Scored],
    agreed: Sequence[Agreement],
) -> dict[str, Json]:
    rows: list[Json] = []
    for name, each in found.items():
        row: dict[str, Json] = {"id": name, "scores": dict(zip(scoring.targets, each.scores, strict=True))}
        if each.shares:
            row["shares"] = {target: list(shares) for target, shares in zip(scoring.targets, each.shares, strict=True)}
        if asked[name].labels:
            row["labels"] = dict(asked[name].labels)
        rows.append(row)
    return {
        "model": model,
        "targets": list(scoring.targets),
        "scores": rows,
        "agreement": [each.as_json() for each in agreed],
    }


def _table(found: Mapping[str, Scored], scoring: Scoring) -> Iterator[str]:
    width = max(map(len, found))
    yield "  ".join((" " * width, *scoring.targets))
    for name, each in found.items():
        cells = (f"{score:>{len(target)}.3f}" for target, score in zip(scoring.targets, each.scores, strict=True))
        yield "  ".join((f"{name:<{width}}", *cells))


def _agreement_table(agreed: Sequence[Agreement]) -> Iterator[str]:
    if not agreed:
        return
    width = max(len(each.target) for each in agreed)
    right = agreed[0].right is not None
    yield ""
    yield f"{'':<{width}}  Spearman  95% interval      squared error  of the mean      n" + ("  right" if right else "")
    for each in agreed:
        low, high = each.interval
        ranked = f"{each.rho or 0:>8.3f}  {low:>6.3f} to {high:>6.3f}"
        if each.rho is None:
            ranked = f"{'none: all are the same':<26}"
        line = f"{each.target:<{width}}  {ranked}  {each.squared_error:>13.3f}"
        yield f"{line}  {each.mean_error:>11.3f}  {each.n:>5}" + (f"  {each.right:.3f}" if right else "")
