"""Ask a benchmark's questions and score the replies: resumable at any kill, no question asked twice.

Every reply is a line of ``answers.jsonl`` before the next batch is asked (``collect``). Scores are worked out from the
lines at the end (``result``), so a mended scorer needs no model.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from triptych.core.errors import DataError, NotFoundError
from triptych.core.files import only_one
from triptych.core.records import Example, Text, parts_of
from triptych.core.shard import Shard
from triptych.data.format import Refused, RowError
from triptych.data.formats import messages
from triptych.data.media.kept import keeping_only
from triptych.evaluate.benchmark import Benchmark, asked, without_images
from triptych.evaluate.reading.answers import Keys, Line
from triptych.evaluate.running.asked import LOCK, Asked, groups_of, read_asked, references_of, write_asked
from triptych.evaluate.running.collect import collect_replies
from triptych.evaluate.running.result import Result, check_judge, result_of, score_all
from triptych.evaluate.running.sample import sample_questions
from triptych.evaluate.running.shards import part_of
from triptych.evaluate.running.writing import set_aside, write_result
from triptych.infer.answer_cache import AnswerCache, Digests, prompt_key
from triptych.infer.responder import Responder, knows_ids


def evaluate(
    benchmark: Benchmark,
    path: Path,
    *,
    responder: Responder,
    folder: Path,
    blind: bool = False,
    limit: int | None = None,
    max_tokens: int | None = None,
    judge: Responder | None = None,
    seed: int = 0,
    name: str = "",
    shard: Shard | None = None,
    cache: AnswerCache | None = None,
) -> Result:
    """Ask what has no answer in ``folder`` yet, score everything, write ``result.json`` and ``items.jsonl`` there.

    Args:
        benchmark: whose questions.
        path: where they are.
        responder: who answers.
        folder: ``runs/NAME/evals/BENCHMARK-PART-CONDITION``; made if need be.
        blind: take all images out of the questions, and nothing else.
        limit: ask at most this many (``sample``); None: all.
        max_tokens: most tokens of one reply; None: as the benchmark has it.
        judge: who marks the replies, where the benchmark asks a judge.
        seed: of the bootstrap.
        name: the benchmark's, for `merge.merge`; empty: parts of it cannot be scored there.
        shard: ask and score this part only; None: all.
        cache: replies of other runs of the same responder; None: none are looked for and none kept.

    Raises:
        DataError: the benchmark cannot be read, has no questions, or two with one id.
        ConfigError: the benchmark needs a judge and has none.
        RunError: the responder broke its contract, or another process works in the folder.
    """
    check_judge(benchmark, judge)
    max_tokens = benchmark.max_tokens if max_tokens is None else max_tokens
    everything, questions, refused = _read(benchmark, path, limit)
    prompts = {question.id: without_images(question) if blind else question for question in questions}
    key_of, prompt_key_of = _keys_of(prompts, responder, max_tokens=max_tokens)
    what = Asked(
        benchmark=name,
        responder=responder.name,
        fingerprint=responder.fingerprint,
        max_tokens=max_tokens,
        blind=blind,
        judged=judge is not None,
        shard=str(shard or ""),
        references=references_of(questions),
        groups=groups_of(benchmark, everything),
        distinct=len(key_of if knows_ids(responder) else set(prompt_key_of.values())),
        keys=key_of,
        refused=tuple(refused),
    )
    if shard is not None:
        questions, refused = part_of(questions, shard), refused if shard.number == 1 else []
    with only_one(folder / LOCK):
        if not _is_asked(folder, what):
            set_aside(folder)  # else it would read as one of this asking where that is killed
        write_asked(folder, what)
        known = collect_replies(
            [prompts[question.id] for question in questions],
            responder,
            key_of=key_of,
            prompt_key_of=prompt_key_of,
            folder=folder,
            max_tokens=max_tokens,
            cache=cache,
        )
        lines = [(question, known[key_of[question.id]]) for question in questions]
        return _score(benchmark, lines, refused, what, judge=judge, folder=folder, seed=seed)


def _is_asked(folder: Path, what: Asked) -> bool:
    """Return whether a folder says that the same was asked there in the same way."""
    try:
        return read_asked(folder) == what
    except (NotFoundError, DataError):
        return False


def _keys_of(
    prompts: Mapping[str, Example], responder: Responder, *, max_tokens: int
) -> tuple[dict[str, str], dict[str, str]]:
    """Return, by a question's id, the key of its line and the key of its prompt, which equal prompts share.

    Args:
        prompts: by id, with their references as last turns.
        responder: who is asked.
        max_tokens: most tokens of a reply.
    """
    digests = Digests()
    keys = Keys(responder.name, responder.fingerprint, max_tokens, digests=digests)
    key_of, prompt_key_of = {}, {}
    for question_id, prompt in prompts.items():
        key_of[question_id] = keys.of(asked(prompt))
        prompt_key_of[question_id] = prompt_key(
            asked(prompt), fingerprint=responder.fingerprint, max_tokens=max_tokens, digests=digests
        )
    return key_of, prompt_key_of


def _score(
    benchmark: Benchmark,
    lines: Sequence[tuple[Example, Line]],
    refused: Sequence[Refused],
    what: Asked,
    *,
    judge: Responder | None,
    folder: Path,
    seed: int,
) -> Result:
    """Score the questions that were asked, write the result into the folder, and return it."""
    scored = score_all(benchmark, lines, judge=judge, folder=folder)
    result = result_of(
        scored,
        benchmark,
        groups=what.groups,
        refused=len(refused),
        responder=what.responder,
        judge=judge,
        blind=what.blind,
        seed=seed,
    )
    write_result(folder, scored, refused=refused, result=result, max_tokens=what.max_tokens)
    return result


def _read(benchmark: Benchmark, path: Path, limit: int | None) -> tuple[list[Example], list[Example], list[Refused]]:
    """Return all questions, those that are to be asked, and the rows that are none."""
    if limit is None:
        rows, only_named = [_checked(row) for row in benchmark.questions(path)], set[str]()
    else:
        with keeping_only(()) as only_named:
            rows = [_checked(row) for row in benchmark.questions(path)]
    everything = [row for row in rows if isinstance(row, Example)]
    sampled = sample_questions(rows, limit, whole=benchmark.pairs is not None)
    questions = [row for row in sampled if isinstance(row, Example)]
    refused = [row for row in sampled if isinstance(row, Refused)]
    if not questions:
        why = f" The first of {len(refused)} refused rows: {refused[0].message}" if refused else ""
        raise DataError(f"{path}: no questions.{why}")
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise DataError(f"{question.origin or path}: the id {question.id!r} is there twice. Give each row its own.")
        seen.add(question.id)
    shown = {part.source for question in questions for part in parts_of(question) if not isinstance(part, Text)}
    if only_named & shown:
        with keeping_only(only_named & shown):
            deque(benchmark.questions(path), maxlen=0)  # Once more: only now it is known whose pictures are needed.
    return everything, questions, refused


def _checked(row: Example | Refused) -> Example | Refused:
    """Return the row, or the refusal of one that no file of answers can hold: half a letter, a number that is none."""
    if isinstance(row, Refused):
        return row
    try:
        json.dumps(messages.row_of(row)[0], ensure_ascii=False, allow_nan=False).encode()
    except (RowError, ValueError, TypeError) as error:
        where = row.origin or row.id
        return Refused(where, "cannot be written down", f"{where}: it cannot be written down ({error}). Mend the row.")
    return row
