"""Sources of a stage -> encoded conversations, and the ledger of every row that is not used.

Not the order of steps (``data.loader``). Used + refused = all rows, for each source; nothing is shortened, shrunk or
replaced. Everything is read and rendered before the first step, so that the plan of all steps is known from the start.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from triptych.core.errors import DataError
from triptych.core.files import read_json_lines, write_atomically
from triptych.core.log import progress, say
from triptych.core.records import Example, ImageRef, Json
from triptych.data.format import Refused, load_examples, refusal
from triptych.data.template import Encoded, render
from triptych.models.family import Model
from triptych.train.recipe import Stage

LEDGER = "ledger.jsonl"
TOO_LONG = "longer than pack_tokens"

T = TypeVar("T")


def prepare(stage: Stage, use: Callable[[Example], T | Refused], *, run: Path) -> list[T]:
    """Read and count all sources of a stage; write its part of the ledger; return what is used, in order.

    Args:
        stage: its sources, and what to do with a bad row.
        use: turns a good row into what the stage learns from, or refuses it.
        run: folder of the run, for ledger.jsonl.

    Raises:
        DataError: a source cannot be read; a bad or refused row under ``on_bad: raise``; no row is left.
    """
    used: list[T] = []
    ledger: list[dict[str, Json]] = []
    for source in stage.data:
        before = len(used)
        loaded = load_examples(source.source, on_bad=stage.on_bad)
        refused = list(loaded.refused)
        with progress(f"{stage.name}: reading", len(loaded.examples)) as advance:
            for example in loaded.examples:
                row = use(example)
                if not isinstance(row, Refused):
                    used.append(row)
                elif stage.on_bad == "raise":
                    raise DataError(row.message)
                else:
                    refused.append(row)
                advance(1)
        ledger += _records(stage.name, source.source, used=len(used) - before, refused=refused)
        if refused:
            reasons = ", ".join(f"{number} {reason}" for reason, number in count_reasons(refused).items())
            say(f"{stage.name}: {source.source}: {len(refused)} rows refused ({reasons}); see {run / LEDGER}")
    write_ledger(run / LEDGER, stage.name, ledger)
    if not used:
        raise DataError(f"stage {stage.name!r}: no row of its data can be used; the reasons are in {run / LEDGER}.")
    return used


def render_for(model: Model, *, pack_tokens: int) -> Callable[[Example], Encoded | Refused]:
    """Return the function that turns an example into tokens for a model, and refuses what a pack cannot hold."""

    def use(example: Example) -> Encoded | Refused:
        try:
            encoded = render(
                example,
                model.template,
                tokenizer=model.tokenizer,
                image_token_id=model.image_token_id,
                count_image_tokens=model.count_image_tokens,
            )
        except DataError as error:
            return refusal(example, "cannot be rendered", str(error))
        if len(encoded.ids) > pack_tokens:
            advice = (
                f"it has {len(encoded.ids)} tokens, pack_tokens is {pack_tokens}: raise pack_tokens, or shorten it."
            )
            return refusal(example, TOO_LONG, advice)
        if not any(encoded.trained[1:]):
            return refusal(example, "no assistant turn", "it has no reply to learn: give it an assistant turn.")
        return encoded

    return use


def digest_of(encoded: Iterable[Encoded]) -> str:
    """Return a sha256 of ids, masks and images in their places; images by file name, size and box."""
    digest = hashlib.sha256()
    for each in encoded:
        slots = [(slot.start, slot.stop, *image_key(slot.image)) for slot in each.slots]
        digest.update(repr((each.id, each.ids, each.trained, slots)).encode("utf-8"))
    return digest.hexdigest()


def image_key(image: ImageRef) -> tuple[object, ...]:
    """Return what tells an image from others wherever the data set lies: file name, length in bytes, size and box."""
    path = Path(image.source)
    return path.name, path.stat().st_size, image.size, image.box


def count_reasons(refused: list[Refused]) -> dict[str, int]:
    """Return how often each reason stands there, the most frequent first."""
    return dict(Counter(row.reason for row in refused).most_common())


def read_ledger(path: Path, stage: str) -> list[dict[str, Json]]:
    """Return a stage's records of the ledger."""
    return [record for record in read_json_lines(path) if record.get("stage") == stage]


def write_ledger(path: Path, stage: str, records: list[dict[str, Json]]) -> None:
    """Put a stage's records into the ledger in place of those it has there: a resumed run reads its data again."""
    others = [record for record in read_json_lines(path) if record.get("stage") != stage] if path.exists() else []
    lines = (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in [*others, *records])
    write_atomically(path, "".join(lines))


def _records(stage: str, source: str, *, used: int, refused: list[Refused]) -> Iterator[dict[str, Json]]:
    place: Mapping[str, Json] = {"stage": stage, "source": source}
    for row in refused:
        yield {**place, "where": row.where, "reason": row.reason, "message": row.message}
    yield {**place, "all": used + len(refused), "used": used, "refused": len(refused)}
