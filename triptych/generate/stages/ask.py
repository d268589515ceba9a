"""ask: what is known of an item's images, in a prompt's words, to a teacher; its reply is kept as it is.

Not the reading of the reply (``parse``). The prompt is a system message, in-context examples and the annotation;
``prompt`` names a file of ``prompts/`` or one of your own, ``examples`` a cold start's in place of its own. A teacher
that sees gets the images too, each in its place before what is known of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from pydantic import Field, field_validator, model_validator

from triptych.core.errors import TriptychError
from triptych.core.records import Answer, Example, Json
from triptych.generate.annotation_text import fewer_sentences, tell, tell_with_images
from triptych.generate.item import Item, Refusal
from triptych.generate.prompts import Prompt, Value, fill, known, load
from triptych.generate.stage import Made, Request, Stage, TeacherSettings
from triptych.infer.responder import Failed


class Ask(TeacherSettings):
    """What the teacher is asked, and how often."""

    prompt: str
    """A file of ``prompts/`` without its ending, or the path of a Markdown file of your own."""
    examples: str | None = None
    """File of a cold start: its accepted examples are shown in place of the prompt's own."""
    images: bool = False
    """Whether the teacher also sees the images."""
    structured: bool = True
    """Whether endpoints that offer it hold the reply to the prompt's JSON schema."""
    samples: int = Field(default=1, ge=1)
    """How often each item is asked; the replies are items of their own."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of a reply; otherwise what the prompt says."""
    most_sentences: int = Field(default=50, ge=1)
    """Most of an annotation's sentences that the teacher is told; drawn by the item's id where there are more."""
    values: Mapping[str, str] = Field(default_factory=dict)
    """What fills other slots of the prompt than ``annotation``."""

    @field_validator("prompt")
    @classmethod
    def _check_prompt(cls, value: str) -> str:
        return known(value)

    @model_validator(mode="after")
    def _fits_its_prompt(self) -> Ask:
        try:
            slots = {*prompt_of(self).slots}
        except TriptychError as error:
            raise ValueError(str(error)) from None
        if missing := sorted(slots - {"annotation", *self.values}):
            raise ValueError(f"prompt {self.prompt!r}: slot {{{missing[0]}}} has no value: give it in values")
        if unknown := sorted(self.values.keys() - slots):
            raise ValueError(f"prompt {self.prompt!r} has no slot {{{unknown[0]}}}; it has: {', '.join(sorted(slots))}")
        return self


def prompt_of(settings: Ask) -> Prompt:
    """Return the prompt with the examples that the settings name."""
    return load(settings.prompt + (f"#examples={settings.examples}" if settings.examples else ""))


def question(item: Item, prompt: Prompt, *, settings: Ask, random: Random) -> Example | None:
    """Return what is said to the teacher; None where nothing is known and nothing can be seen."""
    told = fewer_sentences(item.annotation, settings.most_sentences, random=random)
    known: Value = tell_with_images(told) if settings.images else tell(told)
    if not (known or (settings.images and item.annotation.views)):
        return None
    values: dict[str, Value] = {**settings.values}
    if "annotation" in prompt.slots:
        values["annotation"] = known
    return fill(prompt, id=item.id, **values)


def ask(item: Item, settings: Ask, random: Random) -> Sequence[Request]:
    """Return one request a sample."""
    prompt = prompt_of(settings)
    asked = question(item, prompt, settings=settings, random=random)
    if asked is None:
        return ()
    return [
        Request(
            name=f"{prompt.name} {sample}",
            question=asked,
            max_tokens=settings.max_tokens or prompt.max_tokens,
            prompt=prompt.name,
            schema=prompt.schema if settings.structured else None,
            sample=sample,
        )
        for sample in range(settings.samples)
    ]


def take(item: Item, settings: Ask, replies: Sequence[Answer | Failed]) -> Sequence[Made]:
    """Return the item with its reply; where several were asked for, one child a reply."""
    if not replies:
        message = f"{item.id}: the annotation says nothing, and the teacher is shown no images. Set images: true."
        return [Refusal(item, "nothing to tell", message)]
    prompt = prompt_of(settings)
    made: list[Made] = []
    for number, reply in enumerate(replies):
        own = item if settings.samples == 1 else child(item, str(number))
        if isinstance(reply, Failed):
            made.append(Refusal(own, "no reply", f"{own.id}: {reply.reason}"))
            continue
        told: dict[str, Json] = {
            "prompt": settings.prompt,
            "prompt_hash": prompt.hash,
            "skills": list(prompt.skills),
            "cut": reply.cut,
        }
        made.append(replace(own, reply=reply.text, facts={**item.facts, "ask": told}))
    return made


def child(item: Item, name: str) -> Item:
    """Return a new item made of one, without its conversation's id."""
    called = f"{item.id}/{name}"
    example = None if item.example is None else replace(item.example, id=called)
    return replace(item, id=called, parents=(*item.parents, item.id), example=example)


STAGE = Stage(
    settings=Ask,
    about="a prompt with what is known of the images, to a teacher",
    ask=ask,
    take=take,
    samples=({"prompt": "la_conversation"}, {"prompt": "la_conversation", "images": True, "samples": 2}),
)
