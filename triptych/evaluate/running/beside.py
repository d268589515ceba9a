"""What stands beside a total, as lines for people: groups right together, figures as papers print them, their reading.

Not the total and its groups, which each command tells in its own table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from triptych.core.records import Json
from triptych.evaluate.certainty.statistics import Score, score_to_json
from triptych.evaluate.running.figures import Figure
from triptych.evaluate.running.result import Result


@dataclass(frozen=True, slots=True)
class Beside:
    """What a result has beside its total: the fields of ``Result`` of these names, as a report reads them again."""

    together: Mapping[str, Score] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    published: Score | None = None
    published_together: Mapping[str, Score] = field(default_factory=dict)


def beside_to_json(result: Result) -> dict[str, Json]:
    """Return the figures and the published reading, for programs; without what the benchmark has not."""
    told: dict[str, Json] = {}
    if result.figures:
        told["figures"] = {name: _numbers(figure) for name, figure in result.figures.items()}
    if result.published is not None:
        told["published"] = _score(result.published)
        told["published_together"] = {name: _score(score) for name, score in result.published_together.items()}
    return told


def lines_beside(result: Result | Beside, *, together: bool = True) -> list[str]:
    """Return a line for each number; none where a benchmark has no more than its total.

    Args:
        result: of an evaluation, or what was read of it.
        together: whether groups that are right together are told, too.
    """
    lines = []
    for name, score in result.together.items() if together else ():
        told = f"{_percent(score)} of {score.n} groups" if score.n else "not known: no group was asked whole"
        lines.append(f"{name.replace('_', ' ')} {told}")
    for name, figure in result.figures.items():
        lines.append(f"{name.replace('_', ' ')} {_printed(figure)}")
    if result.published is not None and result.published.n:
        groups = "".join(
            f"; {name.replace('_', ' ')} {100 * score.score:.1f}%"
            for name, score in result.published_together.items()
            if score.n
        )
        lines.append(f"by the authors' own reading {_percent(result.published)} of {result.published.n}{groups}")
    return lines


def figure_of(record: Mapping[str, Json]) -> Figure:
    """Return a figure as ``result.json`` holds it. Raises TypeError or KeyError: it does not."""
    value, low, high, best = (_known(record[key], key) for key in ("value", "low", "high", "best"))
    theirs = record.get("published")
    return Figure(value, low, high, best, None if theirs is None else _known(theirs, "published"))


def _known(value: Json, key: str) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{key} is {value!r}")
    return float(value)


def _percent(score: Score) -> str:
    return f"{100 * score.score:.1f}% ({100 * score.low:.1f} to {100 * score.high:.1f})"


def _printed(figure: Figure) -> str:
    scale, unit, most = (100, "%", "") if figure.best == 1 else (1, "", f" of {figure.best:g}")
    span = f"({scale * figure.low:.1f} to {scale * figure.high:.1f})"
    told = "" if figure.published is None else f"; by the authors' own reading {scale * figure.published:.1f}{unit}"
    return f"{scale * figure.value:.1f}{unit} {span}{most}{told}"


def _numbers(figure: Figure) -> dict[str, Json]:
    return {
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "best": figure.best,
        "published": figure.published,
    }


def _score(score: Score) -> dict[str, Json]:
    told = score_to_json(score)
    return {"score": told["score"], "low": told["low"], "high": told["high"], "n": score.n}
