"""Ask a benchmark's questions as they are and changed in one way at a time, and find out what the model leans on.

Not the changes (``perturbations``), their evidence (``findings``) nor the page (``diagnose_page``). Each condition is
asked as any benchmark is (``run``), into a folder of its own: after a kill nothing is asked twice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from triptych.core.errors import DataError, NotFoundError, RunError
from triptych.core.files import read_json_lines, write_atomically
from triptych.core.log import counted, say
from triptych.core.records import Example, Json
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.certainty.statistics import Score
from triptych.evaluate.diagnosis.conditions import BLIND, CONDITIONS, LEFT_OUT, OPTION_ORDER, UNCHANGED, Condition
from triptych.evaluate.diagnosis.darkroom import Darkroom
from triptych.evaluate.diagnosis.findings import Asked, Finding, corrected, finding_of
from triptych.evaluate.diagnosis.perturbations import Bench, Skipped, changed_by, of_question
from triptych.evaluate.diagnosis.places import (
    Groups,
    Importance,
    OptionBias,
    by_images,
    by_place,
    importance_of,
    option_bias_of,
)
from triptych.evaluate.running.gather import read_evaluations
from triptych.evaluate.running.result import ITEMS, Result
from triptych.evaluate.running.run import evaluate
from triptych.infer.cache import AnswerCache
from triptych.infer.responder import Responder

T = TypeVar("T")
DIAGNOSIS = "diagnosis.json"
PICTURES = "pictures"
"""Folder of changed pictures, beside the benchmarks' folders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What a model leans on when it answers a benchmark."""

    benchmark: str
    about: str
    responder: str
    total: Score
    """Unchanged, over the questions that were asked."""
    failed: int
    available: int
    """Questions of the benchmark, asked or not."""
    findings: tuple[Finding, ...]
    by_images: Groups
    by_place: Groups
    """By the place of the deciding image, from 1."""
    place_known: str
    """How the deciding image is known."""
    importance: Importance | None
    option_bias: OptionBias | None
    unchanged: Mapping[str, Asked]
    """By id, in the benchmark's order."""
    changed: Mapping[str, tuple[Asked, ...]]
    """By condition."""


def diagnose(
    benchmark: Benchmark,
    path: Path,
    responder: Responder,
    *,
    folder: Path,
    name: str,
    limit: int | None = None,
    conditions: Sequence[Condition] = CONDITIONS,
    max_tokens: int | None = None,
    judge: Responder | None = None,
    cache: AnswerCache | None = None,
    seed: int = 0,
) -> Diagnosis:
    """Ask what has no answer yet under each condition, and return what was found.

    Args:
        benchmark: whose questions.
        path: where they are.
        responder: who answers.
        folder: of all diagnoses of the model; this one goes into ``folder/NAME``, changed pictures beside it.
        name: the benchmark's.
        limit: ask this many, evenly spaced over the benchmark; None: all.
        conditions: which ones, besides the unchanged questions.
        max_tokens: most tokens of a reply; None: as the benchmark has it.
        judge: who marks the replies, where the benchmark asks a judge.
        cache: replies of other runs; None: there are none.
        seed: of all that is drawn, with the question's id.

    Raises:
        DataError: the benchmark cannot be read, has no questions, or two with one id.
        ConfigError: the benchmark needs a judge and has none.
        RunError: no question got a reply that has a score as it is, so that nothing can be held against it; the
            responder broke its contract, or another process works in the folder.
    """
    everything = [row for row in benchmark.questions(path) if isinstance(row, Example | Refused)]
    rows = spaced(everything, limit)
    questions = [row for row in rows if isinstance(row, Example)]
    bench = Bench.of([row for row in everything if isinstance(row, Example)], Darkroom(folder / PICTURES), seed=seed)

    def put(asked: Sequence[Example | Refused], to: str) -> tuple[Result, tuple[Asked, ...]]:
        result = evaluate(
            replace(benchmark, questions=lambda _: asked),
            path,
            responder,
            folder=folder / name / to,
            blind=to == BLIND,
            max_tokens=max_tokens,
            judge=judge,
            cache=cache,
            seed=seed,
        )
        return result, _asked(folder / name / to, [row for row in asked if isinstance(row, Example)])

    result, found = put(rows, UNCHANGED)
    if not found:
        raise RunError(
            f"{name}: none of {counted(result.failed, 'question')} got a score as it is, so there is nothing to hold"
            f" the conditions against, and they were not asked.{_first_reason(folder / name / UNCHANGED)} Mend that,"
            " and give the same command again."
        )
    unchanged = {each.question.id: each for each in found}
    findings: list[Finding] = []
    changed: dict[str, tuple[Asked, ...]] = {}
    for condition in conditions:
        made, skipped, left = _made(condition, questions, bench)
        asked: tuple[Asked, ...] = ()
        failed = 0
        if made:
            outcome, asked = put(made, condition.name)
            failed = outcome.failed
        else:
            say(f"{condition.name}: applies to none of {len(questions)} questions")
        changed[condition.name] = asked
        findings.append(
            finding_of(condition, benchmark, unchanged, asked, skipped=skipped, left=left, failed=failed, seed=seed)
        )
    without: dict[str, list[Asked]] = {}
    for each in changed.get(LEFT_OUT, ()):
        without.setdefault(of_question(each.question), []).append(each)
    places, known = by_place(found, without, benchmark.chance, seed=seed)
    return Diagnosis(
        benchmark=name,
        about=benchmark.about,
        responder=responder.name,
        total=result.total,
        failed=result.failed,
        available=len(everything),
        findings=corrected(findings),
        by_images=by_images(found, benchmark.chance, seed=seed),
        by_place=places,
        place_known=known,
        importance=importance_of(unchanged, changed.get(LEFT_OUT, ()), seed=seed),
        option_bias=option_bias_of(unchanged, changed.get(OPTION_ORDER, ()), benchmark.chance, seed=seed),
        unchanged=unchanged,
        changed=changed,
    )


