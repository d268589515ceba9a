"""Replies that were given before, in any run on this machine: known by prompt, pixels, model and settings.

Not a run's own record (``evaluate/reading/answers.py``), which also knows what a question is called. Here its name does
not matter, nor where its images are: only words, the images' bytes in their places, who answers, and the most
tokens.
Failures are not kept. A folder for each responder, in it a file for each process that ever wrote: nobody waits for
anybody, a killed process loses the line it was at, and folders of several machines can be copied together.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from dataclasses import replace
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.files import append_json_line, read_json_lines
from triptych.core.records import Answer, Example, ImageRef, Json
from triptych.data.formats import messages
from triptych.data.media.locate import ImageError, digest_of
from triptych.data.media.video import frame_files


class Digests:
    """What images and videos hold, by their source. Its state is what it has read."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, source: str) -> str:
        """Return what tells the content, of a folder of frames that of all frames; of what cannot be read, that."""
        if source not in self._known:
            try:
                self._known[source] = _digest(source)
            except (ImageError, OSError):
                self._known[source] = f"missing {source}"
        return self._known[source]


def media_of(question: Example, digests: Digests) -> tuple[dict[str, Json], list[Json]]:
    """Return the question as a row of ``messages`` without its media, and what tells the media, in their order."""
    row, images, videos = messages.row_of(question)
    shown = [_told(image, digests) for image in images]
    names = list(dict.fromkeys(image.video for image in images if image.video))
    for image, told in zip(images, shown, strict=True):
        told += [{"video": names.index(image.video)}] if image.video else []
    films: list[Json] = [digests.of(video.source) for video in videos]
    return row, [[*shown], films] if films else [[*shown]]


def _told(image: ImageRef, digests: Digests) -> list[Json]:
    return [digests.of(image.source), list(image.box or ()), *((list(image.resize),) if image.resize else ())]


def prompt_key(question: Example, *, fingerprint: str, max_tokens: int, digests: Digests) -> str:
    """Return what the reply to a question depends on, as 32 hexadecimal digits: prompts of one key are equal.

    Args:
        question: as it is asked, without a reference.
        fingerprint: of who answers, with the settings that change replies.
        max_tokens: most tokens of the reply.
        digests: of images, to read each only once.
    """
    row, media = media_of(question, digests)
    shown = [each["messages"] for each in _rows(row.get("demonstrations"))]
    asked: list[Json] = [row["messages"], [*shown], media, fingerprint, max_tokens]
    return hashlib.sha256(json.dumps(asked, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]


class AnswerCache:
    """The replies of one responder. Its state is what its folder held when it was opened, and what came since."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        """Read what is there.

        Args:
            folder: of all responders, in the cache folder.
            fingerprint: of the responder.

        Raises:
            DataError: a line in there is none of ours; the message names it.
        """
        self._folder = folder / hashlib.sha256(fingerprint.encode()).hexdigest()[:16]
        self._own = self._folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
        self._known: dict[str, Answer] = {}
        for path in sorted(self._folder.glob("*.jsonl")):
            for number, record in enumerate(read_json_lines(path), start=1):
                self._known[str(record.get("key"))] = _answer(record, f"{path}: line {number}")

    def get(self, key: str, *, name: str) -> Answer | None:
        """Return the reply to the prompt of a `prompt_key`, as the answer to the question of this id; None: none."""
        found = self._known.get(key)
        return None if found is None else replace(found, id=name)

    def put(self, key: str, answer: Answer) -> None:
        """Keep a reply."""
        if key not in self._known:
            self._known[key] = answer
            record: dict[str, Json] = {"key": key, "reply": answer.text, **({"cut": True} if answer.cut else {})}
            append_json_line(self._own, record | {"tokens_in": answer.tokens_in, "tokens_out": answer.tokens_out})


def _digest(source: str) -> str:
    if Path(source).is_dir():
        frames = "".join(digest_of(str(path)) for path in frame_files(Path(source)))
        return f"frames:{hashlib.sha256(frames.encode()).hexdigest()}"
    return digest_of(source)


def _answer(record: dict[str, Json], where: str) -> Answer:
    key, text, counts = record.get("key"), record.get("reply"), [record.get("tokens_in"), record.get("tokens_out")]
    if not isinstance(key, str) or not isinstance(text, str) or not all(isinstance(count, int) for count in counts):
        raise DataError(f"{where} is no kept reply. Delete the file: its replies are asked for again.")
    tokens_in, tokens_out = (int(str(count)) for count in counts)
    return Answer("", text, tokens_in=tokens_in, tokens_out=tokens_out, cut=record.get("cut") is True)


def _rows(demonstrations: Json) -> list[dict[str, Json]]:
    return [each for each in demonstrations if isinstance(each, dict)] if isinstance(demonstrations, list) else []
