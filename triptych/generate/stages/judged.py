"""judged: a judge gives each question with its answer a score from 1 to 5; what is below the least is refused.

Optional, as it costs a request an item and is only as good as the judge. Its words are ``prompts/kit_judge.md``. A
reply without a score is a refusal of its own kind, never a score.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from pydantic import Field, field_validator

from triptych.core.records import Answer
from triptych.generate.item import Item, Refusal
from triptych.generate.kit.checking import noted
from triptych.generate.kit.written_questions import filled, shown
from triptych.generate.prompts import Value, known, load
from triptych.generate.question import exchanges_of, options_block
from triptych.generate.stage import Made, Request, Stage, TeacherSettings
from triptych.infer.responder import Failed

_SCORE = re.compile(r"\"?score\"?\s*[:=]?\s*([1-5])(?!\d)|^\W*([1-5])(?![\d.])(?:\s*/\s*5)?", re.IGNORECASE)


class Judged(TeacherSettings):
    """What the judge is shown, and how good an item must be."""

    teacher: str = "judge"
    prompt: str = "kit_judge"
    sees: bool = True
    """Whether the judge sees the images; otherwise it reads what is known of them."""
    least: int = Field(default=4, ge=1, le=5)

    _check_prompt = field_validator("prompt")(known)


def ask(item: Item, settings: Judged, random: Random) -> Sequence[Request]:
    """Return a request for each question of the item."""
    prompt = load(settings.prompt)
    requests = []
    for at, exchange in enumerate(exchanges_of(item)):
        question = exchange.question
        values: dict[str, Value] = {
            "images": shown(item, sees=settings.sees),
            "question": question.text + options_block(question.options),
            "answer": question.answer,
        }
        asked = filled(prompt, values)
        requests.append(
            Request(f"judge {at}", asked, max_tokens=prompt.max_tokens, prompt=prompt.name, schema=prompt.schema)
        )
    return requests


def take(item: Item, settings: Judged, replies: Sequence[Answer | Failed]) -> Sequence[Made]:
    """Return the item with its lowest score, or its refusal."""
    scores = []
    for reply in replies:
        if isinstance(reply, Failed):
            return [Refusal(item, "no reply", f"it could not be judged: {reply.reason}")]
        found = _SCORE.search(reply.text.strip())
        if found is None:
            return [Refusal(item, "no score in the reply", f"it says {reply.text[:300]!r}.")]
        scores.append(int(found[1] or found[2]))
    judged = noted(item, "judged", scores=[*scores])
    if scores and min(scores) < settings.least:
        reason = next(
            r.text for r, s in zip(replies, scores, strict=True) if s == min(scores) and isinstance(r, Answer)
        )
        return [Refusal(judged, "judged poor", f"{min(scores)} of 5: {' '.join(reason.split())[:300]}")]
    return [judged]


STAGE = Stage(
    settings=Judged,
    about="refuse questions that a judge gives a low score",
    ask=ask,
    take=take,
    samples=({}, {"least": 2, "sees": False}),
)
