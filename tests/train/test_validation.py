"""The loss of rows that are not learnt: what it is the mean of, when it is measured, and that it changes nothing."""

from __future__ import annotations

import os
import shutil
import signal
from itertools import count
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.train.processes import run_ranks
from tests.train.runs import stop_at, toy_recipe, write_tune
from tests.train.test_scores import STILL, scored_recipe, write_rated
from triptych.core.errors import ConfigError, DataError, RunError
from triptych.core.files import read_json_lines
from triptych.core.records import Json
from triptych.data.batch import collate
from triptych.data.format import load_examples
from triptych.data.media.images import load_image
from triptych.data.plan.rendering import encode
from triptych.data.template import Encoded
from triptych.models.family import Model, open_model
from triptych.train import validation
from triptych.train.page.page import render_training
from triptych.train.page.story import read_story
from triptych.train.recipe import Recipe
from triptych.train.stage_state import StageState
from triptych.train.trainer import Hooks, train

EVERY = "checkpoint_every: 2 steps"
TOWER = ("    parts:\n", "    parts:\n      vision: {train: full, rate: 1e-3}\n")
STREAMED = (EVERY, f"{EVERY}\n    in_memory_rows: 0")
AS_LONG = ("step_tokens: 320", "step_tokens: 1120\n    forward_tokens: 160")


def held_rows(folder: Path, name: str = "held", *, rows: int = 7) -> Path:
    """Write rows that are not learnt, with words of their own."""
    (folder / name).mkdir(exist_ok=True)
    path = write_tune(folder / name, rows=rows)
    path.write_text(path.read_text().replace("How many?", f"How many in {name}?").replace("See", f"In {name} see"))
    return path


def validated(folder: Path, *changes: tuple[str, str], sources: str = "", every: str = "2 steps") -> Recipe:
    """Return the toy recipe with a validation."""
    sources = sources or f'{{source: "messages:{held_rows(folder)}"}}'
    plan = f"validation: {{every: {every}, data: [{sources}]}}"
    return toy_recipe(folder, *changes, ("    step_tokens:", f"    {plan}\n    step_tokens:"))


def records(run: Path) -> list[dict[str, Json]]:
    """Return what was found each time, but for how long it took."""
    return [{key: value for key, value in each.items() if key != "wall_s"} for each in all_records(run)]


def all_records(run: Path) -> list[dict[str, Json]]:
    return list(read_json_lines(run / "validation.jsonl"))


def losses(run: Path) -> dict[object, float]:
    """Return what was found after each number of steps."""
    return {each["step"]: float(str(each["loss_nats"])) for each in all_records(run)}


def plain_loss(model: Model, path: Path) -> tuple[float, int]:
    """Return the mean loss of a file's rows, each alone and through all of its logits; and over how many tokens."""
    total, tokens = 0.0, 0
    for row in load_examples(f"messages:{path}", on_bad="raise").examples:
        encoded = encode(row, model.rendering)
        assert isinstance(encoded, Encoded)
        batch = collate([[encoded]], pad_id=0)
        with torch.no_grad():
            seen = model.encode([model.pixels(load_image(image)) for image in batch.images])
            logits_TV = model.head(model.hidden(model.weave(batch, seen)))[0]
        nats_T = cross_entropy(logits_TV[:-1].float(), batch.labels_BT[0, 1:], reduction="none")
        total, tokens = total + nats_T.sum().item(), tokens + int((batch.labels_BT[0, 1:] != -100).sum())
    return total / tokens, tokens


@pytest.mark.parametrize("changes", [[], [TOWER], [STREAMED], [AS_LONG]], ids=["kept", "tower", "streamed", "passes"])
def test_it_is_the_mean_over_supervised_tokens_and_changes_no_weight(
    tmp_path: Path, changes: list[tuple[str, str]]
) -> None:
    recipe = validated(tmp_path, *changes)
    train(recipe, run=tmp_path / "run")
    train(toy_recipe(tmp_path, *changes), run=tmp_path / "without")
    weights = [(tmp_path / run / "model" / "model.safetensors").read_bytes() for run in ("run", "without")]
    assert weights[0] == weights[1]
    found = losses(tmp_path / "run")
    assert list(found) == [0, 2, 4, 6]
    path = tmp_path / "held" / "tune.jsonl"
    loss, tokens = plain_loss(open_model(tmp_path / "run" / "model"), path)
    assert found[6] == pytest.approx(loss, rel=1e-4)
    assert {each["trained_tokens"] for each in all_records(tmp_path / "run")} == {tokens}
    assert found[0] != found[6]


