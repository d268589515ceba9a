"""What the checks share that ask a model again: images shown, told in words or left out; replies counted.

Not a check: each is in its own stage. A guess that is right proves nothing, so a question is asked several times, its
options one place further each time (who only likes a letter does not follow them), and it counts as known only where a
guesser would hardly be right so often: a one-sided binomial test. Who always says "yes", or "2", is right every time
with some questions, and no test of one question tells: so what would have to be unknown is asked too, and being right
with the question proves nothing where one is as surely right without it (calibration by content-free input: Zhao et
al., arXiv:2102.09690).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pydantic import Field
from scipy.stats import binom

from triptych.core.records import Answer, Json, Part, Text, Turn
from triptych.data.text.references import CARDINALS, find_references
from triptych.data.text.wording import words_in
from triptych.data.transform import tidy
from triptych.generate.item import Item, Refusal
from triptych.generate.kit.describing import describe
from triptych.generate.kit.verdicts import is_right
from triptych.generate.question import Exchange, Question, ask_again, options_block
from triptych.generate.stage import Request, TeacherSettings
from triptych.infer.responder import Failed

LETTER = "Answer with the letter of one option and nothing else."
SHORT = "Answer in as few words as possible."
UNSEEN = "The images are not shown. Give the most likely answer all the same."
OPPOSITES = (("yes", "no"), ("true", "false"))
"""Answers that are asked for as a choice, so that who always says "yes", or always takes the first, is found out."""
CONTENT_FREE = {"yes": "Is it so?", "true": "Is the statement true or false?"} | {
    "number": "How many are there?",
    "image": "Which image is it?",
}
"""Questions that say nothing but what sort of answer is wanted."""
HIDDEN = Text("[not shown]")
_COUNT = 99
"""A number above this is not taken for the number of an image."""
_IMAGE_WORDS = 4
"""Longer answers do not only name an image."""
Show = Callable[[int, Part], Sequence[Part]]


class CheckSettings(TeacherSettings):
    """Settings of every check that asks a model."""

    teacher: str = "checker"
    sees: bool = True
    """Whether the checker sees the images; otherwise it reads what the annotation says of each, in its place."""
    askings: int = Field(default=5, ge=1)
    """How often a question is asked, its options moved on one place each time. Equal requests are sent once."""
    most: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Largest share of a conversation's questions that may fail before it is refused."""
    max_tokens: int = Field(default=32, ge=1)
    """Most tokens of a reply."""


class GuessCheckSettings(CheckSettings):
    """Settings of a check that has to tell knowing from guessing."""

    sure: float = Field(default=0.05, gt=0.0, lt=1.0)
    """Largest probability with which a guesser may be taken for one who knows."""
    guess: float = Field(default=0.2, gt=0.0, lt=1.0)
    """Probability that a guess at a free question is right; of a choice it follows from the options."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One asking, and the question as it then stands."""

    request: Request
    question: Question


def asking(
    exchange: Exchange, show: Show, *, name: str, settings: CheckSettings, rotate: int = 0, unseen: bool = False
) -> Asked:
    """Return a request that puts a question again.

    Args:
        exchange: the question.
        show: what stands in an image's place.
        name: of the request.
        settings: tokens of a reply.
        rotate: places that the options move on; a free question is a further draw instead.
        unseen: whether the checker is told that there is nothing to see.
    """
    exchange = _as_choice(exchange)
    hint = LETTER if exchange.question.options else SHORT
    example, question = ask_again(exchange, show, rotate=rotate, hint=f"{UNSEEN} {hint}" if unseen else hint)
    draw = rotate // max(1, len(exchange.question.options))
    return Asked(Request(name, example, max_tokens=settings.max_tokens, sample=draw), question)


def content_free(exchange: Exchange) -> Exchange | None:
    """Return the question without what it asks: its sort and its options alone; None: its answer is of no such sort.

    Who answers that too only has a habit. Options in words of their own are left to the question: where they give the
    answer away, the question is a poor one.
    """
    sort = _sort_of_answer(exchange.question)
    if sort is None:
        return None
    question = replace(exchange.question, text=CONTENT_FREE[sort])
    words = question.text + options_block(question.options)
    turns = (Turn("user", (Text(words),)),)
    return replace(exchange, question=question, open=replace(exchange.open, turns=turns), turn=0)


