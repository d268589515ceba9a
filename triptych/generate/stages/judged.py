"""judged: a judge gives each question with its answer a score from 1 to 5; what is below the least is refused.

Optional, as it costs a request an item and is only as good as the judge. Its words are ``prompts/kit_judge.md``. A
reply without a score, with two different ones or with one on another scale is a refusal of its own kind, never a score.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from random import Random

from pydantic import Field, field_validator

from triptych.core.records import Answer, Json
from triptych.generate.item import Item, Refusal
from triptych.generate.kit.checking import noted
from triptych.generate.kit.written_questions import filled, shown
from triptych.generate.loose_json import TornText, values_in
from triptych.generate.prompts import Value, known, load
from triptych.generate.question import exchanges_of, options_block
from triptych.generate.stage import Made, Request, Stage, TeacherSettings
from triptych.infer.responder import Failed

KEY = "score"
_MARKS = r"[\s*_\"'(\[]{0,9}"
_UNIT = r"(?:\s?(?:stars?|points?|分|点|星))?+"
_SCORE = (
    rf"([1-5]){_UNIT}(?:\s?/\s?5|\s(?:out\s)?of\s5)?+{_UNIT}"
    r"(?![\w/%]|[.,]\d|\s?[-–/]\s?\d|\s(?:out\s)?of\s)"
)
"""A score, on the scale that was asked for: not the 4 of "4/10", "4.5", "4-5" or "4 of the images"."""
_SCALE = rf"(?:\(?(?:1\s?[-–]\s?5|(?:out\s)?of\s5)\)?{_MARKS})?"
_TALK = r"(?!\s(?:or|to\s\W{0,3}\d|is|was|were|would|will|could|if|unless|needs?|when|only)\b)"
"""What stands behind a score that is talked about, not given: "score: 5 would need both images"."""
_LABELLED = re.compile(
    rf"\bscores?{_MARKS}{_SCALE}[:=]{_MARKS}{_SCORE}{_TALK}|^\W{{0,9}}score\s{_SCORE}(?=\W*$)",
    re.IGNORECASE | re.MULTILINE,
)
_BARE = re.compile(
    rf"^{_MARKS}{_SCORE}(?=[*_\"')\]]{{0,5}}(?:[.:,;]?\s*$|[.:,;]\s|\s[-–—]\s|\s\(|\s(?:because|since|as)\b))",
    re.MULTILINE,
)
"""A line that begins with a score and goes on, if at all, behind a punctuation mark or with the reason."""
_OBJECTS = re.compile(r"\{.*\}|\{.*", re.DOTALL)


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
        score = score_in(reply.text)
        if score is None:
            return [Refusal(item, "no score in the reply", f"it says {reply.text[:300]!r}.")]
        scores.append(score)
    judged = noted(item, "judged", scores=[*scores])
    if scores and min(scores) < settings.least:
        reason = next(
            r.text for r, s in zip(replies, scores, strict=True) if s == min(scores) and isinstance(r, Answer)
        )
        return [Refusal(judged, "judged poor", f"{min(scores)} of 5: {' '.join(reason.split())[:300]}")]
    return [judged]


def score_in(reply: str) -> int | None:
    """Return the score from 1 to 5 that a reply gives; None: none, several, or one on another scale."""
    values = [each for value in values_in(reply) for each in (value if isinstance(value, list) else [value])]
    told = [value for value in values if isinstance(value, dict)]
    under_key = [said for value in told for said in _under_key([value])]
    if under_key:
        given = {_as_score(said) for said in under_key}
    else:
        words = unicodedata.normalize("NFKC", _OBJECTS.sub(" ", reply) if told else reply)
        said = _LABELLED.findall(words) or [(score, "") for score in _BARE.findall(words)]
        given = {int(one or other) for one, other in said}
    return given.pop() if len(given) == 1 else None


def _under_key(objects: Sequence[dict[str, Json]]) -> Sequence[Json]:
    """Return what stands under the key, the outermost: a judge may score parts beside the whole."""
    while objects:
        members = [(key.casefold().strip(), said) for each in objects for key, said in each.items()]
        if found := [said for key, said in members if key == KEY]:
            return found
        objects = [said for _, said in members if isinstance(said, dict)]
    return ()


def _as_score(said: Json) -> int | None:
    if isinstance(said, str) and not isinstance(said, TornText):
        found = _BARE.match(unicodedata.normalize("NFKC", said.strip()))
        return int(found[1]) if found else None
    return int(said) if isinstance(said, int | float) and said in (1, 2, 3, 4, 5) and said is not True else None


STAGE = Stage(
    settings=Judged,
    about="refuse questions that a judge gives a low score",
    ask=ask,
    take=take,
    samples=({}, {"least": 2, "sees": False}),
)
