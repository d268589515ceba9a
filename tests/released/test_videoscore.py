"""VideoScore's own code on a tiny Idefics2 with a score head, and ours: prompts, frames, ids, scores, losses."""

from __future__ import annotations

import json
import runpy
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.released.drawn import picture
from tests.released.idefics2s import SCORED, same, write_folder, write_weights
from tests.released.making import made_of
from triptych.cli import score
from triptych.core.records import Example, images_of
from triptych.data.format import load_examples, measured
from triptych.data.media.video import pick_arange, pick_linspace
from triptych.data.plan.rendering import Rendering, encode, tokens_of
from triptych.data.template import Encoded
from triptych.evaluate.benchmarks.videofeedback_test import BENCHMARK
from triptych.evaluate.question.video_quality import ASPECTS, PROMPT, ratings_said
from triptych.infer.score_questions import question_words, questions_about
from triptych.infer.scores import Scored, Scorer, ScoreResponder
from triptych.models.family import Model, open_model
from triptych.models.vision.features import FeatureStore
from triptych.train.loss import score_loss

RELEASED = made_of("videoscore")
VIDEOS: list[dict[str, Any]] = RELEASED["videos"]
ROUNDED = 6e-4
"""Between a number of three digits and what it was before."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("videoscore")
    for number, video in enumerate(VIDEOS):
        for folder in (made / "images" / video["id"], made / "frames_video_feedback" / video["id"]):
            folder.mkdir(parents=True)
            for frame in range(video["frames"]):
                picture(100 * number + frame, *video["size"]).save(folder / f"{video['id']}_{frame:02}.png")
    for name in ("train_regression", "train_conv"):
        (made / f"{name}.json").write_text(json.dumps(RELEASED[name]))
    return made


@pytest.fixture(scope="module")
def folder(place: Path) -> Path:
    made = write_folder(place / "model", spaces="prepend", **SCORED)
    write_weights(made, RELEASED["weights"])
    (made / "triptych.json").write_text(json.dumps({"template": "mantis_idefics_2", "score": {"targets": ASPECTS}}))
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return open_model(folder)


@pytest.fixture(scope="module")
def scorer(model: Model) -> Scorer:
    return Scorer(model, features=FeatureStore(model))


def test_labels_are_the_targets_in_its_order(model: Model, place: Path) -> None:
    assert RELEASED["names"] == list(ASPECTS)
    for row, found in zip(RELEASED["trained"], trained(model, place), strict=True):
        assert found.targets == pytest.approx(row["labels"], rel=1e-6)


def test_ids_are_those_of_its_dataset_and_the_last_is_read(model: Model, place: Path) -> None:
    for row, found in zip(RELEASED["trained"], trained(model, place), strict=True):
        assert list(found.ids) == row["ids"]
        assert set(found.reads) == {len(row["ids"]) - 1}
        assert row["last"] == pytest.approx(row["scores"], abs=1e-5)


def test_scores_and_losses_are_those_of_its_training(scorer: Scorer, place: Path) -> None:
    examples = rows(place, "mantis_classification:train_regression.json")
    found = scores_of(scorer, examples)
    labels = torch.tensor([row["labels"] for row in RELEASED["trained"]])
    for scores, row, label in zip(found, RELEASED["trained"], labels, strict=True):
        same(scores, row["scores"])
        loss = score_loss(scores[None, :, None], label[None], loss="mse", step_targets=len(label))
        assert loss.item() == pytest.approx(row["loss"], rel=1e-4)
    pair = RELEASED["pair"]
    loss = score_loss(found[pair["rows"]][..., None], labels[pair["rows"]], loss="mse", step_targets=10)
    assert loss.item() == pytest.approx(pair["loss"], rel=1e-4)
    same(found[pair["rows"]], pair["scores"])


def test_the_benchmark_asks_as_its_own_does_and_gets_its_scores(scorer: Scorer, place: Path) -> None:
    lines = []
    for said in RELEASED["train_conv"]:
        names = [Path(each).name for each in said["images"]]
        scores = "\n".join(f"{aspect}: 3" for aspect in ASPECTS)
        turns = [said["conversations"][0], {"from": "gpt", "value": scores}]
        lines.append(json.dumps({"id": said["id"], "images": names, "conversations": turns}))
    (place / "test.jsonl").write_text("\n".join(lines))
    questions = [each for each in BENCHMARK.questions(place) if isinstance(each, Example)][:: len(ASPECTS)]
    asked = [replace(each, turns=each.turns[:1]) for each in questions]
    answers = {each.id: each for each in ScoreResponder(scorer, name="model").answer(asked)}
    for question, expected in zip(asked, RELEASED["asked"], strict=True):
        said = ratings_said(answers[question.id].text)  # type: ignore[union-attr]
        assert [said[aspect] for aspect in ASPECTS] == pytest.approx(expected, abs=1.1e-3)


@pytest.mark.parametrize("case", RELEASED["example"], ids=lambda case: f"{case['frames']} frames")
def test_a_film_is_asked_about_as_in_its_example(case: dict[str, Any], scorer: Scorer, tmp_path: Path) -> None:
    assert list(pick_arange(case["frames"], 48)) == case["taken"]
    scoring = scorer.head.scoring
    words = question_words(scoring, text=case["text"])
    (asked,) = questions_about([film(tmp_path, case)], words, scoring=scoring, frames=48)
    assert isinstance(asked, Example)
    assert [int(Path(image.source).stem) for image in images_of(asked)] == case["taken"]
    example = measured(asked, {})
    assert isinstance(example, Example)
    (scores,) = scores_of(scorer, [example])
    assert scores.tolist() == pytest.approx(case["scores"], abs=ROUNDED)
    labelled = replace(example, labels=tuple((aspect, 1.0) for aspect in ASPECTS))
    found = encode(labelled, replace(scorer.model.rendering, scored=scoring))
    assert isinstance(found, Encoded)
    assert list(found.ids) == case["ids"]


@pytest.mark.parametrize("case", RELEASED["example"], ids=lambda case: f"{case['frames']} frames")
def test_the_command_says_what_its_example_says(
    case: dict[str, Any], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    shutil.copytree(folder, tmp_path / "unnamed")  # as released: its outputs are LABEL_0 and so on
    (tmp_path / "unnamed" / "triptych.json").write_text(json.dumps({"template": "mantis_idefics_2"}))
    for model in (folder, tmp_path / "unnamed"):
        out = tmp_path / f"{model.name}.json"
        score.run(str(model), [film(tmp_path, case)], text=case["text"], frames=48, out=out)
        (said,) = json.loads(out.read_text())["scores"]
        assert list(said["scores"].values()) == pytest.approx(case["scores"], abs=ROUNDED)


def test_a_film_without_its_text_is_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    score.run(str(folder), [film(tmp_path, {"frames": 2})])
    assert "asked without --text" in capsys.readouterr().err
    score.run(str(folder), [film(tmp_path, {"frames": 2})], text="a dog")
    assert "asked without --text" not in capsys.readouterr().err


@pytest.mark.parametrize("case", RELEASED["example"], ids=lambda case: f"{case['frames']} frames")
def test_our_example_says_what_its_own_says(
    case: dict[str, Any], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    ours = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "released" / "video_score.py"))
    said = ours["score"](Path(film(tmp_path, case)), case["text"], model=str(folder), frames=48)
    assert said == pytest.approx(dict(zip(ASPECTS, case["scores"], strict=True)), abs=ROUNDED)


def test_frames_of_its_benchmark_are_those_from_the_first_to_the_last() -> None:
    for frames, *taken in RELEASED["sampled"]["benchmark"]:
        assert list(pick_linspace(frames, 16)) == taken


def test_conversations_of_its_generation_are_learnt_as_there(model: Model, place: Path) -> None:
    for example, row in zip(rows(place, "mantis:train_conv.json"), RELEASED["said"], strict=True):
        found = tokens_of(example, model.rendering)
        assert list(found.ids) == row["ids"]
        assert [at for at, learnt in enumerate(found.trained) if learnt] == row["learnt"]


def test_the_prompt_is_its_own() -> None:
    for video, row in zip(VIDEOS, RELEASED["train_regression"], strict=True):
        marks = "<image> " * (video["frames"] * video.get("marks", False))
        assert row["prompt"] == PROMPT % video["text"] + marks + "\n"


def test_whole_replies_are_read_as_there() -> None:
    for reply, numbers in RELEASED["read"]:
        if 0 not in numbers:  # what it could not read; ours says nothing there, and reads beyond 1 to 4
            assert [ratings_said(reply)[aspect] for aspect in ASPECTS] == numbers


def trained(model: Model, place: Path) -> list[Encoded]:
    """Return the rows for training a score head."""
    assert model.score_head is not None
    rendering: Rendering = replace(model.rendering, scored=model.score_head.scoring)
    found = [encode(example, rendering) for example in rows(place, "mantis_classification:train_regression.json")]
    assert all(isinstance(each, Encoded) for each in found)
    return [each for each in found if isinstance(each, Encoded)]


def rows(place: Path, source: str) -> Sequence[Example]:
    kind, _, name = source.partition(":")
    return load_examples(f"{kind}:{place / name}", on_bad="raise").examples


def scores_of(scorer: Scorer, examples: Sequence[Example]) -> torch.Tensor:
    """Return scores_NS in the order of the examples."""
    found = {each.id: each.scores for each in scorer.score(examples) if isinstance(each, Scored)}
    return torch.tensor([found[example.id] for example in examples])


def film(folder: Path, case: dict[str, Any]) -> str:
    """Return a folder of the frames of a film in its example."""
    made = folder / "film"
    made.mkdir(exist_ok=True)
    for number in range(case["frames"]):
        picture(number, 28, 28).save(made / f"{number}.png")
    return str(made)