def show_all(item: Item, settings: CheckSettings) -> Show:
    """Return what shows every image, or tells of it."""
    return lambda number, part: [part] if settings.sees else [_told(item, number, part)]


def show_only(item: Item, settings: CheckSettings, *, number: int) -> Show:
    """Return what shows one image and leaves the others out."""
    show = show_all(item, settings)
    return lambda at, part: show(at, part) if at == number else [HIDDEN]


def show_exchanged(item: Item, settings: CheckSettings, *, pair: tuple[int, int]) -> Show:
    """Return what shows the images of two numbers in each other's place."""
    media = [view.media for view in item.annotation.views]
    places = {pair[0]: pair[1], pair[1]: pair[0]}

    def show(number: int, part: Part) -> Sequence[Part]:
        other = places.get(number, number)
        if other == number or other > len(media):
            return show_all(item, settings)(number, part)
        return [media[other - 1]] if settings.sees else [_told(item, other, media[other - 1])]

    return show


def show_none(number: int, part: Part) -> Sequence[Part]:
    """Return what stands where an image is left out."""
    return [HIDDEN]


def images_in(exchange: Exchange) -> int:
    """Return how many images stand before the end of a question."""
    return sum(not isinstance(part, Text) for turn in exchange.open.turns for part in turn.parts)


def rights(asked: Sequence[Asked], replies: Sequence[Answer | Failed]) -> list[bool | None]:
    """Return for each asking whether the reply is right; None: there is no reply."""
    pairs = zip(asked, replies, strict=True)
    return [None if isinstance(reply, Failed) else is_right(reply.text, one.question) for one, reply in pairs]


def is_known(right: Sequence[bool | None], question: Question, *, settings: GuessCheckSettings, tests: int = 1) -> bool:
    """Return whether replies are right so often that nobody guesses so well.

    Args:
        right: of one question, asked one way.
        question: as it was asked.
        settings: how sure.
        tests: how many ways it was asked: each may be right by chance.
    """
    said = [each for each in right if each is not None]
    chance = 1 / len(question.options) if question.options else settings.guess
    return bool(said) and float(binom.sf(sum(said) - 1, len(said), chance)) * tests <= settings.sure


def is_habit(right: Sequence[bool | None]) -> bool:
    """Return whether replies are right every time, though what had to be known was left out."""
    return bool(right) and all(right)


def noted(item: Item, name: str, **found: Json) -> Item:
    """Return the item with what a check found, in its facts."""
    return replace(item, facts={**item.facts, name: found})


def no_reply(item: Item, replies: Sequence[Answer | Failed]) -> Refusal | None:
    """Return the refusal of an item whose checker gave no reply at all, or None."""
    failed = [reply for reply in replies if isinstance(reply, Failed)]
    if not replies or len(failed) < len(replies):
        return None
    return Refusal(item, "no reply", f"it could not be checked: {failed[0].reason}")


def _sort_of_answer(question: Question) -> str | None:
    """Return yes, true, number or image, where every answer to the question is of that sort; None: of another."""
    answers = [" ".join(words_in(said)) for said in (question.answer, *question.options)]
    for pair in OPPOSITES:
        if all(answer in pair for answer in answers):
            return pair[0]
    if all(answer.isdecimal() or answer in CARDINALS for answer in answers):
        return "number"
    meant = [find_references(answer, count=_COUNT) for answer in answers]
    plain = all(found and len(answer.split()) <= _IMAGE_WORDS for found, answer in zip(meant, answers, strict=True))
    return "image" if plain else None


def _as_choice(exchange: Exchange) -> Exchange:
    """Return a question of yes or no, or true or false, with both as options, which can then change places."""
    question = exchange.question
    pair = next((pair for pair in OPPOSITES if question.answer.strip(" .").lower() in pair), None)
    if question.options or pair is None:
        return exchange
    *turns, last = exchange.open.turns
    asked = replace(last, parts=tidy((*last.parts, Text(options_block(pair)))))
    answered = replace(question, options=pair, answer=question.answer.strip(" .").lower())
    return replace(exchange, question=answered, open=replace(exchange.open, turns=(*turns, asked)))


def _told(item: Item, number: int, part: Part) -> Text:
    views = item.annotation.views
    known = next((view for view in views if view.media == part), views[number - 1] if number <= len(views) else None)
    return Text(f"[{describe(known)}]" if known is not None else "[nothing is known of it]")