def test_nothing_drops_out_of_it(tmp_path: Path) -> None:
    train(validated(tmp_path, ("dropout: 0.1", "dropout: 0.9")), run=tmp_path / "run")
    loss, _ = plain_loss(open_model(tmp_path / "run" / "model"), tmp_path / "held" / "tune.jsonl")
    assert losses(tmp_path / "run")[6] == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_run_that_was_stopped_measures_each_time_once(tmp_path: Path, step: int) -> None:
    recipe = validated(tmp_path)
    train(recipe, run=tmp_path / "whole")
    with pytest.raises(RunError, match="stopped by SIGTERM"):
        train(recipe, run=tmp_path / "run", hooks=stop_at(step))
    assert max(losses(tmp_path / "run"), key=str) != str(step), "who wants it to stop does not wait for it"
    train(recipe, run=tmp_path / "run")
    assert records(tmp_path / "run") == records(tmp_path / "whole")


def stop_while_it_looks(monkeypatch: pytest.MonkeyPatch, *, at: int) -> None:
    """Ask to stop while the n-th pass over validation rows goes on."""
    passes, pass_over = count(1), validation._sum_of

    def asked(held: StageState, number: int) -> tuple[float, int, int]:
        if next(passes) == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return pass_over(held, number)

    monkeypatch.setattr(validation, "_sum_of", asked)


@pytest.mark.parametrize("before", [0, 2])
def test_a_look_that_is_broken_off_is_made_up_for(tmp_path: Path, before: int) -> None:
    sources = ", ".join(f'{{source: "messages:{held_rows(tmp_path, name)}"}}' for name in ("one", "two"))
    recipe, run = validated(tmp_path, sources=sources), tmp_path / "run"
    train(recipe, run=tmp_path / "whole")
    if before:
        with pytest.raises(RunError):
            train(recipe, run=run, hooks=stop_at(before))
    with pytest.MonkeyPatch.context() as patched:
        stop_while_it_looks(patched, at=1)
        with pytest.raises(RunError, match=f"after step {before} of 6"):
            train(recipe, run=run)
    assert before not in losses(run) if (run / "validation.jsonl").exists() else not before
    train(recipe, run=run)
    assert records(run) == records(tmp_path / "whole")


def test_what_another_alignment_began_with_is_measured_anew(tmp_path: Path) -> None:
    source = f'{{source: "messages:{held_rows(tmp_path)}"}}'
    plan = ("    step_tokens:", f"    validation: {{every: 2 steps, data: [{source}]}}\n    step_tokens:")
    recipe = toy_recipe(tmp_path, plan, align=True)
    with pytest.raises(RunError):
        train(recipe, run=tmp_path / "run", hooks=stop_at(1))
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    captions = tmp_path / "align.jsonl"
    captions.write_text(captions.read_text().replace('"content": "red"', '"content": "sea"'))
    train(recipe, run=tmp_path / "run")
    train(recipe, run=tmp_path / "fresh")
    assert records(tmp_path / "run") == records(tmp_path / "fresh")


@pytest.mark.parametrize("changes", [[], [TOWER]], ids=["kept", "tower"])
def test_rows_with_torn_pictures_are_not_counted(tmp_path: Path, changes: list[tuple[str, str]]) -> None:
    path = held_rows(tmp_path)
    torn = next((tmp_path / "held").glob("red*.png"))
    torn.write_bytes(torn.read_bytes()[:60])
    refuse = (EVERY, f"{EVERY}\n    on_bad: refuse")
    train(validated(tmp_path, refuse, *changes, sources=f'{{source: "messages:{path}"}}'), run=tmp_path / "run")
    (told,) = [each for each in read_json_lines(tmp_path / "run" / "ledger.jsonl") if "all" in each and each["refused"]]
    assert told["stage"] == "tune validation 0"
    assert {each["rows"] for each in all_records(tmp_path / "run")} == {told["used"]}


