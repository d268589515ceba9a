"""Several results of one benchmark side by side: conditions (blind, untuned, tuned) by parts (held in, held out).

As JSON for programs and as a table for people. Chance stands beside them as a result of its own, with no uncertainty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.table import Table

from triptych.core.records import Json
from triptych.evaluate.certainty.statistics import Score
from triptych.evaluate.running.result import Result

Results = Mapping[tuple[str, str], Result]
"""(condition, part) -> result; every condition was asked the same questions of a part."""


def summarise_conditions(results: Results) -> dict[str, Json]:
    """Return ``{condition: {part: {score, low, high, n, by_skill, by_scenario, by_task}}}``; ``chance`` is one."""
    summary: dict[str, dict[str, Json]] = {"chance": {}}
    for (condition, part), result in results.items():
        summary["chance"].setdefault(part, _numbers(result, chance=True))
        summary.setdefault(condition, {})[part] = _numbers(result, chance=False)
    return dict(summary)


def table_of_conditions(results: Results, *, conditions: Iterable[str], parts: Iterable[str]) -> Table:
    """Return scores in percent with 95% intervals: a row a condition; below, a row a skill of the last condition."""
    conditions, parts = tuple(conditions), tuple(parts)
    table = Table(title="Correct answers in percent, with 95% intervals")
    table.add_column("")
    for part in parts:
        table.add_column(part.replace("_", " "), justify="right")
    first = conditions[0]
    table.add_row("chance", *(f"{100 * results[first, part].total.chance:.1f}" for part in parts))
    table.add_row("majority", *(f"{100 * results[first, part].majority:.1f}" for part in parts))
    for condition in conditions:
        table.add_row(condition, *(_cell(results[condition, part].total) for part in parts))
    table.add_section()
    for skill in results[first, parts[0]].by_skill:
        table.add_row(f"{conditions[-1]}: {skill}", *(_cell(results[conditions[-1], p].by_skill[skill]) for p in parts))
    return table


def _cell(score: Score) -> str:
    if not score.n:
        return "nothing was scored"
    return f"{100 * score.score:.1f}  ({100 * score.low:.0f} to {100 * score.high:.0f})"


def _numbers(result: Result, *, chance: bool) -> Json:
    def said(score: Score) -> dict[str, Json]:
        if chance:
            return {"score": score.chance, "low": score.chance, "high": score.chance, "n": score.n}
        return {"score": score.score, "low": score.low, "high": score.high, "n": score.n}

    return {
        **said(result.total),
        "by_skill": {name: said(score) for name, score in result.by_skill.items()},
        "by_scenario": {name: said(score) for name, score in result.by_scenario.items()},
        "by_task": {name: said(score) for name, score in result.by_task.items()},
    }
