"""A conversation as texts with marks where its images stand, for a translator; and back, with what survived checked.

Not the translating (``stages/translate``). An image is ``[[1]]``; a turn is one text, so that an image may move within
its sentence as another language wants. Invariant: a turn comes back with exactly its own images, its numbers and its
ids, or it does not come back.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from triptych.core.records import Example, Part, Text, Turn
from triptych.data.transform import tidy
from triptych.generate.declining import declines

_MARK = re.compile(r"\[\[\s*(\d+)\s*\]\]")
_NUMBER = re.compile(r"\d+(?:[.,٫٬'\u00a0\u202f]\d+| \d{3}(?!\d))*")
_DECIMALS = re.compile(r"(.*)[.,٫](\d|\d\d|\d{4,})")
_NAME = re.compile(r"<[^<>\s][^<>]*>|\b[A-Za-z]*\d*[A-Za-z]*_[\w-]+\b|https?://\S+|\{[a-z_]+\}")
"""What no translation may touch: tags, ids with an underscore, addresses, slots."""
_QUOTED = re.compile(r"\"[^\"\n]+\"|“[^”\n]+”|„[^“”\n]+[“”]|«[^»\n]+»|»[^«\n]+«|‘[^’\n]+’")
"""What is written in an image, as on a sign, mostly stays as it is written there."""
_SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "zh": ("CJK UNIFIED",),
    "ja": ("HIRAGANA", "KATAKANA", "CJK UNIFIED"),
    "ko": ("HANGUL",),
    "ar": ("ARABIC",),
}
_SHORT_CHARACTERS = 12
"""Up to this length words may be the same in two languages, such as ``2`` or ``Taxi``."""


def marked(turn: Turn) -> str:
    """Return a turn as one text, with a mark where each image stands."""
    said: list[str] = []
    media = 0
    for part in turn.parts:
        if isinstance(part, Text):
            said.append(part.text)
        else:
            media += 1
            said.append(f"[[{media}]]")
    return "".join(said)


def unmarked(text: str, turn: Turn) -> Turn:
    """Return the turn with other words, its images where the marks stand."""
    media = [part for part in turn.parts if not isinstance(part, Text)]
    parts: list[Part] = []
    for at, piece in enumerate(_MARK.split(text)):
        parts.append(Text(piece) if at % 2 == 0 else media[int(piece) - 1])
    return replace(turn, parts=tidy(parts))


def is_clear(turn: Turn) -> bool:
    """Return whether the turn's own words hold nothing that looks like a mark."""
    return not any(isinstance(part, Text) and _MARK.search(part.text) for part in turn.parts)


def what_was_lost(before: str, after: str, *, language: str) -> tuple[str, str] | None:
    """Return the reason and what is wrong with a translated text; None: nothing is.

    Args:
        before: the marked text.
        after: its translation.
        language: what it is translated into, two letters.
    """
    if not after.strip():
        return "empty translation", "it says nothing"
    if marks := _changed(_MARK.findall(before), _MARK.findall(after)):
        return "image lost", f"the marks of images are not the same: {marks}"
    if _MARK.findall(before) != _MARK.findall(after):
        return "images reordered", "the images stand in another order, and 'image 1' would be another one"
    if names := _changed(_NAME.findall(before), _NAME.findall(after)):
        return "mark lost", f"ids or tags are not the same: {names}"
    bare_before, bare_after = _bare(before), _bare(after)
    if numbers := _changed(numbers_in(bare_before), numbers_in(bare_after)):
        return "number lost", f"the numbers are not the same: {numbers}"
    if declines(after) and not declines(before):
        return "declines", f"it is no translation, it says that there is none: {' '.join(after.split())[:80]!r}"
    letters = [sign for sign in bare_after if sign.isalpha()]
    scripts = _SCRIPTS.get(language)
    if scripts and letters and any(sign.isalpha() for sign in bare_before) and not _written_in(letters, scripts):
        return "wrong language", f"it is not written as {language} is"
    same = " ".join(bare_before.casefold().split()) == " ".join(bare_after.casefold().split())
    if same and len(bare_before.strip()) > _SHORT_CHARACTERS:
        return "not translated", "it is the same text"
    return None


def own_words(before: str, after: str) -> str:
    """Return a translation without marks, names and what it quotes of the original: the words that are its own."""
    quoted = {said[1:-1].strip() for said in _QUOTED.findall(before)}
    kept = _QUOTED.sub(lambda said: " " if said[0][1:-1].strip() in quoted else said[0], after)
    return _bare(kept)


def numbers_in(text: str) -> list[str]:
    """Return the numbers of a text in digits of ASCII, so that 1,000 equals 1.000 and 0.5 equals 0,5, but not 05."""
    return [_plain_number(number) for number in _NUMBER.findall(text)]


def _plain_number(number: str) -> str:
    # Before three digits a mark may stand for thousands; which it is, languages do not agree on.
    found = _DECIMALS.fullmatch(number)
    return f"{_digits(found[1])}.{_digits(found[2])}" if found else _digits(number)


def _digits(text: str) -> str:
    return "".join(str(unicodedata.digit(sign)) for sign in text if sign.isdigit())


def likeness(before: str, after: str) -> float:
    """Return how alike two texts are, from 0 to 1: the F1 of their character trigrams (as chrF with n = 3)."""
    grams = [_trigrams(text) for text in (before, after)]
    shared = sum((grams[0] & grams[1]).values())
    total = sum(grams[0].values()) + sum(grams[1].values())
    return 2 * shared / total if total else 1.0


def translated(example: Example, texts: Sequence[str], *, id: str) -> Example:
    """Return the conversation with other words, one text a turn."""
    turns = tuple(unmarked(text, turn) for text, turn in zip(texts, example.turns, strict=True))
    return replace(example, id=id, turns=turns)


def _trigrams(text: str) -> Counter[str]:
    plain = f" {' '.join(_bare(text).casefold().split())} "
    return Counter(plain[at : at + 3] for at in range(max(1, len(plain) - 2)))


def _bare(text: str) -> str:
    return _NAME.sub(" ", _MARK.sub(" ", text))


def _changed(before: Sequence[str], after: Sequence[str]) -> str:
    missing, new = Counter(before) - Counter(after), Counter(after) - Counter(before)
    said = [f"{', '.join(missing.elements())} missing"] if missing else []
    said += [f"{', '.join(new.elements())} too many"] if new else []
    return "; ".join(said)


def _written_in(letters: Sequence[str], scripts: Sequence[str]) -> bool:
    own = sum(unicodedata.name(letter, "").startswith(tuple(scripts)) for letter in letters)
    return own * 3 >= len(letters)
