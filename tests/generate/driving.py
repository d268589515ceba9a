"""Stages driven by hand, for tests: what a pipeline does between them, without files and without waiting."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.pictures import draw as draw_picture
from triptych.core.config import Settings
from triptych.core.plugins import find
from triptych.core.records import Answer, Example, ImageRef, Json, text_of
from triptych.data.transform import draw
from triptych.generate.item import Item, Refusal
from triptych.generate.recipe import StagePlan
from triptych.generate.stage import Made, Stage
from triptych.infer.canned import CannedResponder
from triptych.infer.responder import Failed

Teacher = Callable[[Example], str]
COLOURS = ("red", "green", "blue", "gold", "purple", "orange", "teal")


@dataclasses.dataclass(frozen=True, slots=True)
class Ran:
    """What came out of a chain of stages."""

    items: tuple[Item, ...]
    refusals: tuple[Refusal, ...]


def settings_of(kind: str, said: Mapping[str, Any]) -> Settings:
    """Return a stage's settings as a recipe says them."""
    return StagePlan.parse({"kind": kind, **said}).settings


def run(steps: Sequence[Mapping[str, Any]], folder: Path, *, teacher: Teacher | None = None, seed: int = 0) -> Ran:
    """Run stages, ``{"kind": ..., ...}``, one after the other, each over all items."""
    items: list[Item] = []
    refusals: list[Refusal] = []
    for step in steps:
        said = {key: value for key, value in step.items() if key != "kind"}
        stage = find("stage", step["kind"], expected=Stage)
        made = list(_made(stage, settings_of(step["kind"], said), items, folder, teacher, seed))
        items = [each for each in made if isinstance(each, Item)]
        refusals += [dataclasses.replace(each, stage=step["kind"]) for each in made if isinstance(each, Refusal)]
        ids = [item.id for item in items]
        assert len(set(ids)) == len(ids), "a stage made two items of one id"
    return Ran(tuple(items), tuple(refusals))


def _made(
    stage: Stage, settings: Settings, items: Iterable[Item], folder: Path, teacher: Teacher | None, seed: int
) -> Iterator[Made]:
    if stage.begin is not None:
        yield from stage.begin(settings, seed)
    elif stage.write is not None:
        yield from stage.write(iter(items), settings, folder)
    elif stage.whole is not None:
        yield from stage.whole(iter(items), settings, seed)
    else:
        for item in items:
            random = draw(seed, item.id)
            if stage.each is not None:
                yield from stage.each(item, settings, random)
                continue
            assert stage.ask is not None
            assert stage.take is not None
            requests = stage.ask(item, settings, random)
            replies = [_reply(request.question, request.max_tokens, teacher) for request in requests]
            yield from stage.take(item, settings, replies)


def _reply(question: Example, max_tokens: int, teacher: Teacher | None) -> Answer | Failed:
    assert teacher is not None, "a stage asks, and the test has no teacher"
    (answer,) = CannedResponder(teacher).answer([question], max_tokens=max_tokens)
    return answer


def asked(question: Example) -> str:
    """Return the words of a question's last turn."""
    return text_of(question.turns[-1])


def draw_all(items: Iterable[Item]) -> None:
    """Draw a small picture at each place where an annotation says that one is."""
    number = 0
    for item in items:
        for view in item.annotation.views:
            if isinstance(view.media, ImageRef) and not Path(view.media.source).exists():
                size = (400, 100) if view.media.box else (32 + number, 24)
                draw_picture(Path(view.media.source), size=size, colour=COLOURS[number % len(COLOURS)])
                number += 1


def facts_of(item: Item, name: str) -> dict[str, Json]:
    """Return what a stage put into an item's facts."""
    said = item.facts[name]
    assert isinstance(said, dict)
    return said
