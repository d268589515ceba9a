"""The question of an item: its words, options, right answer and the images that it needs; and how it is asked again.

Not how it was made (stages) nor whether a reply is right (``kit/verdicts``). An item that a stage of the kit wrote
carries its Question in ``facts["question"]``; of any other conversation each exchange is one, as far as its words tell.
Invariant: what is asked again differs from the conversation in its images and the order of its options alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

from pydantic import Field

from triptych.core.config import Settings
from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn, VideoRef, text_of
from triptych.data.text.references import LETTERS
from triptych.data.transform import tidy
from triptych.generate.item import Item

Swap = Literal["changes", "stays", "unknown"]
FACT = "question"
"""Where an item keeps it."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question about the images of an item, and what is known of it."""

    text: str
    """Its words, without images and options."""
    answer: str
    """The right answer in words; of a choice, one of the options."""
    options: tuple[str, ...] = ()
    needs: tuple[int, ...] = ()
    """Numbers of the images that have to be seen, from 1; none: nobody has said."""
    skill: str = ""
    """co-reference, comparison, reasoning, temporal, story."""
    kind: str = ""
    """Which kind of question, e.g. ``total``; what is verified is named by it."""
    swap: Swap = "unknown"
    """What becomes of the answer when the images of ``pair`` are exchanged."""
    pair: tuple[int, int] | None = None
    swapped: str = ""
    """The answer after that, where it is known."""
    details: Mapping[str, Json] | None = None
    """What the kind was asked with; None: nobody knows."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question of a conversation, as it stands there."""

    question: Question
    open: Example
    """The conversation up to the question: it ends in a user turn."""
    turn: int
    """Where its user turn is in the conversation."""


class Layout(Settings):
    """How a question and its images become a conversation."""

    label: str = "Image {k}: "
    """What stands before image k; may be empty."""
    between: str = "\n"
    """What stands between two images."""
    after: str = "\n"
    """What stands between the last image and the question that follows it."""
    place: Literal["before", "after"] = "before"
    """Whether the images stand before or after the question."""
    reply: Literal["letter", "text", "both"] = "letter"
    """What answers a choice: ``B``, ``image 2`` or ``(B) image 2``."""
    system: str = ""
    hint: str = Field(default="Answer with the option's letter.")
    """Follows the options of a choice whose reply is a letter."""


def question_of(item: Item) -> Question | None:
    """Return the question that a stage of the kit wrote, or None."""
    said = item.facts.get(FACT)
    return _read(said) if isinstance(said, dict) else None


def with_question(item: Item, question: Question, *, layout: Layout) -> Item:
    """Return the item with the question and the conversation that it is, its images those of the annotation."""
    media = [view.media for view in item.annotation.views]
    facts = {**item.facts, FACT: as_json(question)}
    example = Example(
        item.id,
        turns_of(question, media, layout=layout),
        origin=item.annotation.origin,
        skills=(question.skill,) if question.skill else (),
        facts=_told(question),
    )
    return replace(item, example=example, facts=facts)


def rewritten(item: Item, question: Question) -> Item:
    """Return the item with another question's facts; its conversation, already right, stays as it is."""
    example = None
    if item.example is not None:
        skills = (question.skill,) if question.skill else ()
        example = replace(item.example, skills=skills, facts={**item.example.facts, **_told(question)})
    return replace(item, example=example, facts={**item.facts, FACT: as_json(question)})


def as_json(question: Question) -> dict[str, Json]:
    """Return the question as facts; ``question_of`` reads it."""
    said = asdict(question)
    said["options"], said["needs"] = list(question.options), list(question.needs)
    said["pair"] = list(question.pair) if question.pair else None
    said["details"] = dict(question.details) if question.details is not None else None
    return said


def turns_of(question: Question, media: Sequence[ImageRef | VideoRef], *, layout: Layout) -> tuple[Turn, ...]:
    """Return the conversation: images with their labels, the question with its options, the answer."""
    shown: list[Part] = []
    for number, each in enumerate(media, start=1):
        shown += [Text((layout.between if shown else "") + layout.label.replace("{k}", str(number))), each]
    words = question.text + options_block(question.options)
    if question.options and layout.reply == "letter" and layout.hint:
        words += f"\n{layout.hint}"
    asked = [*shown, Text(layout.after + words)] if layout.place == "before" else [Text(f"{words}\n"), *shown]
    system = (Turn("system", (Text(layout.system),)),) if layout.system else ()
    return (*system, Turn("user", tidy(asked)), Turn("assistant", (Text(answer_text(question, layout)),)))


def answer_text(question: Question, layout: Layout) -> str:
    """Return what the assistant says."""
    if not question.options or layout.reply == "text":
        return question.answer
    letter = LETTERS[question.options.index(question.answer)]
    return letter if layout.reply == "letter" else f"({letter}) {question.answer}"


