"""What a reply asserts in its own words: clauses, and whether they deny, ask or take back what they say.

Not whether that is right (``verdicts.py``). Words without case and marks; articles left out where it is said.
"""

from __future__ import annotations

import re

from triptych.data.text.wording import words_in

DENIALS = frozenset({"not", "no", "never", "neither", "nor", "cannot", "without", "except"})
"""Words that deny what stands behind them in their clause."""
TAKEN_BACK = frozenset({"no", "nope", "wait", "actually", "sorry"})
"""A clause of these alone takes back what was said before it."""
OPPOSITE = {"yes": "no|false", "true": "no|false", "no": "yes|true", "false": "yes|true"}
"""Of a verdict: what says the other one, as alternatives of a pattern."""
_ARTICLES = frozenset({"a", "an", "the"})
_MARKS = re.compile(r"([.,;:!?](?=\s|$)|[\n\u2014\u3002\uff0c\uff1b\uff1a\uff01\uff1f]|\s[-\u2013]\s)")
"""What parts clauses."""
_EITHER = re.compile(r"(?<=[^\W\d_])\s?/\s?(?=[^\W\d_])")


def asserts(text: str, run: list[str]) -> bool:
    """Return whether a text says these words as its own: not denied, asked, taken back or one of two."""
    clauses = [(without_articles(words), mark) for words, mark in clauses_of(_EITHER.sub(" or ", text))]
    words = [word for clause, _ in clauses for word in clause]
    number = [at for at, (clause, _) in enumerate(clauses) for _ in clause]
    found = False
    for at in places_of(run, words):
        stop, last = at + len(run), number[at + len(run) - 1]
        if denies(words[number.index(number[at]) : at]):
            return False
        after = next((clause for clause, _ in clauses[last + 1 :] if clause), [])
        taken_back = bool(after) and TAKEN_BACK.issuperset(after)
        one_of_two = "or" in (*words[max(0, at - 1) : at], *words[stop : stop + 1])
        found |= not (taken_back or one_of_two or clauses[last][1] in ("?", "\uff1f"))
    return found


def denies(before: list[str]) -> bool:
    """Return whether the words of a clause deny what stands behind them."""
    but = max((at for at, word in enumerate(before) if word == "but"), default=-1)
    pairs = zip(["", *before], before, strict=False)
    said = [*pairs][but + 1 :]
    return any(word in DENIALS or (word == "t" and last.endswith("n")) for last, word in said)


def clauses_of(text: str) -> list[tuple[list[str], str]]:
    """Return the words of each clause of a text, and the mark behind it."""
    parts = [*_MARKS.split(text), ""]
    return [(words_in(words), mark) for words, mark in zip(parts[::2], parts[1::2], strict=True)]


def plain_words(text: str) -> list[str]:
    """Return the words of a text without articles."""
    return without_articles(words_in(text))


def without_articles(words: list[str]) -> list[str]:
    """Return the words but for "a", "an" and "the"."""
    return [word for word in words if word not in _ARTICLES]


def places_of(run: list[str], words: list[str]) -> list[int]:
    """Return where a run of words begins among others."""
    return [at for at in range(len(words) - len(run) + 1) if words[at : at + len(run)] == run] if run else []
