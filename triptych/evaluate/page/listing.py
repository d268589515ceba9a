"""All benchmarks as a table: tasks, questions, metric, chance, images a question, licence. Facts of the files alone.

Opens no data: what a benchmark file does not know is said to be unknown. Not printing: ``triptych list benchmarks``
does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from triptych.core.plugins import find, names
from triptych.core.records import Json
from triptych.evaluate.benchmark import Benchmark

HEADINGS = ("name", "tasks", "questions", "metric", "chance", "images", "licence")
UNKNOWN = "unknown"
NUMBERS = ("tasks", "questions", "chance")
"""Headings whose cells stand right."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A benchmark by its name."""

    name: str
    benchmark: Benchmark


def listed() -> list[Listed]:
    """Return all benchmarks of the drawer, by name; imports each."""
    return [Listed(name, find("benchmark", name, expected=Benchmark)) for name in names("benchmark")]


def cells(one: Listed) -> tuple[str, ...]:
    """Return a row of the table, a text for each of HEADINGS."""
    it = one.benchmark
    metric = f"{it.metric} (macro: {it.group})" if it.aggregate == "macro" else it.metric
    return (
        one.name,
        UNKNOWN if it.task_count is None else str(it.task_count),
        UNKNOWN if it.items is None else f"{it.items:,}",
        metric,
        "by question" if it.guess is None else f"{100 * it.guess:.1f}%",
        it.images,
        it.licence,
    )


def to_json(all_of: Sequence[Listed]) -> list[Json]:
    """Return what is known of each, for programs; null where it is not."""
    return [
        {
            "name": one.name,
            "about": one.benchmark.about,
            "tasks": one.benchmark.task_count,
            "questions": one.benchmark.items,
            "metric": one.benchmark.metric,
            "aggregate": one.benchmark.aggregate,
            "group": one.benchmark.group if one.benchmark.aggregate == "macro" else None,
            "together": list(one.benchmark.together),
            "chance": one.benchmark.guess,
            "images": one.benchmark.images,
            "max_tokens": one.benchmark.max_tokens,
            "judge": None if one.benchmark.judge is None else one.benchmark.judge.published,
            "source": one.benchmark.source,
            "licence": one.benchmark.licence,
            "cite": one.benchmark.cite,
        }
        for one in all_of
    ]
