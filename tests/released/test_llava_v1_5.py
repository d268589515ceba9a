"""LLaVA-1.5 against its released code, run on tiny weights: ``llava_v1_5.json``, see ``make_llava_v1_5.py``.

Numbers are compared on the released ids, so that they say nothing of the tokenizer; the ids have tests of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import save_file

from tests.released.drawn import weights
from tests.released.llava_given import batch_of, close, encoded, one_each, shown
from tests.released.llava_shared import by_position, draw, folded
from triptych.core.records import Example
from triptych.data.format import load_examples
from triptych.data.plan.rendering import prompt_of, tokens_of
from triptych.data.template import Encoded, find_template
from triptych.data.transforms.in_front import InFront, put_in_front
from triptych.infer.local import LocalResponder
from triptych.models.family import Model, open_model
from triptych.models.features import FeatureStore
from triptych.train.loss import supervised_loss

MADE: Mapping[str, Any] = json.loads(Path(__file__).with_name("llava_v1_5.json").read_text(encoding="utf-8"))
CASES = ("pad", "square", "cls_patch")
SEEN = {
    "image_processor_type": "CLIPImageProcessor",
    "size": MADE["tower"]["image_size"],
    "crop_size": MADE["tower"]["image_size"],
    "resample": 3,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
"""As the released CLIP has it."""


class Opened(NamedTuple):
    """A case: its model, and its rows as read and as the released code wrote them."""

    name: str
    model: Model
    read: Mapping[str, Example]
    given: Mapping[str, Encoded]

    @property
    def made(self) -> Mapping[str, Any]:
        """What the released code made."""
        found: Mapping[str, Any] = MADE[self.name]
        return found


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    made, folder = MADE[request.param], tmp_path_factory.mktemp(request.param)
    tower = folder / "tower"
    tower.mkdir()
    (tower / "config.json").write_text(json.dumps({"model_type": "clip_vision_model", **MADE["tower"]}))
    (tower / "preprocessor_config.json").write_text(json.dumps(SEEN))
    named = {"architectures": ["LlavaLlamaForCausalLM"], "model_type": "llava", "mm_vision_tower": str(tower)}
    (folder / "config.json").write_text(json.dumps({**made["config"], **named}))
    shapes = [(name, shape) for name, shape in MADE["shapes"].items() if name not in made["shapes"]]
    save_file(weights(shapes), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "tokenizer.json").write_text(json.dumps(MADE["tokenizer"]))
    ends = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer", **ends}))
    (folder / "triptych.json").write_text('{"template": "vicuna_v1"}')
    model = open_model(folder)
    draw(folder, made["rows"])
    (folder / "rows.json").write_text(json.dumps(made["rows"]))
    read = {each.id: each for each in load_examples(f"llava:{folder / 'rows.json'}", on_bad="raise").examples}
    given = {}
    for row in made["rows"]:
        named = row.get("image", [])
        images = [folder / name for name in ([named] if isinstance(named, str) else named)]
        given[row["id"]] = encoded(row["id"], made["outcomes"][row["id"]], images, model)
    return Opened(request.param, model, read, given)


def test_pixels_are_the_released_ones(case: Opened) -> None:
    for name, row in case.given.items():
        for seen, theirs in zip(shown(case.model, batch_of(row)), case.made["outcomes"][name]["pixels"], strict=True):
            assert close(folded(seen.values), theirs), name


def test_features_stand_where_they_should_and_logits_and_loss_are_equal(case: Opened) -> None:
    model, size = case.model, case.made["config"]["vocab_size"]
    for name, row in case.given.items():
        made, batch = case.made["outcomes"][name], batch_of(row)
        with torch.no_grad():
            woven = model.weave(batch, model.encode(shown(model, batch)))
            hidden = model.hidden(woven)
            logits = model.head(hidden)[0, :, :size]
        assert close(by_position(woven.embeds_BTH[0]), made["given"]), name
        assert close(by_position(logits), made["logits"]), name
        if "loss" in made:
            assert batch.labels_BT[0].tolist() == made["spread"]
            loss = torch.nn.functional.cross_entropy(logits[:-1], batch.labels_BT[0, 1:])
            assert loss.item() == pytest.approx(made["loss"], abs=1e-5), name
            ours = supervised_loss(model, hidden, batch.labels_BT, step_tokens=batch.trained_tokens)
            # The image token is one word more: its logit, the mean of all, is in the sum under the loss.
            assert 0 < ours.item() - made["loss"] < 2 / size, name


def test_two_rows_in_a_batch_have_the_released_logits(case: Opened) -> None:
    model, size = case.model, case.made["config"]["vocab_size"]
    for first, second, _, logits in case.made["pairs"]:
        batch = batch_of(case.given[first], case.given[second])
        with torch.no_grad():
            ours = model.head(model.hidden(model.weave(batch, model.encode(shown(model, batch)))))
        for row, theirs in enumerate(logits):
            length = int((batch.segments_BT[row] >= 0).sum())
            assert close(by_position(ours[row, :length, :size]), theirs[:length])


def test_prompts_and_greedy_replies_to_several_pictures_are_the_released_ones(case: Opened) -> None:
    model = case.model
    responder = LocalResponder(model, features=FeatureStore(model), name="")
    for name in ("two", "four"):
        question = Example(name, case.read[name].turns[:-1])
        assert prompt_of(question, model.rendering).ids == case.given[name].ids
        said = case.made["outcomes"][name]["reply"]
        kept = said[: said.index(2)] if 2 in said else said
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
