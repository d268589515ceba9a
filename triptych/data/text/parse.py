"""Token ids -> conversation: the way back of ``render``, for looking at what a model is given and for tests.

Not for generated replies: that is ``template.parse_reply``. What comes back is the conversation in one piece:
demonstrations are turns like others, neighbouring words are one Text, empty words are no part, and a system turn that
says the template's default is left out. Where a template's own marks are plain text (``USER: ``, or ``plain``'s line
end), somebody who says them cannot be told from the template; special tokens cannot be said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, get_args

from triptych.core.errors import DataError
from triptych.core.records import ImageRef, Part, Role, Text, Turn
from triptych.data.template import Encoded, Template
from triptych.data.text.spelling import Spelling, decode_words, spelling_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Atom = str | int | ImageRef
"""One character, one special token's id, or one image."""


def parse(encoded: Encoded, template: Template, *, tokenizer: PreTrainedTokenizerBase) -> tuple[Turn, ...]:
    """Return the turns that ``encoded`` was rendered from. An open reply's header is no turn.

    Raises:
        DataError: the ids were not rendered with this template and tokenizer.
    """
    reader = _Reader(encoded, template, tokenizer)
    turns = tuple(reader.turns())
    default = (Turn("system", (Text(template.default_system),)),)
    return turns[1:] if template.default_system and turns[:1] == default else turns


class _Reader:
    """Reads a conversation's atoms from the left. State: how far it has come."""

    def __init__(self, encoded: Encoded, template: Template, tokenizer: PreTrainedTokenizerBase) -> None:
        self.id = encoded.id
        self.template = template
        self.spelling = spelling_of(template, tokenizer)
        self.atoms = _unwrap(list(_atoms(encoded, self.spelling, tokenizer)), template, self.spelling)
        self.at = 0

    def turns(self) -> Iterator[Turn]:
        if not self.skip(self.template.begin):
            raise self.foreign()
        role: Role = "assistant"
        while not self.is_over(self.at):
            leading = self.leading()
            role = self.header(role)
            if self.at == len(self.atoms):
                return
            if role == "assistant" or self.template.leads_words:
                self.skip(self.template.lead)
            first = self.at
            while not self.ends(role):
                self.at += 1
            parts = _parts([*leading, *self.atoms[first : self.at]])
            if role == "assistant" and not self.is_over(self.at):
                self.at += len(self.stop())
            self.skip(self.template.around(role).after)
            yield Turn(role, parts)

    def leading(self) -> list[Atom]:
        """Step over the images that stand before the header they belong to."""
        first, self.at = self.at, self.past_leading(self.at)
        return self.atoms[first : self.at]

    def past_leading(self, at: int) -> int:
        while self.template.images_lead and at < len(self.atoms) and isinstance(self.atoms[at], ImageRef):
            at += 1
        return at

    def header(self, last: Role) -> Role:
        """Step over the longest header that stands here. Without headers an image opens the user's turn."""
        if self.template.images_only:
            return "user" if isinstance(self.atoms[self.at], ImageRef) and last == "assistant" else "assistant"
        fits = [role for role in get_args(Role) if self.stands(self.before(role, last))]
        if not fits:
            raise self.foreign()
        # What the system says may stand in the user's own turn (Gemma): then it cannot be told from the user's words.
        role: Role = max(fits, key=lambda role: (len(self.before(role, last)), role != "system"))
        self.skip(self.before(role, last))
        return role

    def before(self, role: Role, last: Role) -> str:
        """Return the header of a turn that follows one of ``last``."""
        if (role, last) == ("user", "system") and self.template.after_system is not None:
            return self.template.after_system
        return self.template.around(role).before

    def ends(self, role: Role) -> bool:
        """Say whether the turn's content is over here."""
        if self.is_over(self.at):
            return True
        if self.template.images_only and role == "user":
            return not isinstance(self.atoms[self.at], ImageRef)
        if role == "assistant":
            return self.atoms[self.at : self.at + len(self.stop())] == self.stop()
        after = self.spelled(self.template.around(role).after)
        end = self.at + len(after)
        return self.atoms[self.at : end] == after and (self.is_over(end) or self.opens(end, role))

    def opens(self, at: int, last: Role) -> bool:
        """Say whether the turn after one of ``last`` begins here; one without a header does where that one ends."""
        user, assistant = self.before("user", last), self.before("assistant", last)
        return (
            bool(user and self.stands(user, self.past_leading(at)))
            or bool(assistant and self.stands(assistant, at))
            or ("" in (user, assistant) and bool(self.template.around(last).after))
        )

    def is_over(self, at: int) -> bool:
        """Say whether nothing more stands here but what ends every conversation."""
        end = self.spelled(self.template.end)
        return at == len(self.atoms) or (bool(end) and self.atoms[at:] == end)

    def stop(self) -> list[Atom]:
        stop: list[Atom] = list(self.template.stop) if self.spelling.stop_is_text else [self.spelling.stop]
        return [*self.template.tail, *stop]

    def spelled(self, text: str) -> list[Atom]:
        return _spelled(text, self.spelling)

    def stands(self, text: str, at: int | None = None) -> bool:
        expected, at = self.spelled(text), self.at if at is None else at
        return self.atoms[at : at + len(expected)] == expected

    def skip(self, text: str) -> bool:
        found = self.stands(text)
        if found:
            self.at += len(self.spelled(text))
        return found

    def foreign(self) -> DataError:
        return DataError(
            f"example {self.id!r}: no turn of template {self.template.name!r} stands at mark {self.at}: "
            "parse it with the template and tokenizer that it was rendered with."
        )


