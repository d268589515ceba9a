"""``training.html`` of a run: one page that stands alone, of what its training did, learnt from and cost.

Not a place where anything is measured: it shows what the run's folder holds (``story.py``). No script, no request to
the network; every word that comes from data or a recipe is escaped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from triptych.core.errors import NotFoundError, TriptychError
from triptych.core.files import write_atomically
from triptych.core.log import duration, say
from triptych.train.measuring.meters import METRICS
from triptych.train.measuring.sessions import SESSIONS
from triptych.train.page.choices import choices_of
from triptych.train.page.story import VALIDATED, StageStory, Story, read_story, tell_number

TRAINING = "training.html"


def write_training(run: Path) -> Path:
    """Write ``training.html`` into a run's folder from what is there so far, and return its path.

    Raises:
        NotFoundError: nothing was trained there.
        DataError: a file in it is not what it should be.
    """
    if not (run / METRICS).is_file():
        raise NotFoundError(f"{run} holds no {METRICS}: nothing was trained there.")
    path = run / TRAINING
    write_atomically(path, render_training(read_story(run)))
    return path


def render_training(story: Story) -> str:
    """Return the page."""
    plots = {}
    if any(stage.steps for stage in story.stages):
        from triptych.train.page.curves import plots_of  # matplotlib loads in a second: only where it draws

        plots = {stage.name: list(plots_of(stage)) for stage in story.stages}
    return _template().render(
        run=story,
        plots=plots,
        summaries={stage.name: list(summary_of(stage)) for stage in story.stages},
        choices=choices_of(story.recipe) if story.recipe else [],
        seconds=sum(cost.wall_s for cost in story.costs),
        longest_s=max((cost.wall_s for cost in story.costs), default=0.0),
        state=state_of(story),
    )


@contextmanager
def paged(run: Path) -> Iterator[None]:
    """Train in the block; write the page when it ends, also where it was stopped, and say where it is.

    Only if the block worked in that folder, and only in the process that leads. A page that cannot be written does
    not hide why the block ended, nor that it came to its end.
    """
    log = run / SESSIONS
    before = log.stat().st_size if log.exists() else 0
    try:
        yield
    except (TriptychError, KeyboardInterrupt):
        _write_if_worked(run, before)
        raise
    _write_if_worked(run, before)


def state_of(story: Story) -> str:
    """Return in a sentence how far the run is."""
    last = story.sessions[-1] if story.sessions else None
    if story.finished:
        return "Finished."
    if last is None:
        return "Not finished."
    if last.how:
        return f"Not finished. Its last session {'was ' if last.how.startswith('stopped') else 'said: '}{last.how}"
    return "Not finished: its last session goes on, or was killed."


def summary_of(stage: StageStory) -> Iterator[tuple[str, str]]:
    """Yield (what, how much) of a stage, in words: what its curves say."""
    series, count = stage.series, len(stage.steps)
    if not count:
        yield from ((key.replace("_", " "), tell_number(value)) for key, value in stage.facts.items())
        return
    yield "steps", f"{count:,}"
    for key, unit in (("loss_nats", " nats"), ("loss_squared", " squared")):
        if key in series:
            share = max(1, len(series[key]) // 10)
            first, last = sum(series[key][:share]) / share, sum(series[key][-share:]) / share
            yield "loss, first and last tenth of the steps", f"{first:.3f} → {last:.3f}{unit}"
    yield from _validation_of(stage)
    for key, what in (("tokens", "tokens"), ("trained_tokens", "of them supervised"), ("targets", "targets")):
        if key in series:
            yield what, f"{sum(series[key]):,.0f}"
    computing_s = series.get("wall_s", ())
    seconds = sum(computing_s) + sum(series.get("wait_s", ()))
    for key, what in (("tokens", "tokens a second"), ("trained_tokens", "supervised tokens a second")):
        if key in series and seconds:
            yield what, tell_number(sum(series[key]) / seconds)
    if "images" in series and seconds:
        yield "images a second", tell_number(sum(series["images"]) / seconds)
    if {"packing_fill", "tokens"} <= series.keys():
        steps = zip(series["tokens"], series["packing_fill"], strict=True)
        positions = sum(tokens / fill for tokens, fill in steps if fill)
        yield "padding", f"{1 - sum(series['tokens']) / positions if positions else 0.0:.1%} of the positions"
    if "mfu" in series and seconds:
        done = sum(mfu * wall_s for mfu, wall_s in zip(series["mfu"], computing_s, strict=True))
        yield "MFU, waiting for data included", f"{done / seconds:.1%}"


def _validation_of(stage: StageStory) -> Iterator[tuple[str, str]]:
    if losses := stage.series.get(VALIDATED):
        least, after = min(zip(losses, stage.validation_steps, strict=True))
        yield "validation, first and last", f"{losses[0]:.3f} → {losses[-1]:.3f}"
        yield "validation, lowest", f"{least:.3f}, after step {after:,}"
    if stage.kept is not None:
        yield "weights that were kept", f"those after step {stage.kept:,}"


def _write_if_worked(run: Path, before: int) -> None:
    log = run / SESSIONS
    worked = log.exists() and log.stat().st_size != before and (run / METRICS).exists()
    if not worked or os.environ.get("RANK", "0") != "0":
        return
    try:
        say(f"report:   {write_training(run)}")
    except (TriptychError, OSError) as error:
        say(f"{run / TRAINING} is not written: {error}")


def _large(number: int) -> str:
    """Return a number of weights with three digits and its unit."""
    for size, unit in ((10**9, " B"), (10**6, " M"), (10**3, " k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parent)
    page = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters |= {"duration": duration, "large": _large, "percent": _percent, "plain": _plain}
    return page.get_template("training.html.jinja")
