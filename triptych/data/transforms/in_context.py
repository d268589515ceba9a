"""in_context: demonstrations for each row, out of the other rows: MIMIC-IT's context function, choices noted.

Source: arXiv:2306.05425 section 3.1: earlier rounds of the same dialogue, other questions on the same clip, the nearest
images or texts (two of the ten nearest were used). Better here: a demonstration brings its own images, and is never
the row itself, nor about its image where likeness was asked for.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from triptych.core.config import Settings
from triptych.core.errors import ConfigError
from triptych.core.records import Example, ImageRef, Json, Part, Text, VideoRef, images_of, parts_of, text_of
from triptych.data.format import Refused, refusal
from triptych.data.media.images import ImageError
from triptych.data.text.loose import find_hidden
from triptych.data.text.neighbours import file_vectors, picture_vectors, word_vectors
from triptych.data.text.references import UnclearError, renumber
from triptych.data.text.turns import images_shown
from triptych.data.transform import Transform, draw, noted

Candidates = list[tuple[int, float | None]]
"""(row, likeness), the best first."""


class InContext(Settings):
    """Which rows are shown before a row. Rows that have demonstrations already stay as they are."""

    by: Literal["dialogue", "clip", "image", "text", "random"]
    """dialogue: earlier rounds; clip: other rows on the same images or video; image, text: the nearest; random."""
    k: int = Field(default=2, ge=1)
    """How many demonstrations a row gets."""
    group: str | None = None
    """The fact that says which dialogue or clip a row is of. None: a dialogue is the id up to its last ``_`` and
    number, on the same images; a clip is the images."""
    embeddings: str | None = None
    """For image and text: a .npz file with ``ids`` and ``vectors``. None: small copies of the images, TF-IDF of the
    questions."""
    candidates: int = Field(default=50, ge=1)
    """How many of the nearest are looked at."""
    most_like: float = Field(default=0.98, gt=0.0, le=1.0)
    """Cosine from which on an image, or a question without images, is a near-duplicate and not shown."""
    order: Literal["nearest_last", "nearest_first", "drawn"] = "nearest_last"
    """The order of the demonstrations; those that are earlier rounds of a dialogue keep its order."""
    on_few: Literal["keep", "refuse"] = "keep"
    """What becomes of a row for which fewer than ``k`` are found."""
    renumber: bool = True
    """Make "image 1" in words "image 3" where two images are shown before it; rows whose words do not allow it get no
    demonstration. Without: numbers count in each demonstration anew."""

    @model_validator(mode="after")
    def _check_embeddings(self) -> InContext:
        if self.embeddings is not None and self.by not in ("image", "text"):
            raise ValueError("embeddings are for image and text")
        if self.group is not None and self.by not in ("dialogue", "clip"):
            raise ValueError("group is for dialogue and clip")
        return self


@dataclass(frozen=True, slots=True)
class _Row:
    """What is looked up of a row again and again."""

    example: Example
    own: Example
    """The row without demonstrations."""
    question: str
    reply: str
    pictures: frozenset[tuple[object, ...]]
    showable: bool
    """Whether it can be a demonstration."""
    unclear: str
    """Why its words cannot follow its images to other numbers; empty: they can, or need not."""


def show_in_context(examples: Sequence[Example], settings: InContext, seed: int) -> Iterator[Example | Refused]:
    """Yield the examples in their order, with demonstrations; the note has their ids.

    Raises:
        ConfigError: a row's picture, by which neighbours are to be found, cannot be read; or the embeddings cannot.
    """
    # By id: then which of two equals is shown does not depend on the order of the file.
    ranks = sorted(range(len(examples)), key=lambda at: (examples[at].id, at))
    rows = [_row(examples[at], settings) for at in ranks]
    found = _FINDERS[settings.by](rows, settings, seed)
    made: dict[int, Example | Refused] = {}
    for place, (at, candidates) in enumerate(zip(ranks, found, strict=True)):
        made[at] = _shown(place, rows, candidates, settings, seed)
    for at in range(len(examples)):
        yield made[at]


def _row(example: Example, settings: InContext) -> _Row:
    asked = [text_of(turn) for turn in example.turns if turn.role == "user"]
    replies = [text_of(turn) for turn in example.turns if turn.role == "assistant"]
    own = replace(example, demonstrations=())
    pictures = frozenset(_picture(part) for part in parts_of(own) if not isinstance(part, Text))
    unclear = ""
    try:
        if settings.renumber:
            _moved(own, 1)
            if said := find_hidden(own.turns, count=len(images_of(own))):
                unclear = f"the words {said!r} by themselves may mean an image by its number"
    except UnclearError as error:
        unclear = str(error)
    showable = bool(replies) and not unclear and all(turn.role != "system" for turn in example.turns)
    return _Row(example, own, _plain(" ".join(asked)), _plain(" ".join(replies)), pictures, showable, unclear)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _picture(part: ImageRef | VideoRef) -> tuple[object, ...]:
    return (part.source, part.box) if isinstance(part, ImageRef) else (part.source,)


def _shown(
    place: int, rows: Sequence[_Row], candidates: Candidates, settings: InContext, seed: int
) -> Example | Refused:
    row = rows[place]
    if row.example.demonstrations:
        return noted(row.example, "in_context", left="it has demonstrations already")
    if row.unclear:
        return noted(row.example, "in_context", left=row.unclear)
    chosen: list[tuple[_Row, float | None]] = []
    for at, likeness in candidates:
        other = rows[at]
        if len(chosen) == settings.k:
            break
        if at != place and other.showable and _is_new(other, row, chosen, likeness, settings):
            chosen.append((other, likeness))
    if settings.by == "dialogue" or settings.order == "nearest_last":
        chosen.reverse()
    elif settings.order == "drawn":
        draw(seed, "order", row.example.id).shuffle(chosen)
    if len(chosen) < settings.k and settings.on_few == "refuse":
        return refusal(
            row.example, "too few demonstrations", message=f"in_context: {len(chosen)} of {settings.k} were found."
        )
    return _with(row.example, chosen, settings)


def _is_new(
    other: _Row, row: _Row, chosen: Sequence[tuple[_Row, float | None]], likeness: float | None, settings: InContext
) -> bool:
    """Return whether a candidate says something else than the row and those chosen; never about the same picture,
    unless rows on one picture were asked for."""
    before = [row, *(it for it, _ in chosen)]
    if other.example.id == row.example.id:
        return False
    if settings.by in ("dialogue", "clip"):
        return all(other.question != it.question for it in before)
    if any(other.pictures & it.pictures for it in before):
        return False
    if any((other.question, other.reply) == (it.question, it.reply) and not it.pictures for it in before):
        return False
    alike = likeness is not None and likeness >= settings.most_like
    return not (alike and (settings.by == "image" or not row.pictures))


def _with(example: Example, chosen: Sequence[tuple[_Row, float | None]], settings: InContext) -> Example:
    prompt = [*(replace(other.own, facts={}, labels=(), skills=()) for other, _ in chosen), example]
    if settings.renumber:
        counts = [len(images_of(each)) for each in prompt]
        prompt = [_moved(each, sum(counts[:at]), now=sum(counts)) for at, each in enumerate(prompt)]
    *shown, moved = prompt
    ids: list[Json] = [other.example.id for other, _ in chosen]
    likenesses: list[Json] = [likeness for _, likeness in chosen if likeness is not None]
    note: dict[str, Json] = {"by": settings.by, "ids": ids, **({"likeness": likenesses} if likenesses else {})}
    if not settings.renumber:
        note["renumber"] = False
    return noted(replace(moved, demonstrations=tuple(shown)), "in_context", **note)


def _moved(example: Example, offset: int, *, now: int | None = None) -> Example:
    """Return the example as it speaks of its images when ``offset`` others stand before them, ``now`` images in all
    (None: none behind). Raises UnclearError."""
    count = len(images_of(example))
    now = count + offset if now is None else now
    if now == count or not count:
        return example

    def change(part: Part, shown: int) -> Part:
        if not isinstance(part, Text):
            return part
        # Of a demonstration, "the last image" is never the last one of the prompt.
        last = offset + shown if now == offset + count else now
        return Text(renumber(part.text, lambda k: k + offset, count=count, shown=shown, now=last))

    turns = zip(example.turns, images_shown(example.turns), strict=True)
    moved = (replace(turn, parts=tuple(change(part, shown or count) for part in turn.parts)) for turn, shown in turns)
    return replace(example, turns=tuple(moved))


_ROUND = re.compile(r"(.+)_(\d+)", re.DOTALL)


def _in_dialogue(rows: Sequence[_Row], settings: InContext, seed: int) -> Iterator[Candidates]:
    """Yield the earlier rounds of each row's dialogue, the latest first."""
    del seed
    dialogues: defaultdict[object, list[tuple[int, int]]] = defaultdict(list)
    keys: list[tuple[object, int]] = []
    for at, row in enumerate(rows):
        found = _ROUND.fullmatch(row.example.id)
        key = _group(row, settings.group)
        if settings.group is None and found and (clip := _clip(row)):
            key = (
                found[1],
                clip,
            )  # The ids of a whole file may be of this form; one dialogue is about the same images.
        number = int(found[2]) if found else at
        keys.append((key, number))
        if key is not None:
            dialogues[key].append((number, at))
    for key, number in keys:
        earlier = sorted((it for it in dialogues.get(key, []) if it[0] < number), reverse=True)
        yield [(at, None) for _, at in earlier]


