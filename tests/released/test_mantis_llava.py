"""Mantis' LLaVA: folders as its own code saves them give the ids, masks, logits, losses and replies of that code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.pictures import encoded, logits_of, pixels_of
from tests.released import mantis_toys as toys
from tests.released.making import made_of
from tests.released.mantis_ours import check_talk, close, enlarged, learnt, opened, read
from triptych.core.records import Example
from triptych.data.batch import collate
from triptych.data.plan.rendering import tokens_of
from triptych.data.template import Encoded, find_template
from triptych.models.family import Model

TOLD = made_of("mantis_llava")
TEMPLATES = {"llama_3": "mantis_llama_3", "llama_2": "mantis_mllava_v1"}
WATCHED = "layers.0.mlp.up_proj.weight"
CHATS = [*toys.SAID]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mantis_llava")


@pytest.fixture(scope="module")
def examples(home: Path) -> dict[str, Example]:
    return read(home)


@pytest.fixture(scope="module")
def models(home: Path) -> dict[str, Model]:
    return {kind: folder_of(home / kind, told) for kind, told in TOLD["models"].items()}


def folder_of(folder: Path, told: dict[str, Any]) -> Model:
    # In transformers 4.39 Mistral looks back one position further than its window says, in transformers 5 it does not.
    config = told["files"]["config.json"].replace('"sliding_window": 40', '"sliding_window": 41')
    files = TOLD["words"][told["words"]]["files"] | told["files"] | {"config.json": config}
    return opened(folder, files, told["weights"], template=TEMPLATES[told["words"]])


# Words.


def shortened(row: Encoded) -> dict[str, Any]:
    """Return ids and mask with one token an image, as the released code has them before its network is run."""
    inside = {place for slot in row.slots for place in range(slot.start + 1, slot.stop)}
    kept = [place for place in range(len(row.ids)) if place not in inside]
    return {"ids": [row.ids[at] for at in kept], "trained": toys.spans([row.trained[at] for at in kept])}


def said_by(model: Model, template: str, example: Example) -> dict[str, Any]:
    return shortened(tokens_of(example, replace(model.rendering, template=find_template(template))))


@pytest.mark.parametrize("kind", ["clip_llama_3", "clip_vicuna"])
@pytest.mark.parametrize("name", CHATS)
def test_ids_and_mask_are_those_of_its_dataset(
    kind: str, name: str, models: dict[str, Model], examples: dict[str, Example]
) -> None:
    words = TOLD["models"][kind]["words"]
    told = TOLD["words"][words]["chats"][TEMPLATES[words].removeprefix("mantis_")][name]
    assert said_by(models[kind], TEMPLATES[words], examples[name]) == told


@pytest.mark.parametrize("kind", ["clip_llama_3", "clip_vicuna"])
@pytest.mark.parametrize("name", CHATS)
def test_a_clean_template_has_the_same_ids(
    kind: str, name: str, models: dict[str, Model], examples: dict[str, Example]
) -> None:
    template = TEMPLATES[TOLD["models"][kind]["words"]]
    clean, published = (said_by(models[kind], each, examples[name]) for each in (f"{template}_clean", template))
    assert clean["ids"] == published["ids"]


@pytest.mark.parametrize("name", [name for name in CHATS if name != "words"])
def test_captions_of_stage_1_have_its_ids_and_mask(
    name: str, models: dict[str, Model], examples: dict[str, Example]
) -> None:
    told = TOLD["words"]["llama_3"]["chats"]["plain"][name]
    assert said_by(models["clip_llama_3"], "mantis_plain", examples[name]) == told


# Pictures and networks.


@pytest.mark.parametrize("kind", TOLD["models"])
@pytest.mark.parametrize("name", CHATS)
def test_pixels_features_logits_loss_and_gradient_are_those_of_its_training(
    kind: str, name: str, models: dict[str, Model], examples: dict[str, Example]
) -> None:
    model = models[kind]
    told = TOLD["models"][kind]["chats"][model.template.name.removeprefix("mantis_")][name]
    batch = collate([[encoded(model, examples[name])]], pad_id=0)
    if batch.images:
        pictures, shown = pixels_of(model, batch.images), [slot.image for slot in batch.slots]
        tokens = model.project(model.encode(pictures))
        pixels = torch.stack([pictures[at].values.flatten() for at in shown])
        assert close(toys.projection(pixels), told["pixels"], 1e-5)
        assert close(toys.projection(torch.stack([tokens[at] for at in shown])), told["features"], 2e-5)
    assert close(toys.projection(logits_of(model, batch)[0, :: toys.EVERY]), told["logits"])
    loss, gradient = learnt(model, batch, WATCHED)
    assert loss == pytest.approx(told["loss"], abs=2e-5)
    assert close(gradient, told["gradient"], 1e-6)


@pytest.mark.parametrize("kind", ["clip_llama_3", "siglip_llama_3"])
def test_a_caption_of_stage_1_has_its_loss(kind: str, models: dict[str, Model], examples: dict[str, Example]) -> None:
    model, told = models[kind], TOLD["models"][kind]["chats"]["plain"]["caption"]
    row = tokens_of(examples["caption"], replace(model.rendering, template=find_template("mantis_plain")))
    loss, gradient = learnt(model, collate([[row]], pad_id=0), WATCHED)
    assert loss == pytest.approx(told["loss"], abs=2e-5)
    assert close(gradient, told["gradient"], 1e-6)


@pytest.mark.parametrize("kind", ["clip_llama_3", "siglip_llama_3"])
def test_a_picture_below_16_pixels_is_enlarged_by_its_dataset_and_not_here(
    kind: str, models: dict[str, Model], examples: dict[str, Example]
) -> None:
    image = encoded(models[kind], examples["small"]).slots[0].image
    told = TOLD["models"][kind]["chats"]["llama_3"]["small"]["pixels"]
    assert close(toys.projection(enlarged(models[kind], image).values.flatten()[None]), told, 1e-5)


@pytest.mark.parametrize("kind", TOLD["models"])
def test_two_conversations_of_a_batch_have_the_logits_that_its_padded_ones_have(
    kind: str, models: dict[str, Model], examples: dict[str, Example]
) -> None:
    model, told = models[kind], TOLD["models"][kind]["together"]
    rows = [encoded(model, examples[name]) for name in CHATS[:2]]
    assert [len(shortened(row)["ids"]) for row in rows] == told["mask"]
    with torch.no_grad():
        ours = toys.projection(logits_of(model, collate([[row] for row in rows], pad_id=0)))
    width = max(len(row.ids) for row in rows)
    for row, mine, theirs in zip(rows, ours, told["logits"], strict=True):
        columns = range(0, width, toys.EVERY)  # there padded on the left
        real = [(at - width + len(row.ids), value) for at, value in zip(columns, theirs, strict=True)]
        assert all(close(mine[at], value) for at, value in real if at >= 0)


# Replies.


@pytest.mark.parametrize("kind", TOLD["models"])
def test_a_talk_over_several_turns_has_its_prompts_and_its_replies(
    kind: str, home: Path, models: dict[str, Model], examples: dict[str, Example]
) -> None:
    assert examples
    check_talk(models[kind], TOLD["models"][kind]["talk"], home, ids_of=lambda prompt: shortened(prompt)["ids"])
