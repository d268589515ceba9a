"""Who is how strong, from who beat whom: Bradley-Terry strengths on Elo's scale, with bootstrap intervals.

Not where votes come from (``arena.py``). The model is Bradley & Terry's (1952), fitted by Hunter's iteration (2004):
it does not depend on the order of the games, as running Elo updates do. A tie is half a win each way. Between any two
that met there is one more drawn game, so that who never lost stays finite. Votes on one question are drawn together;
with them, for every two that met, a win of either, as nobody who won ten times of ten is sure to win (compare Agresti
& Coull 1998 for one share). Whoever never lost or drew, or never won or drew, has an interval with an open end. Of
two contestants alone the interval is that of their share of wins.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import log10

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from triptych.core.errors import DataError
from triptych.evaluate.certainty.flips import sign_flips
from triptych.evaluate.certainty.pairs import holm
from triptych.evaluate.certainty.power import Floats, numbered
from triptych.evaluate.certainty.statistics import Interval, draws, interval, percentiles

MEAN_ELO = 1000.0
ELO_PER_TENFOLD = 400.0
"""Points that make a win ten times as likely as a loss."""
RESAMPLES = 1000
_DRAWN = 1.0
"""Games that two who met are taken to have drawn besides."""
_STEPS = 2000
_CLOSE = 1e-7


@dataclass(frozen=True, slots=True)
class Vote:
    """Who of two was better on one question."""

    first: str
    second: str
    won: float
    """By the first: 1 for a win, 0.5 for a tie, 0 for a loss."""
    question: Hashable
    """Votes on the same question, or on questions that share images, are drawn together."""


@dataclass(frozen=True, slots=True)
class Rating:
    """One contestant's strength."""

    name: str
    elo: float
    """The mean of all contestants is 1000."""
    low: float | None
    high: float | None
    """The 95% interval; None: that end is open, both where all votes are on one question."""
    games: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """Two contestants against each other."""

    first: str
    second: str
    wins: int
    ties: int
    losses: int
    """Of the first."""
    rate: float
    """Share of wins of the first, a tie counting half, with its 95% interval."""
    low: float
    high: float
    p: float
    """Of the two-sided test that both win as often; questions are flipped whole."""
    p_holm: float
    """Corrected for all duels."""


def rate(votes: Sequence[Vote], *, seed: int = 0) -> list[Rating]:
    """Return every contestant's rating, the strongest first.

    Raises:
        DataError: no votes, or two groups of contestants never met, so that nothing compares them.
    """
    names = sorted({name for vote in votes for name in (vote.first, vote.second)})
    if not names:
        raise DataError("no votes, so there is nothing to rate.")
    number = {name: position for position, name in enumerate(names)}
    of_question = numbered([vote.question for vote in votes])
    units, count = int(of_question.max()) + 1, len(names)
    wins = np.zeros((units, count, count))
    for vote, unit in zip(votes, of_question, strict=True):
        one, other = number[vote.first], number[vote.second]
        wins[unit, one, other] += vote.won
        wins[unit, other, one] += 1 - vote.won
    total = wins.sum(axis=0)
    games = total + total.T
    _check_connected(games, names)
    drawn = np.where(games > 0, _DRAWN / 2, 0.0)
    elo = _elo(total[None] + drawn)[0]
    low: list[float | None] = [None] * count
    high: list[float | None] = [None] * count
    if count == 2 and units > 1:
        low, high = _of_two(votes, names[0], elo, seed)
    elif units > 1:
        pool = np.concatenate([wins, _imagined(games)])
        flat = pool.reshape(len(pool), count * count)
        blocks = np.zeros(len(pool), dtype=np.intp)
        samples = np.concatenate(
            [
                _elo((picked @ flat).reshape(-1, count, count) + drawn)
                for picked in draws(blocks, seed=seed, resamples=RESAMPLES)
            ]
        )
        found = [_interval(samples[:, position], units) for position in range(count)]
        low = [min(found[at].low, float(elo[at])) if total[at].any() else None for at in range(count)]
        high = [max(found[at].high, float(elo[at])) if total[:, at].any() else None for at in range(count)]
    ratings = [
        Rating(name, float(elo[at]), low[at], high[at], games=round(float(games[at].sum())))
        for at, name in enumerate(names)
    ]
    return sorted(ratings, key=lambda rating: (-rating.elo, rating.name))


