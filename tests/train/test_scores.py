"""Learning by a score head: the same gradient however it is split, taken up where it was left, alone or in company."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from tests.train.processes import run_ranks
from tests.train.runs import toy_recipe, write_pictures
from triptych.core.errors import ConfigError, DataError, ModelError, RunError
from triptych.core.files import read_json_lines
from triptych.data.batch import collate
from triptych.data.media.images import load_image
from triptych.data.plan.scoring import Loss, Scoring
from triptych.models.family import open_model
from triptych.train.loss import score_loss
from triptych.train.measuring.meters import StepReport
from triptych.train.merging import merged_model
from triptych.train.recipe import Recipe, Tune
from triptych.train.release import settle_parts
from triptych.train.scores import release_stage, scoring_of
from triptych.train.stage_state import StageState, begin_stage
from triptych.train.start import start_model
from triptych.train.step import train_step
from triptych.train.trainer import Hooks, train

LORA = "language: {train: lora, rate: 1e-2, rank: 4, alpha: 8, dropout: 0.1}"
STILL = (LORA, "language: {train: lora, rate: 1e-2, rank: 4, alpha: 8}")
HEAD = "\n      head: {train: full, rate: 1e-2}"


def write_rated(folder: Path, *, rows: int = 32) -> Path:
    """Write rows of 0 to 3 pictures, rated by how many are red, and by whether any is."""
    random, names = Random(2), write_pictures(folder)
    rated = []
    for number in range(rows):
        shown = [] if number % 7 == 3 else random.sample(names, random.randint(1, 3))
        red = sum(name.startswith("red") for name in shown)
        labels = {"red": float(red), "any": float(red > 0)}
        rated.append(
            {"id": f"row-{number}", "images": shown, "prompt": "How red" + "?" * (number % 4), "labels": labels}
        )
    path = folder / "rated.json"
    path.write_text(json.dumps(rated))
    return path


def scored_recipe(
    folder: Path, *changes: tuple[str, str], objective: str = "kind: regression, targets: [red, any]"
) -> Recipe:
    source = f'source: "mantis_classification:{write_rated(folder)}"'
    old = f'source: "messages:{folder / "tune.jsonl"}"'
    kind = ("kind: tune\n", f"kind: tune\n    objective: {{{objective}}}\n")
    return toy_recipe(folder, (old, source), kind, (LORA, LORA + HEAD), *changes)


def begin(folder: Path, *changes: tuple[str, str], run: str = "run", objective: str | None = None) -> StageState:
    recipe = scored_recipe(folder, *changes, **({} if objective is None else {"objective": objective}))
    stage = recipe.stages[0]
    assert isinstance(stage, Tune)
    return begin_stage(start_model(recipe.model, seed=1), stage, run=folder / run, seed=2)


def test_a_steps_loss_is_torchs_own_mean_over_its_targets(tmp_path: Path) -> None:
    state = begin(tmp_path, STILL)
    packs = [[state.encoded[index] for index in pack] for pack in state.plan.step(0).packs]
    batch, model = collate(packs, pad_id=0), state.model
    with torch.no_grad():
        features = model.encode([model.pixels(load_image(image)) for image in batch.images])
        hidden_BTH = model.hidden(model.weave(batch, features))
        states_NH = hidden_BTH[batch.reads_NS2[:, 0, 0], batch.reads_NS2[:, 0, 1]]
        assert model.score_head is not None
        expected = mse_loss(model.score_head.score(states_NH), batch.targets_NS)
    report = train_step(state, 0)
    assert report.loss == pytest.approx(expected.item(), rel=1e-5)
    assert report.supervised == batch.targets_NS.numel() == 2 * sum(map(len, packs))
    record = report.record()
    assert record["loss_squared"] == report.loss
    assert record["targets"] == report.supervised
    assert not record.keys() & {"loss_nats", "trained_tokens"}


@pytest.mark.parametrize("loss", ["mse", "bce", "ce"])
def test_shares_of_micro_batches_add_up_to_the_mean_of_the_whole(loss: Loss) -> None:
    random = torch.Generator().manual_seed(4)
    outputs_NSC = torch.randn(11, 3, 4 if loss == "ce" else 1, generator=random)
    targets_NS = torch.randint(0, 2, (11, 3), generator=random).float()
    whole: Callable[[Tensor, Tensor], Tensor] = {
        "mse": lambda outputs, targets: mse_loss(outputs[..., 0], targets),
        "bce": lambda outputs, targets: binary_cross_entropy_with_logits(outputs[..., 0], targets),
        "ce": lambda outputs, targets: cross_entropy(outputs.flatten(0, 1), targets.flatten().long()),
    }[loss]
    shares = [
        score_loss(outputs_NSC[at], targets_NS[at], loss=loss, step_targets=33)
        for at in (slice(0, 2), slice(2, 2), slice(2, 11))
    ]
    torch.testing.assert_close(torch.stack(shares).sum(), whole(outputs_NSC, targets_NS))


@pytest.mark.parametrize("read", ["last", "each"])
def test_accumulating_over_packs_is_the_same_as_one_big_batch(tmp_path: Path, read: str) -> None:
    found = []
    objective = f"kind: regression, targets: [red, any], read: {read}"
    for run, extra in (("one", []), ("four", [("640", "640\n    forward_tokens: 160")])):
        state = begin(tmp_path, STILL, ("step_tokens: 320", "step_tokens: 640"), *extra, run=run, objective=objective)
        report = train_step(state, 0)
        found.append((report.loss, {name: weight.grad for name, weight in state.weights.items()}))
    (loss_one, one), (loss_four, four) = found
    assert loss_four == pytest.approx(loss_one, rel=1e-6)
    assert {name.partition(".")[0] for name in one} == {"projector", "language", "head"}
    for name, gradient in one.items():
        torch.testing.assert_close(four[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    ("objective", "least"),
    [
        ("kind: regression, targets: [red, any]", 0.4),
        ("kind: regression, targets: [any], loss: bce", 0.7),
        ("kind: classification, targets: [red], classes: 3, read: each", 0.7),
    ],
)
def test_a_head_learns(tmp_path: Path, objective: str, least: float) -> None:
    state = begin(
        tmp_path, STILL, ("6 steps", "40 steps"), ("schedule: linear", "schedule: constant"), objective=objective
    )
    losses = [train_step(state, number).loss for number in range(40)]
    assert sum(losses[-5:]) < least * sum(losses[:5])


def test_the_head_for_words_is_not_run_and_has_no_gradient(tmp_path: Path) -> None:
    state = begin(tmp_path, (LORA + HEAD, "language: {train: full, rate: 1e-3}" + HEAD))

    def never(*_: object) -> None:
        raise AssertionError("the head for words ran")

    state.model.network.get_output_embeddings().register_forward_hook(never)
    assert train_step(state, 0).gradient_norm > 0


@dataclass
class _Stop:
    """Interrupt a run after so many steps."""

    steps: int

    def __call__(self, report: StepReport) -> None:
        if report.step == self.steps:
            raise RunError("stopped")


def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path: Path) -> None:
    recipe = scored_recipe(tmp_path)
    train(recipe, run=tmp_path / "whole")
    with pytest.raises(RunError, match="stopped"):
        train(recipe, run=tmp_path / "cut", hooks=Hooks(after_step=_Stop(5)))
    train(recipe, run=tmp_path / "cut")
    whole, cut = (_weights(tmp_path / run / "model") for run in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert whole.keys() == cut.keys()
    assert any(name.startswith("head.") for name in whole)
    losses = [
        [record.get("loss_squared") for record in read_json_lines(tmp_path / run / "metrics.jsonl")]
        for run in ("whole", "cut")
    ]
    assert losses[0] == losses[1]


def test_the_finished_model_and_the_merged_run_have_the_head(tmp_path: Path) -> None:
    train(scored_recipe(tmp_path), run=tmp_path / "run")
    finished, merged = open_model(tmp_path / "run" / "model"), merged_model(tmp_path / "run")
    assert finished.score_head is not None
    assert merged.score_head is not None
    assert finished.score_head.scoring == merged.score_head.scoring == Scoring(targets=("red", "any"))
    assert torch.equal(finished.score_head.score.weight, merged.score_head.score.weight)
    assert finished.score_head.score.bias.any()


def test_a_head_of_the_same_targets_goes_on_and_another_makes_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = scored_recipe(tmp_path).stages[0]
    assert isinstance(stage, Tune)
    model = start_model(scored_recipe(tmp_path).model, seed=1)
    release_stage(model, stage, seed=1)
    first = model.score_head
    settle_parts(model)
    release_stage(model, stage.model_copy(update={"name": "again"}), seed=2)
    assert model.score_head is first
    settle_parts(model)
    other = stage.model_copy(update={"objective": stage.objective.model_copy(update={"targets": ("any",)})})
    release_stage(model, other, seed=2)
    assert model.score_head is not first
    assert "the model's score head (red, any) makes way for a new one (any)" in capsys.readouterr().err


def test_a_new_head_that_would_not_move_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"score head is new and would stay as it was drawn: give parts\.head"):
        begin(tmp_path, (HEAD, ""))


def test_rows_without_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 0 \(id 'row-0'\): it has no label 'blur'; there are: 'red', 'any'"):
        begin(tmp_path, objective="kind: regression, targets: [blur]")


def test_a_target_that_is_the_same_in_all_rows_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = scored_recipe(tmp_path)
    rows = json.loads((tmp_path / "rated.json").read_text())
    (tmp_path / "rated.json").write_text(json.dumps([row | {"labels": row["labels"] | {"any": 1.0}} for row in rows]))
    stage = recipe.stages[0]
    assert isinstance(stage, Tune)
    begin_stage(start_model(recipe.model, seed=1), stage, run=tmp_path / "run", seed=2)
    said = capsys.readouterr().err
    assert "tune: 'any' is 1 in all 32 rows: only this number can be learnt" in said
    assert "'red' is" not in said


def test_a_recipe_with_replies_has_no_score_head(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="objective reply has no score head"):
        toy_recipe(tmp_path, (LORA, LORA + HEAD))


def test_an_objective_says_what_its_head_says(tmp_path: Path) -> None:
    def said(objective: str) -> Scoring | None:
        stage = scored_recipe(tmp_path, objective=objective).stages[0]
        assert isinstance(stage, Tune)
        return scoring_of(stage.objective)

    plain = Scoring(targets=("a",))
    assert said("kind: regression, targets: [a]") == plain
    assert said("kind: regression, targets: [a], loss: bce, asked: plain") == replace(plain, loss="bce", asked="plain")
    expected = replace(plain, loss="ce", classes=3, read="each")
    assert said("kind: classification, targets: [a], classes: 3, read: each") == expected


@pytest.mark.parametrize(("kind", "ranks"), [("ddp", 2), ("fsdp", 2), ("fsdp", 3)])
def test_several_processes_learn_the_head_of_one(tmp_path: Path, kind: str, ranks: int) -> None:
    many = scored_recipe(tmp_path, STILL, ("seed: 3", f"seed: 3\nparallel: {{kind: {kind}}}"))
    train(scored_recipe(tmp_path, STILL), run=tmp_path / "one")
    assert run_ranks(many, tmp_path / "many", ranks=ranks) == [0] * ranks
    one, found = (_weights(tmp_path / run / "model") for run in ("one", "many"))
    assert one.keys() == found.keys()
    for name, weight in one.items():
        if not name.endswith("k_proj.bias"):
            torch.testing.assert_close(found[name], weight, rtol=1e-4, atol=1e-5, msg=name)


def _weights(folder: Path) -> dict[str, Tensor]:
    return {
        f"{part}.{name}": weight
        for part, module in open_model(folder).parts_and_head().items()
        for name, weight in module.named_parameters()
    }
