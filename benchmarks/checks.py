"""How well the checks of made data tell bad items from good ones, on items whose truth is known. JSON and Markdown.

    python -m benchmarks.checks --albums 120 --out checks.json
    python -m benchmarks.checks --albums 40 --model starter --out checks_starter.json

Good items are verified questions about drawn albums; bad ones are the same with a planted fault
(``triptych/generate/kit/planted.py``). Checks that ask are given a scripted responder that errs as often as
``--errors`` says, one that knows nothing and has habits, and with ``--model`` a real one. A language model of words
alone reads what the annotation tells of each image.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.oracle import Errors, Judge, Oracle, habit
from benchmarks.tricky import KNOWN, RIGHT, TRICKY, WELL_SAID
from triptych.core.config import parse_config
from triptych.core.plugins import find
from triptych.core.records import Answer, Json
from triptych.data.transform import draw
from triptych.evaluate.certainty.statistics import wilson
from triptych.generate.annotations.albums import read as read_albums
from triptych.generate.item import Annotation, Item, Refusal
from triptych.generate.kit.kinds import KINDS
from triptych.generate.kit.planted import FAULTS, plant
from triptych.generate.question import Layout, Question, question_of, reorder, with_question
from triptych.generate.stage import Made, Stage
from triptych.generate.stages.from_truth import FromTruth
from triptych.generate.stages.from_truth import each as ask_truth
from triptych.infer.canned import CannedResponder
from triptych.infer.opening import open_responder
from triptych.infer.responder import Failed, Responder
from triptych.infer.words import WordsResponder
from triptych.models.disk.locate import locate


@dataclass(frozen=True, slots=True)
class Trial:
    """A check, with what it should catch."""

    check: str
    faults: tuple[str, ...]
    settings: dict[str, Json]
    asks: bool = False
    among: Callable[[Question], bool] = lambda question: True
    """Which good items it is tried on."""
    note: str = ""


BINARY = ("yes", "no", "true", "false")
TRIALS = (
    Trial("blind", ("blind",), {}, True, lambda q: bool(q.options), "choices"),
    Trial("blind", (), {}, True, lambda q: q.answer in BINARY, "yes or no"),
    Trial("blind", ("blind",), {}, True, lambda q: not q.options and q.answer not in BINARY, "free"),
    Trial(
        "single_image",
        ("single image",),
        {"then": "refuse"},
        True,
        lambda q: len(q.needs) > 1 and not KINDS[q.kind].quantified,
    ),
    Trial("swap", ("swap",), {}, True, lambda q: q.swap != "unknown"),
    Trial("consistency", ("wrong answer",), {}, True),
    Trial("judged", ("wrong answer",), {}, True),
    Trial("verify", ("wrong answer",), {"by": ["words"]}, note="words alone"),
    Trial("references", ("no such image",), {}),
    Trial("filter", ("declines", "leaks", "unfilled", "copies", "loops"), {}),
    Trial("safe_text", ("personal",), {}),
    Trial("language", ("language",), {}),
    Trial("dedup", ("repeat",), {}),
)


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95% interval (Wilson)."""

    share: float | None
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What a check did with good and bad items."""

    check: str
    note: str
    responder: str
    good: int
    bad: int
    caught: int
    refused_good: int
    precision: Rate
    """Of what it refuses, the share that is bad, were both equally frequent as here."""
    recall: Rate
    """Of the bad, the share that it refuses."""
    kept_good: Rate
    missed: dict[str, int]
    """Fault -> bad items that it let through."""


def main() -> None:
    """Measure, print the table, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--albums", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--errors", type=float, default=0.1, help="of the scripted responder, when it sees and knows")
    parser.add_argument("--model", default="", help="also ask this one: starter, a folder, a hub id, an address")
    parser.add_argument("--sees", action="store_true", help="the model takes images")
    parser.add_argument("--ask", default="", help="ask the model for these checks alone, e.g. blind,consistency")
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    with TemporaryDirectory() as folder:
        good = good_items(Path(folder), albums=said.albums, seed=said.seed)
        bad = bad_items(good, seed=said.seed)
        oracle = Oracle(Errors(said.errors, said.errors), seed=said.seed)
        records = {item.id: _question(item) for item in good}
        oracle.learn([*good, *(item for items in bad.values() for item in items)], good=records)
        scripted = CannedResponder(oracle, name=f"scripted, {said.errors:.0%} errors", by_id=False)
        judge = CannedResponder(Judge(oracle, [*good, *bad["wrong answer"]]), name=scripted.name, by_id=False)
        rows = [
            measure(trial, good, bad, responder=judge if trial.check == "judged" else scripted, sees=True)
            for trial in TRIALS
        ]
        liked = CannedResponder(habit, name="always yes, 2, image 1", by_id=False)
        by_habit = [trial for trial in TRIALS if trial.check in ("blind", "single_image", "swap")]
        rows += [measure(trial, good, bad, responder=liked, sees=True) for trial in by_habit]
        if said.model:
            model = _open(said.model)
            only = said.ask.split(",") if said.ask else [trial.check for trial in TRIALS]
            rows += [
                measure(trial, good, bad, responder=model, sees=said.sees)
                for trial in TRIALS
                if trial.asks and trial.check in only
            ]
        balance = measure_balance(good, seed=said.seed)
    sys.stdout.write(as_markdown(rows, balance))
    if said.out:
        said.out.write_text(json.dumps({"checks": [asdict(row) for row in rows], "balance": balance}, indent=1) + "\n")


