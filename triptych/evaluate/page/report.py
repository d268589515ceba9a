"""``report.html`` of a run: one page that stands alone, with scores, costs, the loss, and answers with their images.

Not a place where anything is measured: it shows what the run folder holds (``gather.py``). No script, no request to
the network; every word that comes from data or a model is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from triptych.core.errors import DataError, NotFoundError
from triptych.core.files import write_atomically
from triptych.evaluate.certainty.statistics import Score
from triptych.evaluate.page.cards import cards_of
from triptych.evaluate.page.tables import notes_of, rows_of, to_csv, to_latex, to_markdown
from triptych.evaluate.page.templates import open_template
from triptych.evaluate.running.gather import EVALS, MODEL, Evaluation, Gathered, gather, read_evaluations
from triptych.evaluate.running.secondary_scores import secondary_lines
from triptych.evaluate.saved.compare import Comparison, check_pair, compare_pairs
from triptych.evaluate.saved.sides import pairs_of_conditions, side_of

REPORT = "report.html"
TUNED = "tuned"
"""The condition that others are held against."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One score as a bar."""

    condition: str
    style: str
    """CSS class: the condition where it has a colour, else ``other``."""
    score: Score


@dataclass(frozen=True, slots=True)
class Group:
    """One skill, scenario or kind, under every condition."""

    name: str
    n: int
    chance: float
    majority: float | None
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One benchmark's part, under every condition."""

    benchmark: str
    name: str
    n: int
    chance: float
    majority: float
    detects: float | None
    """Smallest difference that so many questions see, of two totals."""
    detects_paired: float | None
    """The same, of two models compared item by item."""
    lanes: tuple[Lane, ...]
    groups: tuple[tuple[str, tuple[Group, ...]], ...]
    """("skill", its groups), only where there are two or more."""
    verdict: str
    notes: tuple[str, ...]
    """How many questions were not answered, failed or were cut, and which conditions were asked others."""
    compared: tuple[Comparison, ...] = ()
    """Every two conditions, item by item."""
    not_compared: tuple[str, ...] = ()
    """Why two of them are not."""


def write_report(run: Path, *, examples: int = 12) -> Path:
    """Write ``report.html`` into a run's folder from what is there so far, and return its path.

    Args:
        run: ``runs/NAME``.
        examples: most right answers, and most wrong ones, to show of each benchmark.

    Raises:
        NotFoundError: no such folder.
        DataError: a file in it is not what it should be.
    """
    if not run.is_dir():
        raise NotFoundError(f"{run}: no such run.")
    path = run / REPORT
    write_atomically(path, render_report(gather(run), examples=examples))
    return path


def report_table(run: Path, form: str) -> str:
    """Return a run's results as a table.

    Args:
        run: ``runs/NAME``.
        form: ``md``, ``csv`` or ``latex``.

    Raises:
        NotFoundError: no such folder.
        DataError: a file in it is not what it should be.
    """
    if not run.is_dir():
        raise NotFoundError(f"{run}: no such run.")
    found = gather(run)
    rows = rows_of(found)
    if form == "md":
        return to_markdown(rows, compare_conditions(found)[0], notes=notes_of(found))
    return to_csv(rows) if form == "csv" else to_latex(rows)


def unscored(run: Path) -> tuple[list[str], bool]:
    """Return the folders of evaluations in which no question has a score, and whether that is all there are."""
    found = read_evaluations(run / EVALS)
    names = [it.folder.name for it in found if not it.total.n]
    return names, 0 < len(found) == len(names)


def render_report(run: Gathered, *, examples: int) -> str:
    """Return the page."""
    losses = ""
    if run.losses:
        from triptych.evaluate.page.plots import draw_losses  # matplotlib loads in a second: only where it draws

        losses = draw_losses(run.losses)
    by_benchmark = [(name, tuple(group)) for name, group in groupby(run.evaluations, lambda it: it.benchmark)]
    compared, refused = compare_conditions(run)
    return open_template("report.html.jinja", points=_points, duration=_duration).render(
        run=run,
        benchmarks=[(name, tuple(_parts(evaluations, compared, refused))) for name, evaluations in by_benchmark],
        comparisons=len(compared),
        cards=[(name, *cards_of(evaluations, examples)) for name, evaluations in by_benchmark],
        losses=losses,
        seconds=sum(cost.wall_s for cost in run.costs),
        longest_s=max((cost.wall_s for cost in run.costs), default=0.0),
    )


