"""The options that the words of one's own question list, A, B and so on, and which of them a reference is.

Not which one a reply chooses (``reading/choices``). A mark counts at the beginning of a line, behind punctuation or a
word that asks to choose, and behind an option of its own listing; so "Image A: ... Image B: ..." lists none. Lines one
after another may have their letters in any order, as may ``{"A": "cat", "B": "dog"}``: a letter names its option where
that stands, so options are returned by their letters. Numbers count at the beginnings of lines, where the reference is
one of them or an option's words and nothing is counted. A listing with an option that has no words, as of images, is
none. The time grows as the text does.
"""

from __future__ import annotations

import re
from itertools import pairwise
from string import ascii_lowercase, ascii_uppercase

from triptych.evaluate.reading import choices, scorers
from triptych.evaluate.reading.signs import with_grades

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
_BARE = (
    (
        re.compile(r"\b(?:[Oo]ptions|[Cc]hoices):\s*(?P<mark>A)\s+(?!(?:and|or|is|are)\b)(?=[\w\"'($])"),
        re.compile(r"(?:\s*[;,|]|\n)\s*(?P<mark>[A-Z])\s+(?=[\w\"'($])"),
        ascii_uppercase,
    ),
)
"""Letters with nothing behind them, which else are words: "Choices: A cat; B dog"."""
_LINE_FORMS = (
    (rf"{_LINE}{_LETTER}\.(?=[^\W\d_])", ascii_uppercase),
    (rf"{_LINE}{_LETTER} +[-–—] +", ascii_uppercase),
)
_NUMBER_FORMS = tuple(
    (rf"{_LINE}{form}", "") for form in (r"(?P<mark>\d{1,2})[.)．、](?!\d)\s*", r"[(（](?P<mark>\d{1,2})[)）]\s*")
)
_MARKS = (
    *((re.compile(rf"{first}{form}"), re.compile(rf"{_NEXT}{form}"), letters) for form, letters, first in _FORMS),
    *((re.compile(form), re.compile(form), letters) for form, letters in _LINE_FORMS),
)
_LINES = tuple(
    (re.compile(form), letters)
    for form, letters in (*((f"{_LINE}{form}", letters) for form, letters, _ in _FORMS[:-1]), *_LINE_FORMS)
)
_SPEAKERS = tuple((re.compile(f"{_LINE}{form}"), letters) for form, letters, _ in _FORMS[-1:])
"""How each option is marked where each has a line; with a colon it may be who speaks: no listing is given up for it."""
_NUMBERED = tuple((re.compile(form), re.compile(form), letters) for form, letters in _NUMBER_FORMS)
"""How the first option of a listing and the later ones are marked, one way in one listing, and by what."""
_AT_BEGIN = re.compile(r"[^\S\n]*(?:[-*•>][^\S\n]+)?[(（\[]?")
_COMMAS = " \n,;，；、"
_OR = re.compile(r"(?:(?<=[\s,;，；])(?:or|and)|或者?|还是)$")
_SAID = r"(?:\"[^\"\n]*\"|'(?:[^'\n]|(?<=\w)'(?=\w))*')"
_MEMBER = re.compile(rf"[\"']([A-Z])[\"']\s*:\s*({_SAID})")
_UNREAD = rf"[\"'][A-Z][\"']\s*:\s*{_SAID}"
_MEMBERS = re.compile(rf"\{{\s*{_UNREAD}(?:\s*,\s*{_UNREAD})+\s*,?\s*\}}")
"""A mapping of letters to their options, as JSON and Python write it."""
_OTHER_WORDS = re.compile(
    r"(?<=\?)|[？。]"
    r"|(?<!\bMr)(?<!\bDr)(?<!\bSt)(?<!\bMs)(?<!\bMt)(?<!\bMrs)(?<!\b[A-Z])[.!]\s+(?=[\"'(]?[A-Z])"
    r"|[\s;；]\s?(?=(?:Answer|Please|Choose|Select|Pick|Reply|Respond|Output|What|Which|Who|Where|How)\s+\w+\s+\w)"
)
"""Where the last option of a listing on one line ends, and the question goes on."""
_REFERENCE_LETTER = re.compile(r"[(（\[]?([A-Z]|(?<=[(（])[a-z])(?:[)）\].:：．、].*)?", re.DOTALL)
_SAYS_WHICH = ("marked", "whole", "statement")
"""Rules by which ``choices`` reads the option that a reference is, and not one that it speaks of."""
_COUNTS = re.compile(r"(?i)\bhow many\b|\bcount\b|\bnumber of\b")
"""The question wants a number, and that of a line is another."""


def listed_in(text: str) -> list[str]:
    """Return the options that the words list last with letters, without these; none where they list none.

    A mapping, and letters with nothing behind them, are read where there is no other listing: beside one they show
    how to reply, as in ``Reply as {"A": "0.2", "B": "0.8"}``.
    """
    plain = _plain(text)
    run = _last_of(plain, _MARKS)
    options, begin = _words_of(plain, run), run[0].start("mark") if run else -1
    for forms, replaces in ((_LINES, True), (_SPEAKERS, False)):
        found, start, end = _in_lines(plain, forms)
        more = (begin != start or len(found) > len(options)) and (start <= begin <= end or (replaces and begin < start))
        if found and (not options or more):
            options, begin = found, start
    return options or _in_mapping(plain) or _words_of(plain, _last_of(plain, _BARE))


