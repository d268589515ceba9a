"""``triptych starter``: the embedded default, piece by piece: its pictures and questions, its weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from triptych.starter.storyboard import Sizes

NOTE = "drawn.json"
"""Beside what was drawn: from what. Written last, so that a folder that has it has everything."""
PARTS = ("align", "tune", "held_in", "held_out")

GROUP = typer.Typer(no_args_is_help=True, help="The embedded default: draw its data, unpack its weights.")


@GROUP.command("draw")
def draw(
    folder: Annotated[Path, typer.Argument(help="Where to; made if it is not there.")],
    seed: Annotated[int, typer.Option(help="Another seed draws other pictures and splits the things anew.")] = 0,
    *,
    tune: Annotated[int | None, typer.Option(min=1, help="Conversations to tune on.")] = None,
    questions: Annotated[int | None, typer.Option(min=1, help="Questions of each of held_in and held_out.")] = None,
) -> None:
    """Draw Storyboard: pictures, and conversations about them as `messages` JSON Lines. What is there stays."""
    from triptych.core.files import write_atomically
    from triptych.core.log import say
    from triptych.starter.storyboard import Sizes

    given = {"tune": tune, "held_in": questions, "held_out": questions}
    sizes = Sizes(**{key: n for key, n in given.items() if n is not None})
    wanted, files = describe(seed=seed, sizes=sizes), [folder / f"{name}.jsonl" for name in PARTS]
    if _is_drawn(folder, files, wanted):
        say(f"{folder} is drawn already")
        counts = {path.stem: len(path.read_bytes().splitlines()) for path in files}
    else:
        counts = write_storyboard(folder, seed=seed, sizes=sizes)
        write_atomically(folder / NOTE, wanted)
    for name, count in counts.items():
        typer.echo(f"{folder / name}.jsonl: {count}")


@GROUP.command("weights")
def unpack(
    name: Annotated[str, typer.Argument(help="A part: efficientnet-lite0 or smollm2-135m-instruct.")],
    image_tokens: Annotated[
        int | None, typer.Option(help="For the vision tower alone: tokens an image costs: 1 (as without), 4 or 16.")
    ] = None,
) -> None:
    """Print the folder of an embedded part, unpacked into the cache the first time."""
    from triptych.starter.weights import folder

    typer.echo(folder(name, image_tokens=image_tokens))


def _is_drawn(folder: Path, files: Sequence[Path], wanted: str) -> bool:
    """Return whether all is there. Raises RunError: a file is, and was not drawn so."""
    from triptych.core.errors import RunError

    note = folder / NOTE
    if note.is_file() and note.read_text(encoding="utf-8") == wanted:
        return all(path.is_file() for path in files)
    if there := [path.name for path in (note, *files) if path.exists()]:
        raise RunError(
            f"{folder} holds {', '.join(there)}, not drawn with these settings by this version, or not to the end. Name"
            " another folder, or delete them."
        )
    return False


def describe(*, seed: int, sizes: Sizes) -> str:
    """Return the note of what is drawn so: equal notes, equal files."""
    from triptych.starter.storyboard import describe_storyboard

    return json.dumps(describe_storyboard(seed=seed, sizes=sizes), indent=1) + "\n"


def write_storyboard(folder: Path, *, seed: int, sizes: Sizes) -> dict[str, int]:
    """Draw all parts below ``folder``; return how many rows each JSON Lines file got.

    The files are written last, so that whoever finds ``held_out.jsonl`` finds everything.
    """
    from triptych.data.formats.messages import FORMAT
    from triptych.starter.storyboard import draw_storyboard

    assert FORMAT.write is not None
    drawn = draw_storyboard(folder / "pictures", seed=seed, sizes=sizes)
    return {name: FORMAT.write(examples, folder / f"{name}.jsonl") for name, examples in drawn.items()}