def test_sources_that_the_recipe_names_no_more_leave_the_ledger(tmp_path: Path) -> None:
    sources = ", ".join(f'{{source: "messages:{held_rows(tmp_path, name)}"}}' for name in ("one", "two"))
    with pytest.raises(RunError):
        train(validated(tmp_path, sources=sources), run=tmp_path / "run", hooks=stop_at(1))
    assert [each.source.endswith("two/tune.jsonl") for each in read_story(tmp_path / "run").stages[0].validated] == [
        False,
        True,
    ]
    with pytest.raises(RunError):
        train(validated(tmp_path), run=tmp_path / "run", hooks=stop_at(3))
    assert len(read_story(tmp_path / "run").stages[0].validated) == 1
    train(toy_recipe(tmp_path), run=tmp_path / "run")
    assert not read_story(tmp_path / "run").stages[0].validated


def test_each_source_has_a_loss_and_the_total_weighs_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [held_rows(tmp_path, "one", rows=3), held_rows(tmp_path, "two", rows=11)]
    sources = ", ".join(f'{{source: "messages:{path}"}}' for path in paths)
    train(validated(tmp_path, sources=sources, every="1 epochs"), run=tmp_path / "run")
    last = all_records(tmp_path / "run")[-1]
    found = last["sources"]
    assert isinstance(found, list)
    model = open_model(tmp_path / "run" / "model")
    for told, path in zip(found, paths, strict=True):
        loss, tokens = plain_loss(model, path)
        assert isinstance(told, dict)
        assert told["source"] == f"messages:{path}"
        assert told["loss_nats"] == pytest.approx(loss, rel=1e-4)
        assert told["trained_tokens"] == tokens
    total = sum(float(str(each["loss_nats"])) * int(str(each["trained_tokens"])) for each in found)  # type: ignore[index, call-overload]
    assert last["loss_nats"] == pytest.approx(total / int(str(last["trained_tokens"])))
    assert last["rows"] == 14
    said = capsys.readouterr().err
    assert f"validation before the first step: loss {losses(tmp_path / 'run')[0]:.3f} nats a token" in said
    assert "validation after step 6: " in said
    assert "before the first step" in said.rpartition("validation after step 6: ")[2]


def test_a_limit_takes_the_same_rows_each_time(tmp_path: Path) -> None:
    source = f'{{source: "messages:{held_rows(tmp_path, rows=20)}", limit: 6}}'
    train(validated(tmp_path, sources=source, every="1 steps"), run=tmp_path / "run")
    assert {each["rows"] for each in all_records(tmp_path / "run")} == {6}
    assert len({each["trained_tokens"] for each in all_records(tmp_path / "run")}) == 1


def test_several_processes_find_what_one_finds(tmp_path: Path) -> None:
    still = ("dropout: 0.1", "dropout: 0.0")  # each process draws its own
    train(validated(tmp_path, TOWER, still), run=tmp_path / "one")
    for kind in ("ddp", "fsdp"):
        recipe = validated(tmp_path, TOWER, still, ("seed: 3", f"seed: 3\nparallel: {{kind: {kind}}}"))
        assert run_ranks(recipe, tmp_path / kind, ranks=2) == [0, 0]
        assert losses(tmp_path / kind) == pytest.approx(losses(tmp_path / "one"), rel=1e-4)


def test_several_processes_go_on_together_where_it_was_measured_before(tmp_path: Path) -> None:
    still = ("dropout: 0.1", "dropout: 0.0")
    recipe = validated(tmp_path, still, ("seed: 3", "seed: 3\nparallel: {kind: fsdp}"), every="1 steps")
    train(recipe, run=tmp_path / "one")
    with pytest.raises(RunError):
        train(recipe, run=tmp_path / "run", hooks=stop_at(3))
    assert run_ranks(recipe, tmp_path / "run", ranks=2) == [0, 0]
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)


