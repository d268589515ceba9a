"""References to images in words: "image 2", "the second image", "images 1 and 3", "Image A", "<image 2>".

Found, and rewritten when images change places. Not a parser of English: a saying that may mean an image by its place
and is none of these forms ("the left image", "the former") is a doubt, and who rewrites leaves such words alone; so
is a number that counts (``counted``), a number by itself (``loose``), and what is said in another language.
Invariant: a reference that is rewritten keeps its form, its capitals and the words around it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from triptych.core.errors import DataError
from triptych.data.text.counted import VERBS, Said, bounded, is_name
from triptych.data.text.other_languages import find_foreign

Form = Literal["digits", "word", "letter", "ordinal", "nth", "last", "set"]

ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"),
    *("eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth"),
)
CARDINALS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Reference:
    """Words [start, stop) of a text that mean one image by its number, or a run of images ("images 1 to 3")."""

    start: int
    stop: int
    numbers: tuple[int, ...]
    """From 1; more than one only in the form ``set``."""
    form: Form


class UnclearError(DataError):
    """The words may mean an image in a way that cannot be rewritten. The message quotes them."""


_NOUN = r"(?i:images?|pictures?|photographs?|photos?|pics?|imgs?|frames?|views?|snapshots?)"
_DIGITS = r"\d{1,3}(?![A-Za-z0-9_%])(?![.:]\d)(?!,\d{3})"
_CARDINAL = rf"(?i:{'|'.join(CARDINALS)})(?!\w)"
_LETTER = r"[A-HJ-Z](?![\w'’])"
_NTH = r"\d{1,3}(?i:st|nd|rd|th)(?!\w)"
_ORDINAL = rf"(?:(?i:{'|'.join(ORDINALS)}|last|final)(?!\w)|{_NTH})"
_AND = r"(?:\s*,\s*(?i:and\s+|or\s+|&\s*)?|\s+(?i:and|or|versus|vs\.?)\s+|\s*[&/+]\s*)"
_TO = r"(?:\s*[-–—]\s*|\s+(?i:to|through|thru)\s+)"
_AFTER = bounded(
    rf"(?<![A-Za-z0-9])(?P<noun>{_NOUN})(?:(?:\s*[_#-]?\s*|\s+(?i:no\.?|number|nr\.?)\s*)(?P<digits>{_DIGITS})"
    rf"|[\s_-]+(?i:number\s+)?(?P<word>{_CARDINAL})|[\s_-]+(?P<letter>{_LETTER}))"
)
_IMAGE_I = bounded(rf"(?<![A-Za-z0-9]){_NOUN}[\s_-]+I(?=\s*(?:[.,;:?!)]|$)|\s+(?:is|has|shows|and|or)\b)")
"""Never a reference: "photos I took"."""
_MORE = {
    "digits": bounded(rf"{_AND}(?P<atom>{_DIGITS})"),
    "word": bounded(rf"{_AND}(?P<atom>{_CARDINAL})"),
    "letter": bounded(rf"{_AND}(?P<atom>{_LETTER})"),
}
_AND_NOUN = bounded(rf"{_AND}{_NOUN}\s*#?\s*(?:{_DIGITS}|{_CARDINAL}|{_LETTER})")
_RANGE = bounded(rf"{_TO}(?P<atom>{_DIGITS})")
_KINDS = r"(?i:(?:provided|given|shown|attached|uploaded|displayed)\s+)?"
_BEFORE = bounded(
    rf"(?<![A-Za-z0-9-])(?P<list>{_ORDINAL}(?:{_AND}(?i:the\s+)?{_ORDINAL}){{0,15}})\s+"
    rf"(?:(?i:of|in)\s+(?i:the\s+|these\s+|those\s+)?(?:(?:{_CARDINAL}|\d+)\s+)?)?{_KINDS}{_NOUN}(?!\w)"
)
_ONE_ORDINAL = bounded(_ORDINAL)
_FEW = bounded(
    rf"(?<![A-Za-z])(?P<which>(?i:first|last|final))\s+(?P<count>{_CARDINAL}|\d{{1,2}})\s+{_KINDS}{_NOUN}(?!\w)"
)
_END = bounded(r"\s*(?:[.?!;:)\]]|$)")
_NEAR = 24
_SOME = bounded(r"(?i)\b(?:an?|another|every)\s+$")
_SIDE = r"(?:left|right|middle|central|centre|center|top|bottom|upper|lower)(?:[- ]?most|[- ]hand(?: side)?)?"
_DOUBTS = (
    bounded(
        rf"(?i)\b(?:{_SIDE}|previous|preceding|next|following|former|latter|earlier|later|initial|opening)\s+{_NOUN}(?!\w)"
    ),
    bounded(rf"(?i)\b{_NOUN}(?:'s)?\s+(?:shown\s+|is\s+)?(?:on|to|at|in)\s+the\s+(?:far\s+)?{_SIDE}\b"),
    bounded(r"(?i)\bthe\s+(?:former|latter)\b"),
    bounded(
        rf"(?i)\bthe\s+{_ORDINAL}(?:\s+ones?\b|['’]s\b|\s+of\s+(?:them|these|those)\b"
        rf"|(?=\s*(?:[.,;:?!()–—]|$)|\s+(?:and|or|are|were|have|had|did|do|than|also|both|clearly|{'|'.join(sorted(VERBS))})\b))"
    ),
    bounded(rf"(?i)\bthe\s+(?:first|last)\s+{_CARDINAL}(?=\s*(?:[.,;:?!()]|$)|\s+(?:are|were|have|show|both|and)\b)"),
    bounded(rf"(?i)\b(?:a|an|another|every)\s+{_ORDINAL}\s+{_NOUN}(?!\w)"),
    bounded(r"(?i)\b(?:first|last)\s+(?:few|couple)\b|\brespectively\b"),
    bounded(rf"(?i)\b{_NOUN}(?:\s*[,:(]|\s+(?:between|among|of))\s*{_DIGITS}{_AND}\s*{_DIGITS}"),
    bounded(r"(?i)\b(?:comes?|appears?|goes?|placed|shown)\s+(?:first|last)\b"),
    bounded(rf"(?i)\b(?:slides?|figures?|fig\.|panels?|screenshots?|drawings?|scans?)\s*#?{_DIGITS}"),
)
_WITHIN = bounded(
    r"(?i)\s+\w+\s+(?:on|in|at|above|below|under|beside|from|of)\s+(?!order\b|all\b|these\b|those\b|them\b)"
    r"(?!(?:the|this|a|all)\s+(?:sets?|series|sequence|row|album|order|images?|pictures?|photos?|frames?|group)\b)"
)
"""Behind an ordinal: "the third picture on the wall" is within an image; "the third picture of the series" is one."""


def find_references(text: str, *, count: int, shown: int | None = None) -> tuple[Reference, ...]:
    """Return the references in reading order.

    Args:
        text: what is said.
        count: images there are in all, which says what letters are images. Numbers above it are returned too: whoever
            asks says what they mean.
        shown: images shown up to the end of the turn, the last of which "the last image" means. None or 0: all.
    """
    last = shown or count
    found = [*_numbered(text, count), *_ordinal(text, last), *_few(text, last)]
    found.sort(key=lambda reference: (reference.start, -reference.stop))
    kept: list[Reference] = []
    for reference in found:
        if not kept or reference.start >= kept[-1].stop:
            kept.append(reference)
    return tuple(kept)


def find_doubt(text: str, *, count: int) -> str | None:
    """Return words that may mean an image by its place but are no reference of a known form; None: there are none."""
    return next(find_doubts(text, count=count), None)


def find_doubts(text: str, *, count: int) -> Iterator[str]:
    """Yield all such words."""
    yield from _doubts(text, count, find_references(text, count=count))


def _doubts(text: str, count: int, references: Sequence[Reference]) -> Iterator[str]:
    spans = [(reference.start, reference.stop) for reference in references]
    for doubt in _DOUBTS:
        for match in doubt.finditer(text):
            if not any(start < match.end() and match.start() < stop for start, stop in spans):
                yield match.group().strip()
    yield from find_foreign(text)
    yield from _ambiguous(text, count)


def may_name(text: str, *, count: int) -> bool:
    """Return whether words name an image, or may do so: then none may go, nor may others come before it.

    Of one image only what may be its number counts: "the former" and "the left picture" mean none then.
    """
    references = find_references(text, count=count)
    doubts = _ambiguous(text, count) if count == 1 else _doubts(text, count, references)
    return bool(references) or next(doubts, None) is not None


def find_unsure(text: str, *, count: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield words that are names of images or counts, as one reads them, and the numbers that they say."""
    for match in _AFTER.finditer(text):
        listed, said, unclear = _listed(text, match, count)
        if unclear or (listed and not is_name(text, said)):
            yield unclear or text[said.start : said.stop], tuple(it for each in listed for it in each.numbers)


