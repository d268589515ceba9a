"""Whether a reply is the right answer to a question whose answer is known: an option, yes or no, a number, a name.

Not a judge of free prose: long answers are compared by the words that they share. Not ``evaluate``'s reading of
replies, which is bound to benchmarks and their published rules. Invariant: a reply that declines, says two options or
denies the right one is wrong, so that in doubt no reply counts as right.
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
_ARTICLES = frozenset({"a", "an", "the"})
_LOOSE = re.compile(r"(\()?(?<![\w'\u2019.])([A-Z])(?![\w'\u2019]|[.\-]\w)(\s+\w)?", re.IGNORECASE)
_MARKS = re.compile(r"([.,;:!?](?=\s|$)|[\n\u2014\u3002\uff0c\uff1b\uff1a\uff01\uff1f]|\s[-\u2013]\s)")
"""What parts clauses."""
_SENTENCE = re.compile(r"[.!?;](?=\s|$)|\n")
_REASON = re.compile(r"\b(?:because|since|as|while|whereas|although|though|unlike)\b", re.IGNORECASE)
"""Behind it stands why, and other options may be spoken of."""
_GROUNDS = frozenset({"because", "since", "as", "it", "there", "this", "that", "they", "he", "she"})
"""Words that a reason begins with."""
_EITHER = re.compile(r"(?<=[^\W\d_])\s?/\s?(?=[^\W\d_])")
_DENIALS = frozenset({"not", "no", "never", "neither", "nor", "cannot", "without", "except"})
_TAKEN_BACK = frozenset({"no", "nope", "wait", "actually", "sorry"})
_WRONG = re.compile(
    r"\s*\?|\W*(?:(?:is|was)n.t|(?:(?:is|was)\s+)?(?:not|or|nor|wrong|incorrect|false))\b", re.IGNORECASE
)
"""How an option is denied or asked whose letter stands before."""
_IMPLIED = {"yes": ("yes", "true"), "no": ("no", "false"), "true": ("true", "yes"), "false": ("false", "no")}
_OPPOSITE = {"yes": "no|false", "true": "no|false", "no": "yes|true", "false": "yes|true"}
_COUNT = 99
"""A number above this is not taken for the number of an image."""


def is_right(reply: str, question: Question) -> bool:
    """Return whether a reply gives the question's answer."""
    if question.options:
        return chosen(reply, question.options) == question.options.index(question.answer)
    return same(reply, question.answer)


def chosen(reply: str, options: tuple[str, ...]) -> int | None:
    """Return which option a reply chooses, from 0; None: none, or several, or it says what it is not."""
    said = words_in(reply)
    for at, option in enumerate(options):
        if said == words_in(option):
            return at
    reply = reply.strip()
    letter = _LETTER.match(reply)
    if letter and LETTERS.index(letter[1]) < len(options):
        at = LETTERS.index(letter[1])
        return at if stays(at, reply[letter.end() :], options=options) else None
    letters = _letters(reply, options)
    bracketed = {found for found in _BRACKETED.findall(reply) if LETTERS.index(found) < len(options)}
    if len(bracketed) == 1:
        at, mark = LETTERS.index(found := bracketed.pop()), f"({found})"
        sentence = next(each for each in _SENTENCE.split(reply) if mark in each)
        asserted = _asserts(reply.replace(mark, " bracketed "), ["bracketed"])
        return at if asserted and {*letters, *_named(_claim(sentence), options)} == {at} else None
    named = _named(reply, options)
    if len(named) != 1 or letters - {named[0]}:
        return None
    return named[0] if _asserts(reply, _plain(options[named[0]])) else None


def stays(at: int, behind: str, *, options: tuple[str, ...]) -> bool:
    """Return whether what stands behind an option's letter leaves it at that option.

    Args:
        at: the option, from 0.
        behind: the words behind its letter; none leave it at that.
        options: of the question.
    """
    if _letters(behind, options) - {at}:
        return False
    own, words = _plain(options[at]), _plain(behind)
    clauses = [each for each, _ in _clauses(behind) if each and each != words_in(options[at])]
    if any(_TAKEN_BACK.issuperset(clause) for clause in clauses):
        return False
    if own == words[: len(own)]:  # "a dog and a cat" says two; what "a dog, not a cat" goes on with is explanation
        rest = words[len(own) :]
        rest = rest[1:] if rest[:1] == ["and"] else rest
        others = [_plain(option) for number, option in enumerate(options) if number != at]
        return rest[:1] != ["or"] and not any(other and other == rest[: len(other)] for other in others)
    sentence = _SENTENCE.split(behind.strip(" .:,)*"))[0]
    return not _WRONG.match(behind) and {*_named(_claim(sentence), options)} <= {at}


def is_foreign(words: str, at: int, *, options: tuple[str, ...]) -> bool:
    """Return whether the words behind an option's letter are another answer that is no option: short, and no reason.

    Args:
        words: behind the letter.
        at: the option of that letter, from 0.
        options: of the question.
    """
    said, each = _plain(words), [_plain(option) for option in options]
    if not said or len(said) > max(map(len, each)) + 1 or said[0] in _GROUNDS or _named(words, options):
        return False
    return not set(said) <= set(each[at])


