"""The options that the words of one's own question list, A, B and so on, and which of them a reference is.

Not which one a reply chooses (``reading/choices``). A mark counts at the beginning of a line, behind punctuation or a
word that asks to choose, and behind an option of its own listing; so "Image A: ... Image B: ..." lists none. Numbers
count at the beginnings of lines, where the reference is one of them or an option's words and nothing is counted. A
listing with an option that has no words, as of images, is none.
"""

from __future__ import annotations

import re
from itertools import pairwise
from string import ascii_lowercase, ascii_uppercase

from triptych.evaluate.reading import choices, scorers

_CJK = r"\u2e80-\u9fff\uf900-\ufaff"
_BREAK = rf"(?=[\s{_CJK}]|$)"
_LINE = r"(?m:^)[^\S\n]*(?:[-*•>][^\S\n]+)?"
_BEFORE = rf"(?:{_LINE}|(?<=[.?!:;,>\"])\s+|(?<=[。？！：；，、]))"
"""What may stand before the first mark of a listing."""
_ASKED = r"(?:(?<=\bpick)|(?<=\bchoose)|(?<=\bfrom)|(?<=\bselect)|(?<=\bbetween)|(?<=\boptions)|(?<=\bchoices))\s+"
_WITHIN = r"(?:(?<=\bis)|(?<=\bare)|(?<=\bwhich)|(?<=\beither))\s+"
"""Words before a mark in brackets alone, as in "Is (A) red or (B) blue bigger?"."""
_NEXT = rf"(?:{_LINE}|\s+|(?<=[^\sA-Za-z0-9]))"
"""What may stand before the later ones."""
_LETTER = "(?P<mark>[A-Z])"
_FORMS = (
    (rf"[(（]{_LETTER}[)）]\s*", ascii_uppercase, rf"(?:{_BEFORE}|(?i:{_ASKED}|{_WITHIN})|(?<=[{_CJK}]))"),
    (r"[(（](?P<mark>[a-z])[)）]\s*", ascii_lowercase, rf"(?:{_BEFORE}|(?i:{_ASKED}|{_WITHIN}))"),
    (rf"\[{_LETTER}\]\s*", ascii_uppercase, rf"(?:{_BEFORE}|(?i:{_ASKED}|{_WITHIN}))"),
    (rf"{_LETTER}[)）]\s*", ascii_uppercase, rf"(?:{_BEFORE}|(?i:{_ASKED}))"),
    (rf"{_LETTER}(?:\.{_BREAK}|[．、])\s*", ascii_uppercase, rf"(?:{_BEFORE}|(?i:{_ASKED}))"),
    (rf"{_LETTER}(?::{_BREAK}|：)\s*", ascii_uppercase, rf"(?:{_BEFORE}|(?i:{_ASKED}))"),
)
_LINE_FORMS = (
    (rf"{_LINE}{_LETTER}\.(?=[^\W\d_])", ascii_uppercase),
    (rf"{_LINE}{_LETTER} +[-–—] +", ascii_uppercase),
)
_NUMBER_FORMS = tuple(
    (rf"{_LINE}{form}", "") for form in (r"(?P<mark>\d{1,2})[.)．、](?!\d)\s*", r"[(（](?P<mark>\d{1,2})[)）]\s*")
)
_MARKS = tuple(
    (re.compile(rf"{first}{form}"), re.compile(rf"{_NEXT}{form}"), letters) for form, letters, first in _FORMS
) + tuple((re.compile(form), re.compile(form), letters) for form, letters in _LINE_FORMS)
_NUMBERED = tuple((re.compile(form), re.compile(form), letters) for form, letters in _NUMBER_FORMS)
"""How the first option of a listing and the later ones are marked, one way in one listing, and by what."""
_AT_BEGIN = re.compile(r"[^\S\n]*(?:[-*•>][^\S\n]+)?[(（\[]?")
_OR = re.compile(r"(?:[\s,;，；]+(?:or|and)|[\s,;，；]*(?:或者?|还是))?[\s,;，；、]*$")
_OTHER_WORDS = re.compile(
    r"(?<=\?)|[？。]"
    r"|(?<!\bMr)(?<!\bDr)(?<!\bSt)(?<!\bMs)(?<!\bMt)(?<!\bMrs)(?<!\b[A-Z])[.!]\s+(?=[\"'(]?[A-Z])"
    r"|\s+(?=(?:Answer|Please|Choose|Select|Pick|Reply|Respond|Output|What|Which|Who|Where|How)\s+\w+\s+\w)"
)
"""Where the last option of a listing on one line ends, and the question goes on."""
_REFERENCE_LETTER = re.compile(r"[(（\[]?([A-Z]|(?<=[(（])[a-z])(?:[)）\].:：．、].*)?", re.DOTALL)
_REFERENCE_NUMBER = re.compile(r"[(（]?(\d{1,2})(?:[)）.．、](?!\d).*)?", re.DOTALL)
_SAYS_WHICH = ("marked", "whole", "statement")
"""Rules by which ``choices`` reads the option that a reference is, and not one that it speaks of."""
_FRAME = re.compile(r"(?i)\W*(?:(?:the|it|is|correct|answer|option|number)\b[\s:]*)*")
_COUNTS = re.compile(r"(?i)\bhow many\b|\bcount\b|\bnumber of\b")
"""The question wants a number, and that of a line is another."""


