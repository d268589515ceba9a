"""An annotation in words, as a teacher reads it: captions, things with their places, sentences, what happens when.

Not a prompt (``prompts``). One way for all layouts, so that what is known decides what is said: a heading for an image
of several, a list for each kind of knowledge. Places are shares of an image's width and height with two digits; times
are seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from triptych.core.records import ImageRef, Part, Text, VideoRef
from triptych.data.transform import tidy
from triptych.generate.item import Annotation, Event, Thing, View


def tell(annotation: Annotation) -> str:
    """Return all that is known, in words; empty where nothing is."""
    return "\n\n".join(_blocks(annotation))


def tell_with_images(annotation: Annotation) -> tuple[Part, ...]:
    """Return the images, each in its place before what is known of it, then what is known of all."""
    several = len(annotation.views) > 1
    parts: list[Part] = []
    for number, view in enumerate(annotation.views, start=1):
        heading = f"{_heading(number, view)}\n" if several else ""
        known = "\n".join(_of_view(view))
        parts += [Text(heading), view.media, Text(f"\n{known}\n\n" if known else "\n\n")]
    rest = tell(replace(annotation, views=()))
    return tidy([*parts, Text(rest)] if rest else parts)


def fewer_sentences(annotation: Annotation, most: int, *, random: Random) -> Annotation:
    """Return the annotation with ``most`` of its sentences at most, drawn, in their order."""
    if len(annotation.sentences) <= most:
        return annotation
    kept = sorted(random.sample(range(len(annotation.sentences)), most))
    return replace(annotation, sentences=tuple(annotation.sentences[at] for at in kept))


def _blocks(annotation: Annotation) -> Iterator[str]:
    if annotation.title or annotation.about:
        yield "\n".join(
            f"{key}: {said}" for key, said in (("Title", annotation.title), ("About", annotation.about)) if said
        )
    known = [(number, view, list(_of_view(view))) for number, view in enumerate(annotation.views, start=1)]
    if len(known) == 1:
        yield from ("\n".join(lines) for _, _, lines in known if lines)
    elif any(lines for _, _, lines in known):
        yield from ("\n".join([_heading(number, view), *lines]) for number, view, lines in known)
    if annotation.sentences:
        yield _listed("Observations", annotation.sentences)
    if annotation.events:
        yield _listed("What happens", [_event(event) for event in annotation.events])


def _heading(number: int, view: View) -> str:
    kind = "Video" if isinstance(view.media, VideoRef) else "Image"
    time = "" if view.time_s is None else f"at {_seconds(view.time_s)}"
    # A file's name or an id tells a teacher nothing; what an annotation calls a view, like "before", does.
    called = view.name if view.name.replace(" ", "").isalpha() else ""
    said = ", ".join(word for word in (called, time) if word)
    return f"{kind} {number} ({said}):" if said else f"{kind} {number}:"


def _of_view(view: View) -> Iterator[str]:
    if view.title:
        yield f"Title: {view.title}"
    if view.tags:
        yield f"Tags: {', '.join(view.tags)}"
    if view.captions:
        yield _listed("Captions", view.captions)
    if view.things:
        placed = any(thing.box is not None for thing in view.things)
        heading = "Things (left, top, right, bottom)" if placed else "Things"
        # Numbers only where one thing is told by another: "on top of 2".
        related = any(thing.relations for thing in view.things)
        told = [_thing(thing, len(view.things)) for thing in view.things]
        yield _listed(heading, [f"{at}. {line}" for at, line in enumerate(told, start=1)] if related else told)


def _thing(thing: Thing, count: int) -> str:
    said = " ".join([*thing.attributes, thing.name]) if thing.attributes else thing.name
    if thing.box is not None:
        said += ": " + ", ".join(f"{edge:.2f}" for edge in thing.box)
    for what, number in thing.relations:
        said += f"; {what} {number + 1}" if 0 <= number < count else ""
    return said


def _event(event: Event) -> str:
    time = ""
    if event.start_s is not None and event.stop_s is not None:
        time = f"{_seconds(event.start_s)} to {_seconds(event.stop_s)}: "
    elif event.start_s is not None:
        time = f"{_seconds(event.start_s)}: "
    seen = f" (in sight: {'; '.join(event.things)})" if event.things else ""
    return f"{time}{event.text}{seen}"


def _seconds(time_s: float) -> str:
    return f"{round(time_s, 1):g} s"


def _listed(heading: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{heading}:", *(f"- {line}" for line in lines)])


def media_of(annotation: Annotation) -> tuple[ImageRef | VideoRef, ...]:
    """Return the images and videos in order."""
    return tuple(view.media for view in annotation.views)
