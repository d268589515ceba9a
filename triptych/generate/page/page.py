"""``report.html`` of a run that makes data: what was kept, refused and paid, with samples and their images.

Not a place where anything is decided or counted (``counts``). It stands alone: no script, no request to the network;
every word that comes from data or a model is escaped.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from triptych.core.errors import TriptychError
from triptych.core.files import write_atomically
from triptych.core.log import counted, duration, say
from triptych.generate.page.cards import Card, card_of, refused_card, spread
from triptych.generate.page.counts import Found, count_run, median
from triptych.generate.page.verbs import PACKAGE, Verbs, is_able, verbs_of
from triptych.generate.page.wheel import draw_wheel
from triptych.generate.pipeline import written_by
from triptych.generate.recipe import RECIPE
from triptych.generate.running.files import Note
from triptych.generate.running.shards import part_in
from triptych.infer.responder import writable

REPORT = "report.html"
LOG = "log.txt"
SPEND = "spend.json"
STOPPED = " stopped: "
"""Before what a run says that its budget has ended."""
_ERROR = re.compile(r"\S+ \w+Error: ")
"""Before what has ended a run otherwise."""
SAMPLES = 10
REASONS = 24
"""Most reasons of refusal that are shown with samples."""
ROWS = 16
"""Most rows of a list of counts."""
BARS = 12
"""Most bars of a histogram."""
UPROOT = "planted, not caught"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list of counts."""

    name: str
    count: int
    share: float
    """``count`` as a share of the largest count in the list, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of one stage, with samples."""

    reason: str
    count: int
    share: float
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many have which number."""

    title: str
    unit: str
    middle: int
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Control:
    """Planted items with one fault."""

    fault: str
    planted: int
    caught: int
    by: str
    """The reasons, in words."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Verbs and nouns of the questions, or of the answers."""

    title: str
    texts: int
    without: int
    svg: Markup
    commonest: str
    """The commonest entries in words, for those who cannot see the drawing."""


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run's folder from what is there so far, and return its path.

    Raises:
        NotFoundError: it is no run, or no stage of it is finished.
        DataError: a file in it is not what it should be.
    """
    path = folder / REPORT
    write_atomically(path, render_report(count_run(folder)))
    return path


def report_after(folder: Path) -> None:
    """Write the page when a run ends, and say where it is. What goes wrong with it does not hide how the run ended."""
    try:
        say(f"report:  {write_report(folder)}")
    except (TriptychError, OSError) as error:
        say(f"{folder / REPORT} is not written: {error}")


def render_report(found: Found) -> str:
    """Return the page; half a letter, as an annotation's escape may say one, is replaced: no file can hold it."""
    spend = _spend(found.folder)
    kept = found.kept
    pairs = found.notes[-1].pairs
    page = _template().render(
        run=found,
        state=state_of(found),
        pairs=pairs,
        written=written_by(found.recipe, found.notes),
        spend=spend,
        usd_each=spend["usd"] / pairs if pairs else 0.0,
        tokens_each=spend["tokens"] / pairs if pairs else 0.0,
        begun=found.notes[0].items_out + sum(found.notes[0].refused.values()),
        most_items=max(note.items_out + sum(note.refused.values()) for note in found.notes),
        seconds=sum(note.seconds for note in found.notes),
        reasons=list(_reasons(found)),
        controls=list(controls_of(found)),
        samples=[card_of(item) for item in spread(kept.samples, SAMPLES)],
        skills=rows_of(kept.skills),
        languages=rows_of(kept.languages),
        histograms=[
            histogram("Words of a question", "words", counts=kept.question_words),
            histogram("Words of an answer", "words", counts=kept.answer_words),
            histogram("Images of an item", "images", counts=kept.images),
            histogram("Questions of an item", "questions", counts=kept.rounds),
        ],
        figures=list(figures_of(found)) if is_able() else [],
        package="" if is_able() else PACKAGE,
        recipe=(found.folder / RECIPE).read_text(encoding="utf-8"),
    )
    return writable(page)


def state_of(found: Found) -> str:
    """Return in a sentence how far the run is."""
    part = part_in(found.folder)
    of_part = f" This is part {part}: merge all parts." if part else ""
    if found.finished:
        return f"Finished.{of_part}"
    following = found.recipe.label(len(found.notes))
    log = found.folder / LOG
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    last = lines[-1] if lines else ""  # of an earlier start the reason may not hold any more
    ended = _ERROR.match(last)
    stopped = last[ended.end() :] if ended else last.partition(STOPPED)[2]
    why = f" It stopped: {stopped}" if stopped else ""
    return f"Not finished: {following} is next, and what is shown here is what stands before it.{of_part}{why}"