def is_within(text: str, reference: Reference) -> bool:
    """Return whether an ordinal may mean a picture within an image: "the first picture on the wall"."""
    return reference.form in ("ordinal", "nth", "last") and _WITHIN.match(text, reference.stop) is not None


def is_from_end(words: str) -> bool:
    """Return whether the words of a reference count from the end: "last", "final two images"."""
    return words.lower().startswith(("last", "final"))


def renumber(
    text: str,
    new: Callable[[int], int],
    *,
    count: int,
    shown: int | None = None,
    now: int | None = None,
    keep: frozenset[int] = frozenset(),
) -> str:
    """Return the text with each reference to image k made one to image ``new(k)``, in the same form.

    Args:
        text: what is said.
        new: number of an image -> its new number, both from 1.
        count: images before the change.
        shown: those shown up to the end of the turn, which say what "last" means; None or 0: all.
        now: the same after the change; None: as many.
        keep: starts of references that stay as they are.

    Raises:
        UnclearError: a doubt; a number above ``count``; a run of images that would no longer be one.
    """
    shown = shown or count
    references = find_references(text, count=count, shown=shown)
    if doubt := next(_doubts(text, count, references), None):
        raise UnclearError(f"the words {doubt!r} may mean an image by its place")
    now = shown if now is None else now
    said: list[str] = []
    end = 0
    for reference in references:
        words = text[reference.start : reference.stop]
        if reference.start in keep:
            continue
        if wrong := [number for number in reference.numbers if not 1 <= number <= count]:
            raise UnclearError(f"the words {words!r} mean image {wrong[0]} of {count}")
        numbers = tuple(map(new, reference.numbers))
        before, after = (shown, now) if is_from_end(words) else (0, 0)
        if {number - after for number in numbers} == {number - before for number in reference.numbers}:
            continue
        if reference.form == "set":
            raise UnclearError(f"the words {words!r} mean several images, which would no longer be a run")
        said += [text[end : reference.start], spell(numbers[0], reference.form, like=words, count=now)]
        end = reference.stop
    return "".join(said) + text[end:]


