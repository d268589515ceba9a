"""shuffle_images: the images of a turn change places, and references to them in the words change with them.

Not for words that mean an image by its place: a conversation with such words, or about an order, stays as it is and
says why in its notes. So does one with a number that may mean an image without saying so ("Only 2 does.", "image 1 or
2?", the option "B. 2"), though it may be a count: the label of a row is right before and after. Labels of places
("Image 1:") stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random

from triptych.core.config import Settings
from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn, VideoRef, images_of, text_of
from triptych.data.text.labels import labels_in, unclear_labels, words_between
from triptych.data.text.loose import find_hidden
from triptych.data.text.references import UnclearError, find_references, is_within, may_name, renumber
from triptych.data.text.turns import images_shown
from triptych.data.transform import NOTES, Transform, noted


class ShuffleImages(Settings):
    """A permutation is drawn for each turn that gives several images; the one that changes nothing is among them."""

    require_references: bool = True
    """Leave a conversation whose words name no image by number: "What was added?" asks about an order silently."""


_ORDER = re.compile(
    r"\b(?:sequences?|chronolog\w*|timeline|(?:in|this|that|the|correct|right|following) order(?! to\b)|storyboards?|"
    r"over time|step[- ]by[- ]step|from (?:left|top|first) to|before[- ]and[- ]after|one after (?:the other|another)|"
    r"(?:edited|altered|transformed|modified)|(?:the|this) (?:video|clip)|frame #?\d+|"
    r"frames of (?:a|the|this)|video frames|"
    r"(?:reference|query|target|source|original) (?:image|picture|photo)s?(?! \d))\b",
    re.IGNORECASE,
)
_SHOWN = 20
"""Characters behind an ordinal that a note quotes."""


def shuffle_images(example: Example, settings: ShuffleImages, random: Random) -> Sequence[Example]:
    """Return the example with each turn's images in a drawn order; the note has the order, or why there is none."""
    groups = _groups(example)
    if not groups:
        return [example]
    if why := next(_hindrances(example, settings), None):
        return [noted(example, "shuffle_images", left=why)]
    order: dict[int, int] = {}
    for numbers in groups:
        drawn = random.sample(numbers, len(numbers))
        order |= dict(zip(numbers, drawn, strict=True))
    new = {old: place for place, old in order.items()}
    count = len(images_of(example))
    try:
        shuffled = _rewritten(example, new, count)
    except UnclearError as error:
        return [noted(example, "shuffle_images", left=str(error))]
    said: list[Json] = [order.get(number, number) for number in range(1, count + 1)]
    return [noted(shuffled, "shuffle_images", order=said)]


def _groups(example: Example) -> list[list[int]]:
    """Return the numbers of the images of each user's turn that gives several different ones."""
    groups: list[list[int]] = []
    number = 0
    for turn in example.turns:
        images = [part for part in turn.parts if isinstance(part, ImageRef)]
        if turn.role == "user" and len(set(images)) > 1:
            groups.append(list(range(number + 1, number + 1 + len(images))))
        number += len(images)
    return groups


def _hindrances(example: Example, settings: ShuffleImages) -> Iterator[str]:
    """Yield why the images of a conversation cannot change places."""
    count = sum(isinstance(part, ImageRef) for turn in example.turns for part in turn.parts)
    words = [text_of(turn) for turn in example.turns]
    if example.demonstrations and any(images_of(each) for each in example.demonstrations):
        yield "its demonstrations have images too, so numbers may mean theirs"
    parts = [part for turn in example.turns for part in turn.parts]
    if any(isinstance(part, VideoRef) or (isinstance(part, ImageRef) and part.video) for part in parts):
        yield "it has a video among its images"
    if "temporal" in example.skills:
        yield "its skill is temporal"
    for text in words:
        yield from _unclear(text, count)
    if settings.require_references and not any(find_references(text, count=count) for text in words):
        yield "its words name no image by number"
    number = 1
    for turn in example.turns:
        if found_between := words_between(turn.parts, number, count=count):
            yield f"the words {found_between!r} between images belong to one of them"
        for name in unclear_labels(turn.parts, number, count=count).values():
            yield f"the words {name!r} may only say where an image stands, and so mean it by its place"
        number += sum(isinstance(part, ImageRef) for part in turn.parts)
    if said := find_hidden(example.turns, count=count, amounts=True):
        yield f"the words {said!r} by themselves may mean an image by its place"
    facts = {key: value for key, value in example.facts.items() if key != NOTES}
    if any(may_name(text, count=count) for text in _texts(facts)):
        yield "its facts name images by number"


def _unclear(text: str, count: int) -> Iterator[str]:
    """Yield which words of a turn are about an order, or about a picture within an image."""
    if found := _ORDER.search(text):
        yield f"the words {found.group()!r} are about an order"
    for reference in find_references(text, count=count):
        if is_within(text, reference):
            yield f"the words {text[reference.start : reference.stop + _SHOWN]!r} may mean a picture within an image"


def _texts(value: Json | Mapping[str, Json]) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _rewritten(example: Example, new: Mapping[int, int], count: int) -> Example:
    """Return the example with image k at place ``new[k]``. Raises UnclearError."""
    images = [part for turn in example.turns for part in turn.parts if isinstance(part, ImageRef)]
    old = {place: number for number, place in new.items()}
    turns: list[Turn] = []
    number = 1
    for turn, shown in zip(example.turns, images_shown(example.turns), strict=True):
        labels = labels_in(turn.parts, number, count=count)
        parts: list[Part] = []
        for index, part in enumerate(turn.parts):
            if isinstance(part, ImageRef):
                parts.append(images[old.get(number, number) - 1])
                number += 1
            elif isinstance(part, Text):
                keep = frozenset(label.at for label in labels.get(index, []))
                words = renumber(part.text, lambda k: new.get(k, k), count=count, shown=shown, keep=keep)
                parts.append(Text(words))
            else:
                parts.append(part)
        turns.append(replace(turn, parts=tuple(parts)))
    return replace(example, turns=tuple(turns))


TRANSFORM = Transform(
    settings=ShuffleImages,
    about="images in a drawn order, references to them kept right",
    each=shuffle_images,
    samples=({}, {"require_references": False}),
)
