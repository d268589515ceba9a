"""JSON as language models write it: in a code fence, with commas too many or too few, torn off at the end.

Not a checker: strict JSON goes through ``json``. Repairs only what has one reading: commas, other quotation marks, line
ends inside a text, Python's words for true, false and null. Invariant: what was torn is marked, never completed in
silence: a text without its end is a `TornText`, an object without its end a `TornObject`. Half a letter, which an
escape can say and no file can hold, is replaced; two halves are a letter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from triptych.core.records import Json
from triptych.infer.responder import writable

_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")
_WORD = re.compile(r"[A-Za-z_]\w*")
_WORDS: dict[str, Json] = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_CLOSING = {'"': '"', "'": "'", "“": "”", "‘": "’", "„": "“"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_BEHIND = re.compile(r"\s*(?:[,:}\]]|$)")
"""What may stand behind a text that has ended."""
_DEEPEST = 60
_LONGEST_NUMBER = 300
"""Signs; longer ones are read as text."""


class TornText(str):
    """A text whose end is missing."""

    __slots__ = ()


class TornObject(dict[str, Any]):
    """An object whose end is missing, or which cannot be read to its end."""

    __slots__ = ()


def values_in(text: str) -> Iterator[Json]:
    """Yield the objects and lists that stand in a text, in order; other words between them are skipped."""
    at = 0
    while found := re.compile(r"[{\[]").search(text, at):
        at = found.start()
        try:
            value, end = _STRICT.raw_decode(text, at)
            whole, at = _writable(value), end
        except (ValueError, RecursionError):
            pass  # Not strict JSON: read it by the rules of this file.
        else:
            yield whole
            continue
        reader = _Reader(text, at)
        try:
            yield _writable(reader.value(0))
        except _NoValueError:
            if broken := dict(reader.broken):  # where its last text really ends nobody knows
                *_, (key, said) = broken.items()
                torn = {**broken, key: TornText(said) if isinstance(said, str) else said}
                yield _writable(TornObject(torn))
            # What is nested too deep is read from where it was given up, not once again from each level above.
            at = max(reader.at, at + 1) if reader.is_deep else at + 1
        else:
            at = max(reader.at, at + 1)


def _writable(value: Json) -> Json:
    """Return the value with its words as a file can hold them; what is torn stays torn."""
    if isinstance(value, dict):
        return type(value)((writable(key), _writable(said)) for key, said in value.items())
    if isinstance(value, list):
        return [_writable(said) for said in value]
    return type(value)(writable(value)) if isinstance(value, str) else value


def _once(pairs: list[tuple[str, Any]]) -> Json:
    """Return an object, or where its keys come again a list of objects: none of what was said is lost."""
    made: list[Json] = [{}]
    for key, value in pairs:
        last = made[-1]
        assert isinstance(last, dict), "it is made of objects"
        if key in last:
            made.append({key: value})
        else:
            last[key] = value
    return made if len(made) > 1 else made[0]


def _torn(pairs: list[tuple[str, Any]]) -> Json:
    """Return an object whose end is missing; where its keys come again, the last of a list."""
    made = _once(pairs)
    *whole, last = made if isinstance(made, list) else [made]
    assert isinstance(last, dict), "it is made of objects"
    return [*whole, TornObject(last)] if whole else TornObject(last)


_STRICT = json.JSONDecoder(strict=False, object_pairs_hook=_once)


class _NoValueError(ValueError):
    """What stands there is no JSON, however it is read."""


class _Reader:
    """Reads one value. State: where it is."""

    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self.at = at
        self.broken: list[tuple[str, Any]] = []
        """What was read of the outermost object, where it begins as one and is none."""
        self.is_deep = False
        """It was given up since too much is nested in it."""

    def value(self, depth: int) -> Json:
        """Read the value that begins here."""
        if depth > _DEEPEST:
            self.is_deep = True
            raise _NoValueError
        first = self._peek()
        if first == "{":
            return self._object(depth)
        if first == "[":
            return self._list(depth)
        if first in _CLOSING and first:
            return self._quoted()
        if number := _NUMBER.match(self._text, self.at):
            self.at = number.end()
            if len(number[0]) > _LONGEST_NUMBER:
                return self._ended(number[0], number[0])
            return self._ended(float(number[0]) if number[1] or number[2] else int(number[0]), number[0])
        word = _WORD.match(self._text, self.at)
        if word and word[0] in _WORDS:
            self.at = word.end()
            return _WORDS[word[0]]
        raise _NoValueError

    def _ended(self, value: Json, said: str) -> Json:
        # At the very end nobody knows whether more digits were to come.
        return TornText(said) if self.at == len(self._text) else value

    def _object(self, depth: int) -> Json:
        self.at += 1
        made: list[tuple[str, Any]] = []
        if depth == 0:
            self.broken = made
        while True:
            first = self._peek(skip=",")
            if first == "}":
                self.at += 1
                return _once(made)
            if not first:
                return _torn(made)
            key = self._key()
            if isinstance(key, TornText) or self._peek() != ":":
                if self.at >= len(self._text):
                    return _torn(made)
                raise _NoValueError
            self.at += 1
            if not self._peek():
                return _torn(made)
            made.append((key, self.value(depth + 1)))

    def _key(self) -> str:
        if self._peek() in _CLOSING:
            return self._quoted()
        if word := _WORD.match(self._text, self.at):
            self.at = word.end()
            return TornText(word[0]) if self.at == len(self._text) else word[0]
        raise _NoValueError

    def _list(self, depth: int) -> Json:
        self.at += 1
        made: list[Json] = []
        while True:
            first = self._peek(skip=",")
            if first == "]":
                self.at += 1
                return made
            if not first or (first == "}" and depth):  # A bracket was forgotten: the object around it ends here.
                return made
            made.append(self.value(depth + 1))

    def _quoted(self) -> str:
        """Read a text: up to a quotation mark behind which something may end, so that marks inside it do no harm."""
        opening = self._text[self.at]
        closing = _CLOSING[opening]
        self.at += 1
        said: list[str] = []
        while self.at < len(self._text):
            sign = self._text[self.at]
            self.at += 1
            if sign == "\\":
                if self.at == len(self._text):
                    break
                said.append(self._escaped())
            elif sign == closing and _BEHIND.match(self._text, self.at):
                return "".join(said)
            else:
                said.append(sign)
        return TornText("".join(said))

    def _escaped(self) -> str:
        sign = self._text[self.at]
        self.at += 1
        if sign == "u" and re.match(r"[0-9a-fA-F]{4}", self._text[self.at : self.at + 4]):
            code = int(self._text[self.at : self.at + 4], 16)
            self.at += 4
            return chr(code)
        return _ESCAPES.get(sign, sign)

    def _peek(self, skip: str = "") -> str:
        """Return the next sign that is no space, without taking it; empty at the end."""
        while self.at < len(self._text) and (self._text[self.at].isspace() or self._text[self.at] in skip):
            self.at += 1
        return self._text[self.at : self.at + 1]
