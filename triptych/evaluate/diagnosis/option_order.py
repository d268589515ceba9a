"""The options of a multiple-choice question in another order: in the words, in the facts and in the reference.

Not what is learnt from it (``option_bias``). Options are found in the last user's words, one after the other, with
nothing between them but letters or numbers, "or" and punctuation; those stay and the options change places. A
question whose options cannot be found so, or lean on their order, is refused with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from string import ascii_uppercase

from triptych.core.errors import DataError
from triptych.core.records import Example, Json, Part, Text, Turn
from triptych.data.transform import draw
from triptych.evaluate.reading import scorers

MOST_ORDERS = 4
"""Orders of one question in all, with its own. Of more options, so many rotations are drawn."""
_BETWEEN = re.compile(r"[^\w]*(?:(?:or|and)\b[^\w]*)?(?:(?:[A-Z]|\d{1,2})\b[^\w]*)?", re.IGNORECASE)
"""What may stand between two options: marks, a letter or a number."""
_LETTER = re.compile(r"(?:^|\s)[A-Z](?:$|[\s.])")
_LEANS = re.compile(
    r"\b(?:(?:all|none|both|neither|any|either|some)(?: one)? of (?:the|these|those)\b|"
    r"(?:above|below|aforementioned|other options?|options? [A-Z]|(?:both|neither|only|and|or) \(?[A-Z]\)?)$)",
    re.IGNORECASE,
)
"""An option that speaks of other options."""
_LETTERED = re.compile(r"(\W*)([A-Z])(?![\w'’])(.*)", re.DOTALL)
"""A reference that begins with a letter: ``B``, ``(B)``, ``B. the cat``."""


def orders_of(count: int, *, seed: int, name: str) -> tuple[tuple[int, ...], ...]:
    """Return the orders that a question's options are asked in besides their own.

    All rotations of up to four options: each option stands in each place once. Of more, three of the rotations.

    Args:
        count: options.
        seed: decides, with the name, which rotations.
        name: the question's id.

    Returns:
        Orders: the option that stands at each place.
    """
    shifts = list(range(1, count))
    if len(shifts) >= MOST_ORDERS:
        shifts = sorted(draw(seed, "option_order", name).sample(shifts, MOST_ORDERS - 1))
    return tuple(tuple((place + shift) % count for place in range(count)) for shift in shifts)


def reordered(question: Example, order: Sequence[int]) -> Example:
    """Return the question with option ``order[k]`` at place k.

    Raises:
        DataError: the options cannot change places; the message says why.
    """
    options = scorers.options_of(question)
    if any(not option.strip() for option in options):
        raise DataError("options that are pictures")
    if any(_LEANS.search(option.strip(" .")) for option in options):
        raise DataError("an option that speaks of others")
    if sum(bool(_LETTER.search(option)) for option in options) > 1:
        # "(B) Point A": a reply "A" could mean the place or the point.
        raise DataError("options that bear letters of their own")
    if len({scorers.normalise(option) for option in options}) < len(options):
        raise DataError("two options of the same words")
    right = scorers.reference_label(question)
    assert isinstance(right, int)
    at = max(number for number, turn in enumerate(question.turns[:-1]) if turn.role == "user")
    turns = list(question.turns)
    turns[at] = _with_options(turns[at], options, order)
    place = list(order).index(right)
    turns[-1] = _with_letter(turns[-1], right, place)
    facts: dict[str, Json] = {**question.facts, "options": [options[number] for number in order]}
    if isinstance(question.facts.get("right"), int):
        facts["right"] = place
    made = replace(question, turns=tuple(turns), facts=facts)
    if scorers.reference_label(made) != place:
        raise DataError("a reference that does not say which option is right in another order")
    return made


def _with_options(turn: Turn, options: Sequence[str], order: Sequence[int]) -> Turn:
    """Return the turn with the options in another order; the last part that lists all of them is meant."""
    parts: list[Part] = list(turn.parts)
    for at in reversed(range(len(parts))):
        part = parts[at]
        spans = spans_of(part.text, options) if isinstance(part, Text) else None
        if spans is not None and isinstance(part, Text):
            said, end = "", 0
            for (start, stop), number in zip(spans, order, strict=True):
                said += part.text[end:start] + options[number]
                end = stop
            parts[at] = Text(said + part.text[end:])
            return replace(turn, parts=tuple(parts))
    raise DataError("options that its words do not list one after the other")


def spans_of(text: str, options: Sequence[str]) -> list[tuple[int, int]] | None:
    """Return where the options stand in the words, in order and next to each other; None: nowhere. The last place."""
    end = len(text)
    while (start := text.rfind(options[-1], 0, end)) >= 0:
        spans = [(start, start + len(options[-1]))]
        for option in reversed(options[:-1]):
            before = text.rfind(option, 0, spans[0][0])
            if before < 0 or not _BETWEEN.fullmatch(text, before + len(option), spans[0][0]):
                break
            spans.insert(0, (before, before + len(option)))
        if len(spans) == len(options):
            return spans
        end = start + len(options[-1]) - 1
    return None


def _with_letter(turn: Turn, old: int, new: int) -> Turn:
    """Return the reference with the letter of another place, where it begins with the letter of the old one."""
    first = turn.parts[0] if turn.parts else None
    if not isinstance(first, Text):
        return turn
    found = _LETTERED.fullmatch(first.text)
    if found is None or found[2] != ascii_uppercase[old]:
        return turn
    return replace(turn, parts=(Text(f"{found[1]}{ascii_uppercase[new]}{found[3]}"), *turn.parts[1:]))
