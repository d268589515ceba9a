"""Every reply of a run on disk, by what was asked: a file of lines for each teacher, and an index that is made of them.

Not the asking (``asking``), nor what may be spent (``spend``). The lines are the truth:

    {"key": K, "reply": WORDS, "tokens_in": N, "tokens_out": N, "usd": X, "seconds": S, "model": NAME,
     "learnt": [...], "cut": true}      "cut" only where it ran into its token limit
    {"sent": K, "tokens": N, "usd": X}      a request is about to be sent, and may cost so much
    {"back": K}                             it came back without costing anything
    {"paid": K, "tokens": N, "usd": X}      it cost so much, or may have, and there is no reply
    {"refused": K, "reason": WORDS}         the endpoint worked on it and gave none: it is not asked again

so that what a killed process had in flight is known too. ``index.sqlite`` says where each reply stands; where it is
missing, behind or damaged it is made anew. Invariants: a reply is on disk when `put` returns; memory does not grow with
the number of replies.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from triptych.core.errors import DataError
from triptych.core.records import Json
from triptych.generate.running.costs import Learnt, Reply, Totals
from triptych.generate.running.index import Index, open_index
from triptych.generate.running.lines import LineFile
from triptych.generate.written import line_of

REPLIES = "replies"
BATCHES = "batches"
"""Folder of what was asked through a batch API (``batches``)."""
INDEX = "index.sqlite"
PART = ".shard-"
"""Where a teacher's name ends in the name of a file that came from a part of the run."""
COMMIT_EVERY = 2000
"""Lines between two commits of the index."""
TABLES = (
    "CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY, number INTEGER, bytes INTEGER)",
    "CREATE TABLE IF NOT EXISTS replies (key BLOB PRIMARY KEY, file INTEGER, at INTEGER, size INTEGER) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS sent (key BLOB, teacher TEXT, tokens INTEGER, usd REAL)",
    "CREATE INDEX IF NOT EXISTS sent_key ON sent (key)",
    "CREATE TABLE IF NOT EXISTS totals (teacher TEXT PRIMARY KEY, replies INTEGER, tokens_in INTEGER,"
    " tokens_out INTEGER, usd REAL, seconds REAL, lost_tokens INTEGER, lost_usd REAL,"
    " added INTEGER, over_in INTEGER, over_out INTEGER)",
    "CREATE TABLE IF NOT EXISTS failed (key BLOB PRIMARY KEY, reason TEXT) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS refused (key BLOB PRIMARY KEY, reason TEXT) WITHOUT ROWID",
)


@dataclass(frozen=True, slots=True)
class NoReply:
    """Why a request has no reply."""

    reason: str
    again: bool
    """Whether the next start asks it again."""


