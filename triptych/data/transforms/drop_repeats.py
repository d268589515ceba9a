"""drop_repeats: a row that says the same about the same images as an earlier one is refused; so are repeated rounds.

Not near-duplicates: ``data check`` finds those. Same means equal words, but for white space and capitals, and equal
images in the same places; a reply that is learnt is none that is context alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from triptych.core.config import Settings
from triptych.core.records import Example, ImageRef, Part, Text, Turn
from triptych.data.format import Refused, refusal
from triptych.data.transform import Transform, noted


class DropRepeats(Settings):
    """Which repeats are left out. No randomness: the first of several equal ones is kept."""

    rows: bool = True
    """Refuse a row that equals an earlier one."""
    rounds: bool = True
    """Leave out a question that got the same reply before in its conversation, with no new image between."""


def drop_repeats(examples: Sequence[Example], settings: DropRepeats, seed: int) -> Iterator[Example | Refused]:
    """Yield the examples in their order; a repeat as its refusal, which names the first."""
    del seed
    seen: dict[bytes, Example] = {}
    for example in examples:
        kept = _without_repeats(example) if settings.rounds else example
        first = seen.setdefault(_digest(kept), example)
        if settings.rows and first is not example:
            yield refusal(example, "repeated row", message=f"it repeats {first.id!r} ({first.origin}). Leave one out.")
        else:
            yield kept


def _without_repeats(example: Example) -> Example:
    turns: list[Turn] = []
    seen: set[tuple[object, ...]] = set()
    dropped = index = 0
    while index < len(example.turns):
        pair = example.turns[index : index + 2]
        said = tuple(_said(turn) for turn in pair)
        roles = tuple(turn.role for turn in pair)
        if roles != ("user", "assistant"):
            turns.append(example.turns[index])
            index += 1
            continue
        if not all(isinstance(part, Text) for turn in pair for part in turn.parts):
            seen.clear()  # New images: the same question asks something else now.
        if said in seen:
            dropped += 1
        else:
            turns += pair
        seen.add(said)
        index += 2
    return noted(replace(example, turns=tuple(turns)), "drop_repeats", rounds=dropped) if dropped else example


def _said(turn: Turn) -> tuple[object, ...]:
    return (turn.learnt, *(_key(part) for part in turn.parts))


def _key(part: Part) -> object:
    match part:
        case Text(text):
            return " ".join(text.casefold().split())
        case ImageRef():
            return (part.source, part.box, part.resize)
    return (part.source,)


def _digest(example: Example) -> bytes:
    shown = [_digest(each).hex() for each in example.demonstrations]
    said = [(turn.role, _said(turn)) for turn in example.turns]
    return hashlib.sha256(repr((shown, said, example.labels)).encode("utf-8", "surrogatepass")).digest()


TRANSFORM = Transform(
    settings=DropRepeats,
    about="rows and rounds that repeat an earlier one",
    whole=drop_repeats,
    keeps=frozenset(("images",)),
)
