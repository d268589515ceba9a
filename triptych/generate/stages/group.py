"""group: annotations of related images become one annotation of several images, in order.

Not what is asked of them (the asking stages). Related means: the same album, the same title or tag, alike captions,
alike looks, near in vectors that a file gives, frames of one video, or nothing at all, as a control. Streams: alike
items are looked for in a window, and an album is open until it is full or too many others are. Invariant: every item
is in one group, or is refused; no group has more images than were asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Literal

from pydantic import Field, model_validator

from triptych.core.errors import DataError
from triptych.core.records import ImageRef, VideoRef
from triptych.data.media.video import frame_refs, pick_uniform, probe
from triptych.data.text.neighbours import Vectors, file_vectors, picture_vectors, word_vectors
from triptych.data.transform import draw
from triptych.generate.item import Annotation, Item, Refusal, View
from triptych.generate.kit.describing import describe
from triptych.generate.stage import Made, Stage, StageSettings

By = Literal["album", "title", "tag", "captions", "looks", "vectors", "frames", "random"]
_NEIGHBOURS = 24
"""How many of the nearest items are tried as members of a group."""


class Group(StageSettings):
    """Which images meet."""

    by: By = "album"
    """album: an equal fact ``key``; title, tag: an equal title or first tag; captions: alike words; looks: alike
    colours at alike places; vectors: near in ``vectors``; frames: of one video; random: a control."""
    key: str = "album"
    """Which fact of an annotation is its album's name."""
    images: tuple[int, int] = (2, 4)
    """Fewest and most images of a group."""
    least: float = Field(default=0.1, ge=0.0, le=1.0)
    """Least likeness (cosine) of captions, looks or vectors to be related."""
    most: float = Field(default=0.98, ge=0.0, le=1.0)
    """Most likeness: above it they are the same picture, or say the same."""
    window: int = Field(default=4096, ge=2)
    """Items that are looked at together, and albums that are open at once."""
    vectors: str = ""
    """A .npz file with the arrays ids and vectors; ids are those of the items."""

    @model_validator(mode="after")
    def _check(self) -> Group:
        if not 2 <= self.images[0] <= self.images[1]:
            raise ValueError("images is [fewest, most] with 2 <= fewest <= most")
        if (self.by == "vectors") != bool(self.vectors):
            raise ValueError("by: vectors and vectors: FILE go together")
        return self


def whole(items: Iterable[Item], settings: Group, seed: int) -> Iterator[Made]:
    """Yield an item a group, in the order in which groups are complete, and refusals of what is alone."""
    if settings.by == "frames":
        yield from (_framed(item, settings) for item in items)
    elif settings.by in ("album", "title", "tag"):
        yield from _by_name(items, settings, seed)
    else:
        stream = iter(items)
        for number in range(1 << 62):
            window = list(islice(stream, settings.window))
            if not window:
                return
            yield from _by_likeness(window, settings, draw("group", seed, number))


def _by_name(items: Iterable[Item], settings: Group, seed: int) -> Iterator[Made]:
    """Yield a group as soon as it has as many images as were drawn for it; the oldest when too many are open."""
    waiting: dict[str, list[Item]] = {}
    sizes: dict[str, int] = {}
    for item in items:
        name = _name(item, settings)
        if not name:
            yield Refusal(
                item,
                "no album",
                f"its annotation has no {settings.by} {settings.key if settings.by == 'album' else ''}".rstrip() + ".",
            )
            continue
        if len(item.annotation.views) > settings.images[1]:
            yield _too_many(item, settings)
            continue
        members = waiting.get(name, [])
        if any(_same_picture(item, member) for member in members):
            yield Refusal(item, "same picture", f"it is in the album {name!r} already.")
            continue
        if _images(members) + len(item.annotation.views) > settings.images[1]:
            del waiting[name], sizes[name]
            yield from _joined(members, settings)
        members = waiting.setdefault(name, [])
        members.append(item)
        size = sizes.setdefault(name, draw("group", seed, name, item.id).randint(*settings.images))
        if _images(members) >= size:
            del waiting[name], sizes[name]
            yield from _joined(members, settings)
        elif len(waiting) > settings.window:
            oldest = next(iter(waiting))
            del sizes[oldest]
            yield from _joined(waiting.pop(oldest), settings)
    for members in waiting.values():
        yield from _joined(members, settings)


def _by_likeness(window: Sequence[Item], settings: Group, random: Random) -> Iterator[Made]:
    """Yield the groups of a window: each begins with the first item that is left, and takes its nearest."""
    near = _neighbours(window, settings, random)
    taken: set[int] = set()
    for at, item in enumerate(window):
        if at in taken:
            continue
        if len(item.annotation.views) > settings.images[1]:
            yield _too_many(item, settings)
            continue
        size = random.randint(*settings.images)
        members = [at]
        for other in near(at):
            images = _images([window[one] for one in members])
            if images >= size:
                break
            if other in taken or other in members or images + len(window[other].annotation.views) > settings.images[1]:
                continue
            if not any(_same_picture(window[other], window[one]) for one in members):
                members.append(other)
        if _images([window[one] for one in members]) < settings.images[0]:
            yield Refusal(item, "no related image", f"nothing that is left near it is related by {settings.by}.")
            continue
        taken.update(members)
        yield from _joined([window[one] for one in members], settings)


