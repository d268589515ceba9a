"""Score heads: what they compute, that folders carry them, and published checkpoints that have one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForImageTextToText

from tests.models.pictures import ask, draw_pictures, encoded, pixels_of
from triptych.core.errors import ModelError
from triptych.core.records import Example
from triptych.data.batch import collate
from triptych.data.plan.rendering import scored_prompt_of
from triptych.data.plan.scoring import Scoring
from triptych.infer.local import LocalResponder
from triptych.models.disk.check import check_model
from triptych.models.families.idefics2 import tiny as tiny_idefics2
from triptych.models.families.qwen_vl import tiny as tiny_qwen
from triptych.models.families.tiny import tiny
from triptych.models.family import Model, open_model
from triptych.models.heads import WEIGHTS, ScoreHead
from triptych.models.vision.features import FeatureStore

ASPECTS = ("visual quality", "temporal consistency", "dynamic degree")
SCORING = Scoring(targets=ASPECTS)


def question(folder: Path) -> Example:
    first, second = draw_pictures(folder / "pictures", 2)
    asked = ask("frames", "Rate ", first, " and ", second, " .", reply="")
    return replace(asked, turns=asked.turns[:1])


def test_an_output_is_its_own_map_of_the_state_it_reads() -> None:
    head = ScoreHead(SCORING, 6, seed=1)
    hidden_BTH = torch.randn(2, 5, 6)
    with torch.no_grad():
        head.score.bias.copy_(torch.tensor([1.0, -2.0, 0.5]))
    reads_NS2 = torch.tensor([[[0, 1], [0, 3], [0, 4]], [[1, 2], [1, 2], [1, 2]]])
    found_NS = head.scores(head.read(hidden_BTH, reads_NS2))
    for number, reads in enumerate(reads_NS2.tolist()):
        for target, (row, column) in enumerate(reads):
            expected = head.score.weight[target] @ hidden_BTH[row, column] + head.score.bias[target]
            torch.testing.assert_close(found_NS[number, target], expected)


def test_a_head_of_classes_says_the_likeliest_and_a_share_is_one() -> None:
    classes = ScoreHead(Scoring(targets=("a", "b"), loss="ce", classes=3), 4)
    outputs_NSC = torch.tensor([[[0.1, 2.0, 0.3], [5.0, 1.0, 1.0]]])
    assert classes.scores(outputs_NSC).tolist() == [[1.0, 0.0]]
    assert classes(torch.randn(7, 2, 4)).shape == (7, 2, 3)
    shares = ScoreHead(Scoring(targets=("a",), loss="bce"), 4)
    assert shares.scores(torch.zeros(1, 1, 1)).tolist() == [[0.5]]


def test_a_head_computes_in_float32_whatever_the_network_does() -> None:
    head, hidden_NSH = ScoreHead(SCORING, 48), torch.randn(3, 3, 48).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = head(hidden_NSH)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, head(hidden_NSH.float()))


def test_equal_seeds_give_equal_heads_and_leave_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (ScoreHead(SCORING, 8, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.rand(1))
    assert torch.equal(one.score.weight, same.score.weight)
    assert not torch.equal(one.score.weight, other.score.weight)


def test_a_head_is_a_part_where_there_is_one() -> None:
    model = tiny()
    assert set(model.parts_and_head()) == {"vision", "projector", "language"}
    model.score_head = ScoreHead(SCORING, 48)
    assert set(model.parts_and_head()) == {"vision", "projector", "language", "head"}


@pytest.mark.parametrize("scoring", [SCORING, Scoring(targets=("a", "b"), loss="ce", classes=4, read="each")])
def test_a_folder_carries_the_head_and_stays_what_transformers_opens(scoring: Scoring, tmp_path: Path) -> None:
    model = tiny()
    model.score_head = ScoreHead(scoring, 48, seed=3)
    nn.init.normal_(model.score_head.score.bias)
    model.save(tmp_path / "model")
    opened = open_model(tmp_path / "model")
    assert opened.score_head is not None
    assert opened.score_head.scoring == scoring
    assert all(torch.equal(one, other) for one, other in _pairs(model.score_head, opened.score_head))
    _, report = AutoModelForImageTextToText.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys"))
    tiny().save(tmp_path / "model")
    assert open_model(tmp_path / "model").score_head is None
    assert not (tmp_path / "model" / WEIGHTS).exists()


def test_the_text_in_the_docs_scores_with_plain_transformers(tmp_path: Path) -> None:
    model = tiny()
    model.score_head = ScoreHead(SCORING, 48, seed=3)
    example = question(tmp_path)
    expected = _scores(model, example)
    model.save(tmp_path / "model")
    text = (Path(__file__).parents[2] / "docs" / "score.md").read_text(encoding="utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    assert "triptych" not in code.replace("triptych.json", "")
    network = AutoModelForImageTextToText.from_pretrained(tmp_path / "model")
    batch = collate([[encoded(model, example, open_reply=True)]], pad_id=0)
    found: dict[str, object] = {
        "folder": str(tmp_path / "model"),
        "network": network,
        "inputs": model.inputs(batch, pixels_of(model, batch.images)),
    }
    exec(code, found)
    assert found["scores"] == pytest.approx(dict(zip(ASPECTS, expected.tolist(), strict=True)), abs=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_a_published_checkpoint_for_scores_opens_with_its_head(bias: bool, tmp_path: Path) -> None:
    folder = _published(tmp_path / "score", outputs=5, bias=bias, problem_type="regression")
    opened = open_model(folder)
    head = opened.score_head
    assert head is not None
    assert head.scoring == Scoring(targets=tuple(f"LABEL_{number}" for number in range(5)), asked="plain")
    weights = load_file(folder / "model.safetensors")
    assert torch.equal(head.score.weight, weights["score.weight"])
    assert torch.equal(head.score.bias, weights["score.bias"] if bias else torch.zeros(5))
    with pytest.raises(ModelError, match="has a head for scores and none for words: triptych score"):
        LocalResponder(opened, features=FeatureStore(opened), name="model")


def test_a_published_checkpoint_for_scores_is_what_it_should_be(tmp_path: Path) -> None:
    folder = _published(tmp_path / "score", outputs=5, bias=True, problem_type="regression")
    found = {check.name: check for check in check_model(str(folder))}
    assert [check for check in found.values() if check.verdict == "wrong"] == []
    assert found["weights"].said.endswith("; a head for scores and none for words")
    assert found["score"].said.startswith("a score model: 5 outputs (LABEL_0, ")
    weights = load_file(folder / "model.safetensors")
    del weights["model.connector.modality_projection.gate_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (wrong,) = [check.said for check in check_model(str(folder)) if check.verdict == "wrong"]
    assert wrong == "1 missing: model.connector.modality_projection.gate_proj.weight"


def test_a_checkpoint_without_a_head_for_words_and_without_one_for_scores_is_wrong(tmp_path: Path) -> None:
    folder = _published(tmp_path / "score", outputs=5, bias=False, problem_type="regression")
    weights = load_file(folder / "model.safetensors")
    del weights["score.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (wrong,) = [check.said for check in check_model(str(folder)) if check.verdict == "wrong"]
    assert wrong == "1 missing: lm_head.weight"


def test_a_published_head_reads_the_last_token_of_plain_words_as_its_own_code_did(tmp_path: Path) -> None:
    model = tiny_idefics2(3)
    folder = _published(tmp_path / "score", outputs=5, bias=True, problem_type="regression")
    opened = open_model(folder)
    example = question(tmp_path)
    prompt = scored_prompt_of(
        example, replace(opened.rendering, scored=opened.score_head and opened.score_head.scoring)
    )
    batch = collate([[prompt]], pad_id=0)
    with torch.no_grad():
        made = model.network.get_submodule("model")(**model.inputs(batch, pixels_of(model, batch.images)))
        weights = load_file(folder / "model.safetensors")
        expected = weights["score.weight"] @ made.last_hidden_state[0, -1] + weights["score.bias"]
    torch.testing.assert_close(_scores(opened, example), expected, rtol=1e-4, atol=1e-4)
    assert "User" not in model.tokenizer.decode(prompt.ids)


def test_the_outputs_of_a_published_head_may_be_named(tmp_path: Path) -> None:
    folder = _published(tmp_path / "score", outputs=3, bias=True, problem_type="regression")
    note = json.loads((folder / "triptych.json").read_text())
    (folder / "triptych.json").write_text(json.dumps(note | {"score": {"targets": list(ASPECTS)}}))
    head = open_model(folder).score_head
    assert head is not None
    assert head.scoring == Scoring(targets=ASPECTS, asked="plain")


def test_one_label_of_several_is_a_target_of_so_many_classes(tmp_path: Path) -> None:
    folder = _published(tmp_path / "score", outputs=4, bias=True, problem_type="single_label_classification")
    head = open_model(folder).score_head
    assert head is not None
    assert head.scoring == Scoring(targets=("class",), loss="ce", classes=4, asked="plain")


def test_a_head_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="problem_type None; write one of regression"):
        open_model(_published(tmp_path / "score", outputs=5, bias=True, problem_type=None))
    model = tiny()
    model.score_head = ScoreHead(SCORING, 48)
    model.save(tmp_path / "lost")
    (tmp_path / "lost" / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=f"holds no {WEIGHTS}"):
        open_model(tmp_path / "lost")


def test_a_published_head_that_its_own_code_reads_otherwise_is_refused(tmp_path: Path) -> None:
    folder = _published(tmp_path / "flat", outputs=5, bias=True, problem_type="regression", make=tiny_qwen)
    with pytest.raises(
        ModelError, match="Qwen2VLForSequenceClassification was tuned with positions that count through"
    ):
        open_model(folder)
    weights = load_file(folder / "model.safetensors")
    for number, row in enumerate(weights.pop("score.weight").split(1)):
        weights |= {f"score.{number}.weight": row.clone(), f"score.{number}.bias": torch.zeros(1)}
    del weights["score.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (said,) = [check.said for check in check_model(str(folder)) if check.name == "score"]
    assert "a score head for each label, the first is 'score.0.weight', read at tokens of their own" in said


def _scores(model: Model, example: Example) -> torch.Tensor:
    head = model.score_head
    assert head is not None
    batch = collate([[scored_prompt_of(example, replace(model.rendering, scored=head.scoring))]], pad_id=0)
    with torch.no_grad():
        hidden_BTH = model.hidden(model.weave(batch, model.encode(pixels_of(model, batch.images))))
        return head.scores(head.read(hidden_BTH, batch.reads_NS2))[0]


def _pairs(one: nn.Module, other: nn.Module) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(one.parameters(), other.parameters(), strict=True))


def _published(
    folder: Path,
    *,
    outputs: int,
    bias: bool,
    problem_type: str | None,
    make: Callable[[int], Model] = tiny_idefics2,
) -> Path:
    """Write a toy in the layout of Mantis' ...ForSequenceClassification: no head for words, ``score`` beside."""
    make(3).save(folder)
    config = json.loads((folder / "config.json").read_text())
    (network,) = config["architectures"]
    scores = network.replace("ForConditionalGeneration", "ForSequenceClassification")
    config |= {"architectures": [scores], "problem_type": problem_type}
    config |= {"id2label": {str(number): f"LABEL_{number}" for number in range(outputs)}}
    (folder / "config.json").write_text(json.dumps(config))
    weights = {name: value for name, value in load_file(folder / "model.safetensors").items() if "lm_head" not in name}
    random = torch.Generator().manual_seed(8)
    weights["score.weight"] = torch.randn(outputs, 48, generator=random)
    if bias:
        weights["score.bias"] = torch.randn(outputs, generator=random)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
