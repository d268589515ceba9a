"""Replies to a result: every question's score, and what they come to, in all and by group, with 95% intervals.

Not the asking (``run``), the rules (a benchmark's ``score``) or the files (``writing``). Thinking is no part of a reply
(``core/thinking``), but for the authors' own reading. All questions = scored + failed; unanswered ones are scored 0 and
counted apart; failed ones (no reply, or no verdict of a judge that can be read) are never scored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import isnan
from pathlib import Path

from triptych.core.errors import ConfigError, DataError
from triptych.core.records import Example
from triptych.core.thinking import spoken
from triptych.evaluate.benchmark import Benchmark, MarkedReply, fact, story_of
from triptych.evaluate.certainty.statistics import Score, interval_of, majority, summarise
from triptych.evaluate.reading.answers import Line
from triptych.evaluate.reading.judge import Verdict, judge_replies, needs_judge
from triptych.evaluate.running.figures import Figure, figures_of
from triptych.infer.responder import Responder

RESULT = "result.json"
ITEMS = "items.jsonl"
"""One line a question, in the benchmark's order: key, id, score (null: failed), whether it was answered."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """The questions that are compared with each other, where a benchmark's total is made of pairs."""

    n: int
    """Pairs of which both questions have a score."""
    alone: int
    """Questions that have a score and are in no pair: they count for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a responder scored on a benchmark."""

    total: Score
    """As the benchmark makes its total: over questions, or over groups of them."""
    majority: float
    """Score of always giving the most frequent reference of a question's kind, added up as the total is."""
    unanswered: int
    """Scored 0: the reply is empty, or names none or several of the options."""
    failed: int
    """Not scored: no reply could be got, or no verdict that can be read."""
    cut: int
    """Replies that ended at the most tokens, as far as anybody says; they are scored as they stand."""
    by_task: dict[str, Score]
    by_skill: dict[str, Score]
    by_scenario: dict[str, Score]
    by_kind: dict[str, Score]
    by_split: dict[str, Score]
    together: dict[str, Score]
    """By name: the share of groups answered right in every question; n counts groups."""
    measures: dict[str, Score]
    """What a judge measured beside the score, by name."""
    figures: dict[str, Figure]
    """What papers print beside the total and that is no mean of scores, by name, in their unit."""
    pairs: Pairs | None
    """What the total is made of, where that is pairs."""
    published: Score | None
    """The total by the authors' own reading of replies, where the benchmark has it."""
    published_together: dict[str, Score]
    """The same of ``together``."""
    judge: str
    """Who judged; empty where rules did."""
    judge_asking: tuple[str, int] | None
    """The judge's fingerprint and most tokens, which tell its verdicts from others of the folder."""
    agreement: float | None
    """Share of judged replies whose score the benchmark's rule gives too; None where it has no rule."""
    responder: str
    blind: bool


@dataclass(frozen=True, slots=True)
class Scored:
    """One question, its reply and what that is worth."""

    line: Line
    question: Example
    """With its images, also when it was asked blind."""
    chance: float
    score: float = 0.0
    answered: bool = False
    failed: str = ""
    """Why it has no score."""
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def said(self) -> str:
        """The reply without thinking; empty where it is nothing else."""
        return spoken(self.line.reply) or ""


def check_judge(benchmark: Benchmark, judge: Responder | None) -> None:
    """Refuse, before anything is asked, a benchmark that needs a judge and has none. Raises ConfigError."""
    if judge is None and benchmark.judge is not None and benchmark.score is needs_judge:
        raise ConfigError(
            f"no rule marks these replies ({benchmark.about}). Name a judge; published numbers are of "
            f"{benchmark.judge.published}."
        )
    if judge is not None and benchmark.judge is None:
        raise ConfigError(f"this benchmark ({benchmark.about}) asks no judge. Leave the judge out.")


