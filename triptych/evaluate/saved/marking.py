"""Saved replies to scores: without a model, without images, and with a key of answers even without the questions.

Not the rules (``scorers``, a benchmark's own) nor the adding up (``result``). Every id of the key is scored: one that
has no reply scores 0, is unanswered and counted as missing. What cannot be used is counted and told: a reply to an id
that the key does not have, an id with several replies. A reply that a file says could not be got is failed, not scored.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from triptych.core.errors import ConfigError, DataError
from triptych.core.files import write_atomically
from triptych.core.records import Example, Json, images_of, text_of, videos_of
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, fact, story_of
from triptych.evaluate.certainty.statistics import Score, score_to_json
from triptych.evaluate.question.keys import questions_of_key, read_key, with_answers
from triptych.evaluate.reading import scorers
from triptych.evaluate.reading.answers import ANSWERS, Line
from triptych.evaluate.reading.option_words import letter_of
from triptych.evaluate.reading.replies import Replies, Reply, read_replies
from triptych.evaluate.running.asked import groups_of
from triptych.evaluate.running.result import Result, Scored, check_judge, result_of, score_all
from triptych.evaluate.running.secondary_scores import secondary_lines, secondary_to_json
from triptych.evaluate.saved.one_asking import lines_of_one_asking


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedItem:
    """One question of the key."""

    id: str
    task: str
    reply: str
    choice: str | None
    """Letter of the option that the reply chooses; None: none of them, or the question has no options."""
    score: float | None
    """0 to 1; None: failed."""
    answered: bool
    rule: str
    """Which rule read the choice; empty where there are no options."""
    sure: bool
    """False where the reply speaks for several options."""
    facts: Mapping[str, Json] = field(default_factory=dict)
    """Of the question, those that are a word or a number: what totals are made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A file of replies, marked."""

    result: Result
    benchmark: str
    """Whose way of adding up the total has; empty: the key alone does not tell what it needs, and every question
    weighs the same."""
    by_key_alone: bool
    """Whether the rules are those of plain choices, as the key tells no more: no tasks, no rule of the benchmark's."""
    items: tuple[MarkedItem, ...]
    """In the key's order."""
    missing: int
    """Ids of the key without a reply: scored 0, and among the unanswered."""
    repeated: int
    """Replies whose id has a later reply, which counts."""
    beyond: int
    """Replies to ids that the key does not have: not used."""
    without_answer: int
    """Questions of the data that the key has no answer for: not used."""


def mark(
    benchmark: Benchmark,
    answers: Path,
    *,
    data: Path | None = None,
    key: Path | None = None,
    seed: int = 0,
    name: str = "",
) -> Marked:
    """Score saved replies.

    Args:
        benchmark: whose rules, tasks and total.
        answers: the replies, as ``replies.read_replies`` reads them, or the folder of an evaluation of ours; of its
            ``answers.jsonl`` those of the last asking.
        data: the questions with their references; None: the key alone, or the file's own questions where it is an
            ``answers.jsonl`` of ours.
        key: ``{id: answer}`` as JSON; with ``data``, it stands for the references there.
        seed: of the bootstrap.
        name: the benchmark's, for files of items; empty: one that compares them does not know how they add up.

    Raises:
        ConfigError: neither data nor key, and the replies are not ours; or the benchmark needs a judge.
        DataError: a file cannot be read or mixes several responders, or no reply is to a question of the key.
    """
    answers = answers / ANSWERS if (answers / ANSWERS).is_file() else answers
    replies = read_replies(answers)
    lines = lines_of_one_asking(answers) if replies.own else {}
    if lines:
        replies = Replies({name: Reply(line.reply, line.failed) for name, line in lines.items()}, repeated=0, own=True)
    own = [line.question for line in lines.values()]
    rules, questions, refused, without_answer = _questions(benchmark, own, answers, data=data, key=key)
    check_judge(rules, None)
    _check_ids(questions, data or key or answers)
    found = [question.id for question in questions if question.id in replies.by_id]
    if not found:
        ours, theirs = next(iter(replies.by_id)), questions[0].id if questions else "none"
        raise DataError(
            f"{answers}: no id is one of {data or key}: here {ours!r}, there {theirs!r}. Is it the right key? A reply "
            "needs the id that its question has there."
        )
    _check_numbering(questions, replies, answers)
    scored = score_all(
        rules, ((question, _line(question, replies)) for question in questions), judge=None, folder=Path()
    )
    groups = groups_of(rules, questions)
    result = result_of(scored, rules, groups=groups, refused=refused, responder=answers.stem, seed=seed)
    return Marked(
        result=result,
        benchmark=name if rules is benchmark else "",
        by_key_alone=rules is not benchmark,
        items=tuple(_item(item, rules) for item in scored),
        missing=len(questions) - len(found),
        repeated=replies.repeated,
        beyond=len(replies.by_id) - len(found),
        without_answer=without_answer,
    )


