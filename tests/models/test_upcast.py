"""A network that was opened in 16 bits computes in float32 as the same folder does that was opened in float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, Gemma2Config, Gemma3TextConfig, PreTrainedConfig

from tests.models.published import BODY, release
from triptych.models.family import Model
from triptych.models.memory.placement import open_to_answer
from triptych.train.recipe import ModelPlan
from triptych.train.start import start_model

GEMMA = {**BODY, "num_key_value_heads": 2, "head_dim": 12, "pad_token_id": 0}


def trained(folder: Path) -> Model:
    return start_model(ModelPlan(open=str(folder)), seed=0)


def answering(folder: Path) -> Model:
    return open_to_answer(str(folder), device="cpu")


@pytest.mark.parametrize("opened", [trained, answering])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", [Gemma2Config, Gemma3TextConfig])
def test_what_no_file_holds_is_as_exact_as_where_the_folder_is_opened_in_float32(
    kind: type[PreTrainedConfig], dtype: torch.dtype, opened: Callable[[Path], Model], tmp_path: Path
) -> None:
    release(tmp_path, text=lambda size: kind(**GEMMA, vocab_size=size), dtype=dtype)
    folder = tmp_path / "released"
    wanted = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    network = opened(folder).network
    exact = dict(wanted.named_buffers())
    assert {name: each.dtype for name, each in network.named_buffers()} == {
        name: each.dtype for name, each in exact.items()
    }
    assert all(torch.equal(each, exact[name]) for name, each in network.named_buffers())
    assert all(torch.equal(each, wanted.state_dict()[name]) for name, each in network.state_dict().items())
    factor = network.get_input_embeddings().embed_scale
    assert factor.item() == pytest.approx(48**0.5, abs=1e-6)