def _on_clip(rows: Sequence[_Row], settings: InContext, seed: int) -> Iterator[Candidates]:
    """Yield the other rows on each row's clip, in a drawn order."""
    clips: defaultdict[object, list[int]] = defaultdict(list)
    keys = [_group(row, settings.group) if settings.group else _clip(row) for row in rows]
    for at, key in enumerate(keys):
        if key is not None:
            clips[key].append(at)
    for row, key in zip(rows, keys, strict=True):
        own = list(clips.get(key, []))
        draw(seed, "clip", row.example.id).shuffle(own)
        yield [(at, None) for at in own]


def _clip(row: _Row) -> object:
    """Return what a row's images are of: the videos or files, in their order."""
    sources = [part.source.partition("!frame=")[0] for part in parts_of(row.own) if not isinstance(part, Text)]
    return tuple(dict.fromkeys(sources)) or None


def _group(row: _Row, fact: str | None) -> object:
    value = row.example.facts.get(fact) if fact is not None else None
    return None if value is None else repr(value)


def _by_image(rows: Sequence[_Row], settings: InContext, seed: int) -> Iterator[Candidates]:
    del seed
    ids = [row.example.id for row in rows]
    if settings.embeddings is not None:
        return _nearest(file_vectors(Path(settings.embeddings).expanduser(), ids).nearest, settings)
    first = [next(iter(images_of(row.own)), None) for row in rows]
    try:
        return _nearest(picture_vectors(first).nearest, settings)
    except ImageError as error:
        raise ConfigError(f"step 'in_context': {error} Or find neighbours by text.") from None


