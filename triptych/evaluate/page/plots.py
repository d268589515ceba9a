"""Plots for a page, as SVG that stands in the HTML and takes the page's colours, by day and by night."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from markupsafe import escape
from matplotlib.figure import Figure
from numpy.typing import NDArray

from triptych.evaluate.running.gather import Losses

# Drawn in colours that nothing else has, then replaced by the page's variables.
_COLOURS = {"#010203": "var(--ink)", "#010204": "var(--quiet)", "#010205": "var(--line)", "#010206": "var(--tuned)"}
INK, QUIET, LINE, CURVE = _COLOURS
_SMOOTHING_SHARE = 0.06
"""Width of the smoothing, as a share of all steps."""


def draw_losses(stages: Sequence[Losses]) -> str:
    """Return the loss of each stage against its steps as an ``<svg>``; faint as measured, strong smoothed."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "triptych", "font.size": 11.0}):
        figure = Figure(figsize=(8.4, 2.9), layout="constrained")
        figure.patch.set_alpha(0)
        longest = [len(stage.steps) for stage in stages]
        axes_of = figure.subplots(1, len(stages), squeeze=False, width_ratios=[max(1, length) for length in longest])[0]
        for axes, stage in zip(axes_of, stages, strict=True):
            smooth = smoothed(stage.losses)
            axes.plot(stage.steps, stage.losses, color=CURVE, alpha=0.3, linewidth=1)
            axes.plot(stage.steps, smooth, color=CURVE, linewidth=2.2)
            title = f"{stage.stage}, squared error" if stage.squared else stage.stage
            axes.set_title(title, loc="left", color=INK, fontsize=11)
            axes.set_xlabel("step", color=QUIET)
            axes.set_ylim(bottom=0)
            axes.margins(x=0.01)
            axes.annotate(
                f"{smooth[-1]:.2f}",
                (stage.steps[-1], smooth[-1]),
                xytext=(0, 9),
                textcoords="offset points",
                ha="right",
                color=INK,
            )
            axes.patch.set_alpha(0)
            axes.grid(axis="y", color=LINE, linewidth=0.8)
            axes.tick_params(colors=QUIET, length=0)
            for side in axes.spines.values():
                side.set_visible(False)
        said = "loss" if any(stage.squared for stage in stages) else "loss, nats a trained token"
        axes_of[0].set_ylabel(said, color=QUIET)
        ends = [f"{stage.stage} {smoothed(stage.losses)[-1]:.2f} after {len(stage.steps)} steps" for stage in stages]
        return svg_of(figure, says=f"Loss against steps ({said}): {'; '.join(ends)}.")


def smoothed(values: Sequence[float]) -> NDArray[np.float64]:
    """Return the mean over a window around each value.

    The window grows at the start, so that a steep fall begins where it began, and is cut off at the end.
    """
    series = np.asarray(values, dtype=np.float64)
    half = max(1, round(len(series) * _SMOOTHING_SHARE))
    sums = np.concatenate([[0.0], np.cumsum(series)])
    at = np.arange(len(series))
    reach = np.minimum(half, at)
    first, stop = at - reach, np.minimum(at + reach + 1, len(series))
    means: NDArray[np.float64] = (sums[stop] - sums[first]) / (stop - first)
    return means


def svg_of(figure: Figure, *, says: str) -> str:
    """Return a figure as an ``<svg>`` in the page's colours; ``says`` is read to who does not see it."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    drawn = file.getvalue()
    for colour, variable in _COLOURS.items():
        drawn = drawn.replace(colour, variable)
    return drawn[drawn.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{escape(says)}"', 1)
