"""Ask a benchmark's questions and score the replies: resumable at any kill, no question asked twice.

Every reply is a line of ``answers.jsonl`` before the next batch is asked. Scores are worked out from the lines at the
end, so a mended scorer needs no model. All questions = scored + failed; unanswered ones are scored 0 and counted
apart; failed ones (no reply could be got) are counted, told, and never scored.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

from triptych.core.errors import DataError, RunError
from triptych.core.files import append_json_line, write_atomically
from triptych.core.log import progress, say
from triptych.core.records import Example, Json
from triptych.data.format import Refused
from triptych.evaluate.answers import ANSWERS, Keys, Line, line_to_json, read_lines
from triptych.evaluate.benchmark import Benchmark, asked, fact, without_images
from triptych.evaluate.statistics import Score, majority, summarise
from triptych.infer.responder import Failed, Responder

RESULT = "result.json"
ITEMS = "items.jsonl"
"""One line a question, in the benchmark's order: key, id, score (null: failed), whether it was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a responder scored on a benchmark."""

    total: Score
    majority: float
    """Score of always giving the most frequent reference of a question's kind."""
    unanswered: int
    """Scored 0: the reply is empty, or names none or several of the options."""
    failed: int
    """Not scored: no reply could be got."""
    by_skill: dict[str, Score]
    by_scenario: dict[str, Score]
    by_kind: dict[str, Score]
    by_split: dict[str, Score]
    responder: str
    blind: bool


@dataclass(frozen=True, slots=True)
class _Scored:
    line: Line
    question: Example
    """With its images, also when it was asked blind."""
    score: float
    chance: float
    answered: bool


def evaluate(
    benchmark: Benchmark,
    path: Path,
    responder: Responder,
    *,
    folder: Path,
    blind: bool = False,
    limit: int | None = None,
    max_tokens: int = 32,
    seed: int = 0,
) -> Result:
    """Ask what has no answer in ``folder`` yet, score everything, write ``result.json`` and ``items.jsonl`` there.

    Args:
        benchmark: whose questions.
        path: where they are.
        responder: who answers.
        folder: ``runs/NAME/evals/BENCHMARK-PART-CONDITION``; made if need be.
        blind: take all images out of the questions, and nothing else.
        limit: ask this many, evenly spaced over the benchmark; None: all.
        max_tokens: most tokens of one reply.
        seed: of the bootstrap.

    Raises:
        DataError: the benchmark cannot be read, has no questions, or two with one id.
        RunError: the responder broke its contract.
    """
    questions, refused = _read(benchmark, path, limit)
    keys = Keys(responder.name, responder.fingerprint, max_tokens)
    prompts = {question.id: without_images(question) if blind else question for question in questions}
    key_of = {name: keys.of(asked(prompt)) for name, prompt in prompts.items()}
    answers = folder / ANSWERS
    known = read_lines(answers)
    missing = [prompt for name, prompt in prompts.items() if key_of[name] not in known or known[key_of[name]].failed]
    if missing:
        _ask(missing, responder, key_of=key_of, answers=answers, max_tokens=max_tokens)
        known = read_lines(answers)
    scored = [_score(benchmark, question, known[key_of[question.id]]) for question in questions]
    result = _result(scored, benchmark, refused=len(refused), asked_of=responder.name, blind=blind, seed=seed)
    _write(folder, scored, refused, result)
    return result


def result_to_json(result: Result) -> dict[str, Json]:
    """Return the result as ``result.json`` holds it: the total's numbers on top, groups below."""
    said = asdict(result)
    total: dict[str, Json] = said.pop("total")
    return {**total, **said}