def verdict_on(lanes: Sequence[Lane]) -> str:
    """Return in a sentence whether the tuned model is better than each other condition, judged by the intervals."""
    scores = {lane.condition: lane.score for lane in lanes}
    tuned = scores.get(TUNED)
    if tuned is None or not tuned.n:
        return ""
    others = {"chance": Score(tuned.chance, tuned.chance, tuned.chance, tuned.n, tuned.chance), **scores}
    rivals = [(name, others[name]) for name in ("chance", "blind", "untuned") if name in others]
    above = [name for name, score in rivals if tuned.low > score.high]
    unclear = [name for name, score in rivals if name not in above]
    sentences = []
    if above:
        sentences.append(f"Tuned is above {_listed(above)}: the 95% intervals do not overlap.")
    if unclear:
        sentences.append(f"Not told apart from {_listed(unclear)}: the intervals overlap, or it is below.")
    return " ".join(sentences)


def compare_conditions(run: Gathered) -> tuple[tuple[Comparison, ...], dict[tuple[str, str], list[str]]]:
    """Return every two conditions of a run, item by item; by benchmark and part, why two cannot be compared."""
    sides = [side_of(evaluation, Path(run.name)) for evaluation in run.evaluations]
    pairs = []
    refused: dict[tuple[str, str], list[str]] = {}
    for one, other in pairs_of_conditions(sides, ()):
        try:
            check_pair(one, other)
        except DataError as error:
            refused.setdefault(one.evaluated, []).append(str(error))
        else:
            pairs.append((one, other))
    return compare_pairs(pairs, among=sides), refused


def _parts(
    evaluations: Sequence[Evaluation],
    compared: Sequence[Comparison],
    refused: Mapping[tuple[str, str], Sequence[str]],
) -> Iterator[Part]:
    for name, group in groupby(evaluations, lambda evaluation: evaluation.part):
        conditions = tuple(group)
        # Baselines are the same under all conditions: those of the last one that has a score are shown.
        first = next((it for it in reversed(conditions) if it.total.n), conditions[-1])
        judged = next((it for it in conditions if it.condition == TUNED), first)
        lanes = tuple(_lane(it.condition, it.total) for it in conditions)
        groups = []
        for kind, scores in first.groups.items():
            if len(scores) > 1:
                groups.append((kind, tuple(_group(member, kind, conditions) for member in scores)))
        yield Part(
            benchmark=first.benchmark,
            name=name,
            n=first.total.n,
            chance=first.total.chance,
            majority=first.majority,
            detects=first.total.detects,
            detects_paired=first.total.detects_paired,
            lanes=lanes,
            groups=tuple(groups),
            verdict=verdict_on([lane for lane, it in zip(lanes, conditions, strict=True) if it.asked_as(judged)]),
            notes=tuple(_notes(conditions, judged)),
            compared=tuple(row for row in compared if (row.benchmark, row.part) == (first.benchmark, name)),
            not_compared=tuple(refused.get((first.benchmark, name), ())),
        )


def _group(name: str, kind: str, conditions: Sequence[Evaluation]) -> Group:
    scores = [(it.condition, it.groups[kind][name]) for it in conditions if name in it.groups[kind]]
    lanes = tuple(_lane(condition, score) for condition, score in scores)
    last = scores[-1][1]
    return Group(name, n=last.n, chance=last.chance, majority=last.majority, lanes=lanes)


def _lane(condition: str, score: Score) -> Lane:
    known = {"blind": "blind", "untuned": "untuned", "tuned": "tuned", MODEL: "tuned"}
    return Lane(condition, known.get(condition, "other"), score)


def _notes(conditions: Sequence[Evaluation], judged: Evaluation) -> Iterator[str]:
    if others := [it.condition for it in conditions if not it.asked_as(judged)]:
        yield f"Asked other questions than {judged.condition}, or marked by another judge: {', '.join(others)}."
    for what, counts in (
        ("Unanswered, scored as wrong", [(it.condition, it.unanswered) for it in conditions]),
        ("Failed, not scored", [(it.condition, it.failed) for it in conditions]),
        ("Cut at the most tokens", [(it.condition, it.cut) for it in conditions]),
    ):
        if any(count for _, count in counts):
            yield f"{what}: {', '.join(f'{condition} {count}' for condition, count in counts)}."
    if judges := [f"{it.condition} {it.judge}" for it in conditions if it.judge]:
        yield f"Marked by a judge: {', '.join(judges)}."
    for it in conditions:
        if lines := secondary_lines(it.secondary):
            yield f"{it.condition.capitalize()}, beside the score: {'. '.join(lines)}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
