"""The longest prompt and reply of a model that answers is what its configuration names, by whichever name."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import BloomConfig, GPT2Config, LlamaConfig, LlavaConfig, MptConfig, PreTrainedConfig

from tests.models.pictures import ask
from tests.models.published import release
from triptych.core.records import Answer
from triptych.infer.engine.engine import Engine
from triptych.infer.local import LocalResponder
from triptych.infer.responder import Failed
from triptych.models.attention.lengths import ENDLESS, longest_of
from triptych.models.family import open_model
from triptych.models.vision.features import FeatureStore


@pytest.mark.parametrize(
    ("config", "most"),
    [
        (LlamaConfig(max_position_embeddings=77), 77),
        (LlavaConfig(text_config=LlamaConfig(max_position_embeddings=78)), 78),
        (MptConfig(max_seq_len=79), 79),
        (GPT2Config(n_positions=80), 80),
        (BloomConfig(seq_length=81), 81),
        (BloomConfig(), ENDLESS),
        (PreTrainedConfig(max_position_embeddings=-1), ENDLESS),
    ],
)
def test_a_configuration_names_its_longest(config: PreTrainedConfig, most: int) -> None:
    assert longest_of(config) == most


def test_a_folder_whose_language_model_calls_it_otherwise_answers(tmp_path: Path) -> None:
    def mpt(size: int) -> MptConfig:
        return MptConfig(vocab_size=size, d_model=48, n_heads=4, n_layers=2, max_seq_len=60, tie_word_embeddings=False)

    release(tmp_path, text=mpt)
    model = open_model(tmp_path / "released")
    responder = LocalResponder(model, features=FeatureStore(model), name="mpt")
    short, long = ask("short", "What?", reply=""), ask("long", "What? " * 20, reply="")
    said = list(responder.answer([each.__class__(each.id, each.turns[:1]) for each in (short, long)], max_tokens=3))
    assert [(each.id, type(each)) for each in said] == [("long", Failed), ("short", Answer)]
    assert isinstance(said[0], Failed)
    assert "are more than the model's 60" in said[0].reason
    with Engine(model, features=FeatureStore(model)) as engine:
        assert engine.longest == 60
