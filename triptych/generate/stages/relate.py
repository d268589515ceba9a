"""relate: in-context relations: which other items are shown before an item, as demonstrations with their own images.

Source: MIMIC-IT's context function (arXiv:2306.05425 section 3.1): earlier rounds of the same conversation, other pairs
on the same images, the nearest by words. Better than published: no item is shown to itself, none on the same images
that asks the same, and for neighbours none with an image of the item's; and a demonstration keeps its id, so that
MIMIC-IT's files can name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field

from triptych.core.records import Example, ImageRef, Json, Text, VideoRef, parts_of, text_of
from triptych.data.text.neighbours import word_vectors
from triptych.generate.item import Item, Refusal
from triptych.generate.spool import Spool, spooled
from triptych.generate.stage import Made, Stage, StageSettings

CANDIDATES = 50
"""How many of the nearest items are looked at."""


class Relate(StageSettings):
    """Which items are shown before which."""

    by: Literal["conversation", "images", "question", "captions"]
    """conversation: the earlier rounds of the same reply's conversation; images: other pairs on the same images;
    question, captions: the nearest by the words of the question, or of what is known of the images."""
    k: int = Field(default=2, ge=1)
    """How many demonstrations are shown."""
    nearest: Literal["last", "first"] = "last"
    """Where the nearest one stands; of a conversation the order stays."""
    too_few: Literal["keep", "refuse"] = "keep"
    """What becomes of an item for which fewer are found."""


@dataclass(frozen=True, slots=True)
class _Row:
    """What is kept of each item in memory."""

    id: str
    group: int
    """Number of its conversation, or of its images; -1: it has none."""
    images: frozenset[int]
    """Digests of its images."""
    language: str
    said: int
    """Digest of its question."""


def whole(items: Iterable[Item], settings: Relate, seed: int) -> Iterator[Made]:
    """Yield every item with its demonstrations."""
    del seed
    with spooled() as spool:
        rows: list[_Row] = []
        texts: list[str] = []
        groups: dict[object, int] = {}
        for item in items:
            if item.example is None:
                yield Refusal(item, "no conversation", f"{item.id}: there is nothing that could be related.")
                continue
            spool.add(item)
            rows.append(_row(item, item.example, settings, groups))
            if settings.by in ("question", "captions"):
                texts.append(_words(item, item.example, settings))
        for number, candidates in enumerate(_found(rows, texts, settings)):
            yield _related(number, candidates, rows, spool, settings)


Candidates = Sequence[tuple[int, float | None]]


def _found(rows: Sequence[_Row], texts: Sequence[str], settings: Relate) -> Iterator[Candidates]:
    if settings.by in ("question", "captions"):
        if rows:
            yield from word_vectors(texts).nearest(CANDIDATES)
        return
    members: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        members.setdefault(row.group, []).append(number)
    for number, row in enumerate(rows):
        others = members[row.group] if row.group >= 0 else []
        if settings.by == "conversation":
            yield [(other, None) for other in reversed(others) if other < number]
        else:
            # Those nearest in the file first; before and behind in turn.
            yield [(other, None) for _, other in sorted((abs(other - number), other) for other in others)]


def _related(number: int, candidates: Candidates, rows: Sequence[_Row], spool: Spool, settings: Relate) -> Made:
    item, row = spool.read(number), rows[number]
    assert item.example is not None, "items without a conversation were refused"
    chosen: list[tuple[int, float | None]] = []
    for other, likeness in candidates:
        if len(chosen) == settings.k:
            break
        before = [row, *(rows[at] for at, _ in chosen)]
        # Where likeness was asked for, a demonstration has other images.
        fits = likeness is None or not rows[other].images & row.images
        if other != number and fits and all(_is_new(rows[other], it) for it in before):
            chosen.append((other, likeness))
    if len(chosen) < settings.k and settings.too_few == "refuse":
        return Refusal(item, "too few demonstrations", f"{item.id}: {len(chosen)} of {settings.k} were found.")
    if settings.by == "conversation" or settings.nearest == "last":
        chosen.reverse()
    shown = tuple(_bare(spool.read(other)) for other, _ in chosen)
    ids: list[Json] = [each.id for each in shown]
    likenesses: list[Json] = [round(likeness, 4) for _, likeness in chosen if likeness is not None]
    told: dict[str, Json] = {"by": settings.by, "ids": ids, **({"likeness": likenesses} if likenesses else {})}
    example = replace(item.example, demonstrations=shown)
    return replace(item, example=example, facts={**item.facts, "relate": told})


def _is_new(row: _Row, before: _Row) -> bool:
    """Return whether a row may stand with another: in its language, and not the same question on the same images."""
    if row.id == before.id or row.language != before.language:
        return False
    return row.said != before.said or (bool(row.images) and not row.images & before.images)


def _bare(item: Item) -> Example:
    assert item.example is not None, "items without a conversation were refused"
    return replace(item.example, demonstrations=())


def _row(item: Item, example: Example, settings: Relate, groups: dict[object, int]) -> _Row:
    media = _media(example)
    question = " ".join(" ".join(text_of(turn).split()) for turn in example.turns if turn.role == "user").casefold()
    key: object = media or None
    if settings.by == "conversation":
        said = example.facts.get("dialogue")
        key = (said, media) if isinstance(said, str) else None
    group = -1 if key is None else groups.setdefault(hash((settings.by, key)), len(groups))
    language = str(item.facts.get("language", "en"))
    return _Row(item.id, group, frozenset(map(hash, media)), language, hash(question))


def _media(example: Example) -> tuple[tuple[object, ...], ...]:
    found = (part for part in parts_of(replace(example, demonstrations=())) if not isinstance(part, Text))
    return tuple(_picture(part) for part in found)


def _picture(part: ImageRef | VideoRef) -> tuple[object, ...]:
    return (part.source, part.box) if isinstance(part, ImageRef) else (part.source,)


def _words(item: Item, example: Example, settings: Relate) -> str:
    if settings.by == "question":
        return " ".join(text_of(turn) for turn in example.turns if turn.role == "user")
    known = item.annotation
    captions = [caption for view in known.views for caption in view.captions]
    return " ".join([*captions, *known.sentences, *(event.text for event in known.events)])


STAGE = Stage(
    settings=Relate,
    about="in-context relations: earlier rounds, pairs on the same images, nearest questions or captions",
    whole=whole,
    samples=({"by": "conversation"}, {"by": "images"}, {"by": "question"}, {"by": "captions", "k": 1}),
)
