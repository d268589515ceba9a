"""Whether a reply is the right answer to a question whose answer is known: an option, yes or no, a number, a name.

Not a judge of free prose: long answers are compared by the words that they share. Not ``evaluate``'s reading of
replies, which is bound to benchmarks and their published rules. Invariant: a reply that declines, or says two options,
is wrong.
"""

from __future__ import annotations

import re
from collections import Counter

from triptych.data.text.references import LETTERS, find_references
from triptych.data.text.wording import words_in
from triptych.data.trust.repeats import verdict_of
from triptych.generate.question import Question

ALIKE = 0.6
"""Least share of words (F1) that two answers in prose have in common to be the same."""
_LETTER = re.compile(
    r"^\W*(?:(?i:the\s+)?(?i:correct\s+)?(?i:answer|option|choice)(?i:\s+is)?\W*)?\(?([A-Z])(?:\)|[.:,]|\s*$)"
)
_BRACKETED = re.compile(r"\(([A-Z])\)")
_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w%]|\.\d)")
_IMAGE = re.compile(r"^(?:the\s+)?(?:\w+\s+)?(?:image|picture|photo|frame|view|box)\s*(\d+|\w+)?$")
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNT = 99
"""A number above this is not taken for the number of an image."""


def is_right(reply: str, question: Question) -> bool:
    """Return whether a reply gives the question's answer."""
    if question.options:
        return chosen(reply, question.options) == question.options.index(question.answer)
    return same(reply, question.answer)


def chosen(reply: str, options: tuple[str, ...]) -> int | None:
    """Return which option a reply chooses, from 0; None: none, or several."""
    said = words_in(reply)
    for at, option in enumerate(options):
        if said == words_in(option):
            return at
    letter = _LETTER.match(reply.strip())
    if letter and LETTERS.index(letter[1]) < len(options):
        return LETTERS.index(letter[1])
    bracketed = {found for found in _BRACKETED.findall(reply) if LETTERS.index(found) < len(options)}
    if len(bracketed) == 1:
        return LETTERS.index(bracketed.pop())
    named = [at for at, option in enumerate(options) if _stands_in(words_in(option), said)]
    # "red" stands in "dark red": the longer one is meant where both stand there.
    longest = [at for at in named if not any(_longer(options[other], options[at]) for other in named)]
    return longest[0] if len(longest) == 1 else None


def same(reply: str, answer: str) -> bool:
    """Return whether two answers in words say the same."""
    right = verdict_of(answer)
    if right is None:
        return overlap(reply, answer) >= ALIKE
    said = verdict_of(reply)
    if said == right:
        return True
    if right in ("yes", "no", "true", "false"):
        first = words_in(reply)[:1]
        return first == [right] or first == [{"yes": "true", "no": "false", "true": "yes", "false": "no"}[right]]
    if right.isdecimal():
        return _numbers(reply) == {right}
    if (image := _image(answer)) is not None:
        return _image(reply) == image or (image.isdecimal() and _numbers(reply) == {image})
    words = [word for word in words_in(answer) if word not in ("a", "an", "the")]
    return len(words_in(reply)) <= 4 * len(words) + 8 and _stands_in(words, words_in(reply))


def overlap(one: str, other: str) -> float:
    """Return the F1 of the words that two texts share, from 0 to 1."""
    ours, theirs = Counter(words_in(one)), Counter(words_in(other))
    both = (ours & theirs).total()
    return 2 * both / (ours.total() + theirs.total()) if both else 0.0


def _numbers(text: str) -> set[str]:
    """Return the numbers that a text says, numbers of images left out."""
    kept = text
    for reference in reversed(find_references(text, count=_COUNT)):
        kept = kept[: reference.start] + kept[reference.stop :]
    spelled = {str(_NUMBERS.index(word)) for word in words_in(kept) if word in _NUMBERS}
    return set(_NUMBER.findall(kept)) | spelled


def _image(text: str) -> str | None:
    """Return the number of the one image that a short text means."""
    found = {number for each in find_references(text, count=_COUNT) for number in each.numbers}
    if len(found) == 1:
        return str(found.pop())
    match = _IMAGE.match(" ".join(words_in(text)))
    return match[1] if match and match[1] else None


def _stands_in(run: list[str], words: list[str]) -> bool:
    return bool(run) and any(words[at : at + len(run)] == run for at in range(len(words) - len(run) + 1))


def _longer(one: str, other: str) -> bool:
    return len(words_in(one)) > len(words_in(other)) and _stands_in(words_in(other), words_in(one))
