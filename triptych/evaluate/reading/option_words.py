"""Which words name an option: its own, and other words for the same, as one pattern each.

Not where they stand in a text (``mentions``). "the second image" is also "image 2" and "2nd picture", "3" is also
"three", "Point B" is also "labeled B", "left" is also 左. Small words that stand for an answer only alone (yes, no,
one) are only found so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from triptych.evaluate.reading.letters import NOT_JOINED, NOT_SEVERAL, letter_contexts
from triptych.evaluate.reading.literals import in_a_row
from triptych.evaluate.reading.phrases import ALONE, ELSEWHERE, NUMBERS, ORDINALS, WORDS

_NEVER = re.compile(r"(?!)")
_PICTURE = r"(?:image|picture|photo(?:graph)?|frame|view|panel|figure|one|option)"
_ROLE = (
    r"(?:point|box|picture|image|photo|option|choice|answer|letter|figure|frame|panel|view|region|object|circle|marker)"
)
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*")
_PERCENT = r"(?:\s?(?:%|percent\b|per cent\b))?"
_PERCENT_END = re.compile(r"\d\s?(?:%|percent|per cent)\W*$", re.I)
_ARTICLE = re.compile(r"\W*an?\s+(?:[\"']\w|\([\"']?[^\W\d_]{2}|[\"'\[$€£¥]*(?:\w[\s-]+)?(?:\w\w|\d))", re.I)
"""An article and what it stands before, in marks or not; the "a" of "a + b" and of "a (b + c)" is none."""
_NAMED_A = re.compile(r"\w\W+A\b|\b[Aa]\W*$")
"""An "a" that is no article: it ends an option, or is a capital inside it."""
_TRUST = r"(?!(?:\s?(?:%|percent|per cent))?\s+(?:sure|certain|confident)\b)"
"""Not as in "I am 100% sure"."""
_WHOLE = re.compile(r"(?<=\d)\.0+$")


def own_words(names: Sequence[str], options: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return of each option the words that no other option has; articles are none.

    ``names`` are the options' plain words. "a" counts beside a "b", and where it is no article: "Point A".
    """
    split = [[word for word in name.split() if word not in ("an", "the")] for name in names]
    if not any("b" in words for words in split):
        split = [
            [word for word in words if word != "a" or _NAMED_A.search(option)]
            for words, option in zip(split, options, strict=True)
        ]
    return tuple(
        tuple(word for word in words if not any(word in each for other, each in enumerate(split) if other != at))
        for at, words in enumerate(split)
    )


