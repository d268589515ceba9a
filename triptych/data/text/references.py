"""References to images in words: "image 2", "the second image", "images 1 and 3", "Image A", "<image 2>".

Found, and rewritten when images change places. Not a parser of English: a saying that may mean an image by its place
and is none of these forms ("the left image", "the former") is a doubt, and who rewrites leaves such words alone; so
is a number by itself ("2 is older"), which ``find_loose`` finds where images were named before.
Invariant: a reference that is rewritten keeps its form, its capitals and the words around it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from triptych.core.errors import DataError

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


def _compiled(pattern: str) -> re.Pattern[str]:
    """Return the pattern with bounded white space: a long run of it in a row must not make a search slow."""
    return re.compile(pattern.replace(r"\s+", r"\s{1,8}").replace(r"\s*", r"\s{0,8}"))


_NOUN = r"(?i:images?|pictures?|photographs?|photos?|pics?|imgs?|frames?|views?|snapshots?)"
_DIGITS = r"\d{1,3}(?![\w%])(?!\.\d)(?!,\d{3})"
_CARDINAL = rf"(?i:{'|'.join(CARDINALS)})(?!\w)"
_LETTER = r"[A-Z](?![\w'’])"
_NTH = r"\d{1,3}(?i:st|nd|rd|th)(?!\w)"
_ORDINAL = rf"(?:(?i:{'|'.join(ORDINALS)}|last|final)(?!\w)|{_NTH})"
_AND = r"(?:\s*,\s*(?i:and\s+|or\s+|&\s*)?|\s+(?i:and|or|versus|vs\.?)\s+|\s*[&/+]\s*)"
_TO = r"(?:\s*[-–—]\s*|\s+(?i:to|through|thru)\s+)"
_AFTER = _compiled(
    rf"(?<![A-Za-z0-9])(?P<noun>{_NOUN})(?:(?:\s*[_#-]?\s*|\s+(?i:no\.?|number|nr\.?)\s*)(?P<digits>{_DIGITS})"
    rf"|[\s_-]+(?i:number\s+)?(?P<word>{_CARDINAL})|[\s_-]+(?P<letter>{_LETTER}))"
)
_MORE = {
    "digits": _compiled(rf"{_AND}(?P<atom>{_DIGITS})"),
    "word": _compiled(rf"{_AND}(?P<atom>{_CARDINAL})"),
    "letter": _compiled(rf"{_AND}(?P<atom>{_LETTER})"),
}
_RANGE = _compiled(rf"{_TO}(?P<atom>{_DIGITS})")
_KINDS = r"(?i:(?:provided|given|shown|attached|uploaded|displayed)\s+)?"
_BEFORE = _compiled(
    rf"(?<![A-Za-z0-9-])(?P<list>{_ORDINAL}(?:{_AND}(?i:the\s+)?{_ORDINAL}){{0,15}})\s+"
    rf"(?:(?i:of|in)\s+(?i:the\s+|these\s+|those\s+)?(?:(?:{_CARDINAL}|\d+)\s+)?)?{_KINDS}{_NOUN}(?!\w)"
)
_ONE_ORDINAL = _compiled(_ORDINAL)
_FEW = _compiled(
    rf"(?<![A-Za-z])(?P<which>(?i:first|last|final))\s+(?P<count>{_CARDINAL}|\d{{1,2}})\s+{_KINDS}{_NOUN}(?!\w)"
)
_ARTICLE = _compiled(r"(?i)\b(?:the|this|that|an|a|each|every|any|another)\s+$")
_END = _compiled(r"\s*(?:[.?!;:)\]]|$)")
_NEAR = 24
_SOME = _compiled(r"(?i)\b(?:an?|another|every)\s+$")
_SIDE = r"(?:left|right|middle|central|centre|center|top|bottom|upper|lower)(?:[- ]?most|[- ]hand(?: side)?)?"
_DOUBTS = (
    _compiled(
        rf"(?i)\b(?:{_SIDE}|previous|preceding|next|following|former|latter|earlier|later|initial|opening)\s+{_NOUN}(?!\w)"
    ),
    _compiled(rf"(?i)\b{_NOUN}(?:'s)?\s+(?:shown\s+|is\s+)?(?:on|to|at|in)\s+the\s+(?:far\s+)?{_SIDE}\b"),
    _compiled(r"(?i)\bthe\s+(?:former|latter)\b"),
    _compiled(
        rf"(?i)\bthe\s+{_ORDINAL}(?:\s+ones?\b|(?=\s*(?:[.,;:?!)]|$)|\s+(?:and|or|is|are|was|shows?|has|does|than)\b))"
    ),
    _compiled(rf"(?i)\b(?:a|an|another|every)\s+{_ORDINAL}\s+{_NOUN}(?!\w)"),
    _compiled(r"(?i)\b(?:first|last)\s+(?:few|couple)\b|\brespectively\b"),
    _compiled(rf"(?i){_NOUN}(?:\s*[,:(]|\s+(?:between|among|of))\s*{_DIGITS}{_AND}\s*{_DIGITS}"),
    _compiled(r"(?i)\b(?:comes?|appears?|goes?|placed|shown)\s+(?:first|last)\b"),
    _compiled(rf"(?i)\b(?:slides?|figures?|fig\.|panels?|screenshots?|drawings?|scans?)\s*#?{_DIGITS}"),
)
_WITHIN = _compiled(
    r"(?i)\s+\w+\s+(?:on|in|at|above|below|under|beside|from|of)\s+(?!order\b|all\b|these\b|those\b|them\b)"
    r"(?!(?:the|this|a|all)\s+(?:sets?|series|sequence|row|album|order|images?|pictures?|photos?|frames?|group)\b)"
)
"""Behind an ordinal: "the third picture on the wall" is within an image; "the third picture of the series" is one."""
_UNCOUNTED = (
    r"(?=[^\w\s'’-]|['’](?!\w)|\s*$|\s+[^\w\s\"“'‘]|\s+(?i:and|or|is|are|was|were|do|does|did|has|have|had|shows"
    r"|depicts|features|displays|contains|looks|appears|seems|because|since|as|than|then|but|not|only|in|to|for|from|on"
    r"|with|while|which|that|where|who)\b)"
)
"""Where no thing follows that is counted: "Two is older." and "A and B", not "two dogs" and "A dog"."""
_LOOSE = (
    _compiled(r"(?<![\w'’])(?<!\d[.,])(?P<said>\d{1,3})(?:st|nd|rd|th)?(?![\w%])(?!\.\d)(?!,\d{3})"),
    _compiled(rf"(?<![\w'’-])(?<!\bthe )(?<!\bthese )(?<!\bof )(?P<said>(?i:{'|'.join(CARDINALS[1:])})){_UNCOUNTED}"),
    _compiled(
        r"(?:(?:^|[^\w\s,])\s*|\b(?i:number|no|option|answer|choice|only|just|in|from|to|than|is|and|or)\s+)"
        rf"(?P<said>(?i:one)){_UNCOUNTED}"
    ),
    _compiled(rf"(?<![\w'’&])(?P<said>[AIai]){_UNCOUNTED}"),
    _compiled(r"(?<![\w'’&])(?P<said>[B-HJ-Zb-hj-z])(?![\w'’]|-\w)"),
)
"""Numbers, number words and letters by themselves; "one" and "a" only where they are no pronoun and no article."""


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
    spans = [(reference.start, reference.stop) for reference in find_references(text, count=count)]
    for doubt in _DOUBTS:
        for match in doubt.finditer(text):
            if not any(start < match.end() and match.start() < stop for start, stop in spans):
                yield match.group().strip()
    yield from _ambiguous(text, count)


def is_within(text: str, reference: Reference) -> bool:
    """Return whether an ordinal may mean a picture within an image: "the first picture on the wall"."""
    return reference.form in ("ordinal", "nth", "last") and _WITHIN.match(text, reference.stop) is not None


def is_from_end(words: str) -> bool:
    """Return whether the words of a reference count from the end: "last", "final two images"."""
    return words.lower().startswith(("last", "final"))


def find_loose(text: str, *, count: int, other: Collection[str] = ()) -> str | None:
    """Return a number, number word or letter of a reply that may mean an image by itself; None: there is none.

    Args:
        text: a reply, once images were named by number.
        count: images there are; what is above it means none.
        other: what means something else, as the letters of options do.
    """
    spans = [(reference.start, reference.stop) for reference in find_references(text, count=count)]
    for loose in _LOOSE:
        for match in loose.finditer(text):
            said, at = match["said"], match.start("said")
            if said in other or any(start <= at < stop for start, stop in spans):
                continue
            if 1 <= _value(said if len(said) > 1 else said.upper()) <= count:
                return said
    return None


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
    if doubt := find_doubt(text, count=count):
        raise UnclearError(f"the words {doubt!r} may mean an image by its place")
    shown = shown or count
    now = shown if now is None else now
    said: list[str] = []
    end = 0
    for reference in find_references(text, count=count, shown=shown):
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
        form: Form = "digits" if match["digits"] else "word" if match["word"] else "letter"
        if form == "letter" and not _is_letter(match[form], count):
            continue
        if form != "digits" and _ARTICLE.search(text[_near(match) : match.start()]):
            continue
        first = Reference(match.start(form), match.end(form), (_value(match[form]),), form)
        if form == "digits" and (to := _RANGE.match(text, match.end())) and int(to["atom"]) > first.numbers[0]:
            numbers = tuple(range(first.numbers[0], int(to["atom"]) + 1))
            yield Reference(first.start, to.end("atom"), numbers, "set")
            continue
        yield first
        end = match.end()
        while more := _MORE[form].match(text, end):
            if not _continues(text, match["noun"], more) or (form == "letter" and not _is_letter(more["atom"], count)):
                break
            yield Reference(more.start("atom"), more.end("atom"), (_value(more["atom"]),), form)
            end = more.end()


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
    """Yield what is a reference or not as one reads it: "the image A", "image 1 and 2 dogs"."""
    for match in _AFTER.finditer(text):
        form = match.lastgroup or "digits"
        letter = form == "letter" and _is_letter(match[form], count)
        if (letter or form == "word") and _ARTICLE.search(text[_near(match) : match.start()]):
            yield match.group()
        end = match.end()
        while form in _MORE and (more := _MORE[form].match(text, end)):
            if not _continues(text, match["noun"], more) and _value(more["atom"]) <= count:
                yield text[match.start() : more.end()]
            end = more.end()


def _near(match: re.Match[str]) -> int:
    """Return from where words may belong to a match: never the whole text, which may be long."""
    return max(0, match.start() - _NEAR)


def _is_letter(letter: str, count: int) -> bool:
    return LETTERS.index(letter) < count


def _value(said: str) -> int:
    if said.isdecimal():
        return int(said)
    return CARDINALS.index(said.lower()) + 1 if len(said) > 1 else LETTERS.index(said) + 1
