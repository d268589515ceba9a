"""Ask a benchmark's questions as they are and changed in one way at a time, and find out what the model leans on.

Not the changes (``perturbations``), their evidence (``findings``), what is told (``outcome``) nor the page
(``diagnose_page``). Each condition is asked as any benchmark is (``run``), into a folder of its own: after a kill
nothing is asked twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from triptych.core.errors import DataError, NotFoundError, RunError
from triptych.core.files import read_json_lines
from triptych.core.log import counted, say
from triptych.core.records import Example
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.diagnosis.conditions import BLIND, CONDITIONS, LEFT_OUT, OPTION_ORDER, UNCHANGED, Condition
from triptych.evaluate.diagnosis.darkroom import Darkroom
from triptych.evaluate.diagnosis.findings import Asked, Finding, base_of, corrected, finding_of
from triptych.evaluate.diagnosis.option_bias import option_bias_of
from triptych.evaluate.diagnosis.outcome import Diagnosis, concluded
from triptych.evaluate.diagnosis.perturbations import Bench, Skipped, changed_by, of_question
from triptych.evaluate.diagnosis.places import by_images, by_place, importance_of
from triptych.evaluate.running.gather import read_evaluations
from triptych.evaluate.running.result import ITEMS, Result
from triptych.evaluate.running.run import evaluate
from triptych.infer.answer_cache import AnswerCache
from triptych.infer.responder import Responder

T = TypeVar("T")
PICTURES = "pictures"
"""Folder of changed pictures, beside the benchmarks' folders."""


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
        base = base_of(condition, unchanged, changed)
        if lost := sum(of_question(each.question) in unchanged.keys() - base.keys() for each in asked):
            skipped["its words change too, and there is no reply to the same words"] = lost
        findings.append(
            finding_of(
                condition,
                benchmark,
                base,
                asked,
                skipped=skipped,
                left=left,
                failed=failed,
                seed=seed,
                confirming=changed.get(condition.confirmed_by, ()),
            )
        )
    without, orders = (_by_question(changed.get(name, ())) for name in (LEFT_OUT, OPTION_ORDER))
    places, known = by_place(found, without, benchmark.chance, seed=seed, orders=orders)
    return concluded(
        Diagnosis(
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
    )


def spaced(rows: Sequence[T], limit: int | None) -> Sequence[T]:
    """Return at most ``limit`` of the rows, evenly spaced; None: all."""
    if limit is None or limit >= len(rows):
        return rows
    return [rows[number * len(rows) // limit] for number in range(limit)]


def _by_question(changed: Sequence[Asked]) -> dict[str, list[Asked]]:
    grouped: dict[str, list[Asked]] = {}
    for each in changed:
        grouped.setdefault(of_question(each.question), []).append(each)
    return grouped


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