def listed_in(text: str) -> list[str]:
    """Return the options that the words list last with letters, without these; none where they list none."""
    return _last(text, _MARKS)


def numbered_in(text: str) -> list[str]:
    """Return the options that lines of the words list last with numbers from 1, without these; none likewise."""
    return [] if _COUNTS.search(text) else _last(text, _NUMBERED)


def position_of(options: list[str], reference: str) -> int | None:
    """Return which of the options with letters a reference is; None: none of them, or several."""
    if not options:
        return None
    if (found := _REFERENCE_LETTER.fullmatch(reference)) is not None:
        at = ascii_uppercase.find(found[1].upper())
        return at if at < len(options) else None
    if (named := _named(options, reference)) is not None:
        return named
    chosen = choices.choose(options, reference)
    return chosen.option if chosen.sure and chosen.rule in _SAYS_WHICH else None


def numbered_position(options: list[str], text: str) -> int | None:
    """Return which of the options with numbers a text is, by its number or its words; None likewise."""
    said = choices.spoken(text)
    found = _REFERENCE_NUMBER.fullmatch(said[_end_of_frame(said) :].rstrip(" ."))
    if found is not None and 1 <= int(found[1]) <= len(options):
        named = _named(options, said)  # "4" where the words of an option are "4"
        return named if named is not None else int(found[1]) - 1
    spelt = scorers.normalise(said)
    at = int(spelt) - 1 if spelt.isascii() and spelt.isdecimal() and len(spelt) < 3 else -1
    named = _named(options, said)
    return at if named is None and 0 <= at < len(options) else named


def _end_of_frame(text: str) -> int:
    found = _FRAME.match(text)
    opened = found is not None and found.end() > 0 and text[found.end() - 1] in "(（"
    return 0 if found is None else found.end() - opened


def _named(options: list[str], reference: str) -> int | None:
    """Return the one option of these words; nothing where there are several, or none."""
    said = scorers.normalise(reference)
    found = [at for at, option in enumerate(options) if said and scorers.normalise(option) == said]
    return found[0] if len(found) == 1 else None


def _last(text: str, forms: tuple[tuple[re.Pattern[str], re.Pattern[str], str], ...]) -> list[str]:
    plain = text.replace("**", "")
    best: list[re.Match[str]] = []
    for first, later, letters in forms:
        run = _last_run(plain, first, later, letters)
        if run and (not best or run[0].start("mark") >= best[0].start("mark")):
            best = run
    found = _words_of(plain, best)
    return found if all(re.search(r"\S", option) for option in found) else []


def _last_run(text: str, first: re.Pattern[str], later: re.Pattern[str], letters: str) -> list[re.Match[str]]:
    """Return the marks of the last listing of one form with two options or more; none where there is none.

    A later option stands on the line of the one before it, or begins a line; another first one ends the listing.
    """
    begins = [begin for begin in first.finditer(text) if _order(begin, letters) == 0]
    ends = [*(begin.start("mark") for begin in begins[1:]), len(text)]
    for begin, end in reversed([*zip(begins, ends, strict=False)]):
        run = [begin]
        for mark in later.finditer(text, begin.end(), end):
            at = mark.start("mark")
            line = text[text.rfind("\n", begin.end(), at) + 1 : at] if text.find("\n", run[-1].end(), at) >= 0 else ""
            if _order(mark, letters) == len(run) and _AT_BEGIN.fullmatch(line):
                run.append(mark)
        if len(run) >= 2:
            return run
    return []


def _order(mark: re.Match[str], letters: str) -> int:
    said = mark["mark"]
    return int(said) - 1 if said.isdecimal() else letters.find(said)


def _words_of(text: str, marks: list[re.Match[str]]) -> list[str]:
    """Return the words of each option: of its line alone, without the "or" before the next one."""
    if not marks:
        return []
    found = [_OR.sub("", text[mark.end() : later.start()].split("\n")[0].strip()) for mark, later in pairwise(marks)]
    last = text[marks[-1].end() :].split("\n")[0].strip()
    if "\n" not in text[marks[-2].end() : marks[-1].start("mark")]:
        ends = [end.start() for end in _OTHER_WORDS.finditer(last) if end.start() > 0]
        last = last[: min(ends, default=len(last))].rstrip("?.！!")
    return [option.strip() for option in (*found, _OR.sub("", last))]
