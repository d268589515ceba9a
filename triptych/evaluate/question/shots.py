"""Few shots in context: every question is shown with solved ones of a training split in front, drawn by seed.

Source: the few-shot suite of OpenFlamingo, which Otter (arXiv:2306.05425) uses: a query set of 2,048 training rows by
seed 42, and of these K for each question. As there, a shot is one turn with its picture in front and one reply. Unlike
there, what is drawn for a question depends on the seed and its id alone, so it is the same whatever else is asked,
and no shots means no shots: OpenFlamingo's two shots without pictures are not added.

Options of a path: ``#shots=K`` (4 unless told; published are 0, 4, 8 and 16) and ``#seed=N``.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Example
from triptych.data.format import Refused, RowError
from triptych.data.media.locate import ImageError
from triptych.evaluate.question.path_options import split_path
from triptych.evaluate.question.question_rows import Build, Source

QUERY_SET = 2048
DEFAULTS = {"shots": 4, "seed": 42}


@dataclass(frozen=True, slots=True)
class Shots:
    """What a path says about shots."""

    count: int
    seed: int


def shots_of(path: Path) -> tuple[Path, Shots]:
    """Return the path without its options, and what these say. Raises ConfigError."""
    plain, numbers = split_path(path, DEFAULTS)
    return plain, Shots(numbers["shots"], numbers["seed"])


def with_shots(
    test: Iterable[Example | Refused], train: Sequence[Source], *, build: Build, shots: Shots, where: Path
) -> Iterator[Example | Refused]:
    """Yield each question with its shots in front, and facts that tell how many.

    Args:
        test: the questions.
        train: rows that shots are drawn from.
        build: makes a row's one question; its reference is the shot's reply.
        shots: how many, and the seed.
        where: for messages.

    A question for which a row was drawn that cannot be used is refused.

    Raises:
        DataError: there are not enough rows.
    """
    pool: list[Source] = []
    if shots.count:
        pool = random.Random(shots.seed).sample(train, min(QUERY_SET, len(train)))
        if len(pool) <= shots.count:  # One may be the question's own picture.
            raise DataError(f"{where}: {len(pool)} training rows are too few for {shots.count} shots. Ask for fewer.")
    for question in test:
        if isinstance(question, Refused):
            yield question
            continue
        try:
            yield _shown(question, pool, build, shots)
        except (RowError, ImageError) as error:
            yield Refused(question.origin, error.reason, f"{question.origin}: a shot of it: {error}")


def _shown(question: Example, pool: Sequence[Source], build: Build, shots: Shots) -> Example:
    drawn = random.Random(f"{shots.seed}/{question.id}").sample(pool, shots.count)
    shown = tuple(replace(each, facts={}) for source in drawn for each in build(source))
    return replace(question, demonstrations=shown, facts={**question.facts, "shots": shots.count})
