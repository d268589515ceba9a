"""The minus of a number, however it is written: "−5", "–5", "minus 5" and "negative five" are all "-5".

Not numbers themselves, nor how they are compared. A dash that has a word or a number before it is none ("3-4", "3–4",
"image-5"), nor is one with a space behind it ("- 5 cats"); "10 minus 5" is a sum. And the signs that belong to a letter
("दि"), or only show how it is read ("كِ").
"""

from __future__ import annotations

import re
import unicodedata

from triptych.evaluate.reading.phrases import NUMBERS

_OF_SELECTION = frozenset(map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
_COMBINING = [sign for sign in map(chr, range(0x300, 0x1F000)) if unicodedata.category(sign) in ("Mn", "Mc")]
MARKS = "".join(sign for sign in _COMBINING if sign not in _OF_SELECTION)
"""For a pattern's class: signs that are written on a letter and make another word of it, as in Hindi and Thai; not a
ring, box or key around it."""
_POINTS = frozenset(sign for sign in MARKS if "\u0590" <= sign < "\u0700" or "\u08c0" <= sign < "\u0900")
"""Vowel points of Hebrew and Arabic, which are mostly left out."""
_UNHEARD = dict.fromkeys(map(ord, _POINTS | _OF_SELECTION))
_JOINERS = re.compile(rf"(?<=[{MARKS}])[\u200c\u200d]+|[\u200c\u200d]+(?=[{MARKS}])")
NO_MINUS = rf"(?<![\w{MARKS})\]%°-])"
"""Not behind what ends a number or a word, nor behind another dash: "1--5" is a range."""
_MONEY = "[$€£¥]"
_RANGE = re.compile(r"(?<=\d) ?[\u2010-\u2013](?=\d)")
"""A range's dash, as "3 –4" has it too; a minus sign (U+2212) makes no range."""
_DASH = re.compile(rf"{NO_MINUS}[\u2010-\u2013\u2212\ufe63\uff0d](?={_MONEY}?\.?\d)")
"""Dashes that are a minus before a number."""
_BEFORE_MONEY = re.compile(rf"(?<![\w)\]%°$€£¥-])-({_MONEY})(?=\.?\d)")
_WORD = re.compile(
    rf"(?<![^\W_])(?:(?<!\d )(?<!\b[b-z] ){''.join(rf'(?<!{word} )' for word in NUMBERS)}minus|negative)"
    rf" ({_MONEY}?)(?:(?=\.?\d)|({'|'.join(NUMBERS[1:])})\b)",
    re.IGNORECASE,
)
"""The words, before digits or a number in words; "minus" not behind a number or a variable, where it takes away."""


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
    return re.sub("i\u0307+", "i", _JOINERS.sub("", text.translate(_UNHEARD)))  # lower case makes two signs of "İ"


def with_minus(text: str) -> str:
    """Return a text in which the minus of a number is a hyphen right before its digits, and so is a range's dash.

    >>> with_minus("−5, –$5, minus 5 and negative five; 3–4 and 10 minus 5")
    '-5, $-5, -5 and -5; 3-4 and 10 minus 5'
    """
    text = _BEFORE_MONEY.sub(r"\1-", _DASH.sub("-", _RANGE.sub("-", text)))
    return _WORD.sub(_negative, text)


def _negative(found: re.Match[str]) -> str:
    word = (found[2] or "").lower()
    if word and word not in NUMBERS:
        return found[0]  # "fıve": letters that are equal only where case is ignored
    return f"{found[1]}-{NUMBERS.index(word) if word else ''}"
