"""MMMU's own reading of replies: which letter a reply gives, and whether an open reply holds the answer.

Source: Yue et al. 2024 (arXiv:2311.16502) and its evaluation code, which MuirBench has too. Where that code takes an
option at random, because a reply names none, there is None here, and ``letter_score`` is what such a draw is worth on
average; for all else they are equal. ``loose`` is the copy in lmms-eval, which also takes "A." and a letter at the end
of a word in capitals: it marks NExT-QA there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

_ENDS = (",", ".", "!", "?", ";", ":", "'")
_FEW_WORDS = 5
"""In a reply of no more words, an option's own words are not looked for."""
_SENTENCE = re.compile(r"\.\s(?=[A-Z])|\n")
_LEADS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)


def letter_score(options: Sequence[str], reply: str, *, right: str, loose: bool = False) -> float:
    """Return 1 where the published parser reads the right letter, and one over the options where it would draw one."""
    letter = letter_given(options, reply, loose=loose)
    return 1 / len(options) if letter is None else float(letter == right)


def letter_given(options: Sequence[str], reply: str, *, loose: bool = False) -> str | None:
    """Return the letter that the published parser reads, None where it would draw one.

    Args:
        options: their words, as the prompt has them.
        reply: the whole reply.
        loose: read as the copy in lmms-eval does.

    >>> letter_given(["red", "blue"], "The answer is (B).")
    'B'
    """
    text = reply
    for end in _ENDS:
        text = text.strip(end)
    text = f" {text} "
    letters = ascii_uppercase[: len(options)]
    plain = (("{} ", " {} "), ("{}.", " {} ")) if loose else ((" {} ", " {} "),)
    for form, place in (("({})", "({})"), *plain):
        found = [letter for letter in letters if form.format(letter) in text]
        if found:
            return _last(found, [text.rfind(place.format(letter)) for letter in found])
    said = text.lower()
    if len(text.split()) > _FEW_WORDS:
        named = [letter for letter, option in zip(letters, options, strict=True) if option.lower() in said]
        if named:
            return _last(named, [said.rfind(options[letters.index(letter)].lower()) for letter in named])
    return None


def open_is_right(answers: Sequence[str], reply: str) -> bool:
    """Return whether an open reply holds one of the answers: as a number to two places, or as words anywhere in it.

    >>> open_is_right(["1,250"], "So the total is 1250.00 dollars")
    True
    """
    wanted = [form for answer in answers for form in _forms(answer)]
    parts = _key_parts(reply)
    said = {
        form for part in [*parts, *(number for text in parts for number in _numbers(text))] for form in _forms(part)
    }
    return any(
        (isinstance(form, str) and any(isinstance(right, str) and right in form for right in wanted))
        or (not isinstance(form, str) and form in wanted)
        for form in said
    )


def _last(letters: Sequence[str], places: Sequence[int]) -> str:
    return letters[places.index(max(places))]


def _key_parts(reply: str) -> list[str]:
    """Return what follows words like "answer" in each sentence, or the whole reply."""
    whole = reply.strip().strip(".").lower()
    sentences = _SENTENCE.split(whole)
    found = []
    for number, sentence in enumerate(sentences, start=1):
        leads = (*_LEADS, "=") if number == len(sentences) else _LEADS
        tails = [sentence.split(lead)[-1].strip() for lead in leads if lead in sentence]
        shortest = ""
        for tail in tails:
            if not shortest or len(tail) < len(shortest):
                shortest = tail
        if shortest and shortest not in _ENDS:
            found.append(shortest)
    return found or [whole]


def _numbers(text: str) -> list[str]:
    return [number for pattern in _NUMBERS for number in pattern.findall(text)]


def _forms(text: str) -> list[str | float]:
    """Return what is compared: a number to two places, or lower case; a lone letter only beside a space."""
    plain = text.strip()
    try:
        return [round(float(plain.replace(",", "")), 2)]
    except ValueError:
        word = plain.lower()
        return [f" {word}", f"{word} "] if len(word) == 1 else [word]
