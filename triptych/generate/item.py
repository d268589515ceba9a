"""The records of making data: what is known of images, an item on its way through the stages, and a refusal.

Frozen values, without pixels. Not the stages (``stage``). An item begins as an annotation, becomes a conversation, and
ends as a row of a data format, or as a refusal with its reason. Nothing else can happen to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from triptych.core.records import Example, ImageRef, Json, VideoRef


@dataclass(frozen=True, slots=True)
class Thing:
    """Something in an image: a box of a detector, a node of a scene graph."""

    name: str
    """What it is, e.g. ``dog``."""
    box: tuple[float, float, float, float] | None = None
    """(left, top, right, bottom) as shares of the image's width and height, from 0 to 1; None: nobody knows."""
    attributes: tuple[str, ...] = ()
    """How it is, e.g. ``("black", "small")``."""
    relations: tuple[tuple[str, int], ...] = ()
    """(what, number of the other thing in the view), e.g. ``("left of", 2)``."""


@dataclass(frozen=True, slots=True)
class View:
    """One image, or one video, and what is known of it."""

    media: ImageRef | VideoRef
    captions: tuple[str, ...] = ()
    """What people wrote of it, a sentence or more each."""
    things: tuple[Thing, ...] = ()
    name: str = ""
    """What the annotation calls it: an id, a camera, ``before``."""
    title: str = ""
    tags: tuple[str, ...] = ()
    time_s: float | None = None
    """Where it stands in its video or day, in seconds."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that lasts: a caption of a part of a video, a line of narration, a line of dialogue."""

    text: str
    start_s: float | None = None
    stop_s: float | None = None
    things: tuple[str, ...] = ()
    """What is in sight meanwhile."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """All that is known of some images that belong together, without looking at them."""

    id: str
    views: tuple[View, ...]
    """In order; the order has meaning. May be empty only where a paper's pipeline knows sentences alone."""
    sentences: tuple[str, ...] = ()
    """What is said of all views together: the differences of a pair, a scene in words."""
    events: tuple[Event, ...] = ()
    title: str = ""
    about: str = ""
    """A description of all views together."""
    origin: str = ""
    """Where it was read: ``file: row N``. For messages to people."""
    facts: Mapping[str, Json] = field(default_factory=dict)
    """What else came with it, e.g. a scene's truth that checks are judged by."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing on its way from an annotation to a row of training data."""

    id: str
    """Distinct in a run after every stage; a child's is its parent's and a number: ``coco-12/0``."""
    annotation: Annotation
    example: Example | None = None
    """The conversation, once there is one; its id is the item's."""
    reply: str = ""
    """A language model's words that no stage has read yet."""
    parents: tuple[str, ...] = ()
    """Ids of the items that it was made of, the nearest last."""
    history: tuple[Mapping[str, Json], ...] = ()
    """What each stage did, oldest first: ``{"stage", "teacher", "model", "parameters", "prompt", "prompt_hash",
    "tokens_in", "tokens_out", "usd", "seconds", ...}``. The pipeline writes it; a stage may add to its own entry."""
    facts: Mapping[str, Json] = field(default_factory=dict)
    """What stages want to tell later ones, or the report: skill, language, options, group."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An item that goes no further, whole, so that nothing is lost and the report can show it."""

    item: Item
    reason: str
    """Short and countable: ``answerable blind``, ``not JSON``, ``image 5 of 3``."""
    message: str
    """One line for people: what is wrong, and with what."""
    stage: str = ""
    """The stage that refused it; the pipeline fills it in."""
