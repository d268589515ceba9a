"""OtterHD beside its released code (``otterhd.json``, by ``make_otterhd.py``): rows, labels, patches, logits, loss."""

from __future__ import annotations

import json

import pytest
import torch

from tests.models.pictures import encoded, logits_of, pixels_of
from tests.released.drawn import picture, save_weights
from tests.released.flamingo_folders import CLOSE, batch_of, kept, labels_of
from tests.released.flamingo_toys import fuyu_tokenizer, projected
from tests.released.making import made_of
from triptych.core.records import Example, ImageRef, Text, Turn
from triptych.data.media.images import load_image, measure
from triptych.data.template import Encoded
from triptych.models.family import Model, open_model
from triptych.train.loss import supervised_loss

SAID = made_of("otterhd")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("otterhd")
    tokenizer = fuyu_tokenizer()
    width, height = SAID["resolution"]
    # What transformers takes for the id of a patch where nothing is said, 71011, is right for the released tokenizer.
    config = SAID["config"] | {"image_token_id": tokenizer.convert_tokens_to_ids("|SPEAKER|")}
    preparation = {
        "image_processor_type": "FuyuImageProcessor",
        "size": {"width": width, "height": height},
        "patch_size": {"width": 30, "height": 30},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(preparation))
    (folder / "triptych.json").write_text('{"template": "otterhd"}')
    save_weights(folder, SAID["shapes"].items())
    tokenizer.save_pretrained(folder)
    return open_model(folder)


@pytest.fixture(scope="module")
def rows(model: Model, tmp_path_factory: pytest.TempPathFactory) -> list[Encoded]:
    """Return the batch's rows; pictures are brought to the resolution that training chose, as it does."""
    folder = tmp_path_factory.mktemp("pictures")
    made = []
    for name in SAID["groups"]["one"][1]:
        asked, answer, (shown,), _ = SAID["rows"][name]
        path = folder / f"{shown}.png"
        picture(*SAID["pictures"][shown]).resize(SAID["resolution"]).save(path)
        turns = (Turn("user", (measure(ImageRef(str(path))), Text(asked))), Turn("assistant", (Text(answer),)))
        made.append(encoded(model, Example(id=name, turns=turns)))
    return made


def test_ids_and_labels(rows: list[Encoded]) -> None:
    said = zip(SAID["input_ids"], SAID["labels"], SAID["attention_mask"], strict=True)
    for row, (ids, labels, mask) in zip(rows, said, strict=True):
        assert list(row.ids) == ids[: sum(mask)]
        assert labels_of(row) == labels[: sum(mask)]


@torch.no_grad()
def test_patches_logits_and_loss(model: Model, rows: list[Encoded]) -> None:
    apart, packed = (batch_of(rows, packed=packed) for packed in (False, True))
    for seen, patches in zip(pixels_of(model, apart.images), SAID["patches"], strict=True):
        assert torch.allclose(seen.values.flatten()[::500], torch.tensor(patches), **CLOSE)
    for logits_TV, wanted in zip(logits_of(model, apart), SAID["logits"], strict=True):
        logits = kept(wanted)
        assert torch.allclose(projected(logits_TV)[: len(logits)], logits, **CLOSE)
    for batch in (apart, packed):
        features = model.encode([model.pixels(load_image(image)) for image in batch.images])
        hidden_BTH = model.hidden(model.weave(batch, features))
        loss = supervised_loss(model, hidden_BTH, labels_BT=batch.labels_BT, step_tokens=batch.trained_tokens)
        assert loss.item() == pytest.approx(SAID["loss"], abs=2e-5)
