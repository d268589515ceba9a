"""``triptych starter``: the embedded default, piece by piece: its pictures and questions, its weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from triptych.starter.storyboard import Sizes

GROUP = typer.Typer(no_args_is_help=True, help="The embedded default: draw its data, unpack its weights.")


@GROUP.command("draw")
def draw(
    folder: Annotated[Path, typer.Argument(help="Where to; made if it is not there.")],
    seed: Annotated[int, typer.Option(help="Another seed draws other pictures and splits the things anew.")] = 0,
    tune: Annotated[int | None, typer.Option(min=1, help="Conversations to tune on.")] = None,
    questions: Annotated[int | None, typer.Option(min=1, help="Questions of each of held_in and held_out.")] = None,
) -> None:
    """Draw Storyboard: pictures, and conversations about them as `messages` JSON Lines."""
    from triptych.starter.storyboard import Sizes

    given = {"tune": tune, "held_in": questions, "held_out": questions}
    counts = write_storyboard(folder, seed=seed, sizes=Sizes(**{key: n for key, n in given.items() if n is not None}))
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


def write_storyboard(folder: Path, *, seed: int, sizes: Sizes) -> dict[str, int]:
    """Draw all parts below ``folder``; return how many rows each JSON Lines file got.

    The files are written last, so that whoever finds ``held_out.jsonl`` finds everything.
    """
    from triptych.data.formats.messages import FORMAT
    from triptych.starter.storyboard import draw_storyboard

    assert FORMAT.write is not None
    drawn = draw_storyboard(folder / "pictures", seed=seed, sizes=sizes)
    return {name: FORMAT.write(examples, folder / f"{name}.jsonl") for name, examples in drawn.items()}