def same(reply: str, answer: str) -> bool:
    """Return whether two answers in words say the same."""
    right = verdict_of(answer)
    if right is None:
        return overlap(reply, answer) >= ALIKE
    if right in _OPPOSITE:
        first = (verdict_of(reply) or "", *words_in(reply)[:1])
        return any(said in _IMPLIED[right] for said in first) and not _unsays(reply, _OPPOSITE[right])
    if verdict_of(reply) == right:
        return True
    if right.isdecimal():
        return _counts(reply, right)
    if (image := _image(answer)) is not None:
        if _image(reply) == image:
            return _asserts(_with_images_as(" depicted ", reply), ["depicted"]) or not find_references(
                reply, count=_COUNT
            )
        return image.isdecimal() and _counts(reply, image)
    words = _plain(answer)
    return len(words_in(reply)) <= 4 * len(words) + 8 and _asserts(reply, words)


def overlap(one: str, other: str) -> float:
    """Return the F1 of the words that two texts share, from 0 to 1."""
    ours, theirs = Counter(words_in(one)), Counter(words_in(other))
    both = (ours & theirs).total()
    return 2 * both / (ours.total() + theirs.total()) if both else 0.0


def _counts(reply: str, number: str) -> bool:
    """Return whether a reply says one number, as a numeral or a word, and does not deny it."""
    if _numbers(reply) != {number}:
        return False
    spelled = [word for word in _NUMBERS if str(_NUMBERS.index(word)) == number]
    return any(_asserts(_with_images_as(" ", reply), [word]) for word in (number, *spelled))


def _numbers(text: str) -> set[str]:
    """Return the numbers that a text says, numbers of images left out."""
    kept = _with_images_as(" ", text)
    spelled = {str(_NUMBERS.index(word)) for word in words_in(kept) if word in _NUMBERS}
    return set(_NUMBER.findall(kept)) | spelled


def _with_images_as(word: str, text: str) -> str:
    """Return a text with a word for each reference to an image."""
    for reference in reversed(find_references(text, count=_COUNT)):
        text = text[: reference.start] + word + text[reference.stop :]
    return text


def _image(text: str) -> str | None:
    """Return the number of the one image that a short text means."""
    found = {number for each in find_references(text, count=_COUNT) for number in each.numbers}
    if len(found) == 1:
        return str(found.pop())
    match = _IMAGE.match(" ".join(words_in(text)))
    return match[1] if match and match[1] else None


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
    each = [_plain(option) for option in options]
    if all(len(words) == 1 and (words[0].isdecimal() or words[0] in _NUMBERS) for words in each):
        said = _numbers(text)
        return [at for at, option in enumerate(options) if _numbers(option) <= said]
    said_words = _plain(text)
    named = [at for at, words in enumerate(each) if _places(words, said_words)]
    # "red" stands in "dark red": the longer one is meant where both stand there.
    return [at for at in named if not any(len(each[o]) > len(each[at]) and _places(each[at], each[o]) for o in named)]


def _claim(sentence: str) -> str:
    """Return a sentence without the reason that it gives."""
    return _REASON.split(sentence, maxsplit=1)[0]


def _asserts(text: str, run: list[str]) -> bool:
    """Return whether a text says these words as its own: not denied, asked, taken back or one of two."""
    clauses = [(_without_articles(words), mark) for words, mark in _clauses(_EITHER.sub(" or ", text))]
    words = [word for clause, _ in clauses for word in clause]
    number = [at for at, (clause, _) in enumerate(clauses) for _ in clause]
    found = False
    for at in _places(run, words):
        stop, last = at + len(run), number[at + len(run) - 1]
        if _denies(words[number.index(number[at]) : at]):
            return False
        after = next((clause for clause, _ in clauses[last + 1 :] if clause), [])
        taken_back = bool(after) and _TAKEN_BACK.issuperset(after)
        one_of_two = "or" in (*words[max(0, at - 1) : at], *words[stop : stop + 1])
        found |= not (taken_back or one_of_two or clauses[last][1] in ("?", "\uff1f"))
    return found


def _denies(before: list[str]) -> bool:
    """Return whether the words of a clause deny what stands behind them."""
    but = max((at for at, word in enumerate(before) if word == "but"), default=-1)
    pairs = zip(["", *before], before, strict=False)
    said = [*pairs][but + 1 :]
    return any(word in _DENIALS or (word == "t" and last.endswith("n")) for last, word in said)


def _unsays(reply: str, opposite: str) -> bool:
    """Return whether a reply that begins with yes or no, or the like, says the other one too."""
    two = rf"^\W*\w+[\s,]*(?:\band\b|\bor\b|/)\s*(?:{opposite})\b"
    alone = rf"(?<!\bnot )\b(?:{opposite})\b(?=\W*$|\s*[,.;:!?/])"
    return re.search(f"{two}|{alone}", reply, re.IGNORECASE) is not None


def _clauses(text: str) -> list[tuple[list[str], str]]:
    """Return the words of each clause of a text, and the mark behind it."""
    parts = [*_MARKS.split(text), ""]
    return [(words_in(words), mark) for words, mark in zip(parts[::2], parts[1::2], strict=True)]


def _plain(text: str) -> list[str]:
    """Return the words of a text without articles."""
    return _without_articles(words_in(text))


def _without_articles(words: list[str]) -> list[str]:
    return [word for word in words if word not in _ARTICLES]


def _places(run: list[str], words: list[str]) -> list[int]:
    """Return where a run of words begins among others."""
    return [at for at in range(len(words) - len(run) + 1) if words[at : at + len(run)] == run] if run else []