def spaced(rows: Sequence[T], limit: int | None) -> Sequence[T]:
    """Return at most ``limit`` of the rows, evenly spaced; None: all."""
    if limit is None or limit >= len(rows):
        return rows
    return [rows[number * len(rows) // limit] for number in range(limit)]


def diagnosis_to_json(found: Diagnosis) -> dict[str, Json]:
    """Return all numbers, from 0 to 1, for programs; ids of the questions whose score a condition changed."""
    return {
        "benchmark": found.benchmark,
        "responder": found.responder,
        "unchanged": _plain(asdict(found.total)),
        "failed": found.failed,
        "available": found.available,
        "conditions": {each.condition.name: _finding(each, found) for each in found.findings},
        "by_images": _groups(found.by_images),
        "by_place": {**_groups(found.by_place), "known": found.place_known},
        "left_out": None if found.importance is None else _plain(asdict(found.importance)),
        "option_order": None if found.option_bias is None else _plain(asdict(found.option_bias)),
    }


def write_diagnosis(folder: Path, found: Diagnosis) -> Path:
    """Write ``diagnosis.json`` into the diagnosis' folder and return its path."""
    path = folder / found.benchmark / DIAGNOSIS
    write_atomically(path, json.dumps(diagnosis_to_json(found), indent=1, ensure_ascii=False) + "\n")
    return path


def lines_of(found: Diagnosis) -> list[str]:
    """Return what ``triptych diagnose`` says: a line a condition, then what it means."""
    width = max(len(each.condition.title) for each in found.findings) if found.findings else 0
    total = found.total
    lines = [
        f"{found.benchmark}: {100 * total.score:.1f}% unchanged (95% interval {100 * total.low:.1f} to "
        f"{100 * total.high:.1f}), chance {100 * total.chance:.1f}%, {total.n} questions, {found.failed} failed"
    ]
    for each in found.findings:
        lines.append(f"  {each.condition.title:<{width}}  {each.means}")
        lines += [f"  {'':<{width}}  {each.numbers}"] if each.paired else []
        lines += [
            f"  {'':<{width}}  {counted(count, 'question')} not asked: {why}" for why, count in each.skipped.items()
        ]
    return lines


def _made(
    condition: Condition, questions: Sequence[Example], bench: Bench
) -> tuple[list[Example], dict[str, int], int]:
    """Return the changed questions, why there are none of how many, and how many the sample leaves out."""
    chosen = spaced(questions, condition.sample)
    made: list[Example] = []
    skipped: Counter[str] = Counter()
    for question in chosen:
        each = changed_by(condition.change, question, bench)
        if isinstance(each, Skipped):
            skipped[each.reason] += 1
        else:
            made += each
    return made, dict(skipped.most_common()), len(questions) - len(chosen)


def _asked(folder: Path, questions: Sequence[Example]) -> tuple[Asked, ...]:
    """Return what was said to questions, as the folder holds it; those without a score are left out."""
    found = read_evaluations(folder)
    if not found:
        raise NotFoundError(f"{folder}: no result of an evaluation.")
    items = found[0].items
    if unknown := items.keys() - {question.id for question in questions}:
        raise DataError(f"{folder}: holds a reply to {sorted(unknown)[0]!r}, which was not asked. Delete the folder.")
    return tuple(
        Asked(question, items[question.id].reply, items[question.id].score)
        for question in questions
        if question.id in items
    )


def _first_reason(folder: Path) -> str:
    """Return in a sentence why the first question of a folder has no score; empty: it does not say."""
    reasons = (str(row["failed"]) for row in read_json_lines(folder / ITEMS) if row.get("failed"))
    return next((f" The first: {reason.rstrip('.')}." for reason in reasons), "")


def _finding(each: Finding, found: Diagnosis) -> dict[str, Json]:
    moved: dict[str, Json] = {"fell": [], "rose": []}
    for asked in found.changed.get(each.condition.name, ()):
        before = found.unchanged.get(of_question(asked.question))
        if before is not None and asked.score != before.score:
            names = moved["fell" if asked.score < before.score else "rose"]
            assert isinstance(names, list)
            names.append(asked.question.id)
    return {
        "verdict": each.verdict,
        "means": each.means,
        **({} if each.paired is None else {"paired": _plain(asdict(each.paired))}),
        "p_holm": each.p_holm,
        "comparisons": each.of,
        "asked": each.asked,
        "replies_changed": each.replies_changed,
        "skipped": dict(each.skipped),
        "not_in_sample": each.left,
        "failed": each.failed,
        **moved,
    }


def _groups(groups: Groups) -> dict[str, Json]:
    return {"p": groups.p, "scores": {str(key): _plain(asdict(score)) for key, score in groups.scores.items()}}


def _plain(value: object) -> Json:
    """Return a record as JSON: keys as texts, intervals as lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    assert value is None or isinstance(value, bool | int | float | str), value
    return value
