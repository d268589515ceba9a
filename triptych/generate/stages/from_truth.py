"""from_truth: questions about several images whose answers follow from their annotation; no language model is asked.

Not for annotations in captions alone: things are counted and compared. Sources of the ideas: NLVR's statements (Suhr
et al. 2017) and CLEVR's programs (arXiv:1612.06890). Invariants: an answer is what the annotation settles; no image
alone settles it, unless the question picks one image out among others, asks for "any" or "every", or ``one_enough``
allows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Literal

from pydantic import Field, field_validator

from triptych.core.config import Settings
from triptych.data.text.naming import Namer, Style
from triptych.generate.item import Item, Refusal
from triptych.generate.kit.kinds import KINDS
from triptych.generate.kit.truth import Form, Wording, ask_about
from triptych.generate.question import Layout, Question, with_question
from triptych.generate.stage import Made, Stage, StageSettings


class Forms(Settings):
    """How often each form is taken, as weights."""

    question: float = Field(default=1.0, ge=0.0)
    """The answer is free: a number, yes or no, an image, a thing."""
    choice: float = Field(default=1.0, ge=0.0)
    """Options, of which one is right."""
    statement: float = Field(default=1.0, ge=0.0)
    """A statement that is true or false."""


class FromTruth(StageSettings):
    """Which questions are asked about an annotation, and in which words."""

    per_item: int = Field(default=3, ge=1)
    """Questions about one annotation, each an item of its own, as far as it has so many."""
    keep: bool = False
    """Whether the annotation goes on too, as one more child, for a stage that asks a teacher about it."""
    kinds: tuple[str, ...] = ()
    """Which kinds of questions; none: all that fit."""
    forms: Forms = Forms()
    one_enough: Literal["skip", "keep"] = "skip"
    """What becomes of a question that one image alone settles."""
    whole: bool = False
    """Whether things of any sort are asked for too ("objects"): only where the annotation tells of all of them."""
    styles: tuple[Style, ...] = Field(default=("number",), min_length=1)
    """How images are called: number ("image 2") or ordinal ("the second image"); drawn for each question."""
    noun: str = "image"
    statement: str = Wording().statement
    """The words that ask about a statement: with the placeholder {statement}, and perhaps {nouns} and {count}."""
    choices: int = Field(default=4, ge=2)
    layout: Layout = Layout()

    @field_validator("kinds")
    @classmethod
    def _check_kinds(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(kinds) - KINDS.keys()):
            raise ValueError(f"no kind is called {unknown[0]!r}. There are: {', '.join(KINDS)}")
        return kinds

    @field_validator("statement")
    @classmethod
    def _check_statement(cls, statement: str) -> str:
        if "{statement}" not in statement:
            raise ValueError("it must have the placeholder {statement}")
        return statement


def each(item: Item, settings: FromTruth, random: Random) -> Sequence[Made]:
    """Return an item a question, or the refusal of an annotation that offers none."""
    views = item.annotation.views
    if item.example is not None:
        return [item]
    if len(views) < 2 or not any(view.things for view in views):
        return [Refusal(item, "nothing to ask", "it has not two images, or nobody has said what things are in them.")]
    names = list(settings.kinds or KINDS)
    random.shuffle(names)
    made: list[Made] = []
    asked: set[tuple[str, str]] = set()
    for name in names * settings.per_item:
        if len(made) == settings.per_item:
            break
        question = _question(name, item, settings, random)
        if question is None or (question.text, question.answer) in asked:
            continue
        asked.add((question.text, question.answer))
        child = replace(item, id=f"{item.id}/{len(made)}", parents=(*item.parents, item.id))
        made.append(with_question(child, question, layout=settings.layout))
    if settings.keep:
        rest = replace(item, id=f"{item.id}/{len(made)}", parents=(*item.parents, item.id))
        return [*made, rest]
    return made or [Refusal(item, "nothing to ask", "no kind of question has an answer that needs several images.")]


def _question(name: str, item: Item, settings: FromTruth, random: Random) -> Question | None:
    forms = settings.forms
    form: Form = random.choices(("question", "choice", "statement"), (forms.question, forms.choice, forms.statement))[0]
    namer = Namer(random.choice(settings.styles), settings.noun)
    wording = Wording(namer, settings.statement, settings.choices)
    kind, views = KINDS[name], item.annotation.views
    question = ask_about(name, views, random=random, form=form, wording=wording, whole=settings.whole)
    if question is None or question.details is None:
        return None
    if settings.one_enough == "skip" and not (kind.lone or kind.quantified) and kind.enough(views, question.details):
        return None
    return question


STAGE = Stage(
    settings=FromTruth,
    about="verified questions about several images from what is known to be in them, without a language model",
    each=each,
    samples=({}, {"per_item": 2, "forms": {"question": 0.0, "choice": 0.0}, "styles": ["ordinal"], "whole": True}),
)
