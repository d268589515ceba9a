"""Curves of a stage, as SVG that stands in the page and takes its colours, by day and by night."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from triptych.train.page.story import LOSSES, VALIDATED, StageStory, tell_number

# Drawn in colours that nothing else has, then replaced by the page's variables.
_COLOURS = {
    "#010203": "var(--ink)",
    "#010204": "var(--quiet)",
    "#010205": "var(--line)",
    "#010206": "var(--curve)",
    "#010207": "var(--mark)",
    "#010208": "var(--second)",
    "#010209": "var(--third)",
    "#01020a": "var(--fourth)",
}
INK, QUIET, LINE, CURVE, MARK, *_OTHERS = _COLOURS
_STYLES = tuple(zip((CURVE, *_OTHERS), ("-", "--", ":", "-."), strict=True))
"""(colour, line style) of the curves of one plot, which differ without their colours too."""
SMOOTHING_SHARE = 0.06
"""Width of the smoothing, as a share of all steps."""
POINTS = 800
"""Most of a curve: a long run's page stays small."""
NOISY = ("loss_nats", "loss_squared", "gradient_norm", "tokens_per_s", "images_per_s", "mfu")
"""Drawn faint as measured, strong smoothed."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One drawing with its words."""

    title: str
    unit: str
    svg: Markup


def plots_of(stage: StageStory) -> Iterator[Plot]:
    """Yield the drawings of a stage: loss, gradient, rates, speed, memory, packing; those that its records allow."""
    rates = {key.removeprefix("rate_"): values for key, values in stage.series.items() if key.startswith("rate_")}
    for title, unit, curves in (
        ("Loss", "nats a supervised token or target", _losses(stage, "loss_nats")),
        ("Loss", "mean squared error", _losses(stage, "loss_squared")),
        ("Norm of the gradient", "over all parts, before clipping", _of(stage, "gradient_norm")),
        ("Learning rate", f"of {' and '.join(rates)}", rates),
        ("Tokens a second", "without padding", _of(stage, "tokens_per_s")),
        ("Images a second", "distinct ones of a step", _of(stage, "images_per_s")),
        ("Model operations (MFU)", "share of the device's peak", _of(stage, "mfu")),
        ("Memory", "GiB, after each step", _of(stage, "memory_gib")),
        ("Packing", "share of positions that is no padding", _of(stage, "packing_fill")),
    ):
        if curves and stage.steps:
            yield Plot(title, unit, _draw(stage, title, curves))


def smoothed(values: Sequence[float]) -> NDArray[np.float64]:
    """Return the mean over a window around each value, which grows at the start and is cut off at the end."""
    series = np.asarray(values, dtype=np.float64)
    half = max(1, round(len(series) * SMOOTHING_SHARE))
    sums = np.concatenate([[0.0], np.cumsum(series)])
    at = np.arange(len(series))
    reach = np.minimum(half, at)
    first, stop = at - reach, np.minimum(at + reach + 1, len(series))
    means: NDArray[np.float64] = (sums[stop] - sums[first]) / (stop - first)
    return means


def _of(stage: StageStory, key: str) -> dict[str, tuple[float, ...]]:
    return {key: stage.series[key]} if key in stage.series else {}


def _losses(stage: StageStory, key: str) -> dict[str, tuple[float, ...]]:
    """Return a loss, and beside it that of the validation."""
    return {**found, **_of(stage, VALIDATED)} if (found := _of(stage, key)) else {}


def _steps(stage: StageStory, name: str) -> tuple[int, ...]:
    """Return the steps of a curve."""
    if name == VALIDATED:
        return stage.validation_steps
    return stage.loss_steps if name in LOSSES else stage.steps


def _draw(stage: StageStory, title: str, curves: Mapping[str, tuple[float, ...]]) -> Markup:
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "triptych", "font.size": 10.0}):
        figure = Figure(figsize=(4.9, 2.3), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        several = len(curves) > 1
        for (name, values), (colour, style) in zip(curves.items(), _STYLES, strict=False):
            steps = _steps(stage, name)
            noisy = name in NOISY and len(values) > 2
            smooth = smoothed(values) if noisy else np.asarray(values)
            if noisy:
                axes.plot(*_thin(steps, values), color=colour, alpha=0.3, linewidth=1)
            label = ("rows that are learnt" if name in LOSSES else name) if several else None
            dot = "o" if len(values) < 3 or name == VALIDATED else ""
            axes.plot(*_thin(steps, smooth), color=colour, linestyle=style, marker=dot, linewidth=2, label=label)
            if not several:
                at = (steps[-1], float(smooth[-1]))
                axes.annotate(
                    tell_number(smooth[-1]), at, xytext=(0, 7), textcoords="offset points", ha="right", color=INK
                )
        for step in stage.resumed:
            axes.axvline(step + 0.5, color=MARK, linewidth=1.2, linestyle=(0, (3, 2)))
        _furnish(axes, curves)
        if several:
            axes.legend(frameon=False, labelcolor=INK, loc="best", handlelength=2.6)
        return _svg(figure, _words(stage, title, curves))


def _furnish(axes: Axes, curves: Mapping[str, tuple[float, ...]]) -> None:
    highest = max(max(values) for values in curves.values())
    lowest = min(min(values) for values in curves.values())
    if lowest >= 0:
        axes.set_ylim(0, highest * 1.18 or 1.0)
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.set_xlabel("step", color=QUIET)
    axes.patch.set_alpha(0)
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.tick_params(colors=QUIET, length=0)
    axes.yaxis.get_offset_text().set_color(QUIET)
    for side in axes.spines.values():
        side.set_visible(False)


def _thin(
    steps: Sequence[int], values: Sequence[float] | NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return at most about POINTS of a curve, its last one always."""
    at = np.arange(len(steps))[:: max(1, len(steps) // POINTS)]
    at = at if at[-1] == len(steps) - 1 else np.append(at, len(steps) - 1)
    return np.asarray(steps, dtype=np.float64)[at], np.asarray(values, dtype=np.float64)[at]


def _words(stage: StageStory, title: str, curves: Mapping[str, tuple[float, ...]]) -> str:
    """Return what a plot shows, for those who do not see it."""
    ends = [
        f"{name if len(curves) > 1 else title} from {tell_number(values[0])} to {tell_number(values[-1])}"
        for name, values in curves.items()
    ]
    marks = f"; taken up again after step {', '.join(map(str, stage.resumed))}" if stage.resumed else ""
    return f"Stage {stage.name}, steps {stage.steps[0]} to {stage.steps[-1]}: {'; '.join(ends)}{marks}"


def _svg(figure: Figure, words: str) -> Markup:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    drawn = file.getvalue()
    for colour, variable in _COLOURS.items():
        drawn = drawn.replace(colour, variable)
    drawn = re.sub(r'<g id="[^"]*">', "<g>", drawn[drawn.index("<svg") :])  # the same in every drawing of the page
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    # matplotlib has escaped the words in its drawing.
    return Markup(drawn.replace("<svg ", f'<svg role="img" aria-label="{escape(words)}" ', 1))
