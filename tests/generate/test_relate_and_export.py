"""In-context relations, and rows of data formats with their history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generate.driving import Ran, facts_of, settings_of
from tests.pictures import draw
from triptych.core.errors import ConfigError
from triptych.core.plugins import find
from triptych.core.records import Example, ImageRef, Json, Text, Turn, VideoRef, images_of
from triptych.data.format import load_examples
from triptych.data.media.images import load_image
from triptych.generate.item import Annotation, Item, Refusal, View
from triptych.generate.spool import spooled
from triptych.generate.stage import Stage


def item(name: str, question: str, image: ImageRef | VideoRef, **facts: Json) -> Item:
    turns = (Turn("user", (image, Text(question))), Turn("assistant", (Text(f"Answer to {name}."),)))
    annotation = Annotation(name, (View(image, captions=(question,)),))
    return Item(name, annotation, Example(name, turns, skills=("reasoning",), facts=facts), parents=("p",))


def relate(items: list[Item], **said: object) -> Ran:
    stage = find("stage", "relate", expected=Stage)
    assert stage.whole is not None
    made = list(stage.whole(iter(items), settings_of("relate", said), 0))
    return Ran(
        tuple(each for each in made if isinstance(each, Item)),
        tuple(each for each in made if isinstance(each, Refusal)),
    )


def export(items: list[Item], folder: Path, to: str, **said: object) -> Ran:
    stage = find("stage", "export", expected=Stage)
    assert stage.write is not None
    made = list(stage.write(iter(items), settings_of("export", {"to": to, **said}), folder))
    assert len(made) == len(items), "export lost an item"
    return Ran(
        tuple(each for each in made if isinstance(each, Item)),
        tuple(each for each in made if isinstance(each, Refusal)),
    )


def ids(ran: Ran) -> Mapping[str, list[str]]:
    return {each.id: [shown.id for shown in each.example.demonstrations] for each in ran.items if each.example}


def test_a_conversation_shows_its_two_earlier_rounds_in_their_order() -> None:
    image = ImageRef("a.png")
    rounds = [item(f"d/{n}", f"question {n}", image, dialogue="d/0") for n in range(4)]
    other = item("e/0", "question", image, dialogue="e/0")
    assert ids(relate([*rounds, other], by="conversation")) == {
        "d/0": [], "d/1": ["d/0"], "d/2": ["d/0", "d/1"], "d/3": ["d/1", "d/2"], "e/0": []}  # fmt: skip


def test_pairs_on_the_same_images_are_related_and_none_that_asks_the_same() -> None:
    a, b = ImageRef("a.png"), ImageRef("b.png")
    items = [item("1", "What?", a), item("2", "Where?", a), item("3", "where? ", a), item("4", "Why?", b)]
    assert ids(relate(items, by="images", k=3)) == {"1": ["2"], "2": ["1"], "3": ["1"], "4": []}


def test_neighbours_ask_nearly_the_same_about_other_images() -> None:
    items = [
        item("1", "How many dogs run on the beach?", ImageRef("a.png")),
        item("2", "How many dogs sleep on the beach?", ImageRef("b.png")),
        item("3", "How many dogs run on the beach today?", ImageRef("a.png")),
        item("4", "Which colour has her umbrella?", ImageRef("c.png")),
    ]
    found = ids(relate(items, by="question", k=1))
    assert (found["1"], found["2"], found["4"]) == (["2"], ["1"], [])
    told = facts_of(relate(items, by="question", k=1).items[0], "relate")
    assert told["by"] == "question"
    assert 0 < float(str(told["likeness"]).strip("[]")) < 1
    assert ids(relate(items, by="captions", k=1))["1"] == ["2"]


def test_the_same_question_on_another_image_is_the_nearest_there_is() -> None:
    items = [item(str(n), "Which is the largest?", ImageRef(f"{n}.png")) for n in range(3)]
    assert ids(relate(items, by="question", k=2)) == {"0": ["2", "1"], "1": ["2", "0"], "2": ["1", "0"]}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=8), st.sampled_from(("images", "question")))
def test_nothing_is_ever_shown_to_itself_or_lost(rows: list[tuple[int, int]], by: str) -> None:
    items = [item(str(n), f"What is it {word}", ImageRef(f"{a}.png")) for n, (a, word) in enumerate(rows)]
    ran = relate(items, by=by)
    assert [each.id for each in ran.items] == [each.id for each in items]
    for name, shown in ids(ran).items():
        assert name not in shown
        assert len(set(shown)) == len(shown)


def test_too_few_demonstrations_may_refuse_and_no_conversation_always_does() -> None:
    ran = relate([item("1", "What?", ImageRef("a.png")), Item("2", Annotation("2", ()))], by="images", too_few="refuse")
    assert sorted(refusal.reason for refusal in ran.refusals) == ["no conversation", "too few demonstrations"]


def test_rows_tell_how_they_were_made(tmp_path: Path) -> None:
    made = item("1", "What?", draw(tmp_path / "a.png"))
    history: Mapping[str, Json] = {"stage": "02-ask", "model": "m", "prompt_hash": "abc", "usd": 0.01}
    export(
        [Item(made.id, made.annotation, made.example, parents=("p",), history=(history,))], tmp_path, "messages:t.jsonl"
    )
    (row,) = load_examples(f"messages:{tmp_path}/t.jsonl", on_bad="raise").examples
    assert row.facts["history"] == {"parents": ["p"], "annotation": "1", "stages": [history]}
    export([made], tmp_path, "messages:bare.jsonl", history=False)
    (row,) = load_examples(f"messages:{tmp_path}/bare.jsonl", on_bad="raise").examples
    assert "history" not in row.facts


def test_mimicit_names_related_rows_by_their_ids_with_all_their_facts(tmp_path: Path) -> None:
    image = draw(tmp_path / "a.png")
    ran = relate([item("1", "What?", image), item("2", "Where?", image)], by="images")
    export(list(ran.items), tmp_path, "mimicit:XX_instructions.json")
    train = json.loads((tmp_path / "XX_train.json").read_text())
    assert train == {"1": ["2"], "2": ["1"]}
    loaded = load_examples(f"mimicit:{tmp_path}/XX_instructions.json", on_bad="raise").examples
    assert all(example.facts["history"] and example.skills == ("reasoning",) for example in loaded)


def test_what_a_layout_cannot_say_is_refused_with_its_reason_and_the_rest_is_written(tmp_path: Path) -> None:
    image = draw(tmp_path / "a.png", size=(40, 20))
    boxed = ImageRef(image.source, box=(0, 0, 10, 10))
    items = [
        item("good", "What?", image), item("boxed", "What?", boxed), item("film", "What?", VideoRef("v.mp4")),
        item("gone", "What?", ImageRef(str(tmp_path / "no.png"))), Item("mute", Annotation("mute", ())),
        item("last", "Who?", image),
    ]  # fmt: skip
    ran = export(items, tmp_path, "mimicit:XX_instructions.json")
    assert [each.id for each in ran.items] == ["good", "last"]
    assert {each.item.id: each.reason for each in ran.refusals} == {
        "boxed": "bad row", "film": "bad row", "gone": "image file missing", "mute": "no conversation"}  # fmt: skip
    assert len(load_examples(f"mimicit:{tmp_path}/XX_instructions.json", on_bad="raise").examples) == 2


def test_a_part_of_a_picture_can_be_written_as_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    boxed = ImageRef(draw(tmp_path / "a.png", size=(40, 20), colour="blue").source, box=(5, 5, 15, 10))
    ran = export([item("1", "What?", boxed)], tmp_path, "mimicit:XX_instructions.json", crop=True)
    assert not ran.refusals
    (row,) = load_examples(f"mimicit:{tmp_path}/XX_instructions.json", on_bad="raise").examples
    (image,) = images_of(row)
    assert load_image(image).size == (10, 5)
    assert load_image(image).getpixel((3, 3)) == (0, 0, 255)


def test_a_format_that_cannot_be_written_or_is_not_there_is_said_at_once() -> None:
    with pytest.raises(ConfigError, match="can only be read"):
        settings_of("export", {"to": "nlvr:x.json"})
    with pytest.raises(ConfigError, match="no format is called"):
        settings_of("export", {"to": "massages:x.json"})
    with pytest.raises(ConfigError, match="option of reading"):
        settings_of("export", {"to": "messages:x.jsonl#limit=3"})


def test_a_spool_gives_back_what_it_was_given_and_leaves_nothing(tmp_path: Path) -> None:
    items = [item(str(number), "?" * number, ImageRef("a.png", size=(3, 4))) for number in range(5)]
    with spooled(items, folder=tmp_path) as spool:
        assert list(spool) == items
        assert spool.read(3) == items[3]
        assert spool.add(items[0]) == 5
    assert list(tmp_path.iterdir()) == []