def options_block(options: Sequence[str]) -> str:
    """Return the lines of options that follow a question; nothing without options."""
    return "".join(f"\n({LETTERS[at]}) {option}" for at, option in enumerate(options))


def reorder(item: Item, options: Sequence[str]) -> Item:
    """Return the item with its options in another order, in its words, its reply and its facts."""
    question = question_of(item)
    assert question is not None, "only a question with options can have them in another order"
    assert item.example is not None, "a question stands in a conversation"
    old, new = options_block(question.options), options_block(options)
    before, after = (LETTERS[each.index(question.answer)] for each in (question.options, options))
    *turns, asked, reply = item.example.turns
    parts = tuple(Text(p.text.replace(old, new, 1)) if isinstance(p, Text) else p for p in asked.parts)
    said = text_of(reply)
    if said == before:
        said = after
    elif said.startswith(f"({before})"):
        said = f"({after}){said[len(before) + 2 :]}"
    turns += [replace(asked, parts=parts), replace(reply, parts=(Text(said),))]
    changed = replace(item, example=replace(item.example, turns=tuple(turns)))
    return rewritten(changed, replace(question, options=tuple(options)))


def exchanges_of(item: Item) -> tuple[Exchange, ...]:
    """Return every question of the item's conversation with its reply; none where there is no conversation."""
    if item.example is None:
        return ()
    turns = item.example.turns
    found = [at for at, turn in enumerate(turns[:-1]) if turn.role == "user" and turns[at + 1].role == "assistant"]
    known = question_of(item)
    exchanges = []
    for at in found:
        question = known if known is not None and len(found) == 1 else _plain(turns[at], turns[at + 1])
        exchanges.append(Exchange(question, replace(item.example, turns=turns[: at + 1]), at))
    return tuple(exchanges)


def ask_again(
    exchange: Exchange, show: Callable[[int, Part], Sequence[Part]], *, rotate: int = 0, hint: str = ""
) -> tuple[Example, Question]:
    """Return the question with other images, and itself with its options in the order in which they now stand.

    Args:
        exchange: what is asked.
        show: (number of the image or video from 1, it) -> what stands in its place.
        rotate: by how many places the options move on.
        hint: a sentence behind the question.
    """
    question = exchange.question
    options = question.options
    if options and rotate:
        options = options[-rotate % len(options) :] + options[: -rotate % len(options)]
    old, new = options_block(question.options), options_block(options)
    seen = 0
    turns = []
    for at, turn in enumerate(exchange.open.turns):
        parts: list[Part] = []
        for part in turn.parts:
            if isinstance(part, Text):
                last = at == exchange.turn and old != new
                parts.append(Text(part.text.replace(old, new, 1)) if last else part)
            else:
                seen += 1
                parts += show(seen, part)
        turns.append(replace(turn, parts=tidy(parts)))
    if hint:
        turns[-1] = replace(turns[-1], parts=tidy((*turns[-1].parts, Text(f"\n{hint}"))))
    asked = replace(exchange.open, turns=tuple(turns), demonstrations=(), facts={}, skills=(), labels=())
    return asked, replace(question, options=options)


def _plain(asked: Turn, reply: Turn) -> Question:
    words = "\n".join(part.text.strip() for part in asked.parts if isinstance(part, Text) and part.text.strip())
    return Question(words, text_of(reply).strip())


def _told(question: Question) -> dict[str, Json]:
    """Return what travels with the row into a data format."""
    told: dict[str, Json] = {"kind": question.kind or question.skill, "needs": list(question.needs)}
    if question.options:
        told |= {"options": list(question.options), "choice": True, "chance": 1 / len(question.options)}
    return told


def _read(said: Mapping[str, Json]) -> Question:
    pair, details, swap = said.get("pair"), said.get("details"), said.get("swap")
    return Question(
        text=str(said.get("text", "")),
        answer=str(said.get("answer", "")),
        options=_words(said.get("options")),
        needs=_numbers(said.get("needs")),
        skill=str(said.get("skill", "")),
        kind=str(said.get("kind", "")),
        swap=swap if swap in get_args(Swap) else "unknown",  # type: ignore[arg-type]
        pair=(int(str(pair[0])), int(str(pair[1]))) if isinstance(pair, list) and len(pair) == 2 else None,
        swapped=str(said.get("swapped", "")),
        details=details if isinstance(details, dict) else None,
    )


def _words(said: Json) -> tuple[str, ...]:
    return tuple(map(str, said)) if isinstance(said, list) else ()


def _numbers(said: Json) -> tuple[int, ...]:
    return tuple(each for each in said if isinstance(each, int)) if isinstance(said, list) else ()