def patterns_of(names: Sequence[str], options: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    """Return what names each option, besides its letter; ``names`` are its plain words (``plain_names``)."""
    plain = [_WHOLE.sub("", name) for name in names]  # "3.0" is 3 where no other option is
    spoken = [short if plain.count(short) == 1 else name for short, name in zip(plain, names, strict=True)]
    percents = [_PERCENT_END.search(option) is not None for option in options]
    each_option = zip(spoken, own_words(names, options), percents, strict=True)
    forms = (list(_forms(name, own, percent=percent)) for name, own, percent in each_option)
    return tuple(re.compile("|".join(each), re.I) if each else _NEVER for each in forms)


def plain_names(options: Sequence[str]) -> tuple[str, ...]:
    """Return each option in plain words without article; of "A is closer", "B is closer" the A is none."""
    lettered = any(re.match(r"\W*B\b", option) for option in options)
    return tuple(
        plain_words(option) if lettered or not _ARTICLE.match(option) else without_article(plain_words(option))
        for option in options
    )


def tails_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return each option without the words with which all begin: "open the door" of "To open the door", "To sit"."""
    split = [name.split() for name in names]
    shared = 0
    while all(len(words) > shared + 1 for words in split) and len({words[shared] for words in split}) == 1:
        shared += 1
    return tuple(" ".join(words[shared:]) if shared else "" for words in split)


def places_of(names: Sequence[str]) -> re.Pattern[str]:
    """Return what names an option by its place, as "the second option" does; nothing where options are numbered."""
    if any(word in ORDINALS or word in NUMBERS or word[0].isdecimal() for name in names for word in name.split()):
        return _NEVER
    patterns = (
        rf"(?P<_{at}>(?:{ORDINALS[at]}|{at + 1}(?:st|nd|rd|th)) (?:option|choice|answer|one)"
        rf"|(?:option|choice|answer) (?:{at + 1}|{NUMBERS[at + 1]}))"
        for at in range(min(len(names), len(ORDINALS)))
    )
    return re.compile(rf"\W*(?:(?:it is|it's|i choose) )?(?:the )?(?:{'|'.join(patterns)})\W*", re.I)


def all_of(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Return what a pattern finds in a text that is nothing else, but for punctuation."""
    found = pattern.search(text)
    return None if found is None or re.search(r"\w", text[: found.start()] + text[found.end() :]) else found


def plain_words(text: str) -> str:
    """Return words and numbers in lower case, without punctuation and leading "the"."""
    words = re.findall(r"(?<![\w.])-?\d+(?:[.,]\d+)*(?!\w)|[^\W_]+", text.casefold())
    return " ".join(words[1:] if len(words) > 1 and words[0] == "the" else words)


def without_article(plain: str) -> str:
    """Return plain words without a leading "a"."""
    return re.sub(r"^an? (?=.)", "", plain)


def letter_of(at: int) -> str:
    """Return the letter of a position: A, B..."""
    return chr(ord("A") + at)


def _forms(name: str, own: Sequence[str], *, percent: bool) -> Iterator[str]:
    """Yield patterns for an option."""
    if name in WORDS:
        yield _translated(name)
        return
    if _NUMBER.fullmatch(name):
        yield from _number_forms(name, percent=percent)
    elif re.match(r"none of (?:the|these)\b", name):
        yield r"^\W*none(?: of (?:these|them|the above|the (?:above |given )?(?:option|choice|answer)s))?\W*$"
        yield name.replace(" ", r"\s+")
    elif len(name) > 1 or _is_unspaced(name):
        body = r"[\s\W_]+".join(map(re.escape, name.split()))
        body = re.sub(r"^(\d+)\[\\s\\W_\]\+", r"\1[\\s\\W_]*", body)  # "10cm"
        if _NUMBER.fullmatch(name.split()[0]) and list(own) == name.split()[:1]:
            yield from _number_forms(
                own[0], percent=percent
            )  # "10", "10 centimetres", where all are so many centimetres
        yield body if _is_unspaced(name) else rf"(?<!\w){body}(?!\w)"
    key = own[0] if len(own) == 1 else ""
    if name == "i" or (len(name) == 1 and not key and name.isalpha() and name.isascii()):
        yield in_a_row(name.upper() if name in "ai" else f"[{name}{name.upper()}]").pattern
    if len(key) == 1 and key.isalpha() and key.isascii():
        yield from _key_forms(key, name)
    if re.search(_PICTURE, name):
        yield from _ordinal_forms(key, name)


def _number_forms(name: str, *, percent: bool) -> Iterator[str]:
    """Yield how a number is named; ``percent``: with or without the sign that its option has."""
    digits = name.replace(",", "")
    if re.fullmatch(r"-?\d+", digits):  # "2,000", "02" and "2.0" are 2000 and 2.
        sign, figures = ("-", digits[1:]) if digits[0] == "-" else ("", digits)
        body = rf"{sign}0*{','.join(f'{figures[::-1]}'[at : at + 3] for at in range(0, len(figures), 3))[::-1]}"
        body = body.replace(",", ",?") + r"(?:\.0+)?"
    else:
        body = re.escape(name)
    percents = _PERCENT if percent else ""
    yield rf"(?<![\w.,-]){body}{percents}(?![\w%]|[.,-]\d){_TRUST if percent else ''}"
    if name == "0":
        yield r"^\W*none\W*$"
    if name.isdecimal() and int(name) < len(NUMBERS):
        # "One" is mostly no number: "one of them", "the other one".
        before = r"(?:(?<=only )|(?<=just )|(?<=exactly )|(?<=is )|(?<=are )|^\W*)" if name == "1" else r"\b"
        yield rf"{before}(?<![\w-]){NUMBERS[int(name)]}(?![\w-])(?! of\b)"


def _key_forms(key: str, name: str) -> Iterator[str]:
    """Yield how an option is named that one letter tells from the others: "Point B", "B is closer"."""
    yield letter_contexts(key.upper()).pattern
    yield rf"\b{_ROLE}s?\s+[\"'(]?(?-i:{key.upper()})\b{NOT_SEVERAL}"
    small = r"(?=\s*(?:[.,;:!?)]|is\b|$))" if key in "ai" else r"\b"
    yield rf"\b{_ROLE}\s+(?-i:{key}){small}"
    if "is" in name.split():
        yield rf"(?-i:\b{key.upper()}\b)(?=\s+(?:is|appears|seems|looks|has)\b)"
    elif re.match(_ROLE, name):  # of "Point B", not of "Vitamin B"
        weighed = r"(?:is|appears|seems|looks)(?: to be)? (?:the )?(?:\w+est|closer|nearer|more|most)"
        yield rf"{NOT_JOINED}(?-i:\b{key.upper()}\b)(?=\s+(?:{weighed}|matches|corresponds)\b)"


def _ordinal_forms(key: str, name: str) -> Iterator[str]:
    """Yield how an option is named that a number tells from the others: "the second image", "image 2"."""
    at = ORDINALS.index(key) + 1 if key in ORDINALS else int(key) if key.isdecimal() and key != name else 0
    if not 0 < at <= len(ORDINALS):
        return
    others = "|".join(ORDINALS)
    listed = rf"(?=(?:,|\s+(?:or|and|nor))\s+(?:the\s+)?(?:{others})\b)"  # "the second or third image"
    yield rf"\b(?:{ORDINALS[at - 1]}|{at}(?:st|nd|rd|th))(?:\s+{_PICTURE}\b|{listed})"
    yield rf"\b(?:image|picture|photo|frame|view|panel)\s*#?(?:{at}|{NUMBERS[at]})\b"
    said = rf"(?:{ORDINALS[at - 1]}|{at}(?:st|nd|rd|th))"
    yield rf"^\W*{said}\W*$|\bthe\s+{said}(?=\W*$)"


def _translated(name: str) -> str:
    """Return the pattern of an option that is yes, no, left... in any language that we know."""
    words = WORDS[name].split("|")
    ends = r"(?=\s*(?:[^\w\s'-]|$))"
    if name in ("yes", "no"):  # "There is no dog" says neither.
        alone = rf"^\W*(?:{'|'.join([*words, ALONE[name]])}){ends}"
        more = r"\byes\b" if name == "yes" else r"\bno\b(?=\s*(?:[.,;:!?)\]\"']|$)|\s+(?:because|since)\b)"
        return rf"{alone}|{more}|^\W*{name}(?=\s+(?:the|it|there|this|these|they|he|she|i)\b)"
    joined = [word for word in words if _is_unspaced(word)]
    spaced = [word for word in words if not _is_unspaced(word)]
    if name == "right":
        spaced[0] = r"(?<!all )(?<!you're )(?<!you are )right(?! (?:answer|choice|option)\b)"
    if name in ELSEWHERE:
        spaced[0] = rf"(?<!partially )(?<!partly ){spaced[0]}"
        unless = r"(?!.*\b(?:true|false|correct|incorrect)\b)"  # "No, the statement is true."
        joined += [rf"^\W*(?:{ALONE[name]}){ends}{unless}", rf"\b(?:{ELSEWHERE[name]})\b"]
    return "|".join([*joined, rf"(?<!\w)(?:{'|'.join(spaced)})(?!\w)"])


def _is_unspaced(word: str) -> bool:
    """Tell whether a word is of a script whose words stand together, or take endings: Chinese, Korean, Arabic..."""
    return any("\u0600" <= char <= "\u06ff" or char >= "\u2e80" for char in word)
