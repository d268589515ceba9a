"""``triptych data render``: what a template and a tokenizer make of conversations, token for token."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.groups.sources import AsJson, Source
from triptych.core.errors import DataError, ModelError
from triptych.core.log import counted, say

if TYPE_CHECKING:  # tokenizers are loaded when the command needs them
    from transformers import PreTrainedTokenizerBase

    from triptych.core.records import Example, ImageRef, Json
    from triptych.data.format import Refused
    from triptych.data.template import Encoded, Template


def render_source(
    source: Source,
    *,
    template: Annotated[str, typer.Option("--template", help="Name of a template, e.g. chatml.")],
    tokenizer: Annotated[Path, typer.Option("--tokenizer", help="Folder of a tokenizer, or of a model that has one.")],
    as_json: AsJson = False,
    limit: Annotated[int | None, typer.Option("--limit", min=0, help="Only the first so many rows.")] = None,
) -> None:
    """Show conversations as tokens: each image one token, what the loss sees in green. Opens no picture.

    With --json a line per conversation: its id, input_ids, trained as [start, stop) spans, and n_images.

    A tokenizer without an image token gets one as its last.
    """
    from triptych.data.format import read_source
    from triptych.data.template import find_template

    found, words = find_template(template), _open(tokenizer)
    rows = _Rows(islice(read_source(source), limit))
    rendered = rows.rendered(found, words)
    if as_json:
        for _, encoded in rendered:
            typer.echo(json.dumps(_record(encoded), ensure_ascii=False))
    else:
        from rich.console import Console

        from triptych.data.show import show_terminal

        for example, encoded in rendered:
            Console().print(show_terminal(example, encoded, tokenizer=words))
    if rows.refused:
        say(f"{source}: {counted(rows.refused, 'row')} refused")
    if rows.refused and not rows.used:
        raise DataError(f"{source}: no row of it can be rendered; the reasons are told above.")


class _Rows:
    """The rows of a source, rendered. State: how many were used and refused."""

    def __init__(self, rows: Iterator[Example | Refused]) -> None:
        self._rows = rows
        self.used = 0
        self.refused = 0

    def rendered(self, template: Template, tokenizer: PreTrainedTokenizerBase) -> Iterator[tuple[Example, Encoded]]:
        """Yield each row that can be rendered, with its tokens; say why another cannot."""
        from triptych.core.records import Example
        from triptych.data.template import RENDERED_AT_ONCE, Encoded, render_many
        from triptych.data.text.jinja import IMAGE_MARK

        while chunk := list(islice(self._rows, RENDERED_AT_ONCE)):
            mark = tokenizer.get_added_vocab()[IMAGE_MARK]
            made = render_many(chunk, template, tokenizer=tokenizer, image_token_id=mark, image_ids=partial(_one, mark))
            for row, encoded in zip(chunk, made, strict=True):
                if isinstance(row, Example) and isinstance(encoded, Encoded):
                    self.used += 1
                    yield row, encoded
                elif not isinstance(encoded, Encoded):
                    self.refused += 1
                    say(f"refused: {encoded.message}")


def _one(mark: int, _image: ImageRef) -> list[int]:
    """Return the ids of an image that costs one token, whatever its size."""
    return [mark]


def _open(folder: Path) -> PreTrainedTokenizerBase:
    """Return a folder's tokenizer; one without an image token gets it, special, as published code adds it."""
    from transformers import AddedToken

    from triptych.data.text.jinja import IMAGE_MARK
    from triptych.models.disk.tokenizer import open_tokenizer

    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder. Give one that holds a tokenizer.")
    try:
        tokenizer = open_tokenizer(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} holds no tokenizer that can be read ({str(error).splitlines()[0]}).") from None
    if IMAGE_MARK not in tokenizer.get_added_vocab():
        tokenizer.add_tokens([AddedToken(IMAGE_MARK, special=True, normalized=False)], special_tokens=True)
    return tokenizer


def _record(encoded: Encoded) -> dict[str, Json]:
    return {
        "id": encoded.id,
        "input_ids": list(encoded.ids),
        "trained": [list(span) for span in spans(encoded.trained)],
        "n_images": len(encoded.slots),
    }


def spans(trained: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Yield the runs of what is trained as [start, stop)."""
    start: int | None = None
    for place, learnt in enumerate([*trained, False]):
        if learnt and start is None:
            start = place
        elif not learnt and start is not None:
            yield start, place
            start = None


COMMANDS: dict[str, Callable[..., None]] = {"render": render_source}
