"""Labels of images: words that only say which image stands here, as in "Image 1: <image>" or "<image> is image 2,".

Not references: a label belongs to the place, a reference to the image. So a label stays when images change places, and
no second one is put where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from triptych.core.records import ImageRef, Part, Text
from triptych.data.text.references import Reference, find_references

# Possessive: a long run of white space must not be tried in all its parts.
_UP_TO_IMAGE = re.compile(r"[ \t]*+[)\]>）】]?[ \t]*+(?:(?:is|shows)\b)?[ \t]*+[:=,\-–—：，、]*+\s*+$")
_LINE_OF_ITS_OWN = re.compile(r"[ \t]*+[.。]\s*+$")
_OPENED = re.compile(r"\s*[(\[（【][ \t]*(?:[Tt]he[ \t]+)?$")
_CLOSED = re.compile(r"[ \t]*[)\]）】][ \t]*[,.;:，。；：、]?")
_LINE_ENDS = re.compile(r"[ \t]*(?:[\r\n]|(?:and|or|while|whereas|[/&→和与與及或]|->)?\s*$)")
"""Where its line ends, or the words up to the next image do."""
_SUBJECT = re.compile(
    r"(?<=[)\]）】])(?:['’]s\b|[ \t]+(?:is|was|has|had|did|will|would|can|could|may|might|must|should|and|or|than"
    r"|(?!this\b|his\b)[a-z]{2,}[a-rt-z]s)\b)"
)
"""Behind "(Image 2)" in a line of its own: the sentence goes on with it, as in "[Image 2] is darker"."""
_SAID_TO_BE = re.compile(r"[ \t]*(?:=|(?:is|as)\b)[ \t]*(?:the[ \t]+)?$")
"""In lower case and in the image's own line: "Is image 2 brighter?" is a question."""
_SAID = re.compile(
    r"[ \t]*(?:[,.;:，。；：、]|(?=[?!)\]>\"”|–—\r\n？！）】」』]|$|(?:and|or|while|whereas)\s*$))"
    r"|(?=[ \t]*(?:[/&→和与與及或]|->)\s*$)"
)
"""What ends such a label: punctuation, its line, or the words up to the next image."""
_NOUN_BEFORE = re.compile(r"[<(\[（【]?(?:the\s+)?[A-Za-z]*[ \t_#-]*$", re.IGNORECASE)
_NEAR = 40
"""Characters before a number that its noun is looked for in."""
_NOUN_AFTER = re.compile(r"[ \t]+[A-Za-z]+")
_NEUTRAL = re.compile(r"(?:[\s\W_和与與及]|\band\b|\bimages?\b)*$", re.IGNORECASE)
_SENTENCE_ENDS = ("", ".", "?", "!")

_Standing = Literal["label", "words", "subject"]
"""What "(image 2)" behind its image is by itself: sure to be a label; one or a name, as words follow in its line; the
subject of a sentence."""


@dataclass(frozen=True, slots=True)
class Label:
    """Characters [start, stop) of the text beside an image that name its place."""

    start: int
    stop: int
    at: int
    """Start of the number within them."""
    number: int
    """The image whose place it names."""


class _Named(NamedTuple):
    """Words behind an image that name it."""

    text: str
    lead: str
    """What stands before the name."""
    at: int
    """Start of the number in the words."""
    stop: int
    """End of the name in them."""


def label_before(text: str, number: int, *, count: int, shown: int | None = None) -> Label | None:
    """Return the label at the end of the words before image ``number``; None: there is none."""
    references = find_references(text, count=count, shown=shown)
    if not references or references[-1].numbers != (number,):
        return None
    last = references[-1]
    stop = _noun_stop(text, last)
    start = _noun_start(text, last)
    own_line = not text[:start].rpartition("\n")[2].strip()
    if _UP_TO_IMAGE.match(text, stop) or (own_line and _LINE_OF_ITS_OWN.match(text, stop)):
        return Label(start, len(text), last.start, number)
    return None


def label_after(text: str, number: int, *, count: int, shown: int | None = None, alike: bool = False) -> Label | None:
    """Return the label at the start of the words after image ``number``, as in "(image 2)"; None: there is none, as in
    "Is image 2 brighter?".

    Args:
        text: the words.
        number: of the image.
        count: images there are in all.
        shown: those shown up to the end of the turn; None: all.
        alike: images of its turn have "(image 1)" as their labels, so that "(image 2) What differs?" has one too.
    """
    named = _named(text, number, count, shown)
    if named is None:
        return None
    if _OPENED.match(named.lead):
        end = _CLOSED.match(text, named.stop)
        kept = end and _standing(named, end.end()) in (("label", "words") if alike else ("label",))
    else:
        end = _SAID.match(text, named.stop)
        kept = _SAID_TO_BE.match(named.lead) is not None
    return Label(0, end.end(), named.at, number) if end and kept else None


def labels_in(parts: Sequence[Part], first: int, *, count: int) -> dict[int, list[Label]]:
    """Return the labels in each Text of a turn, by its index; its images are numbered from ``first``."""
    found: dict[int, list[Label]] = {}
    number = first - 1
    shown = number + sum(isinstance(part, ImageRef) for part in parts)
    brackets = list(_brackets(parts, first, count).values())
    alike = "label" in brackets or brackets == ["words"] * (shown - number)
    for index, part in enumerate(parts):
        if isinstance(part, ImageRef):
            number += 1
            continue
        if not isinstance(part, Text):
            continue
        labels: list[Label] = []
        follows = index > 0 and isinstance(parts[index - 1], ImageRef)
        if follows and (label := label_after(part.text, number, count=count, shown=shown, alike=alike)):
            labels.append(label)
        leads = index + 1 < len(parts) and isinstance(parts[index + 1], ImageRef)
        if leads and (label := label_before(part.text, number + 1, count=count, shown=shown)):
            labels.append(label)
        if labels:
            found[index] = labels
    return found


