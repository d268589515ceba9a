"""``diagnosis.html``: one page for a model, for somebody who did not run it. A section for each benchmark.

Not a place where anything is found: it shows a ``Diagnosis``. A section stays as a file in its benchmark's folder, so
that the next benchmark's diagnosis is added to the page. No script, no request to the network; every word that comes
from data or a model is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from triptych.core.files import write_atomically
from triptych.core.log import counted
from triptych.evaluate.certainty.power import ALPHA
from triptych.evaluate.certainty.statistics import Score
from triptych.evaluate.diagnosis.diagnose import DIAGNOSIS, Diagnosis, write_diagnosis
from triptych.evaluate.diagnosis.findings import Finding, points
from triptych.evaluate.diagnosis.places import Groups
from triptych.evaluate.page.diagnose_cards import Moved, moved_by
from triptych.evaluate.page.diagnose_plots import Column, draw_columns, draw_differences
from triptych.evaluate.saved.compare import tell_p

PAGE = "diagnosis.html"
SECTION = "section.html"
_CHANCE = "Dotted: chance."


@dataclass(frozen=True, slots=True)
class Chapter:
    """One condition on the page."""

    finding: Finding
    moved: tuple[Moved, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """One plot with its title and what it says."""

    title: str
    said: str
    plot: Markup | None
    caption: str = ""
    """What the dotted lines are."""


def write_page(folder: Path, found: Diagnosis) -> Path:
    """Write a diagnosis, its section and the page with all sections of the same model; return the page's path.

    Args:
        folder: of all diagnoses of the model; this one goes into ``folder/BENCHMARK``.
        found: what to show.
    """
    write_diagnosis(folder, found)
    write_atomically(folder / found.benchmark / SECTION, render_section(found))
    sections = {}
    for path in sorted(folder.glob(f"*/{SECTION}")):
        told = path.parent / DIAGNOSIS
        if told.is_file() and json.loads(told.read_text(encoding="utf-8")).get("responder") == found.responder:
            sections[path.parent.name] = Markup(path.read_text(encoding="utf-8"))
    page = folder / PAGE
    write_atomically(
        page, _pages().get_template("diagnose.html.jinja").render(model=_short(found.responder), sections=sections)
    )
    return page


def render_section(found: Diagnosis) -> str:
    """Return the section of one benchmark."""
    chapters = [
        Chapter(each, moved_by(each.condition, found.unchanged, found.changed.get(each.condition.name, ())))
        for each in found.findings
    ]
    plot = Markup(draw_differences(found.findings)) if any(each.paired for each in found.findings) else None
    return (
        _pages()
        .get_template("diagnose_section.html.jinja")
        .render(found=found, chapters=chapters, plot=plot, figures=figures_of(found))
    )


def figures_of(found: Diagnosis) -> list[Figure]:
    """Return what there is to say about numbers of images, places and options."""
    made = [_by_images(found.by_images), _by_place(found.by_place, found.place_known)]
    return [figure for figure in (*made, _importance(found), _options(found)) if figure is not None]


def _by_images(groups: Groups) -> Figure:
    title = "Number of images"
    if not groups.scores:
        return Figure(title, "No question got a reply.", None)
    if len(groups.scores) == 1:
        count = next(iter(groups.scores))
        return Figure(title, f"All questions have {counted(count, 'image')}: nothing to compare.", None)
    evidence = (
        f"The score depends on the number of images (p {tell_p(groups.p)})."
        if groups.p < ALPHA
        else f"No evidence that the number of images matters (p {tell_p(groups.p)})."
    )
    return Figure(
        title, f"{evidence} {_extremes(groups, 'image')}", _columns(groups.scores, "images (questions)"), _CHANCE
    )


def _by_place(groups: Groups, known: str) -> Figure:
    title = "Place of the deciding image"
    if not groups.scores:
        return Figure(title, "No question tells, nor did any reply show, which of its images decides.", None)
    n = sum(score.n for score in groups.scores.values())
    how = f"Of {counted(n, 'question')} it is known: {known}."
    if len(groups.scores) == 1:
        return Figure(title, f"{how} It always stands at place {next(iter(groups.scores))}.", None)
    evidence = (
        f"The score depends on where it stands (p {tell_p(groups.p)}, among questions with as many images)."
        if groups.p < ALPHA
        else f"No evidence that it matters where it stands (p {tell_p(groups.p)}, among questions with as many images)."
    )
    return Figure(title, f"{evidence} {how}", _columns(groups.scores, "its place (questions)"), _CHANCE)


def _importance(found: Diagnosis) -> Figure | None:
    told = found.importance
    if told is None:
        return None
    said = (
        f"One image at a time was emptied in {counted(told.questions, 'question')}. In {_percent(told.none)}% no "
        f"single image changed the reply, in {_percent(told.one)}% exactly one did."
    )
    if told.deciding is not None and told.others is not None:
        said += (
            f" Without the image that the question is about the reply changed in {_interval(told.deciding)}, without "
            f"another one in {_interval(told.others)}."
        )
    plot = _columns(told.changed, "image that was left out (questions)", chance=False)
    return Figure("Which image mattered: replies that changed without it", said, plot)


def _options(found: Diagnosis) -> Figure | None:
    bias = found.option_bias
    if bias is None:
        return None
    columns = [
        Column(_option_name(place), share, *bias.chosen[place], against=bias.expected[place], n=bias.orders)
        for place, share in bias.shares.items()
    ]
    off = [
        column for column in columns if column.against is not None and not column.low <= column.against <= column.high
    ]
    leaning = (
        "It leans: "
        + "; ".join(
            f"{column.name} is chosen {_percent(column.value)}% of the time, and right {_percent(column.against or 0)}%"
            for column in off
        )
        + "."
        if off
        else "No evidence that it prefers a place: each is chosen about as often as it is right."
    )
    said = (
        f"{counted(bias.questions, 'question')} in {bias.orders} orders. {leaning} It chooses the same option in every "
        f"order in {_interval(bias.consistent)} of the questions, and is right in every order in "
        f"{_interval(bias.circular)} (guesses: {_percent(bias.circular.chance)}%)."
    )
    if len(bias.by_place.scores) > 1:
        said += (
            f" The place of the right option matters for the score (p {tell_p(bias.by_place.p)})."
            if bias.by_place.p < ALPHA
            else f" No evidence that the place of the right option matters for the score (p {tell_p(bias.by_place.p)})."
        )
    plot = Markup(draw_columns(columns, label="place of the option (replies)"))
    return Figure("Options: which place is chosen", said, plot, "Dotted: how often the right option stands there.")


def _extremes(groups: Groups, noun: str) -> str:
    first, last = min(groups.scores), max(groups.scores)
    return (
        f"With {counted(first, noun)} it scores {_interval(groups.scores[first])}, with {counted(last, noun)} "
        f"{_interval(groups.scores[last])}."
    )


def _columns(scores: Mapping[int, Score], label: str, *, chance: bool = True) -> Markup:
    columns = [
        Column(str(key), score.score, score.low, score.high, score.chance if chance else None, score.n)
        for key, score in scores.items()
    ]
    return Markup(draw_columns(columns, label=label))


def _interval(score: Score) -> str:
    return f"{_percent(score.score)}% ({_percent(score.low)} to {_percent(score.high)})"


def _option_name(place: int) -> str:
    return ascii_uppercase[place - 1] if place <= len(ascii_uppercase) else str(place)


def _short(responder: str) -> str:
    """Return what to call a model: of a long path the last two names."""
    return "/".join(responder.rstrip("/").split("/")[-2:]) if responder.startswith("/") else responder


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f}"


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _pages() -> Environment:
    loader = FileSystemLoader(Path(__file__).parent)
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"percent": _percent, "points": points, "p": tell_p, "plain": _plain, "counted": counted}
    return made
