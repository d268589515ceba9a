"""The turns of a conversation that a template says, in the order in which it says them.

Not what stands around them (``data/text/pieces.py``). System turn first, then demonstrations, then the conversation;
some published templates leave turns out or move images, and say so in their fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, count, groupby
from typing import TYPE_CHECKING, NamedTuple

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Part, Role, Text, Turn, VideoRef, in_one_video

if TYPE_CHECKING:  # template.py imports this file
    from triptych.data.template import Template

NOISE_MARKER = "QA_GT_caption_based_noisy"
"""Stands in some rows that LLaVA was tuned on; its code deletes it before the words are read."""


class TemplateTurn(NamedTuple):
    """A turn as a template says it."""

    role: Role
    parts: tuple[Part, ...]
    """Without empty words, and without those that the template leaves out."""
    shown: bool
    """Belongs to a demonstration."""
    learnt: bool = True
    """As ``Turn.learnt``."""


def turns_of(example: Example, template: Template, *, open_reply: bool) -> list[TemplateTurn]:
    """Return the turns that are rendered.

    Args:
        example: any conversation without videos.
        template: says which turns and parts there are.
        open_reply: a reply is to follow: then a template of one caption has not said it yet.

    Raises:
        DataError: a video; a system turn in a demonstration.
    """
    turns = [_checked(turn, shown, example) for turn, shown in _in_order(example, template)]
    if template.first_reply_only:
        return _caption(turns, open_reply=open_reply)
    if template.images_only:
        return [_images_of(turn) if turn.role != "assistant" else turn for turn in turns]
    if template.one_image_first:
        return [turn._replace(parts=one_image_first(turn.parts)) for turn in turns]
    if template.trimmed:
        return [turn if turn.role == "system" else turn._replace(parts=trimmed(turn.parts)) for turn in turns]
    return turns


def images_shown(turns: Sequence[Turn]) -> list[int]:
    """Return for each turn how many images are shown up to its end: the last of them is "the last image" there."""
    return list(accumulate(sum(isinstance(part, ImageRef) for part in turn.parts) for turn in turns))


def turns_in_order(example: Example) -> tuple[Turn, ...]:
    """Return all turns in the order of ``images_of``, demonstrations first."""
    return (*_shown(example), *example.turns)


def replace_words(example: Example, change: Callable[[str, int], str]) -> Example:
    """Return the example with each text as ``change`` makes it, given the number of its turn in ``turns_in_order``,
    from 0."""
    numbers = count()

    def changed(each: Example) -> Example:
        shown = tuple(map(changed, each.demonstrations))
        turns: list[Turn] = []
        for turn in each.turns:
            at = next(numbers)
            said = (Text(change(part.text, at)) if isinstance(part, Text) else part for part in turn.parts)
            turns.append(replace(turn, parts=tuple(said)))
        return replace(each, demonstrations=shown, turns=tuple(turns))

    return changed(example)


def one_image_first(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return a turn as LLaVA reads it: its only image, if it does not begin the turn, is moved there before a line end.

    Frames of one video, side by side, are one image. The words that stay behind lose the white space around them. Two
    images and more stay where they are. ``NOISE_MARKER`` is deleted in any case. Source: ``preprocess_multimodal`` of
    LLaVA (arXiv:2304.08485) and LLaVA-NeXT.
    """
    images = tuple(part for part in parts if isinstance(part, ImageRef))
    starts = [part for before, part in zip((None, *parts), parts, strict=False) if not in_one_video(before, part)]
    if sum(isinstance(part, ImageRef) for part in starts) == 1 and isinstance(parts[0], Text):
        words = "".join(part.text for part in parts if isinstance(part, Text)).strip()
        parts = (*images, Text(f"\n{words}" if words else ""))
    clean = (Text(part.text.replace(NOISE_MARKER, "")) if isinstance(part, Text) else part for part in parts)
    return tuple(part for part in clean if part != Text(""))


def trimmed(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return a turn without the white space at the beginning and end of its words, and of those between two images.

    As the chat templates of Gemma say ``trim``. Words in several pieces, with no image between, are trimmed as one.
    """
    found: list[Part] = []
    for are_words, group in groupby(parts, lambda part: isinstance(part, Text)):
        if not are_words:
            found += group
        elif words := "".join(part.text for part in group if isinstance(part, Text)).strip():
            found.append(Text(words))
    return tuple(found)


def _in_order(example: Example, template: Template) -> Iterator[tuple[Turn, bool]]:
    """Yield each turn and whether it belongs to a demonstration: system, demonstrations, the rest."""
    own = example.turns
    system, rest = (own[:1], own[1:]) if own and own[0].role == "system" else ((), own)
    if not system and template.default_system:
        system = (Turn("system", (Text(template.default_system),)),)
    if not template.images_only:
        yield from ((turn, False) for turn in system)
    for turn in _shown(example):
        if turn.role == "system":
            raise DataError(f"a demonstration of example {example.id!r} has a system turn: give it to the example.")
        yield turn, True
    yield from ((turn, False) for turn in rest if not (template.images_only and turn.role == "system"))


def _shown(example: Example) -> Iterator[Turn]:
    for demonstration in example.demonstrations:
        yield from _shown(demonstration)
        yield from demonstration.turns


def _checked(turn: Turn, shown: bool, example: Example) -> TemplateTurn:
    for part in turn.parts:
        if isinstance(part, VideoRef):
            raise DataError(f"example {example.id!r} holds the video {part.source}: cut it into frames first.")
    return TemplateTurn(turn.role, tuple(part for part in turn.parts if part != Text("")), shown, turn.learnt)


def _images_of(turn: TemplateTurn) -> TemplateTurn:
    return turn._replace(parts=tuple(part for part in turn.parts if isinstance(part, ImageRef)))


def _caption(turns: list[TemplateTurn], *, open_reply: bool) -> list[TemplateTurn]:
    """Return the first reply, and before it, as one turn of the user, as many images as it has no places for.

    Its places hold the last images, in their order, with nothing between two side by side.
    """
    images = [part for turn in turns for part in _images_of(turn).parts]
    replies = [turn for turn in turns if turn.role == "assistant"][: 0 if open_reply else 1]
    own = sum(len(_images_of(reply).parts) for reply in replies)
    front, placed = images[: len(images) - own], iter(images[len(images) - own :])
    said = [
        reply._replace(parts=tuple(each for part in reply.parts for each in _placed(part, placed))) for reply in replies
    ]
    return [TemplateTurn("user", tuple(front), shown=False), *said]


def _placed(part: Part, images: Iterator[Part]) -> tuple[Part, ...]:
    """Return words as they are, and for an image the next one; the empty words part it from the one beside it."""
    return (part,) if isinstance(part, Text) else (Text(""), next(images))
