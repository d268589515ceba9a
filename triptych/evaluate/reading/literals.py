"""Options that only signs, case or commas tell apart, as patterns: "x + y" and "x - y", "≤5" and "5", "C" and "C++".

Not options that words tell apart (``option_words``). Such an option is named only as it is written, whatever the
spaces.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[^\w\s\"'`$\\{}.!?]")
"""A number, a word or a sign; quotation marks, full stops and the marks of formulas make no other option."""
_GAP = r"[\s\"'`$\\{}_.!?]"
_STAR = "\u2217"
"""A star that belongs to an option, where others are marks of Markdown."""
_TIMES = rf"(?:[*×{_STAR}]|\\times\b)"
_SPELT = {
    "-": r"(?:[-\u2010-\u2015\u2212]|\bminus\b)",
    "+": r"(?:\+|\bplus\b)",
    "≤": r"(?:≤|<=|\\leq?\b)",
    "≥": r"(?:≥|>=|\\geq?\b)",
    "≠": r"(?:≠|!=|\\neq?\b)",
    "×": _TIMES,
    "*": _TIMES,
    "√": r"(?:√|\\sqrt\b|\bsqrt\b|(?<!cube )(?<!third )(?<!fourth )\b(?:square )?root of\b)",
    "°": r"(?:°|\bdegrees?\b)",
}
"""Other ways to write a sign."""
_SIGNS = set("+-*/^=<>≤≥≠×÷±√")
"""What makes a formula; where signs tell two options apart, they count in all."""
_STARRED = re.compile(r"([^*]*\w)(\*+)")
_QUANTITY = r"\d{1,12}(?:[.,/]\d{1,12}){0,4}(?: ?[^\W\d_]{1,12}[²³]?| ?[°%])?"
_WORKING = re.compile(
    rf"(?<![\w.,/$-]){_QUANTITY}(?:(?: ?[+×÷] ?| [-*/] ){_QUANTITY}){{1,12}}(?= ?= ?[$\\-]?\d)", re.IGNORECASE
)
"""Numbers with at most a unit each that are worked with, before what comes of it."""
_NEAR = 300
"""Characters before a name in which marks of Markdown may open."""
_NOT_BEFORE = r"(?<![\w+*/^√≤≥≠<>±×÷-])(?<![+*/^×÷] )(?<!\d[.,])(?<!\d\()(?<!\d \()(?<!(?-i:\b[a-z])\()"
"""Not in a longer formula: the "x + y" of "-x + y", of "z + x + y" and of "2(x + y)" is another one."""
_BEFORE_LETTER = r"(?! - (?-i:[A-Z])\W*$)"
"""Not before the letter of the option, as in "√3 - B"."""
_NOT_AFTER = rf"(?!\w)(?!{_BEFORE_LETTER}\s?[-+*/^×÷]\s?(?:\d|[^\W\d_]\b))(?![.,]\d)"


def literals_of(options: Sequence[str], names: Sequence[str], *, letters: bool) -> tuple[re.Pattern[str] | None, ...]:
    """Return what names each option that is to be named as it is written; None: its plain words name it.

    ``names`` are the options' plain words; ``letters``: whether the question showed them. A number or a letter
    without signs keeps the ways in which it is named.
    """
    written = [_tokens(option) for option in options]
    folded = [tuple(token.casefold() for token in tokens) for tokens in written]
    alike = [
        bool(tokens)
        and written.count(tokens) == 1
        and (names.count(names[at]) > 1 or _hides_a_letter(tokens, names[at]))
        for at, tokens in enumerate(written)
    ]
    by_signs = any(like and folded.count(folded[at]) == 1 for at, like in enumerate(alike))
    return tuple(
        _literal(tokens, cased=folded.count(folded[at]) > 1, letters=letters)
        if alike[at] or (by_signs and set(tokens) & _SIGNS)
        else None
        for at, tokens in enumerate(written)
    )


def beside_signs(pattern: re.Pattern[str], name: str, *, letters: bool) -> re.Pattern[str]:
    """Return the pattern of an option for questions that have options with signs; ``name`` is its plain words.

    The 3 of "√3" and of "3 - x" is no option "3"; a letter is one also where it stands bare: "B+ or C".
    """
    if len(name) == 1 and name.isascii() and name.isalpha():
        return re.compile(f"{pattern.pattern}|{_bare(name.upper(), letters=letters).pattern}", re.I)
    if not name.isdecimal():
        return pattern
    root = r"(?<!√)(?<!√[{( ])(?<!sqrt)(?<!sqrt[{( ])(?<!root of )"
    after = rf"(?!{_BEFORE_LETTER}\s?[-+*/^×÷√]\s?[\w√\\])"
    return re.compile(rf"{root}(?<!\^)(?<![-+*/×÷] )(?:{pattern.pattern}){after}", re.I)


def without_operands(text: str) -> str:
    """Return a text of the same length without numbers that are worked with, as "10 + 4" of "10 + 4 = 14"."""
    return _WORKING.sub(lambda found: "_" * len(found[0]), text) if "=" in text else text


def with_own_stars(reply: str, options: Sequence[str]) -> str:
    """Return a reply in which the stars that end an option, as in "A*", are no marks of Markdown any more."""
    for option in options:
        if found := _STARRED.fullmatch(option.strip()):
            stars = len(found[2])
            name = re.compile(rf"(?<![\w*])(\**)({re.escape(found[1])})(\*+)(?!\w)")
            reply = name.sub(partial(_with_stars, stars=stars), reply)
    return reply


def in_a_row(letter: str) -> re.Pattern[str]:
    """Return where a letter is one of several options, which it cannot be as a word: "C or C++", "II and I"."""
    other = f"(?!{letter})(?-i:[A-Z])"  # "C or D" are letters of options
    lone = rf"{other}(?=[\"')]*\s*(?:[.,;:!?/]|$|or\b|and\b))"
    behind = rf"(?<!(?<![\w+-]){other} or )(?<!(?<![\w+-]){other} and )"
    return re.compile(
        rf"(?<![\w+-])(?-i:{letter})(?=[\"')]*(?:,|/|\s+or\b|\s+and\b)\s*(?!{lone})\S)"
        rf"|(?:(?<=\bor )|(?<=\band )){behind}(?-i:{letter})(?=[\s\"').]*$)",
        re.I,
    )


def _bare(letter: str, *, letters: bool) -> re.Pattern[str]:
    """Return where an option that is a letter stands in a row; and bare, where no other option has letters."""
    row = in_a_row(letter).pattern
    if letters:
        return re.compile(row, re.I)
    leads = r"(?:^|(?<=\bis )|(?<=\bbe )|(?<=: ))"
    return re.compile(rf"{row}|{leads}(?-i:{letter})(?=[\"')]*\s*(?:[,;!?]|[.:](?!\s*{letter}\W)|$))", re.I)


def _with_stars(found: re.Match[str], stars: int) -> str:
    """Return a name with its own stars, where those behind it are more than marks of Markdown need."""
    opened, more = len(found[1]), len(found[3]) - stars
    line = found.string[max(0, found.start() - _NEAR) : found.start()].rpartition("\n")[2]
    before = more > 0 and not opened and re.search(rf"(?<!\*)\*{{{more}}}(?=\w)", line)
    return f"{found[1]}{found[2]}{_STAR * stars}{'*' * more}" if more == opened or before else found[0]


def _tokens(option: str) -> tuple[str, ...]:
    """Return the words, numbers and signs of an option; a comma at its end is none."""
    found = _TOKEN.findall(option)
    while found and found[-1] in ",;:" and len(found) > 1:
        found.pop()
    return tuple(found)


def _hides_a_letter(tokens: Sequence[str], name: str) -> bool:
    """Tell whether an option has signs and no more than a letter beside them, as "C++" and "-x" have; or just signs."""
    signs = [token for token in tokens if not token[0].isalnum()]
    return len(name) < 2 and not name.isdecimal() and signs != [] and not set(signs) & set("()[]")


def _literal(tokens: Sequence[str], *, cased: bool, letters: bool) -> re.Pattern[str] | None:
    if len(tokens) == 1 and tokens[0].isdecimal():
        return None
    if len(tokens) == 1 and len(tokens[0]) == 1 and tokens[0].isalpha():
        return _bare(tokens[0], letters=letters)
    body = _SPELT.get(tokens[0], re.escape(tokens[0]))
    for last, token in pairwise(tokens):
        apart = (last.isalpha() and token.isalpha()) or (last[0].isdecimal() and token[0].isdecimal())
        body += r"[\s{(]*" if last == "√" else rf"{_GAP}{'+' if apart else '*'}"
        body += _SPELT.get(token, re.escape(token))
    if len(tokens) > 1 and tokens[-1] in "-+" and tokens[-2].isalpha():  # the "A -" of "A - O-" is no "A-"
        body += r"(?:(?<!\s[-+\u2010-\u2015\u2212])|(?=[\s\"').,;:!?\]]*$))"
    body = f"(?-i:{body})" if cased else body
    if not any(token[0].isalnum() for token in tokens):
        return re.compile(rf"(?<![^\s\"'(\[]){body}(?=[\s\"')\].]*$|[\"')\]]*(?:,|/|\s+or\b|\s+and\b))")
    body += "[}$)]*(?![}$)])" if "√" in tokens else ""
    return re.compile(f"{_begins(tokens[0])}{body}{_ends(tokens)}", re.I)


def _begins(first: str) -> str:
    if first[0].isalnum():
        return _NOT_BEFORE
    if first in "-+":
        return r"(?<![\w)\]+-])(?<!\b\w )"
    if first == "√":
        return r"(?<![\w)\]√+*/^×÷-])(?<![+*/^×÷] )"
    return r"(?<![<>=])" if first in "<>=≤≥≠" else ""


def _ends(tokens: Sequence[str]) -> str:
    last = tokens[-1]
    if last[0].isalnum():  # the "C" of "A + B - C" is no letter of an option
        named = any(len(token) == 1 and token.isupper() for token in tokens)
        return _NOT_AFTER.replace(_BEFORE_LETTER, "") if named else _NOT_AFTER
    return r"(?![\w+#-])" if last in "-+#" else ""