def spell(number: int, form: Form, *, like: str = "", count: int = 0) -> str:
    """Return a number in a form: 2, "two", "B", "second", "2nd", "last" (where it is), capitals like ``like``."""
    match form:
        case "word" if number <= len(CARDINALS):
            said = CARDINALS[number - 1]
        case "letter" if number <= len(LETTERS):
            return LETTERS[number - 1]
        case "last" if number == count:
            said = like or "last"
        case "ordinal" | "last" if number <= len(ORDINALS):
            said = ORDINALS[number - 1]
        case "ordinal" | "last" | "nth":
            said = f"{number}{nth_ending(number)}"
        case _:
            return str(number)
    return said[0].upper() + said[1:] if like[:1].isupper() else said


def nth_ending(number: int) -> str:
    """Return what follows the digits of a number in "1st", "2nd", "3rd", "4th"."""
    if number % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def _numbered(text: str, count: int) -> Iterator[Reference]:
    """Yield the references whose number stands after the noun, lists included."""
    for match in _AFTER.finditer(text):
        listed, said, _ = _listed(text, match, count)
        if listed and is_name(text, said):
            yield from listed


def _listed(text: str, match: re.Match[str], count: int) -> tuple[list[Reference], Said, str]:
    """Return what a noun and the numbers behind it name if they name anything; how they are said; and words of them
    that may go on with a list or not: "image 1 and 2" of "image 1 and 2 dogs", else empty."""
    form: Form = "digits" if match["digits"] else "word" if match["word"] else "letter"
    first = Reference(match.start(form), match.end(form), (_value(match[form]),), form)
    found = [] if form == "letter" and not _is_letter(match[form], count) else [first]
    unclear = ""
    end = match.end()
    if form == "digits" and (to := _RANGE.match(text, end)) and int(to["atom"]) > first.numbers[0]:
        end = to.end("atom")
        found = [Reference(first.start, end, tuple(range(first.numbers[0], int(to["atom"]) + 1)), "set")]
    while found and found[0].form in _MORE and (more := _MORE[form].match(text, end)):
        value = _value(more["atom"])
        if not _continues(text, match["noun"], more) or (form == "letter" and value > count):
            unclear = text[match.start() : more.end()] if value <= count else ""
            break
        found.append(Reference(more.start("atom"), more.end("atom"), (value,), form))
        end = more.end()
    several = len(found) > 1 or bool(found and found[0].form == "set") or _AND_NOUN.match(text, end) is not None
    said = Said(match.start(), end, match["noun"], form, first.numbers[0], several)
    return found, said, unclear


