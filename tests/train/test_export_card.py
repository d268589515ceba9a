"""A model's card tells what its run's folder says, no more, and names what that does not say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from tests.train.runs import toy_recipe
from tests.train.test_export import plan_of
from triptych.core.config import dump_config
from triptych.core.errors import NotFoundError
from triptych.core.files import append_json_line
from triptych.models.families.tiny import tiny
from triptych.train.export.export import export
from triptych.train.export.facts import read_run


def _result(run: Path, name: str, responder: str, score: float, *, blind: bool = False) -> None:
    folder = run / "evals" / name
    folder.mkdir(parents=True)
    said = {"score": score, "low": score - 0.1, "high": score + 0.1, "n": 50, "chance": 0.25}
    (folder / "result.json").write_text(json.dumps({**said, "responder": responder, "blind": blind}))


def test_the_card_tells_what_the_run_says_and_names_what_it_does_not(aligned_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "toy"
    copy.mkdir()
    for each in ("recipe.yaml", "ledger.jsonl", "metrics.jsonl"):
        (copy / each).write_bytes((aligned_run / each).read_bytes())
    _result(copy, "nlvr2", "runs/toy/model", 0.5)
    _result(copy, "nlvr2-blind", "runs/toy/model", 0.3, blind=True)
    _result(copy, "before", "somebody/else", 0.2)
    export(str(aligned_run / "model"), tmp_path / "out", plan=plan_of(f"run={copy}", "licence=mit", "name=Toy of mine"))
    text = (tmp_path / "out" / "README.md").read_text()
    loaded = ModelCard.load(tmp_path / "out" / "README.md").data
    assert (loaded.license, loaded.pipeline_tag, loaded.model_name) == ("mit", "image-text-to-text", "Toy of mine")
    (told,) = loaded.eval_results  # neither the blind one nor another model's
    assert (told.dataset_name, told.metric_value) == ("nlvr2", 0.5)
    assert "95% interval 0.400 to 0.600, n = 50" in told.metric_name
    assert "| nlvr2 | this model | 0.500 | 0.400 to 0.600 | 50 | 0.250 |" in text
    assert "| nlvr2-blind | this model, without its pictures | 0.300" in text
    assert "| before | somebody/else | 0.200" in text
    rows = len((aligned_run.parent / "tune.jsonl").read_text().splitlines())
    assert f"| tune | messages:.../tune.jsonl | {rows} | {rows} | 0 |" in text
    missing = text.partition("## Not known")[2]
    assert "on what machine" in missing  # sessions.jsonl was not copied
    assert "scores of this model" not in missing
    assert "licence of this model" not in missing
    assert str(tmp_path.parent) not in text


@pytest.mark.parametrize(
    ("responder", "own"),
    [("runs/toy", True), ("runs/toy/model", True), ("somebody/toy", False), ("toy", False), ("elsewhere/runs", False)],
)
def test_a_score_is_the_models_own_where_the_runs_folder_was_asked(responder: str, own: bool, tmp_path: Path) -> None:
    copy = tmp_path / "runs" / "toy"
    copy.mkdir(parents=True)
    (copy / "recipe.yaml").write_text(dump_config(toy_recipe(tmp_path)))
    _result(copy, "nlvr2", responder, 0.5)
    assert [each.own for each in read_run(copy).measured] == [own]


def test_rows_that_were_shrunk_or_shortened_are_among_the_used(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(dump_config(toy_recipe(tmp_path)))
    states = {"all": 24, "used": 0, "shrunk": 2, "shortened": 1, "refused": 21}
    append_json_line(tmp_path / "ledger.jsonl", {"stage": "tune", "source": "messages:x", **states})
    (data,) = read_run(tmp_path).data
    assert (data.rows, data.used, data.refused) == (24, 3, 21)


def test_the_card_of_a_model_of_no_run_says_that_it_knows_none(tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "model")
    export(str(tmp_path / "model"), tmp_path / "out", plan=plan_of())
    text = (tmp_path / "out" / "README.md").read_text()
    said = yaml.safe_load(text.split("---")[1])
    assert "license" not in said
    assert "model-index" not in said
    missing = text.partition("## Not known")[2]
    assert "data, recipe and scores: the export was told of no run" in missing
    assert "the licence of this model" in missing


def test_a_torn_result_is_told_by_its_file(aligned_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "toy"
    copy.mkdir()
    (copy / "recipe.yaml").write_bytes((aligned_run / "recipe.yaml").read_bytes())
    (copy / "evals" / "nlvr2").mkdir(parents=True)
    (copy / "evals" / "nlvr2" / "result.json").write_text('{"score": 0.5')
    with pytest.raises(ValueError, match=r"nlvr2/result\.json: no result of an evaluation"):
        export(str(aligned_run / "model"), tmp_path / "out", plan=plan_of(f"run={copy}"))
    with pytest.raises(NotFoundError, match="no run's folder"):
        export(str(aligned_run / "model"), tmp_path / "out", plan=plan_of(f"run={tmp_path}"))
