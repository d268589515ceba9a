"""Mantis' Fuyu: a folder as its own code saves it gives the ids, masks, patches, logits, losses and replies of that."""

from __future__ import annotations

import json
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
from triptych.data.template import find_template
from triptych.models.family import Model

TOLD = made_of("mantis_fuyu")
WATCHED = "layers.0.mlp.dense_h_to_4h.weight"
CHATS = [name for name in TOLD["chats"] if name not in ("words", "reply", "small")]
"""Without those that differ as ``mantis_fuyu`` says, and with no picture below 16 pixels."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mantis_fuyu")


@pytest.fixture(scope="module")
def examples(home: Path) -> dict[str, Example]:
    return read(home)


def folder_of(folder: Path, **more: float) -> Model:
    """Return the folder opened; ``more`` is said of its language model."""
    # What transformers takes for the id of a patch where nothing is said, 71011, is right for the released tokenizer.
    config = json.loads(TOLD["files"]["config.json"]) | {"image_token_id": 4}
    config["text_config"] |= more
    return opened(folder, TOLD["files"] | {"config.json": json.dumps(config)}, TOLD["weights"], template="mantis_fuyu")


@pytest.fixture(scope="module")
def model(home: Path) -> Model:
    return folder_of(home / "fuyu", rope_theta=25000.0)


# transformers 4 did not write Persimmon's theta, 25000, and transformers 5 takes 10000.
def test_a_folder_that_does_not_say_its_theta_has_the_one_of_its_time(home: Path, examples: dict[str, Example]) -> None:
    silent = folder_of(home / "silent")
    batch = collate([[encoded(silent, examples["one"])]], pad_id=0)
    assert close(toys.projection(logits_of(silent, batch)[0, :: toys.EVERY]), TOLD["chats"]["one"]["logits"])


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("template", ["mantis_fuyu", "mantis_fuyu_clean"])
def test_ids_and_mask_are_those_of_its_dataset(
    template: str, name: str, model: Model, examples: dict[str, Example]
) -> None:
    told = TOLD["chats"][name]
    row = tokens_of(examples[name], replace(model.rendering, template=find_template(template)))
    assert list(row.ids) == told["ids"]
    if template == "mantis_fuyu":
        assert toys.spans(row.trained) == told["trained"]


def test_images_in_a_reply_and_no_images_differ_as_the_template_says(
    model: Model, examples: dict[str, Example]
) -> None:
    words, reply = (encoded(model, examples[name]) for name in ("words", "reply"))
    told = TOLD["chats"]["words"]
    assert list(words.ids) == [model.tokenizer.convert_tokens_to_ids("<s>"), *told["ids"]]
    assert toys.spans(words.trained) == [[start + 1, stop + 1] for start, stop in told["trained"]]
    told = TOLD["chats"]["reply"]
    assert list(reply.ids) == told["ids"]
    patches = {at for slot in reply.slots for at in range(slot.start, slot.stop)}
    assert toys.spans([learns or at in patches for at, learns in enumerate(reply.trained)]) == told["trained"]
    logits = toys.projection(logits_of(model, collate([[reply]], pad_id=0))[0, :: toys.EVERY])
    assert close(logits, told["logits"])


@pytest.mark.parametrize("name", CHATS)
def test_patches_tokens_logits_loss_and_gradient_are_those_of_its_training(
    name: str, model: Model, examples: dict[str, Example]
) -> None:
    told = TOLD["chats"][name]
    batch = collate([[encoded(model, examples[name])]], pad_id=0)
    pictures = pixels_of(model, batch.images)
    tokens = model.project(model.encode(pictures))
    shown = [slot.image for slot in batch.slots]
    assert close(toys.projection(torch.cat([pictures[at].values for at in shown])), told["patches"], 1e-5)
    assert close(toys.projection(torch.cat([tokens[at] for at in shown])), told["tokens"], 2e-5)
    assert close(toys.projection(logits_of(model, batch)[0, :: toys.EVERY]), told["logits"])
    loss, gradient = learnt(model, batch, WATCHED)
    assert loss == pytest.approx(told["loss"], abs=2e-5)
    assert close(gradient, told["gradient"], 1e-6)


def test_a_picture_below_16_pixels_is_enlarged_by_its_dataset_and_not_here(
    model: Model, examples: dict[str, Example]
) -> None:
    image = encoded(model, examples["small"]).slots[0].image
    told = TOLD["chats"]["small"]["patches"]
    assert close(toys.projection(enlarged(model, image).values), told, 1e-5)
    assert len(pixels_of(model, [image])[0].values) < len(told)


@pytest.mark.parametrize("told", TOLD["together"], ids=lambda told: "-".join(told["rows"]))
def test_a_padded_batch_has_its_logits_and_its_loss(
    told: dict[str, Any], model: Model, examples: dict[str, Example]
) -> None:
    rows = [encoded(model, examples[name]) for name in told["rows"]]
    batch = collate([[row] for row in rows], pad_id=0)
    logits = toys.projection(logits_of(model, batch)[:, :: toys.EVERY])
    for row, ours, theirs in zip(rows, logits, told["logits"], strict=True):
        real = len(range(0, len(row.ids), toys.EVERY))
        assert close(ours[:real], theirs[:real])
    loss, gradient = learnt(model, batch, WATCHED)
    assert loss == pytest.approx(told["loss"], abs=2e-5)
    assert close(gradient, told["gradient"], 1e-6)


def test_a_talk_over_several_turns_has_its_prompts_and_its_replies(
    home: Path, model: Model, examples: dict[str, Example]
) -> None:
    assert examples
    check_talk(model, TOLD["talk"], home, ids_of=lambda prompt: list(prompt.ids))
