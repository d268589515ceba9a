"""Whether a reply is the right answer to a question whose answer is known: an option, yes or no, a number, a name.

Not a judge of free prose: long answers are compared by the words that they share. Not ``evaluate``'s reading of
replies, which is bound to benchmarks and their published rules. Invariant: a reply that declines, says two options or
denies the right one is wrong, so that in doubt no reply counts as right.
"""

from __future__ import annotations

import re
from collections import Counter

from triptych.data.text.references import find_references
from triptych.data.text.wording import words_in
from triptych.data.trust.repeats import verdict_of
from triptych.generate.kit.amounts import MOST_IMAGES, NUMBER_WORDS, numbers_in, with_images_as
from triptych.generate.kit.choice import chosen
from triptych.generate.kit.clauses import OPPOSITE, asserts, plain_words
from triptych.generate.question import Question

ALIKE = 0.6
"""Least share of words (F1) that two answers in prose have in common to be the same."""
_IMAGE = re.compile(r"^(?:the\s+)?(?:\w+\s+)?(?:image|picture|photo|frame|view|box)\s*(\d+|\w+)?$")
_IMPLIED = {"yes": ("yes", "true"), "no": ("no", "false"), "true": ("true", "yes"), "false": ("false", "no")}


def is_right(reply: str, question: Question) -> bool:
    """Return whether a reply gives the question's answer."""
    if question.options:
        return chosen(reply, question.options) == question.options.index(question.answer)
    return same(reply, question.answer)


def same(reply: str, answer: str) -> bool:
    """Return whether two answers in words say the same."""
    right = verdict_of(answer)
    if right is None:
        return overlap(reply, answer) >= ALIKE
    if right in OPPOSITE:
        first = (verdict_of(reply) or "", *words_in(reply)[:1])
        return any(said in _IMPLIED[right] for said in first) and not _unsays(reply, OPPOSITE[right])
    if verdict_of(reply) == right:
        return True
    if right.isdecimal():
        return _counts(reply, right)
    if (image := _image(answer)) is not None:
        if _image(reply) == image:
            return asserts(with_images_as(" depicted ", reply), ["depicted"]) or not find_references(
                reply, count=MOST_IMAGES
            )
        return image.isdecimal() and _counts(reply, image)
    words = plain_words(answer)
    return len(words_in(reply)) <= 4 * len(words) + 8 and asserts(reply, words)


def overlap(one: str, other: str) -> float:
    """Return the F1 of the words that two texts share, from 0 to 1."""
    ours, theirs = Counter(words_in(one)), Counter(words_in(other))
    both = (ours & theirs).total()
    return 2 * both / (ours.total() + theirs.total()) if both else 0.0


def _counts(reply: str, number: str) -> bool:
    """Return whether a reply says one number, as a numeral or a word, and does not deny it."""
    if numbers_in(reply) != {number}:
        return False
    spelled = [word for word in NUMBER_WORDS if str(NUMBER_WORDS.index(word)) == number]
    return any(asserts(with_images_as(" ", reply), [word]) for word in (number, *spelled))


def _image(text: str) -> str | None:
    """Return the number of the one image that a short text means."""
    found = {number for each in find_references(text, count=MOST_IMAGES) for number in each.numbers}
    if len(found) == 1:
        return str(found.pop())
    match = _IMAGE.match(" ".join(words_in(text)))
    return match[1] if match and match[1] else None


def _unsays(reply: str, opposite: str) -> bool:
    """Return whether a reply that begins with yes or no, or the like, says the other one too."""
    two = rf"^\W*\w+[\s,]*(?:\band\b|\bor\b|/)\s*(?:{opposite})\b"
    alone = rf"(?<!\bnot )\b(?:{opposite})\b(?=\W*$|\s*[,.;:!?/])"
    return re.search(f"{two}|{alone}", reply, re.IGNORECASE) is not None
