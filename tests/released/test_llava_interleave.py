"""LLaVA-NeXT-Interleave and LLaVA-OneVision against their released code, run on tiny weights.

``llava_interleave.json`` holds what that code made (``make_llava_interleave.py`` says how); rows are read from LLaVA's
own JSON, so that reading, rendering, pictures, features and logits are tested in one line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
import torch
from transformers import Qwen2Tokenizer

from tests.released.drawn import save_weights, weight
from tests.released.llava_given import (
    IMAGE,
    before,
    check_batch,
    check_numbers,
    close,
    one_each,
    read_rows,
    shown,
    write_tower,
)
from tests.released.llava_shared import by_position, folded, save_qwen_tokenizer
from tests.released.making import made_of
from triptych.core.errors import ModelError
from triptych.core.records import Example
from triptych.data.batch import Batch, collate
from triptych.data.media.images import load_image
from triptych.data.plan.rendering import tokens_of
from triptych.data.template import find_template, render
from triptych.data.transforms.frames import Frames, take_frames
from triptych.infer.local import LocalResponder
from triptych.models.family import Model, open_model
from triptych.models.vision.features import FeatureStore
from triptych.train.loss import supervised_loss

MADE = made_of("llava_interleave")
CASES = ("interleave", "onevision", "brought_down", "pad")
VIDEOS = ("video_grid", "video_frame", "video_average")
"""Videos whose new lines stand elsewhere, or whose frames are pooled otherwise, than LLaVA-OneVision's."""


class Opened(NamedTuple):
    """A case: what the released code made, our model and its rows."""

    name: str
    made: Mapping[str, Any]
    model: Model
    rows: Mapping[str, Example]


def save(folder: Path, case: Mapping[str, Any]) -> None:
    """Write a checkpoint in the layout of the released code, and the tower that it names."""
    tower = folder.with_name("tower")
    side = MADE["tower"]["image_size"]
    folder.mkdir()
    images = {"image_processor_type": "SiglipImageProcessor", "size": {"height": side, "width": side}, "resample": 3}
    means = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 255}
    write_tower(tower, {"model_type": "siglip_vision_model", **MADE["tower"]}, images | means)
    named = {"architectures": ["LlavaQwenForCausalLM"], "model_type": "llava_qwen", "mm_vision_tower": str(tower)}
    (folder / "config.json").write_text(json.dumps({**case["config"], **named}))
    tied = case["config"]["tie_word_embeddings"]
    shapes = [(name, shape) for name, shape in MADE["shapes"].items() if not tied or name != "lm_head.weight"]
    save_weights(folder, shapes)
    save_qwen_tokenizer(folder)
    Qwen2Tokenizer.from_pretrained(folder).save_pretrained(folder)  # tokenizer.json, which released folders have, too
    (folder / "triptych.json").write_text('{"template": "llava_qwen_1_5"}')


def opened(name: str, folder: Path) -> Opened:
    """Open a case, its videos as ten frames each.

    The image token's row, a spare one, is put back to what it is in the checkpoint: the released code has no such
    token, and its loss knows the row as it is.
    """
    case = MADE[name]
    save(folder / "model", case)
    model = open_model(folder / "model")
    own = "model.embed_tokens.weight" if case["config"]["tie_word_embeddings"] else "lm_head.weight"
    head = model.network.get_output_embeddings().weight
    with torch.no_grad():
        head[model.image_token_id] = weight(own, MADE["shapes"][own])[model.image_token_id]
    frames = Frames(n=10, way="linspace")
    rows = {each.id: take_frames(each, frames, Random(0))[0] for each in read_rows(folder, case["rows"])}
    return Opened(name, case, model, rows)


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return opened(request.param, tmp_path_factory.mktemp(request.param))


def batch_of(case: Opened, *names: str) -> Batch:
    return collate([[tokens_of(case.rows[name], case.model.rendering)] for name in names], pad_id=0)


def row_names(name: str) -> list[str]:
    return [each["id"] for each in MADE[name]["rows"] if each["id"] != "film"]


def test_ids_and_labels_are_those_of_the_training_code(case: Opened) -> None:
    for name in row_names(case.name):
        made = case.made["outcomes"][name]
        batch = batch_of(case, name)
        ours = one_each(batch.ids_BT[0].tolist(), case.model.image_token_id)
        assert ours == one_each(made["ids"], IMAGE), name
        # The first label is told from nothing: the released loss drops it, too.
        assert batch.labels_BT[0, 1:].tolist() == made["spread"][1:], name


def test_pixels_are_those_of_the_training_code(case: Opened) -> None:
    for name in row_names(case.name):
        pictures = [seen.values for seen in shown(case.model, batch_of(case, name))]
        views = [torch.cat(pictures)] if "video" in name else pictures
        for ours, (*theirs, a, b, c, d, e, f) in zip(views, case.made["outcomes"][name]["pixels"], strict=True):
            # One view alone may have an axis of views here, and none there.
            assert close(folded(ours.reshape(theirs)), [a, b, c, d, e, f]), name


