"""A recipe from the command line to a model that is measured, shown and opened, on toy weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Triptych, run_triptych
from tests.train.runs import RECIPE, write_tune
from triptych.cli.groups.evaluation import paths_of

QUESTIONS = 12


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with toy.yaml, its data, and the run runs/toy; what was said is in said.txt."""
    folder = tmp_path_factory.mktemp("trained")
    write_tune(folder)
    (folder / "toy.yaml").write_text(RECIPE.replace("TUNE", "tune.jsonl"))
    ran = run_triptych(folder, "train", "toy.yaml", "stages.tune.length=3 steps", "seed=1")
    assert ran.returncode == 0, ran.stderr
    (folder / "said.txt").write_text(ran.stderr)
    rows = [json.loads(line) for line in (folder / "tune.jsonl").read_text().splitlines()]
    told = [row for row in rows if row["images"] and len(row["messages"]) == 2][:QUESTIONS]
    for row in told:
        row["facts"] = {"chance": 0.25, "scenario": "images"}
    data = folder / "runs" / "toy" / "data"
    data.mkdir()
    for part in ("held_in", "held_out"):
        (data / f"{part}.jsonl").write_text(
            "".join(json.dumps(row | {"id": f"{part}-{row['id']}"}) + "\n" for row in told)
        )
    for picture in folder.glob("*.png"):
        (data / picture.name).write_bytes(picture.read_bytes())
    return folder


def test_training_tells_the_loss_and_where_the_model_is(trained: Path) -> None:
    said = (trained / "said.txt").read_text()
    assert "tune: step 1/3, loss " in said
    assert "tune: step 3/3, loss " in said
    assert "triptych chat runs/toy/model IMAGE" in said


def test_a_run_holds_its_resolved_recipe_with_the_overrides(trained: Path) -> None:
    recipe = (trained / "runs" / "toy" / "recipe.yaml").read_text()
    assert "length: 3 steps" in recipe
    assert "seed: 1" in recipe


def test_the_same_command_again_has_nothing_to_do(trained: Path, triptych_here: Triptych) -> None:
    again = triptych_here(trained, "train", "toy.yaml", "stages.tune.length=3 steps", "seed=1")
    assert again.returncode == 0
    assert "nothing to do" in again.stderr


def test_the_line_to_try_is_quoted_where_a_shell_would_part_it(trained: Path, triptych_here: Triptych) -> None:
    shutil.copytree(trained / "runs" / "toy", trained / "mine and yours")
    again = triptych_here(
        trained, "train", "toy.yaml", "stages.tune.length=3 steps", "seed=1", "--run", "mine and yours"
    )
    assert again.returncode == 0
    assert "triptych chat 'mine and yours/model' IMAGE" in again.stderr


def test_another_recipe_may_not_take_over_the_run(trained: Path, triptych_here: Triptych) -> None:
    refused = triptych_here(trained, "train", "toy.yaml", "seed=2")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: runs/toy belongs to another recipe")


def test_a_wrong_override_is_told_with_the_nearest_key(trained: Path, triptych_here: Triptych) -> None:
    refused = triptych_here(trained, "train", "toy.yaml", "stages.tune.lenght=3 steps")
    assert refused.returncode == 2
    assert "lenght" in refused.stderr
    assert "Did you mean 'length'?" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_recipe_that_is_not_there_is_an_error(trained: Path, triptych_here: Triptych) -> None:
    refused = triptych_here(trained, "train", "gone.yaml")
    assert refused.returncode == 2
    assert "gone.yaml: no such recipe file" in refused.stderr


def test_show_with_a_model_tells_what_images_cost_and_what_is_learnt(trained: Path, triptych_here: Triptych) -> None:
    shown = triptych_here(
        trained, "data", "show", "messages:tune.jsonl", "--id", "row-1", "--model", "runs/toy/model"
    ).stdout
    assert ", 4 tokens]" in shown
    assert "<|im_start|>assistant" in shown
    assert " image tokens, " in shown


def test_eval_prints_score_interval_and_chance_and_keeps_the_answers(trained: Path, triptych_here: Triptych) -> None:
    measured = triptych_here(trained, "eval", "runs/toy/model", "storyboard", "--limit", "8")
    assert measured.returncode == 0, measured.stderr
    heading, everything, *_ = measured.stdout.splitlines()
    assert heading.split() == ["score", "95%", "interval", "chance", "majority", "n", "min", "diff"]
    assert everything.split()[0] == "all"
    assert (everything.split()[5], everything.split()[7]) == ("0.250", "8")
    result = json.loads((trained / "runs" / "toy" / "evals" / "storyboard" / "result.json").read_text())
    assert f"{result['score']:.3f}" == everything.split()[1]


def test_a_blind_eval_is_kept_apart(trained: Path, triptych_here: Triptych) -> None:
    measured = triptych_here(trained, "eval", "runs/toy/model", "storyboard", "--blind", "--limit", "4", "--out", "b")
    assert measured.returncode == 0, measured.stderr
    assert json.loads((trained / "b" / "result.json").read_text())["blind"] is True
    lines = [json.loads(line) for line in (trained / "b" / "answers.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [[]] * 4


def test_eval_without_questions_says_how_to_name_them(trained: Path, triptych_here: Triptych) -> None:
    refused = triptych_here(trained, "eval", "elsewhere/model", "nlvr")
    assert refused.returncode == 2
    assert "--data PATH" in refused.stderr


def test_eval_of_a_model_that_is_not_there_says_so(trained: Path, triptych_here: Triptych) -> None:
    refused = triptych_here(trained, "eval", "runs/toy/modle", "storyboard")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith("error: runs/toy/modle")


def test_what_a_hub_model_replies_lies_in_the_working_folder_and_not_in_one_called_after_its_owner() -> None:
    assert paths_of("Owner/name", "nlvr_dev", benchmark="nlvr").parent == Path()
    assert paths_of("runs/toy/model", "nlvr_dev", benchmark="nlvr").parent == Path()  # it is not here


def test_what_a_folder_replies_lies_beside_it(trained: Path) -> None:
    run = trained / "runs" / "toy"
    assert paths_of(str(run / "model"), "nlvr_dev", benchmark="nlvr").parent == run
    assert paths_of(str(run / "modle"), "nlvr_dev", benchmark="nlvr").parent == run


def test_report_writes_one_page_about_the_run_and_prints_where(trained: Path, triptych_here: Triptych) -> None:
    measured = triptych_here(trained, "eval", "runs/toy/model", "storyboard", "--limit", "4")
    assert measured.returncode == 0, measured.stderr
    written = triptych_here(trained, "report", "runs/toy")
    assert written.returncode == 0, written.stderr
    pages = [trained / line for line in written.stdout.splitlines()]
    assert pages == [trained / "runs" / "toy" / name for name in ("report.html", "training.html")]
    assert "storyboard" in pages[0].read_text(encoding="utf-8").lower()
    assert "tune" in pages[1].read_text(encoding="utf-8").lower()


def test_report_of_a_run_that_is_not_there_is_an_error(trained: Path, triptych_here: Triptych) -> None:
    refused = triptych_here(trained, "report", "runs/gone")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: runs/gone: no such run")
