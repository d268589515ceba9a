"""Steps of a recipe are the steps of the loop that anybody would write over plain transformers and torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import AutoModelForImageTextToText, PreTrainedModel, get_cosine_schedule_with_warmup
from transformers.trainer_pt_utils import get_parameter_names

from tests.train.runs import toy_recipe
from triptych.data.batch import IGNORE, collate
from triptych.data.media.images import load_image
from triptych.train.recipe import Recipe, Tune
from triptych.train.stage_state import StageState, begin_stage
from triptych.train.start import start_model
from triptych.train.step import train_step

STEPS, WARMUP, CLIP, DECAY = 5, 2, 0.5, 0.1
RATES = {"projector": 3e-3, "language": 1e-3}
NO_DECAY = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
"""Names that the Trainer of transformers does not let decay."""


def recipe_of(folder: Path, family: str, sample: str) -> Recipe:
    return toy_recipe(
        folder,
        (
            "  family: tiny\n  parts: {vision: vit, language: llama}\n",
            f"  family: {family}\n  sample: {sample}\n",
        ),
        ("6 steps", f"{STEPS} steps"),
        ("pack_tokens: 160", "pack_tokens: 512"),
        ("step_tokens: 320", "step_tokens: 1024\n    forward_tokens: 512"),
        ("projector: {train: full, rate: 3e-3}", f"projector: {{train: full, rate: {RATES['projector']}}}"),
        (
            "language: {train: lora, rate: 1e-2, rank: 4, alpha: 8, dropout: 0.1}",
            f"language: {{train: full, rate: {RATES['language']}}}",
        ),
        (
            "schedule: linear",
            f"schedule: cosine\n    warmup: {WARMUP} steps\n    clip: {CLIP}\n"
            f"    decay: {DECAY}\n    betas: [0.9, 0.999]",
        ),
    )


def part_of(name: str) -> str:
    """Return the part that a weight of a plain network belongs to."""
    if any(word in name for word in ("projector", "connector", "merger", "vision_embed")):
        return "projector"
    return "vision" if any(word in name for word in ("vision", "visual")) else "language"


def groups_of(network: PreTrainedModel) -> Iterator[dict[str, Any]]:
    decaying = set(get_parameter_names(network, [nn.LayerNorm], NO_DECAY))
    named = [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]
    for part, rate in RATES.items():
        for decays in (True, False):
            own = [each for name, each in named if part_of(name) == part and (name in decaying) == decays]
            yield {"params": own, "lr": rate, "weight_decay": DECAY if decays else 0.0}


def learn_alone(network: nn.Module, state: StageState, number: int) -> float:
    """Add up the gradients of a step, a conversation at a time, by transformers' own logits; return the loss."""
    rows = [state.encoded[index] for pack in state.plan.step(number).packs for index in pack]
    batches = [collate([[row]], pad_id=0) for row in rows]
    tokens, total = sum(batch.trained_tokens for batch in batches), 0.0
    for batch in batches:
        pictures = [state.model.pixels(load_image(image)) for image in batch.images]
        logits_BTV = network(**state.model.inputs(batch, pictures)).logits
        wanted = batch.labels_BT[:, 1:].flatten()
        nats = cross_entropy(logits_BTV[:, :-1].flatten(0, 1), wanted, ignore_index=IGNORE, reduction="sum")
        (nats / tokens).backward()
        total += nats.item() / tokens
    return total


def plain_losses(network: PreTrainedModel, state: StageState) -> Iterator[tuple[float, float]]:
    """Yield the loss and the gradient's norm of each step, a conversation at a time."""
    for name, weight in network.named_parameters():
        weight.requires_grad_(part_of(name) != "vision")
    network.train()
    optimizer = torch.optim.AdamW(groups_of(network), betas=(0.9, 0.999))
    # Its first step has rate zero: ours begins one step later, and warms up in as many steps that move.
    schedule = get_cosine_schedule_with_warmup(optimizer, WARMUP + 1, STEPS + 1)
    schedule.step()
    for number in range(STEPS):
        total = learn_alone(network, state, number)
        norm = nn.utils.clip_grad_norm_([w for w in network.parameters() if w.requires_grad], CLIP)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        yield total, float(norm)


@pytest.mark.parametrize(
    ("family", "sample"),
    [
        ("llava", "vit"),
        ("qwen_vl", "qwen2_5_vl"),
        ("idefics3", "split"),
        ("idefics2", "whole"),
        ("fuyu", "plain"),
        ("gemma3", "windowed"),
        ("internvl", "qwen2"),
    ],
)
def test_five_steps_are_those_of_a_plain_loop_over_transformers(tmp_path: Path, family: str, sample: str) -> None:
    recipe = recipe_of(tmp_path, family, sample)
    (stage,) = recipe.stages
    assert isinstance(stage, Tune)
    model = start_model(recipe.model, seed=1)
    model.save(tmp_path / "plain")
    network = AutoModelForImageTextToText.from_pretrained(tmp_path / "plain")
    state = begin_stage(model, stage, run=tmp_path / "run", seed=2)
    reports = [train_step(state, number) for number in range(STEPS)]
    found = [(report.loss, report.gradient_norm) for report in reports]
    wanted = list(plain_losses(network, state))
    assert max(norm for _, norm in wanted) > CLIP, "nothing was clipped"
    for (loss, norm), (plain_loss, plain_norm) in zip(found, wanted, strict=True):
        assert loss == pytest.approx(plain_loss, rel=1e-4)
        assert norm == pytest.approx(plain_norm, rel=1e-3)