def score_all(
    benchmark: Benchmark, asked: Iterable[tuple[Example, Line]], *, judge: Responder | None, folder: Path
) -> list[Scored]:
    """Score every reply.

    Args:
        benchmark: whose rules.
        asked: questions with their references, each with its line.
        judge: who marks, where the benchmark asks one; None: its rule does.
        folder: where verdicts are kept.

    Raises:
        DataError: the benchmark gives a score that is none.
        ConfigError: it needs a judge, and there is none.
    """
    found = [_read(benchmark, question, line) for question, line in asked]
    heard = [item for item in found if not item.failed and item.answered]
    replies = [(item.question, item.said) for item in heard]
    if judge is not None and benchmark.judge is not None:
        verdicts = judge_replies(benchmark.judge, replies, responder=judge, folder=folder)
        marked = [_judged(item, verdicts[item.question.id]) for item in heard]
    elif benchmark.corpus is not None:
        marked = [item for item in _scored_as_corpus(benchmark, found) if item.answered]
    else:
        marked = [replace(item, score=benchmark.score(item.question, item.said)) for item in heard]
    by_id = {item.question.id: _checked(item) for item in marked}
    return [by_id.get(item.question.id, item) for item in found]


def result_of(
    scored: Sequence[Scored],
    benchmark: Benchmark,
    *,
    groups: Mapping[str, Mapping[str, int]],
    refused: int,
    responder: str,
    judge: Responder | None = None,
    blind: bool = False,
    seed: int = 0,
) -> Result:
    """Add up the scores.

    Args:
        scored: of the questions that were asked.
        benchmark: whose totals.
        groups: ``Asked.groups``: a group counts as answered *together* only where all its questions were asked.
        refused: rows that are no questions.
        responder: who was asked.
        judge: who judged.
        blind: whether it was asked without images.
        seed: of the bootstrap.
    """
    counted = [item for item in scored if not item.failed]

    published = _published(counted, benchmark)

    def together(items: Sequence[Scored]) -> dict[str, Score]:
        return {name: _together(items, key, groups[name], seed) for name, key in benchmark.together.items()}

    def grouped(group: str) -> dict[str, Score]:
        return {name: _summary(items, benchmark, seed) for name, items in sorted(_groups(counted, group).items())}

    return Result(
        total=_total(counted, benchmark, seed),
        majority=majority(
            _labels(scored, benchmark),
            total=partial(benchmark.guessed, [item.question for item in scored]),
        ),
        unanswered=sum(not item.answered for item in counted),
        failed=len(scored) - len(counted) + refused,
        cut=sum(item.line.cut for item in scored),
        by_task=grouped(benchmark.tasks),
        by_skill=grouped("skill"),
        by_scenario=grouped("scenario"),
        by_kind=grouped("kind"),
        by_split=grouped("split"),
        together=together(counted),
        measures=_measures(counted, seed),
        figures=figures_of(_marked(counted), benchmark, published=_marked(published), seed=seed),
        pairs=_pairs([item.question for item in counted], benchmark),
        published=_total(published, benchmark, seed) if benchmark.published else None,
        published_together=together(published) if benchmark.published else {},
        judge="" if judge is None else judge.name,
        judge_asking=(judge.fingerprint, benchmark.judge.max_tokens) if judge and benchmark.judge else None,
        agreement=None if judge is None else _agreement(counted, benchmark),
        responder=responder,
        blind=blind,
    )


def _read(benchmark: Benchmark, question: Example, line: Line) -> Scored:
    """Return a question before it has a score."""
    if line.failed:
        return Scored(line, question, benchmark.chance(question), failed=line.failed)
    said = spoken(line.reply)
    answered = said is not None and benchmark.answered(question, said)
    return Scored(line, question, benchmark.chance(question), answered=answered)


def _scored_as_corpus(benchmark: Benchmark, found: Sequence[Scored]) -> list[Scored]:
    """Score replies all at once. Those that say nothing are among them: a score shall not hang on what others say."""
    heard = [item for item in found if not item.failed]
    scores = benchmark.corpus([(item.question, item.said) for item in heard]) if benchmark.corpus else ()
    return [replace(item, score=score) for item, score in zip(heard, scores, strict=True)]


def _judged(item: Scored, verdict: Verdict) -> Scored:
    if not verdict.measures:
        return replace(item, failed=verdict.reason)
    return replace(item, score=verdict.measures["score"], measures=verdict.measures)


def _checked(item: Scored) -> Scored:
    if not 0 <= item.score <= 1:
        where = item.question.origin or item.question.id
        raise DataError(f"{where}: the benchmark's score is {item.score}, not from 0 to 1.")
    return item


def _groups(items: Iterable[Scored], group: str) -> dict[str, list[Scored]]:
    groups: defaultdict[str, list[Scored]] = defaultdict(list)
    for item in items:
        names = item.question.skills if group == "skill" else (fact(item.question, group),)
        for name in names:
            if name:
                groups[name].append(item)
    return groups