def _continues(text: str, noun: str, more: re.Match[str]) -> bool:
    """Return whether "images 1 and 2" goes on to the 2. "In image 1 and 2 dogs" does not, "image 1 and 2?" does."""
    return noun.lower().endswith("s") or _END.match(text, more.end()) is not None


def _ordinal(text: str, shown: int) -> Iterator[Reference]:
    for match in _BEFORE.finditer(text):
        if _SOME.search(text[_near(match) : match.start()]):
            continue
        for atom in _ONE_ORDINAL.finditer(text, match.start("list"), match.end("list")):
            word = atom.group().lower()
            if word in ("last", "final"):
                yield Reference(atom.start(), atom.end(), (shown,), "last")
            elif word[0].isdigit():
                yield Reference(atom.start(), atom.end(), (int(word[:-2]),), "nth")
            else:
                yield Reference(atom.start(), atom.end(), (ORDINALS.index(word) + 1,), "ordinal")


def _few(text: str, shown: int) -> Iterator[Reference]:
    """Yield "the first two images" as the run that it is."""
    for match in _FEW.finditer(text):
        many = _value(match["count"])
        first = 1 if match["which"].lower() == "first" else shown - many + 1
        if many and first > 0:
            yield Reference(match.start(), match.end(), tuple(range(first, first + many)), "set")


def _ambiguous(text: str, count: int) -> Iterator[str]:
    """Yield what is a reference or not as one reads it: "the image A", "image 1 and 2 dogs", "this image 2 dogs"."""
    if count > LETTERS.index("I") and (found := _IMAGE_I.search(text)):
        yield found.group()
    yield from (said for said, _ in find_unsure(text, count=count))


def _near(match: re.Match[str]) -> int:
    """Return from where words may belong to a match: never the whole text, which may be long."""
    return max(0, match.start() - _NEAR)


def _is_letter(letter: str, count: int) -> bool:
    return LETTERS.index(letter) < count


def _value(said: str) -> int:
    if said.isdecimal():
        return int(said)
    return CARDINALS.index(said.lower()) + 1 if len(said) > 1 else LETTERS.index(said) + 1
