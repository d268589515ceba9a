"""Ask a benchmark's questions as they are and changed in one way at a time, and find out what the model leans on.

Not the changes (``perturbations``), the evidence for their effect (``findings``), what follows from it (``outcome``)
nor the page (``page/diagnose_page``). Each condition is asked as any benchmark is (``running/run``), into a folder of
its own: after a kill nothing is asked twice.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import chain
from pathlib import Path

from triptych.core.errors import DataError, NotFoundError, RunError
from triptych.core.files import read_json_lines
from triptych.core.log import counted, say
from triptych.core.records import Example, Text, parts_of
from triptych.data.format import Refused
from triptych.data.media.kept import keeping_only
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.diagnosis.conditions import (
    BLIND,
    CONDITIONS,
    LEFT_OUT,
    OPTION_ORDER,
    UNCHANGED,
    WRONG_IMAGES,
    Condition,
)
from triptych.evaluate.diagnosis.findings import Finding, ScoredReply, base_of, corrected, finding_of
from triptych.evaluate.diagnosis.image_edits import ImageEdits
from triptych.evaluate.diagnosis.option_bias import option_bias_of
from triptych.evaluate.diagnosis.outcome import Diagnosis, concluded
from triptych.evaluate.diagnosis.perturbations import Context, Skipped, changed_by, of_question
from triptych.evaluate.diagnosis.places import by_images, by_place, importance_of
from triptych.evaluate.running.gather import read_evaluations
from triptych.evaluate.running.result import ITEMS, Result
from triptych.evaluate.running.run import evaluate
from triptych.evaluate.running.sample import kept_together, sample, sample_questions
from triptych.infer.answer_cache import AnswerCache
from triptych.infer.responder import Responder

Ask = Callable[[Sequence[Example | Refused], str], tuple[Result, tuple[ScoredReply, ...]]]
"""(rows, name of a condition) -> the result of asking them under it, and the replies that have a score."""
PICTURES = "pictures"
"""Folder of changed images, beside the benchmarks' folders."""


