"""What is written between two stages is read back exactly; what is not ours is refused with file and line."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import HealthCheck, given, settings

from tests.generate.drawn import ANNOTATION, EXAMPLE, FIELDS, ITEM, REFUSAL
from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Text, Turn
from triptych.generate.item import Annotation, Item, Refusal
from triptych.generate.written import (
    item_from_json,
    item_to_json,
    line_of,
    refusal_from_json,
    refusal_to_json,
)

patiently = settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)


def written_and_read(item: Item) -> Item:
    return item_from_json(json.loads(line_of(item_to_json(item))), where="here")


@patiently
@given(ITEM)
def test_an_item_is_read_as_it_was_written(item: Item) -> None:
    line = line_of(item_to_json(item))
    assert line.count(b"\n") == 1
    assert item_from_json(json.loads(line), where="here") == item


@patiently
@given(REFUSAL)
def test_a_refusal_is_read_as_it_was_written(refusal: Refusal) -> None:
    assert refusal_from_json(json.loads(line_of(refusal_to_json(refusal))), where="here") == refusal


@patiently
@given(ANNOTATION)
def test_an_annotation_is_read_as_it_was_written(annotation: Annotation) -> None:
    assert written_and_read(Item("one", annotation)).annotation == annotation


@patiently
@given(EXAMPLE)
def test_a_conversation_is_read_as_it_was_written(example: Example) -> None:
    assert written_and_read(Item("one", Annotation("one", ()), example=example)).example == example


@pytest.mark.parametrize("record", FIELDS)
def test_every_field_of_a_record_is_drawn(record: type) -> None:
    assert FIELDS[record].keys() == {field.name for field in dataclasses.fields(record)}


def test_a_frame_stays_a_frame_of_its_video() -> None:
    frames = tuple(ImageRef(f"{number}.png", video="walk.mp4") for number in range(2))
    example = Example("walk", (Turn("user", (*frames, Text("Where does he go?"))),))
    assert written_and_read(Item("one", Annotation("one", ()), example=example)).example == example


def test_half_a_letter_survives() -> None:
    item = Item("half", Annotation("half", ()), reply="cut \ud83d")
    assert item_from_json(json.loads(line_of(item_to_json(item))), where="here") == item


def test_a_number_that_is_none_is_refused_with_the_items_name() -> None:
    item = Item("nan", Annotation("nan", ()), facts={"score": math.nan})
    with pytest.raises(DataError, match=r"^nan: it cannot be written down"):
        line_of(item_to_json(item))


def test_a_line_of_somebody_else_is_refused_with_file_and_line() -> None:
    with pytest.raises(DataError, match=r"stages/01-parse\.jsonl: line 3: not written by this program"):
        item_from_json({"id": "x"}, where="stages/01-parse.jsonl: line 3")
