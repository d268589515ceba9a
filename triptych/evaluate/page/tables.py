"""A run's results as rows: CSV for programs, Markdown for pages, LaTeX for papers.

Not the HTML page (``report.py``). Chance, majority and blind stand in every row, with the smallest difference that so
many questions see: a score alone says little. Blind stands beside scores of the same questions only.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from triptych.evaluate.certainty.formatting import format_p, percent
from triptych.evaluate.running.gather import BLIND, Evaluation, Gathered
from triptych.evaluate.running.secondary_scores import secondary_lines
from triptych.evaluate.saved.compare import Comparison

TOTAL = "all"
_ESCAPED = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_ESCAPED |= {sign: f"\\{sign}" for sign in "&%$#_{}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One benchmark's part under one condition: all of it, or one group of questions. Scores are from 0 to 1."""

    benchmark: str
    part: str
    condition: str
    group: str
    """``all``, or what questions are grouped by: skill, scenario, kind, split, task."""
    name: str
    """The group's; empty for all."""
    n: int
    score: float | None
    """None, as are low, high and chance: nothing was scored."""
    low: float | None
    high: float | None
    chance: float | None
    majority: float | None
    blind: float | None
    """The score without images on the same questions, where it was measured on them."""
    detects: float | None
    detects_paired: float | None
    unanswered: int | None
    failed: int | None
    cut: int | None
    """These three are counts over all questions; None in the row of a group."""
    judge: str
    """Who marked the replies; empty where rules did."""


def rows_of(run: Gathered) -> list[Row]:
    """Return a row for each evaluation, and for each group of its questions after it."""
    blind = _blind(run)
    rows = []
    for it in run.evaluations:
        without = blind.get((it.benchmark, it.part))
        if without is not None and not without.scored_as(it):
            without = None
        totals = [(TOTAL, "", it.total, without.total if without else None)]
        for group, scores in it.groups.items():
            others = without.groups.get(group, {}) if without else {}
            totals += [(group, name, score, others.get(name)) for name, score in scores.items()]
        for group, name, score, sightless in totals:
            whole = group == TOTAL
            rows.append(
                Row(
                    benchmark=it.benchmark,
                    part=it.part,
                    condition=it.condition,
                    group=group,
                    name=name,
                    n=score.n,
                    score=score.score if score.n else None,
                    low=score.low if score.n else None,
                    high=score.high if score.n else None,
                    chance=score.chance if score.n else None,
                    majority=it.majority if whole else score.majority,
                    blind=sightless.score if sightless and sightless.n else None,
                    detects=score.detects,
                    detects_paired=score.detects_paired,
                    unanswered=it.unanswered if whole else None,
                    failed=it.failed if whole else None,
                    cut=it.cut if whole else None,
                    judge=it.judge,
                )
            )
    return rows


def notes_of(run: Gathered) -> list[str]:
    """Return a line for each number of an evaluation besides its total (``secondary_lines``), and for its judge.

    A line also says where the blind score is of other questions, and is left out of the table.
    """
    lines, blind = [], _blind(run)
    for it in run.evaluations:
        notes = [f"judged by {it.judge}"] if it.judge else []
        notes += secondary_lines(it.secondary)
        without = blind.get((it.benchmark, it.part))
        if without is not None and without.total.n and not without.scored_as(it):
            notes.append("the blind score is of other questions, or of another judge: left out")
        lines += [f"{it.benchmark} {it.part} {it.condition}: {line}".replace("_", " ") for line in notes]
    return lines


def _blind(run: Gathered) -> dict[tuple[str, str], Evaluation]:
    return {(it.benchmark, it.part): it for it in run.evaluations if it.condition == BLIND}


def to_csv(rows: Iterable[Row]) -> str:
    """Return a header and a line for each row; numbers from 0 to 1, empty where unknown."""
    file = io.StringIO()
    names = [field.name for field in fields(Row)]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        values = [getattr(row, name) for name in names]
        writer.writerow(["" if value is None else value for value in values])
    return file.getvalue()


