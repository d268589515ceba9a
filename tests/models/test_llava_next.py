"""LLaVA-NeXT's tiles: as many tokens as its processor writes, in the order in which transformers has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from tests.models.pictures import ask, encoded, logits_of, pixels_of
from triptych.core.errors import ModelError
from triptych.core.records import ImageRef
from triptych.data.batch import collate
from triptych.data.media.images import Size, measure
from triptych.models.families.llava_next import LlavaNextModel, tiny
from triptych.models.family import PartsPlan, assemble, open_model

SIZES = ((32, 32), (33, 20), (20, 33), (7, 60), (100, 9), (64, 48), (1, 1), (31, 97))


@pytest.fixture(scope="module", params=["clip", "siglip"])
def model(request: pytest.FixtureRequest) -> LlavaNextModel:
    return tiny(3, tower=request.param)


def draw(size: Size, *, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng([seed, *size]).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", SIZES)
def test_tokens_are_those_of_transformers_in_number_and_order(model: LlavaNextModel, size: Size) -> None:
    picture = model.pixels(draw(size))
    with torch.no_grad():
        (own,) = model.project(model.encode([picture]))
        (theirs,) = model.network.model.get_image_features(  # type: ignore[union-attr]
            picture.values[None], torch.tensor([[size[1], size[0]]])
        ).pooler_output
    assert own.shape == theirs.shape == (model.cost.tokens(size), 48)
    assert torch.allclose(own, theirs, atol=1e-5)


def test_pictures_of_many_shapes_stand_in_one_conversation(model: LlavaNextModel, tmp_path: Path) -> None:
    images: list[ImageRef] = []
    for size in ((40, 30), (16, 90), (90, 16)):
        draw(size).save(tmp_path / f"{size[0]}.png")
        images.append(measure(ImageRef(str(tmp_path / f"{size[0]}.png"))))
    batch = collate([[encoded(model, ask("a", "Is ", images[0], " or ", *images[1:], " old?", reply="no"))]], pad_id=0)
    with torch.no_grad():
        expected = model.network(**model.inputs(batch, pixels_of(model, batch.images))).logits
        assert torch.allclose(logits_of(model, batch), expected, atol=1e-4)


def test_the_saved_processor_counts_as_we_do(model: LlavaNextModel, tmp_path: Path) -> None:
    model.save(tmp_path / "saved")
    processor = AutoProcessor.from_pretrained(tmp_path / "saved")
    for size in SIZES:
        made = processor(text="<image>", images=[draw(size)], return_tensors="pt")
        assert (made["input_ids"] == model.image_token_id).sum() == model.cost.tokens(size)
        assert torch.equal(made["pixel_values"][0], model.pixels(draw(size)).values)


def test_a_tower_sees_any_number_of_tiles_in_parts(model: LlavaNextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [model.pixels(draw(size)) for size in SIZES]
    whole = model.encode(pictures)
    monkeypatch.setattr("triptych.models.vision.anyres.TILES_AT_ONCE", 3)
    few = model.encode(pictures)
    assert all(torch.allclose(one.values, other.values, atol=1e-5) for one, other in zip(whole, few, strict=True))


def test_the_new_line_is_trained_with_the_projector(model: LlavaNextModel) -> None:
    newline = model.network.get_parameter("model.image_newline")
    assert any(weight is newline for weight in model.parts()["projector"].parameters())


def test_a_folder_without_tiles_settings_of_ours_opens_as_published(model: LlavaNextModel, tmp_path: Path) -> None:
    model.save(tmp_path / "saved")
    (tmp_path / "saved" / "triptych.json").unlink()
    opened = open_model(tmp_path / "saved")
    assert (opened.family, opened.template.name) == ("llava_next", "chatml")
    assert opened.cost == model.cost


def test_parts_make_a_llava_and_no_llava_next() -> None:
    plan = PartsPlan(vision="x", language="y", projector="mlp", image_tokens=None, template="chatml", seed=0)
    with pytest.raises(ModelError, match="use family llava, or open a checkpoint"):
        assemble("llava_next", plan)
