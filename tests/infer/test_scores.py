"""Scores of a head: the same alone and in a pack, said as numbers, and files that are asked about."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.models.pictures import draw_pictures
from triptych.core.errors import DataError, ModelError
from triptych.core.records import Example, ImageRef, Text, Turn, images_of, text_of
from triptych.data.batch import Batch, collate
from triptych.data.plan.rendering import scored_prompt_of
from triptych.data.plan.scoring import Read, Scoring
from triptych.evaluate.question import video_quality
from triptych.evaluate.question.video_quality import ratings_said
from triptych.infer.responder import Failed
from triptych.infer.score_questions import question_words, questions_about
from triptych.infer.scores import Scored, Scorer, ScoreResponder, packs_of
from triptych.models.families.tiny import tiny
from triptych.models.heads import ScoreHead
from triptych.models.vision.features import FeatureStore

ASPECTS = ("visual quality", "dynamic degree")


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    pictures = draw_pictures(tmp_path_factory.mktemp("pictures"), 4)
    asked = [Text("How good is this"), *pictures, Text("?")]
    cuts = [asked, asked[:3], [asked[0], asked[-1]], [asked[0], asked[3], asked[2]], asked[1:]]
    return [Example(f"q{number}", (Turn("user", tuple(parts)),)) for number, parts in enumerate(cuts)]


def scorer(*, read: Read = "last", batch_tokens: int = 4096, **said: object) -> Scorer:
    model = tiny(3)
    scoring = replace(Scoring(targets=ASPECTS, read=read), **said)  # type: ignore[arg-type]
    model.score_head = ScoreHead(scoring, 48, seed=4)
    with torch.no_grad():
        model.score_head.score.weight.mul_(50)
    return Scorer(model, features=FeatureStore(model), batch_tokens=batch_tokens)


def scores(found: Sequence[Scored | Failed]) -> dict[str, tuple[float, ...]]:
    return {each.id: each.scores for each in found if isinstance(each, Scored)}


@pytest.mark.parametrize("read", ["last", "each"])
def test_scores_in_a_pack_in_a_padded_batch_and_alone_are_the_same(read: Read, questions: list[Example]) -> None:
    whole = scorer(read=read)
    packed = scores(list(whole.score(questions)))
    alone = scores([found for question in questions for found in whole.score([question])])
    assert packed.keys() == alone.keys() == {question.id for question in questions}
    prompts = [scored_prompt_of(question, whole.rendering) for question in questions]
    rows_NS = whole.head.scores(whole.outputs(collate([[prompt] for prompt in prompts], pad_id=prompts[0].ids[0])))
    for question, row_S in zip(questions, rows_NS, strict=True):
        assert packed[question.id] == pytest.approx(alone[question.id], abs=1e-4)
        assert row_S.tolist() == pytest.approx(alone[question.id], abs=1e-4)
    assert len(set(packed.values())) == len(questions), "scores that are all alike would prove nothing"


def test_a_pack_holds_at_most_its_tokens_and_every_prompt_is_in_one(questions: list[Example]) -> None:
    small = scorer(batch_tokens=80)
    prompts = [scored_prompt_of(question, small.rendering) for question in questions]
    packs = list(packs_of(prompts, most=80))
    assert sorted(prompt.id for pack in packs for prompt in pack) == sorted(prompt.id for prompt in prompts)
    assert all(len(pack) == 1 or sum(len(prompt.ids) for prompt in pack) <= 80 for pack in packs)
    whole = scores(list(scorer().score(questions)))
    for name, found in scores(list(small.score(questions))).items():
        assert found == pytest.approx(whole[name], abs=1e-4)


def test_a_picture_that_cannot_be_read_fails_alone(questions: list[Example], tmp_path: Path) -> None:
    (torn,) = draw_pictures(tmp_path, 1, seed=9)
    path = Path(torn.source)
    path.write_bytes(path.read_bytes()[:70])
    bad = Example("bad", (Turn("user", (Text("this"), torn)),))
    gone = Example("gone", (Turn("user", (Text("this"), ImageRef(str(tmp_path / "gone.png")))),))
    found = list(scorer().score([*questions, bad, gone]))
    assert {each.id for each in found if isinstance(each, Failed)} == {"bad", "gone"}
    assert len(scores(found)) == len(questions)


@pytest.mark.parametrize("loss", ["mse", "bce", "ce"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_head_that_gives_no_number_fails_each_row_by_its_id(
    loss: str, number: float, questions: list[Example]
) -> None:
    broken = scorer(loss=loss, classes=3 if loss == "ce" else 1)
    with torch.no_grad():
        broken.head.score.bias[-1] = number
    found = list(broken.score(questions))
    assert sorted(each.id for each in found) == sorted(question.id for question in questions)
    for each in found:
        assert isinstance(each, Failed), each
        assert each.reason.startswith(f"{each.id}: the score head gives {number} for 'dynamic degree'")
    told = list(ScoreResponder(broken, name="tiny").answer(questions))
    assert all(isinstance(each, Failed) for each in told)


def test_a_row_without_a_number_takes_no_other_of_its_pack_along(
    questions: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scorer()
    wanted = scores(list(whole.score(questions)))
    outputs = whole.outputs

    def spoilt(batch: Batch) -> Tensor:
        found = outputs(batch)
        return torch.full_like(found, math.nan) if "q2" in batch.example_ids else found

    monkeypatch.setattr(whole, "outputs", spoilt)
    found = list(whole.score(questions))
    assert [each.id for each in found if isinstance(each, Failed)] == ["q2"]
    assert scores(found).keys() == wanted.keys() - {"q2"}
    for name, each in scores(found).items():
        assert each == pytest.approx(wanted[name], abs=1e-4)


def test_conversations_that_cannot_stand_together_are_scored_one_by_one(questions: list[Example]) -> None:
    whole = scorer()
    wanted = scores([found for question in questions for found in whole.score([question])])
    lengths = sorted(len(scored_prompt_of(question, whole.rendering).ids) for question in questions)
    other = scorer()
    # Beyond so many tokens such a language model has other positions, for all that go through it together.
    text = other.model.network.config.get_text_config()
    text.rope_parameters = {"rope_type": "longrope", "original_max_position_embeddings": lengths[1]}
    found = scores(list(other.score(questions)))
    assert found.keys() == wanted.keys()
    for name, each in wanted.items():
        assert found[name] == pytest.approx(each, abs=1e-4)


def test_classes_come_with_how_likely_each_is(questions: list[Example]) -> None:
    for found in scorer(loss="ce", classes=3).score(questions):
        assert isinstance(found, Scored)
        assert [sum(shares) for shares in found.shares] == pytest.approx([1, 1])
        assert found.scores == tuple(float(shares.index(max(shares))) for shares in found.shares)


def test_a_model_that_only_talks_scores_nothing() -> None:
    model = tiny()
    with pytest.raises(ModelError, match="has no score head, it only talks"):
        Scorer(model, features=FeatureStore(model))


def test_a_responder_says_the_numbers_in_the_form_that_benchmarks_read(questions: list[Example]) -> None:
    asked = scorer()
    responder = ScoreResponder(asked, name="tiny")
    expected = scores(list(asked.score(questions)))
    for answer in responder.answer(questions, max_tokens=1):
        assert not isinstance(answer, Failed)
        said = ratings_said(answer.text)
        assert list(said) == list(ASPECTS)
        assert list(said.values()) == pytest.approx(expected[answer.id], abs=1e-3)
    before = responder.fingerprint
    with torch.no_grad():
        asked.head.score.bias.add_(1)
    assert ScoreResponder(asked, name="tiny").fingerprint != before


def test_files_become_questions_with_their_frames_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "video"
    folder.mkdir()
    for number in range(12):
        Image.new("RGB", (32, 24), (20 * number, 0, 0)).save(folder / f"v_{number}.png")
    picture = tmp_path / "one.png"
    Image.new("RGB", (32, 24)).save(picture)
    scoring = Scoring(targets=ASPECTS)
    words = question_words(scoring, text="a red room")
    video, still = questions_about([str(folder), str(picture)], words, scoring=scoring, frames=4)
    assert isinstance(video, Example)
    assert isinstance(still, Example)
    assert [Path(image.source).name for image in images_of(video)] == [f"v_{number}.png" for number in (0, 3, 7, 11)]
    assert [image.source for image in images_of(still)] == [str(picture)]
    said = text_of(video.turns[0])
    assert 'from the words: "a red room"' in said
    assert all(f"- {name}\n" in said for name in ASPECTS)
    assert isinstance(video.turns[0].parts[0], Text)


def test_a_head_that_is_asked_plainly_finds_a_space_behind_each_picture_of_a_file(tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path / "video", 3)
    name = str(Path(pictures[0].source).relative_to(tmp_path))
    row = {"id": "row", "images": [name], "prompt": "Good? <image>", "labels": {"any": 1}}
    (tmp_path / "rows.json").write_text(json.dumps([row]))
    said = [str(tmp_path / "video"), pictures[0].source, f"mantis_classification:{tmp_path / 'rows.json'}"]
    plain, chat = (
        [
            "".join("#" if isinstance(part, ImageRef) else getattr(part, "text", "") for part in found.turns[0].parts)
            for found in questions_about(said, "Good? ", scoring=Scoring(targets=ASPECTS, asked=asked), frames=2)
            if isinstance(found, Example)
        ]
        for asked in ("plain", "chat")
    )
    assert plain == ["Good? # # ", "Good? # ", "Good? #"]
    assert chat == ["Good? ##", "Good? #", "Good? #"]


def test_videoscore_is_asked_in_its_own_words_and_other_heads_in_ours() -> None:
    five = video_quality.ASPECTS
    numbered = tuple(f"LABEL_{number}" for number in range(5))
    for targets in (five, numbered):
        assert question_words(Scoring(targets=targets, asked="plain"), text="a dog") == video_quality.PROMPT % "a dog"
        assert 'the text prompt is "",' in question_words(Scoring(targets=targets, asked="plain"))
    others = (
        Scoring(targets=five),
        Scoring(targets=five[::-1], asked="plain"),
        Scoring(targets=five, asked="plain", read="each"),
        Scoring(targets=numbered[:4], asked="plain"),
        Scoring(targets=five, asked="plain", loss="ce", classes=4),
    )
    for scoring in others:
        assert question_words(scoring, text="a dog").startswith("You are shown the frames")


def test_a_path_that_leads_nowhere_is_told() -> None:
    with pytest.raises(DataError, match=r"nowhere\.mp4: no such file\. Give a video"):
        list(questions_about(["nowhere.mp4"], "?", scoring=Scoring(targets=ASPECTS), frames=2))
