"""The numbers of a result besides its total: groups right together, figures of papers, the authors' own reading.

As lines for people and as JSON. Not the total and its groups, which each command prints in its own table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from triptych.core.log import counted
from triptych.core.records import Json
from triptych.evaluate.certainty.formatting import percent, percent_with_interval
from triptych.evaluate.certainty.statistics import Score, score_to_json
from triptych.evaluate.running.figures import Figure
from triptych.evaluate.running.result import Pairs, Result


@dataclass(frozen=True, slots=True)
class SecondaryScores:
    """The fields of ``Result`` of these names, as a report reads them from ``result.json``."""

    together: Mapping[str, Score] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    pairs: Pairs | None = None
    published: Score | None = None
    published_together: Mapping[str, Score] = field(default_factory=dict)


def secondary_to_json(result: Result) -> dict[str, Json]:
    """Return figures, pairs and published reading, for programs; a key is missing where the benchmark has none."""
    record: dict[str, Json] = {}
    if result.pairs is not None:
        record["pairs"] = {"n": result.pairs.n, "alone": result.pairs.alone}
    if result.figures:
        record["figures"] = {name: _figure_to_json(figure) for name, figure in result.figures.items()}
    if result.published is not None:
        record["published"] = _score_to_json(result.published)
        record["published_together"] = {
            name: _score_to_json(score) for name, score in result.published_together.items()
        }
    return record


def secondary_lines(result: Result | SecondaryScores, *, together: bool = True) -> list[str]:
    """Return a line for each number; none where a benchmark has no more than its total.

    Args:
        result: of an evaluation, or what was read of it.
        together: whether groups that are right together have lines too.
    """
    lines = []
    for name, score in result.together.items() if together else ():
        share = f"{percent_with_interval(score, 1)} of {score.n} groups"
        lines.append(f"{name.replace('_', ' ')} {share if score.n else 'not known: no group was asked whole'}")
    if result.pairs is not None:
        lines.append(_pairs_text(result.pairs))
    for name, figure in result.figures.items():
        lines.append(f"{name.replace('_', ' ')} {_figure_text(figure)}")
    if result.published is not None and result.published.n:
        groups = "".join(
            f"; {name.replace('_', ' ')} {percent(score.score, 1)}%"
            for name, score in result.published_together.items()
            if score.n
        )
        share = f"{percent_with_interval(result.published, 1)} of {result.published.n}"
        lines.append(f"by the authors' own reading {share}{groups}")
    return lines


def figure_of(record: Mapping[str, Json]) -> Figure:
    """Return a figure as ``result.json`` holds it. Raises TypeError or KeyError: it does not."""
    value, low, high, best = (_number(record[key], key) for key in ("value", "low", "high", "best"))
    published = record.get("published")
    return Figure(value, low, high, best, None if published is None else _number(published, "published"))


def _number(value: Json, key: str) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{key} is {value!r}")
    return float(value)


def _figure_text(figure: Figure) -> str:
    """Return a figure with its interval: in percent where 1 is the best value, else as it is, "of" the best."""
    scale, unit, most = (100, "%", "") if figure.best == 1 else (1, "", f" of {figure.best:g}")
    span = f"({scale * figure.low:.1f} to {scale * figure.high:.1f})"
    published = ""
    if figure.published is not None:
        published = f"; by the authors' own reading {scale * figure.published:.1f}{unit}"
    return f"{scale * figure.value:.1f}{unit} {span}{most}{published}"


def _pairs_text(pairs: Pairs) -> str:
    if not pairs.n:
        return "not known: no pair was asked whole"
    alone = f"; {counted(pairs.alone, 'question')} in no whole pair: left out" if pairs.alone else ""
    return f"{counted(pairs.n, 'pair')} compared{alone}"


def _figure_to_json(figure: Figure) -> dict[str, Json]:
    return {
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "best": figure.best,
        "published": figure.published,
    }


def _score_to_json(score: Score) -> dict[str, Json]:
    record = score_to_json(score)
    return {"score": record["score"], "low": record["low"], "high": record["high"], "n": score.n}
