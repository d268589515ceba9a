"""cold_start: a teacher proposes in-context examples for a prompt, for a person to edit, accept or reject.

Not the person's part: ``triptych generate review RUN`` shows the proposals with their images and writes what became
of them to ``cold_start.yaml``, which ``ask`` then takes as ``examples``. Run it on a few items: ``#limit=6``.
The proposal is the item's conversation: what is said to the teacher, and what it should reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from pydantic import Field, field_validator

from triptych.core.records import Answer, Example, Json, Text, Turn
from triptych.data.transform import draw
from triptych.generate.annotation_text import fewer_sentences, tell, tell_with_images
from triptych.generate.item import Annotation, Item, Refusal
from triptych.generate.prompts import SLOT, fill, known, load
from triptych.generate.reply_pairs import read_pairs
from triptych.generate.stage import Made, Request, Stage, TeacherSettings
from triptych.generate.stages.ask import child
from triptych.infer.responder import Failed

META = "cold_start"


class ColdStart(TeacherSettings):
    """What examples are proposed for."""

    prompt: str
    """The prompt that is to show them."""
    count: int = Field(default=1, ge=1)
    """Number of proposals for an item."""
    images: bool = False
    """Whether the teacher also sees the images."""
    most_sentences: int = Field(default=50, ge=1)
    """Most of an annotation's sentences that the teacher is told; drawn by the item's id where there are more."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of a proposal; otherwise what the prompt says."""

    @field_validator("prompt")
    @classmethod
    def _check_prompt(cls, value: str) -> str:
        return known(value)


def ask(item: Item, settings: ColdStart, random: Random) -> Sequence[Request]:
    """Return one request a proposal."""
    del random  # What is told must be the same when the reply is taken.
    target, meta = load(settings.prompt), load(META)
    told = _told(item, settings)
    known = tell(told)
    if not (known or settings.images):
        return ()
    seen = tell_with_images(told) if settings.images else known
    asked = fill(meta, id=item.id, task=target.system, annotation=seen)
    most = settings.max_tokens or target.max_tokens
    return [
        Request(f"{META} {number}", asked, most, META, target.schema, sample=number) for number in range(settings.count)
    ]


def take(item: Item, settings: ColdStart, replies: Sequence[Answer | Failed]) -> Sequence[Made]:
    """Return one child a proposal; none is thrown away for its layout, as a person mends it."""
    if not replies:
        return [Refusal(item, "nothing to tell", f"{item.id}: the annotation says nothing of the images.")]
    target = load(settings.prompt)
    words = SLOT.sub(lambda slot: tell(_told(item, settings)) if slot[1] == "annotation" else slot[0], target.ask)
    made: list[Made] = []
    for number, reply in enumerate(replies):
        own = child(item, str(number))
        if isinstance(reply, Failed):
            made.append(Refusal(own, "no reply", f"{own.id}: {reply.reason}"))
        elif not reply.text.strip():
            made.append(Refusal(own, "empty reply", f"{own.id}: the teacher said nothing."))
        else:
            turns = (Turn("user", (Text(words),)), Turn("assistant", (Text(reply.text.strip()),)))
            told: dict[str, Json] = {
                "prompt": settings.prompt,
                "prompt_hash": target.hash,
                "pairs": len(read_pairs(reply.text).pairs),
            }
            example = Example(own.id, turns, origin=item.annotation.origin, skills=target.skills)
            made.append(replace(own, example=example, facts={**own.facts, META: told}))
    return made


def _told(item: Item, settings: ColdStart) -> Annotation:
    return fewer_sentences(item.annotation, settings.most_sentences, random=draw(META, item.id))


STAGE = Stage(
    settings=ColdStart,
    about="a teacher proposes in-context examples for a prompt; a person reviews them",
    ask=ask,
    take=take,
    samples=({"prompt": "la_conversation", "count": 2},),
)
