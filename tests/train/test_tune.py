"""The loop: what a step computes, what moves, and at which rate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tests.train.runs import toy_recipe
from triptych.core.config import Length
from triptych.core.errors import RunError
from triptych.data.batch import IGNORE, collate
from triptych.data.media.images import load_image
from triptych.models.family import Model
from triptych.train.pace import steps_in
from triptych.train.recipe import Full, Recipe, Tune
from triptych.train.stage_state import StageState, begin_stage
from triptych.train.start import start_model
from triptych.train.step import train_step

FULL = [
    ("language: {train: lora, rate: 1e-2, rank: 4, alpha: 8, dropout: 0.1}", "language: {train: full, rate: 1e-3}"),
]
TOWER = [("    parts:\n", "    parts:\n      vision: {train: full, rate: 1e-3}\n")]


def tune_stage(recipe: Recipe) -> Tune:
    (stage,) = recipe.stages
    assert isinstance(stage, Tune)
    return stage


def begin(folder: Path, *changes: tuple[str, str], run: str = "run", words_only: bool = False) -> StageState:
    recipe = toy_recipe(folder, *changes)
    if words_only:
        rows = (folder / "tune.jsonl").read_text().splitlines(keepends=True)
        (folder / "tune.jsonl").write_text("".join(row for row in rows if not json.loads(row)["images"]))
    return begin_stage(start_model(recipe.model, seed=1), tune_stage(recipe), run=folder / run, seed=2)


def copied(model: Model) -> dict[str, Tensor]:
    return {
        f"{part}.{name}": weight.detach().clone()
        for part, module in model.parts().items()
        for name, weight in module.named_parameters()
    }


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name, weight in after.items() if not torch.equal(weight, before[name])}


def test_the_loss_falls(tmp_path: Path) -> None:
    state = begin(tmp_path, *FULL, ("6 steps", "30 steps"), ("schedule: linear", "schedule: constant"))
    losses = [train_step(state, number).loss_nats for number in range(30)]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


def test_a_steps_loss_is_the_cross_entropy_of_all_its_supervised_tokens(tmp_path: Path) -> None:
    state = begin(tmp_path, *FULL)
    packs = [[state.encoded[index] for index in pack] for pack in state.plan.step(0).packs]
    batch = collate(packs, pad_id=0)
    model = state.model
    with torch.no_grad():
        features = model.encode([model.pixels(load_image(image)) for image in batch.images])
        logits_BTV = model.head(model.hidden(model.weave(batch, features)))
    expected = cross_entropy(logits_BTV[:, :-1].flatten(0, 1), batch.labels_BT[:, 1:].flatten(), ignore_index=IGNORE)
    report = train_step(state, 0)
    assert report.loss_nats == pytest.approx(expected.item(), rel=1e-5)
    assert report.trained_tokens == batch.trained_tokens
    assert report.tokens == batch.tokens
    assert report.images == len(batch.images)


@pytest.mark.parametrize("tower", [[], TOWER], ids=["frozen tower", "trained tower"])
def test_accumulating_over_packs_is_the_same_as_one_big_batch(tmp_path: Path, tower: list[tuple[str, str]]) -> None:
    changes = [*FULL, *tower, ("step_tokens: 320", "step_tokens: 640")]
    gradients = []
    for run, extra in (("one", []), ("four", [("640", "640\n    forward_tokens: 160")])):
        state = begin(tmp_path, *changes, *extra, run=run)
        report = train_step(state, 0)
        assert report.trained_tokens > 0
        gradients.append((report.loss_nats, {name: w.grad for name, w in state.weights.items()}))
    (loss_one, one), (loss_four, four) = gradients
    assert loss_four == pytest.approx(loss_one, rel=1e-6)
    assert any(grad is not None and name.startswith("vision") for name, grad in four.items()) == bool(tower)
    for name, grad in one.items():
        torch.testing.assert_close(four[name], grad, rtol=1e-4, atol=1e-6, msg=name)


def test_only_the_parts_that_train_move(tmp_path: Path) -> None:
    projector = [("      projector: {train: full, rate: 3e-3}\n", "")]
    for number, (changes, parts) in enumerate(
        [([], {"projector", "language"}), (FULL, {"projector", "language"}), (projector, {"language"}), (TOWER, None)]
    ):
        state = begin(tmp_path, *changes, run=f"run-{number}")
        before = copied(state.model)
        train_step(state, 0)
        found = moved(before, copied(state.model))
        assert {name.split(".")[0] for name in found} == (parts or {"vision", "projector", "language"})
        if not changes:
            assert all("lora_" in name for name in found if name.startswith("language"))


def test_batch_statistics_of_a_trained_tower_stay(tmp_path: Path) -> None:
    state = begin(tmp_path, *TOWER, ("vision: vit", "vision: convolutional"))
    tower = state.model.parts()["vision"]
    before = {name: buffer.clone() for name, buffer in tower.named_buffers()}
    assert any("running_mean" in name for name in before)
    train_step(state, 0)
    assert not moved(before, dict(tower.named_buffers()))


def test_a_tower_that_has_moved_is_known_as_another(tmp_path: Path) -> None:
    state = begin(tmp_path, *TOWER)
    before = state.model.fingerprint()
    train_step(state, 0)
    after = state.model.fingerprint()
    assert after != before, "features of the tower as it was would be taken for its own"
    assert state.model.fingerprint() == after


def test_a_part_moves_at_its_own_rate(tmp_path: Path) -> None:
    state = begin(tmp_path, *FULL, ("projector: {train: full, rate: 3e-3}", "projector: {train: full, rate: 5e-2}"))
    before = copied(state.model)
    rates = train_step(state, 0).rates
    after = copied(state.model)
    # AdamW's first step moves a weight by its rate, whatever the gradient.
    for part, rate in (("projector", 5e-2), ("language", 1e-3)):
        assert rates[part] == rate
        largest = max(float((after[name] - before[name]).abs().max()) for name in after if name.startswith(part))
        assert largest == pytest.approx(rate, rel=1e-2)


def test_a_step_without_any_picture_is_learnt_from(tmp_path: Path) -> None:
    state = begin(tmp_path, words_only=True)
    report = train_step(state, 0)
    assert report.images == 0
    assert report.gradient_norm > 0


def test_a_step_in_which_nothing_can_move_changes_nothing(tmp_path: Path) -> None:
    state = begin(tmp_path, (FULL[0][0], "language: {train: frozen}"), words_only=True)
    before = copied(state.model)
    report = train_step(state, 0)
    assert report.gradient_norm == 0
    assert report.loss_nats > 0
    assert not moved(before, copied(state.model))


def test_a_loss_that_is_not_finite_stops_before_the_weights_change(tmp_path: Path) -> None:
    state = begin(tmp_path, *FULL)
    with torch.no_grad():
        next(weight for name, weight in state.weights.items() if name.startswith("projector")).fill_(torch.inf)
    before = copied(state.model)
    with pytest.raises(RunError, match=r"step 1 of stage 'tune': the loss is nan, .* There is no checkpoint"):
        train_step(state, 0)
    assert not moved(before, copied(state.model))


def test_a_step_is_a_function_of_its_number(tmp_path: Path) -> None:
    first, again = begin(tmp_path, run="a"), begin(tmp_path, run="b")
    torch.manual_seed(99)
    ours = train_step(first, 3)
    torch.manual_seed(7)
    theirs = train_step(again, 3)
    assert ours.loss_nats == theirs.loss_nats
    assert not moved(copied(first.model), copied(again.model))
    assert ours.loss_nats != train_step(begin(tmp_path, run="c"), 2).loss_nats


def test_lengths_are_counted_in_steps_tokens_and_epochs(tmp_path: Path) -> None:
    state = begin(tmp_path)
    plan, encoded = state.plan, state.encoded
    first = plan.steps_per_epoch(0)

    def steps(text: str) -> int:
        return steps_in(Length.parse(text), plan)

    def tokens_of(number: int) -> int:
        return sum(len(encoded[index].ids) for pack in plan.step(number).packs for index in pack)

    assert steps("7 steps") == 7
    assert steps("1 epoch") == first
    assert steps("2 epochs") == first + plan.steps_per_epoch(1)
    assert 0 < steps("0.5 epochs") <= first / 2 + 1
    assert steps(f"{tokens_of(0)} tokens") == 1
    assert steps(f"{tokens_of(0) + 1} tokens") == 2
    assert steps("0 tokens") == 0


def test_an_epoch_learns_from_every_example_once(tmp_path: Path) -> None:
    state = begin(tmp_path, ("6 steps", "1 epoch"))
    used = [index for number in range(state.total) for pack in state.plan.step(number).packs for index in pack]
    assert sorted(used) == list(range(len(state.encoded)))


def test_the_plan_of_a_part_is_a_value(tmp_path: Path) -> None:
    stage = tune_stage(toy_recipe(tmp_path, *TOWER))
    assert stage.parts.vision == Full(train="full", rate=1e-3)