def good_items(folder: Path, *, albums: int, seed: int) -> list[Item]:
    """Return verified questions about drawn albums."""
    settings = FromTruth(per_item=5, styles=("number", "ordinal"))
    items: list[Item] = []
    for annotation in read_albums(folder, {"count": str(albums), "seed": str(seed)}):
        assert not hasattr(annotation, "where"), "an album is never refused"
        item = Item(annotation.id, annotation)
        made = ask_truth(item, settings, draw(seed, item.id))
        items += [each for each in made if isinstance(each, Item)]
    return items


def bad_items(good: Sequence[Item], *, seed: int) -> dict[str, list[Item]]:
    """Return for each fault the items that it was planted in: of every good one that can have it."""
    found: dict[str, list[Item]] = {}
    for fault in FAULTS:
        made = (plant(item, fault, random=draw(seed, fault, item.id), layout=Layout()) for item in good)
        found[fault] = [item for item in made if item is not None]
    return found


def tricky_items(check: str) -> list[Item]:
    """Return good questions that look like bad ones to a check, about images of their own."""
    said = [(text, "yes" if text.startswith(("Is", "Do", "Are")) else "image 1") for text in TRICKY]
    pairs = {"filter": (*said, *WELL_SAID), "verify": RIGHT}.get(check, tuple(said))
    made = []
    for number, (text, answer) in enumerate(pairs):
        name = f"tricky-{number}"
        made.append(with_question(Item(name, Annotation(name, KNOWN)), Question(text, answer), layout=Layout()))
    return made


def measure(
    trial: Trial, good: Sequence[Item], bad: dict[str, list[Item]], *, responder: Responder, sees: bool
) -> Measured:
    """Return what a check does with the good items and with those of its faults."""
    stage = find("stage", trial.check, expected=Stage)
    said = {**trial.settings, **({"sees": sees} if trial.asks else {})}
    settings = parse_config(json.dumps(said), model=stage.settings, file=trial.check)
    tried = [item for item in good if trial.among(_question(item))]
    if trial.check in ("references", "filter", "safe_text", "language", "verify"):
        tried += tricky_items(trial.check)
    planted = [
        item for fault in trial.faults for item in bad[fault] if trial.note == "" or trial.among(_question(item))
    ]
    made = list(run(stage, settings, [*tried, *planted], responder))
    refused = {each.item.id for each in made if isinstance(each, Refusal)}
    caught = [item for item in planted if item.id in refused]
    wronged = [item for item in tried if item.id in refused]
    missed = Counter(str(item.facts["planted"]) for item in planted if item.id not in refused)
    return Measured(
        trial.check,
        trial.note,
        responder.name if trial.asks else "",
        len(tried),
        len(planted),
        len(caught),
        len(wronged),
        precision=rate(len(caught), len(caught) + len(wronged)),
        recall=rate(len(caught), len(planted)),
        kept_good=rate(len(tried) - len(wronged), len(tried)),
        missed=dict(missed),
    )