def unclear_labels(parts: Sequence[Part], first: int, *, count: int) -> dict[int, str]:
    """Return the words behind images that may be their labels or speak about them, as in "<image> is image 2 of my
    trip", by the numbers of these images."""
    labels = labels_in(parts, first, count=count)
    brackets = _brackets(parts, first, count)
    images = sum(isinstance(part, ImageRef) for part in parts)
    alike = "label" in brackets.values() or len(brackets) == images > 1
    found: dict[int, str] = {}
    for index, number, named in _behind(parts, first, count):
        if not all(label.start for label in labels.get(index, [])):
            continue
        standing = brackets.get(number)
        unclosed = standing is None and "\n" not in named.lead and _OPENED.match(named.lead)
        closed = standing == "words" or (standing == "subject" and alike)
        if closed or unclosed or _SAID_TO_BE.match(named.lead):
            found[number] = named.text[: named.stop + closed].strip()
    return found


def named_behind(parts: Sequence[Part], first: int, *, count: int) -> frozenset[int]:
    """Return the numbers of images that the words right behind them name, other than by a label, so that no other name
    is missed there. Words in the next line do so where the image is no part of the sentence before it."""
    labels = labels_in(parts, first, count=count)
    found: set[int] = set()
    for index, number, named in _behind(parts, first, count):
        before = parts[index - 2] if index > 1 else None
        left = before.text.rpartition("\n")[2].rstrip() if isinstance(before, Text) else ""
        if any(label.number == number for label in labels.get(index, [])):
            continue
        apart = "\n" not in named.lead or left[-1:] in _SENTENCE_ENDS
        if apart and (_OPENED.match(named.lead) or _SAID_TO_BE.match(named.lead.lstrip())):
            found.add(number)
    return frozenset(found)


def labelled(parts: Sequence[Part], first: int, *, count: int) -> frozenset[int]:
    """Return the numbers of those images of a turn that have a label."""
    found = labels_in(parts, first, count=count)
    return frozenset(label.number for labels in found.values() for label in labels)


def words_between(parts: Sequence[Part], first: int, *, count: int) -> str | None:
    """Return words between two images of a turn, other than labels of their places; None: there are none."""
    images = [index for index, part in enumerate(parts) if isinstance(part, ImageRef)]
    labels = labels_in(parts, first, count=count)
    for index in range(images[0], images[-1]) if images else ():
        part = parts[index]
        if isinstance(part, Text):
            rest = without_labels(part.text, labels.get(index, []))
            if not _NEUTRAL.match(rest):
                return rest.strip()
    return None


def without_labels(text: str, labels: Sequence[Label]) -> str:
    """Return the text without its labels."""
    for label in sorted(labels, key=lambda label: -label.start):
        text = text[: label.start] + text[label.stop :]
    return text


def _behind(parts: Sequence[Part], first: int, count: int) -> Iterator[tuple[int, int, _Named]]:
    """Yield the index of words right behind an image, its number, and how they name it; those that do."""
    number = first - 1
    shown = number + sum(isinstance(part, ImageRef) for part in parts)
    for index, part in enumerate(parts):
        number += isinstance(part, ImageRef)
        if isinstance(part, Text) and index and isinstance(parts[index - 1], ImageRef):
            named = _named(part.text, number, count, shown)
            if named is not None:
                yield index, number, named


def _named(text: str, number: int, count: int, shown: int | None) -> _Named | None:
    """Return how words name image ``number``, if they name it before any other."""
    references = find_references(text, count=count, shown=shown)
    if not references or references[0].numbers != (number,):
        return None
    first = references[0]
    return _Named(text, text[: _noun_start(text, first, brackets=False)], first.start, _noun_stop(text, first))


def _brackets(parts: Sequence[Part], first: int, count: int) -> dict[int, _Standing]:
    """Return what "(image 2)" is behind the images that have it, by their numbers."""
    found: dict[int, _Standing] = {}
    for _, number, named in _behind(parts, first, count):
        end = _CLOSED.match(named.text, named.stop) if _OPENED.match(named.lead) else None
        if end is not None:
            found[number] = _standing(named, end.end())
    return found


def _standing(named: _Named, end: int) -> _Standing:
    """Return what a bracket is by itself; ``end``: where it does, with its punctuation."""
    if "\n" not in named.lead or _LINE_ENDS.match(named.text, end):
        return "label"
    return "subject" if _SUBJECT.match(named.text, len(named.text[:end].rstrip(" \t"))) else "words"


def _noun_start(text: str, reference: Reference, *, brackets: bool = True) -> int:
    """Return where "Image" of "Image 1" starts, or "the" of "the second image"."""
    near = max(0, reference.start - _NEAR)
    found = _NOUN_BEFORE.search(text[near : reference.start])
    start = reference.start if found is None else near + found.start()
    return start + 1 if not brackets and text[start : start + 1] in tuple("<([（【") else start


def _noun_stop(text: str, reference: Reference) -> int:
    if reference.form in ("ordinal", "nth", "last") and (noun := _NOUN_AFTER.match(text, reference.stop)):
        return noun.end()
    return reference.stop
