"""``asked.json``: what a folder's questions are, and who is asked in which way.

Not the asking (``collect``) nor the replies. It is what parts of an evaluation are held against each other by
(``merge``), and what a folder is scored by without the benchmark's files (``saved/rescore.py``).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from triptych.core.errors import DataError, NotFoundError
from triptych.core.files import write_atomically
from triptych.core.records import Example, Json, text_of
from triptych.data.disk.rows import keyed, listed, words
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, fact

ASKED = "asked.json"
LOCK = ".lock"
"""Held by the one process that works in the folder."""
_RIGHT = ("answers", "options", "right")
"""Facts that say what is right, beside the reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a folder's ``asked.json`` says."""

    benchmark: str
    """Its name; empty: a program of one's own asked, and alone knows."""
    responder: str
    fingerprint: str
    max_tokens: int
    """Most tokens of a reply; 0: an older version did not say."""
    blind: bool
    judged: bool
    """Whether a judge marks the replies."""
    shard: str
    """``k/n``; empty: all questions."""
    references: str
    """Tells what was taken for right, over all questions: 16 hexadecimal digits."""
    groups: Mapping[str, Mapping[str, int]]
    """Of the whole benchmark, asked or not: a name of ``Benchmark.together`` -> a group -> its questions."""
    distinct: int
    """Different prompts among the questions: equal ones are asked once."""
    keys: Mapping[str, str]
    """Of all questions, also those of other parts, in the benchmark's order: id -> key."""
    refused: tuple[Refused, ...]
    """Rows that are no questions."""


def write_asked(folder: Path, what: Asked) -> None:
    """Write ``asked.json``."""
    refused: list[Json] = [{"where": row.where, "reason": row.reason, "message": row.message} for row in what.refused]
    groups: dict[str, Json] = {name: dict(sizes) for name, sizes in what.groups.items()}
    record: dict[str, Json] = {
        "benchmark": what.benchmark,
        "responder": what.responder,
        "fingerprint": what.fingerprint,
        "max_tokens": what.max_tokens,
        "blind": what.blind,
        "judged": what.judged,
        "shard": what.shard,
        "references": what.references,
        "groups": groups,
        "questions": len(what.keys),
        "distinct": what.distinct,
        "refused": refused,
        "keys": dict(what.keys),
    }
    write_atomically(folder / ASKED, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read_asked(folder: Path) -> Asked:
    """Return what ``asked.json`` says.

    Raises:
        NotFoundError: it is not there.
        DataError: it is none of ours.
    """
    path = folder / ASKED
    try:
        record = keyed(json.loads(path.read_text(encoding="utf-8")), ASKED)
        rows = [keyed(row, "refused") for row in listed(record["refused"], "refused")]
        return Asked(
            benchmark=words(record["benchmark"], "benchmark"),
            responder=words(record["responder"], "responder"),
            fingerprint=words(record["fingerprint"], "fingerprint"),
            max_tokens=_count(record.get("max_tokens", 0)),
            blind=record["blind"] is True,
            judged=record["judged"] is True,
            shard=words(record["shard"], "shard"),
            references=words(record.get("references", ""), "references"),
            groups={
                name: {group: _count(size) for group, size in keyed(sizes, "a group").items()}
                for name, sizes in keyed(record.get("groups", {}), "groups").items()
            },
            distinct=_count(record.get("distinct", 0)),
            keys={name: words(key, "a key") for name, key in keyed(record["keys"], "keys").items()},
            refused=tuple(
                Refused(words(row["where"], "where"), words(row["reason"], "reason"), words(row["message"], "message"))
                for row in rows
            ),
        )
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file; was there ever an evaluation in {folder}?") from None
    except (ValueError, KeyError) as error:
        raise DataError(f"{path} is no record of what was asked: {error} Run the evaluation again.") from None


def groups_of(benchmark: Benchmark, questions: Iterable[Example]) -> dict[str, dict[str, int]]:
    """Return how many questions each group has that is answered together: what ``Asked.groups`` says."""
    if not benchmark.together:
        return {}
    shown = list(questions)
    sizes = {name: Counter(fact(question, key) for question in shown) for name, key in benchmark.together.items()}
    return {name: {group: size for group, size in found.items() if group} for name, found in sizes.items()}


def references_of(questions: Iterable[Example]) -> str:
    """Return what tells the references, and the facts that say what is right: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for question in questions:
        right: list[Json] = [question.id, text_of(question.turns[-1]), [question.facts.get(name) for name in _RIGHT]]
        digest.update(json.dumps(right, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()[:16]


def _count(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{value!r} is no number of questions or tokens.")
    return value
