"""How a reply becomes a score: deterministic rules, never a guess, no model.

Three kinds of question. Free-form: the reply must equal the reference after `normalise`. Free-form with a known set
of answers (``facts["answers"]``): the reply must name the reference and no other of them, in whatever sentence. Marked
thinking is no part of a reply, and what stands in a box or in answer tags is all of it.
Multiple choice (``facts["choice"]``): ``choices`` reads which option the reply chooses, by its words, or by its letter
where the question shows letters; where one's own rows say so (``facts["marks"]``), by its number.
In the last two a reply that names none, or several, is *unanswered*, which scores 0 and is counted apart.
The tables of cases in tests/evaluate/test_scorers.py and test_choices.py are the reference.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Sequence

from triptych.core.errors import DataError
from triptych.core.records import Example, text_of
from triptych.evaluate.reading import choices
from triptych.evaluate.reading.existence import only_sight_declines, says_there_is
from triptych.evaluate.reading.signs import MARKS, NO_MINUS, with_grades, with_minus, without_points

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_DIGITS = {word: str(number) for number, word in enumerate(_NUMBERS)}
_NOWHERE = {"a", "an", "the", "and"}
"""Words that never change an answer; "and" as it joins a list like a comma does."""
_OUTER = {"answer", "are", "at", "in", "is", "it", "its", "on", "that", "theres", "there", "these", "they", "this"}
"""Words that frame an answer ("it is in image 2") and are taken off its ends."""

_WORD = re.compile(
    r"(?P<sign>(?<![-=<>\u2010-\u2015\u2212])[<>]=? ?)?"
    rf"(?P<word>(?:(?:-{NO_MINUS})?(?:\d+(?:[.,]\d+)*|(?<![\w.])\.\d+)|[^\W_\d]+(?:[{MARKS}]+[^\W_\d]*)*)"
    r"(?:\++(?![\w+]))?)"
)
"""A word or number with the signs that count: marks on letters, less and more before it, a minus before digits, a plus
behind it."""
_SPELT = re.compile(r"(?P<whole>-?(?:[1-9]\d{0,2}(?:,\d{3})+|\d+))(?:\.(?P<places>\d+))?(?P<plus>\+*)")
"""A number with commas between thousands, or without; of zeros behind the point none counts."""
_TAG = re.compile(r"</?[a-z]\w*>")

_SHOWN_LETTER = re.compile(r"(?:^|[\s(\[])A\s?[).:\]]|\b(?i:letter)\b")
"""How a question shows its options' letters: ``A.``, ``(A)``, ``A:``; or it asks for the letter."""
_REFERRED = re.compile(r"\b(image|picture|photo|frame|view|tile|box|panel|option|number) (\d+)\b")
"""In normalised words: a number that names an image and counts nothing."""
_NUMBER = re.compile(r"[(（]?(\d{1,2})(?:[)）.．、](?!\d).*)?", re.DOTALL)
"""The number of an option, perhaps with its words."""
_FRAME = re.compile(r"(?i)\W*(?:(?:the|it|is|correct|answer|option|number)\b[\s:]*)*")
_DECLINED = re.compile(r"\b(no (way|idea|clue|telling|means)|not (sure|certain|clear|possible|enough)|cannot|cant)\b")
"""In normalised words: the reply says that it does not answer."""


def correct(question: Example, reply: str) -> float:
    """Return 1.0 when the reply gives the reference, else 0.0; the rule is the question's own (see the file's head)."""
    if not is_answered(question, reply):
        return 0.0
    if answers := _answers_of(question):
        return float(_only_named(answers, choices.spoken(reply)) == _only_named(answers, reference_of(question)))
    if not is_choice(question):
        said, right = choices.spoken(reply), reference_of(question)
        return float((normalise(said) or said.strip()) == (normalise(right) or right.strip()))
    return float(choice_of(question, reply).option == _reference_option(question))


def is_answered(question: Example, reply: str) -> bool:
    """Return whether there is something to score: of known answers or options just one, else any word.

    A sign is something where the reference is one ("+").
    """
    if answers := _answers_of(question):
        return _only_named(answers, choices.spoken(reply)) is not None
    if is_choice(question):
        return choice_of(question, reply).option is not None
    said = choices.spoken(reply)
    return bool(normalise(said) or (said.strip() and not normalise(reference_of(question))))


def reference_label(question: Example) -> Hashable:
    """Return what a guesser who always says the same would have to say: the option's position, else the words."""
    if is_choice(question):
        return _reference_option(question)
    right = reference_of(question)
    return normalise(right) or right.strip()


def reference_of(question: Example) -> str:
    """Return the reference reply: the words of the last turn.

    Raises:
        DataError: the last turn is not the assistant's.
    """
    if not question.turns or question.turns[-1].role != "assistant":
        raise DataError(f"{question.origin or question.id}: a benchmark question must end in the reference reply.")
    return text_of(question.turns[-1])


def is_choice(question: Example) -> bool:
    """Return whether the question lists options of which one is right."""
    return question.facts.get("choice") is True


def options_of(question: Example) -> tuple[str, ...]:
    """Return the options of a multiple-choice question, in order.

    Raises:
        DataError: ``facts["options"]`` is not a list of at least two texts.
    """
    options = question.facts.get("options")
    if not isinstance(options, list) or len(options) < 2:
        raise DataError(f"{question.origin or question.id}: facts.options must list two or more texts: {options!r}.")
    return tuple(str(option) for option in options)


