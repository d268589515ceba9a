"""``triptych score`` as a user meets it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.train.runs import write_pictures
from triptych.data.plan.scoring import Scoring
from triptych.models.families.tiny import tiny
from triptych.models.heads import ScoreHead

Here = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a model that scores, one that talks, a video's frames, and rated rows."""
    model = tiny(1)
    model.save(tmp_path / "talks")
    model.score_head = ScoreHead(Scoring(targets=("sharp", "calm")), 48, seed=1)
    with torch.no_grad():
        model.score_head.score.weight.mul_(30)
    model.save(tmp_path / "model")
    (tmp_path / "video").mkdir()
    names = write_pictures(tmp_path / "video")
    rows = [
        {"id": f"row-{at}", "images": [f"video/{name}"], "prompt": "Sharp?", "labels": {"sharp": at, "calm": at % 3}}
        for at, name in enumerate(names)
    ]
    (tmp_path / "rated.json").write_text(json.dumps(rows))
    return tmp_path


def test_files_are_scored_one_line_each(triptych_here: Here, folder: Path) -> None:
    found = triptych_here(folder, "score", "model", "video", "video/red-0.png", "--frames", "3", "--out", "scores.json")
    assert found.returncode == 0, found.stderr
    header, video, picture = found.stdout.splitlines()
    assert header.split() == ["sharp", "calm"]
    assert video.split()[0] == "video"
    assert picture.split()[0] == "video/red-0.png"
    assert len(picture.split()) == 3
    written = json.loads((folder / "scores.json").read_text())
    assert [row["id"] for row in written["scores"]] == ["video", "video/red-0.png"]
    assert f"{written['scores'][0]['scores']['sharp']:.3f}" == video.split()[1]


def test_rows_with_labels_come_with_their_agreement(triptych_here: Here, folder: Path) -> None:
    found = triptych_here(folder, "score", "model", "mantis_classification:rated.json#rows=2-7")
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:7]] == [f"row-{at}" for at in range(2, 8)]
    assert lines[8].split() == ["Spearman", "95%", "interval", "squared", "error", "of", "the", "mean", "n"]
    assert [line.split()[0] for line in lines[9:]] == ["sharp", "calm"]
    assert lines[9].split()[-1] == "6"


def test_json_has_scores_labels_and_agreement(triptych_here: Here, folder: Path) -> None:
    found = triptych_here(folder, "score", "model", "mantis_classification:rated.json", "--json")
    told = json.loads(found.stdout)
    assert told["targets"] == ["sharp", "calm"]
    assert told["scores"][3]["labels"] == {"sharp": 3.0, "calm": 0.0}
    assert [each["n"] for each in told["agreement"]] == [8, 8]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_head_that_gives_no_number_is_told_row_by_row_and_ranks_nothing(
    triptych_here: Here, folder: Path, options: list[str]
) -> None:
    path = folder / "model" / "score_head.safetensors"
    weights = load_file(path)
    weights["bias"][1] = float("nan")
    save_file(weights, path)
    found = triptych_here(folder, "score", "model", "mantis_classification:rated.json#rows=2-3", *options)
    assert found.returncode == 2
    for row in ("row-2", "row-3"):
        assert f"refused: {row}: the score head gives nan for 'calm', which is no number" in found.stderr
    assert "nothing could be scored" in found.stderr
    assert found.stdout == ""


def test_the_question_changes_the_score(triptych_here: Here, folder: Path) -> None:
    asked = [[], ["--text", "a red wall"], ["--prompt", "Sharp?"]]
    said = [triptych_here(folder, "score", "model", "video", *more).stdout.splitlines()[1] for more in asked]
    assert len(set(said)) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["talks", "video"], "has no score head, it only talks"),
        (["model", "gone.mp4"], "gone.mp4: no such file"),
        (["model", "video", "--prompt", "a", "--text", "b"], "--prompt is all that is asked"),
        (["model", "rated.json"], "nothing could be scored"),
        (["model", "video", "video"], "the id 'video' is there twice"),
    ],
)
def test_what_cannot_be_scored_is_one_line(
    triptych_here: Here, folder: Path, arguments: list[str], message: str
) -> None:
    found = triptych_here(folder, "score", *arguments)
    assert found.returncode == 2
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_eval_may_ask_the_head(triptych_here: Here, folder: Path) -> None:
    data = Path(__file__).parents[1] / "samples" / "videofeedback_test"
    model = tiny(1)
    targets = ("visual quality", "temporal consistency", "dynamic degree", "text-to-video alignment")
    model.score_head = ScoreHead(Scoring(targets=(*targets, "factual consistency")), 48, seed=1)
    model.save(folder / "rates")
    out = ["--out", "evals", "--limit", "2", "--data", str(data)]
    found = triptych_here(folder, "eval", "rates", "videofeedback_test", "scores=true", *out)
    assert found.returncode == 0, found.stderr
    answers = [json.loads(line) for line in (folder / "evals" / "answers.jsonl").read_text().splitlines()]
    assert answers
    assert all("temporal consistency: " in json.dumps(answer) for answer in answers)
