"""A comparison of two results told: lines for people, JSON for programs.

Not what is compared nor how (``compare.py``). Scores are percent and differences points in lines, 0 to 1 in JSON. It
says of how many independent groups the questions are, where they are fewer than questions.
"""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby

from triptych.core.records import Json
from triptych.evaluate.certainty.formatting import format_p
from triptych.evaluate.certainty.power import ALPHA
from triptych.evaluate.saved.compare import Comparison, Comparisons


def lines_of(found: Comparisons) -> list[str]:
    """Return what `triptych compare` says: scores in percent, differences in points."""
    lines: list[str] = []
    for (benchmark, part), rows in groupby(found.rows, lambda row: (row.benchmark, row.part)):
        group = list(rows)
        lines.append(f"{benchmark}, {part.replace('_', ' ')}: {_baselines(group[0])}")
        for row in group:
            lines += [f"  {line}" for line in _row_lines(row)]
    if len(found.rows) > 1:
        lines.append(f"p is corrected for {len(found.rows)} comparisons (Holm).")
    return [*lines, *found.alone]


def comparisons_to_json(found: Comparisons) -> dict[str, Json]:
    """Return ``{"comparisons": [...], "alone": [...]}``; scores from 0 to 1, the numbers of a pair on top."""
    rows: list[Json] = []
    for row in found.rows:
        record: dict[str, Json] = asdict(row)
        paired = record.pop("paired")
        assert isinstance(paired, dict)
        first, second = paired.pop("first"), paired.pop("second")
        rows.append({**record, "first_score": first, "second_score": second, **paired})
    return {"comparisons": rows, "alone": list(found.alone)}


def _baselines(row: Comparison) -> str:
    """Return how many questions are compared, and what guessing scores on them."""
    known = (("chance", row.chance), ("majority", row.majority), ("blind", row.blind))
    groups = "" if row.paired.clusters == row.paired.n else f" in {row.paired.clusters} independent groups"
    parts = [
        f"{row.paired.n} questions{groups}",
        *(f"{name} {100 * value:.1f}" for name, value in known if value is not None),
    ]
    return f"{', '.join(parts)}; score: {row.statistic}{f', judged by {row.judge}' if row.judge else ''}"


def _row_lines(row: Comparison) -> list[str]:
    pair = row.paired
    lines = [
        f"{row.first} {100 * pair.first:.1f}, {row.second} {100 * pair.second:.1f}: {row.verdict}.",
        f"  difference {100 * pair.difference:+.1f} points (95% interval {100 * pair.low:+.1f} to"
        f" {100 * pair.high:+.1f}), p {format_p(row.p_holm)}; {row.first} scored more in"
        f" {pair.first_better}, {row.second} in {pair.second_better}",
    ]
    if row.left_out:
        lines.append(f"  {row.left_out} questions have a score on one side only and are left out")
    if row.p_holm >= ALPHA and pair.detects is not None:
        needed = f"; about {pair.needed:,} would see {100 * abs(pair.difference):.1f}" if pair.needed else ""
        lines.append(f"  {pair.n} questions can see {100 * pair.detects:.1f} points or more{needed}")
    return lines