def to_markdown(rows: Sequence[Row], comparisons: Sequence[Comparison] = (), *, notes: Sequence[str] = ()) -> str:
    """Return tables in percent: all evaluations, ``notes`` on them, each group of questions, what was compared."""
    totals = [row for row in rows if row.group == TOTAL]
    lines = [[*_cells(row, f"{row.benchmark} {row.part}"), str(row.failed), str(row.cut)] for row in totals]
    text = _table((*_HEAD, "failed", "cut"), lines)
    text += "\nBeside the scores:\n\n" + "".join(f"- {_one_line(line)}\n" for line in notes) if notes else ""
    for group in dict.fromkeys(row.group for row in rows if row.group != TOTAL):
        members = [row for row in rows if row.group == group]
        if len({row.name for row in members}) > 1:
            lines = [_cells(row, f"{row.benchmark} {row.part}: {row.name}") for row in members]
            text += f"\nBy {_one_line(group)}:\n\n" + _table(_HEAD, lines)
    if comparisons:
        text += f"\nCompared, question by question (p corrected for {len(comparisons)} comparisons, Holm):\n\n"
        text += _table(_COMPARED, [_compared(row) for row in comparisons])
    return text


def to_latex(rows: Sequence[Row]) -> str:
    """Return rows for a table in percent, a line for each condition, chance and majority before it.

    A score that is of fewer or other questions than the column's head says has its own n, and how many failed.
    The first line is a comment that names the columns; intervals are 95%. The text goes between ``\\begin{tabular}``
    and ``\\end{tabular}``.
    """
    totals = [row for row in rows if row.group == TOTAL]
    columns = list(dict.fromkeys((row.benchmark, row.part) for row in totals))
    row_of = {(row.benchmark, row.part, row.condition): row for row in totals}
    # Baselines are the same under all conditions: those of the last one that has a score are shown, as on the page.
    scored_last = sorted(totals, key=lambda row: row.n > 0)
    baseline = {column: [row for row in scored_last if (row.benchmark, row.part) == column][-1] for column in columns}
    heads = [f"{_escaped(' '.join(column))} ($n={baseline[column].n}$)" for column in columns]
    lines = [
        f"% condition & {' & '.join(heads)}",
        _latex_row("Chance", [_percent(baseline[column].chance) for column in columns]),
        _latex_row("Majority", [_percent(baseline[column].majority) for column in columns]),
    ]
    for condition in dict.fromkeys(row.condition for row in totals):
        cells = [_latex_cell(row_of.get((*column, condition)), n=baseline[column].n) for column in columns]
        lines.append(_latex_row(_escaped(condition).capitalize(), cells))
    last = {column: [row for row in totals if (row.benchmark, row.part) == column][-1] for column in columns}
    least = [_percent(last[column].detects) for column in columns]
    return "\n".join([*lines, f"% smallest difference seen (80% power): {' & '.join(least)}", ""])


_HEAD = ("", "condition", "score", "95% interval", "n", "chance", "majority", "blind", "min diff", "min diff, paired")
_COMPARED = ("", "first", "second", "difference", "95% interval", "p", "evidence")


def _cells(row: Row, what: str) -> list[str]:
    return [
        what.replace("_", " "),
        row.condition,
        _percent(row.score),
        _span(row) or "nothing was scored",
        str(row.n),
        *map(_percent, (row.chance, row.majority, row.blind, row.detects, row.detects_paired)),
    ]


def _compared(row: Comparison) -> list[str]:
    return [
        f"{row.benchmark} {row.part}".replace("_", " "),
        row.first,
        row.second,
        f"{100 * row.paired.difference:+.1f}",
        f"{100 * row.paired.low:+.1f} to {100 * row.paired.high:+.1f}",
        format_p(row.p_holm),
        row.verdict,
    ]


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "".join(
        "| " + " | ".join(re.sub(r"([|\\])", r"\\\1", _one_line(cell)) for cell in row) + " |\n" for row in rows
    )


def _one_line(text: str) -> str:
    """Return a text without line ends, which end a row: a task may be called anything."""
    return " ".join(text.split())


def _percent(share: float | None) -> str:
    return "-" if share is None else percent(share, 1)


def _span(row: Row) -> str:
    """Return the 95% interval in percent; empty where nothing was scored."""
    return "" if row.low is None or row.high is None else f"{100 * row.low:.1f} to {100 * row.high:.1f}"


def _latex_row(name: str, cells: Sequence[str]) -> str:
    return f"{name} & {' & '.join(cells)} \\\\"


def _latex_cell(row: Row | None, *, n: int) -> str:
    if row is None or row.score is None or row.low is None or row.high is None:
        return "--"
    counts = [f"$n={row.n}$"] if row.n != n or row.failed else []
    counts += [f"{row.failed} failed"] if row.failed else []
    note = f" {{\\scriptsize ({', '.join(counts)})}}" if counts else ""
    return f"{100 * row.score:.1f} {{\\scriptsize [{100 * row.low:.1f}, {100 * row.high:.1f}]}}{note}"


def _escaped(text: str) -> str:
    return "".join(_ESCAPED.get(sign, sign) for sign in _one_line(text))
