"""A conversation as pieces in reading order: words, special tokens, images, each with whether it is learnt.

What a conversation is after a template and before a tokenizer: nothing is searched for later, neither separators nor
images. Adjacent words of one kind are one piece, so that a tokenizer sees them as one string.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from triptych.core.records import Example, ImageRef, Part, Text, ends_video, in_one_video
from triptych.data.text.tokenise import Run, Tokeniser
from triptych.data.text.turns import TemplateTurn, turns_of

if TYPE_CHECKING:  # template.py imports this file
    from triptych.data.template import Template
    from triptych.data.text.spelling import Spelling

READ, LEARNT, SHOWN, INSIDE, APART = range(5)
"""Kinds of pieces: read only; learnt; learnt when demonstrations are; read only inside a reply, which is not joined to
the reply's header; read only, and joined to no other words."""
CONTEXT = 8
"""Added to the kinds of a reply that is not learnt: it is read only, but words are joined where a learnt one's are, so
that its tokens are the same."""

Piece = tuple["str | int | ImageRef | Frame", int]
"""Words, a special token's id, an image or a video's frame; and its kind."""

Laid = tuple["Run | int | ImageRef | Frame", int]
"""A piece as the tokenizer gets it: words as a ``Run``; and its kind."""


class Frame(NamedTuple):
    """A frame of a video, for models that tell frames from images."""

    image: ImageRef
    last: bool
    """Whether the video ends with it."""


def pieces_of(
    example: Example, template: Template, *, spelling: Spelling, open_reply: bool = False, frames: bool = False
) -> list[Piece]:
    """Return the conversation's pieces.

    Args:
        example: any conversation without videos that are not cut into frames.
        template: what stands around turns and images.
        spelling: of the template.
        open_reply: end with the header of the assistant's reply.
        frames: the frames of a video stand together as one: what the template writes around an image stands around all
            of them, with the number of the first. False: frames are images like any other.

    Raises:
        DataError: as ``turns_of``.
    """
    layer = _Layer(template, spelling, frames=frames)
    layer.spelled(template.begin, LEARNT if "begin" in template.also_trained else READ)
    after_system = False
    for turn in turns_of(example, template, open_reply=open_reply):
        layer.turn(turn, after_system=after_system)
        after_system = turn.role == "system"
    if open_reply:
        layer.spelled(template.assistant.before, LEARNT if "header" in template.also_trained else READ)
    else:
        layer.spelled(template.end, LEARNT if "end" in template.also_trained else READ)
    return layer.pieces


def laid_for(tokeniser: Tokeniser, pieces: Sequence[Piece], *, template: Template) -> list[Laid]:
    """Return pieces with their words as runs: where a text begins, and which words stand right behind others."""
    laid: list[Laid] = []
    first, before, kind_before = True, None, READ
    for what, kind in pieces:
        if isinstance(what, str):
            joined = isinstance(before, str) and APART not in (kind, kind_before)
            laid.append((tokeniser.run(what, first=first, behind_words=joined), kind))
        else:
            laid.append((what, kind))
        # A tokenizer adds what it calls the beginning by itself: it is no part of the text.
        begins = first and what == tokeniser.begin
        first = begins or (template.image_ends_text and isinstance(what, ImageRef | Frame))
        before, kind_before = what, kind
    return laid


class _Layer:
    """Lays pieces. State: the pieces so far, the number of the next image, and that of the last video's first frame."""

    def __init__(self, template: Template, spelling: Spelling, *, frames: bool) -> None:
        self.template = template
        self.spelling = spelling
        self.frames = frames
        self.pieces: list[Piece] = []
        self.number = template.first_number
        self.first = self.number

    def turn(self, turn: TemplateTurn, *, after_system: bool) -> None:
        template, reply = self.template, turn.role == "assistant"
        around = template.around(turn.role)
        said = self._said(turn)
        parts = turn.parts
        if template.images_lead and turn.role == "user":
            leading = next((at for at, part in enumerate(parts) if isinstance(part, Text)), len(parts))
            self.parts(turn._replace(parts=parts[:leading]), said)
            parts = parts[leading:]
        before = around.before
        if after_system and turn.role == "user" and template.after_system is not None:
            before = template.after_system
        self.spelled(before, said if "header" in template.also_trained else READ)
        if self._leads(turn):
            self.words(template.lead, said)
        self.parts(turn._replace(parts=parts), said)
        if reply:
            self.words(template.tail, said)
            if self.spelling.stop_is_text:
                self.words(template.stop, said)  # which a tokenizer may join to the reply's last word
            else:
                self.pieces.append((self.spelling.stop, said))
        self.spelled(around.after, READ)

    def parts(self, turn: TemplateTurn, said: int) -> None:
        parts = turn.parts
        for at, part in enumerate(parts):
            if isinstance(part, Text):
                self.words(part.text, said)
            elif isinstance(part, ImageRef):
                self.image(parts, at, self._around_images(turn, said))

    def image(self, parts: Sequence[Part], at: int, kind: int) -> None:
        image, before, after = parts[at], parts[at - 1] if at else None, parts[at + 1] if at + 1 < len(parts) else None
        assert isinstance(image, ImageRef)
        between = self.template.image_between
        if not (self.frames and in_one_video(before, image)):
            self.first = self.number
            beside = isinstance(before, ImageRef) and between is not None
            self.spelled(between if beside and between is not None else self.template.image_before, kind, self.first)
        framed = self.frames and image.video != ""
        self.pieces.append((Frame(image, ends_video(parts, at)) if framed else image, READ))
        goes_on = self.frames and in_one_video(image, after)
        if not goes_on and not (isinstance(after, ImageRef) and between is not None):
            self.spelled(self.template.image_after, kind, self.first)
        self.number += 1

    def words(self, text: str, kind: int) -> None:
        if not text:
            return
        last, last_kind = self.pieces[-1] if self.pieces else (0, READ)
        if isinstance(last, str) and last_kind == kind != APART:
            self.pieces[-1] = (last + text, kind)
        else:
            self.pieces.append((text, kind))

    def spelled(self, text: str, kind: int, number: int | None = None) -> None:
        for span in self.spelling.spans[text]:
            if isinstance(span, int):
                self.pieces.append((span, kind))
            else:
                self.words(span if number is None else span.replace("{k}", str(number)), kind)

    def _leads(self, turn: TemplateTurn) -> bool:
        """Return whether the template's lead stands before what this turn says."""
        if self.template.leads_words:
            return not (turn.parts and isinstance(turn.parts[0], ImageRef))
        # Of a caption it is what parts it from the images before it.
        parts_nothing = self.template.first_reply_only and self.number == self.template.first_number
        return turn.role == "assistant" and not parts_nothing

    def _said(self, turn: TemplateTurn) -> int:
        """Return the kind of what a turn says."""
        if turn.role != "assistant":
            return READ
        kind = SHOWN if turn.shown and "demonstrations" not in self.template.also_trained else LEARNT
        return kind if turn.learnt else kind + CONTEXT

    def _around_images(self, turn: TemplateTurn, said: int) -> int:
        """Return the kind of what stands around an image in this turn."""
        if self.template.images_apart:
            return APART
        context = said & CONTEXT
        if "wrappers" not in self.template.also_trained:
            return INSIDE + context if turn.role == "assistant" else READ
        return LEARNT + context if self.template.images_only else said