def diagnose(
    benchmark: Benchmark,
    path: Path,
    *,
    responder: Responder,
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
        folder: of all diagnoses of the model: this one goes into ``folder/NAME``, changed images into
            ``folder/pictures``.
        name: the benchmark's.
        limit: ask at most this many (``running/sample``); None: all.
        conditions: what is asked, besides the unchanged questions; all by default.
        max_tokens: most tokens of a reply; None: as the benchmark has it.
        judge: who marks the replies, where the benchmark asks a judge.
        cache: replies of other runs; None: there are none.
        seed: decides, with a question's id, all that is drawn.

    Raises:
        DataError: the benchmark cannot be read, has no questions, or two with one id.
        ConfigError: the benchmark needs a judge and has none.
        RunError: no question got a reply that has a score as it is, so that nothing can be held against it; the
            responder broke its contract, or another process works in the folder.
    """
    edits = ImageEdits(folder / PICTURES)
    everything, rows, context = _read(benchmark, path, limit=limit, conditions=conditions, edits=edits, seed=seed)

    def ask(rows: Sequence[Example | Refused], condition: str) -> tuple[Result, tuple[ScoredReply, ...]]:
        result = evaluate(
            replace(benchmark, questions=lambda _: rows),
            path,
            responder=responder,
            folder=folder / name / condition,
            blind=condition == BLIND,
            max_tokens=max_tokens,
            judge=judge,
            cache=cache,
            seed=seed,
        )
        return result, _scored_replies(folder / name / condition, [row for row in rows if isinstance(row, Example)])

    result, replies = ask(rows, UNCHANGED)
    if not replies:
        raise RunError(
            f"{name}: none of {counted(result.failed, 'question')} got a score as it is, so there is nothing to hold"
            f" the conditions against, and they were not asked.{_first_reason(folder / name / UNCHANGED)} Mend that,"
            " and give the same command again."
        )
    if not result.total.n:
        raise RunError(
            f"{name}: the {len(replies)} questions that got a score make no total: no pair of them is whole."
        )
    questions = [row for row in rows if isinstance(row, Example)]
    findings, changed = _ask_conditions(conditions, benchmark, questions, replies, ask=ask, context=context)
    return concluded(
        _diagnosis(benchmark, result, replies, findings, changed, name=name, available=len(everything), seed=seed)
    )


def _read(
    benchmark: Benchmark,
    path: Path,
    *,
    limit: int | None,
    conditions: Sequence[Condition],
    edits: ImageEdits,
    seed: int,
) -> tuple[list[Example | Refused], Sequence[Example | Refused], Context]:
    """Return all rows, those that are to be asked, and what the changes draw on.

    Under a limit, of pictures that have no file of their own only those are unpacked that will be shown or changed.
    """
    with nullcontext(set[str]()) if limit is None else keeping_only(()) as only_named:
        everything = [row for row in benchmark.questions(path) if isinstance(row, Example | Refused)]
    rows = sample_questions(everything, limit, whole=benchmark.pairs is not None)
    context = Context.from_questions([row for row in everything if isinstance(row, Example)], edits, seed=seed)
    if only_named:
        questions = [row for row in rows if isinstance(row, Example)]
        others = (_changed_questions(each, questions, context)[0] for each in conditions if each.name == WRONG_IMAGES)
        wanted = {
            part.source
            for question in chain(questions, *others)
            for part in parts_of(question)
            if not isinstance(part, Text)
        }
        with keeping_only(only_named & wanted):
            deque(benchmark.questions(path), maxlen=0)  # Once more: only now it is known whose pictures are needed.
    return everything, rows, context


def _ask_conditions(
    conditions: Sequence[Condition],
    benchmark: Benchmark,
    questions: Sequence[Example],
    replies: Sequence[ScoredReply],
    *,
    ask: Ask,
    context: Context,
) -> tuple[list[Finding], dict[str, tuple[ScoredReply, ...]]]:
    """Ask under each condition; return what each found, not yet corrected for the others, and its replies by name.

    Args:
        conditions: in the order in which they are asked: one comes after the one that it is held against.
        benchmark: whose questions.
        questions: as they are.
        replies: to the unchanged questions.
        ask: asks rows under a condition.
        context: what the changes draw on.
    """
    unchanged = {each.question.id: each for each in replies}
    findings: list[Finding] = []
    changed: dict[str, tuple[ScoredReply, ...]] = {}
    for condition in conditions:
        made, skipped, not_sampled = _changed_questions(condition, questions, context)
        asked: tuple[ScoredReply, ...] = ()
        failed = 0
        if made:
            result, asked = ask(made, condition.name)
            failed = result.failed
        else:
            say(f"{condition.name}: applies to none of {len(questions)} questions")
        changed[condition.name] = asked
        base = base_of(condition, unchanged, changed=changed)
        if lost := sum(of_question(each.question) in unchanged.keys() - base.keys() for each in asked):
            skipped["its words change too, and there is no reply to the same words"] = lost
        findings.append(
            finding_of(
                condition,
                benchmark,
                unchanged=base,
                changed=asked,
                skipped=skipped,
                not_sampled=not_sampled,
                failed=failed,
                seed=context.seed,
                confirming=changed.get(condition.confirmed_by, ()),
            )
        )
    return findings, changed


def _diagnosis(
    benchmark: Benchmark,
    result: Result,
    replies: Sequence[ScoredReply],
    findings: Sequence[Finding],
    changed: Mapping[str, tuple[ScoredReply, ...]],
    *,
    name: str,
    available: int,
    seed: int,
) -> Diagnosis:
    """Return the findings and what the replies show of the number and the places of images and options.

    Args:
        benchmark: whose questions.
        result: of the unchanged questions.
        replies: to the unchanged questions.
        findings: of the conditions, not yet corrected for each other.
        changed: replies under each condition, by its name.
        name: the benchmark's.
        available: questions of the benchmark, asked or not.
        seed: of tests and bootstrap.
    """
    unchanged = {each.question.id: each for each in replies}
    left_out, option_order = changed.get(LEFT_OUT, ()), changed.get(OPTION_ORDER, ())
    places, known = by_place(
        replies, _by_question(left_out), chance=benchmark.chance, seed=seed, orders=_by_question(option_order)
    )
    return Diagnosis(
        benchmark=name,
        about=benchmark.about,
        responder=result.responder,
        total=result.total,
        failed=result.failed,
        available=available,
        findings=corrected(findings),
        by_images=by_images(replies, benchmark.chance, seed=seed),
        by_place=places,
        place_known=known,
        importance=importance_of(unchanged, left_out, seed=seed),
        option_bias=option_bias_of(unchanged, option_order, chance=benchmark.chance, seed=seed),
        unchanged=unchanged,
        changed=changed,
    )


def _by_question(changed: Sequence[ScoredReply]) -> dict[str, list[ScoredReply]]:
    grouped: dict[str, list[ScoredReply]] = {}
    for each in changed:
        grouped.setdefault(of_question(each.question), []).append(each)
    return grouped


def _changed_questions(
    condition: Condition, questions: Sequence[Example], context: Context
) -> tuple[list[Example], dict[str, int], int]:
    """Return the changed questions, how many it does not apply to by reason, and how many are not in the sample."""
    together = kept_together(questions)
    chosen = sample(questions, condition.sample, story=lambda question: together[id(question)])
    made: list[Example] = []
    skipped: Counter[str] = Counter()
    for question in chosen:
        each = changed_by(condition.change, question, context=context)
        if isinstance(each, Skipped):
            skipped[each.reason] += 1
        else:
            made += each
    return made, dict(skipped.most_common()), len(questions) - len(chosen)


def _scored_replies(folder: Path, questions: Sequence[Example]) -> tuple[ScoredReply, ...]:
    """Return the replies that a folder holds, in the order of the questions; those without a score are left out."""
    found = read_evaluations(folder)
    if not found:
        raise NotFoundError(f"{folder}: no result of an evaluation.")
    items = found[0].items
    if unknown := items.keys() - {question.id for question in questions}:
        raise DataError(f"{folder}: holds a reply to {sorted(unknown)[0]!r}, which was not asked. Delete the folder.")
    return tuple(
        ScoredReply(question, items[question.id].reply, items[question.id].score)
        for question in questions
        if question.id in items
    )


def _first_reason(folder: Path) -> str:
    """Return in a sentence why the first question of a folder has no score; empty: it does not say."""
    reasons = (str(row["failed"]) for row in read_json_lines(folder / ITEMS) if row.get("failed"))
    return next((f" The first: {reason.rstrip('.')}." for reason in reasons), "")
