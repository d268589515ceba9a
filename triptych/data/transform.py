"""The contract of ``transforms/``: an operation on Examples with strict settings; steps applied in order, seeded.

Not an operation itself: each is one file in ``transforms/``, with one constant ``TRANSFORM``. A step is written
``{kind: NAME, ...settings}``. Invariants: what a step makes of a row follows from the row, the settings and the seed
alone for ``each``, whatever stands around it; every row that goes in comes out, as itself, as a part of a new row that
names its parents, or as a Refused with its reason.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from triptych.core.config import Settings, parse_config
from triptych.core.errors import ConfigError, NotFoundError
from triptych.core.plugins import find
from triptych.core.records import Example, Json, Part, Text
from triptych.data.format import Refused, RowError, refusal
from triptych.data.media.images import ImageError

Each = Callable[[Example, Any, Random], Sequence[Example]]
Whole = Callable[[Sequence[Example], Any, int], Iterator[Example | Refused]]
Files = Callable[[Any], Sequence[Path]]
Looks = Callable[[Any], bool]
Kept = Literal["images", "words"]
NOTES = "transforms"
"""The fact that tells what was done to a row: a list of ``{"kind": NAME, ...}``, oldest first."""


@dataclass(frozen=True, slots=True)
class Transform:
    """One operation. It is either ``each`` or ``whole``."""

    settings: type[Settings]
    """The settings that a step of this kind has; unknown keys are refused."""
    about: str
    """One line for people."""
    each: Each | None = None
    """(example, settings, random) -> at least one Example. Raises RowError or ImageError to refuse the row."""
    whole: Whole | None = None
    """(examples, settings, seed) -> Examples, for what needs several rows at once; may yield a Refused."""
    one_for_one: bool = True
    """Whether ``each`` gives exactly one Example for one, with its id."""
    keeps: frozenset[Kept] = frozenset(("images", "words"))
    """What every row that comes out still has, of the row or the rows that it was: its images, each as often; its
    words, but for numbers of images."""
    files: Files | None = None
    """settings -> the files that it reads besides the rows: where one changed, rows that were kept are made again."""
    looks: Looks | None = None
    """settings -> whether it looks into the rows' images and videos; they then count as such files."""
    samples: tuple[Mapping[str, Json], ...] = ({},)
    """Settings that the tests in ``tests/every`` try it with."""


@dataclass(frozen=True, slots=True)
class TransformPlan:
    """One step: which transform, with which settings. In a recipe: ``{kind: NAME, ...settings}``."""

    kind: str
    settings: Settings

    @classmethod
    def parse(cls, value: object) -> TransformPlan:
        """Return the step that ``{"kind": NAME, ...settings}`` describes.

        Raises:
            ValueError: no such transform, or it has no such setting; one line that says which are known.
        """
        if not isinstance(value, dict) or not isinstance(kind := value.get("kind"), str):
            raise ValueError("expected a step {kind: NAME, ...settings}")
        try:
            transform = find("transform", kind, expected=Transform)
        except NotFoundError as error:
            raise ValueError(str(error)) from None
        text = settings_text(value, without={"kind"}, what=kind)
        return cls(kind, parse_config(text, model=transform.settings, file=f"step {kind!r}"))

    def as_json(self) -> dict[str, Json]:
        """Return the step as it is written, defaults included."""
        return {"kind": self.kind, **self.settings.model_dump(mode="json")}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a config node hold a step: read from its mapping, written as its mapping."""
        return plan_schema(cls)


def settings_text(value: Mapping[str, Any], *, without: Set[str], what: str) -> str:
    """Return the settings that stand beside a plug-in's name, as JSON for ``parse_config``.

    Args:
        value: the mapping as it was written, e.g. ``{"kind": NAME, ...settings}``.
        without: keys that are no settings.
        what: whose they are, for the message.

    Raises:
        ConfigError: a value that JSON cannot say.
    """
    try:
        return json.dumps({key: said for key, said in value.items() if key not in without}, ensure_ascii=False)
    except TypeError as error:
        raise ConfigError(f"{what}: a value is neither text, number, list nor mapping: {error}") from None


def plan_schema(kind: type[Any]) -> CoreSchema:
    """Return the schema by which a config node holds a class with ``parse`` and ``as_json``, such as TransformPlan."""
    written = core_schema.plain_serializer_function_ser_schema(lambda plan: plan.as_json())
    return core_schema.no_info_plain_validator_function(
        lambda value: value if isinstance(value, kind) else kind.parse(value), serialization=written
    )


class Steps(Settings):
    """A file of steps: ``steps: [{kind: in_front}, ...]``, applied in this order."""

    steps: tuple[TransformPlan, ...]


def apply(
    steps: Sequence[TransformPlan], rows: Iterable[Example | Refused], *, seed: int
) -> Iterator[Example | Refused]:
    """Yield the rows as the steps make them; what was refused before passes through.

    Rows stream through ``each`` steps; a ``whole`` step first takes all rows.

    Args:
        steps: in order.
        rows: from a reader.
        seed: with the row's id, decides all that is drawn.

    Raises:
        NotFoundError: a step's transform is not there.
    """
    seen: Counter[str] = Counter()
    for plan in steps:
        transform = find("transform", plan.kind, expected=Transform)
        # Its number among steps of its kind: an other step put in front changes no draw.
        salt = f"{seed}/{plan.kind}/{seen[plan.kind]}"
        seen[plan.kind] += 1
        rows = _each(transform.each, plan, rows, salt) if transform.each else _whole(transform, plan, rows, salt)
    return iter(rows)


def is_lazy(steps: Sequence[TransformPlan]) -> bool:
    """Return whether each row can be transformed alone, into exactly one: then rows may be read in any order."""
    found = [find("transform", plan.kind, expected=Transform) for plan in steps]
    return all(transform.each is not None and transform.one_for_one for transform in found)


def files_read(steps: Sequence[TransformPlan]) -> tuple[Path, ...]:
    """Return the files that steps read besides the rows."""
    found = [(find("transform", plan.kind, expected=Transform), plan.settings) for plan in steps]
    return tuple(path for transform, settings in found if transform.files for path in transform.files(settings))


def looks_at_media(steps: Sequence[TransformPlan]) -> bool:
    """Return whether a step looks into the rows' images or videos."""
    found = [(find("transform", plan.kind, expected=Transform), plan.settings) for plan in steps]
    return any(transform.looks(settings) for transform, settings in found if transform.looks)