def normalise(text: str) -> str:
    """Return what of a short answer counts: words in lower case, numbers as digits, without articles and frame.

    A sign counts that makes another answer of it: "-5", "<5", "A+", "C++"; a dash, an arrow and a sum's plus do not.

    >>> normalise("It is in the Second  image, and frame two!")
    'second image frame 2'
    >>> normalise("minus 5 to > 7, not 3-4")
    '-5 to >7 not 3 4'
    >>> normalise("1,000 or 2.50")
    '1000 or 2.5'
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    plain = unicodedata.normalize("NFKC", without_points(folded.replace("’", "").replace("'", "")))
    plain = with_minus(" ".join(_TAG.sub(" ", plain).replace("≤", "<=").replace("≥", ">=").split()))
    words = [(match["sign"] or "").rstrip() + _number(match["word"]) for match in _WORD.finditer(plain)]
    kept = [word for word in words if word not in _NOWHERE]
    first, last = 0, len(kept)
    while first < last and kept[first] in _OUTER:
        first += 1
    while last > first and kept[last - 1] in _OUTER:
        last -= 1
    return " ".join(kept[first:last] or kept or words)


def _number(word: str) -> str:
    """Return a number in words as digits, ".5" as 0.5, "1,000" as 1000 and "10.0" as 10; other words as they are."""
    spelt = _DIGITS.get(word, f"0{word}" if word.startswith(".") else word.replace("-.", "-0."))
    found = _SPELT.fullmatch(spelt)
    if found is None:
        return spelt
    places = (found["places"] or "").rstrip("0")
    return found["whole"].replace(",", "") + (f".{places}" if places else "") + found["plus"]


def shows_letters(question: Example) -> bool:
    """Return whether the question shows letters for its options; where it shows none, ``A`` is no answer."""
    return any(turn.role == "user" and _SHOWN_LETTER.search(text_of(turn)) for turn in question.turns)


def choice_of(question: Example, reply: str) -> choices.Choice:
    """Return which option of a multiple-choice question the reply chooses, and by which rule.

    Raises:
        DataError: as ``options_of``.
    """
    options, marks = options_of(question), question.facts.get("marks")
    if marks == "numbers" and (at := numbered_position(options, reply)) is not None:
        return choices.Choice(at, "number")
    found = choices.choose(options, reply, letters=marks == "letters" or shows_letters(question))
    names = [normalise(option) for option in options]
    said = choices.spoken(reply)
    declined = found.rule == "declined" and not only_sight_declines(said)
    if found.option is not None or declined or sorted(names) != ["no", "yes"]:
        return found
    there = says_there_is(str(question.facts.get("question") or ""), said)
    return found if there is None else choices.Choice(names.index("yes" if there else "no"), "claim", sure=False)


def numbered_position(options: Sequence[str], text: str) -> int | None:
    """Return which option of a list with numbers from 1 a text is, by its number or its words; None: none, or several.

    >>> numbered_position(["boat", "tram"], "The answer is 2.")
    1
    """
    said = choices.spoken(text)
    framed = _FRAME.match(said)
    begin = framed.end() if framed else 0
    begin -= begin > 0 and said[begin - 1] in "(（"
    named = position_of_words(options, said)  # "4" where the words of an option are "4"
    found = _NUMBER.fullmatch(said[begin:].rstrip(" ."))
    if found is not None and 1 <= int(found[1]) <= len(options):
        return named if named is not None else int(found[1]) - 1
    spelt = normalise(said)
    at = int(spelt) - 1 if spelt.isascii() and spelt.isdecimal() and len(spelt) < 3 else -1
    return at if named is None and 0 <= at < len(options) else named


def position_of_words(options: Sequence[str], text: str) -> int | None:
    """Return the one option of these words; None where there are several, or none. "A-" is no "A"."""
    said = normalise(with_grades(text))
    found = [at for at, option in enumerate(options) if said and normalise(with_grades(option)) == said]
    return found[0] if len(found) == 1 else None


def _answers_of(question: Example) -> tuple[str, ...]:
    answers = question.facts.get("answers")
    return tuple(map(str, answers)) if isinstance(answers, list) and not is_choice(question) else ()


def _only_named(answers: Sequence[str], text: str) -> int | None:
    names = [normalise(answer) for answer in answers]
    if _DECLINED.search(normalise(text)) and not any(_DECLINED.search(name) for name in names):
        return None
    if all(name.isdecimal() for name in names):  # counts: "image 2" is no two
        text = _REFERRED.sub(" | ", normalise(text))
    named = _named(names, text)
    if len(named) == 1:
        return named.pop()
    chosen = choices.choose(answers, text, letters=False)  # "It isn't the cat, it's the dog"; "It is not true"
    return chosen.option if chosen.sure else None


def reference_position(question: Example) -> int | None:
    """Return which option of a multiple-choice question is right, from 0; None: its reference names none, or several.

    Raises:
        DataError: as ``options_of`` and ``reference_of``.
    """
    right = question.facts.get("right")
    if isinstance(right, int) and not isinstance(right, bool):
        return right
    return choices.choose(options_of(question), reference_of(question)).option


def _reference_option(question: Example) -> int:
    position = reference_position(question)
    if position is None:
        raise DataError(f"{question.origin or question.id}: the reference names none of the options, or several.")
    return position


def _named(names: Sequence[str], text: str) -> set[int]:
    """Return the options whose words stand in the text; not inside a longer option's, and not after "not"."""
    words = f" {normalise(text)} "
    found = set()
    for position in sorted(range(len(names)), key=lambda at: -len(names[at])):
        name = f" {names[position]} "
        words = words.replace(f" not{name}", " | ")
        if names[position] and name in words:
            found.add(position)
            words = words.replace(name, " | ")
    return found