class ReplyStore:
    """The replies of one run folder. Its state is on disk; one process at a time has it open, any thread may use it."""

    def __init__(self, folder: Path) -> None:
        """Open what is there.

        Args:
            folder: of the run; ``replies/`` is in it.

        Raises:
            DataError: a line in there is none of ours; the message names it.
        """
        self._folder = folder / REPLIES
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._files: dict[str, tuple[int, LineFile]] = {}
        self._uncommitted = 0
        try:
            self._index = self._open()
            self._catch_up()
        except sqlite3.DatabaseError:  # damaged, as by a machine that lost its power: the lines have it all
            for _, file in self._files.values():
                file.close()
            self._files.clear()
            for part in self._folder.glob(f"{INDEX}*"):
                part.unlink()
            self._index = self._open()
            self._catch_up()
        with self._lock:
            self._index.execute("DELETE FROM failed")

    def has(self, key: str) -> bool:
        """Tell whether a request has its reply."""
        with self._lock:
            found = self._index.execute("SELECT 1 FROM replies WHERE key = ?", (bytes.fromhex(key),)).fetchone()
        return found is not None

    def get(self, key: str) -> Reply | None:
        """Return the reply to a request, or None."""
        with self._lock:
            where = self._index.execute("SELECT file, at, size FROM replies WHERE key = ?", (bytes.fromhex(key),))
            if (found := where.fetchone()) is None:
                return None
            number, at, size = found
            file = next(file for known, file in self._files.values() if known == number)
            return _reply(json.loads(file.read(at, size)))

    def put(self, key: str, teacher: str, *, reply: Reply) -> None:
        """Keep a reply. A second one of the same key is counted, and never used."""
        record: dict[str, Json] = {"key": key, "reply": reply.text, "model": reply.model}
        counts: dict[str, Json] = {"tokens_in": reply.tokens_in, "tokens_out": reply.tokens_out}
        cost: dict[str, Json] = {"usd": reply.usd, "seconds": reply.seconds}
        learnt: dict[str, Json] = {"learnt": [*reply.learnt.numbers]}
        cut: dict[str, Json] = {"cut": True} if reply.cut else {}
        self._write(teacher, record | counts | cost | learnt | cut)

    def sent(self, key: str, teacher: str, *, tokens: int, usd: float) -> None:
        """Write down that a request is about to be sent, which may cost so much."""
        self._write(teacher, {"sent": key, "tokens": tokens, "usd": usd})

    def back(self, key: str, teacher: str) -> None:
        """Write down that it cost nothing."""
        self._write(teacher, {"back": key})

    def paid(self, key: str, teacher: str, *, tokens: int, usd: float) -> None:
        """Write down that it cost so much, or may have, and got no reply."""
        self._write(teacher, {"paid": key, "tokens": tokens, "usd": usd})

    def fail(self, key: str, reason: str) -> None:
        """Remember, until the store is closed, why a request got no reply."""
        with self._lock:
            self._index.execute("INSERT OR REPLACE INTO failed VALUES (?, ?)", (bytes.fromhex(key), reason))

    def refuse(self, key: str, teacher: str, *, reason: str) -> None:
        """Write down that a request was worked on and will get no reply, so that no later start pays for it again."""
        self._write(teacher, {"refused": key, "reason": reason})

    def failure(self, key: str) -> NoReply | None:
        """Return why a request got no reply since the store was opened, or was refused at any time; or None."""
        with self._lock:
            why = self._index.execute(
                "SELECT reason, 1 FROM failed WHERE key = ? UNION ALL SELECT reason, 0 FROM refused WHERE key = ?",
                (bytes.fromhex(key),) * 2,
            ).fetchone()
        return None if why is None else NoReply(str(why[0]), bool(why[1]))

    def totals(self) -> dict[str, Totals]:
        """Return what each teacher has taken; what was in flight when a process died may have cost, and is lost."""
        with self._lock:
            rows = self._index.execute("SELECT * FROM totals").fetchall()
        found: dict[str, Totals] = {}
        for name, replies, tokens_in, tokens_out, usd, seconds, lost_tokens, lost_usd, *learnt in rows:
            teacher = name.partition(PART)[0]
            counted = Totals(replies, tokens_in, tokens_out, usd, seconds, lost_tokens, lost_usd, Learnt(*learnt))
            found[teacher] = found.get(teacher, Totals()) + counted
        return found

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            try:
                if not self._index.failed:
                    self._commit()
            finally:
                self._index.close()
                for _, file in self._files.values():
                    file.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it. What then fails is no news where the block has failed: what the index lacks is made anew."""
        with suppress(OSError, sqlite3.DatabaseError) if error is not None else nullcontext():
            self.close()

    def _open(self) -> Index:
        index = open_index(self._folder / INDEX)
        index.execute("PRAGMA journal_mode = WAL")
        index.execute("PRAGMA synchronous = OFF")
        index.execute("PRAGMA cache_size = -65536")  # KiB
        for table in TABLES:
            index.execute(table)
        index.execute("BEGIN")
        return index

    def _catch_up(self) -> None:
        """Read what the index does not know yet; then requests that were in flight when a process died are lost."""
        for path in sorted(self._folder.glob("*.jsonl")):
            teacher = path.stem
            number, file, known = self._file(teacher)
            if known > file.end:
                raise sqlite3.DatabaseError("the index knows more than the file has")
            for at, line in _lines(file, known):
                self._apply(teacher, number, _record(line, path), at, len(line))
            self._mark(teacher)
        open_ones = self._index.execute("SELECT teacher, sum(tokens), sum(usd) FROM sent GROUP BY teacher").fetchall()
        for teacher, tokens, usd in open_ones:
            self._add(teacher, lost_tokens=tokens, lost_usd=usd)
            self._file(teacher)[1].add(line_of({"lost": True}))
            self._mark(teacher)
        self._index.execute("DELETE FROM sent")
        self._commit()

    def _file(self, teacher: str) -> tuple[int, LineFile, int]:
        """Return the number of a teacher's file in the index, the file, and how many bytes of it the index knows."""
        row = self._index.execute("SELECT number, bytes FROM files WHERE name = ?", (teacher,)).fetchone()
        if row is None:
            row = (self._index.execute("SELECT count(*) FROM files").fetchone()[0], 0)
            self._index.execute("INSERT INTO files VALUES (?, ?, 0)", (teacher, row[0]))
        if teacher not in self._files:
            self._files[teacher] = (row[0], LineFile(self._folder / f"{teacher}.jsonl"))
        return row[0], self._files[teacher][1], row[1]

    def _write(self, teacher: str, record: Mapping[str, Json]) -> None:
        line = line_of(record)
        with self._lock:
            if teacher not in self._files:
                self._file(teacher)
            number, file = self._files[teacher]
            at = file.add(line)
            self._apply(teacher, number, record, at, len(line))
            self._uncommitted += 1
            if self._uncommitted >= COMMIT_EVERY:
                self._commit()

    def _commit(self) -> None:
        for teacher in self._files:
            self._mark(teacher)
        self._index.execute("COMMIT")
        self._index.execute("BEGIN")
        self._uncommitted = 0

    def _mark(self, teacher: str) -> None:
        """Note that the index knows all of a file."""
        self._index.execute("UPDATE files SET bytes = ? WHERE name = ?", (self._files[teacher][1].end, teacher))

    def _apply(self, teacher: str, number: int, record: Mapping[str, Any], at: int, size: int) -> None:
        """Take one line into the index."""
        if "key" in record:
            key = bytes.fromhex(record["key"])
            self._index.execute("INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?)", (key, number, at, size))
            self._index.execute("DELETE FROM sent WHERE key = ?", (key,))
            reply = _reply(record)
            self._add(
                teacher,
                replies=1,
                tokens_in=reply.tokens_in,
                tokens_out=reply.tokens_out,
                usd=reply.usd,
                seconds=reply.seconds,
                learnt=reply.learnt,
            )
        elif "sent" in record:
            row = (bytes.fromhex(record["sent"]), teacher, record["tokens"], record["usd"])
            self._index.execute("INSERT INTO sent VALUES (?, ?, ?, ?)", row)
        elif "back" in record:
            self._index.execute("DELETE FROM sent WHERE key = ?", (bytes.fromhex(record["back"]),))
        elif "paid" in record:
            self._index.execute("DELETE FROM sent WHERE key = ?", (bytes.fromhex(record["paid"]),))
            self._add(teacher, lost_tokens=record["tokens"], lost_usd=record["usd"])
        elif "refused" in record:
            refused = (bytes.fromhex(record["refused"]), record["reason"])
            self._index.execute("INSERT OR REPLACE INTO refused VALUES (?, ?)", refused)
        elif "lost" in record:  # where the index is made anew, what a death left in flight is lost at the same place
            open_ones = self._index.execute("SELECT sum(tokens), sum(usd) FROM sent WHERE teacher = ?", (teacher,))
            tokens, usd = open_ones.fetchone()
            self._add(teacher, lost_tokens=tokens or 0, lost_usd=usd or 0.0)
            self._index.execute("DELETE FROM sent WHERE teacher = ?", (teacher,))
        else:
            raise KeyError("key")

    def _add(self, teacher: str, *, learnt: Learnt | None = None, **amounts: float) -> None:
        self._index.execute(
            "INSERT OR IGNORE INTO totals VALUES (?, 0, 0, 0, 0.0, 0.0, 0, 0.0, NULL, 0, 0)", (teacher,)
        )
        more = ", ".join(f"{name} = {name} + ?" for name in amounts)
        self._index.execute(f"UPDATE totals SET {more} WHERE teacher = ?", (*amounts.values(), teacher))
        if learnt is not None:
            found = self._index.execute("SELECT added, over_in, over_out FROM totals WHERE teacher = ?", (teacher,))
            known = Learnt(*found.fetchone()).and_of(learnt)
            row = "UPDATE totals SET added = ?, over_in = ?, over_out = ? WHERE teacher = ?"
            self._index.execute(row, (*known.numbers, teacher))


def _lines(file: LineFile, start: int) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file from a byte on, each with where it begins."""
    at, rest = start, b""
    while at + len(rest) < file.end:
        rest += file.read(at + len(rest), min(1 << 20, file.end - at - len(rest)))
        *whole, rest = rest.split(b"\n")
        for line in whole:
            yield at, line + b"\n"
            at += len(line) + 1


def _record(line: bytes, path: Path) -> dict[str, Any]:
    try:
        record = json.loads(line)
        if isinstance(record, dict) and record.keys() & {"key", "sent", "back", "paid", "lost", "refused"}:
            return record
    except ValueError:
        pass
    raise DataError(f"{path}: a line is no kept reply: {line[:60]!r}. Delete the line: what it held is asked again.")


def _reply(record: Mapping[str, Any]) -> Reply:
    return Reply(
        text=record["reply"],
        model=record["model"],
        tokens_in=record["tokens_in"],
        tokens_out=record["tokens_out"],
        usd=record["usd"],
        seconds=record["seconds"],
        learnt=Learnt(*record["learnt"]),
        cut=record.get("cut", False),
    )
