"""A conversation as pieces in reading order: words, special tokens, images, each with whether it is learnt.

What a conversation is after a template and before a tokenizer: nothing is searched for later, neither separators nor
images. Adjacent words of one kind are one piece, so that a tokenizer sees them as one string.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.core.records import Example, ImageRef, Text
from triptych.data.text.turns import Said, turns_of

if TYPE_CHECKING:  # template.py imports this file
    from triptych.data.template import Template
    from triptych.data.text.spelling import Spelling

READ, LEARNT, SHOWN, INSIDE, APART = range(5)
"""Kinds of pieces: read only; learnt; learnt when demonstrations are; read only inside a reply, which is not joined to
the reply's header; read only, and joined to no other words."""

Piece = tuple[str | int | ImageRef, int]
"""Words, a special token's id or an image; and its kind."""


def pieces_of(example: Example, template: Template, spelling: Spelling, *, open_reply: bool = False) -> list[Piece]:
    """Return the conversation's pieces.

    Raises:
        DataError: as ``turns_of``.
    """
    layer = _Layer(template, spelling)
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


class _Layer:
    """Lays pieces. State: the pieces so far and the number of the next image."""

    def __init__(self, template: Template, spelling: Spelling) -> None:
        self.template = template
        self.spelling = spelling
        self.pieces: list[Piece] = []
        self.number = template.first_number

    def turn(self, turn: Said, *, after_system: bool) -> None:
        template, reply = self.template, turn.role == "assistant"
        around = template.around(turn.role)
        said = READ if not reply else LEARNT if self._learns_all(turn) else SHOWN
        parts = turn.parts
        if template.images_lead and turn.role == "user":
            leading = next((at for at, part in enumerate(parts) if isinstance(part, Text)), len(parts))
            self.parts(turn._replace(parts=parts[:leading]), said)
            parts = parts[leading:]
        before = around.before
        if after_system and turn.role == "user" and template.after_system is not None:
            before = template.after_system
        self.spelled(before, said if "header" in template.also_trained else READ)
        if reply:
            self.words(template.lead, said)
        self.parts(turn._replace(parts=parts), said)
        if reply:
            self.words(template.tail, said)
            self.pieces.append((self.spelling.stop, said))
        self.spelled(around.after, READ)

    def parts(self, turn: Said, said: int) -> None:
        parts = turn.parts
        for at, part in enumerate(parts):
            if isinstance(part, Text):
                self.words(part.text, said)
            elif isinstance(part, ImageRef):
                neighbours = (parts[at - 1] if at else None, parts[at + 1] if at + 1 < len(parts) else None)
                follows, precedes = (isinstance(neighbour, ImageRef) for neighbour in neighbours)
                self.image(part, self._around_images(turn, said), follows=follows, precedes=precedes)

    def image(self, image: ImageRef, kind: int, *, follows: bool, precedes: bool) -> None:
        template = self.template
        between = template.image_between
        self.spelled(between if follows and between is not None else template.image_before, kind, self.number)
        self.pieces.append((image, READ))
        if not precedes or between is None:
            self.spelled(template.image_after, kind, self.number)
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

    def _learns_all(self, turn: Said) -> bool:
        return not turn.shown or "demonstrations" in self.template.also_trained

    def _around_images(self, turn: Said, said: int) -> int:
        """Return the kind of what stands around an image in this turn."""
        if self.template.images_apart:
            return APART
        if "wrappers" not in self.template.also_trained:
            return INSIDE if turn.role == "assistant" else READ
        return LEARNT if self.template.images_only else said
