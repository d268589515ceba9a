"""Choosing tokens: what transformers' own processors leave is left, and chance depends on the request alone."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor
from transformers import RepetitionPenaltyLogitsProcessor, TopKLogitsWarper, TopPLogitsWarper

from triptych.core.errors import ConfigError
from triptych.infer.decoding.sampling import Chooser, Sampling, choose, likeliest

VOCABULARY = 3000


def logits(rows: int, *, seed: int = 0, spread: float = 3.0) -> Tensor:
    return torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * spread


def drawn(logits_V: Tensor, sampling: Sampling, count: int) -> list[int]:
    chooser = Chooser(sampling)
    return [choose(logits_V[None], [chooser])[0].id for _ in range(count)]


def test_without_temperature_the_likeliest_token_is_chosen() -> None:
    logits_BV = logits(5)
    found = choose(logits_BV, [Chooser(Sampling(seed=row, top_p=0.3, top_k=7)) for row in range(5)])
    assert [chosen.id for chosen in found] == logits_BV.argmax(-1).tolist()


@pytest.mark.parametrize("temperature", [1e-6, 1e-37, 1e-40, 5e-324])
def test_next_to_no_temperature_is_as_none(temperature: float) -> None:
    logits_BV = logits(4)
    for top_p in (1.0, 0.9):
        choosers = [Chooser(Sampling(temperature=temperature, top_p=top_p, seed=row)) for row in range(4)]
        assert [chosen.id for chosen in choose(logits_BV, choosers)] == logits_BV.argmax(-1).tolist()


@example(top_k=0, top_p=1.0, spread=8.0, seed=5)
@given(
    top_k=st.sampled_from([0, 1, 2, 50, 1500, 2999, 9999]),
    top_p=st.sampled_from([1e-6, 0.1, 0.5, 0.9, 0.999, 0.999999, 1.0]),
    spread=st.sampled_from([0.01, 1.0, 8.0]),
    seed=st.integers(0, 5),
)
def test_what_is_left_is_what_transformers_leaves(top_k: int, top_p: float, spread: float, seed: int) -> None:
    warm_BV = logits(2, seed=seed, spread=spread)
    wanted_BV = warm_BV.double()
    none = torch.empty(0)
    if top_k:
        wanted_BV = TopKLogitsWarper(top_k)(none, wanted_BV)  # type: ignore[arg-type]
    if top_p < 1:
        wanted_BV = TopPLogitsWarper(top_p)(none, wanted_BV)  # type: ignore[arg-type]
    tokens_BC, shares_BC = likeliest(warm_BV, [Sampling(top_k=top_k, top_p=top_p)] * 2)
    for row in range(2):
        assert tokens_BC[row].tolist() == sorted(tokens_BC[row].tolist())
        left = set(tokens_BC[row][shares_BC[row] > 0].tolist())
        wanted = set(wanted_BV[row].isfinite().nonzero()[:, 0].tolist())
        # At the edge of the mass, rounding may take one more or one less.
        assert len(left ^ wanted) <= (0 if top_p == 1 else 1)


def test_tokens_come_as_often_as_they_are_likely() -> None:
    logits_V = torch.tensor([2.0, 1.0, 0.0, -1.0, -40.0])
    for sampling in (Sampling(temperature=0.7, seed=1), Sampling(temperature=1.5, seed=2, top_k=3)):
        shares = (logits_V / sampling.temperature).double()
        if sampling.top_k:
            shares[sampling.top_k :] = -torch.inf
        counts = Counter(drawn(logits_V, sampling, 1500))
        for token, share in enumerate(shares.softmax(-1).tolist()):
            assert abs(counts[token] / 1500 - share) < 4 * (share * (1 - share) / 1500) ** 0.5 + 1e-9


def test_a_draw_depends_on_the_seed_and_not_on_the_company() -> None:
    logits_BV = logits(6)
    samplings = [Sampling(temperature=1.0, seed=row % 3, top_p=1.0 if row < 4 else 0.9) for row in range(6)]
    choosers = [Chooser(each) for each in samplings]
    together = [[chosen.id for chosen in choose(logits_BV, choosers)] for _ in range(20)]
    alone = [drawn(logits_BV[row], samplings[row], 20) for row in range(6)]
    assert [list(row) for row in zip(*together, strict=True)] == alone
    assert drawn(logits_BV[0], samplings[0], 20) != drawn(logits_BV[0], samplings[1], 20)


def test_two_requests_without_a_seed_differ() -> None:
    warm_V = logits(1, spread=0.1)[0]
    assert drawn(warm_V, Sampling(temperature=1.0), 8) != drawn(warm_V, Sampling(temperature=1.0), 8)


def test_repeating_is_punished_as_transformers_punishes_it() -> None:
    logits_BV = logits(1)
    prompt = [*logits_BV[0].topk(5).indices.tolist(), 7, 7, 8]
    wanted = RepetitionPenaltyLogitsProcessor(1.7)(torch.tensor([prompt]), logits_BV.clone())  # type: ignore[arg-type]
    chooser = Chooser(Sampling(repetition_penalty=1.7), prompt)
    (first,) = choose(logits_BV, [chooser])
    assert first.id == int(wanted.argmax())
    said = {first.id}
    for _ in range(5):
        (chosen,) = choose(logits_BV, [chooser])
        said.add(chosen.id)
    assert len(said) > 1


def test_probabilities_are_the_models_own_whatever_is_drawn() -> None:
    logits_BV = logits(2)
    sampling = Sampling(temperature=2.0, top_k=9, seed=4, logprobs=3, repetition_penalty=1.3)
    plain, told = choose(logits_BV, [Chooser(Sampling()), Chooser(sampling, [1, 2])])
    assert plain.logprob is None
    shares_V = logits_BV[1].log_softmax(-1)
    assert told.logprob == pytest.approx(float(shares_V[told.id]))
    assert [token for token, _ in told.top] == shares_V.topk(3).indices.tolist()
    assert [value for _, value in told.top] == pytest.approx(shares_V.topk(3).values.tolist())
    (only,) = choose(logits_BV[:1], [Chooser(Sampling(logprobs=0))])
    assert only.logprob is not None
    assert only.top == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 0},
        {"temperature": -0.1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_k": -1},
        {"stop": ("a", "")},
        {"logprobs": 21},
        {"repetition_penalty": 0.0},
    ],
)
def test_what_cannot_be_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Sampling(**wrong)  # type: ignore[arg-type]
