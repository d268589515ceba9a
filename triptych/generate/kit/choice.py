"""Which of a question's options a reply chooses: by letter, by the option's words, or by both where they agree.

Not ``evaluate``'s reading of replies, which is bound to benchmarks and their published rules. Invariant: a reply that
says two options, or denies or takes back the one it says, chooses none.
"""

from __future__ import annotations

import re

from triptych.data.text.references import LETTERS
from triptych.data.text.wording import words_in
from triptych.generate.kit.amounts import amounts_in, are_numbers, numbers_in
from triptych.generate.kit.clauses import (
    DENIALS,
    OPPOSITE,
    TAKEN_BACK,
    asserts,
    clauses_of,
    denies,
    places_of,
    plain_words,
    without_articles,
)

_LETTER = re.compile(
    r"^\W*(?:(?i:the\s+)?(?i:correct\s+)?(?i:answer|option|choice)(?i:\s+is)?\W*)?\(?([A-Z])(?:\)|[.:,]|\s*$|(?=\s+(?:because|since|as)\b))"
)
_BRACKETED = re.compile(r"\(([A-Z])\)")
_LOOSE = re.compile(r"(\()?(?<![\w'\u2019.])([A-Z])(?![\w'\u2019]|[.\-]\w)(\s+\w)?", re.IGNORECASE)
_SENTENCE = re.compile(r"[.!?;](?=\s|$)|\n")
_REASON = re.compile(r"\b(?:because|since|as|while|whereas|although|though|unlike)\b", re.IGNORECASE)
"""Behind it stands why, and other options may be spoken of."""
_GROUNDS = frozenset({"because", "since", "as", "it", "there", "this", "that", "they", "he", "she"})
"""Words that a reason begins with."""
_SAYING = TAKEN_BACK | {
    *("or", "and", "so", "thus", "hence", "then", "therefore", "but", "rather", "instead", "maybe", "perhaps"),
    *("i", "say", "think", "mean", "it", "is", "s", "must", "be", "final", "correct", "right"),
    *("the", "answer", "option", "choice", "letter"),
}
"""Words beside which a letter that stands alone is chosen: "or B", "so the answer is B"."""
_WRONG = re.compile(
    r"\s*\?|\W*(?:(?:is|was)n.t|(?:(?:is|was)\s+)?(?:not|or|nor|wrong|incorrect|false))\b", re.IGNORECASE
)
"""How an option is denied or asked whose letter stands before."""


def chosen(reply: str, options: tuple[str, ...]) -> int | None:
    """Return which option a reply chooses, from 0; None: none, or several, or it says what it is not."""
    said = words_in(reply)
    for at, option in enumerate(options):
        if said == words_in(option):
            other = LETTERS.lower().find(said[0]) if len(said) == 1 and len(said[0]) == 1 else -1
            return at if other in (-1, at) or other >= len(options) else None  # "A" of O, A and AB
    reply = reply.strip()
    letter = _LETTER.match(reply)
    if letter and LETTERS.index(letter[1]) < len(options):
        at = LETTERS.index(letter[1])
        return at if stays(at, reply[letter.end() :], options=options) else None
    bracketed = {found for found in _BRACKETED.findall(reply) if LETTERS.index(found) < len(options)}
    if len(bracketed) == 1:
        at, mark = LETTERS.index(found := bracketed.pop()), f"({found})"
        claim = _claim(next(each for each in _SENTENCE.split(reply) if mark in each))
        asserted = asserts(reply.replace(mark, " bracketed "), ["bracketed"])
        if not asserted or _takes_back(at, reply[reply.index(mark) + len(mark) :], options):
            return None
        return at if {*_letters(claim, options), *_named(claim, options)} == {at} else None
    named = _named(reply, options)
    if len(named) != 1 or _letters(reply, options) - {named[0]}:
        return None
    return named[0] if asserts(reply, plain_words(options[named[0]])) else None


def stays(at: int, behind: str, *, options: tuple[str, ...]) -> bool:
    """Return whether what stands behind an option's letter leaves it at that option.

    It does not where it denies it or takes it back, says another letter and nothing else ("or B"), or where the first
    option that its first sentence says, reasons left out, is another one or is said beside another one.

    Args:
        at: the option, from 0.
        behind: the words behind its letter; none leave it at that.
        options: of the question.
    """
    if _takes_back(at, behind, options):
        return False
    words, sentence = plain_words(behind), _SENTENCE.split(behind.strip(" .:,)*"))[0]
    each = [plain_words(option) for option in options]
    if not words_in(sentence):  # the letter stands on a line of its own
        return not _WRONG.match(behind)
    heads = [number for number, run in enumerate(each) if run and run == words[: len(run)]]
    if heads:
        head = max(heads, key=lambda number: len(each[number]))
        return head == at and not _adds(words[len(each[at]) : len(plain_words(sentence))], at, each)
    if _WRONG.match(behind) and not (words[:1] == ["not"] and each[at] in (["no"], ["false"])):
        return False
    claim = _claim(sentence)
    if are_numbers(each):
        return {*_named(claim, options)} <= {at}
    firsts = (_says_first(at, without_articles(clause), each) for clause, _ in clauses_of(claim))
    return next((first for first in firsts if first is not None), True)