def duels(votes: Sequence[Vote], *, seed: int = 0) -> list[Duel]:
    """Return every two contestants that met: wins, ties, losses, and whether there is evidence of a difference."""
    met: dict[tuple[str, str], list[Vote]] = {}
    for vote in votes:
        turned = vote.first > vote.second
        pair = (vote.second, vote.first) if turned else (vote.first, vote.second)
        met.setdefault(pair, []).append(Vote(*pair, 1 - vote.won if turned else vote.won, vote.question))
    found = []
    for (first, second), games in sorted(met.items()):
        won = np.array([vote.won for vote in games])
        questions = [vote.question for vote in games]
        parts = np.bincount(numbered(questions), weights=won - 0.5).astype(np.float64)
        low, high = interval(won.tolist(), clusters=questions, seed=seed)
        p = sign_flips(parts, seed=seed)
        found.append((first, second, won, Interval(low, high), p))
    corrected = holm([p for *_, p in found])
    return [
        Duel(
            first=first,
            second=second,
            wins=int((won > 0.5).sum()),
            ties=int((won == 0.5).sum()),
            losses=int((won < 0.5).sum()),
            rate=float(won.mean()),
            low=low,
            high=high,
            p=p,
            p_holm=p_holm,
        )
        for (first, second, won, (low, high), p), p_holm in zip(found, corrected, strict=True)
    ]


def _elo(wins: NDArray[np.float64]) -> Floats:
    """Return Elo points, (samples, contestants), of who beat whom how often, (samples, contestants, contestants)."""
    games = wins + wins.transpose(0, 2, 1)
    won = wins.sum(axis=2)
    strength = np.ones(won.shape)
    for _ in range(_STEPS):
        new = won / (games / (strength[:, :, None] + strength[:, None, :])).sum(axis=2)
        new /= np.exp(np.log(new).mean(axis=1, keepdims=True))
        moved = float(np.abs(np.log(new) - np.log(strength)).max())
        strength = new
        if moved < _CLOSE:
            break
    return np.asarray(MEAN_ELO + ELO_PER_TENFOLD * np.log10(strength), dtype=np.float64)


def _of_two(votes: Sequence[Vote], name: str, elo: Floats, seed: int) -> tuple[list[float | None], list[float | None]]:
    """Return the lower and the upper ends of the two: the points that belong to the interval of the share of wins."""
    won = [vote.won if vote.first == name else 1 - vote.won for vote in votes]
    least, most = interval(won, clusters=[vote.question for vote in votes], seed=seed)
    low = min(_above_mean(least), float(elo[0]) - MEAN_ELO) if least > 0 else None
    high = max(_above_mean(most), float(elo[0]) - MEAN_ELO) if most < 1 else None
    return (
        [None if low is None else MEAN_ELO + low, None if high is None else MEAN_ELO - high],
        [None if high is None else MEAN_ELO + high, None if low is None else MEAN_ELO - low],
    )


def _above_mean(share: float) -> float:
    """Return by how many points one of two who wins so often is above the mean."""
    return ELO_PER_TENFOLD / 2 * log10(share / (1 - share))


def _imagined(games: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for every two that met and each of them, a question on which that one won."""
    pairs = np.argwhere(games > 0)
    won = np.zeros((len(pairs), *games.shape))
    won[np.arange(len(pairs)), pairs[:, 0], pairs[:, 1]] = 1.0
    return won


def _interval(values: Floats, units: int) -> Interval:
    error = float(values.std()) * float(np.sqrt(units / (units - 1)))
    return percentiles(values, error=error, freedom=units - 1)


def _check_connected(games: NDArray[np.float64], names: Sequence[str]) -> None:
    groups, of_name = connected_components(csr_array(games > 0), directed=False)
    if groups > 1:
        sides = [", ".join(name for name, group in zip(names, of_name, strict=True) if group == at) for at in (0, 1)]
        raise DataError(f"nobody of {sides[0]} met anybody of {sides[1]}: votes between them are needed to rate them.")
