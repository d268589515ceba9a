"""LLaVA-1.5 against its released code, run on tiny weights: ``llava_v1_5.json``, see ``make_llava_v1_5.py``.

Numbers are compared on the released ids, so that they say nothing of the tokenizer; the ids have tests of their own.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
import torch

from tests.released.llava_given import (
    Opened,
    batch_of,
    before,
    check_numbers,
    check_pairs,
    close,
    one_each,
    opened,
    shown,
)
from tests.released.llava_shared import folded
from tests.released.making import made_of
from triptych.core.records import Example
from triptych.data.plan.rendering import prompt_of, tokens_of
from triptych.data.template import find_template
from triptych.data.transforms.in_front import InFront, put_in_front
from triptych.infer.local import LocalResponder
from triptych.models.vision.features import FeatureStore
from triptych.train.loss import supervised_loss

MADE = made_of("llava_v1_5")
CASES = ("pad", "square", "cls_patch")


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    made, named = MADE[request.param], {"architectures": ["LlavaLlamaForCausalLM"], "model_type": "llava"}
    shapes = {name: shape for name, shape in MADE["shapes"].items() if name not in made["shapes"]}
    told = {"tower": MADE["tower"], "rows": made["rows"], "template": "vicuna_v1"}
    return opened(tmp_path_factory.mktemp(request.param), request.param, made, named=named, shapes=shapes, **told)


def test_pixels_are_the_released_ones(case: Opened) -> None:
    for name, row in case.given.items():
        for seen, theirs in zip(shown(case.model, batch_of(row)), case.made["outcomes"][name]["pixels"], strict=True):
            assert close(folded(seen.values), theirs), name


def test_features_stand_where_they_should_and_logits_and_loss_are_equal(case: Opened) -> None:
    model, size = case.model, case.made["config"]["vocab_size"]
    for name, row in case.given.items():
        made, batch = case.made["outcomes"][name], batch_of(row)
        hidden, logits = check_numbers(model, batch, made, tokens=size, name=name)
        if "loss" in made:
            assert batch.labels_BT[0].tolist() == made["spread"]
            loss = torch.nn.functional.cross_entropy(logits[:-1], batch.labels_BT[0, 1:])
            assert loss.item() == pytest.approx(made["loss"], abs=1e-5), name
            ours = supervised_loss(model, hidden, labels_BT=batch.labels_BT, step_tokens=batch.trained_tokens)
            # The image token is one word more: its logit, the mean of all, is in the sum under the loss.
            assert 0 < ours.item() - made["loss"] < 2 / size, name


def test_two_rows_in_a_batch_have_the_released_logits(case: Opened) -> None:
    check_pairs(case)


def test_prompts_and_greedy_replies_to_several_pictures_are_the_released_ones(case: Opened) -> None:
    model = case.model
    responder = LocalResponder(model, features=FeatureStore(model), name="")
    for name in ("two", "four"):
        question = Example(name, case.read[name].turns[:-1])
        assert prompt_of(question, model.rendering).ids == case.given[name].ids
        kept = before(case.made["outcomes"][name]["reply"], 2)
        (answer,) = responder.answer([question], max_tokens=6)
        assert answer.text == model.tokenizer.decode(kept, skip_special_tokens=True)  # type: ignore[union-attr]


def test_ids_and_labels_are_those_of_the_training_code(case: Opened) -> None:
    model = case.model
    # A slow tokenizer that is not "legacy" puts no space behind </s>; its tokenizer.json, which is read here, does.
    later = ("behind", "words") if case.name == "square" else ()
    for name in ("front", "amid", "odd", *later):
        made = case.made["outcomes"][name]
        (row,) = put_in_front(case.read[name], InFront(published=True), Random(0))
        ours = tokens_of(row, model.rendering)
        assert one_each(ours.ids, model.image_token_id) == made["ids"], name
        assert batch_of(ours).labels_BT[0].tolist() == made["spread"], name


def test_a_caption_of_stage_1_has_the_ids_and_labels_of_the_training_code(case: Opened) -> None:
    made = case.made["outcomes"]["caption"]
    ours = tokens_of(case.read["caption"], replace(case.model.rendering, template=find_template("plain")))
    assert one_each(ours.ids, case.model.image_token_id) == made["ids"]
    assert batch_of(ours).labels_BT[0].tolist() == made["spread"]
