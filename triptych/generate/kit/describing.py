"""An image in words: what a language model that cannot see is told of it, and what stands in an image's place.

Not a prompt (``prompts/``). Only what the annotation says is said; boxes are told as places when asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from triptych.generate.item import Annotation, Thing, View
from triptych.generate.kit.sorts import join_words, plural, with_article

NOTHING = "nothing is known of it"


def describe(view: View, *, places: bool = False) -> str:
    """Return what is known of an image, in one line: captions, then things with how they are and their numbers."""
    said = [caption.strip().rstrip(".") for caption in view.captions if caption.strip()]
    if not said and view.things:
        said = [join_words(_counted(view.things))]
    if places:
        said += [f"{thing.name} at {_place(thing)}" for thing in view.things if thing.box]
    if view.title:
        said.insert(0, view.title)
    if view.time_s is not None:
        said.append(f"at {view.time_s:g} s")
    return "; ".join(said) or NOTHING


def describe_all(annotation: Annotation, *, noun: str = "Image", places: bool = False) -> str:
    """Return what is known of all images, a line each, then what is said of them together."""
    lines = [f"{noun} {at}: {describe(view, places=places)}." for at, view in enumerate(annotation.views, start=1)]
    if annotation.about:
        lines.append(f"Together: {annotation.about}")
    lines += [f"- {sentence}" for sentence in annotation.sentences]
    lines += [f"- {event.text}" for event in annotation.events]
    return "\n".join(lines)


def _counted(things: Sequence[Thing]) -> list[str]:
    counts = Counter(" ".join((*thing.attributes, thing.name)) for thing in things)
    return [with_article(name) if count == 1 else f"{count} {plural(name)}" for name, count in counts.items()]


def _place(thing: Thing) -> str:
    assert thing.box is not None, "a thing without a box has no place"
    left, top, right, bottom = thing.box
    across, down = (left + right) / 2, (top + bottom) / 2
    column = "left" if across < 1 / 3 else "right" if across > 2 / 3 else "middle"
    row = "top" if down < 1 / 3 else "bottom" if down > 2 / 3 else "centre"
    return f"the {row} {column}"
