"""``report.html`` of a run: one page that stands alone, with scores, costs, the loss, and answers with their images.

Not a place where anything is measured: it shows what the run folder holds (``gather.py``). No script, no request to
the network; every word that comes from data or a model is escaped.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, zip_longest
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from triptych.core.errors import NotFoundError
from triptych.core.files import write_atomically
from triptych.core.records import ImageRef, Text, VideoRef
from triptych.data.media.images import ImageError, load_image
from triptych.evaluate.benchmark import fact
from triptych.evaluate.gather import MODEL, Evaluation, Gathered, Item, gather
from triptych.evaluate.scorers import reference_of
from triptych.evaluate.statistics import Score

REPORT = "report.html"
THUMBNAIL_PX = 220
"""Longest side of an image on the page."""
_PREFERRED = ("tuned", MODEL, "untuned")
"""Whose answers are shown, the first that is there."""


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
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One benchmark's part, under every condition."""

    benchmark: str
    name: str
    n: int
    chance: float
    majority: float
    lanes: tuple[Lane, ...]
    groups: tuple[tuple[str, tuple[Group, ...]], ...]
    """("skill", its groups), only where there are two or more."""
    verdict: str
    notes: tuple[str, ...]
    """How many questions were not answered, or failed, under which condition."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Words, or an image at its place."""

    text: str = ""
    number: int = 0
    """Of the image, from 1; 0: these are words."""
    data: str = ""
    """A data URI; empty where the picture is not there any more, or cannot be read."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What one condition said."""

    condition: str
    text: str
    right: bool


@dataclass(frozen=True, slots=True)
class Card:
    """One question with its images and replies."""

    id: str
    chips: tuple[str, ...]
    said: tuple[tuple[str, tuple[Piece, ...]], ...]
    """(role, pieces) of each turn before the reference."""
    reference: str
    replies: tuple[Reply, ...]


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


def render_report(run: Gathered, *, examples: int) -> str:
    """Return the page."""
    losses = ""
    if run.losses:
        from triptych.evaluate.plots import draw_losses  # matplotlib loads in a second: only where it draws

        losses = draw_losses(run.losses)
    by_benchmark = [(name, tuple(group)) for name, group in groupby(run.evaluations, lambda it: it.benchmark)]
    return _page().render(
        run=run,
        benchmarks=[(name, tuple(_parts(evaluations))) for name, evaluations in by_benchmark],
        cards=[(name, *_cards(evaluations, examples)) for name, evaluations in by_benchmark],
        losses=losses,
        seconds=sum(cost.wall_s for cost in run.costs),
        longest_s=max((cost.wall_s for cost in run.costs), default=0.0),
    )


def verdict_on(lanes: Sequence[Lane]) -> str:
    """Return in a sentence whether the tuned model is better than each other condition, judged by the intervals."""
    scores = {lane.condition: lane.score for lane in lanes}
    tuned = scores.get("tuned")
    if tuned is None or not tuned.n:
        return ""
    others = {"chance": Score(tuned.chance, tuned.chance, tuned.chance, tuned.n, tuned.chance), **scores}
    rivals = [(name, others[name]) for name in ("chance", "blind", "untuned") if name in others]
    above = [name for name, score in rivals if tuned.low > score.high]
    unclear = [name for name, score in rivals if name not in above]
    said = []
    if above:
        said.append(f"Tuned is above {_listed(above)}: the 95% intervals do not overlap.")
    if unclear:
        said.append(f"Not told apart from {_listed(unclear)}: the intervals overlap, or it is below.")
    return " ".join(said)


def _parts(evaluations: Sequence[Evaluation]) -> Iterator[Part]:
    for name, group in groupby(evaluations, lambda evaluation: evaluation.part):
        conditions = tuple(group)
        first = conditions[-1]
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
            lanes=lanes,
            groups=tuple(groups),
            verdict=verdict_on(lanes),
            notes=tuple(_notes(conditions)),
        )


