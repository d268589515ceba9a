"""People's votes in a file: which of two replies to a question is better.

Not a judge's (``arena.judge_pairs``), nor what votes come to (``certainty/ratings``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.files import read_json_lines
from triptych.core.log import say
from triptych.evaluate.certainty.ratings import Vote
from triptych.evaluate.saved.meetings import Contestant


def read_votes(path: Path, contestants: Sequence[Contestant]) -> list[Vote]:
    """Read people's votes: a line each with ``a``, ``b`` (contestants), ``winner`` (a name, or tie), and ``id``.

    ``winner`` may also be ``a`` or ``b``; one that is another by name than so is refused. A line without ``id``, or
    with null, is a vote on a question of its own. Several on one question and the same two are told, for they may be
    votes of several people, or one id given twice; so are votes on questions that neither of the two answered.

    Raises:
        NotFoundError: no such file.
        DataError: a line is no vote, names somebody who is not there, or a winner that may be either.
    """
    replies = {contestant.name: contestant.replies for contestant in contestants}
    votes: list[Vote] = []
    seen: set[tuple[str, frozenset[str]]] = set()
    again: list[str] = []
    unknown: list[str] = []
    for number, record in enumerate(read_json_lines(path, ours=False), start=1):
        one, other, winner = (str(record.get(key, "")) for key in ("a", "b", "winner"))
        by_sign = {"a": 1.0, "b": 0.0}.get(winner, 0.5 if winner.casefold() == "tie" else None)
        by_name = {other: 0.0, one: 1.0}.get(winner)
        won = by_sign if by_name is None else by_name
        if not {one, other} <= replies.keys() or one == other or won is None:
            raise DataError(
                f'{path}: line {number}: expected "a" and "b" of {", ".join(replies)}, and "winner" one of them or '
                f"tie; found {one!r}, {other!r} and {winner!r}."
            )
        if None not in (by_sign, by_name) and by_sign != by_name:
            sign = "a tie" if by_sign == 0.5 else f'"{winner}"'
            raise DataError(
                f"{path}: line {number}: the winner {winner!r} is {sign} or the contestant of that name. Rename the"
                " contestants' files, and in the votes."
            )
        named = record.get("id")
        question = str(("line", number)) if named is None else str(named)
        votes.append(Vote(one, other, won, question))
        if (question, frozenset((one, other))) in seen:
            again.append(question)
        seen.add((question, frozenset((one, other))))
        if named is not None and question not in replies[one] and question not in replies[other]:
            unknown.append(question)
    if again:
        say(
            f"{path}: {len(again)} of {len(votes)} votes have the id and the two of an earlier one ({again[0]!r}): "
            f"taken as votes on one question. Votes on different questions need ids of their own."
        )
    if unknown:
        say(
            f"{path}: {len(unknown)} of {len(votes)} votes are on questions that neither of the two answered "
            f"({unknown[0]!r}): counted all the same. Are these the right files of answers?"
        )
    return votes
