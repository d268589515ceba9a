"""Which words name an option: its own, and other words for the same, as one pattern each.

Not where they stand in a text (``mentions``). "the second image" is also "image 2" and "2nd picture", "3" is also
"three", "Point B" is also "labeled B", "left" is also 左. Small words that stand for an answer only alone (yes, no,
one) are only found so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from triptych.evaluate.reading.phrases import NUMBERS, ORDINALS, WORDS

LETTER_END = r"(?![A-Za-z0-9'])(?!-\w)"
"""After a letter that is no part of a word."""
_NEVER = re.compile(r"(?!)")
_PICTURE = r"(?:image|picture|photo(?:graph)?|frame|view|panel|figure|one|option)"
_ROLE = (
    r"(?:point|box|picture|image|photo|option|choice|answer|letter|figure|frame|panel|view|region|object|circle|marker)"
)
_ALONE = r"(?![\"')]*(?:,\s*(?:and|or)|,|/|\s+and|\s+or)\s*[\"'(]?(?-i:[A-Z])(?![A-Za-z']))"
"""Not of several letters in a row."""
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*")


def own_words(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return of each option the words that no other option has."""
    split = [name.split() for name in names]
    return tuple(
        tuple(word for word in words if not any(word in each for other, each in enumerate(split) if other != at))
        for at, words in enumerate(split)
    )


def patterns_of(names: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    """Return what names each option, besides its letter; ``names`` are plain words (``plain_names``)."""
    forms = (list(_forms(name, own)) for name, own in zip(names, own_words(names), strict=True))
    return tuple(re.compile("|".join(each), re.I) if each else _NEVER for each in forms)


def plain_names(options: Sequence[str]) -> tuple[str, ...]:
    """Return each option in plain words without article; of "A is closer", "B is closer" the A is none."""
    lettered = any(re.match(r"\W*B\b", option) for option in options)
    return tuple(plain_words(option) if lettered else without_article(plain_words(option)) for option in options)


def plain_words(text: str) -> str:
    """Return words and numbers in lower case, without punctuation and leading "the"."""
    words = re.findall(r"(?<![\w.])-?\d+(?:[.,]\d+)*(?!\w)|[^\W_]+", text.casefold())
    return " ".join(words[1:] if len(words) > 1 and words[0] == "the" else words)


def without_article(plain: str) -> str:
    """Return plain words without a leading "a"."""
    return re.sub(r"^an? (?=.)", "", plain)


def letter_of(at: int) -> str:
    """Return the letter of a position: A, B..."""
    return chr(ord("A") + at)


@lru_cache(maxsize=64)
def letter_contexts(letter: str) -> re.Pattern[str]:
    """Return where a capital letter in a sentence is a name: quoted, labelled so, or at the end of what is said."""
    says = r"(?:is|be|as|with|corresponds? to|matches|choose|select|pick|prefer|leaves|therefore,?|thus,?|hence,?|so,?)"
    return re.compile(
        rf"(?-i:[\"']{letter}[\"'])"
        rf"|\b(?i:labell?ed|marked)\s+(?i:as\s+|with\s+|by\s+)?[\"']?(?-i:{letter}){LETTER_END}{_ALONE}"
        rf"|\b(?i:{says})\s+(?-i:{letter})(?=\s*(?:[.,;:!?)]|$)){_ALONE}"
    )


def _forms(name: str, own: Sequence[str]) -> Iterator[str]:
    """Yield patterns for an option."""
    if name in WORDS:
        yield _translated(name)
        return
    if _NUMBER.fullmatch(name):
        yield from _number_forms(name)
    elif len(name) > 1 or _is_unspaced(name):
        body = r"[\s\W_]+".join(map(re.escape, name.split()))
        yield body if _is_unspaced(name) else rf"(?<!\w){body}(?!\w)"
    key = own[0] if len(own) == 1 else ""
    if len(key) == 1 and key.isalpha() and key.isascii():
        yield from _key_forms(key, told_by_is="is" in name.split())
    if re.search(_PICTURE, name):
        yield from _ordinal_forms(key, name)


def _number_forms(name: str) -> Iterator[str]:
    yield rf"(?<![\w.,-]){re.escape(name)}(?![\w%]|[.,-]\d)"
    if name.isdecimal() and int(name) < len(NUMBERS):
        # "One" is mostly no number: "one of them", "the other one".
        before = r"(?:(?<=only )|(?<=just )|(?<=exactly )|(?<=is )|(?<=are )|^\W*)" if name == "1" else r"\b"
        yield rf"{before}{NUMBERS[int(name)]}\b(?! of\b)"


def _key_forms(key: str, *, told_by_is: bool) -> Iterator[str]:
    """Yield how an option is named that one letter tells from the others: "Point B", "B is closer"."""
    yield letter_contexts(key.upper()).pattern
    yield rf"\b{_ROLE}s?\s+[\"'(]?(?-i:{key.upper()})\b{_ALONE}"
    small = r"(?=\s*(?:[.,;:!?)]|is\b|$))" if key in "ai" else r"\b"
    yield rf"\b{_ROLE}\s+(?-i:{key}){small}"
    if told_by_is:
        yield rf"(?-i:\b{key.upper()}\b)(?=\s+(?:is|appears|seems|looks|has))"


def _ordinal_forms(key: str, name: str) -> Iterator[str]:
    """Yield how an option is named that a number tells from the others: "the second image", "image 2"."""
    at = ORDINALS.index(key) + 1 if key in ORDINALS else int(key) if key.isdecimal() and key != name else 0
    if not 0 < at <= len(ORDINALS):
        return
    others = "|".join(ORDINALS)
    listed = rf"(?=(?:,|\s+(?:or|and|nor))\s+(?:the\s+)?(?:{others})\b)"  # "the second or third image"
    yield rf"\b(?:{ORDINALS[at - 1]}|{at}(?:st|nd|rd|th))(?:\s+{_PICTURE}\b|{listed})"
    yield rf"\b(?:image|picture|photo|frame|view|panel)\s+#?(?:{at}|{NUMBERS[at]})\b"


def _translated(name: str) -> str:
    """Return the pattern of an option that is yes, no, left... in any language that we know."""
    words = WORDS[name].split("|")
    if name in ("yes", "no"):  # "There is no dog" says neither.
        alone = rf"^\W*(?:{'|'.join(words)})(?=\s*(?:[^\w\s'-]|$))"
        more = r"\byes\b" if name == "yes" else r"\bno\b(?=\s*(?:[.,;:!?)\]\"']|$))"
        return rf"{alone}|{more}|^\W*{name}(?=\s+(?:the|it|there|this|these|they|he|she|i)\b)"
    joined = [word for word in words if _is_unspaced(word)]
    apart = [word for word in words if not _is_unspaced(word)]
    if name == "right":
        apart[0] = r"right(?! (?:answer|choice|option)\b)"
    return "|".join([*joined, rf"(?<!\w)(?:{'|'.join(apart)})(?!\w)"])


def _is_unspaced(word: str) -> bool:
    """Tell whether a word is of a script whose words stand together, or take endings: Chinese, Korean, Arabic..."""
    return any("\u0600" <= char <= "\u06ff" or char >= "\u2e80" for char in word)
