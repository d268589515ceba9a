"""What a judge of an arena is asked: two replies to one question, each of them first once, without their thinking.

Not who answers nor what the judge says (``arena``). Which of the two contestants is named first changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from triptych.core.errors import DataError
from triptych.core.records import Example, Part, Text, Turn, images_of
from triptych.core.thinking import spoken
from triptych.evaluate.running.sample import sample_questions
from triptych.evaluate.saved.sides import same_words

_ASKED = (
    "Two assistants were asked the question above.\n\nReply A:\n{a}\n\nReply B:\n{b}\n\nWhich reply answers the "
    "question better? Judge what is said, not how long it is or which comes first. Say A, B or tie, and nothing else."
)


@dataclass(frozen=True)
class Contestant:
    """One responder's replies."""

    name: str
    replies: Mapping[str, str]
    """By the question's id."""
    questions: Mapping[str, Example]
    """With their references, by id; empty where the file holds replies only."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two replies to one question, and what a judge is asked, in both orders."""

    first: str
    second: str
    question: Example
    prompts: tuple[Example, Example]
    """Their ids are the same whoever of the two is named first."""
    turned: tuple[str, str]
    """The other ids that an older version may have given them."""


def meetings_of(contestants: Sequence[Contestant], limit: int | None = None) -> list[Meeting]:
    """Return what is compared: every two contestants on every question that both answered, up to a limit for each two.

    Raises:
        DataError: two share no question, or have different ones of one id, or nobody's file holds the questions.
    """
    return [meeting for pair in combinations(contestants, 2) for meeting in _meetings(*pair, contestants, limit)]


def _meetings(one: Contestant, other: Contestant, everybody: Sequence[Contestant], limit: int | None) -> list[Meeting]:
    shared = [name for name in one.replies if name in other.replies]
    if not shared:
        raise DataError(f"{one.name} and {other.name} answered no question in common.")
    for name in shared:
        asked = [it.questions[name] for it in (one, other) if name in it.questions]
        if len(asked) == 2 and not same_words(*asked):
            raise DataError(
                f"{one.name} and {other.name}: {name!r} is not the same question on both sides. Ask both the same "
                "benchmark."
            )
    meetings = []
    for question in sample_questions([_question(name, (one, other, *everybody)) for name in shared], limit):
        prompts, turned = [], []
        for first, second in ((one, other), (other, one)):
            name = f"{question.id} | {first.name} | {second.name} | forwards"
            prompts.append(_prompt(question, first.replies[question.id], second.replies[question.id], name=name))
            turned.append(f"{question.id} | {second.name} | {first.name} | backwards")
        meetings.append(
            Meeting(one.name, other.name, question, (prompts[0], prompts[1]), turned=(turned[0], turned[1]))
        )
    return meetings


def _question(name: str, everybody: Sequence[Contestant]) -> Example:
    asked = [it.questions[name] for it in everybody if name in it.questions]
    if not asked:
        raise DataError(f"{name!r}: no file of answers holds the question. A judge needs one answers.jsonl of ours.")
    return max(asked, key=lambda it: len(images_of(it)))  # who was asked blind has it without its images


def _prompt(question: Example, first: str, second: str, *, name: str) -> Example:
    """Return the question as one turn, images in place, with both replies below it; no reference, no thinking."""
    shown = [turn for each in question.demonstrations for turn in each.turns]
    parts: list[Part] = []
    for turn in (*shown, *question.turns[:-1]):
        parts += [Text(f"{turn.role.capitalize()}: "), *turn.parts, Text("\n\n")]
    replies = [(spoken(reply) or "").strip() or "(nothing)" for reply in (first, second)]
    asked = _ASKED.format(a=replies[0], b=replies[1])
    return Example(name, (Turn("user", (*parts, Text(asked))),), origin=question.origin)
