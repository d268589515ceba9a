"""Greedy decoding: rows end by themselves, and the others do not notice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
)

from triptych.data.batch import PADDING, Batch
from triptych.infer.decoding.decode import DecodeStep, SharedPrefix, can_share, decode
from triptych.models.families.tiny import tiny
from triptych.models.family import Model, Seen, Woven

NEVER = -1
ROWS = 5


def replies(steps: Iterable[DecodeStep]) -> list[list[int]]:
    said: list[list[int]] = [[] for _ in range(ROWS)]
    for step in steps:
        for row, token in zip(step.rows, step.ids, strict=True):
            said[row].append(token)
    return said


class OfWords:
    """A language model alone, which speaks."""

    run = Model.run
    precision = torch.float32

    def __init__(self, network: PreTrainedModel) -> None:
        self.network = network

    def weave(self, batch: Batch, features: Sequence[Seen]) -> Woven:
        assert not features
        return woven_of(self.network.get_input_embeddings()(batch.ids_BT), batch.segments_BT)


def woven_of(embeds_BTH: Tensor, segments_BT: Tensor) -> Woven:
    positions_BT = ((segments_BT != PADDING).cumsum(-1) - 1).clamp(min=0)
    return Woven(embeds_BTH, positions_BT[None], segments_BT)


def toy() -> OfWords:
    return OfWords(tiny(3).network.requires_grad_(False))


def prompts(rows: int = ROWS) -> Woven:
    """Return prompts of 3 to 7 positions, padded on the left."""
    lengths = torch.arange(3, 3 + ROWS)[:, None]
    segments_BT = torch.where(torch.arange(7) >= 7 - lengths, 0, PADDING)
    embeds_BTH = torch.randn(ROWS, 7, 48, generator=torch.Generator().manual_seed(1))
    return woven_of(embeds_BTH[:rows], segments_BT[:rows])


def test_a_row_ends_with_its_stop_token_and_the_others_go_on() -> None:
    model = toy()
    endless = replies(decode(model, prompts(), stops={NEVER}, max_tokens=12))
    assert {len(row) for row in endless} == {12}
    for stop in sorted({token for row in endless for token in row}):
        ended = replies(decode(model, prompts(), stops={stop}, max_tokens=12))
        assert ended == [row[: row.index(stop) + 1] if stop in row else row for row in endless]


def test_generation_ends_when_every_row_has_ended() -> None:
    model = toy()
    first = next(decode(model, prompts(1), stops={NEVER}, max_tokens=3))
    steps = list(decode(model, prompts(1), stops={first.ids[0]}, max_tokens=3))
    assert steps == [first]


def test_the_callers_gradients_are_as_they_were_between_two_tokens() -> None:
    model = toy()
    for _ in decode(model, prompts(), stops={NEVER}, max_tokens=2):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


SMALL = {"vocab_size": 50, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2}
CONFIGS: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**SMALL, intermediate_size=48, num_key_value_heads=2, initializer_range=0.3),
    "qwen2": Qwen2Config(**SMALL, intermediate_size=48, num_key_value_heads=2, initializer_range=0.3),
    "gpt2": GPT2Config(vocab_size=50, n_embd=32, n_head=4, n_layer=2, n_positions=64, initializer_range=0.3),
    "mistral": MistralConfig(
        **SMALL, intermediate_size=48, num_key_value_heads=2, initializer_range=0.3, sliding_window=40
    ),
}


def model_of(config: PreTrainedConfig) -> OfWords:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    return OfWords(network.eval().requires_grad_(False))


def grouped_prompts(model: OfWords) -> tuple[Woven, list[SharedPrefix]]:
    """Ten prompts in four groups: questions on one beginning, turns of a conversation, a fork in a fork, one alone."""
    generator = torch.Generator().manual_seed(2)

    def words(count: int) -> list[int]:
        return torch.randint(3, 50, (count,), generator=generator).tolist()

    story, talk, fork = words(9), words(16), words(6)
    twig = [*fork, *words(4)]
    groups = [
        ([[*story, *words(3)], [*story, *words(8)], [*story, *words(1)]], (0, 9, 9)),
        ([talk[:7], talk[:12], talk], (0, 6, 11)),
        ([[*fork, *words(2)], [*twig, *words(1)], [*twig, *words(5)]], (0, 6, 10)),
        ([words(5)], (0,)),
    ]
    rows = [torch.tensor(row) for members, _ in groups for row in members]
    shared, begin = [], 0
    for members, common in groups:
        shared.append(SharedPrefix(tuple(range(begin, begin + len(members))), common))
        begin += len(members)
    width = max(map(len, rows))
    ids_BT = torch.stack([torch.nn.functional.pad(row, (width - len(row), 0)) for row in rows])
    segments_BT = torch.stack([torch.where(torch.arange(width) >= width - len(row), 0, PADDING) for row in rows])
    return woven_of(model.network.get_input_embeddings()(ids_BT), segments_BT), shared


@pytest.mark.parametrize("name", CONFIGS)
def test_tokens_with_shared_beginnings_are_those_without(name: str) -> None:
    model = model_of(CONFIGS[name])
    assert can_share(model)
    woven, shared = grouped_prompts(model)

    def said(chosen: list[SharedPrefix], stop: int) -> list[DecodeStep]:
        return list(decode(model, woven, stops={stop}, max_tokens=6, shared=chosen))

    plain = said([], NEVER)
    assert len({tuple(step.ids[row] for step in plain) for row in range(10)}) > 7, "alike replies would prove nothing"
    assert said(shared, NEVER) == plain
    stop = plain[2].ids[0]
    assert said(shared, stop) == said([], stop) != plain
    alone = [SharedPrefix((row,), (0,)) for row in range(10)]
    assert said(alone, NEVER) == plain


def test_a_token_that_rows_share_is_computed_once() -> None:
    model = model_of(CONFIGS["llama"])
    woven, shared = grouped_prompts(model)
    widths: list[tuple[int, ...]] = []

    def count(module: torch.nn.Module, values: object, named: dict[str, Tensor]) -> None:
        if (embeds := named.get("inputs_embeds")) is not None:
            widths.append(tuple(embeds.shape[:2]))

    hook = model.network.register_forward_pre_hook(count, with_kwargs=True)
    next(decode(model, woven, stops={NEVER}, max_tokens=1, shared=shared))
    hook.remove()
    assert widths == [(4, 18), (10, 1)], "the most different tokens of a group, then each row's last"


def test_a_network_with_a_window_that_holds_nothing_shares_nothing() -> None:
    config = MistralConfig(**SMALL, intermediate_size=48, num_key_value_heads=2, sliding_window=4)
    assert not can_share(model_of(config))
