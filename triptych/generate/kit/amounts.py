"""The numbers that a reply says, in digits or words, and which of them are numbers of images.

Not whether they are right (``verdicts.py``).
"""

from __future__ import annotations

import re

from triptych.data.text.references import find_references
from triptych.data.text.wording import words_in

NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
"""A number in words stands at its place."""
_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w%]|\.\d)")
_AMOUNT = re.compile(r"\d+(?:\.\d+)?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
MOST_IMAGES = 99
"""A number above this is not taken for the number of an image."""


def numbers_in(text: str) -> set[str]:
    """Return the numbers that a text says, numbers of images left out."""
    kept = with_images_as(" ", text)
    spelled = {str(NUMBER_WORDS.index(word)) for word in words_in(kept) if word in NUMBER_WORDS}
    return set(_NUMBER.findall(kept)) | spelled


def with_images_as(word: str, text: str) -> str:
    """Return a text with a word for each reference to an image."""
    for reference in reversed(find_references(text, count=MOST_IMAGES)):
        text = text[: reference.start] + word + text[reference.stop :]
    return text


def are_numbers(each: list[list[str]]) -> bool:
    """Return whether each of several answers, in words, is one number and nothing else."""
    return all(len(words) == 1 and (words[0].isdecimal() or words[0] in NUMBER_WORDS) for words in each)


def amounts_in(text: str) -> set[float]:
    """Return the numbers that a text says in digits or words, numbers of images among them."""
    images = {number for each in find_references(text, count=MOST_IMAGES) for number in each.numbers}
    spelled = {NUMBER_WORDS.index(word) for word in words_in(text) if word in NUMBER_WORDS}
    return {*images, *spelled, *(float(found) for found in _AMOUNT.findall(_THOUSANDS.sub("", text)))}
