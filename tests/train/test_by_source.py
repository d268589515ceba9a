"""What a step lost on each source of its stage: the same as that source's rows alone, however packs mix them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from tests.train.processes import run_ranks
from tests.train.runs import stop_at, toy_recipe
from tests.train.test_scores import STILL, scored_recipe, write_rated
from tests.train.test_trackers import needs, scalars
from tests.train.test_validation import STREAMED, TOWER, held_rows
from triptych.core.errors import RunError
from triptych.core.files import read_json_lines
from triptych.core.records import Json
from triptych.data.batch import collate
from triptych.data.template import Encoded
from triptych.train.by_source import count_by_source, sources_of, sum_by_source
from triptych.train.page.page import render_training
from triptych.train.page.story import read_story
from triptych.train.recipe import Recipe
from triptych.train.trainer import train

NO_DROPOUT = ("dropout: 0.1", "dropout: 0.0")
WHOLE_EPOCH = ("step_tokens: 320", "step_tokens: 3200\n    forward_tokens: 320")


def two_sources(folder: Path, *changes: tuple[str, str], validate: bool = True) -> Recipe:
    """Return the toy recipe with two sources, which are validated, too."""
    paths = [held_rows(folder, name, rows=rows) for name, rows in (("one", 5), ("two", 11))]
    sources = ", ".join(f'{{source: "messages:{path}"}}' for path in paths)
    plan = f"    validation: {{every: 1 steps, data: [{sources}]}}\n" if validate else ""
    old = f'data: [{{source: "messages:{folder / "tune.jsonl"}"}}]'
    data = (old, f"data: [{sources}]")
    return toy_recipe(folder, data, ("    step_tokens:", f"{plan}    step_tokens:"), NO_DROPOUT, *changes)


def steps_of(run: Path) -> list[dict[str, Json]]:
    """Return the records of steps."""
    return [each for each in read_json_lines(run / "metrics.jsonl") if "step" in each]


def of_source(record: dict[str, Json], number: int) -> tuple[float, int]:
    """Return what a step lost on a source, and over how many tokens or targets."""
    told = record["sources"]
    assert isinstance(told, dict)
    source = told.get(str(number), {"loss": 0, "supervised": 0})
    assert isinstance(source, dict)
    loss, supervised = source.values()
    return float(str(loss)), int(str(supervised))


@pytest.mark.parametrize("changes", [[], [TOWER], [STREAMED]], ids=["kept", "tower", "streamed"])
def test_a_step_of_a_whole_epoch_loses_on_each_source_what_its_rows_lose_alone(
    tmp_path: Path, changes: list[tuple[str, str]]
) -> None:
    train(two_sources(tmp_path, *changes, WHOLE_EPOCH, ("6 steps", "1 steps")), run=tmp_path / "run")
    (step,) = steps_of(tmp_path / "run")
    before, *_ = read_json_lines(tmp_path / "run" / "validation.jsonl")
    alone = before["sources"]
    assert isinstance(alone, list)
    for number, source in enumerate(alone):
        loss, tokens = of_source(step, number)
        assert isinstance(source, dict)
        assert loss == pytest.approx(source["loss_nats"], rel=1e-4)
        assert tokens == source["trained_tokens"]
    assert of_source(step, 0)[0] != pytest.approx(of_source(step, 1)[0], rel=1e-3)


def test_sources_sum_up_to_the_step_and_take_nothing_from_it(tmp_path: Path) -> None:
    train(two_sources(tmp_path, validate=False), run=tmp_path / "run")
    for step in steps_of(tmp_path / "run"):
        told = [of_source(step, number) for number in range(2)]
        assert sum(tokens for _, tokens in told) == step["trained_tokens"]
        total = math.fsum(loss * tokens for loss, tokens in told)
        assert total == pytest.approx(float(str(step["loss_nats"])) * int(str(step["trained_tokens"])), rel=1e-5)


def test_one_source_is_the_step_itself(tmp_path: Path) -> None:
    train(toy_recipe(tmp_path), run=tmp_path / "run")
    assert not any("sources" in step for step in steps_of(tmp_path / "run"))
    assert "first and last tenth</th>" not in render_training(read_story(tmp_path / "run"))


def test_several_processes_lose_what_one_loses(tmp_path: Path) -> None:
    train(two_sources(tmp_path, validate=False), run=tmp_path / "one")
    for kind in ("ddp", "fsdp"):
        recipe = two_sources(tmp_path, ("seed: 3", f"seed: 3\nparallel: {{kind: {kind}}}"), validate=False)
        assert run_ranks(recipe, tmp_path / kind, ranks=2) == [0, 0]
        for ours, alone in zip(steps_of(tmp_path / kind), steps_of(tmp_path / "one"), strict=True):
            for number in range(2):
                assert of_source(ours, number) == pytest.approx(of_source(alone, number), rel=1e-4)


def test_a_run_that_was_stopped_tells_the_same(tmp_path: Path) -> None:
    recipe = two_sources(tmp_path, validate=False)
    train(recipe, run=tmp_path / "one")
    with pytest.raises(RunError):
        train(recipe, run=tmp_path / "run", hooks=stop_at(3))
    train(recipe, run=tmp_path / "run")
    assert [step["sources"] for step in steps_of(tmp_path / "run")] == [
        step["sources"] for step in steps_of(tmp_path / "one")
    ]


@pytest.mark.parametrize(
    ("objective", "loss"),
    [
        ("kind: regression, targets: [red, any]", "loss_squared"),
        ("kind: classification, targets: [any], classes: 2", "loss_nats"),
    ],
)
def test_a_score_head_has_losses_of_its_own_kind(tmp_path: Path, objective: str, loss: str) -> None:
    path = write_rated(tmp_path)
    sources = [f'{{source: "mantis_classification:{path}#rows={rows}"}}' for rows in ("0-9", "10-31")]
    data = (f'data: [{{source: "mantis_classification:{path}"}}]', f"data: [{', '.join(sources)}]")
    train(scored_recipe(tmp_path, data, STILL, objective=objective), run=tmp_path / "run")
    for step in steps_of(tmp_path / "run"):
        told = [of_source(step, number) for number in range(2)]
        assert sum(targets for _, targets in told) == step["targets"]
        total = math.fsum(each * targets for each, targets in told)
        assert total == pytest.approx(float(str(step[loss])) * int(str(step["targets"])), rel=1e-5)
        assert f'"{loss}"' in json.dumps(step["sources"])


def test_trackers_are_told_by_number(tmp_path: Path) -> None:
    needs("tensorboard")
    train(two_sources(tmp_path, ("seed: 3", "seed: 3\nlog: {tensorboard: true}"), validate=False), run=tmp_path / "run")
    told = scalars(tmp_path / "run")
    steps = [step for step in steps_of(tmp_path / "run") if of_source(step, 1)[1]]
    losses = [of_source(step, 1)[0] for step in steps]
    assert [number for number, _ in told["tune/1/loss_nats"]] == [step["step"] for step in steps]
    assert [loss for _, loss in told["tune/1/loss_nats"]] == pytest.approx(losses, rel=1e-6)


def test_the_page_shows_where_each_source_began_and_ended(tmp_path: Path) -> None:
    train(two_sources(tmp_path, validate=False), run=tmp_path / "run")
    steps = steps_of(tmp_path / "run")
    page = render_training(read_story(tmp_path / "run"))
    for number in range(2):
        losses = [of_source(step, number)[0] for step in steps if of_source(step, number)[1]]
        assert f"{losses[0]:.3f} → {losses[-1]:.3f}</td>" in page


def test_the_page_shows_the_losses_of_a_streamed_stage_that_goes_on(tmp_path: Path) -> None:
    recipe = two_sources(tmp_path, STREAMED, validate=False)
    with pytest.raises(RunError):
        train(recipe, run=tmp_path / "run", hooks=stop_at(3))
    assert not (tmp_path / "run" / "ledger.jsonl").exists()
    (stage,) = read_story(tmp_path / "run").stages
    assert [(each.source, each.rows) for each in stage.sources] == [
        (f"messages:{tmp_path / name / 'tune.jsonl'}", None) for name in ("one", "two")
    ]
    page = render_training(read_story(tmp_path / "run"))
    for each in stage.sources:
        assert each.loss is not None
        assert f"{each.loss.first:.3f} → {each.loss.last:.3f}</td>" in page


def test_each_token_is_of_the_source_of_its_conversation() -> None:
    def row(length: int, *learnt: int) -> Encoded:
        trained = tuple(at in learnt for at in range(length))
        return Encoded(id="", origin="", ids=tuple(range(length)), trained=trained, slots=())

    packs = [[row(4, 0, 2, 3), row(3, 2)], [row(2), row(5, 1, 4), row(2, 1)]]
    batch = collate(packs, pad_id=0, sources=[[2, 0], [1, 0, 2]])
    assert sources_of(batch).tolist() == [2, 2, 0, 0, 0, 2]
    assert count_by_source([batch, batch], 4) == (6, 0, 6, 0)
    sums = sum_by_source(torch.tensor([1.0, 2, 4, 8, 16, 32]), sources_of(batch), sources=3)
    assert sums.tolist() == [28, 0, 35]