def rows_of(counts: Mapping[str, int]) -> tuple[Row, ...]:
    """Return the commonest as lines; the others together as the last."""
    ordered = Counter(counts).most_common()
    shown, rest = ordered[:ROWS], ordered[ROWS:]
    if rest:
        shown.append((f"{len(rest):,} others", sum(count for _, count in rest)))
    most = max((count for _, count in shown), default=1)
    return tuple(Row(name, count, count / most) for name, count in shown)


def histogram(title: str, unit: str, *, counts: Mapping[int, int]) -> Histogram:
    """Return numbers in at most ``BARS`` bins of equal width; the last one holds all that is larger too."""
    if not counts:
        return Histogram(title, unit, 0, ())
    total, seen, top = sum(counts.values()), 0, max(counts)
    for number in sorted(counts):  # up to where all but a hundredth is
        seen += counts[number]
        if seen >= 0.99 * total:
            top = number
            break
    first = min(counts)
    width = max(1, -(-(top - first + 1) // BARS))
    bins: Counter[int] = Counter()
    for number, count in counts.items():
        bins[min((number - first) // width, (top - first) // width)] += count
    most, last = max(bins.values()), (top - first) // width
    rows = []
    for at in range(last + 1):
        low, high = first + at * width, first + (at + 1) * width - 1
        name = f"{low}" if width == 1 else f"{low} to {high}"
        if at == last and max(counts) > high:
            name = f"{low} and more"
        rows.append(Row(name, bins[at], bins[at] / most))
    return Histogram(title, unit, median(counts), tuple(rows))


def controls_of(found: Found) -> Iterator[Control]:
    """Yield what became of planted faults: which checks caught how many."""
    for fault in sorted({*found.refused.planted, *found.kept.planted}):
        by = found.refused.planted.get(fault, Counter())
        caught = {key: count for key, count in by.items() if not key[1].startswith(UPROOT)}
        told = ", ".join(
            f"{stage.partition('-')[2]}: {reason} ({count:,})" for (stage, reason), count in caught.items()
        )
        yield Control(fault, by.total() + found.kept.planted[fault], sum(caught.values()), told or "nothing")


def figures_of(found: Found) -> Iterator[Figure]:
    """Yield the verbs and nouns of questions and of answers. The tagger must be there."""
    rounds = list(found.kept.worded)
    for title, at in (("Questions", 0), ("Answers", 1)):
        verbs = verbs_of(pair[at] for pair in rounds)
        if verbs.nouns:
            drawn = draw_wheel(verbs.nouns, title=f"{title}: the commonest verbs, and the nouns that follow them")
            yield Figure(title, verbs.texts, verbs.without, drawn, _commonest(verbs))


def _commonest(verbs: Verbs) -> str:
    pairs: Counter[str] = Counter()
    for verb, nouns in verbs.nouns.items():
        pairs.update({f"{verb} {noun}": count for noun, count in nouns.items() if noun})
    return ", ".join(f"{pair} ({count:,})" for pair, count in pairs.most_common(ROWS))


def _reasons(found: Found) -> Iterator[tuple[str, list[Reason]]]:
    """Yield (stage, its reasons), both in order; samples of the commonest reasons only."""
    counts = found.refused.counts
    shown = {key for key, _ in counts.most_common(REASONS)}
    most = max(counts.values(), default=1)
    for stage, keys in groupby(sorted(counts, key=lambda key: (key[0], -counts[key], key[1])), lambda key: key[0]):
        yield (
            stage,
            [
                Reason(
                    reason=key[1],
                    count=counts[key],
                    share=counts[key] / most,
                    cards=tuple(refused_card(each) for each in found.refused.samples[key]) if key in shown else (),
                )
                for key in keys
            ],
        )


def _spend(folder: Path) -> dict[str, Any]:
    """Return what ``spend.json`` says; nothing spent where there is none."""
    try:
        said: dict[str, Any] = json.loads((folder / SPEND).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {"usd": 0.0, "tokens": 0, "teachers": {}}
    return said


def _money(usd: float) -> str:
    return f"${usd:,.2f}" if usd >= 1 or not usd else f"${usd:.3g}"


def _refused_of(note: Note) -> int:
    return sum(note.refused.values())


def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parent)
    page = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters |= {"money": _money, "refused": _refused_of, "duration": duration, "number": _grouped}
    page.filters["counted"] = counted
    return page.get_template("report.html.jinja")


def _grouped(number: float) -> str:
    return f"{number:,.0f}"
