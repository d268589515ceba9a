"""What of a short answer to one's own question is compared, and the words of a longer one.

``scorers.normalise``, and what published benchmarks' answers have no need of: a list of letters or of numbers is that
list, "Vitamin A" is no "Vitamin", and where a question has labels ("Image A: ...") the label and its letter are one.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

from triptych.core import thinking
from triptych.core.records import Example, Text, Turn
from triptych.evaluate.reading import choices, scorers
from triptych.evaluate.reading.phrases import MARKS as PROGRAM_MARKS
from triptych.evaluate.reading.signs import MARKS, NO_MINUS, with_grades, with_minus, without_points

_LETTER_A = "\u0250"
"""Stands for the letter A, which is else taken for an article; ``normalise`` leaves it as it is."""
_IS_LETTER_A = re.compile(r"(?<=[^\W_] )(?:A(?=\W*$|[\W_]+[^\W_]*[^\W_A-Z]|[\W_]+[A-Z]?(?![^\W_]))|a(?=\W*$))")
"""An A behind a word: an upper-case one, but "A DOG"; at the end a lower-case one too, as no article ends a text."""
_FRAME = re.compile(r"(?i)\W*?(?:(?:the|it|they|these|are|is|correct|final|answers?|order)\b[\s:]*)*(?=[^\w\s]|\w|$)")
_LETTERS = re.compile(
    r"\(?[A-Za-z]\)?(?:(?=\s*(?:[,;/&>-]|and\b))(?:[\s,;/&>-]|\band\b)+\(?[A-Za-z]\)?|\s+\(?[A-Z]\)?)+\W*"
)
_NUMBER = r"-?(?:\d+(?:\.\d+)?|\.\d+)"
_NUMBERS = re.compile(rf"[\s\[({{]*{_NUMBER}(?:(?:[\s\]),;\[({{}}]|\band\b)+{_NUMBER})+[\s\]).}}]*")
_THOUSANDS = re.compile(r"-?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
_LABEL = re.compile(r"\b([^\W\d_]+) \(?([A-Z])\b")
_ONE_WORD = re.compile(
    rf"https?://\S*[\w/]|www\.\S*[\w/]|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?:-{NO_MINUS})?(?:\d+(?:[.,:/-]\d+)*|(?<![\w.])\.\d+)"
    rf"|[^\W_]+(?:[{MARKS}]+[^\W_]*)*"
)
"""An address, a number, a date or a time, or a word with the signs on its letters."""
_UNSPACED = re.compile(rf"((?![{MARKS}])[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff][{MARKS}]*)")
"""A letter of a script without spaces between words, with its signs."""


def reference_in(text: str) -> str | None:
    """Return a reference without its thinking, or what stands in its last box or answer tag; None: thinking alone."""
    said = thinking.spoken(text)
    if said is None:
        return None
    return choices.spoken(said) if PROGRAM_MARKS.search(said) else said


def with_reference(question: Example, reference: str) -> Example:
    """Return the question with these words as its reference."""
    return replace(question, turns=(*question.turns[:-1], Turn("assistant", (Text(reference),))))


def compared(question: Example, text: str) -> str | tuple[str, ...]:
    """Return what of a short answer is compared: equal for all ways to write one answer to this question.

    A list of letters is these in one word, so that "A, C" is "AC"; a list of numbers is each of them.
    """
    said = with_grades(choices.spoken(text))
    plain = _FRAME.sub("", said, count=1).strip()
    if _LETTERS.fullmatch(plain):
        return "".join(re.findall(r"\b[a-z]\b", plain.casefold()))
    if (numbers := _numbers(plain)) is not None:
        return numbers
    words = scorers.normalise(_IS_LETTER_A.sub(_LETTER_A, said)) or said.strip()
    noun, _, letter = words.rpartition(" ")
    if {noun} == _labels(question) and len(letter) == 1:
        return letter.replace(_LETTER_A, "a")
    return words


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, a number, date or address as one; in a script without spaces, letters.

    >>> words_of("The -5 at 10:30, 1.5 km")
    ['the', '-5', 'at', '10:30', '1.5', 'km']
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    plain = with_minus(unicodedata.normalize("NFKC", without_points(folded)))
    return _ONE_WORD.findall(_UNSPACED.sub(r" \1 ", plain))


def _labels(question: Example) -> set[str]:
    """Return nouns that the question's words bear two letters with, as "image" in "Image A: ... Image B: ..."."""
    shown = "\n".join(part.text for turn in question.turns[:-1] for part in turn.parts if isinstance(part, Text))
    letters: dict[str, set[str]] = {}
    for found in _LABEL.finditer(shown):
        letters.setdefault(found[1].casefold(), set()).add(found[2])
    return {noun for noun, those in letters.items() if "B" in those and "A" in those}


def _numbers(text: str) -> tuple[str, ...] | None:
    """Return the numbers of a text that is two or more and nothing else; "1,200" is one, and "[1,200]" two."""
    plain = with_minus(text)
    if re.fullmatch(r"\d(?:-\d)+\W*", plain):  # an order
        return tuple(re.findall(r"\d", plain))
    if not _NUMBERS.fullmatch(plain) or _THOUSANDS.fullmatch(plain.rstrip(". ")):
        return None
    parts = [part for part in re.split(r"(?:,?\s+(?:and\s+)?|;|[\[\](){}]+|\band\b)+", plain.rstrip(". ")) if part]
    whole = len(parts) > 1
    each = [
        number
        for part in (part.strip(",") for part in parts)
        for number in ([part] if whole and _THOUSANDS.fullmatch(part) else part.split(","))
        if number
    ]
    return tuple(map(scorers.normalise, each))