def run(stage: Stage, settings: Any, items: Sequence[Item], responder: Responder) -> Iterator[Made]:
    """Yield what a stage makes of items, its requests answered at once."""
    if stage.whole is not None:
        yield from stage.whole(iter(items), settings, 0)
        return
    if stage.each is not None:
        for item in items:
            yield from stage.each(item, settings, draw(item.id))
        return
    assert stage.ask is not None, "a check asks, or looks at each item, or at all"
    assert stage.take is not None, "who asks takes replies"
    requests = [stage.ask(item, settings, draw(item.id)) for item in items]
    questions = [
        replace(request.question, id=f"{at}/{number}", facts={"sample": request.sample})
        for at, several in enumerate(requests)
        for number, request in enumerate(several)
    ]
    most = max((request.max_tokens for several in requests for request in several), default=1)
    replies = {reply.id: reply for reply in responder.answer(questions, max_tokens=most)}
    for at, (item, several) in enumerate(zip(items, requests, strict=True)):
        taken: list[Answer | Failed] = [replies[f"{at}/{number}"] for number in range(len(several))]
        yield from stage.take(item, settings, taken)


def measure_balance(good: Sequence[Item], *, seed: int) -> dict[str, Json]:
    """Return how far guessing the most frequent answer gets before and after balancing, on skewed items."""
    skewed: list[Item] = []
    for item in good:
        question = _question(item)
        if question.options:  # as language models write them: the right one first
            others = [option for option in question.options if option != question.answer]
            skewed.append(reorder(item, [question.answer, *others]))
        elif question.answer not in ("no", "false") or draw(seed, "skew", item.id).random() < 0.3:
            skewed.append(item)
    stage = find("stage", "balance", expected=Stage)
    assert stage.whole is not None, "balance looks at all items"
    kept = [each for each in stage.whole(iter(skewed), stage.settings(), seed) if isinstance(each, Item)]
    return {"items": len(skewed), "kept": len(kept), "before": _guessing(skewed), "after": _guessing(kept)}


def _guessing(items: Sequence[Item]) -> dict[str, Json]:
    """Return the share of the most frequent place of three and four options, and of yes and true."""
    places: dict[int, Counter[int]] = {}
    answers: Counter[str] = Counter()
    for item in items:
        question = _question(item)
        if len(question.options) > 2:
            places.setdefault(len(question.options), Counter())[question.options.index(question.answer)] += 1
        elif question.answer in ("yes", "no", "true", "false"):
            answers[question.answer] += 1
    told: dict[str, Json] = {
        f"most frequent of {count} places": round(max(found.values()) / found.total(), 4)
        for count, found in sorted(places.items())
    }
    for one, other in (("yes", "no"), ("true", "false")):
        total = answers[one] + answers[other]
        told[one] = round(answers[one] / total, 4) if total else None
    return told


def rate(count: int, total: int) -> Rate:
    """Return a share with its interval."""
    if not total:
        return Rate(None, 0.0, 1.0, 0)
    low, high = wilson(count, total)
    return Rate(round(count / total, 4), round(low, 4), round(high, 4), total)


def as_markdown(rows: Sequence[Measured], balance: dict[str, Json]) -> str:
    """Return the table."""
    lines = ["| check | responder | good | bad | precision | recall | good kept |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        name = f"{row.check} ({row.note})" if row.note else row.check
        told = " | ".join(map(_said, (row.precision, row.recall, row.kept_good)))
        lines.append(f"| {name} | {row.responder or '-'} | {row.good} | {row.bad} | {told} |")
    missed = [f"- {row.check} {row.note}: let through {row.missed}" for row in rows if row.missed]
    return "\n".join([*lines, "", *missed, f"- balance: {json.dumps(balance)}", ""])


def _said(rate: Rate) -> str:
    if rate.share is None:
        return "-"
    return f"{rate.share:.1%} [{rate.low:.1%}, {rate.high:.1%}]"


def _question(item: Item) -> Question:
    question = question_of(item)
    assert question is not None, "planted and verified items carry their question"
    return question


def _open(model: str) -> Responder:
    """Return the responder; ``starter`` is the language model that ships, which reads words alone."""
    if model != "starter":
        return open_responder(model).responder
    folder = locate("starter:smollm2-135m-instruct")
    return WordsResponder(folder, name=model, batch_tokens=4096, temperature=0.0, top_p=1.0, seed=0)


if __name__ == "__main__":
    main()
