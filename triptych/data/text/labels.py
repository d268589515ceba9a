"""Labels of images: words that only say which image stands here, as in "Image 1: <image>" or "<image> is image 2,".

Not references: a label belongs to the place, a reference to the image. So a label stays when images change places, and
no second one is put where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from triptych.core.records import ImageRef, Part, Text
from triptych.data.text.references import Reference, find_references

# Possessive: a long run of white space must not be tried in all its parts.
_UP_TO_IMAGE = re.compile(r"[ \t]*+[)\]>]?[ \t]*+(?:(?:is|shows)\b)?[ \t]*+[:=,\-–—]*+\s*+$")
_LINE_OF_ITS_OWN = re.compile(r"[ \t]*+\.\s*+$")
_OPENED = re.compile(r"\s*[(\[][ \t]*(?:[Tt]he[ \t]+)?$")
_CLOSED = re.compile(r"[ \t]*[)\]][ \t]*[,.;:]?")
_LINE_ENDS = re.compile(r"[ \t]*(?:[\r\n]|$)")
_SAID_TO_BE = re.compile(r"[ \t]*(?:=|(?:is|as)\b)[ \t]*(?:the[ \t]+)?$")
"""In lower case and in the image's own line: "Is image 2 brighter?" is a question."""
_SAID = re.compile(r"[ \t]*(?:[,.;:]|(?=[?!)\]>|–—\r\n]|$|(?:and|or)\s*$))")
"""What ends such a label: punctuation, its line, or the words up to the next image."""
_NOUN_BEFORE = re.compile(r"[<(\[]?(?:the\s+)?[A-Za-z]*[ \t_#-]*$", re.IGNORECASE)
_NEAR = 40
"""Characters before a number that its noun is looked for in."""
_NOUN_AFTER = re.compile(r"[ \t]+[A-Za-z]+")
_NEUTRAL = re.compile(r"(?:[\s\W_]|\band\b|\bimages?\b)*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Label:
    """Characters [start, stop) of the text beside an image that name its place."""

    start: int
    stop: int
    at: int
    """Start of the number within them."""
    number: int
    """The image whose place it names."""


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


def label_after(text: str, number: int, *, count: int, shown: int | None = None) -> Label | None:
    """Return the label at the start of the words after image ``number``, as in "(image 2)"; None: there is none, as in
    "Is image 2 brighter?"."""
    references = find_references(text, count=count, shown=shown)
    if not references or references[0].numbers != (number,):
        return None
    first = references[0]
    lead = text[: _noun_start(text, first, brackets=False)]
    opened = _OPENED.match(lead)
    if opened is None and not _SAID_TO_BE.match(lead):
        return None
    end = (_CLOSED if opened else _SAID).match(text, _noun_stop(text, first))
    if end is None or ("\n" in lead and not _LINE_ENDS.match(text, end.end())):
        return None
    return Label(0, end.end(), first.start, number)


def labels_in(parts: Sequence[Part], first: int, *, count: int) -> dict[int, list[Label]]:
    """Return the labels in each Text of a turn, by its index; its images are numbered from ``first``."""
    found: dict[int, list[Label]] = {}
    number = first - 1
    shown = number + sum(isinstance(part, ImageRef) for part in parts)
    for index, part in enumerate(parts):
        if isinstance(part, ImageRef):
            number += 1
            continue
        if not isinstance(part, Text):
            continue
        labels: list[Label] = []
        follows = index > 0 and isinstance(parts[index - 1], ImageRef)
        if follows and (label := label_after(part.text, number, count=count, shown=shown)):
            labels.append(label)
        leads = index + 1 < len(parts) and isinstance(parts[index + 1], ImageRef)
        if leads and (label := label_before(part.text, number + 1, count=count, shown=shown)):
            labels.append(label)
        if labels:
            found[index] = labels
    return found


def unclear_label(parts: Sequence[Part], first: int, *, count: int) -> str | None:
    """Return words behind an image that may be its label or a question about it, as in "<image> is image 2 of my trip";
    None: there are none."""
    labels = labels_in(parts, first, count=count)
    number = first - 1
    for index, part in enumerate(parts):
        number += isinstance(part, ImageRef)
        if not isinstance(part, Text) or not index or not isinstance(parts[index - 1], ImageRef):
            continue
        for reference in find_references(part.text, count=count)[:1]:
            own = reference.numbers == (number,) and all(label.start for label in labels.get(index, []))
            if own and _SAID_TO_BE.match(part.text[: _noun_start(part.text, reference, brackets=False)]):
                return part.text[: reference.stop].strip()
    return None


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


def _noun_start(text: str, reference: Reference, *, brackets: bool = True) -> int:
    """Return where "Image" of "Image 1" starts, or "the" of "the second image"."""
    near = max(0, reference.start - _NEAR)
    found = _NOUN_BEFORE.search(text[near : reference.start])
    start = reference.start if found is None else near + found.start()
    return start + 1 if not brackets and text[start : start + 1] in ("<", "(", "[") else start


def _noun_stop(text: str, reference: Reference) -> int:
    if reference.form in ("ordinal", "nth", "last") and (noun := _NOUN_AFTER.match(text, reference.stop)):
        return noun.end()
    return reference.stop