def _by_text(rows: Sequence[_Row], settings: InContext, seed: int) -> Iterator[Candidates]:
    del seed
    if settings.embeddings is not None:
        ids = [row.example.id for row in rows]
        return _nearest(file_vectors(Path(settings.embeddings).expanduser(), ids).nearest, settings)
    return _nearest(word_vectors([row.question for row in rows]).nearest, settings)


def _nearest(nearest: Callable[[int], Iterator[list[tuple[int, float]]]], settings: InContext) -> Iterator[Candidates]:
    for found in nearest(settings.candidates):
        yield [*found]


def _at_random(rows: Sequence[_Row], settings: InContext, seed: int) -> Iterator[Candidates]:
    for row in rows:
        random = draw(seed, "random", row.example.id)
        yield [(at, None) for at in random.sample(range(len(rows)), min(len(rows), settings.candidates))]


_FINDERS: dict[str, Callable[[Sequence[_Row], InContext, int], Iterator[Candidates]]] = {
    "dialogue": _in_dialogue,
    "clip": _on_clip,
    "image": _by_image,
    "text": _by_text,
    "random": _at_random,
}

TRANSFORM = Transform(
    settings=InContext,
    about="demonstrations out of the other rows",
    whole=show_in_context,
    files=lambda settings: [Path(settings.embeddings).expanduser()] if settings.embeddings else [],
    looks=lambda settings: settings.by == "image" and not settings.embeddings,
    samples=tuple({"by": by} for by in _FINDERS),
)