def numbered_in(text: str) -> list[str]:
    """Return the options that lines of the words list last with numbers from 1, without these; none likewise."""
    plain = _plain(text)
    return [] if _COUNTS.search(plain) else _words_of(plain, _last_of(plain, _NUMBERED))


def position_of(options: list[str], reference: str) -> int | None:
    """Return which of the options with letters a reference is; None: none of them, or several."""
    if not options:
        return None
    named = scorers.position_of_words(options, reference)
    if (found := _REFERENCE_LETTER.fullmatch(reference)) is not None:
        at = ascii_uppercase.find(found[1].upper())
        if named in (None, at) or sum(map(str.isalnum, reference)) == 1:
            return at if at < len(options) else None
        # "A. Smith" may be the words of B; "A. cat", where B is the cat, is none
        return named if named is not None and options[named].casefold() == reference.casefold() else None
    if named is not None:
        return named
    if with_grades(reference) != reference:
        return None  # "A-" is no letter A
    chosen = choices.choose(options, reference)
    return chosen.option if chosen.sure and chosen.rule in _SAYS_WHICH else None


def _plain(text: str) -> str:
    """Return a text without bold marks, and with one space or one empty line where there are more."""
    return re.sub(r"\n(?: ?\n)+", "\n\n", re.sub(r"[^\S\n]+", " ", text.replace("**", "")))


def _last_of(text: str, forms: tuple[tuple[re.Pattern[str], re.Pattern[str], str], ...]) -> list[re.Match[str]]:
    """Return the marks of the last listing of any form; none where there is none."""
    best: list[re.Match[str]] = []
    for first, later, letters in forms:
        run = _last_run(text, first, later, letters)
        if run and (not best or run[0].start("mark") >= best[0].start("mark")):
            best = run
    return best


def _in_lines(text: str, forms: tuple[tuple[re.Pattern[str], str], ...]) -> tuple[list[str], int, int]:
    """Return the options of the last lines that have letters from A on, each once, and where these begin and end."""
    best: tuple[list[str], int, int] = ([], -1, -1)
    for form, letters in forms:
        groups: list[list[re.Match[str]]] = []
        for mark in form.finditer(text):
            near = groups and "\n" not in text[groups[-1][-1].end() : mark.start()].strip()
            groups[-1].append(mark) if near else groups.append([mark])
        for group in groups:
            order = [_order(mark, letters) for mark in group]
            if len(group) < 2 or sorted(order) != [*range(len(group))] or group[0].start("mark") < best[1]:
                continue
            ends = [*(mark.start() for mark in group[1:]), len(text)]
            said = [_without_or(text[mark.end() : end].split("\n")[0]) for mark, end in zip(group, ends, strict=True)]
            if all(said):
                line_end = text.find("\n", group[-1].end())
                by_letter = [said[order.index(at)] for at in range(len(group))]
                best = by_letter, group[0].start("mark"), line_end if line_end >= 0 else len(text)
    return best


def _in_mapping(text: str) -> list[str]:
    """Return the options of the last mapping of letters to words; none where there is none."""
    best: list[str] = []
    for found in _MEMBERS.finditer(text):
        members = _MEMBER.findall(found[0])
        said = {letter: words[1:-1].strip() for letter, words in members}
        whole = 2 <= len(said) == len(members) and sorted(said) == [*ascii_uppercase[: len(said)]]
        if whole and all(said.values()):
            best = [said[letter] for letter in sorted(said)]
    return best


def _last_run(text: str, first: re.Pattern[str], later: re.Pattern[str], letters: str) -> list[re.Match[str]]:
    """Return the marks of the last listing of one form with two options or more; none where there is none.

    A later option stands on the line of the one before it, or begins a line; another first one ends the listing.
    """
    begins = [begin for begin in first.finditer(text) if _order(begin, letters) == 0]
    ends = [*(begin.start("mark") for begin in begins[1:]), len(text)]
    for begin, end in reversed([*zip(begins, ends, strict=False)]):
        run = [begin]
        for mark in later.finditer(text, begin.end(), end):
            if _order(mark, letters) != len(run):
                continue
            at = mark.start("mark")
            line = text[text.rfind("\n", begin.end(), at) + 1 : at] if text.find("\n", run[-1].end(), at) >= 0 else ""
            if _AT_BEGIN.fullmatch(line):
                run.append(mark)
        if len(run) >= 2:
            return run
    return []


def _order(mark: re.Match[str], letters: str) -> int:
    said = mark["mark"]
    return int(said) - 1 if said.isdecimal() else letters.find(said)


def _words_of(text: str, marks: list[re.Match[str]]) -> list[str]:
    """Return the words of each option, of its line alone, without the "or" before the next; none where one has none."""
    if not marks:
        return []
    found = [_without_or(text[mark.end() : later.start()].split("\n")[0]) for mark, later in pairwise(marks)]
    last = text[marks[-1].end() :].split("\n")[0].strip()
    if "\n" not in text[marks[-2].end() : marks[-1].start("mark")]:
        ends = [end.start() for end in _OTHER_WORDS.finditer(last) if end.start() > 0]
        last = last[: min(ends, default=len(last))].rstrip("?.！!")
    found.append(_without_or(last))
    return found if all(found) else []


def _without_or(words: str) -> str:
    """Return an option's words without what joins it to the next one."""
    return _OR.sub("", words.strip().rstrip(_COMMAS)).rstrip(_COMMAS)
