"""Questions that a teacher writes: a prompt filled with images or descriptions -> questions, read from its reply.

Not a stage: the stages that ask (``compare``, ``coref`` and the like) each name their prompt in their own file. Each
question is judged by itself, so that one bad pair does not cost the others; a copy of one of the prompt's own examples
is refused. An item that already is a conversation passes unchanged. Invariant: any other item comes out as its
questions, each an item of its own, or as refusals; what could not be read is in a refusal, whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Annotated, Any

from pydantic import Field, create_model, field_validator

from triptych.core.records import Answer, Example, Json, Part, Text, VideoRef
from triptych.data.text.references import find_references
from triptych.data.text.wording import words_in
from triptych.generate.item import Item, Refusal
from triptych.generate.kit.describing import describe_all
from triptych.generate.loose_json import TornObject, values_in
from triptych.generate.options import meant, options_of
from triptych.generate.prompts import Prompt, Value, fill, known, load
from triptych.generate.question import Layout, Question, Swap, with_question
from triptych.generate.reply_pairs import Pair, read_pairs, record_of
from triptych.generate.stage import Made, Request, Stage, Take, TeacherSettings
from triptych.infer.responder import Failed

MOST_DIGITS = 10
"""A longer number in a reply is not taken for the number of an image."""


class AskingSettings(TeacherSettings):
    """Settings of every stage that asks a teacher for questions."""

    prompt: str = "kit_multi_vqa"
    """Name of a prompt in ``prompts/``, or the path of a Markdown file of your own."""
    questions: int = Field(default=4, ge=1)
    """How many questions to ask for, each an item of its own; more in a reply are refused."""
    sees: bool = False
    """Whether the teacher sees the images, in order among the words; otherwise it reads what is known of them."""
    places: bool = False
    """Whether descriptions say in words where in an image a thing is, from its box."""
    fewest: int = Field(default=2, ge=1)
    """Items with fewer images are refused."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of the reply; None: what the prompt file says."""
    layout: Layout = Layout()

    _check_prompt = field_validator("prompt")(known)


def asking_stage(*, skill: str, prompt: str, about: str, questions: int = 4) -> Stage:
    """Return the stage that fills a prompt and reads questions out of the reply.

    Args:
        skill: what its questions train, unless a reply says another.
        prompt: default of its setting ``prompt``.
        about: one line for people.
        questions: default of its setting ``questions``.
    """
    settings = create_model(
        "AskingSettings",
        __base__=AskingSettings,
        prompt=(str, prompt),
        questions=(Annotated[int, Field(ge=1)], questions),
    )
    return Stage(
        settings=settings, about=about, ask=_ask, take=_take_with(skill), samples=({}, {"sees": True, "questions": 2})
    )


def shown(item: Item, *, sees: bool, places: bool = False, noun: str = "Image") -> tuple[Part, ...]:
    """Return the item's images with their numbers, as pictures or as words."""
    if not sees:
        return (Text(describe_all(item.annotation, noun=noun, places=places)),)
    parts: list[Part] = []
    for number, view in enumerate(item.annotation.views, start=1):
        parts += [Text(f"{noun} {number}: "), view.media, Text("\n")]
    return tuple(parts)


def _ask(item: Item, settings: Any, random: Random) -> Sequence[Request]:
    if item.example is not None:
        return []
    count = len(item.annotation.views)
    if count < settings.fewest or any(isinstance(view.media, VideoRef) for view in item.annotation.views):
        return []
    prompt = load(settings.prompt)
    values: dict[str, Value] = {
        "images": shown(item, sees=settings.sees, places=settings.places),
        "count": count,
        "questions": settings.questions,
        **_extra(item, random),
    }
    question = filled(prompt, values)
    most = settings.max_tokens or prompt.max_tokens
    return [Request("ask", question, max_tokens=most, prompt=prompt.name, schema=prompt.schema)]


def filled(prompt: Prompt, values: Mapping[str, Value]) -> Example:
    """Return the prompt with those of the values that it has slots for. Raises ConfigError: it has another slot."""
    return fill(prompt, id="", **{slot: values[slot] for slot in prompt.slots if slot in values})


def _extra(item: Item, random: Random) -> dict[str, str]:
    """Return the values of slots that only some prompts have."""
    captions = [caption for view in item.annotation.views for caption in view.captions[:1]]
    random.shuffle(captions)
    topics = ", ".join(sorted({thing.name for view in item.annotation.views for thing in view.things}))
    return {"captions": "\n".join(f"- {caption}" for caption in captions), "topics": topics or "whatever is shown"}


