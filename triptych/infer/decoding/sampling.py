"""Choosing the next token from logits: greedily, or drawn from the likeliest; what one request asks of it.

Not the model and not the words. A request draws from random numbers of its own, one a token, so that what it says
depends neither on what else is asked at the time nor on its place in a batch, but for rounding, which moves a draw only
where it falls on an edge. Temperature, then the k likeliest, then the likeliest of mass p, as ``generate`` of
transformers has it; of what is left the token is read off the cumulated probabilities in the vocabulary's order.

Shapes: B rows, S of them drawn, V vocabulary, C candidates.
"""

from __future__ import annotations

import math
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from triptych.core.errors import ConfigError

CANDIDATES = 1024
"""Likeliest tokens that are looked at first for ``top_p``; all of them only where these have not the mass."""
MOST_STOPS = 16
MOST_LOGPROBS = 20


@dataclass(frozen=True, slots=True)
class Sampling:
    """What one request asks of its reply."""

    max_tokens: int = 512
    """Most tokens of the reply, the one that ends it included."""
    temperature: float = 0.0
    """0: always the likeliest token."""
    top_p: float = 1.0
    """Only of the likeliest tokens that together have this probability; 1: of all."""
    top_k: int = 0
    """Only of so many likeliest tokens; 0: of all."""
    seed: int | None = None
    """Seed of the request's random numbers; None: a new one each time."""
    stop: tuple[str, ...] = ()
    """The reply ends before the first of these; none of them is ever said."""
    logprobs: int | None = None
    """How many likeliest tokens are told beside each that is said; 0: only its own probability; None: nothing."""
    repetition_penalty: float | None = None
    """Logits of tokens that stand in the prompt or were said are divided by this, negative ones multiplied. None: as
    the model's folder has it (``generation_config.py``), 1 where it says nothing."""

    ignore_stop: bool = False
    """Go on behind the token that ends a reply, which says nothing then: to measure with replies of one length."""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigError: a value is out of its range; the message names it.
        """
        checks = (
            ("max_tokens", self.max_tokens >= 1, "at least 1"),
            ("temperature", 0 <= self.temperature <= 100, "from 0 to 100"),
            ("top_p", 0 < self.top_p <= 1, "above 0, at most 1"),
            ("top_k", self.top_k >= 0, "at least 0"),
            (
                "stop",
                len(self.stop) <= MOST_STOPS and all(self.stop),
                f"at most {MOST_STOPS} texts, none of them empty",
            ),
            ("logprobs", self.logprobs is None or 0 <= self.logprobs <= MOST_LOGPROBS, f"from 0 to {MOST_LOGPROBS}"),
            (
                "repetition_penalty",
                self.repetition_penalty is None or 0 < self.repetition_penalty <= 100,
                "above 0, at most 100",
            ),
        )
        for name, holds, expected in checks:
            if not holds:
                raise ConfigError(f"{name}: expected {expected}, found {getattr(self, name)!r}.")

    @property
    def greedy(self) -> bool:
        """Whether nothing is left to chance."""
        return self.temperature == 0

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is always chosen, as the model has it."""
        return self.greedy and self.penalty == 1

    @property
    def penalty(self) -> float:
        """The penalty for repeating; 1: none."""
        return 1.0 if self.repetition_penalty is None else self.repetition_penalty

    def settled(self, *, penalty: float) -> Sampling:
        """Return the same with this penalty for repeating, where it has none of its own."""
        return self if self.repetition_penalty is not None else replace(self, repetition_penalty=penalty)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A token, and how likely the model held it before temperature, penalty and all the rest."""

    id: int
    logprob: float | None = None
    """None: not asked for."""
    top: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens and their log-probabilities, the likeliest first."""


class Chooser:
    """What choosing for one request needs. Its state: its random numbers, and which tokens stand in its text."""

    def __init__(self, sampling: Sampling, prompt: Sequence[int] = ()) -> None:
        """Begin a reply to these ids, which matter only where repeating is punished."""
        self.sampling = sampling
        self._random = random.Random(secrets.randbits(64) if sampling.seed is None else sampling.seed)
        self._seen: dict[int, None] = dict.fromkeys(prompt) if sampling.penalty != 1 else {}

    def draw(self) -> float:
        """Return the next number from 0 to 1; one is drawn for each token."""
        return self._random.random()

    @property
    def seen(self) -> list[int]:
        """The tokens that are punished."""
        return list(self._seen)

    def said(self, token: int) -> None:
        """Take note of a token of the reply."""
        if self.sampling.penalty != 1:
            self._seen[token] = None


@torch.inference_mode()
def choose(logits_BV: Tensor, choosers: Sequence[Chooser]) -> list[Chosen]:
    """Return the next token of each row, and take note of it.

    Args:
        logits_BV: of the next tokens, as the model gives them.
        choosers: one for each row.
    """
    raw_BV = logits_BV.float()
    scores_BV = _punish(raw_BV, choosers)
    ids_B = scores_BV.argmax(dim=-1)
    drawn = [row for row, chooser in enumerate(choosers) if not chooser.sampling.greedy]
    if drawn:
        rows_S = torch.tensor(drawn, device=scores_BV.device)
        ids_B[rows_S] = _draw(scores_BV[rows_S], [choosers[row] for row in drawn])
    ids = ids_B.tolist()
    for chooser, token in zip(choosers, ids, strict=True):
        chooser.said(token)
    told = _tell(raw_BV, ids, choosers)
    return [told.get(row, Chosen(token)) for row, token in enumerate(ids)]