def _group(name: str, kind: str, conditions: Sequence[Evaluation]) -> Group:
    scores = [(it.condition, it.groups[kind][name]) for it in conditions if name in it.groups[kind]]
    lanes = tuple(_lane(condition, score) for condition, score in scores)
    return Group(name, n=scores[-1][1].n, chance=scores[-1][1].chance, lanes=lanes)


def _lane(condition: str, score: Score) -> Lane:
    known = {"blind": "blind", "untuned": "untuned", "tuned": "tuned", MODEL: "tuned"}
    return Lane(condition, known.get(condition, "other"), score)


def _notes(conditions: Sequence[Evaluation]) -> Iterator[str]:
    for what, counts in (
        ("Unanswered, scored as wrong", [(it.condition, it.unanswered) for it in conditions]),
        ("Failed, not scored", [(it.condition, it.failed) for it in conditions]),
    ):
        if any(count for _, count in counts):
            yield f"{what}: {', '.join(f'{condition} {count}' for condition, count in counts)}."


def _cards(evaluations: Sequence[Evaluation], examples: int) -> tuple[str, list[Card], list[Card]]:
    """Return whose answers are shown, and cards of right and of wrong ones, evenly from every part."""
    shown = next((name for name in _PREFERRED if any(it.condition == name for it in evaluations)), "")
    chosen = [it for it in evaluations if it.condition == shown] or list(evaluations)
    right: list[Card] = []
    wrong: list[Card] = []
    for number, evaluation in enumerate(chosen):
        share = examples * (number + 1) // len(chosen) - examples * number // len(chosen)
        rivals = [it for it in evaluations if it.part == evaluation.part]
        items = list(evaluation.items.values())
        for cards, picked in (
            (right, [item for item in items if item.score >= 0.5]),
            (wrong, [item for item in items if item.score < 0.5]),
        ):
            cards += [_card(item, evaluation, rivals) for item in _spread(picked, share)]
    return shown or chosen[0].condition, right, wrong


def _spread(items: Sequence[Item], count: int) -> list[Item]:
    """Return ``count`` items, of every skill about as many, from everywhere in the sequence."""
    by_skill: dict[tuple[str, ...], list[Item]] = {}
    for item in items:
        by_skill.setdefault(item.question.skills, []).append(item)
    each = -(-count // max(1, len(by_skill)))
    spaced = [
        [group[number * len(group) // each] for number in range(each)] if len(group) > each else group
        for group in by_skill.values()
    ]
    in_turn = [item for row in zip_longest(*spaced) for item in row if item is not None]
    return in_turn[:count]


def _card(item: Item, evaluation: Evaluation, rivals: Sequence[Evaluation]) -> Card:
    question = item.question
    replies = [
        Reply(rival.condition, found.reply, found.score >= 0.5)
        for rival in reversed(rivals)
        if (found := rival.items.get(question.id)) is not None
    ]
    chips = (*question.skills, fact(question, "scenario"), fact(question, "kind"), evaluation.part)
    number = 0
    said = []
    for turn in question.turns[:-1]:
        pieces = []
        for part in turn.parts:
            if isinstance(part, ImageRef):
                number += 1
                pieces.append(_picture(part, number))
            else:
                pieces.append(Piece(part.text if isinstance(part, Text) else _video(part)))
        said.append((turn.role, tuple(pieces)))
    named = tuple(dict.fromkeys(chip.replace("_", " ") for chip in chips if chip not in ("", "all")))
    return Card(question.id, named, tuple(said), reference_of(question), tuple(replies))


def _video(part: VideoRef) -> str:
    return f"[video: {Path(part.source).name}]"


@lru_cache(maxsize=512)
def _picture(image: ImageRef, number: int) -> Piece:
    try:
        pixels = load_image(image)
    except ImageError as error:
        return Piece(number=number, problem=str(error))
    pixels.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    file = io.BytesIO()
    pixels.save(file, "JPEG", quality=80)
    return Piece(number=number, data=f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}")


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _page() -> Template:
    loader = FileSystemLoader(Path(__file__).parent)
    page = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters |= {"percent": _percent, "duration": _duration, "plain": _plain}
    return page.get_template("report.html.jinja")
