"""The contract of ``benchmarks/``: where questions come from, what a reply is worth, what a guess is worth.

A file in that drawer defines one ``BENCHMARK``. It holds no asking, no statistics and no model: ``run.py`` does that
for every benchmark alike.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Json, Turn, VideoRef
from triptych.data.format import Refused
from triptych.evaluate import scorers


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark as a value."""

    questions: Callable[[Path], Iterable[Example | Refused]]
    """Read the questions of a file or folder, in order, with distinct ids; a row that is none is Refused and counts
    as failed. Each Example's last turn is the reference reply. ``facts`` may carry ``scenario``, ``kind``, ``split``,
    ``story`` (what questions with the same images share), ``choice`` with ``options``, and ``chance``."""
    score: Callable[[Example, str], float]
    """(question with its reference, reply) -> 0 to 1."""
    chance: Callable[[Example], float]
    """Expected score of a guess by somebody who cannot see."""
    cite: str
    """Who made it, and under which licence."""
    about: str
    """One line for lists."""
    answered: Callable[[Example, str], bool] = scorers.is_answered
    """Whether the reply says anything that can be scored; if not it is counted as unanswered."""
    label: Callable[[Example], Hashable] = scorers.reference_label
    """What the reference is, for the majority baseline."""


def asked(example: Example) -> Example:
    """Return the question as it is asked: without its reference."""
    return replace(example, turns=example.turns[:-1])


def without_images(example: Example) -> Example:
    """Return the same conversation with every picture and video taken out, and nothing else changed."""
    turns = tuple(_words_only(turn) for turn in example.turns)
    return replace(example, turns=turns, demonstrations=tuple(map(without_images, example.demonstrations)))


def each_reply(conversation: Example) -> Iterator[Example]:
    """Yield a question for each reply that has facts; what comes before it is context, with reference replies.

    ``facts["turns"]`` lists one mapping for each assistant turn; it is laid over the conversation's own facts, and
    ``skills`` in it over the conversation's. Without it the facts are about the last reply only, and so is the one
    question. Of several, ids get ``/1``, ``/2``..., and all share a story, as they share images.

    Raises:
        DataError: no assistant turn, or ``facts["turns"]`` has another length.
    """
    ends = [number for number, turn in enumerate(conversation.turns) if turn.role == "assistant"]
    where = conversation.origin or conversation.id
    if not ends:
        raise DataError(f"{where}: no assistant turn, so there is no reference reply to score against.")
    own = conversation.facts.get("turns")
    if own is None:
        yield replace(conversation, turns=conversation.turns[: ends[-1] + 1])
        return
    if not isinstance(own, list) or len(own) != len(ends):
        raise DataError(f"{where}: facts.turns must list one mapping for each of the {len(ends)} replies.")
    shared = {"story": conversation.id, **{key: value for key, value in conversation.facts.items() if key != "turns"}}
    for number, (end, particular) in enumerate(zip(ends, own, strict=True), start=1):
        if not isinstance(particular, dict):
            raise DataError(f"{where}: facts.turns: expected a mapping for reply {number}, found {particular!r}.")
        skills = particular.get("skills")
        yield replace(
            conversation,
            id=conversation.id if len(ends) == 1 else f"{conversation.id}/{number}",
            turns=conversation.turns[: end + 1],
            skills=tuple(map(str, skills)) if isinstance(skills, list) else conversation.skills,
            facts={**shared, **particular},
        )


def fact(question: Example, key: str) -> str:
    """Return a fact as text, or an empty text where the question has none."""
    value: Json = question.facts.get(key)
    return "" if value is None else str(value)


def chance_of(question: Example) -> float:
    """Return ``facts["chance"]``, or one over the number of options.

    Raises:
        DataError: neither is there, or chance is not a number from 0 to 1.
    """
    chance = question.facts.get("chance")
    if chance is None and scorers.is_choice(question):
        return 1 / len(scorers.options_of(question))
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance <= 1:
        raise DataError(f"{question.origin or question.id}: facts.chance must be a number from 0 to 1: {chance!r}.")
    return float(chance)


def _words_only(turn: Turn) -> Turn:
    return Turn(turn.role, tuple(part for part in turn.parts if not isinstance(part, ImageRef | VideoRef)))