def _punish(raw_BV: Tensor, choosers: Sequence[Chooser]) -> Tensor:
    punished = [row for row, chooser in enumerate(choosers) if chooser.sampling.penalty != 1]
    if not punished:
        return raw_BV
    scores_BV = raw_BV.clone()
    for row in punished:
        penalty, seen = choosers[row].sampling.penalty, torch.tensor(choosers[row].seen, dtype=torch.long)
        seen = seen.to(raw_BV.device)
        own = raw_BV[row, seen]
        scores_BV[row, seen] = torch.where(own < 0, own * penalty, own / penalty)
    return scores_BV


def _draw(scores_SV: Tensor, choosers: Sequence[Chooser]) -> Tensor:
    """Return a token of each row, drawn."""
    device = scores_SV.device
    if device.type == "mps":  # has no float64
        return _draw(scores_SV.cpu(), choosers).to(device)
    settings = [chooser.sampling for chooser in choosers]
    numbers_S = torch.tensor([chooser.draw() for chooser in choosers], dtype=torch.float64, device=device)
    heat_S = torch.tensor([each.temperature for each in settings], dtype=torch.float64, device=device)
    # From the likeliest down: else a temperature of next to nothing makes them all infinite.
    warm_SV = (scores_SV - scores_SV.amax(-1, keepdim=True)) / heat_S[:, None]
    cut = [row for row, each in enumerate(settings) if each.top_p < 1 or each.top_k]
    whole = [row for row in range(len(settings)) if row not in set(cut)]
    ids_S = torch.zeros(len(settings), dtype=torch.long, device=device)
    if whole:
        ids_S[whole] = _read_off(warm_SV[whole].double().softmax(-1), numbers_S[whole])
    if cut:
        tokens_SC, shares_SC = likeliest(warm_SV[cut], [settings[row] for row in cut])
        places_S = _read_off(shares_SC, numbers_S[cut])
        ids_S[cut] = tokens_SC.gather(1, places_S[:, None])[:, 0]
    return ids_S


def likeliest(warm_SV: Tensor, settings: Sequence[Sampling]) -> tuple[Tensor, Tensor]:
    """Return which tokens ``top_k`` and ``top_p`` leave, as ids_SC in ascending order, and their shares, 0 for others.

    Args:
        warm_SV: logits, divided by the temperature.
        settings: of each row.
    """
    vocabulary = warm_SV.shape[-1]
    tops = [min(each.top_k, vocabulary) or vocabulary for each in settings]
    found = max((top for top in tops if top < vocabulary), default=0)
    candidates = min(vocabulary, max(CANDIDATES, found))
    while True:
        values_SC, tokens_SC = warm_SV.topk(candidates, dim=-1)
        places_C = torch.arange(candidates, device=warm_SV.device)
        values_SC = values_SC.masked_fill(places_C >= torch.tensor(tops, device=warm_SV.device)[:, None], -torch.inf)
        among_S = [top <= candidates for top in tops]
        totals_S = torch.where(
            torch.tensor(among_S, device=warm_SV.device),
            values_SC.double().logsumexp(-1),
            warm_SV.double().logsumexp(-1),
        )
        shares_SC = (values_SC.double() - totals_S[:, None]).exp()
        # All of them is not what rounds to 1 when summed.
        masses = [each.top_p if each.top_p < 1 else math.inf for each in settings]
        masses_S = torch.tensor(masses, dtype=torch.float64, device=warm_SV.device)
        enough = (shares_SC.sum(-1) >= masses_S) | torch.tensor(among_S, device=warm_SV.device)
        if candidates == vocabulary or bool(enough.all()):
            break
        candidates = vocabulary
    before_SC = shares_SC.cumsum(-1) - shares_SC
    shares_SC = shares_SC.masked_fill((before_SC >= masses_S[:, None]) & (places_C > 0), 0.0)
    order_SC = tokens_SC.argsort(-1)
    return tokens_SC.gather(1, order_SC), shares_SC.gather(1, order_SC)


def _read_off(shares_SC: Tensor, numbers_S: Tensor) -> Tensor:
    """Return the place at which the cumulated shares pass the number's share of their sum."""
    sums_SC = shares_SC.cumsum(-1)
    places_S1 = torch.searchsorted(sums_SC, (numbers_S * sums_SC[:, -1])[:, None], right=True)
    # Rounding may lead one behind the last that has a share.
    last_S1 = torch.where(shares_SC > 0, torch.arange(shares_SC.shape[1], device=shares_SC.device), 0).amax(-1)[:, None]
    return torch.minimum(places_S1, last_S1)[:, 0]


def _tell(raw_BV: Tensor, ids: Sequence[int], choosers: Sequence[Chooser]) -> dict[int, Chosen]:
    """Return the tokens of the rows that ask for probabilities, with those."""
    asked = [row for row, chooser in enumerate(choosers) if chooser.sampling.logprobs is not None]
    if not asked:
        return {}
    logprobs_SV = raw_BV[asked].log_softmax(-1)
    own = logprobs_SV.gather(1, torch.tensor([[ids[row]] for row in asked], device=raw_BV.device))[:, 0].tolist()
    most = min(max(choosers[row].sampling.logprobs or 0 for row in asked), raw_BV.shape[-1])
    values, tokens = logprobs_SV.topk(most, dim=-1)
    found = {}
    for row, logprob, top, top_ids in zip(asked, own, values.tolist(), tokens.tolist(), strict=True):
        count = choosers[row].sampling.logprobs or 0
        found[row] = Chosen(ids[row], logprob, tuple(zip(top_ids[:count], top[:count], strict=True)))
    return found
