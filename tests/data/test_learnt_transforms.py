"""What a transform makes of a conversation has a reply that is not learnt as such, wherever that reply stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from tests.data.talking import made, refused, said, talk
from tests.pictures import draw
from triptych.core import plugins
from triptych.core.records import Example, ImageRef, Text, Turn, VideoRef, text_of
from triptych.data.text.layout import Front, to_front, to_published_front, to_references
from triptych.data.transform import Transform, TransformPlan, apply

TRANSFORMS = {name: plugins.find("transform", name, expected=Transform) for name in plugins.names("transform")}
PLANS = {
    f"{name}-{number}": TransformPlan.parse({"kind": name, **sample})
    for name, transform in TRANSFORMS.items()
    for number, sample in enumerate(transform.samples)
}
GONE = {"contrast-1"}
"""What refuses, or leaves out, all of these rows."""


def rows_in(folder: Path) -> list[Example]:
    """Return conversations of many kinds; replies that are not learnt begin with zebra, others with lion."""
    images = [draw(folder / f"{at}.png", size=(32 + at, 24), colour=(40 * at, 0, 90)) for at in range(6)]
    for number in range(7):
        draw(folder / "clip" / f"f_{number}.png", colour=(number, 0, 0))
    asked = [
        *([(image,), "Sure?"] for image in images),
        *([(image, Text("Look at it."))] for image in images),
        [(images[0], images[1], Text("Is image 1 older than image 2?")), "Is the first image new?"],
        [(Text("In "), images[2], Text(" or "), images[3], Text("?")), (images[4], Text("And here?"))],
        [(VideoRef(str(folder / "clip")), Text("What happens?")), "Is it long?"],
        ["Hello?", "Hello?", (images[5], Text("Which?"))],
    ]
    return [_row(number, questions) for number, questions in enumerate(asked)]


def _row(number: int, questions: list[str | tuple[ImageRef | VideoRef | Text, ...]]) -> Example:
    turns = []
    for at, question in enumerate(questions):
        learnt = (at + number) % 2 == 0
        parts = (Text(question),) if isinstance(question, str) else question
        reply = Text(f"{'lion' if learnt else 'zebra'} {'abcdefghijklmnopqrstuvwxyz'[number]} word{at}")
        turns += [Turn("user", parts), Turn("assistant", (reply,), learnt)]
    return Example(f"t_{number}", tuple(turns), origin=f"rows.jsonl: row {number}")


def replies_in(example: Example) -> Iterator[Turn]:
    for each in (*example.demonstrations, example):
        yield from (turn for turn in each.turns if turn.role == "assistant")


@pytest.mark.parametrize("name", sorted(PLANS))
def test_a_reply_that_is_not_learnt_stays_so_where_it_stays(name: str, tmp_path: Path) -> None:
    rows = rows_in(tmp_path)
    steps = [TransformPlan.parse({"kind": "in_context", "by": "random"}), PLANS[name]]
    survived = 0
    for plans in (steps[1:], steps):
        out = [row for row in apply(plans, rows, seed=0) if isinstance(row, Example)]
        replies = list(chain.from_iterable(map(replies_in, out)))
        zebras = [turn for turn in replies if "zebra" in text_of(turn)]
        assert not any(turn.learnt for turn in zebras)
        assert PLANS[name].kind == "learn_last" or all(turn.learnt for turn in replies if turn not in zebras)
        survived += len(zebras)
    assert survived or name in GONE, "nothing was tried"


@pytest.mark.parametrize("front", [Front(), Front(leave="", labels="keep")])
def test_images_move_and_the_mark_stays(front: Front) -> None:
    row = _unlearnt(talk("Is [a] older than [b]?", "No.", "Is image 1 the last image?", "Yes."), 1)
    for moved in (to_front(row, front), to_published_front(row)):
        assert [turn.learnt for turn in moved.turns] == [True, False, True, True]
    placed = to_references(_unlearnt(talk("[a][b] Is image 1 older than image 2?", "No."), 1))
    assert placed is not None
    assert [turn.learnt for turn in placed.turns] == [True, False]


def test_a_caption_that_is_not_learnt_is_no_label_of_a_contrast() -> None:
    things = {"a": "Red cats.", "b": "Some green dogs.", "c": "Blue chairs."}
    captions = [talk(f"[{name}] What?", caption, name=name) for name, caption in things.items()]
    captions[1] = _unlearnt(captions[1], 1)
    asked, left = made("contrast", *captions, share=1.0, images=[2, 2])
    assert left == captions[1]
    assert "dogs" not in "".join(said(asked))
    assert refused("contrast", *captions, share=1.0, images=[2, 2], others="refuse").reason == "no caption"


def test_a_repeat_that_is_learnt_is_kept_beside_one_that_is_not() -> None:
    row = talk("a", "b", "a", "b")
    assert said(made("drop_repeats", row)[0]) == ["a", "b"]
    assert made("drop_repeats", _unlearnt(row, 1)) == [_unlearnt(row, 1)]
    assert len(made("drop_repeats", talk("a", "b"), _unlearnt(talk("a", "b", name="y"), 1))) == 2


def test_learn_last_learns_the_last_reply_and_says_nothing_of_others() -> None:
    shown = talk("e", "f", name="shown")
    row = replace(talk("a", "b", "c", "d", "open?"), demonstrations=(shown,))
    (found,) = made("learn_last", row)
    assert [turn.learnt for turn in found.turns] == [True, False, True, True, True]
    assert [turn.learnt for turn in found.demonstrations[0].turns] == [True, False]
    assert replace(found, turns=(), demonstrations=()) == replace(row, turns=(), demonstrations=())
    assert made("learn_last", talk("a", "b")) == [talk("a", "b")]
    assert made("learn_last", talk("a")) == [talk("a")]
    (marked,) = made("learn_last", _unlearnt(talk("a", "b", "c", "d"), 3))
    assert [turn.learnt for turn in marked.turns] == [True, False, True, False]


def _unlearnt(example: Example, at: int) -> Example:
    turns = [replace(turn, learnt=False) if place == at else turn for place, turn in enumerate(example.turns)]
    return replace(example, turns=tuple(turns))
