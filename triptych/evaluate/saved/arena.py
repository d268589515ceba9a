"""An arena: whose replies to the same questions are better, as a judge or people say, in ratings with intervals.

Not the ratings (``ratings.py``), nor marks against a reference (``result.py``). A judge is any Responder. It sees each
pair twice, either reply first: only what it says both times is a win, and what changes with the order is a tie. How
often the order decided is told. Judgements are kept in a file, by key, and never asked for twice, whoever of two is
named first; those that failed are asked for again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from triptych.core.errors import DataError, NotFoundError, RunError
from triptych.core.files import append_json_line, read_json_lines
from triptych.core.log import printable, progress, say
from triptych.core.records import Answer, Example, Json
from triptych.evaluate.benchmark import story_of
from triptych.evaluate.certainty.formatting import format_p
from triptych.evaluate.certainty.power import ALPHA
from triptych.evaluate.certainty.ratings import Duel, Rating, Vote, duels, rate
from triptych.evaluate.certainty.statistics import Score, summarise
from triptych.evaluate.reading.answers import ANSWERS, Keys
from triptych.evaluate.reading.judge import read_preference, reading_of
from triptych.evaluate.saved.meetings import Contestant, Meeting, meetings_of
from triptych.evaluate.saved.one_asking import is_ours, lines_of_one_asking
from triptych.infer.responder import Failed, Responder

VERDICT_TOKENS = 64
_SHOWN = 80
"""Most characters that are shown of a verdict that cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """What a judge said, and how far it can be trusted."""

    votes: tuple[Vote, ...]
    consistent: float | None
    """Share of pairs of which it said the same in both orders; None: there were none."""
    first_preferred: Score
    """How often it preferred the reply that came first, of the times that it preferred one; 0.5 is no bias."""
    unread: int
    """Pairs without a verdict that can be read in both orders; they are no votes."""
    failed: int = 0
    """Pairs of which the judge gave no verdict in both orders; they are no votes either."""
    failure: str = ""
    """Why, of the first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """What the votes come to."""

    ratings: tuple[Rating, ...]
    duels: tuple[Duel, ...]
    votes: int
    unrated: tuple[str, ...]
    """Contestants that nobody voted on."""
    judging: Judging | None


def read_contestants(paths: Sequence[Path]) -> list[Contestant]:
    """Read answers: ``answers.jsonl``, a folder that holds one, or lines with ``id`` and ``reply``.

    Raises:
        NotFoundError: no such file.
        DataError: fewer than two, two of one name, the replies of several responders in one file, or a line that is
            not what it should be.
    """
    files = [path / ANSWERS if path.is_dir() else path for path in paths]
    names = [file.resolve().parent.name if file.name == ANSWERS else file.stem for file in files]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    if len(set(names)) < max(2, len(names)):
        raise DataError("an arena needs the answers of two responders or more, each given once.")
    return [_contestant(file, name) for file, name in zip(files, names, strict=True)]


def judge_pairs(
    contestants: Sequence[Contestant],
    judge: Responder,
    *,
    path: Path,
    limit: int | None = None,
    max_tokens: int = VERDICT_TOKENS,
) -> Judging:
    """Let a judge compare every two contestants on every question that both answered, in both orders.

    Args:
        contestants: whose replies.
        judge: who compares.
        path: where judgements are kept; those that are there are not asked for again.
        limit: most questions of each pair (``running/sample``); None: all.
        max_tokens: most tokens of a verdict.

    Raises:
        DataError: two contestants share no question, or have different ones of one id, nobody's file holds the
            questions, or no verdict can be read.
        RunError: the judge broke its contract.
    """
    keys = Keys(judge.name, judge.fingerprint, max_tokens)
    meetings = meetings_of(contestants, limit)
    said = _kept(path)
    key_of: dict[str, str] = {}
    for prompt, turned in (each for it in meetings for each in zip(it.prompts, it.turned, strict=True)):
        key_of[prompt.id] = key = keys.of(prompt)
        if key not in said and (other := keys.of(replace(prompt, id=turned))) in said:
            key_of[prompt.id] = other
    missing = [prompt for it in meetings for prompt in it.prompts if key_of[prompt.id] not in said]
    failed: dict[str, str] = {}
    for answer in _asked(missing, judge, max_tokens) if missing else ():
        record: dict[str, Json] = {"key": key_of[answer.id], "id": answer.id, "judge": judge.name}
        if isinstance(answer, Failed):
            record["failed"] = failed[answer.id] = answer.reason
        else:
            record |= {"said": answer.text} | ({"cut": True} if answer.cut else {})
            said[key_of[answer.id]] = record
        append_json_line(path, record)
    verdicts = {name: said[key] for name, key in key_of.items() if key in said}
    judging = _judging(
        meetings, {name: _preference(record) for name, record in verdicts.items()}, failed=failed, judge=judge.name
    )
    if not judging.votes:
        unread = next((str(it["said"]) for it in verdicts.values() if _preference(it) is None), None)
        why = f"the first that cannot: {printable(unread or '')[:_SHOWN]!r}. Ask a judge that follows instructions"
        why += ", or give one that thinks more tokens (judge.max_tokens)"
        if unread is None:
            why = f"the judge gave none ({judging.failure}). The same command asks again"
        raise DataError(f"{path}: of {len(meetings)} pairs none has verdicts that can be read in both orders; {why}.")
    return judging


def hold_arena(
    votes: Sequence[Vote], *, names: Sequence[str] = (), judging: Judging | None = None, seed: int = 0
) -> Arena:
    """Return ratings and duels.

    Args:
        votes: who was better.
        names: of all contestants.
        judging: what is known of the judge, where one voted.
        seed: of the bootstrap.

    Raises:
        DataError: no votes, or contestants that nothing compares.
    """
    ratings = rate(votes, seed=seed)
    rated = {rating.name for rating in ratings}
    return Arena(
        ratings=tuple(ratings),
        duels=tuple(duels(votes, seed=seed)),
        votes=len(votes),
        unrated=tuple(name for name in names if name not in rated),
        judging=judging,
    )


def lines_of(arena: Arena) -> list[str]:
    """Return what `triptych arena` says."""
    width = max(len(rating.name) for rating in arena.ratings)
    lines = [f"{'':<{width}}   Elo   95% interval   games"]
    lines += [f"{it.name:<{width}}  {it.elo:4.0f}   {_within(it):<13}  {it.games:5}" for it in arena.ratings]
    lines += [f"{name}: no votes, so no rating" for name in arena.unrated]
    for duel in arena.duels:
        better, worse = (duel.first, duel.second) if duel.rate > 0.5 else (duel.second, duel.first)
        verdict = f"{better} is better than {worse}" if duel.p_holm < ALPHA else "no evidence of a difference"
        lines.append(
            f"{duel.first} against {duel.second}: {duel.wins} won, {duel.ties} tied, {duel.losses} lost; wins "
            f"{100 * duel.rate:.1f}% ({100 * duel.low:.1f} to {100 * duel.high:.1f}), p {format_p(duel.p_holm)}: "
            f"{verdict}."
        )
    if len(arena.duels) > 1:
        lines.append(f"p is corrected for {len(arena.duels)} duels (Holm).")
    if (judging := arena.judging) is not None:
        bias = judging.first_preferred
        same = "unknown" if judging.consistent is None else f"{100 * judging.consistent:.0f}%"
        lines.append(
            f"The judge said the same in both orders of {same} of the pairs; it preferred what came first "
            f"{100 * bias.score:.0f}% of the time ({100 * bias.low:.0f} to {100 * bias.high:.0f}; no bias is 50); "
            f"{judging.unread} pairs could not be read."
        )
        if judging.failed:
            lines.append(
                f"{judging.failed} pairs got no verdict: {judging.failure.rstrip('.')}. The same command asks again."
            )
    return lines


def _within(rating: Rating) -> str:
    if rating.low is None:
        return "unknown" if rating.high is None else f"{rating.high:.0f} or less"
    return f"{rating.low:.0f} or more" if rating.high is None else f"{rating.low:.0f} to {rating.high:.0f}"


def arena_to_json(arena: Arena) -> dict[str, Json]:
    """Return ratings, duels and what is known of the judge."""
    judging = arena.judging
    judged: Json = None
    if judging is not None:
        bias = judging.first_preferred
        judged = {
            "consistent": judging.consistent,
            "first_preferred": {"share": bias.score, "low": bias.low, "high": bias.high, "n": bias.n},
            "unread": judging.unread,
            "failed": judging.failed,
            "failure": judging.failure,
        }
    return {
        "ratings": [asdict(rating) for rating in arena.ratings],
        "duels": [asdict(duel) for duel in arena.duels],
        "votes": arena.votes,
        "unrated": list(arena.unrated),
        "judge": judged,
    }


def _contestant(path: Path, name: str) -> Contestant:
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file of answers.")
    if is_ours(path):
        lines = [line for line in lines_of_one_asking(path).values() if not line.failed]
        replies = {line.question.id: line.reply for line in lines}
        return Contestant(name, replies, {line.question.id: line.question for line in lines})
    replies = {}
    for number, record in enumerate(read_json_lines(path, ours=False), start=1):
        identity, reply = record.get("id"), record.get("reply")
        if not isinstance(identity, str | int) or not isinstance(reply, str):
            raise DataError(f'{path}: line {number}: expected "id" and "reply".')
        if replies.setdefault(str(identity), reply) != reply:
            raise DataError(
                f"{path}: line {number}: the id {str(identity)!r} has another reply above. Give each question an id of "
                f"its own, here and in the votes, or remove one of the lines."
            )
    return Contestant(name, replies, {})


def _kept(path: Path) -> dict[str, Mapping[str, Json]]:
    """Return what a judge said, by key: what it said last; a judgement that failed is asked for again."""
    kept: dict[str, Mapping[str, Json]] = {}
    changed: list[str] = []
    for record in read_json_lines(path) if path.exists() else ():
        if "said" in record:
            key = str(record.get("key"))
            if kept.get(key, record)["said"] != record["said"]:
                changed.append(str(record.get("id")))
            kept[key] = record
    if changed:
        say(
            f"{path}: {len(changed)} judgements differ from an earlier one on the same ({changed[0]!r}): the last "
            f"counts. Let one arena at a time write the file, or remove it to ask again."
        )
    return kept


def _preference(record: Mapping[str, Json]) -> float | None:
    """Return what the reply that came first won, as a line of the file says; None: it cannot be read."""
    return reading_of(read_preference, str(record["said"]), cut=record.get("cut") is True)


def _asked(prompts: Sequence[Example], judge: Responder, max_tokens: int) -> Iterator[Answer | Failed]:
    open_ones = {prompt.id for prompt in prompts}
    with progress("judge", len(prompts)) as advance:
        for said in judge.answer(prompts, max_tokens=max_tokens):
            if said.id not in open_ones:
                raise RunError(f"{judge.name} judged {said.id!r}, which was not asked, or not again.")
            open_ones.remove(said.id)
            yield said
            advance(1)


def _judging(
    meetings: Sequence[Meeting], won: Mapping[str, float | None], *, failed: Mapping[str, str], judge: str
) -> Judging:
    """Return what the verdicts by prompt come to; ``failed``: why there is none of some."""
    votes, same, firsts, stories = [], 0, [], []
    without = [prompt for it in meetings for prompt in it.prompts if prompt.id not in won]
    silent = [it for it in meetings if any(prompt.id not in won for prompt in it.prompts)]
    for it in meetings:
        forwards, backwards = (won.get(prompt.id) for prompt in it.prompts)
        if forwards is None or backwards is None:
            continue
        story = story_of(it.question)
        agreed = forwards == 1 - backwards
        votes.append(Vote(it.first, it.second, forwards if agreed else 0.5, story))
        same += agreed
        for share in (forwards, backwards):
            if share != 0.5:
                firsts.append(share)
                stories.append(story)
    return Judging(
        votes=tuple(votes),
        consistent=same / len(votes) if votes else None,
        first_preferred=summarise(firsts, chances=[0.5] * len(firsts), clusters=stories),
        unread=len(meetings) - len(votes) - len(silent),
        failed=len(silent),
        failure=next((failed.get(it.id, f"{judge} gave none on {it.id!r}") for it in without), ""),
    )