def marked_to_json(marked: Marked) -> dict[str, Json]:
    """Return what ``triptych mark --json`` prints; scores from 0 to 1."""
    unanswered = Counter(item.task for item in marked.items if item.score is not None and not item.answered)
    result = marked.result
    return {
        **_numbers(result.total, result.unanswered),
        "majority": result.majority,
        "ambiguous": _ambiguous(marked),
        "missing": marked.missing,
        "repeated": marked.repeated,
        "beyond": marked.beyond,
        "without_answer": marked.without_answer,
        "by_key_alone": marked.by_key_alone,
        "failed": result.failed,
        "by_task": {name: _numbers(score, unanswered[name]) for name, score in result.by_task.items()},
        "together": {name: _numbers(score, 0) for name, score in result.together.items()},
        **secondary_to_json(result),
    }


def lines_of(marked: Marked) -> list[str]:
    """Return the table that ``triptych mark`` prints: all, then each task; below, what was counted apart."""
    silent = Counter(item.task for item in marked.items if item.score is not None and not item.answered)
    result = marked.result
    rows = [("all", result.total, result.unanswered)]
    if len(result.by_task) > 1:
        rows += [(name, score, silent[name]) for name, score in result.by_task.items()]
    rows += [(name, score, 0) for name, score in result.together.items()]
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{'':<{width}}  score   95% interval   chance      n  unanswered"]
    for name, score, unanswered in rows:
        numbers = f"{score.score:.3f}   {score.low:.3f} - {score.high:.3f}  {score.chance:.3f}"
        cells = numbers if score.n else f"    -   {'nothing was scored':<{len(numbers) - 8}}"
        lines.append(f"{name:<{width}}  {cells}  {score.n:>5}  {unanswered:>10}")
    return lines + secondary_lines(result, together=False)


def warnings_of(marked: Marked) -> list[str]:
    """Return a line for each kind of thing that was not as it should be."""
    counts = [
        (marked.missing, "ids of the key have no reply: scored 0, and counted as unanswered"),
        (marked.repeated, "replies are followed by another one to the same id: the last one counts"),
        (marked.beyond, "replies are to ids that the key does not have: not used"),
        (marked.without_answer, "questions have no answer in the key: not used"),
        (marked.result.failed, "questions failed, as the files say: not scored"),
        (_ambiguous(marked), "replies speak for several options: triptych audit shows them"),
    ]
    lines = [f"{count} {what}" for count, what in counts if count]
    if marked.by_key_alone:
        lines.append(
            "The key alone tells no tasks: replies are read as plain choices, and every question weighs the same. With "
            "--data they are marked by the benchmark's own rules and total."
        )
    return lines


def write_items(path: Path, marked: Marked) -> None:
    """Write a line an item: id, task, choice, correct, score, answered, rule, sure; benchmark and facts to compare."""
    lines = (json.dumps(_record(item, marked.benchmark), ensure_ascii=False) + "\n" for item in marked.items)
    write_atomically(path, "".join(lines))


