"""merge: several conversations about one image each become one about several, whose questions say which image.

Source: LLaVA-665k-multi of Mantis-Instruct (arXiv:2405.01483): 2 to 4 images, half of the rows stay single, every
question gets "For the second image," or the like, the images at the start or the end. Better here: "the image" in a
question becomes "image 2", rounds keep their order within an image, and parents are noted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from pydantic import Field

from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn, text_of
from triptych.data.format import Refused, refusal
from triptych.data.text.grouping import Grouping, group_rows, in_place, joined, one_image_of, same_image
from triptych.data.text.loose import find_hidden
from triptych.data.text.naming import STYLES, Namer, Style, put_to
from triptych.data.text.references import UnclearError, find_references, is_within, renumber
from triptych.data.transform import Transform, draw, tidy


class Merge(Grouping):
    """Which rows meet, and how the new conversation goes. Images are numbered in the order of the parents."""

    share: float = Field(default=0.5, ge=0.0, le=1.0)
    rounds: Literal["dealt", "shuffled", "in_turn"] = "dealt"
    """dealt: questions of all images mixed, those of one image in their order; shuffled: mixed altogether, as
    published; in_turn: image by image."""
    p_end: float = Field(default=0.5, ge=0.0, le=1.0)
    """Probability that the images stand after the first question and not before it."""
    p_in_place: float = Field(default=0.03, ge=0.0, le=1.0)
    """Probability that each image stands where its first question is asked; then rounds go image by image."""
    most_rounds: int = Field(default=40, ge=2)
    """Most questions of a new conversation."""
    ask: str = "Describe {name}."
    """The question where a row's user says nothing but the image; {name} is what the image is called."""
    styles: tuple[Style, ...] = Field(default=STYLES, min_length=1)
    """How images are called, drawn for each conversation: number ("image 2") or ordinal ("the second image")."""
    nouns: tuple[str, ...] = Field(default=("image",), min_length=1)
    """What an image is called: image, picture, photo; drawn."""


@dataclass(frozen=True, slots=True)
class _Round:
    number: int
    """Number of the image that it is about."""
    question: str
    reply: Turn
    first: bool
    """Whether it is the first round of its parent."""


def merge(examples: Sequence[Example], settings: Merge, seed: int) -> Iterator[Example | Refused]:
    """Yield the examples, a merged one in the place of the first of its parents."""
    usable = [at for at, example in enumerate(examples) if _is_usable(example)]

    def fits(members: Sequence[Example], candidate: Example) -> bool:
        image = one_image_of(candidate)
        taken = [one_image_of(member) for member in members]
        rounds = sum(len(member.turns) // 2 for member in (*members, candidate))
        new = image is not None and not any(it is not None and same_image(it, image) for it in taken)
        return new and rounds <= settings.most_rounds

    def refused(example: Example) -> Refused:
        return refusal(example, "cannot be merged", message="merge: it is no conversation about exactly one image.")

    groups = group_rows(examples, usable, settings=settings, seed=seed, fits=fits)
    made = {min(group): _merged([examples[at] for at in group], settings, seed) for group in groups if len(group) > 1}
    yield from in_place(
        examples, usable, groups=groups, made=made, refused=refused if settings.others == "refuse" else None
    )


def _is_usable(example: Example) -> bool:
    """Return whether an example is about one image, and what it says of "image 1" can be renumbered: no "first picture
    on the wall", which may be within the image."""
    if one_image_of(example) is None:
        return False
    try:
        for text in map(text_of, example.turns):
            renumber(text, lambda number: number, count=1)
            if any(is_within(text, reference) for reference in find_references(text, count=1)):
                return False
    except UnclearError:
        return False
    return find_hidden(example.turns, count=1) is None


def _merged(parents: Sequence[Example], settings: Merge, seed: int) -> Example:
    random = draw(seed, "merge", *(parent.id for parent in parents))
    namer = Namer(random.choice(settings.styles), random.choice(settings.nouns))
    in_place = random.random() < settings.p_in_place
    at_end = random.random() < settings.p_end
    now = len(parents)
    rounds = [list(_rounds(parent, k, now, settings, namer, random)) for k, parent in enumerate(parents, start=1)]
    asked = _in_order(rounds, "in_turn" if in_place else settings.rounds, random)
    images = [image for parent in parents if (image := one_image_of(parent)) is not None]
    turns: list[Turn] = []
    for place, each in enumerate(asked):
        said: list[Part] = [Text(each.question)]
        if in_place and each.first:
            said = _in_place(parents[each.number - 1].turns[0], now, settings, namer, each)
        elif not in_place and place == 0:
            said = [*said, Text("\n"), *images] if at_end else [*images, Text("\n"), *said]
        turns += [Turn("user", tidy(said)), each.reply]
    layout = "in place" if in_place else "at the end" if at_end else "in front"
    about: list[Json] = [each.number for each in asked]
    return replace(joined(parents, "merge", layout=layout, rounds=about), turns=tuple(turns))


def _rounds(parent: Example, number: int, now: int, settings: Merge, namer: Namer, random: Random) -> Iterator[_Round]:
    """Yield a parent's questions, put to image ``number`` of ``now``, and its replies as they were."""
    for at in range(0, len(parent.turns), 2):
        said = text_of(parent.turns[at]).strip()
        named = find_references(said, count=1)
        if not said:
            question = settings.ask.replace("{name}", namer.name(number))
        elif named:
            question = renumber(said, lambda old: number, count=1, now=now)
        else:
            question = put_to(said, number, namer=namer, random=random)
        reply = parent.turns[at + 1]
        reply = replace(reply, parts=tuple(_renumbered(part, number, now) for part in reply.parts))
        yield _Round(number, question, reply, first=at == 0)


def _renumbered(part: Part, number: int, now: int) -> Part:
    return Text(renumber(part.text, lambda old: number, count=1, now=now)) if isinstance(part, Text) else part


def _in_order(rounds: list[list[_Round]], order: str, random: Random) -> list[_Round]:
    flat = [each for own in rounds for each in own]
    if order == "in_turn":
        return flat
    random.shuffle(flat)
    if order == "dealt":
        left = [iter(own) for own in rounds]
        return [next(left[each.number - 1]) for each in flat]
    return flat


def _in_place(turn: Turn, now: int, settings: Merge, namer: Namer, each: _Round) -> list[Part]:
    """Return a parent's first turn with its image where it was; the words are as they were, as the image is there."""
    if not text_of(turn).strip():
        image = next(part for part in turn.parts if isinstance(part, ImageRef))
        return [image, Text("\n"), Text(settings.ask.replace("{name}", namer.name(each.number)))]
    return [_renumbered(part, each.number, now) for part in turn.parts]


TRANSFORM = Transform(
    settings=Merge,
    about="conversations about one image each become one about several",
    whole=merge,
    keeps=frozenset(("images",)),
    samples=({"share": 1.0}, {"rounds": "shuffled", "p_in_place": 0.5, "order": "read", "others": "refuse"}),
)
