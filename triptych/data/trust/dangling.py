"""Words that point at images which are not there: "image 5" of 3, "images 2 and 7", "the fourth picture".

Not ``references``, which rewrites words when images move: this would rather miss a reference than take "Figure 5",
"12 dogs" or an option's number for one. Invariant: what it finds says a noun for a picture and a number, and the number
stands for one picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from triptych.core.records import Example, ImageRef, Text, Turn, VideoRef, parts_of

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_CARDINALS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
"""From two: in "image one can see", one is a person."""
_NOUN = r"(?:image|picture|photograph|photo|pic)"
_NUMBER = (
    rf"(?:\d{{1,2}}|{'|'.join(_CARDINALS)})\b"
    r"(?![.,:]\d|\.[a-z]|-[a-z]|[_/%°]\w|\s*(?:%|°|px\b|pixels?\b|percent\b|x\s*\d|times\b))"
)
_BOTH = r"(?:\s*,)?\s*(?:\b(?:and|or|to|through|versus|vs)\b|&|–|-)\s*"
_MANY = re.compile(rf"(?<![\w./\\-]){_NOUN}s\s+({_NUMBER}(?:\s*,\s*{_NUMBER})*{_BOTH}{_NUMBER})", re.IGNORECASE)
_ONE = re.compile(rf"(?<![\w./\\-]){_NOUN}[ \t]?(?:#|-|no\.?\s?|number\s)?({_NUMBER})", re.IGNORECASE)
_END = r"(?=\s*(?:[.,;:?!)\]]|$|\b(?:are|is|both|have|has|show|in|with|to|for|of|on)\b))"
_ALSO = re.compile(rf"{_BOTH}({_NUMBER}){_END}", re.IGNORECASE)
"""The second number of "image 1 and 5"; not of "image 1 and 5 dogs"."""
_NTH = re.compile(
    rf"\bthe\s+({'|'.join(_ORDINALS)}|\d{{1,2}}(?:st|nd|rd|th))\s+{_NOUN}\b(?!\s+(?:in|of|on|from|within|inside)\b)",
    re.IGNORECASE,
)
_COUNTS_OTHERS = re.compile(
    r"\b(?:the|this|a|an|each|every|either|one|same|given|above|below|entire|whole|single)\s+$",
    re.IGNORECASE,
)
"""In front of "image 5": then the number counts what follows, as in "in this image 5 dogs play"."""
_THINGS = re.compile(r"\s+(?!(?:is|as|has|was|does|shows|versus|vs|plus|minus)\b)[a-z]{2,}s\b(?!')", re.IGNORECASE)
_SAYS = re.compile(
    r"\s+(?:appears|contains|depicts|differs|displays|features|gives|highlights|holds|illustrates|implies|includes|"
    r"indicates|lacks|looks|makes|offers|portrays|presents|provides|represents|reveals|seems|suggests|symbolizes|uses|"
    r"captures|conveys|serves|wants|involves|contrasts|refers|requires|reflects|draws|focuses|shares|belongs|comes|emphasizes|showcases|demonstrates|this|across|always|perhaps)\b",
    re.IGNORECASE,
)
_OPTION = re.compile(r"(?:^|\s)\(?[A-Ha-h][).:]\s+[^\n]*?(?=\s\(?[A-Ha-h][).:]\s|\n|$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reference:
    """A few words that point at one image."""

    number: int
    """Number of the image, from 1."""
    said: str
    """The words, as they stand."""
    turn: int
    """Number of the turn in its conversation, from 0; each demonstration counts its own turns."""


def dangling(example: Example) -> tuple[Reference, ...]:
    """Return the references to images that the example does not have.

    Images are counted over the whole conversation with its demonstrations. Nothing is said of an example with a video,
    whose frames may be meant, nor of its image 0: some count from there.
    """
    parts = list(parts_of(example))
    if any(isinstance(part, VideoRef) for part in parts):
        return ()
    count = sum(isinstance(part, ImageRef) for part in parts)
    return tuple(reference for reference in references_of(example) if reference.number > count)


def references_of(example: Example) -> Iterator[Reference]:
    """Yield every reference to an image by its number, demonstrations first."""
    for shown in example.demonstrations:
        yield from references_of(shown)
    for number, turn in enumerate(example.turns):
        yield from (Reference(value, said, number) for value, said in pointed_at(_words(turn)))


def pointed_at(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number, words) of each pointing at an image; options of a multiple choice are left alone."""
    text = _OPTION.sub(lambda option: " " * len(option[0]), text)
    for many in _MANY.finditer(text):
        for number in re.findall(r"\w+", many[1]):
            if value := _value(number):
                yield value, many[0]
    for one in _ONE.finditer(text):
        if _COUNTS_OTHERS.search(text[: one.start()]) or _counts(text, one.end()):
            continue
        yield _value(one[1]), one[0]
        if also := _ALSO.match(text, one.end()):
            yield _value(also[1]), text[one.start() : also.end()]
    for nth in _NTH.finditer(text):
        yield _value(nth[1]), nth[0]


def _counts(text: str, end: int) -> bool:
    """Tell whether the number counts what follows: "image 5 dogs"; not "image 5 shows"."""
    return bool(_THINGS.match(text, end)) and not _SAYS.match(text, end)


def _words(turn: Turn) -> str:
    """Return what is said, a line break where an image or a video stands."""
    return "".join(part.text if isinstance(part, Text) else "\n" for part in turn.parts)


def _value(number: str) -> int:
    """Return what a numeral says; 0 for another word."""
    said = number.lower()
    if digits := re.match(r"\d+", said):
        return int(digits[0])
    if said in _CARDINALS:
        return _CARDINALS.index(said) + 2
    return _ORDINALS.index(said) + 1 if said in _ORDINALS else 0
