"""The minus of a number, however it is written: "−5", "–5", "minus 5" and "negative five" are all "-5".

Not numbers themselves, nor how they are compared. A dash that has a word or a number before it is none ("3-4", "3–4",
"image-5"), nor is one with a space behind it ("- 5 cats"); "10 minus 5" is a sum. And the signs that belong to a letter
("दि"), or only show how it is read ("كِ").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import groupby

from triptych.evaluate.reading.phrases import NUMBERS


def _ranges(signs: Iterable[str]) -> str:
    """Return a pattern's class of these, as ranges: letter by letter it would take many times as long."""
    runs = [[*run] for _, run in groupby(enumerate(sorted(signs)), lambda it: ord(it[1]) - it[0])]
    return "".join(f"{run[0][1]}-{run[-1][1]}" for run in runs)


_OF_SELECTION = frozenset(map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
_COMBINING = frozenset(sign for sign in map(chr, range(0x300, 0x1F000)) if unicodedata.category(sign) in ("Mn", "Mc"))
_ON_LETTERS = _COMBINING - _OF_SELECTION
MARKS = _ranges(_ON_LETTERS)
"""For a pattern's class: signs that are written on a letter and make another word of it, as in Hindi and Thai; not a
ring, box or key around it."""
_POINTS = frozenset(sign for sign in _ON_LETTERS if "\u0590" <= sign < "\u0700" or "\u08c0" <= sign < "\u0900")
"""Vowel points of Hebrew and Arabic, which are mostly left out."""
_UNHEARD = re.compile(f"[{_ranges(_POINTS | _OF_SELECTION)}]+")
_JOINERS = re.compile("[\u200c\u200d]+")
NO_MINUS = rf"(?<![\w{MARKS})\]%°-].)"
"""Right behind a dash: what stands before it ends no number or word, and is no other dash, as "1--5" is a range."""
_MONEY = "[$€£¥]"
_RANGE = re.compile(r"(?<=\d) ?[\u2010-\u2013](?=\d)")
"""A range's dash, as "3 –4" has it too; a minus sign (U+2212) makes no range."""
_DASH = re.compile(rf"[\u2010-\u2013\u2212\ufe63\uff0d]{NO_MINUS}(?={_MONEY}?\.?\d)")
"""Dashes that are a minus before a number."""
_BEFORE_MONEY = re.compile(rf"(?<![\w)\]%°$€£¥-])-({_MONEY})(?=\.?\d)")
_WORD = re.compile(
    rf"(?<![^\W_])(?:(?<!\d )(?<!\b[b-z] ){''.join(rf'(?<!{word} )' for word in NUMBERS)}minus|negative)"
    rf" ({_MONEY}?)(?:(?=\.?\d)|({'|'.join(NUMBERS[1:])})\b)",
    re.IGNORECASE,
)
"""The words, before digits or a number in words; "minus" not behind a number or a variable, where it takes away."""

_GRADE = re.compile(
    r"(?<![\w+-])([A-Za-z]|[Aa][Bb])(?:[-\u2010-\u2013\u2212]| minus\b)"
    r"(?=\s?(?:$|[.,;:!?)\]\"'/|]|(?:and|or|grade|in|as|because|since)\b))"
)
"""A letter with a minus behind it, as of grades and blood: "A-", "AB-"."""


def straight(text: str) -> str:
    """Return a text in plain characters: "x2" for "x²", straight quotation marks."""
    return unicodedata.normalize("NFKC", text).replace("’", "'").replace("“", '"').replace("”", '"')


def without_points(text: str) -> str:
    """Return a text without what changes how a word looks and not which it is: points, joiners beside marks.

    >>> without_points("كِتاب")
    'كتاب'
    """
    if text.isascii():
        return text
    text = _JOINERS.sub(_joined, _UNHEARD.sub("", text))
    return re.sub("i\u0307+", "i", text)  # lower case makes two signs of "İ"


def with_minus(text: str) -> str:
    """Return a text in which the minus of a number is a hyphen right before its digits, and so is a range's dash.

    >>> with_minus("−5, –$5, minus 5 and negative five; 3–4 and 10 minus 5")
    '-5, $-5, -5 and -5; 3-4 and 10 minus 5'
    """
    text = _BEFORE_MONEY.sub(r"\1-", _DASH.sub("-", _RANGE.sub("-", text)))
    return _WORD.sub(_negative, text)


def _joined(found: re.Match[str]) -> str:
    """Return nothing for joiners beside a mark, which change no word there; else these joiners."""
    around = found.string[max(0, found.start() - 1) : found.start()], found.string[found.end() : found.end() + 1]
    return "" if any(sign in _ON_LETTERS for sign in around) else found[0]


def _negative(found: re.Match[str]) -> str:
    word = (found[2] or "").lower()
    if word and word not in NUMBERS:
        return found[0]  # "fıve": letters that are equal only where case is ignored
    return f"{found[1]}-{NUMBERS.index(word) if word else ''}"


def with_grades(text: str) -> str:
    """Return a text in which a grade's minus is part of its word, so that "A-" is no "A".

    >>> with_grades("A-, not B, nor A-B")
    'Aminus, not B, nor A-B'
    """
    return _GRADE.sub(r"\1minus", text)
