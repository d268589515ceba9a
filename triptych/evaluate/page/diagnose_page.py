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

from markupsafe import Markup

from triptych.core.files import write_atomically
from triptych.core.log import counted
from triptych.evaluate.certainty.statistics import Score
from triptych.evaluate.diagnosis.descriptions import BY_IMAGES, BY_PLACE, IMPORTANCE, OPTIONS
from triptych.evaluate.diagnosis.findings import Finding, base_of
from triptych.evaluate.diagnosis.option_bias import option_name
from triptych.evaluate.diagnosis.outcome import DIAGNOSIS, Diagnosis, descriptions_of, write_diagnosis
from triptych.evaluate.diagnosis.places import Groups
from triptych.evaluate.page.diagnose_cards import Moved, moved_by
from triptych.evaluate.page.diagnose_plots import Column, draw_columns, draw_differences
from triptych.evaluate.page.templates import open_template

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
    """One plot with its title and a description of it."""

    title: str
    text: str
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
        record = path.parent / DIAGNOSIS
        if record.is_file() and json.loads(record.read_text(encoding="utf-8")).get("responder") == found.responder:
            sections[path.parent.name] = Markup(path.read_text(encoding="utf-8"))
    page = folder / PAGE
    template = open_template("diagnose.html.jinja")
    write_atomically(page, template.render(model=_short(found.responder), sections=sections))
    return page


def render_section(found: Diagnosis) -> str:
    """Return the section of one benchmark."""
    chapters = [
        Chapter(
            each,
            moved_by(
                each.condition,
                base_of(each.condition, found.unchanged, changed=found.changed),
                changed=found.changed.get(each.condition.name, ()),
            ),
        )
        for each in found.findings
    ]
    plot = Markup(draw_differences(found.findings)) if any(each.paired for each in found.findings) else None
    template = open_template("diagnose_section.html.jinja", counted=counted)
    return template.render(found=found, chapters=chapters, plot=plot, figures=figures_of(found))


def figures_of(found: Diagnosis) -> list[Figure]:
    """Return what there is to say about numbers of images, places and options, with its plot."""
    plots = {
        BY_IMAGES: _grouped(found.by_images, "images (questions)"),
        BY_PLACE: _grouped(found.by_place, "its place (questions)"),
        IMPORTANCE: _importance(found),
        OPTIONS: _options(found),
    }
    captions = {BY_IMAGES: _CHANCE, BY_PLACE: _CHANCE, OPTIONS: "Dotted: how often the right option stands there."}
    texts = descriptions_of(found)
    return [Figure(title, text, plots[title], captions.get(title, "")) for title, text in texts.items()]


def _grouped(groups: Groups, label: str) -> Markup | None:
    return _columns(groups.scores, label) if len(groups.scores) > 1 else None


def _importance(found: Diagnosis) -> Markup | None:
    importance = found.importance
    return (
        None
        if importance is None
        else _columns(importance.changed, "image that was left out (questions)", chance=False)
    )


def _options(found: Diagnosis) -> Markup | None:
    bias = found.option_bias
    if bias is None:
        return None
    columns = [
        Column(option_name(place), share, *bias.chosen[place], against=bias.expected[place], n=bias.orders)
        for place, share in bias.shares.items()
    ]
    return Markup(draw_columns(columns, label="place of the option (replies)"))


def _columns(scores: Mapping[int, Score], label: str, *, chance: bool = True) -> Markup:
    columns = [
        Column(str(key), score.score, score.low, score.high, score.chance if chance else None, score.n)
        for key, score in scores.items()
    ]
    return Markup(draw_columns(columns, label=label))


def _short(responder: str) -> str:
    """Return what to call a model: of a long path the last two names."""
    return "/".join(responder.rstrip("/").split("/")[-2:]) if responder.startswith("/") else responder