def test_a_bad_row_is_named_with_the_key_that_leaves_it_out(tmp_path: Path) -> None:
    path = held_rows(tmp_path)
    path.write_text(path.read_text().replace('"role": "user"', '"role": "nobody"', 1))
    source = f'{{source: "messages:{path}"}}'
    with pytest.raises(DataError, match=r"row 0 .*stages\.tune\.on_bad: refuse"):
        train(validated(tmp_path, sources=source), run=tmp_path / "run")
    refuse = (EVERY, f"{EVERY}\n    on_bad: refuse")
    train(validated(tmp_path, refuse, sources=source), run=tmp_path / "run")
    assert {each["rows"] for each in all_records(tmp_path / "run")} == {6}
    (refused,) = [each for each in read_json_lines(tmp_path / "run" / "ledger.jsonl") if "reason" in each]
    assert refused["stage"] == "tune validation 0"


def test_rows_that_are_learnt_too_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = validated(tmp_path, sources=f'{{source: "messages:{tmp_path / "tune.jsonl"}#rows=2-5"}}')
    train(recipe, run=tmp_path / "run")
    assert "4 of 4 rows of its validation are learnt, too" in capsys.readouterr().err
    train(validated(tmp_path), run=tmp_path / "other")
    assert "are learnt, too" not in capsys.readouterr().err


def test_a_run_that_has_begun_may_be_given_other_rows_and_its_page_shows_those(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunError):
        train(toy_recipe(tmp_path), run=tmp_path / "run", hooks=stop_at(1))
    with pytest.raises(RunError):
        train(validated(tmp_path, every="1 steps"), run=tmp_path / "run", hooks=stop_at(3))
    assert "say nothing beside each other" not in capsys.readouterr().err
    other = f'{{source: "messages:{held_rows(tmp_path, "other", rows=4)}"}}'
    train(validated(tmp_path, sources=other), run=tmp_path / "run")
    assert "other rows are validated than before" in capsys.readouterr().err
    assert [each["step"] for each in all_records(tmp_path / "run")] == [1, 2, 4, 6]
    story = read_story(tmp_path / "run")
    (stage,) = story.stages
    assert stage.validation_steps == (4, 6)
    page = render_training(story)
    assert "Validated on" in page
    assert str(tmp_path / "other") in page
    assert "validation, lowest" in page
    assert "rows that are learnt" in page


def test_a_score_head_has_a_loss_of_its_own_kind(tmp_path: Path) -> None:
    source = f'{{source: "mantis_classification:{write_rated(tmp_path)}#rows=0-9"}}'
    plan = (EVERY, f"{EVERY}\n    validation: {{every: 3 steps, data: [{source}]}}")
    train(scored_recipe(tmp_path, plan, STILL), run=tmp_path / "run")
    first, *_, last = all_records(tmp_path / "run")
    assert first["targets"] == 20
    assert float(str(last["loss_squared"])) < float(str(first["loss_squared"]))
    assert "loss_nats" not in last


@pytest.mark.parametrize(
    ("changed", "told"),
    [("weight: 2", "no weight"), ("limit: 0", "greater than or equal to 1")],
)
def test_what_a_validation_cannot_take_is_refused(tmp_path: Path, changed: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        validated(tmp_path, sources=f'{{source: "messages:{held_rows(tmp_path)}", {changed}}}')
    with pytest.raises(ConfigError, match="every must be more than zero"):
        validated(tmp_path, every="0 steps")


def test_too_many_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.train.recipe.MOST_VALIDATION_ROWS", 5)
    with pytest.raises(DataError, match=r"has more than 5 rows, .*#limit=1000"):
        train(validated(tmp_path, STREAMED), run=tmp_path / "run")


def test_others_are_told_of_each_time(tmp_path: Path) -> None:
    told: list[int] = []
    recipe = validated(tmp_path)
    train(recipe, run=tmp_path / "run", hooks=Hooks(after_validation=lambda report: told.append(report.step)))
    assert told == [0, 2, 4, 6]
