"""The contract of ``stages/``: one step of making data, with strict settings. Written ``{kind: NAME, ...settings}``.

Not a stage itself: each is one file in ``stages/``, with one constant ``STAGE``. A stage is pure: what it makes of an
item follows from the item, the settings, the seed and the replies alone. It never talks to a model, never sleeps, and
only a ``write`` writes: the pipeline keeps every reply on disk before a stage sees it, and so can begin again anywhere.
Invariant: every item that goes in comes out, as itself, as parents of new ones, or as a Refusal with its reason.

A stage is one of five kinds:
- ``begin``: makes items from files; the first stage of a run.
- ``each``: one item -> items and refusals.
- ``ask`` with ``take``: one item -> requests to a teacher; the item and their replies, in order -> items and refusals.
- ``whole``: all items, as a stream, in order -> items and refusals. Keeps no more than digests in memory.
- ``write``: as ``whole``, with the run's folder: it writes a file there, whole or not at all, and yields every item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from triptych.core.config import Settings
from triptych.core.records import Answer, Example, Json
from triptych.generate.item import Item, Refusal
from triptych.infer.responder import Failed


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a teacher about one item."""

    name: str
    """Distinct among the item's requests of this stage, e.g. ``blind`` or ``without image 2``."""
    question: Example
    """Ends in a user turn; may hold images, or none. The pipeline gives it an id of its own."""
    max_tokens: int = 512
    prompt: str = ""
    """The prompt file it was made with (``prompts/NAME.md``); its hash goes into the item's history."""
    schema: Mapping[str, Json] | None = None
    """JSON schema of the reply, for endpoints that offer structured output; others are asked without it."""
    sample: int = 0
    """Number of the draw, where equal questions are asked several times; it moves the teacher's seed."""


Made = Item | Refusal
Begin = Callable[[Any, int], Iterator[Made]]
"""(settings, seed) -> items."""
Each = Callable[[Item, Any, Random], Sequence[Made]]
"""(item, settings, random) -> items and refusals."""
Ask = Callable[[Item, Any, Random], Sequence[Request]]
"""(item, settings, random) -> requests; none: ``take`` is called with no replies."""
Take = Callable[[Item, Any, Sequence[Answer | Failed]], Sequence[Made]]
"""(item, settings, replies in the order of the requests) -> items and refusals."""
Whole = Callable[[Iterable[Item], Any, int], Iterator[Made]]
"""(items, settings, seed) -> items and refusals; it may keep digests of all, and a few items."""
Write = Callable[[Iterable[Item], Any, Path], Iterator[Made]]
"""(items, settings, folder of the run) -> items and refusals. A relative path in its settings is within the folder."""

Misplaced = Callable[[Any, Sequence[str]], str]
"""(settings, kinds of the steps before it) -> why it cannot stand behind them; empty: it can."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of making data."""

    settings: type[Settings]
    """The settings that the step has; unknown keys are refused. A stage that asks has a key ``teacher: str``."""
    about: str
    """One line for people."""
    begin: Begin | None = None
    reads: Callable[[Any], Sequence[Path]] | None = None
    """Settings -> the files that a ``begin`` reads: where one of them has changed, the stage is run anew."""
    each: Each | None = None
    ask: Ask | None = None
    take: Take | None = None
    whole: Whole | None = None
    write: Write | None = None
    misplaced: Misplaced | None = None
    """Told before a run begins, where a step can do nothing of use behind others."""
    samples: tuple[Mapping[str, Json], ...] = ({},)
    """Settings that the tests in ``tests/every`` try it with, on drawn items."""


class StageSettings(Settings):
    """Settings that every step has."""


class TeacherSettings(StageSettings):
    """Settings that every step has which asks a teacher."""

    teacher: str = "writer"
    """Which of the recipe's teachers is asked."""
