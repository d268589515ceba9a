"""VQA accuracy: how many of ten annotators gave the reply, as the official evaluation counts it.

Not about pulling an answer out of a longer reply: the reply is taken whole, as published. Source: Antol et al. 2015
(arXiv:1505.00468), Goyal et al. 2017, visualqa.org/evaluation and its code for VQA v2. Three rules to bring words into
one form: ``official`` is that code's, and compares the words as they stand where all annotators agree to the letter, so
that "Yes" scores 0 against ten times "yes"; ``always`` is the same without that exception; ``evalai`` is the one of
TextVQA and M4C, which also takes commas and question marks out first and parts ``'s`` from its word.

Quirks that are kept, as published numbers have them: "none" is 0; a mark that touches a space anywhere is removed, one
that never does becomes a space, and where the words hold "1,000" all marks are removed; of periods the first 32 that no
digit follows go.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

Rules = Literal["official", "always", "evalai"]

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_PERIODS = 32
"""Most periods that are removed: the published code hands a flag where a count is expected."""
_ARTICLES = frozenset({"a", "an", "the"})
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0", **{word: str(number) for number, word in enumerate(_NUMBERS)}}
_CONTRACTED = (
    "ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll how's "
    "isn't it'd it'll ma'am mightn't might've mustn't must've needn't not've o'clock oughtn't shan't should've "
    "shouldn't somebody'll somebody's someone'd someone'll someone's something'd something'll that's there'd there're "
    "there's they'd they'll they're they've 'twas wasn't we've weren't what'll what're what's what've when's where'd "
    "where's where've who'd who'll who's who've why'll why're why's won't would've wouldn't y'all you'd you'll you're "
    "you've"
)
_TWICE = "couldn't've hadn't've mightn't've shouldn't've wouldn't've"
"""Spelt with either apostrophe missing."""
_HAVE = "he'd've it'd've she'd've someone'd've there'd've they'd've we'd've who'd've you'd've y'all'd've"
_CONTRACTIONS = {
    **{word.replace("'", ""): word for word in _CONTRACTED.split()},
    **{spelt: word for word in f"{_TWICE} {_HAVE}".split() for spelt in (word.replace("'", "", 1), word[:-3] + "ve")},
    "somebody'd": "somebodyd",
    "somebodyd've": "somebody'd've",
    "somebody'dve": "somebody'd've",
    "something'dve": "something'd've",
    "somethingd've": "something'd've",
    "ow's'at": "'ow's'at",
    "'ows'at": "'ow's'at",
    "'ow'sat": "'ow's'at",
    "yall'll": "y'all'll",
    "y'allll": "y'all'll",
    "y'alld've": "y'all'd've",
}


def accuracy(answers: Sequence[str], reply: str, *, rules: Rules = "official") -> float:
    """Return the mean over annotators of min(how many of the others said it / 3, 1): 0 to 1.

    Args:
        answers: one of each annotator, ten as a rule; at least one.
        reply: the whole reply.
        rules: how both are brought into one form.

    Raises:
        ValueError: no answers.
    """
    if not answers:
        raise ValueError("VQA accuracy needs at least one annotator's answer.")
    said, known = _prepared(answers, reply, rules)
    matches = [answer == said for answer in known]
    total = sum(matches)
    return sum(min(1.0, (total - match) / 3) for match in matches) / len(matches)


def best_of(answers: Sequence[str], *, rules: Rules = "official") -> str:
    """Return the answer that scores best, the first of several. Where people disagree it may score less than 1."""
    return max(dict.fromkeys(answers), key=lambda answer: accuracy(answers, answer, rules=rules))


def normalise(text: str, *, rules: Rules = "official") -> str:
    """Return the words in the form that is compared: without marks and articles, in lower case, numbers as digits.

    >>> normalise("Two of  the dogs, dont you think?")
    '2 of dogs don\\'t you think'
    """
    if rules == "evalai":
        text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's")
    return _words(without_marks(_plain(text)))


def without_marks(text: str) -> str:
    """Return the text without punctuation, by the published rule; apostrophes, ``&``, ``$``, ``%`` and ``:`` stay.

    >>> without_marks("x_y-z, and 3.5.")
    'x y z and 3.5'
    """
    in_number = _COMMA_IN_NUMBER.search(text) is not None
    kept = text
    for mark in _MARKS:
        touches = f"{mark} " in text or f" {mark}" in text
        kept = kept.replace(mark, "" if touches or in_number else " ")
    return _PERIOD.sub("", kept, count=_PERIODS)


def _prepared(answers: Sequence[str], reply: str, rules: Rules) -> tuple[str, list[str]]:
    if rules == "official":
        known = [_plain(answer) for answer in answers]
        if len(set(known)) == 1:
            return _plain(reply), known
    return normalise(reply, rules=rules), [normalise(answer, rules=rules) for answer in answers]


def _plain(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def _words(text: str) -> str:
    words = (_DIGITS.get(word, word) for word in text.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)