def _total(items: Sequence[Scored], benchmark: Benchmark, seed: int) -> Score:
    strata = _strata(items, benchmark)
    if strata is None:
        return _summary(items, benchmark, seed)
    if benchmark.statistic is not None:
        raise DataError("a benchmark with a statistic of its own is added up over questions, not over groups.")
    return _mean(items, seed, benchmark, strata=strata)


def _strata(items: Sequence[Scored], benchmark: Benchmark) -> list[str] | None:
    """Return the group of each question that the total weighs alike; None: it is over questions."""
    return None if benchmark.aggregate == "micro" else [fact(item.question, benchmark.group) for item in items]


def _summary(items: Sequence[Scored], benchmark: Benchmark, seed: int) -> Score:
    if benchmark.statistic is None or not items:
        return _mean(items, seed, benchmark)
    statistic = benchmark.statistic
    everything = [(item.question, item.score) for item in items]
    # What is in no pair counts for nothing, so neither as one more independent cluster.
    marked = [everything[at] for at in benchmark.in_total([question for question, _ in everything])]
    if not marked or isnan(value := statistic(marked)):
        return summarise((), chances=())
    low, high = interval_of(
        lambda positions: statistic([marked[at] for at in positions]),
        len(marked),
        clusters=[story_of(question) for question, _ in marked],
        seed=seed,
        least=benchmark.least,
    )
    add_up = partial(benchmark.guessed, [item.question for item in items])
    chance = add_up([item.chance for item in items])
    best = majority(_labels(items, benchmark), total=add_up) if benchmark.mean_of_means else None
    return Score(value, min(low, value), max(high, value), n=len(items), chance=chance, majority=best)


def _mean(
    items: Sequence[Scored], seed: int, benchmark: Benchmark | None = None, *, strata: Sequence[str] | None = None
) -> Score:
    """Return the mean; with the majority's score where a benchmark is given, whose questions they are."""
    return summarise(
        [item.score for item in items],
        chances=[item.chance for item in items],
        clusters=[story_of(item.question) for item in items],
        strata=strata,
        labels=None if benchmark is None else _labels(items, benchmark),
        seed=seed,
    )


def _labels(items: Sequence[Scored], benchmark: Benchmark) -> list[tuple[str, Hashable]]:
    return [(fact(item.question, "kind"), benchmark.label(item.question)) for item in items]


def _together(items: Sequence[Scored], key: str, sizes: Mapping[str, int], seed: int) -> Score:
    groups = [group for name, group in _groups(items, key).items() if len(group) == sizes.get(name)]
    made = [
        replace(
            group[0],
            score=float(all(item.score == 1 for item in group)),
            chance=_product(item.chance for item in group),
        )
        for group in groups
    ]
    return _mean(made, seed)


def _product(numbers: Iterable[float]) -> float:
    made = 1.0
    for number in numbers:
        made *= number
    return made


def _measures(items: Sequence[Scored], seed: int) -> dict[str, Score]:
    names = sorted({name for item in items for name in item.measures if name != "score"})
    return {
        name: _mean([replace(item, score=item.measures[name]) for item in items if name in item.measures], seed)
        for name in names
    }


def _published(items: Sequence[Scored], benchmark: Benchmark) -> list[Scored]:
    """Return the questions as the authors' own code scores them, without those that it leaves out."""
    if benchmark.published is None:
        return []
    read = benchmark.published
    scores = [(item, read(item.question, item.line.reply)) for item in items]
    return [replace(item, score=score, answered=True) for item, score in scores if score is not None]


def _pairs(questions: Sequence[Example], benchmark: Benchmark) -> Pairs | None:
    if benchmark.pairs is None:
        return None
    found = benchmark.pairs(questions)
    return Pairs(len(found), len(questions) - len({at for pair in found for at in pair}))


def _marked(items: Sequence[Scored]) -> list[MarkedReply]:
    return [MarkedReply(item.question, item.score, item.answered) for item in items]


def _agreement(items: Sequence[Scored], benchmark: Benchmark) -> float | None:
    judged = [item for item in items if item.measures]
    if benchmark.score is needs_judge or not judged:
        return None
    return sum(benchmark.score(item.question, item.said) == item.score for item in judged) / len(judged)
