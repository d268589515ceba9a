"""Replies of networks that compute long conversations otherwise: those that each conversation gets alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    GPTNeoConfig,
    Llama4TextConfig,
    Phi3Config,
    PreTrainedConfig,
)

from tests.infer.test_decode import NEVER, OfWords, model_of, woven_of
from tests.models.test_lengths import LLAMA_4
from triptych.data.batch import PADDING
from triptych.infer.decoding.decode import DecodeStep, SharedPrefix, can_share, decode
from triptych.infer.engine.one_by_one import OneByOne
from triptych.infer.engine.rows import Rows
from triptych.infer.engine.slots import Slots, woven_words
from triptych.models.family import Woven

SMALL = {"vocab_size": 50, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2}
MORE = {**SMALL, "intermediate_size": 48, "num_key_value_heads": 2, "initializer_range": 0.3, "pad_token_id": 0}
ROPE = {"rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [2.0, 3.0, 5.0, 7.0]}
REACH = 12
CONFIGS: dict[str, PreTrainedConfig] = {
    "longrope": Phi3Config(
        **MORE,
        max_position_embeddings=64,
        original_max_position_embeddings=REACH,
        rope_parameters={"rope_type": "longrope", "original_max_position_embeddings": REACH, **ROPE},
    ),
    "llama4_scale": Llama4TextConfig(**MORE, **LLAMA_4, attn_temperature_tuning=True, floor_scale=REACH + 1),
    "llama4_chunk": Llama4TextConfig(**MORE, **LLAMA_4, attn_temperature_tuning=False, attention_chunk_size=REACH),
    "doge": AutoConfig.for_model("doge", **MORE, keep_window_size=REACH, sliding_window=None),
    "gpt_neo": GPTNeoConfig(
        vocab_size=50,
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        attention_types=[[["global", "local"], 1]],
        window_size=REACH,
        initializer_range=0.3,
    ),
}


def words(*lengths: int, begun: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(3)
    first = torch.randint(3, 50, (begun,), generator=generator).tolist()
    return [[*first, *torch.randint(3, 50, (n - begun,), generator=generator).tolist()] for n in lengths]


def woven_left(model: OfWords, prompts: list[list[int]]) -> Woven:
    width = max(map(len, prompts))
    ids_BT = torch.tensor([[0] * (width - len(each)) + each for each in prompts])
    segments_BT = torch.tensor([[PADDING] * (width - len(each)) + [0] * len(each) for each in prompts])
    return woven_of(model.network.get_input_embeddings()(ids_BT), segments_BT)


def said(model: OfWords, prompts: list[list[int]], *, shared: list[SharedPrefix] | None = None) -> list[list[int]]:
    replies: list[list[int]] = [[] for _ in prompts]
    steps: list[DecodeStep] = list(
        decode(model, woven_left(model, prompts), stops={NEVER}, max_tokens=8, shared=shared or ())
    )
    for step in steps:
        for row, token in zip(step.rows, step.ids, strict=True):
            replies[row].append(token)
    return replies


@pytest.mark.parametrize("name", CONFIGS)
def test_a_batch_of_short_and_long_prompts_says_what_each_gets_alone(name: str) -> None:
    model, prompts = model_of(CONFIGS[name]), words(4, 21, 9)
    alone = [said(model, [prompt])[0] for prompt in prompts]
    assert said(model, prompts) == alone


@pytest.mark.parametrize("name", CONFIGS)
def test_long_prompts_that_begin_alike_say_what_each_gets_alone(name: str) -> None:
    model, prompts = model_of(CONFIGS[name]), words(14, 25, 17, begun=11)
    alone = [said(model, [prompt])[0] for prompt in prompts]
    assert can_share(model)
    assert said(model, prompts, shared=[SharedPrefix((0, 1, 2), (0, 11, 11))]) == alone


@pytest.mark.parametrize("name", CONFIGS)
def test_an_engines_rows_are_joined_up_to_there_and_alone_beyond(name: str) -> None:
    model = model_of(CONFIGS[name])
    model.splices = True  # type: ignore[attr-defined]
    rows = Rows(model, tokens=1000)  # type: ignore[arg-type]
    assert rows.joins
    rows.turn(REACH)
    assert isinstance(rows.now, Slots)
    assert rows.fit(REACH, [])
    rows.now.begin(woven_words(model, [1, 2, 3]))
    assert not rows.fit(REACH + 1, [REACH])
    rows.now.leave(0)
    rows.turn(REACH + 1)
    assert isinstance(rows.now, OneByOne)


def test_rows_that_are_asked_one_by_one_are_chosen_for_by_their_numbers() -> None:
    model, seen = model_of(CONFIGS["longrope"]), []

    def choose(logits_BV: Tensor, rows: object) -> list[int]:
        seen.append((rows, len(logits_BV)))
        return [5]

    woven = woven_left(model, words(4, 21))
    steps = list(decode(model, woven, stops={NEVER}, max_tokens=2, choose_rows=choose))
    assert seen == [([0], 1), ([0], 1), ([1], 1), ([1], 1)]
    assert steps == [DecodeStep((0,), (5,)), DecodeStep((0,), (5,)), DecodeStep((1,), (5,)), DecodeStep((1,), (5,))]
