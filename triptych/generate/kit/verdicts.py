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
    r"^\W*(?:(?i:the\s+)?(?i:correct\s+)?(?i:answer|option|choice)(?i:\s+is)?\W*)?\(?([A-Z])(?:\)|[.:,]|\s*$|(?=\s+(?:because|since|as)\b))"
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
_SAYING = _TAKEN_BACK | {
    *("or", "and", "so", "thus", "hence", "then", "therefore", "but", "rather", "instead", "maybe", "perhaps"),
    *("i", "say", "think", "mean", "it", "is", "s", "must", "be", "final", "correct", "right"),
    *("the", "answer", "option", "choice", "letter"),
}
"""Words beside which a letter that stands alone is chosen: "or B", "so the answer is B"."""
_WRONG = re.compile(
    r"\s*\?|\W*(?:(?:is|was)n.t|(?:(?:is|was)\s+)?(?:not|or|nor|wrong|incorrect|false))\b", re.IGNORECASE
)
"""How an option is denied or asked whose letter stands before."""
_IMPLIED = {"yes": ("yes", "true"), "no": ("no", "false"), "true": ("true", "yes"), "false": ("false", "no")}
_OPPOSITE = {"yes": "no|false", "true": "no|false", "no": "yes|true", "false": "yes|true"}
_AMOUNT = re.compile(r"\d+(?:\.\d+)?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
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
        asserted = _asserts(reply.replace(mark, " bracketed "), ["bracketed"])
        if not asserted or _takes_back(at, reply[reply.index(mark) + len(mark) :], options):
            return None
        return at if {*_letters(claim, options), *_named(claim, options)} == {at} else None
    named = _named(reply, options)
    if len(named) != 1 or _letters(reply, options) - {named[0]}:
        return None
    return named[0] if _asserts(reply, _plain(options[named[0]])) else None


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
    words, sentence = _plain(behind), _SENTENCE.split(behind.strip(" .:,)*"))[0]
    each = [_plain(option) for option in options]
    if not words_in(sentence):  # the letter stands on a line of its own
        return not _WRONG.match(behind)
    heads = [number for number, run in enumerate(each) if run and run == words[: len(run)]]
    if heads:
        head = max(heads, key=lambda number: len(each[number]))
        return head == at and not _adds(words[len(each[at]) : len(_plain(sentence))], at, each)
    if _WRONG.match(behind) and not (words[:1] == ["not"] and each[at] in (["no"], ["false"])):
        return False
    claim = _claim(sentence)
    if _are_numbers(each):
        return {*_named(claim, options)} <= {at}
    firsts = (_says_first(at, _without_articles(clause), each) for clause, _ in _clauses(claim))
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
    said, each = _plain(words), [_plain(option) for option in options]
    if not said or len(said) > max(map(len, each)) + 1 or said[0] in _GROUNDS or _named(words, options):
        return False
    if len(each[at]) == 1 and each[at][0] in _OPPOSITE:  # "Yes": "Not the same" is another answer, "The same" a reason
        denied = said[0] in _DENIALS and each[at][0] in ("yes", "true")
        return denied or re.fullmatch(_OPPOSITE[each[at][0]], said[0]) is not None
    ours, theirs = _amounts(words), _amounts(options[at])
    if ours and theirs:
        return not ours & theirs
    shared = [sum(any(_is_like(word, other) for other in said) for word in _telling(run)) for run in each]
    return shared[at] == 0 or shared[at] < max(shared)


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
    if _are_numbers(each):
        said = _numbers(text)
        return [at for at, option in enumerate(options) if _numbers(option) <= said]
    said_words = _plain(text)
    return _longest([at for at, words in enumerate(each) if _places(words, said_words)], each)


def _longest(named: list[int], each: list[list[str]]) -> list[int]:
    """Return the options without those that stand in another one: "red" where "dark red" is said."""
    return [at for at in named if not any(len(each[o]) > len(each[at]) and _places(each[at], each[o]) for o in named)]


def _are_numbers(each: list[list[str]]) -> bool:
    return all(len(words) == 1 and (words[0].isdecimal() or words[0] in _NUMBERS) for words in each)


def _takes_back(at: int, behind: str, options: tuple[str, ...]) -> bool:
    """Return whether a clause behind an option's letter says "no" or "wait", or another letter, and nothing else."""
    own = words_in(options[at])
    others = {LETTERS[number].lower() for number in range(len(options)) if number != at}
    for clause, _ in _clauses(behind):
        letters = [word for word in clause if word not in _SAYING and word not in own]
        if letters and others.issuperset(letters):
            return True
        if clause and clause != own and _TAKEN_BACK.issuperset(clause):
            return True
    return False


def _adds(rest: list[str], at: int, each: list[list[str]]) -> bool:
    """Return whether the words behind an option add another one: "a dog and a cat", "a dog or something"."""
    rest = rest[1:] if rest[:1] == ["and"] else rest
    others = [run for number, run in enumerate(each) if number != at and run]
    return rest[:1] == ["or"] or any(other == rest[: len(other)] for other in others)


def _says_first(at: int, clause: list[str], each: list[list[str]]) -> bool | None:
    """Return whether the first option that a clause asserts is this one alone; None: it asserts none."""
    named = _longest([number for number, run in enumerate(each) if _places(run, clause)], each)
    # "no" and "true" are words of any sentence; they are answers where they come first, which is told before.
    places = sorted((_places(each[o], clause)[0], o) for o in named if each[o][0] not in _OPPOSITE)
    for place, number in places:
        if _denies(clause[:place]):
            if number == at:
                return False
        else:
            return number == at and not _adds(clause[place + len(each[at]) :], at, each)
    return None


def _amounts(text: str) -> set[float]:
    """Return the numbers that a text says in digits or words, numbers of images among them."""
    images = {number for each in find_references(text, count=_COUNT) for number in each.numbers}
    spelled = {_NUMBERS.index(word) for word in words_in(text) if word in _NUMBERS}
    return {*images, *spelled, *(float(found) for found in _AMOUNT.findall(_THOUSANDS.sub("", text)))}


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