def _read(benchmark: Benchmark, path: Path, limit: int | None) -> tuple[list[Example], list[Refused]]:
    rows = list(benchmark.questions(path))
    if limit is not None and limit < len(rows):
        rows = [rows[number * len(rows) // limit] for number in range(limit)]
    questions = [row for row in rows if isinstance(row, Example)]
    refused = [row for row in rows if isinstance(row, Refused)]
    if not questions:
        why = f" The first of {len(refused)} refused rows: {refused[0].message}" if refused else ""
        raise DataError(f"{path}: no questions.{why}")
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise DataError(f"{question.origin or path}: the id {question.id!r} is there twice. Give each row its own.")
        seen.add(question.id)
    return questions, refused


def _ask(
    missing: Sequence[Example], responder: Responder, *, key_of: dict[str, str], answers: Path, max_tokens: int
) -> None:
    open_ones = {question.id: question for question in missing}
    with progress(answers.parent.name, len(missing)) as advance:
        for said in responder.answer([asked(question) for question in missing], max_tokens=max_tokens):
            question = open_ones.pop(said.id, None)
            if question is None:
                raise RunError(f"{responder.name} answered {said.id!r}, which was not asked, or not again.")
            line = Line(key=key_of[said.id], question=question, responder=responder.name)
            if isinstance(said, Failed):
                line = replace(line, failed=said.reason)
            else:
                line = replace(line, reply=said.text, tokens_in=said.tokens_in, tokens_out=said.tokens_out)
            append_json_line(answers, line_to_json(line))
            advance(1)
    for question in open_ones.values():
        line = Line(key=key_of[question.id], question=question, responder=responder.name)
        line = replace(line, failed=f"{responder.name} gave no answer to {question.id!r}.")
        append_json_line(answers, line_to_json(line))


def _score(benchmark: Benchmark, question: Example, line: Line) -> _Scored:
    if line.failed:
        return _Scored(line, question, 0.0, benchmark.chance(question), answered=False)
    score = benchmark.score(question, line.reply)
    if not 0 <= score <= 1:
        raise DataError(f"{question.origin or question.id}: the benchmark's score is {score}, not from 0 to 1.")
    answered = benchmark.answered(question, line.reply)
    return _Scored(line, question, score, benchmark.chance(question), answered)


def _result(
    scored: Sequence[_Scored], benchmark: Benchmark, *, refused: int, asked_of: str, blind: bool, seed: int
) -> Result:
    counted = [item for item in scored if not item.line.failed]

    def grouped(group: str) -> dict[str, Score]:
        groups: defaultdict[str, list[_Scored]] = defaultdict(list)
        for item in counted:
            names = item.question.skills if group == "skill" else (fact(item.question, group),)
            for name in names:
                if name:
                    groups[name].append(item)
        return {name: _summary(groups[name], seed) for name in sorted(groups)}

    return Result(
        total=_summary(counted, seed),
        majority=majority((fact(item.question, "kind"), benchmark.label(item.question)) for item in scored),
        unanswered=sum(not item.answered for item in counted),
        failed=len(scored) - len(counted) + refused,
        by_skill=grouped("skill"),
        by_scenario=grouped("scenario"),
        by_kind=grouped("kind"),
        by_split=grouped("split"),
        responder=asked_of,
        blind=blind,
    )


def _summary(items: Sequence[_Scored], seed: int) -> Score:
    # Questions without a story share nothing that we know of: each is a story of its own.
    stories = [item.question.facts.get("story") or ("alone", item.question.id) for item in items]
    return summarise(
        [item.score for item in items],
        chances=[item.chance for item in items],
        clusters=[str(story) for story in stories],
        seed=seed,
    )


def _write(folder: Path, scored: Sequence[_Scored], refused: Iterable[Refused], result: Result) -> None:
    items: Iterable[dict[str, Json]] = chain(
        (
            {
                "key": item.line.key,
                "id": item.question.id,
                "score": None if item.line.failed else item.score,
                "answered": item.answered,
            }
            for item in scored
        ),
        ({"key": "", "id": row.where, "score": None, "answered": False, "failed": row.message} for row in refused),
    )
    write_atomically(folder / ITEMS, "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items))
    write_atomically(folder / RESULT, json.dumps(result_to_json(result), indent=1, ensure_ascii=False) + "\n")
    if result.failed:
        total = result.failed + result.total.n
        say(f"{folder}: {result.failed} of {total} questions got no reply and are not scored; {ANSWERS} says why.")
