"""A result on disk, ``result.json`` and ``items.jsonl``, and what is said of replies that are missing or were cut.

Not what replies come to (``result``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from triptych.core.files import write_atomically
from triptych.core.log import say
from triptych.core.records import Json
from triptych.data.format import Refused
from triptych.evaluate.running.result import ITEMS, RESULT, Result, Scored

EARLIER = "result-earlier.json"
"""A result that was in the folder when an evaluation began there that has none of its own yet."""


def result_to_json(result: Result) -> dict[str, Json]:
    """Return the result as ``result.json`` holds it: the total's numbers on top, groups below."""
    record = asdict(result)
    total: dict[str, Json] = record.pop("total")
    return {**total, **record}


def write_result(
    folder: Path, scored: Sequence[Scored], *, refused: Sequence[Refused], result: Result, max_tokens: int
) -> None:
    """Write ``result.json`` and ``items.jsonl``; say how many questions have no score, and how many replies were cut.

    A result that was set aside is kept no longer.

    Args:
        folder: of the evaluation.
        scored: of the questions that were asked.
        refused: rows that are no questions.
        result: what they come to.
        max_tokens: most tokens of a reply; 0: not known.
    """
    items = chain(
        map(_item, scored),
        ({"key": "", "id": row.where, "score": None, "answered": False, "failed": row.message} for row in refused),
    )
    write_atomically(folder / ITEMS, "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items))
    write_atomically(folder / RESULT, json.dumps(result_to_json(result), indent=1, ensure_ascii=False) + "\n")
    (folder / EARLIER).unlink(missing_ok=True)
    for line in _troubles(scored, refused, result, max_tokens=max_tokens):
        say(f"{folder}: {line}")


def set_aside(folder: Path) -> bool:
    """Call a folder's result ``result-earlier.json``, so that nobody takes it for that of an evaluation without one.

    Returns:
        Whether there was a result.
    """
    try:
        (folder / RESULT).replace(folder / EARLIER)
    except FileNotFoundError:
        return False
    return True


def _troubles(
    scored: Sequence[Scored], refused: Sequence[Refused], result: Result, *, max_tokens: int
) -> Iterator[str]:
    unsaid = sum(bool(item.line.failed) for item in scored)
    if result.failed:
        unmarked = sum(bool(item.failed) for item in scored) - unsaid
        kinds = ((unsaid, "got no reply"), (unmarked, "no verdict of the judge"), (len(refused), "are no questions"))
        reasons = ", ".join(f"{count} {what}" for count, what in kinds if count)
        yield f"{result.failed} of {len(scored) + len(refused)} questions have no score: {reasons}; {ITEMS} says why."
    if result.cut:
        most = f"max_tokens={max_tokens}" if max_tokens else "the most tokens that were allowed"
        more = f", e.g. max_tokens={4 * max_tokens}" if max_tokens else ""
        yield f"{result.cut} of {len(scored) - unsaid} replies were cut at {most}: raise max_tokens{more}."


def _item(item: Scored) -> dict[str, Json]:
    record: dict[str, Json] = {
        "key": item.line.key,
        "id": item.question.id,
        "score": None if item.failed else item.score,
        "answered": item.answered,
    }
    if item.measures:
        record["measures"] = dict(item.measures)
    return {**record, "failed": item.failed} if item.failed else record
