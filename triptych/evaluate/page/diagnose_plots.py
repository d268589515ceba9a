"""Plots of a diagnosis: differences with their intervals, and scores by a number of images or a place.

SVG in the page's colours, as in ``plots``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from triptych.evaluate.certainty.formatting import points
from triptych.evaluate.certainty.power import ALPHA
from triptych.evaluate.diagnosis.findings import Finding
from triptych.evaluate.page.plots import CURVE, INK, LINE, QUIET, svg_of


@dataclass(frozen=True, slots=True)
class Column:
    """One share with its interval, and what to hold it against; all from 0 to 1."""

    name: str
    value: float
    low: float
    high: float
    against: float | None
    n: int


def draw_differences(findings: Sequence[Finding]) -> str:
    """Return the differences of all conditions that were asked, one below the other, as an ``<svg>``."""
    rows = [(each, each.paired) for each in findings if each.paired is not None]
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "triptych", "font.size": 11.0}):
        figure = Figure(figsize=(8.4, 0.75 + 0.36 * len(rows)), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        axes.axvline(0, color=QUIET, linewidth=1)
        for at, (each, pair) in enumerate(rows):
            colour = CURVE if each.p_holm < ALPHA else QUIET
            axes.plot([100 * pair.low, 100 * pair.high], [at, at], color=colour, linewidth=2.2, solid_capstyle="round")
            axes.plot([100 * pair.difference], [at], "o", color=colour, markersize=7)
        axes.set_yticks(range(len(rows)), [each.condition.title for each, _ in rows])
        axes.invert_yaxis()
        axes.set_xlabel("points more (right) or fewer (left) than unchanged, with 95% intervals", color=QUIET)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: points(value / 100).removesuffix(".0")))
        _plain(axes, "x")
        for label in axes.get_yticklabels():
            label.set_color(INK)
        said = [f"{each.condition.title} {points(pair.difference)}" for each, pair in rows]
        return svg_of(figure, says=f"Differences from unchanged, in points: {'; '.join(said)}.")


def draw_columns(columns: Sequence[Column], *, label: str) -> str:
    """Return shares beside each other as an ``<svg>``.

    Args:
        columns: from left to right.
        label: what their names are, and how many of what stand below.
    """
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "triptych", "font.size": 11.0}):
        figure = Figure(figsize=(4.2, 2.7), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        for at, column in enumerate(columns):
            if column.against is not None:
                axes.plot([at - 0.3, at + 0.3], [100 * column.against] * 2, color=QUIET, linewidth=1.4, linestyle=":")
            axes.plot([at, at], [100 * column.low, 100 * column.high], color=CURVE, linewidth=2.2)
            axes.plot([at], [100 * column.value], "o", color=CURVE, markersize=7)
        axes.set_xticks(range(len(columns)), [f"{column.name}\n({column.n})" for column in columns])
        axes.set_xlim(-0.6, len(columns) - 0.4)
        axes.set_ylim(-3, 103)
        axes.set_xlabel(label, color=QUIET)
        axes.set_ylabel("percent", color=QUIET)
        _plain(axes, "y")
        said = [f"{it.name}: {100 * it.value:.0f} ({100 * it.low:.0f} to {100 * it.high:.0f})" for it in columns]
        return svg_of(figure, says=f"Percent by {label}, with 95% intervals: {'; '.join(said)}.")


def _plain(axes: Axes, grid: Literal["x", "y"]) -> None:
    axes.patch.set_alpha(0)
    axes.grid(axis=grid, color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=QUIET, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
