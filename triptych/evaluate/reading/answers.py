"""``answers.jsonl``: what was asked and what was said, one line a question, in the order of saying.

Not what a reply is worth: ``run.py`` scores it, again on every start. A line holds the whole question with its
reference, so that it can be scored again, and shown, without the benchmark's files (but for the pictures). The key
says what the reply depends on; a line with the same key is never asked for again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from triptych.core.errors import DataError
from triptych.core.files import read_json_lines
from triptych.core.records import Example, ImageRef, Json, VideoRef
from triptych.data.disk.rows import keyed, listed, words
from triptych.data.formats import messages
from triptych.infer.answer_cache import Digests, media_of

ANSWERS = "answers.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One question that was asked, and its reply or the reason why there is none."""

    key: str
    question: Example
    """As it was asked (blind: without its images), with the reference as last turn."""
    responder: str
    """Who was asked."""
    reply: str = ""
    failed: str = ""
    """Why there is no reply; empty when there is one. A failed question is asked again on the next start."""
    tokens_in: int = 0
    tokens_out: int = 0
    cut: bool = False
    """Whether the reply ended at the most tokens; lines of an older version do not say so, and count as whole."""


class Keys:
    """Makes keys. Its state is the digests of picture files that it has read."""

    def __init__(self, responder: str, fingerprint: str, max_tokens: int, *, digests: Digests | None = None) -> None:
        self._asker: list[Json] = [responder, fingerprint, max_tokens]
        self._digests = digests or Digests()

    def of(self, question: Example) -> str:
        """Return the key of a question as it is asked: id, words, the bytes of its pictures, who answers and how."""
        row, media = media_of(question, self._digests)
        row.pop("skills", None)
        row.pop("facts", None)  # they are not asked
        shown = json.dumps([row, *media, *self._asker], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(shown.encode()).hexdigest()[:32]


def line_to_json(line: Line) -> dict[str, Json]:
    """Return the line as it is written; the question is a row of the format ``messages``, its images by their path."""
    record: dict[str, Json] = {"key": line.key, "id": line.question.id, "responder": line.responder}
    if line.failed:
        record["failed"] = line.failed
    else:
        record |= {"reply": line.reply, "tokens_in": line.tokens_in, "tokens_out": line.tokens_out}
        record |= {"cut": True} if line.cut else {}
    row, images, videos = messages.row_of(line.question)
    record |= {"question": row, "images": [_image_to_json(image) for image in images]}
    return {**record, "videos": [video.source for video in videos]} if videos else record


def read_lines(path: Path) -> dict[str, Line]:
    """Return the lines of an ``answers.jsonl`` by key, the last where a key repeats; none where there is no file.

    Raises:
        DataError: a line is not one of ours; the message names it.
    """
    lines: dict[str, Line] = {}
    if not path.exists():
        return lines
    for number, record in enumerate(read_json_lines(path), start=1):
        origin = f"{path}: line {number}"
        try:
            line = _line(record, origin)
        except (KeyError, DataError) as error:
            raise DataError(f"{origin} is no answer: {error} Mend the line, or delete it to ask again.") from None
        lines[line.key] = line
    return lines


def _line(record: dict[str, Json], origin: str) -> Line:
    question = keyed(record["question"], "question")
    media: dict[str, Json] = {"images": listed(record["images"], "images"), "videos": record.get("videos")}
    return Line(
        key=words(record["key"], "key"),
        question=messages.example_of({**question, **media}, _Named(), origin=origin),
        responder=words(record["responder"], "responder"),
        reply=words(record.get("reply", ""), "reply"),
        failed=words(record.get("failed", ""), "failed"),
        tokens_in=_count(record.get("tokens_in", 0)),
        tokens_out=_count(record.get("tokens_out", 0)),
        cut=record.get("cut") is True,
    )


def _image_to_json(image: ImageRef) -> dict[str, Json]:
    return {
        "path": image.source,
        **({"box": list(image.box)} if image.box else {}),
        **({"resize": list(image.resize)} if image.resize else {}),
        **({"video": image.video} if image.video else {}),
    }


class _Named:
    """Media as a line names them, be they there or not: it is all that ``messages`` asks of a finder."""

    def image(self, entry: object) -> ImageRef:
        """Return the image at a path, or in an object with one."""
        return ImageRef(words(entry.get("path") if isinstance(entry, dict) else cast("Json", entry), "an image's path"))

    def video(self, entry: object) -> VideoRef:
        """Return the video at a path."""
        return VideoRef(words(cast("Json", entry), "a video's path"))


def _count(value: Json) -> int:
    if not isinstance(value, int):
        raise DataError(f"{value!r} is no number of tokens.")
    return value
