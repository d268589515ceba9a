"""verify: an answer must agree with what the annotation knows: counts, which image, yes or no, names.

Not for annotations that tell only a part: ``complete`` says whether all things of an image are listed. The answer is
worked out from the record that a verified question carries, and from the words of any question that can be read
(``kit/claims``). What cannot be read passes as unchecked, unless ``unread`` says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import Literal

from triptych.data.text.references import CARDINALS
from triptych.data.text.wording import words_in
from triptych.generate.item import Item, Refusal
from triptych.generate.kit.checking import noted
from triptych.generate.kit.claims import expected, known_words, presupposed
from triptych.generate.kit.truth import told
from triptych.generate.kit.verdicts import same
from triptych.generate.question import Question, exchanges_of
from triptych.generate.stage import Made, Stage, StageSettings

_PLAIN_SAID = (
    "a an the is are was it of in on at to and or not no yes true false both all none neither each every only "
    "same different nothing image images picture pictures photo frame view box boxes first second third fourth "
    "last one more less most least there they them he she small large big little left right top bottom front "
    "have has had with without do does that this which its their some any many few both same as than "
    "before after black white grey red blue green yellow orange brown pink purple "
)
_PLAIN = frozenset(_PLAIN_SAID.split())
"""Words of an answer that name nothing which an annotation would have to know."""
_OPEN = re.compile(
    r"\b(?:why|doing|happen\w*|how do|how does|feel\w*|might|could|would|will|mean\w*|story)\b", re.IGNORECASE
)
"""Questions whose answers name more than things."""
_NAME_WORDS = 6
"""Longer answers are sentences, and not compared with names."""


class Verify(StageSettings):
    """What is compared."""

    by: tuple[Literal["record", "words"], ...] = ("record", "words")
    """record: what a verified question says of itself; words: the question as anybody reads it."""
    complete: bool = True
    """Whether the annotation lists all things of an image; otherwise counts are not compared."""
    names: bool = True
    """Whether a question may only take for granted, and a short answer only name, what the annotation knows of."""
    unread: Literal["keep", "refuse"] = "keep"
    """What becomes of a question that nothing here can check."""


def each(item: Item, settings: Verify, random: Random) -> Sequence[Made]:
    """Return the item with what was compared, or its refusal."""
    verdicts: list[str] = []
    for exchange in exchanges_of(item):
        question = exchange.question
        answer, how = _truth(question, item, settings)
        if answer is not None and not same(question.answer, answer):
            words = f"{question.text!r}: the annotation says {answer!r}, the item {question.answer!r}"
            return [Refusal(item, "contradicts the annotation", words[:300])]
        if answer is None and settings.names and (foreign := _foreign(question, item)):
            words = f"{question.text!r}: nobody said that there is {foreign!r}"
            return [Refusal(item, "names what is not known", words[:300])]
        verdicts.append(how)
    if settings.unread == "refuse" and "unread" in verdicts:
        return [Refusal(item, "cannot be verified", "the question is of no form that can be checked.")]
    return [noted(item, "verify", how=[*verdicts])]


def _truth(question: Question, item: Item, settings: Verify) -> tuple[str | None, str]:
    """Return the answer that the annotation gives, and how it was found."""
    views = item.annotation.views
    if "record" in settings.by and question.details is not None:
        answer = told(question, views)
        if answer is not None:
            return answer, "record"
    if "words" in settings.by and settings.complete and any(view.things for view in views):
        answer = expected(question.text, views)
        if answer is not None:
            return answer, "words"
    return None, "unread"


def _foreign(question: Question, item: Item) -> str | None:
    """Return a word that a question takes for granted, or a short answer names, and nobody knows of; or None."""
    annotation = item.annotation
    if not any(view.things or view.captions for view in annotation.views):
        return None
    said = (*annotation.sentences, annotation.about, annotation.title, *(event.text for event in annotation.events))
    if granted := presupposed(question.text, known_words(annotation.views, *said) | _PLAIN):
        return granted
    if _OPEN.search(question.text):
        return None
    words = words_in(question.answer)
    known = known_words(annotation.views, *said, question.text, *question.options)
    for word in words if len(words) <= _NAME_WORDS else ():
        if word not in known and word not in _PLAIN and word not in CARDINALS and not word.isdecimal():
            return word
    return None


STAGE = Stage(
    settings=Verify,
    about="refuse answers that contradict what the annotation knows: counts, which image, yes or no, names",
    each=each,
    samples=({}, {"by": ["words"], "unread": "refuse"}),
)