def noted(example: Example, kind: str, **what: Json) -> Example:
    """Return the example with one more note of what was done to it, in its facts. Raises RowError."""
    notes = example.facts.get(NOTES, [])
    if not isinstance(notes, list):
        raise RowError("bad row", f"its fact {NOTES!r} is not a list of notes. Rename the fact.")
    note: dict[str, Json] = {"kind": kind, **what}
    return replace(example, facts={**example.facts, NOTES: [*notes, note]})


def left_by(example: Example) -> tuple[str, ...]:
    """Return the kinds of the steps that left the example as it was and said why in their notes."""
    notes = example.facts.get(NOTES)
    found = [note for note in notes if isinstance(note, dict) and "left" in note] if isinstance(notes, list) else []
    return tuple(str(note.get("kind")) for note in found)


def tidy(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Return the parts with neighbouring words joined and empty words left out."""
    tidied: list[Part] = []
    for part in parts:
        if isinstance(part, Text) and tidied and isinstance(last := tidied[-1], Text):
            tidied[-1] = Text(last.text + part.text)
        elif not isinstance(part, Text) or part.text:
            tidied.append(part)
    return tuple(tidied)


def add_words(parts: list[Part], text: str) -> None:
    """Add words to parts: after a space where they would run into the last word, without one at the start of a line."""
    last = parts[-1] if parts else None
    if isinstance(last, Text) and last.text.endswith("\n"):
        text = text.lstrip(" ")
    gap = isinstance(last, Text) and last.text[-1:].isalnum() and text[:1].isalnum()
    parts.append(Text(f" {text}" if gap else text))


def draw(*key: object) -> Random:
    """Return a generator that follows from the key alone, on any machine."""
    return Random("/".join(map(str, key)))


def _each(each: Each, plan: TransformPlan, rows: Iterable[Example | Refused], salt: str) -> Iterator[Example | Refused]:
    for row in rows:
        if isinstance(row, Refused):
            yield row
            continue
        try:
            made = each(row, plan.settings, draw(salt, row.id))
        except (RowError, ImageError) as error:
            yield refusal(row, error.reason, message=f"{plan.kind}: {error}")
            continue
        assert made, f"transform {plan.kind} lost the row {row.id!r}"
        yield from made


def _whole(
    transform: Transform, plan: TransformPlan, rows: Iterable[Example | Refused], salt: str
) -> Iterator[Example | Refused]:
    assert transform.whole is not None, f"transform {plan.kind} is neither each nor whole"
    examples: list[Example] = []
    for row in rows:
        if isinstance(row, Example):
            examples.append(row)
        else:
            yield row
    number = int.from_bytes(hashlib.sha256(salt.encode()).digest()[:8], "big")
    yield from transform.whole(examples, plan.settings, number)
