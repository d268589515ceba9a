"""Items, annotations and refusals drawn by hypothesis, for the tests of making data."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from triptych.core.records import Example, ImageRef, Part, Text, Turn, VideoRef
from triptych.generate.item import Annotation, Event, Item, Refusal, Thing, View

TEXT = st.text(max_size=12)
WORD = st.text(min_size=1, max_size=8)
SHARE = st.floats(0, 1)
SECONDS = st.none() | st.floats(0, 1e6)
SIZE = st.none() | st.tuples(st.integers(1, 4000), st.integers(1, 4000))
BOX = st.none() | st.tuples(*[st.integers(0, 4000)] * 4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=4,
)
FACTS = st.dictionaries(TEXT, JSON, max_size=2)


def several(strategy: st.SearchStrategy[object], most: int = 2) -> st.SearchStrategy[tuple[object, ...]]:
    """Draw a short tuple."""
    return st.lists(strategy, max_size=most).map(tuple)


FIELDS: dict[type, dict[str, st.SearchStrategy[Any]]] = {
    ImageRef: {"source": WORD, "size": SIZE, "box": BOX, "resize": SIZE, "video": TEXT},
    VideoRef: {"source": WORD},
}
"""What is drawn of each record by name, so that a test can see that no field is left at its default."""
IMAGE = st.builds(ImageRef, **FIELDS[ImageRef])
MEDIA: st.SearchStrategy[ImageRef | VideoRef] = st.one_of(IMAGE, st.builds(VideoRef, **FIELDS[VideoRef]))
PART: st.SearchStrategy[Part] = st.one_of(st.builds(Text, TEXT), MEDIA)
TURN = st.builds(Turn, st.sampled_from(("system", "user", "assistant")), several(PART, 4))
THING = st.builds(
    Thing,
    WORD,
    box=st.none() | st.tuples(SHARE, SHARE, SHARE, SHARE),
    attributes=several(TEXT),
    relations=several(st.tuples(TEXT, st.integers(0, 9))),
)
VIEW = st.builds(
    View,
    MEDIA,
    captions=several(TEXT),
    things=several(THING),
    name=TEXT,
    title=TEXT,
    tags=several(TEXT),
    time_s=SECONDS,
)
EVENT = st.builds(Event, TEXT, start_s=SECONDS, stop_s=SECONDS, things=several(TEXT))
ANNOTATION = st.builds(
    Annotation,
    WORD,
    several(VIEW),
    sentences=several(TEXT),
    events=several(EVENT),
    title=TEXT,
    about=TEXT,
    origin=TEXT,
    facts=FACTS,
)
LABELS = several(st.tuples(TEXT, st.floats(allow_nan=False, allow_infinity=False)))
OWN = {"id": WORD, "turns": several(TURN, 3), "labels": LABELS, "origin": TEXT, "skills": several(TEXT), "facts": FACTS}
FIELDS[Example] = {**OWN, "demonstrations": several(st.builds(Example, **OWN))}
EXAMPLE = st.builds(Example, **FIELDS[Example])
ITEM = st.builds(
    Item,
    WORD,
    ANNOTATION,
    example=st.none() | EXAMPLE,
    reply=TEXT,
    parents=several(WORD),
    history=several(FACTS),
    facts=FACTS,
)
REFUSAL = st.builds(Refusal, ITEM, reason=WORD, message=TEXT, stage=TEXT)
