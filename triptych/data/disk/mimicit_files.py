"""The three files of a MIMIC-IT subset, written: instructions, pictures as base64, and which instructions show which.

Not reading: ``formats/mimicit.py``. Each picture is written once, under an id made of its content. All three files
take their names when the last row is in, the instructions last; otherwise the old ones stay.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Json, Text, Turn, VideoRef
from triptych.data.disk.foreign_keys import FOREIGN_KEYS
from triptych.data.disk.marks import check_learnt, check_whole
from triptych.data.disk.media_keys import MEDIA_KEYS
from triptych.data.disk.rows import bad
from triptych.data.disk.writing import put_all, written
from triptych.data.media.locate import read_bytes

ENDING = "_instructions.json"
"""How the name of an instructions file ends."""
OWN = frozenset({"id", "instruction", "answer", "image_ids", "rel_ins_ids"}) | FOREIGN_KEYS
"""The layout's keys; all others are facts."""
_SHA_DIGITS = 16


def prefix_of(instructions: Path) -> str:
    """Return what the names of a subset's files begin with: XX of ``XX_instructions.json``."""
    return instructions.name.removesuffix(ENDING) if instructions.name.endswith(ENDING) else instructions.stem


def write_files(examples: Iterable[Example], path: Path) -> int:
    """Write Examples as the subset whose instructions file is ``path``; return their number.

    Raises:
        DataError: the file's name is not of this layout; or an example does not fit, and then all files are as before.
    """
    if not path.name.endswith(ENDING) or path.name == ENDING:
        raise DataError(f"{path}: name it XX{ENDING}. The pictures are then in XX.json beside it.")
    prefix = prefix_of(path)
    with ExitStack() as files:
        # Closed in the other order: the instructions take their name last.
        instructions, train, images = (
            _Object(files.enter_context(written(path.with_name(name))))
            for name in (path.name, f"{prefix}_train.json", f"{prefix}.json")
        )
        instructions.start(b'{"meta": {"version": "0.0.1"}, "data": ')
        train.start()
        images.start()
        subset = _Written(prefix, instructions, train, images)
        count = sum(1 for _ in put_all(examples, path, row_of=subset.add))
        for file in (images, train):
            file.end()
        instructions.end(b"}")
    return count


class _Object:
    """A JSON object that is written member by member. State: how many there are."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._count = 0

    def start(self, before: bytes = b"") -> None:
        """Begin the object."""
        self._file.write(before + b"{")

    def add(self, key: str, value: Json) -> None:
        """Add one member on its own line."""
        line = _text_of(key) + b": " + _text_of(value)
        self._file.write((b",\n" if self._count else b"\n") + line)
        self._count += 1

    def end(self, after: bytes = b"") -> None:
        """End the object."""
        self._file.write(b"\n}" + after + b"\n")


class _Written:
    """What the files hold so far. State: digests of the instructions, and ids of the pictures."""

    def __init__(self, prefix: str, instructions: _Object, train: _Object, images: _Object) -> None:
        self._prefix = prefix
        self._instructions = instructions
        self._train = train
        self._images = images
        self._seen: dict[str, bytes] = {}
        self._rows: set[str] = set()
        self._ids: dict[str, str] = {}
        self._there: set[str] = set()

    def add(self, example: Example) -> None:
        """Add a row with its demonstrations, whole or not at all. Raises RowError, ImageError."""
        self._check(example)
        images: dict[str, bytes] = {}
        entries = [(each.id, self._entry(each, images)) for each in (*example.demonstrations, example)]
        digests = self._digests(entries)
        for name, content in images.items():
            if name not in self._there:
                self._images.add(name, base64.b64encode(content).decode("ascii"))
                self._there.add(name)
        for name, entry in dict(entries).items():
            if name not in self._seen:
                self._instructions.add(name, {**entry, "rel_ins_ids": []})
        self._seen |= digests
        self._train.add(example.id, [shown.id for shown in example.demonstrations])
        self._rows.add(example.id)

    def _check(self, example: Example) -> None:
        if example.id in self._rows:
            raise bad("another row has its id. Give each row its own.")
        for shown in example.demonstrations:
            if shown.demonstrations:
                raise bad("a demonstration has demonstrations of its own, which this layout cannot say.")
            if shown.id == example.id:
                raise bad("a demonstration has the row's own id. Rename one.")

    def _digests(self, entries: list[tuple[str, dict[str, Json]]]) -> dict[str, bytes]:
        """Return a digest of each instruction. Raises RowError when two of one id differ."""
        digests: dict[str, bytes] = {}
        for name, entry in entries:
            digest = hashlib.sha256(_text_of({name: entry})).digest()[:_SHA_DIGITS]
            if self._seen.get(name, digest) != digest or digests.get(name, digest) != digest:
                raise bad(f"two instructions have the id {name!r} and differ. Rename one.")
            digests[name] = digest
        return digests

    def _entry(self, example: Example, pictures: dict[str, bytes]) -> dict[str, Json]:
        match example.turns:
            case (Turn("user", asked), Turn("assistant", said)):
                images = [part for part in asked if not isinstance(part, Text)]
                if not all(isinstance(part, Text) for part in said) or list(asked[: len(images)]) != images:
                    raise bad("this layout has images in front of the instruction only. Write messages instead.")
            case _:
                raise bad("this layout has one instruction and one answer a row. Write messages instead.")
        check_learnt(example)
        if example.labels:
            raise bad("this layout has no place for labels. Write messages instead.")
        if taken := sorted((OWN | MEDIA_KEYS | {"skills"}) & example.facts.keys()):
            raise bad(f"its fact {taken[0]!r} has the name of a key of this layout. Rename the fact.")
        skills: dict[str, Json] = {"skills": list(example.skills)} if example.skills else {}
        return {
            "instruction": "".join(part.text for part in asked if isinstance(part, Text)),
            "answer": "".join(part.text for part in said if isinstance(part, Text)),
            "image_ids": [self._image(part, pictures) for part in images],
            **skills,
            **example.facts,
        }

    def _image(self, image: ImageRef | VideoRef, pictures: dict[str, bytes]) -> str:
        if isinstance(image, VideoRef):
            raise bad(f"this layout cannot hold the video {image.source}. Cut it into frames first.")
        check_whole(image)
        name = self._ids.get(image.source)
        if name is None or not (name in self._there or name in pictures):
            content = read_bytes(image.source)
            name = f"{self._prefix}_IMG_{hashlib.sha256(content).hexdigest()[:_SHA_DIGITS]}"
            pictures[name] = content
            self._ids[image.source] = name
        return name


def _text_of(value: Json) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (TypeError, ValueError) as error:
        if isinstance(error, UnicodeEncodeError):
            raise
        raise bad(f"a fact of it is no JSON ({error}). Mend it or leave it out.") from None
