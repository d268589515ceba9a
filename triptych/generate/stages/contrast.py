"""contrast: which caption belongs to which image; from captions alone, or with captions that a teacher writes anew.

Source: Contrast-Caption of Mantis-Instruct (arXiv:2405.01483); ``data/transforms/contrast.py`` makes it of finished
rows. Here the teacher may be asked for one caption an image that fits no other, which alike images need. Invariant:
the right image of a question is that of the annotation's own view, whatever the teacher says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from pydantic import Field, field_validator

from triptych.core.records import Answer
from triptych.data.text.naming import Namer
from triptych.data.text.wording import words_in
from triptych.data.transform import draw
from triptych.generate.item import Item, Refusal
from triptych.generate.kit.written_questions import MOST_DIGITS, filled, read_records, shown
from triptych.generate.prompts import Value, known, load
from triptych.generate.question import Layout, Question, with_question
from triptych.generate.stage import Made, Request, Stage, TeacherSettings
from triptych.infer.responder import Failed

_ASKED = (
    "Which {noun} does this caption describe? {caption}",
    "One of the {noun}s fits these words. Which one? {caption}",
    "Find the {noun} that this is about: {caption}",
)


class Contrast(TeacherSettings):
    """Where captions come from, and what is asked."""

    rewrite: bool = False
    """Whether a teacher writes one caption an image that fits no other; otherwise the annotation's first is taken."""
    sees: bool = False
    """Whether that teacher sees the images."""
    prompt: str = "kit_contrast"
    questions: int = Field(default=1, ge=1)
    """Questions of an annotation, each about another image and an item of its own."""
    choice: bool = True
    """Whether the images are given as options."""
    noun: str = "image"
    layout: Layout = Layout()

    _check_prompt = field_validator("prompt")(known)


def ask(item: Item, settings: Contrast, random: Random) -> Sequence[Request]:
    """Return the request for captions, where they are to be written anew."""
    if not settings.rewrite or item.example is not None:
        return []
    prompt = load(settings.prompt)
    values: dict[str, Value] = {"images": shown(item, sees=settings.sees), "count": len(item.annotation.views)}
    question = filled(prompt, values)
    return [Request("captions", question, max_tokens=prompt.max_tokens, prompt=prompt.name, schema=prompt.schema)]


def take(item: Item, settings: Contrast, replies: Sequence[Answer | Failed]) -> Sequence[Made]:
    """Return the questions which image a caption is about."""
    views = item.annotation.views
    if item.example is not None:
        return [item]
    if len(views) < 2:
        return [Refusal(item, "too few images", "which caption fits which image needs two of them.")]
    captions = [view.captions[0] if view.captions else "" for view in views]
    if settings.rewrite:
        reply = replies[0]
        if isinstance(reply, Failed):
            return [Refusal(item, "no reply", reply.reason)]
        captions = _written(reply.text, len(views))
        item = replace(item, reply=reply.text)
    usable = [at for at, caption in enumerate(captions) if caption and _tells(caption, at, captions)]
    if not usable:
        return [
            Refusal(item, "captions do not tell images apart", "each caption is missing, or fits another image too.")
        ]
    random = draw("contrast", item.id)
    made: list[Made] = []
    for number, at in enumerate(random.sample(usable, min(settings.questions, len(usable)))):
        child = replace(item, id=f"{item.id}/{number}", parents=(*item.parents, item.id))
        made.append(
            with_question(child, _question(captions[at], at, len(views), settings, random), layout=settings.layout)
        )
    return made


def _question(caption: str, at: int, count: int, settings: Contrast, random: Random) -> Question:
    namer = Namer(noun=settings.noun)
    names = tuple(namer.name(number) for number in range(1, count + 1))
    text = random.choice(_ASKED).replace("{noun}", settings.noun).replace("{caption}", caption)
    other = random.choice([number for number in range(1, count + 1) if number != at + 1])
    return Question(
        text,
        names[at],
        options=names if settings.choice else (),
        needs=tuple(range(1, count + 1)),
        skill="reasoning",
        kind="contrast",
        swap="changes",
        pair=(at + 1, other),
        swapped=names[other - 1],
    )


def _tells(caption: str, at: int, captions: Sequence[str]) -> bool:
    """Return whether a caption says something that no other image's caption holds as a whole."""
    words = set(words_in(caption))
    return not any(words <= set(words_in(other)) for number, other in enumerate(captions) if number != at)


def _written(reply: str, count: int) -> list[str]:
    """Return the captions that a reply gives for images 1 to ``count``; empty where it gives none."""
    captions = [""] * count
    for record in read_records(reply.replace('"caption"', '"question"')):
        number = record.get("image")
        if str(number).isdecimal() and len(str(number)) < MOST_DIGITS and 1 <= int(str(number)) <= count:
            captions[int(str(number)) - 1] = " ".join(str(record.get("question", "")).split())
    return captions


STAGE = Stage(
    settings=Contrast,
    about="which caption belongs to which image, from captions or with ones that a teacher writes to tell them apart",
    ask=ask,
    take=take,
    samples=({}, {"rewrite": True, "choice": False}),
)
