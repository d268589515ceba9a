"""Operations are counted by a rule; a counter that watches every matrix product of a real step agrees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.train.runs import toy_recipe
from triptych.data.batch import Batch, collate
from triptych.data.media.images import load_image
from triptych.models.families.tiny import tiny
from triptych.models.family import Model
from triptych.train.forecast.estimate import Assumed, work_of
from triptych.train.forecast.shapes import Shape, stack_of
from triptych.train.loss import supervised_loss
from triptych.train.measuring.operations import Counts, count_image, counts_of, operations_of, weights_in
from triptych.train.recipe import Tune
from triptych.train.stage_state import StageState, begin_stage
from triptych.train.start import start_model

ADAPTED = "language: {train: lora, rate: 1e-2, rank: 4, alpha: 8, dropout: 0.1}"
PLANS = {
    "all": [(ADAPTED, "language: {train: full, rate: 1e-3}\n      vision: {train: full, rate: 1e-3}")],
    "projector and adapter": [],
    "projector": [(f"      {ADAPTED}\n", "")],
    "adapter of the last layer": [
        ("projector: {train: full, rate: 3e-3}", "projector: {train: frozen}"),
        (ADAPTED, ADAPTED.replace("dropout: 0.1", "from_layer: 1")),
    ],
}


def begun(folder: Path, *changes: tuple[str, str]) -> StageState:
    recipe = toy_recipe(folder, *changes)
    (stage,) = recipe.stages
    assert isinstance(stage, Tune)
    return begin_stage(start_model(recipe.model, seed=1), stage, run=folder / "run", seed=2, peak=1e12)


def watched(model: Model, batch: Batch, *, kept: bool) -> int:
    """Return the operations of a step's matrix products, forth and back, as PyTorch's own counter sees them."""
    pixels = [model.pixels(load_image(image)) for image in batch.images]
    with torch.no_grad():
        features = model.encode(pixels)

    def step() -> None:
        seen = features if kept else model.encode(pixels)
        supervised_loss(
            model, model.hidden(model.weave(batch, seen)), labels_BT=batch.labels_BT, step_tokens=9
        ).backward()

    step()  # what is only done once is not a step's
    # As plain products: the counter knows no other attention of a CPU.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("plan", PLANS)
def test_the_rule_counts_what_a_step_multiplies(plan: str, tmp_path: Path) -> None:
    state = begun(tmp_path, *PLANS[plan])
    kept = state.features is not None
    row = max(state.encoded, key=lambda encoded: len(encoded.ids) if encoded.slots else 0)
    batch = collate([[row]], pad_id=0)
    counts = counts_of([batch])
    assert state.operations is not None
    # The counter takes the masked half of attention as done.
    told = state.operations.of(replace(counts, pairs=len(row.ids) ** 2))
    counted = watched(state.model, batch, kept=kept)
    # Of the first layer that moves the rule takes every matrix as passed on the way back: here one layer of two.
    assert told == pytest.approx(counted, rel=0.08 if "last layer" in plan else 0.03)


@pytest.mark.parametrize("plan", ["all", "projector and adapter"])
def test_the_planner_counts_the_same_from_shapes_alone(plan: str, tmp_path: Path) -> None:
    state = begun(tmp_path, *PLANS[plan])
    config, projector = state.model.network.config, state.model.parts()["projector"]
    language = stack_of(config.get_text_config().to_dict())
    weights = sum(weight.numel() for weight in projector.parameters())
    shape = Shape(None, 0, 4, weights, language)
    counts = Counts(positions=1000, pairs=1000 * 50, image_positions=200, supervised=100)
    assumed = Assumed(image_share=0.2, supervised_share=0.1, conversation_tokens=100)
    planned = work_of(state.stage, shape, tokens=1000, assumed=assumed)
    assert state.operations is not None
    told = replace(state.operations, image_position=0.0).of(counts)
    assert planned.language + planned.attention + planned.head == pytest.approx(told, rel=0.2)


def test_pairs_are_those_of_a_conversation_and_padding_counts_nothing(tmp_path: Path) -> None:
    state = begun(tmp_path)
    rows = list(state.encoded)[:3]
    lengths = [len(row.ids) for row in rows]
    counts = counts_of([collate([rows[:2], rows[2:]], pad_id=0)])
    assert counts.positions == sum(lengths)
    assert counts.pairs == sum(length * (length + 1) // 2 for length in lengths)
    apart = counts_of([collate([rows[:2]], pad_id=0), collate([rows[2:]], pad_id=0)])
    assert replace(apart, image_positions=0) == replace(counts, image_positions=0)
    assert apart.image_positions >= counts.image_positions  # a picture is seen once in each micro-batch
    assert counts_of([]) == Counts()


def test_a_tower_whose_features_are_kept_does_no_work_in_a_step() -> None:
    model = tiny()
    sight = count_image(model)
    seen, kept = (operations_of(model, sight, features_kept=kept) for kept in (False, True))
    moves = 3  # nothing is frozen here: forth, back to the pixels' side, back to the weights
    assert seen.image_position - kept.image_position == pytest.approx(moves * sight.tower / sight.span)
    assert replace(seen, image_position=0) == replace(kept, image_position=0)


def test_looking_at_the_model_changes_nothing() -> None:
    model = tiny()
    before = {name: weight.clone() for name, weight in model.network.state_dict().items()}
    state = torch.get_rng_state()
    count_image(model)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], weight) for name, weight in model.network.state_dict().items())
    assert all(weight.grad is None for weight in model.network.parameters())


def test_weights_are_counted_without_adapters_and_moved_ones_with_them(tmp_path: Path) -> None:
    plain = sum(weight.numel() for weight in tiny().parts()["language"].parameters())
    state = begun(tmp_path)
    weights, moved = weights_in(state.model.parts()["language"])
    assert weights == plain
    assert moved == sum(weight.numel() for name, weight in state.weights.items() if name.startswith("language."))
