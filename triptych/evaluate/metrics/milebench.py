"""MileBench's own reading of a choice: an option's words with its letter, its words alone, a letter, or all letters.

Source: Song et al. 2024 (arXiv:2404.18532) and its evaluation code, to which it is equal. Not a robust reading: where
no option's words stand in a reply, every character of it that is an option's letter counts, so "the answer is B" is AB
where there are two options, and an empty reply is C.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from triptych.evaluate.metrics.vqa import without_marks

_EMPTY = "C"
_ESCAPED = "\\.^$*+?{}[]|()"


def plain(text: str) -> str:
    """Return the form of references, options and replies that is compared: without marks, in lower case.

    >>> plain("(B) The Dog.")
    'b the dog'
    """
    return without_marks(text.replace("\n", " ").replace("\t", " ").strip()).strip("'").strip('"').strip().lower()


def option_read(options: Sequence[str], reply: str) -> str:
    """Return the letters that the published code reads, capitals, perhaps none or several.

    Args:
        options: their words.
        reply: the whole reply.

    >>> option_read(["a red dog", "a cat"], "I see a cat.")
    'B'
    """
    said = plain(reply)
    if not said:
        return _EMPTY
    named = {letters_at(at): plain(option) for at, option in enumerate(options)}
    found = re.search("|".join(_escaped(f"{letter} {words}") for letter, words in named.items()), said)
    if found:
        return found[0][:1].upper()
    patterns = {letter: _escaped(words).replace(" ", "") for letter, words in named.items()}
    found = re.search("|".join(patterns.values()), said.replace(" ", ""))
    for letter, pattern in patterns.items():
        if found and found[0].strip() == pattern:
            return letter
    if said.upper() in named and len(said) <= 2:
        return said.upper()
    return "".join(sign.upper() for sign in said if sign.upper() in named)


def letters_at(position: int) -> str:
    """Return what stands for an option: A to Z, then AA to AZ, then BA...

    >>> letters_at(1), letters_at(27)
    ('B', 'AB')
    """
    rounds, at = divmod(position, 26)
    return ("", "A", "B")[min(rounds, 2)] + chr(ord("A") + at + 26 * max(0, rounds - 2))


def _escaped(text: str) -> str:
    made = plain(text)
    for mark in _ESCAPED:
        made = made.replace(mark, f"\\{mark}")
    return made