def _take_with(skill: str) -> Take:
    def take(item: Item, settings: Any, replies: Sequence[Answer | Failed]) -> Sequence[Made]:
        if item.example is not None:
            return [item]
        if not replies:
            return [Refusal(item, "too few images", f"it has {len(item.annotation.views)} images, or a video.")]
        reply = replies[0]
        if isinstance(reply, Failed):
            return [Refusal(item, "no reply", reply.reason)]
        pairs = read_records(reply.text, cut=reply.cut)
        told = replace(item, reply=reply.text)
        if not pairs:
            return [
                Refusal(told, "no questions in the reply", "it holds neither JSON nor lines of questions and answers.")
            ]
        made: list[Made] = []
        shown_before = _questions_of(load(settings.prompt))
        for number, pair in enumerate(pairs):
            child = replace(item, id=f"{item.id}/{number}", parents=(*item.parents, item.id))
            question = question_from(pair, count=len(item.annotation.views), skill=skill)
            if isinstance(question, Question) and " ".join(words_in(question.text)) in shown_before:
                question = "copies the prompt's example"
            if number >= settings.questions:
                question = "more questions than asked for"
            if isinstance(question, str):
                made.append(
                    Refusal(replace(child, reply=json.dumps(pair, ensure_ascii=False)), question, f"{pair}"[:300])
                )
            else:
                made.append(with_question(child, question, layout=settings.layout))
        return made

    return take


def _questions_of(prompt: Prompt) -> frozenset[str]:
    """Return the words of the questions in a prompt's examples, which a small teacher says again of any images."""
    records = [record for _, reply in prompt.shots for record in read_records(reply)]
    return frozenset(" ".join(words_in(_text(record.get("question")))) for record in records)


def read_records(reply: str, *, cut: bool = False) -> list[dict[str, Json]]:
    """Return the question records of a reply: objects of JSON with a question in them, else labelled lines.

    Args:
        reply: what the teacher said.
        cut: it ended because it was as long as allowed, so that its last line may be torn.
    """
    if found := [record for value in values_in(reply) for record in _records(value)]:
        return found
    read = read_pairs(reply, cut=cut)
    return [*map(_record, read.pairs), *(TornObject(_record(pair)) for pair in read.torn)]


def question_from(pair: Mapping[str, Json], *, count: int, skill: str) -> Question | str:
    """Return the question that a record of a reply says, or why it is none: short and countable."""
    if isinstance(pair, TornObject):
        return "torn off"
    text, answer = _text(pair.get("question")), _text(pair.get("answer"))
    if not text or not answer:
        return "no question" if not text else "no answer"
    options = options_of(pair)
    if options is None:
        return "options cannot be read"
    if options:
        if (at := meant(answer, options)) is None:
            return "answer is no option"
        if len(set(options)) < len(options):
            return "options repeat"
        answer = options[at]
    needs = _needs(pair.get("images"), f"{text}\n{answer}", count)
    told: Swap = "changes" if pair.get("order_matters") is True else "unknown"
    pair_of = (needs[0], needs[1]) if len(needs) > 1 else None
    return Question(
        text,
        answer,
        options=options,
        needs=needs,
        skill=_text(pair.get("skill")) or skill,
        kind="written",
        swap=told if pair_of else "unknown",
        pair=pair_of,
    )


def _records(value: Json) -> list[dict[str, Json]]:
    """Return every object with a question in it, or with an answer to none, however deep and whatever its keys."""
    if not isinstance(value, dict):
        return [record for inner in value for record in _records(inner)] if isinstance(value, list) else []
    record = record_of(value)
    if record is not None and any(key.casefold().strip() == "question" for key in value):
        return [record]
    inside = [found for inner in value.values() for found in _records(inner)]
    return inside or ([record] if record is not None else [])


def _record(pair: Pair) -> dict[str, Json]:
    """Return a pair as the object that says it."""
    said: dict[str, Json] = {key.casefold().strip(): each for key, each in pair.extra.items()}
    if pair.options:
        said["options"] = list(pair.options)
    return {**said, "question": pair.question, "answer": pair.answer}


def _needs(said: Json, text: str, count: int) -> tuple[int, ...]:
    """Return the images that a record says it needs, else those that its words mean."""
    listed = said if isinstance(said, list) else re.findall(r"\d+", said) if isinstance(said, str) else []
    numbers = [int(str(each)) for each in listed if str(each).isdecimal() and len(str(each)) < MOST_DIGITS]
    numbers = numbers or [number for each in find_references(text, count=count) for number in each.numbers]
    return tuple(dict.fromkeys(numbers))


def _text(said: Json) -> str:
    return " ".join(str(said).split()) if isinstance(said, str | int | float) and not isinstance(said, bool) else ""