def is_foreign(words: str, at: int, *, options: tuple[str, ...]) -> bool:
    """Return whether the words behind an option's letter are another answer than that option: short, and no reason.

    They are where both say numbers and none is the same; otherwise where they share no word with the option, whatever
    its ending, or more with another one.

    Args:
        words: behind the letter.
        at: the option of that letter, from 0.
        options: of the question.
    """
    said, each = plain_words(words), [plain_words(option) for option in options]
    if not said or len(said) > max(map(len, each)) + 1 or said[0] in _GROUNDS or _named(words, options):
        return False
    if len(each[at]) == 1 and each[at][0] in OPPOSITE:  # "Yes": "Not the same" is another answer, "The same" a reason
        denied = said[0] in DENIALS and each[at][0] in ("yes", "true")
        return denied or re.fullmatch(OPPOSITE[each[at][0]], said[0]) is not None
    ours, theirs = amounts_in(words), amounts_in(options[at])
    if ours and theirs:
        return not ours & theirs
    shared = [sum(any(_is_like(word, other) for other in said) for word in _telling(run)) for run in each]
    return shared[at] == 0 or shared[at] < max(shared)


def _letters(text: str, options: tuple[str, ...]) -> set[int]:
    """Return the options whose letters stand in a text by themselves, an article or "I" left out."""
    longer = [option for option, letter in zip(options, LETTERS, strict=False) if option.strip() != letter]
    inside = {word.upper() for option in longer for word in words_in(option) if len(word) == 1}
    found = set()
    for bracket, letter, word in _LOOSE.findall(text):
        at = LETTERS.find(letter.upper())
        if 0 <= at < len(options) and (bracket or not (letter.upper() in inside or (letter in "AaIi" and word))):
            found.add(at)
    return found


def _named(text: str, options: tuple[str, ...]) -> list[int]:
    """Return the options whose words stand in a text."""
    each = [plain_words(option) for option in options]
    if are_numbers(each):
        said = numbers_in(text)
        return [at for at, option in enumerate(options) if numbers_in(option) <= said]
    said_words = plain_words(text)
    return _longest([at for at, words in enumerate(each) if places_of(words, said_words)], each)


def _longest(named: list[int], each: list[list[str]]) -> list[int]:
    """Return the options without those that stand in another one: "red" where "dark red" is said."""
    return [at for at in named if not any(len(each[o]) > len(each[at]) and places_of(each[at], each[o]) for o in named)]


def _takes_back(at: int, behind: str, options: tuple[str, ...]) -> bool:
    """Return whether a clause behind an option's letter says "no" or "wait", or another letter, and nothing else."""
    own = words_in(options[at])
    others = {LETTERS[number].lower() for number in range(len(options)) if number != at}
    for clause, _ in clauses_of(behind):
        letters = [word for word in clause if word not in _SAYING and word not in own]
        if letters and others.issuperset(letters):
            return True
        if clause and clause != own and TAKEN_BACK.issuperset(clause):
            return True
    return False


def _adds(rest: list[str], at: int, each: list[list[str]]) -> bool:
    """Return whether the words behind an option add another one: "a dog and a cat", "a dog or something"."""
    rest = rest[1:] if rest[:1] == ["and"] else rest
    others = [run for number, run in enumerate(each) if number != at and run]
    return rest[:1] == ["or"] or any(other == rest[: len(other)] for other in others)


def _says_first(at: int, clause: list[str], each: list[list[str]]) -> bool | None:
    """Return whether the first option that a clause asserts is this one alone; None: it asserts none."""
    named = _longest([number for number, run in enumerate(each) if places_of(run, clause)], each)
    # "no" and "true" are words of any sentence; they are answers where they come first, which is told before.
    places = sorted((places_of(each[o], clause)[0], o) for o in named if each[o][0] not in OPPOSITE)
    for place, number in places:
        if denies(clause[:place]):
            if number == at:
                return False
        else:
            return number == at and not _adds(clause[place + len(each[at]) :], at, each)
    return None


def _telling(words: list[str]) -> list[str]:
    """Return the words without "in", "is" and the like, which any two answers share; all where there are no others."""
    return [word for word in words if len(word) > 2 or not word.isascii()] or words


def _is_like(one: str, other: str) -> bool:
    """Return whether two words are the same but for their endings: "cat", "cats"; "moves", "moved"."""
    start = max(3, min(len(one), len(other)) - 1)
    return one == other or (len(min(one, other, key=len)) >= start and one[:start] == other[:start])


def _claim(sentence: str) -> str:
    """Return a sentence without the reason that it gives."""
    return _REASON.split(sentence, maxsplit=1)[0]
