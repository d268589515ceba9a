"""People's votes on two replies, side by side: kept as ``triptych arena --votes`` reads them.

Not the rating. A line has ``id``, ``a``, ``b`` and ``winner``; beside the file, the replies of each model are in
``NAME.jsonl``, lines with ``id`` and ``reply``, which an arena takes as that model's answers.
"""

from __future__ import annotations

import os
import re
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from triptych.core.errors import ConfigError
from triptych.core.files import append_json_line
from triptych.core.records import Json
from triptych.infer.responder import writable
from triptych.serve.api.errors import ApiError
from triptych.serve.api.requests import Body

MOST_LETTERS = 200_000


class Replies(Body):
    """What the two said."""

    a: str = Field(max_length=MOST_LETTERS)
    b: str = Field(max_length=MOST_LETTERS)


class VoteRequest(Body):
    """Which of two replies to one question is better."""

    a: str
    b: str
    winner: Literal["a", "b", "tie"]
    both_bad: bool = False
    """Of a tie: neither is any good. Kept, though an arena reads a tie."""
    id: str | None = Field(default=None, min_length=1, max_length=200)
    """Of the question; None: one of its own."""
    replies: Replies | None = None


class Votes:
    """The file of votes. One thread writes at a time."""

    def __init__(self, path: Path, *, names: Sequence[str], most_bytes: int) -> None:
        """Take where they go.

        Args:
            path: of the file; it is made with the first vote.
            names: of the models that are served.
            most_bytes: of each file.

        Raises:
            ConfigError: two models would have one file.
        """
        files = [path.stem, *(contestant(name) for name in names)]
        if len(set(files)) < len(files):
            raise ConfigError(f"{path}: two of {', '.join(files)} are one file. Give votes=FILE another name.")
        self._path = path
        self._names = frozenset(names)
        self._most = most_bytes
        self._lock = threading.Lock()

    def keep(self, vote: VoteRequest) -> dict[str, Json]:
        """Write a vote, and return it as it was written.

        Raises:
            ApiError: one of the two is not served, both are the same, or the files are full.
        """
        for param, name in (("a", vote.a), ("b", vote.b)):
            if name not in self._names:
                raise ApiError(400, f"{param}: {name[:100]!r} is not served here.", param=param, code="model_not_found")
        if vote.a == vote.b:
            raise ApiError(400, "a and b are the same model.", param="b")
        identity = writable(vote.id) if vote.id else uuid.uuid4().hex
        record: dict[str, Json] = {
            "id": identity,
            "a": contestant(vote.a),
            "b": contestant(vote.b),
            "winner": vote.winner,
        }
        if vote.both_bad:
            record["both_bad"] = True
        files: list[tuple[Path, dict[str, Json]]] = []
        if vote.replies is not None:
            for name, reply in ((vote.a, vote.replies.a), (vote.b, vote.replies.b)):
                path = self._path.with_name(f"{contestant(name)}.jsonl")
                files.append((path, {"id": identity, "reply": writable(reply)}))
        files.append((self._path, record))  # last: a vote whose replies were not kept is none
        with self._lock:
            if any(path.exists() and path.stat().st_size >= self._most for path, _ in files):
                raise ApiError(507, f"{self._path.name} is full. Move it away, or raise votes_bytes.", code="full")
            _append_all(files)
        return record


def _append_all(files: Sequence[tuple[Path, dict[str, Json]]]) -> None:
    """Add a line to each file, or to none where one cannot be written. Raises OSError."""
    sizes = {path: path.stat().st_size if path.exists() else 0 for path, _ in files}
    try:
        for path, line in files:
            append_json_line(path, line)
    except OSError:
        for path, size in sizes.items():
            if path.exists():
                os.truncate(path, min(size, path.stat().st_size))
        raise


def contestant(name: str) -> str:
    """Return a model's name as one that a file can have, which is how an arena knows it."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "model"