def test_features_stand_where_they_should_and_logits_and_loss_are_equal(case: Opened) -> None:
    model, tokens = case.model, case.made["tokens"]
    for name in row_names(case.name):
        made, batch = case.made["outcomes"][name], batch_of(case, name)
        hidden, _ = check_numbers(model, batch, made, tokens=tokens, name=name)
        loss = supervised_loss(model, hidden, labels_BT=batch.labels_BT, step_tokens=batch.trained_tokens)
        assert loss.item() == pytest.approx(made["loss"], abs=1e-5), name


def test_two_rows_in_a_batch_have_the_released_batchs_loss(case: Opened) -> None:
    model, tokens = case.model, case.made["tokens"]
    for first, second, expected, logits in case.made["pairs"]:
        if "film" in (first, second):
            continue
        batch = batch_of(case, first, second)
        with torch.no_grad():
            hidden = model.hidden(model.weave(batch, model.encode(shown(case.model, batch))))
            loss = supervised_loss(model, hidden, labels_BT=batch.labels_BT, step_tokens=batch.trained_tokens)
            ours = model.head(hidden)
        assert loss.item() == pytest.approx(expected, abs=1e-5)
        check_batch(ours[..., :tokens], batch, logits)


def test_greedy_replies_are_the_released_ones(case: Opened) -> None:
    model = case.model
    responder = LocalResponder(model, features=FeatureStore(model), name="")
    stop = model.tokenizer.convert_tokens_to_ids("<|im_end|>")
    found = 0
    for name in row_names(case.name):
        if name == "answered":
            continue  # without its reply it has one picture, which is shown otherwise
        row = case.rows[name]
        kept = before(case.made["outcomes"][name]["reply"], stop)
        (answer,) = responder.answer([Example(name, row.turns[:-1])], max_tokens=6)
        assert answer.text == model.tokenizer.decode(kept, skip_special_tokens=True), name  # type: ignore[union-attr]
        found += len(kept)
    assert found > 3 * len(case.rows)


def test_the_evaluations_prompt_is_its_scripts(case: Opened) -> None:
    model, template = case.model, find_template("llava_qwen_1_5_eval")
    for name, row in case.rows.items():
        if name in ("video", "film"):
            continue
        encoded = render(
            Example(name, row.turns[:1]),
            template,
            tokenizer=model.tokenizer,
            image_token_id=model.image_token_id,
            image_ids=lambda _: [model.image_token_id],
            open_reply=True,
        )
        ids = [IMAGE if each == model.image_token_id else each for each in encoded.ids]
        assert ids == case.made["outcomes"][name]["asked"], name


def test_a_video_is_moved_in_front_of_its_turns_words(tmp_path: Path) -> None:
    case = opened("onevision", tmp_path)
    ours = batch_of(case, "film").ids_BT[0].tolist()
    assert one_each(ours, case.model.image_token_id) == case.made["outcomes"]["film"]["ids"]


@pytest.mark.parametrize("name", [*VIDEOS, "square"])
def test_videos_and_pictures_are_shown_as_a_configuration_says(name: str, tmp_path: Path) -> None:
    case = opened(name, tmp_path)
    # Training there pads several pictures whatever is said; its evaluation, and we, bring them to a square as one.
    for row in case.rows.keys() - {"two"}:
        batch = batch_of(case, row)
        with torch.no_grad():
            woven = case.model.weave(batch, case.model.encode(shown(case.model, batch)))
        given = case.made["outcomes"][row]["given"]
        assert woven.embeds_BTH.shape[1] == len(given)
        assert close(by_position(woven.embeds_BTH[0]), given)


@pytest.mark.parametrize("name", VIDEOS)
def test_a_saved_folder_shows_videos_as_the_opened_one(name: str, tmp_path: Path) -> None:
    case = opened(name, tmp_path)
    case.model.save(tmp_path / "saved")
    again = case._replace(model=open_model(tmp_path / "saved"))
    batch = batch_of(again, "video")
    assert torch.equal(batch.ids_BT, batch_of(case, "video").ids_BT)
    with torch.no_grad():
        woven = again.model.weave(batch, again.model.encode(shown(again.model, batch)))
    assert close(by_position(woven.embeds_BTH[0]), case.made["outcomes"]["video"]["given"])


def test_videos_that_the_network_of_transformers_shows_otherwise_are_not_given_to_it(tmp_path: Path) -> None:
    case = opened("video_grid", tmp_path)
    batch = batch_of(case, "video")
    with pytest.raises(ModelError, match="mm_newline_position 'grid' and mm_spatial_pool_mode 'bilinear'"):
        case.model.inputs(batch, [case.model.pixels(load_image(image)) for image in batch.images])


def test_a_new_line_behind_each_padded_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'spatial_unpad' with image_aspect_ratio 'pad': .* a new line") as refusal:
        opened("pad_newline", tmp_path)
    assert "\n" not in str(refusal.value)
