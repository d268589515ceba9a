"""What every stage promises, tried on drawn items with every sample of every stage in the drawer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pictures import draw as draw_picture
from triptych.core import plugins
from triptych.core.config import Settings
from triptych.core.errors import ConfigError, DataError
from triptych.core.records import Answer, Example, ImageRef, Part, Text, Turn
from triptych.data.transform import draw
from triptych.generate.item import Annotation, Event, Item, Refusal, Thing, View
from triptych.generate.recipe import StagePlan
from triptych.generate.stage import Made, Stage, StageSettings, TeacherSettings
from triptych.generate.written import item_from_json, item_to_json, line_of
from triptych.infer.responder import Failed

STAGES = {name: plugins.find("stage", name, expected=Stage) for name in plugins.names("stage")}
PLANS = {
    f"{name}-{k}": (name, dict(sample)) for name, stage in STAGES.items() for k, sample in enumerate(stage.samples)
}
BEGIN = {name: plan for name, plan in PLANS.items() if STAGES[plan[0]].begin is not None}
LATER = {name: plan for name, plan in PLANS.items() if name not in BEGIN}
ALONE = {
    name: plan for name, plan in LATER.items() if STAGES[plan[0]].each is not None or STAGES[plan[0]].ask is not None
}
SAID = (
    *("What is in image 1?", "Is image 2 older than image 3?", "Which of the two shows a dog?\nA. image 1\nB. image 2"),
    *("A dog.", "Image 2 shows two cats.", "B", "yes", "Call Ann at ann@example.org.", "Was ist das?", "two", ""),
)
REPLIES = (
    *(
        "Question: What is in image 1?\nAnswer: A dog, and a red bus.",
        '{"pairs": [{"question": "Who?", "answer": "Ann."}]}',
    ),
    *(
        "A",
        "B",
        "yes",
        "No.",
        "I cannot help with that.",
        '{"answer": "image 2"',
        "4",
        "```json\n[]\n```",
        "",
        "Score: 5",
    ),
    *('{"de": "Was?", "zh": "1"}', "image 7", "1. What is it?\nA dog."),
)
modestly = partial(settings, deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Sequence[ImageRef]:
    folder = tmp_path_factory.mktemp("media")
    colours = ("red", "blue", "green", "gold")
    return [draw_picture(folder / f"{k}.png", size=(32 + k, 24), colour=colours[k]) for k in range(4)]


def test_every_stage_is_one_kind_and_says_what_it_is() -> None:
    kinds = {name: [each.begin, each.each, each.ask, each.whole, each.write] for name, each in STAGES.items()}
    assert {name: len([kind for kind in found if kind]) for name, found in kinds.items()} == dict.fromkeys(STAGES, 1)
    assert [name for name, each in STAGES.items() if (each.ask is None) != (each.take is None)] == []
    assert [name for name, each in STAGES.items() if not each.about or not each.samples] == []
    assert [name for name, each in STAGES.items() if not issubclass(each.settings, StageSettings)] == []
    asking = [name for name, each in STAGES.items() if each.ask is not None]
    assert [name for name in asking if "teacher" not in STAGES[name].settings.model_fields] == []
    assert [name for name in STAGES if name not in asking and issubclass(STAGES[name].settings, TeacherSettings)] == []


@pytest.mark.parametrize("name", sorted(PLANS))
def test_a_step_is_written_as_it_is_read_and_an_unknown_setting_is_refused(name: str) -> None:
    kind, sample = PLANS[name]
    plan = StagePlan.parse({"kind": kind, **sample})
    assert StagePlan.parse(json.loads(json.dumps(plan.as_json()))) == plan
    with pytest.raises(ConfigError, match=rf"stage '{kind}': colour: unknown key"):
        StagePlan.parse({"kind": kind, **sample, "colour": 1})


@pytest.mark.parametrize("name", sorted(BEGIN))
def test_a_stage_that_begins_makes_the_same_items_each_time(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind, sample = BEGIN[name]
    begin, said = STAGES[kind].begin, StagePlan.parse({"kind": kind, **sample}).settings
    assert begin is not None
    once = list(begin(said, 3))
    assert once
    _check_made(once)
    assert list(begin(said, 3)) == once


@pytest.mark.parametrize("name", sorted(LATER))
@modestly()
@given(data=st.data())
def test_every_item_comes_out_and_the_same_ones_each_time(
    name: str, data: st.DataObject, images: Sequence[ImageRef], tmp_path: Path
) -> None:
    items = data.draw(_items(images))
    seed = data.draw(st.integers(0, 3))
    made = _run(name, items, tmp_path / "once", seed)
    _check_made(made)
    out: set[str] = set()
    for each in made:
        item = each.item if isinstance(each, Refusal) else each
        out.update((item.id, *item.parents))
    assert {item.id for item in items} <= out
    assert _run(name, items, tmp_path / "once", seed) == made


@pytest.mark.parametrize("name", sorted(ALONE))
@modestly(max_examples=6)
@given(data=st.data())
def test_what_becomes_of_an_item_does_not_depend_on_the_others(
    name: str, data: st.DataObject, images: Sequence[ImageRef], tmp_path: Path
) -> None:
    items = data.draw(_items(images))
    together = _run(name, items, tmp_path, 5)
    assert together == [each for item in items for each in _run(name, [item], tmp_path, 5)]


@pytest.mark.parametrize("name", sorted(LATER))
def test_no_items_are_no_items(name: str, tmp_path: Path) -> None:
    assert _run(name, [], tmp_path, 0) == []


def _run(name: str, items: Sequence[Item], folder: Path, seed: int) -> list[Made]:
    kind, sample = LATER[name]
    stage, said = STAGES[kind], StagePlan.parse({"kind": kind, **sample}).settings
    if stage.write is not None:
        return list(stage.write(iter(items), said, folder))
    if stage.whole is not None:
        return list(stage.whole(iter(items), said, seed))
    alone = partial(_asked, stage, said) if stage.ask is not None else partial(_each, stage, said)
    return [made for item in items for made in _caught(alone, item, seed)]


def _each(stage: Stage, said: Settings, item: Item, seed: int) -> Sequence[Made]:
    assert stage.each is not None
    return stage.each(item, said, draw(seed, item.id))


def _asked(stage: Stage, said: Settings, item: Item, seed: int) -> Sequence[Made]:
    assert stage.ask is not None
    assert stage.take is not None
    requests = stage.ask(item, said, draw(seed, item.id))
    assert requests == stage.ask(item, said, draw(seed, item.id))
    assert len({request.name for request in requests}) == len(requests)
    for request in requests:
        assert request.question.turns[-1].role == "user"
        json.dumps(request.schema)
    return stage.take(item, said, [_reply(item, request.name) for request in requests])


def _reply(item: Item, name: str) -> Answer | Failed:
    """Say something that follows from who is asked, now and then nothing."""
    digest = hashlib.sha256(f"{item.id} {name} {item.reply}".encode()).digest()
    number = digest[0] % (len(REPLIES) + 1)
    label = f"{item.id}/{name}"
    return Failed(label, "no reply in time") if number == len(REPLIES) else Answer(label, REPLIES[number], tokens_out=9)


def _caught(make: Callable[[Item, int], Sequence[Made]], item: Item, seed: int) -> Sequence[Made]:
    """Return what is made of an item, or its refusal where the stage raises, as the pipeline does."""
    try:
        made = make(item, seed)
    except DataError as error:
        return [Refusal(item, "cannot be used", str(error))]
    assert made, f"{item.id} is lost"
    return made


def _check_made(made: Sequence[Made]) -> None:
    ids = [each.id for each in made if isinstance(each, Item)]
    assert len(set(ids)) == len(ids)
    for each in made:
        item = each.item if isinstance(each, Refusal) else each
        assert item_from_json(json.loads(line_of(item_to_json(item))), where="here") == item
        if isinstance(each, Refusal):
            assert each.reason
            assert len(each.reason) < 60
            assert each.message
            assert "\n" not in each.reason
        elif item.example is not None:
            assert item.example.id == item.id


def _items(images: Sequence[ImageRef]) -> st.SearchStrategy[list[Item]]:
    """Draw a few items of all kinds: with and without a reply, a conversation, captions, boxes, times."""
    text = st.sampled_from(SAID)
    thing = st.builds(
        Thing,
        st.sampled_from(("dog", "bus")),
        box=st.none() | st.just((0.1, 0.1, 0.6, 0.9)),
        attributes=st.just(("red",)),
    )
    view = st.builds(
        View,
        st.sampled_from(images),
        captions=st.lists(text, max_size=2).map(tuple),
        things=st.lists(thing, max_size=2).map(tuple),
        name=st.sampled_from(("", "left", "after")),
        tags=st.sampled_from(((), ("park",))),
        time_s=st.none() | st.floats(0, 100),
    )
    event = st.builds(Event, text, start_s=st.none() | st.floats(0, 50), stop_s=st.none() | st.floats(50, 90))
    annotation = st.builds(
        Annotation,
        st.just("a"),
        st.lists(view, min_size=1, max_size=3).map(tuple),
        sentences=st.lists(text, max_size=2).map(tuple),
        events=st.lists(event, max_size=2).map(tuple),
        title=text,
        facts=st.sampled_from(({}, {"album": "one"}, {"words": [["dog"], ["bus"]]})),
    )
    one = st.tuples(
        annotation, st.sampled_from(("", *REPLIES)), st.lists(st.tuples(text, text), max_size=2), st.booleans()
    )
    return st.lists(one, min_size=1, max_size=6).map(lambda drawn: [_item(k, *each) for k, each in enumerate(drawn)])


def _item(number: int, annotation: Annotation, reply: str, rounds: Sequence[tuple[str, str]], shown: bool) -> Item:
    name = f"i-{number}"
    turns: list[Turn] = []
    for at, (question, answer) in enumerate(rounds):
        media: tuple[Part, ...] = tuple(view.media for view in annotation.views) if shown and not at else ()
        turns += [Turn("user", (*media, Text(question or "Well?"))), Turn("assistant", (Text(answer or "Yes."),))]
    example = Example(name, tuple(turns)) if turns else None
    facts = {"reference": "B", "options": ["one", "two"]} if number % 2 else {}
    return Item(
        name, replace(annotation, id=name, origin=f"drawn: row {number}"), example=example, reply=reply, facts=facts
    )
