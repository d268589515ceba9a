"""Scores worked out anew from a run folder alone, without a model: after a scorer was mended, or to check a result.

Reads ``answers.jsonl`` (questions with references, and replies), ``asked.json`` and ``items.jsonl`` (which of them
count) and of ``verdicts.jsonl`` what the result's judge said, asked as it was; asks nobody. What it tells is what
changed since ``result.json`` was written. Where questions have not been asked yet, it tells how many and writes no
result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from triptych.core.errors import DataError, NotFoundError
from triptych.core.files import read_json_lines
from triptych.core.plugins import find
from triptych.core.records import Answer, Example, Json
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.certainty.statistics import Score, score_to_json
from triptych.evaluate.reading.answers import ANSWERS, Line, read_lines
from triptych.evaluate.reading.judge import VERDICTS, prompts_of, words_of
from triptych.evaluate.running.asked import ASKED, Asked, groups_of, read_asked
from triptych.evaluate.running.gather import BLIND, EVALS, Evaluation, parse_name, read_evaluations
from triptych.evaluate.running.result import ITEMS, RESULT, Result, Scored, result_of, score_all
from triptych.evaluate.running.writing import write_result
from triptych.evaluate.saved.one_asking import lines_of_one_asking


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescored:
    """One evaluation, before and after."""

    name: str
    """Of its folder."""
    before: Score | None
    """None: there was no result."""
    after: Score
    changed: tuple[str, ...]
    """Ids of the questions whose score is another one."""
    unanswered: int
    failed: int
    compared: int
    """Questions whose score so far is known."""
    lost: bool = False
    """None of the verdicts that it had was found: what is scored is no result."""
    not_asked: int = 0
    """Questions that have no line yet, as the evaluation was stopped: what is scored is no result."""


def rescore_run(run: Path, *, benchmark: str | None = None, write: bool = True, seed: int = 0) -> list[Rescored]:
    """Score every evaluation of a run, of a folder of evaluations, or one, anew.

    Args:
        run: where they are.
        benchmark: whose rules; None: as ``asked.json`` says, else the folder's name, ``BENCHMARK-PART-CONDITION``.
        write: replace ``result.json`` and ``items.jsonl`` of evaluations that were asked to their end.
        seed: of the bootstrap.

    Raises:
        NotFoundError: nothing was answered there, or no benchmark has that name.
        DataError: a file is not what it should be.
    """
    folder = run / EVALS if (run / EVALS).is_dir() else run
    paths = [folder] if (folder / ANSWERS).is_file() else sorted(path.parent for path in folder.glob(f"*/{ANSWERS}"))
    if not paths:
        raise NotFoundError(f"{run}: no answers there (*/{ANSWERS}). Name a run, or its folder {EVALS}.")
    return [_rescore(path, benchmark, write=write, seed=seed) for path in paths]


def lines_of(found: Sequence[Rescored]) -> list[str]:
    """Return what `triptych rescore` says: scores in percent, and what changed."""
    lines = []
    for one in found:
        now = f"nothing was scored, {one.failed} failed"
        if one.after.n:
            span = f"({100 * one.after.low:.1f} to {100 * one.after.high:.1f})"
            now = f"{100 * one.after.score:.1f} {span}, {one.after.n} questions"
        if one.lost and one.before is not None:
            since = (
                f"was {100 * one.before.score:.1f}, and none of its verdicts is found in {VERDICTS} or can be read, so "
                f"{RESULT} stays as it is: evaluate with --judge again"
            )
        elif one.not_asked:
            total = one.not_asked + one.after.n + one.failed
            since = f"{one.not_asked} of {total} not asked, so this is no result: evaluate again to ask them"
        elif one.before is None:
            since = "there was no result"
        elif one.changed or not one.compared or one.before.score != one.after.score:
            named = ", ".join(one.changed[:3]) + (", ..." if len(one.changed) > 3 else "")
            was = f"was {100 * one.before.score:.1f}" if one.before.n else "nothing was scored before"
            changed = "no score changed, but how they are added up"
            if one.changed:
                changed = f"{len(one.changed)} of {one.after.n + one.failed} scores changed: {named}"
            elif not one.compared:
                changed = "which scores changed is not known, as the former ones are not there"
            since = f"{was}; {changed}"
        else:
            since = "as it was"
        lines.append(f"{one.name}: {now}; {since}")
    return lines


def rescored_to_json(found: Sequence[Rescored]) -> list[Json]:
    """Return one mapping for each evaluation, scores from 0 to 1; null where nothing was scored."""
    return [
        asdict(one)
        | {
            "before": None if one.before is None else score_to_json(one.before),
            "after": score_to_json(one.after),
            "changed": list(one.changed),
        }
        for one in found
    ]


def _rescore(folder: Path, named: str | None, *, write: bool, seed: int) -> Rescored:
    what: Asked | None = read_asked(folder) if (folder / ASKED).is_file() else None
    name = named or (what.benchmark if what else "") or parse_name(folder.resolve().name)[0]
    benchmark = find("benchmark", name, expected=Benchmark)
    before = read_evaluations(folder) if (folder / RESULT).is_file() else ()
    asked, refused, scores = _asked(folder, what)
    # A part was asked its own questions only: those that it was scored by.
    open_ones = len(what.keys) - len(asked) if what and not (what.shard and scores) else 0
    judge = _Recorded.of(folder, before[0], _older(benchmark, asked)) if before and before[0].judge else None
    if judge is not None and judge.max_tokens and benchmark.judge is not None:
        benchmark = replace(benchmark, judge=replace(benchmark.judge, max_tokens=judge.max_tokens))
    if what and what.judged and judge is None:
        raise DataError(
            f"{folder}: a judge marks these replies, and no result tells which. Evaluate with --judge again."
        )
    with TemporaryDirectory() as aside:  # where verdicts would be kept that are kept already
        if judge is not None and judge.max_tokens and (folder / VERDICTS).is_file():
            copyfile(folder / VERDICTS, Path(aside) / VERDICTS)
        scored = score_all(benchmark, asked, judge=judge, folder=Path(aside))
    result: Result = result_of(
        scored,
        benchmark,
        groups=(what and what.groups) or groups_of(benchmark, (question for question, _ in asked)),
        refused=len(refused),
        responder=asked[0][1].responder,
        judge=judge,
        blind=what.blind if what else before[0].blind if before else parse_name(folder.resolve().name)[2] == BLIND,
        seed=seed,
    )
    result = replace(result, judge_asking=before[0].judge_asking if before else None)
    known = sum(score is not None for score in scores.values()) or (before[0].total.n if before else 0)
    lost = _without_verdicts(scored) and known > sum(not item.failed for item in scored)
    if write and not open_ones and not lost:
        write_result(folder, scored, refused=refused, result=result, max_tokens=what.max_tokens if what else 0)
    now = {item.question.id: None if item.failed else item.score for item in scored}
    return Rescored(
        name=folder.resolve().name,
        before=before[0].total if before else None,
        after=result.total,
        changed=tuple(name for name, score in now.items() if name in scores and scores[name] != score),
        unanswered=result.unanswered,
        failed=result.failed,
        compared=len(now.keys() & scores.keys()),
        lost=lost,
        not_asked=open_ones,
    )


def _without_verdicts(scored: Sequence[Scored]) -> bool:
    """Return whether nothing that a judge was to mark has a score."""
    heard = [item for item in scored if item.answered]
    return bool(heard) and all(item.failed for item in heard)


def _older(benchmark: Benchmark, asked: Sequence[tuple[Example, Line]]) -> dict[str, str]:
    """Return the words that an older version asked the judge in, by id: of replies with their thinking."""
    replies = [
        (question, line.reply)
        for question, line in asked
        if not line.failed and benchmark.answered(question, line.reply)
    ]
    prompts = prompts_of(benchmark.judge, replies) if benchmark.judge else {}
    return {name: words_of(prompt) for name, prompt in prompts.items()}


def _asked(folder: Path, what: Asked | None) -> tuple[list[tuple[Example, Line]], list[Refused], dict[str, Json]]:
    """Return questions with their lines, in order, the rows that were none, and the scores so far by id."""
    lines = read_lines(folder / ANSWERS)
    keys = {str(record.get("key", "")) for record in _items(folder)} - {""}
    # Killed before anything was scored, or when other questions had been: all that was answered counts.
    if not keys or (what and (keys - set(what.keys.values()) or (not what.shard and len(keys) < len(what.keys)))):
        last = lines_of_one_asking(folder / ANSWERS)
        if not last:
            raise DataError(f"{folder / ANSWERS}: no reply is in it yet. Evaluate, then score again.")
        return [(line.question, line) for line in last.values()], list(what.refused) if what else [], {}
    asked, refused, scores = [], [], {}
    for record in _items(folder):
        key, name = str(record.get("key", "")), str(record.get("id", ""))
        if not key:
            refused.append(Refused(name, "refused when asked", str(record.get("failed", ""))))
            continue
        if key not in lines:
            raise DataError(f"{folder / ANSWERS}: no line has the key {key} of {name!r}. Evaluate again.")
        asked.append((lines[key].question, lines[key]))
        scores[name] = record.get("score")
    return asked, refused, scores


def _items(folder: Path) -> list[dict[str, Json]]:
    return list(read_json_lines(folder / ITEMS)) if (folder / ITEMS).is_file() else []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    """A judge that is asked no more. What it said is found by its name, fingerprint and most tokens.

    Where pictures are gone, or a result of an older version does not tell these, it says again what it last said to
    the same words.
    """

    name: str
    fingerprint: str
    max_tokens: int
    """0: not known."""
    said: Mapping[tuple[Json, Json], Mapping[str, Json]]
    """A line by its id and the words that were asked."""
    older: Mapping[str, str]
    """The words that an older version asked in, by id."""

    @classmethod
    def of(cls, folder: Path, result: Evaluation, older: Mapping[str, str]) -> _Recorded:
        """Return the judge of a folder's result."""
        fingerprint, max_tokens = result.judge_asking or ("", 0)
        path, said = folder / VERDICTS, {}
        untold: defaultdict[tuple[Json, Json], set[Json]] = defaultdict(set)
        for row in read_json_lines(path) if path.is_file() else ():
            asked, told = (row["id"], row["asked"]), "fingerprint" in row
            if row["judge"] != result.judge or "reply" not in row:
                continue
            if not max_tokens or not told or (row["fingerprint"], row["max_tokens"]) == (fingerprint, max_tokens):
                said[asked] = row
            if not told:
                untold[asked].add(row["key"])
        if max_tokens:  # of lines that do not tell who was asked, and how, which of several is meant is not known
            said = {asked: row for asked, row in said.items() if "fingerprint" in row or len(untold[asked]) == 1}
        return cls(name=result.judge, fingerprint=fingerprint, max_tokens=max_tokens, said=said, older=older)

    def answer(self, questions: Sequence[Example], *, max_tokens: int = 32) -> Iterator[Answer]:
        """Yield what was said to the same words; to others nothing, and they fail."""
        for prompt in questions:
            row = self.said.get((prompt.id, words_of(prompt))) or self.said.get((prompt.id, self.older.get(prompt.id)))
            if row is not None:
                yield Answer(prompt.id, str(row["reply"]), cut=row.get("cut") is True)