def _neighbours(window: Sequence[Item], settings: Group, random: Random) -> Callable[[int], Sequence[int]]:
    if settings.by == "random":
        order = list(range(len(window)))
        random.shuffle(order)
        place = {item: at for at, item in enumerate(order)}
        return lambda at: order[place[at] + 1 :] + order[: place[at]]
    lists = list(_vectors(window, settings).nearest(min(_NEIGHBOURS, max(1, len(window) - 1))))
    return lambda at: [other for other, likeness in lists[at] if settings.least <= likeness <= settings.most]


def _vectors(window: Sequence[Item], settings: Group) -> Vectors:
    if settings.by == "captions":
        return word_vectors(["\n".join(map(describe, item.annotation.views)) for item in window])
    if settings.by == "vectors":
        return file_vectors(Path(settings.vectors).expanduser(), [item.id for item in window])
    firsts = [next((view.media for view in item.annotation.views), None) for item in window]
    return picture_vectors([media if isinstance(media, ImageRef) else None for media in firsts])


def _joined(members: Sequence[Item], settings: Group) -> Iterator[Made]:
    """Yield one item of all members' images, or their refusals where they are too few."""
    views = tuple(view for member in members for view in member.annotation.views)
    if len(views) < settings.images[0]:
        for member in members:
            yield Refusal(member, "no related image", f"its {settings.by} has {len(views)} images and no more.")
        return
    if len(members) == 1:
        yield members[0]
        return
    parents = [member.annotation for member in members]
    annotation = Annotation(
        id=f"{parents[0].id}+{len(parents) - 1}",
        views=views,
        sentences=tuple(sentence for each in parents for sentence in each.sentences),
        events=tuple(event for each in parents for event in each.events),
        title=parents[0].title if len({each.title for each in parents}) == 1 else "",
        about=" ".join(each.about for each in parents if each.about),
        origin=parents[0].origin,
        facts={
            key: value
            for key, value in parents[0].facts.items()
            if all(each.facts.get(key) == value for each in parents)
        },
    )
    facts = {"group": {"by": settings.by, "members": [member.id for member in members]}}
    yield Item(annotation.id, annotation, parents=tuple(member.id for member in members), facts=facts)  # type: ignore[arg-type]


def _images(members: Sequence[Item]) -> int:
    return sum(len(member.annotation.views) for member in members)


def _too_many(item: Item, settings: Group) -> Refusal:
    images = len(item.annotation.views)
    return Refusal(item, "too many images", f"it has {images} images alone, and a group at most {settings.images[1]}.")


def _framed(item: Item, settings: Group) -> Made:
    """Return the item with frames of its video as its images; one with several images already stays as it is."""
    videos = [view for view in item.annotation.views if isinstance(view.media, VideoRef)]
    if not videos:
        enough = len(item.annotation.views) >= settings.images[0]
        return item if enough else Refusal(item, "no related image", "it has no video, and too few images.")
    views: list[View] = []
    most = max(1, (settings.images[1] - len(item.annotation.views) + len(videos)) // len(videos))
    for view in item.annotation.views:
        if not isinstance(view.media, VideoRef):
            views.append(view)
            continue
        try:
            info = probe(view.media.source)
            indexes = pick_uniform(info.frames, min(info.frames, most))
            frames = frame_refs(view.media, indexes)
        except DataError as error:
            return Refusal(item, "video cannot be read", str(error))
        for index, frame in zip(indexes, frames, strict=True):
            time_s = index / info.fps if info.fps else None
            views.append(replace(view, media=frame, name=f"frame {len(views) + 1}", time_s=time_s))
    return replace(item, annotation=replace(item.annotation, views=tuple(views)))


def _name(item: Item, settings: Group) -> str:
    annotation = item.annotation
    if settings.by == "title":
        return annotation.title
    if settings.by == "tag":
        return next((tag for view in annotation.views for tag in view.tags), "")
    said = annotation.facts.get(settings.key)
    return "" if said is None else str(said)


def _same_picture(one: Item, other: Item) -> bool:
    return bool({view.media for view in one.annotation.views} & {view.media for view in other.annotation.views})


STAGE = Stage(
    settings=Group,
    about="annotations of related images become one of several: by album, captions, looks, vectors, frames, at random",
    whole=whole,
    samples=({"by": "random"}, {"by": "captions"}, {"by": "frames"}, {"by": "looks", "images": [2, 3]}),
)