def _questions(
    benchmark: Benchmark, own: Sequence[Example], answers: Path, *, data: Path | None, key: Path | None
) -> tuple[Benchmark, list[Example], int, int]:
    """Return the rules, the questions, and how many rows were refused and how many questions the key leaves out."""
    answer_of = None if key is None else read_key(key)
    if data is None and key is not None and answer_of is not None:
        rules, questions = questions_of_key(benchmark, answer_of, path=key)
        return rules, questions, 0, 0
    refused = 0
    if data is not None:
        rows = list(benchmark.questions(data))
        questions = [row for row in rows if isinstance(row, Example)]
        refused = sum(isinstance(row, Refused) for row in rows)
    elif own:
        questions = list(own)
    else:
        raise ConfigError(f"{answers}: what is right? Give a key with --answers, or the questions with --data.")
    if answer_of is None or key is None:
        return benchmark, questions, refused, 0
    known = with_answers(benchmark, questions, key=answer_of, path=key)
    return benchmark, known, refused, len(questions) - len(known)


def _check_ids(questions: Sequence[Example], where: Path) -> None:
    twice = [name for name, count in Counter(question.id for question in questions).items() if count > 1]
    if twice:
        raise DataError(f"{where}: the id {twice[0]!r} is there twice. Give each row its own.")


def _check_numbering(questions: Sequence[Example], replies: Replies, answers: Path) -> None:
    """Refuse replies whose ids are a kit's numbers of rows: most lines hold another question than ours of that id."""
    both = [(question, reply) for question in questions if (reply := replies.by_id.get(question.id)) and reply.asked]
    # A key alone knows no words.
    pairs = [(_plain(fact(question, "question")), _plain(reply.asked), question) for question, reply in both]
    others = [pair for pair in pairs if pair[0] and pair[0] not in pair[1] and pair[1] not in _plain(_prompt(pair[2]))]
    if 2 * len(others) > len(pairs):
        raise DataError(
            f"{answers}: the index {others[0][2].id!r} is another question there: {others[0][1][:60]!r}. Write the "
            "benchmark's own ids, and call them 'id'."
        )


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _prompt(question: Example) -> str:
    return " ".join(text_of(turn) for turn in question.turns[:-1])


def _line(question: Example, replies: Replies) -> Line:
    reply = replies.by_id.get(question.id)
    if reply is None:
        return Line(key=question.id, question=question, responder="")
    return Line(key=question.id, question=question, responder="", reply=reply.text, failed=reply.failed)


def _item(item: Scored, rules: Benchmark) -> MarkedItem:
    question = item.question
    choice = scorers.choice_of(question, item.said) if scorers.is_choice(question) else None
    return MarkedItem(
        id=question.id,
        task=fact(question, rules.tasks),
        reply=item.line.reply,
        choice=None if choice is None or choice.option is None else letter_of(choice.option),
        score=None if item.failed else item.score,
        answered=item.answered,
        rule="" if choice is None else choice.rule,
        sure=choice is None or choice.sure,
        facts=_facts_of(question),
    )


def _facts_of(question: Example) -> dict[str, Json]:
    """Return what a comparison needs to know: short facts, and what it shares with other questions."""
    known = question.facts.items()
    facts: dict[str, Json] = {
        name: value for name, value in known if isinstance(value, str | int | float) and name != "question"
    }
    if images_of(question) or videos_of(question):
        facts["story"] = story_of(question)
    return facts


def _record(item: MarkedItem, benchmark: str) -> dict[str, Json]:
    return {
        "id": item.id,
        "task": item.task,
        "choice": item.choice,
        "correct": item.score == 1,
        "score": item.score,
        "answered": item.answered,
        "rule": item.rule,
        "sure": item.sure,
        "benchmark": benchmark,
        "facts": dict(item.facts),
    }


def _ambiguous(marked: Marked) -> int:
    return sum(item.score is not None and not item.sure for item in marked.items)


def _numbers(score: Score, unanswered: int) -> dict[str, Json]:
    record = score_to_json(score)
    return {
        "score": record["score"],
        "low": record["low"],
        "high": record["high"],
        "n": score.n,
        "unanswered": unanswered,
        "chance": record["chance"],
    }