def _atoms(encoded: Encoded, spelling: Spelling, tokenizer: PreTrainedTokenizerBase) -> Iterator[Atom]:
    special = {span for spans in spelling.spans.values() for span in spans if isinstance(span, int)}
    special |= set() if spelling.stop_is_text else {spelling.stop}
    places = {place.start: place for place in encoded.places}
    said: list[int] = []
    at = 0
    while at < len(encoded.ids):
        place = places.get(at)
        if place is None and encoded.ids[at] not in special:
            said.append(encoded.ids[at])
            at += 1
            continue
        yield from decode_words(said, tokenizer)
        said.clear()
        yield from place.images if place else (encoded.ids[at],)
        at = place.stop if place else at + 1
    yield from decode_words(said, tokenizer)


def _unwrap(atoms: list[Atom], template: Template, spelling: Spelling) -> list[Atom]:
    """Take away what the template writes around each image."""
    out: list[Atom] = []
    number, at = template.first_number, 0
    joined = False  # what stands before this image has been taken away with the last one
    while at < len(atoms):
        atom = atoms[at]
        out.append(atom)
        at += 1
        if isinstance(atom, ImageRef):
            before = [] if joined else _spelled(template.image_before, spelling, number)
            after = _spelled(template.image_after, spelling, number)
            if template.image_between is not None:
                between = _spelled(template.image_between, spelling, number + 1)
                end = at + len(between)
                joined = atoms[at:end] == between and end < len(atoms) and isinstance(atoms[end], ImageRef)
                after = between if joined else after
            if out[len(out) - 1 - len(before) : -1] != before or atoms[at : at + len(after)] != after:
                raise DataError(f"image {number} ({atom.source}) is not written as template {template.name!r} does.")
            del out[len(out) - 1 - len(before) : -1]
            at += len(after)
            number += 1
    return out


def _spelled(text: str, spelling: Spelling, number: int | None = None) -> list[Atom]:
    atoms: list[Atom] = []
    for span in spelling.spans[text]:
        if isinstance(span, int):
            atoms.append(span)
        else:
            atoms += span if number is None else span.replace("{k}", str(number))
    return atoms


def _parts(atoms: Iterable[Atom]) -> tuple[Part, ...]:
    parts: list[Part] = []
    for atom in atoms:
        if isinstance(atom, ImageRef):
            parts.append(atom)
        elif isinstance(atom, int):
            raise DataError(f"a special token (id {atom}) stands among words: the template did not write it there.")
        elif parts and isinstance(last := parts[-1], Text):
            parts[-1] = Text(last.text + atom)
        else:
            parts.append(Text(atom))
    return tuple(parts)
