"""A conversation as texts with marks where its images stand, for a translator; and back, with what survived checked.

Not the translating (``stages/translate``). An image is ``[[1]]``; a turn is one text, so that an image may move within
its sentence as another language wants. Invariant: a turn comes back with exactly its own images, its numbers and its
ids, or it does not come back.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from itertools import pairwise, zip_longest

from triptych.core.records import Example, Part, Text, Turn
from triptych.data.transform import tidy
from triptych.generate.declining import declines

_MARK = re.compile(r"\[\[\s*(\d+)\s*\]\]")
_NUMBER = re.compile(
    r"(?<!\d)(?<!\d[.,٫])"
    r"(?:\d{1,3}(?:([.,٬' \u00a0\u202f])\d{3}(?:\1\d{3})*|(?:,\d\d){1,3},\d{3})(?!\d)|\d++)"
    r"(?:(?!\1)[.,٫](\d++))?(?![.,٫]\d)|\d++"
)
"""Digits in threes, as thousands are written, and at most one mark of decimals, which is group 2; or digits alone: in
"2024 500", "1,2,3" and "5.3.2024" there are several numbers."""
_LISTED = re.compile(r"[,٬' \u00a0\u202f]")
"""What stands in one number in some languages, and in others between two: "1,2" is a decimal or a list."""
_JOINED = re.compile(r"[\s,;،、，&]*+[^\W\d_]{0,5}+\s*+")
"""At most a word between two numbers of a list: behind "1,2 and" it goes on."""
_APART = (
    r"\u0620-\u065f\u066e-\u06ef\u06fa-\u06ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    r"\ufb50-\ufdff\ufe70-\ufefc\uff66-\uff9f"
)
"""Letters of Chinese, Japanese, Korean and Arabic, which may stand beside an id or an address without a blank."""
_SIGN = rf"[^\W{_APART}]"
_LETTER = rf"[^\W\d_{_APART}]"
_INSIDE = r".,:;?!'()*+@\[\]"
"""Stands within an address, and not at its end."""
_OUTSIDE = (
    r"\s<>\"{}|\\^`¡-©«-´¶»-¿\u0600-\u061f\u066a-\u066d\u0964\u0965\u2000-\u2bff\u3000-\u3004\u3008-\u303f"
    r"\ufe10-\ufe6f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\U0001f000-\U0001faff"
)
"""Ends an address: blanks, and punctuation and symbols that addresses have not."""
_NAME = re.compile(
    rf"<[^<>\s][^<>]*>|(?<!{_SIGN}){_LETTER}*+[0-9]*+{_LETTER}*+_(?:{_SIGN}|-)*{_SIGN}|\{{[a-z_]+\}}"
    rf"|https?://(?:[{_INSIDE}]*+(?!https?://)(?:[^{_OUTSIDE}{_INSIDE}{_APART}]"
    rf"|(?<=/)[{_APART}](?:[^{_OUTSIDE}{_INSIDE}/]|\([^{_OUTSIDE}{_INSIDE}/]*+\))*+))++"
)
"""What no translation may touch: tags, ids with an underscore, slots, addresses without the punctuation behind them.
A letter that stands apart ends an id or an address, but right behind a slash it is the address's own, and so is what
follows it."""
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
    if numbers := _changed_numbers(bare_before, bare_after):
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
    return [_plain_number(number) for number in _NUMBER.finditer(text)]


def _plain_number(number: re.Match[str]) -> str:
    # Before three digits a mark may stand for thousands; which it is, languages do not agree on.
    if number[2] is None:
        return _digits(number[0])
    return f"{_digits(number[0][: number.start(2) - number.start()])}.{_digits(number[2])}"


def _changed_numbers(before: str, after: str) -> str:
    """Return how the numbers of two texts differ; empty: not at all, or one tells as a list what the other joins."""
    if Counter(_told(before, after)) != Counter(_told(after, before)):
        return _changed(numbers_in(before), numbers_in(after))
    turned = [*_turned(before, after), *_turned(after, before)]
    return f"{', '.join(turned)} in another order" if turned else ""


def _told(text: str, other: str) -> list[str]:
    """Return the numbers of a text, those as several that the other has only as several, in the same order."""
    theirs = numbers_in(other)
    spare, runs = Counter(theirs), _runs(theirs)
    found = list(_NUMBER.finditer(text))
    told: list[str] = []
    for number, follower in zip_longest(found, found[1:]):
        plain = _plain_number(number)
        spare[plain] -= 1
        told += [plain] if spare[plain] >= 0 else _listed(number, follower, runs) or [plain]
    return told


def _listed(number: re.Match[str], follower: re.Match[str] | None, runs: Set[tuple[str, ...]]) -> list[str] | None:
    """Return the numbers that one stands for if it is a list and the other text has them so; None: it has not."""
    whole, pieces = number[0], _pieces(number[0])
    if number[2] is None or whole[number.start(2) - number.start() - 1] != "," or min(map(len, pieces)) > 2:
        return pieces if _run_in(pieces, runs) else None
    # "1,2" is a decimal for many, and a list where this goes on and counts upwards: "1,2 and 3".
    if follower and _JOINED.fullmatch(number.string, number.end(), follower.start()):
        longer = [*pieces, _plain_number(follower)]
        if _run_in(longer, runs) and all(float(one) < float(next_one) for one, next_one in pairwise(longer)):
            return pieces
    head, _, decimals = whole.rpartition(",")
    pieces = _pieces(head)
    pieces[-1] += f".{_digits(decimals)}"
    return pieces if _run_in(pieces, runs) else None


def _turned(text: str, other: str) -> list[str]:
    """Return the dates, versions and lists such as "5.3.2024" whose numbers the other text has in another order."""
    runs = _runs([piece for number in _NUMBER.finditer(other) for piece in _pieces(number[0])])
    chains: list[list[str]] = []
    end = 0
    for number in _NUMBER.finditer(text):
        if not chains or text[end : number.start()] not in (".", ",", "٫"):
            chains.append([])
        chains[-1].append(_plain_number(number))
        end = number.end()
    return [".".join(chain) for chain in chains if len(chain) > 1 and not _run_in(chain, runs)]


def _pieces(number: str) -> list[str]:
    return numbers_in("\n".join(_LISTED.split(number)))


def _runs(numbers: Sequence[str]) -> set[tuple[str, ...]]:
    return {*pairwise(numbers), *zip(numbers, numbers[1:], numbers[2:], strict=False)}


def _run_in(pieces: Sequence[str], runs: Set[tuple[str, ...]]) -> bool:
    """Return whether several numbers stand behind each other, which is seen of three at a time: long runs cost time."""
    width = min(len(pieces), 3)
    return width > 1 and all(tuple(pieces[at : at + width]) in runs for at in range(len(pieces) - width + 1))


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
