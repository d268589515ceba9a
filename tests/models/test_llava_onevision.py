"""LLaVA-OneVision: one picture, several and the frames of a video, each as transformers has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.models.pictures import ask, draw_pictures, encoded
from tests.models.test_llava_next import SIZES, draw
from triptych.core.errors import ModelError
from triptych.data.batch import collate
from triptych.data.media.images import Size
from triptych.models.check import own_processor
from triptych.models.families.llava_onevision import LlavaOnevisionModel, tiny


@pytest.fixture(scope="module", params=[{}, {"most": 2}, {"patch_px": 5}], ids=["anyres", "brought_down", "odd_side"])
def model(request: pytest.FixtureRequest) -> LlavaOnevisionModel:
    return tiny(3, **request.param)


@pytest.mark.parametrize("size", SIZES)
def test_one_picture_has_the_tokens_of_transformers_in_number_and_order(model: LlavaOnevisionModel, size: Size) -> None:
    picture = model.pixels(draw(size))
    with torch.no_grad():
        (own,) = model.project(model.encode([picture]))
        theirs = model.network.model.get_image_features(  # type: ignore[union-attr]
            picture.values[None, 1:], torch.tensor([[size[1], size[0]]]), batch_num_images=torch.tensor([1])
        ).pooler_output
    assert own.shape == theirs[0].shape == (model.cost.tokens(size), 48)
    assert torch.allclose(own, theirs[0], atol=1e-5)


def test_several_pictures_are_a_view_and_a_new_line_each(model: LlavaOnevisionModel) -> None:
    pictures = [draw(size) for size in SIZES]
    seen = [model.pixels(picture) for picture in pictures]
    cost = model.cost.among(len(SIZES))
    made = model.processor([pictures], return_tensors="pt")  # type: ignore[arg-type]
    with torch.no_grad():
        own = model.project(model.encode(seen), [cost.tokens(size) for size in SIZES])
        theirs = model.network.model.get_image_features(  # type: ignore[union-attr]
            made["pixel_values"], made["image_sizes"], batch_num_images=torch.tensor([len(SIZES)])
        ).pooler_output
    assert {len(tokens) for tokens in own} == {model.cost.tile_patches**2 + 1}
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(own, theirs, strict=True))


def test_frames_of_a_video_are_pooled_and_end_with_one_new_line(model: LlavaOnevisionModel) -> None:
    frames = [draw((48, 30), seed=seed) for seed in range(3)]
    seen = [model.pixels(frame) for frame in frames]
    each = model.frame_tokens
    assert each == ((model.cost.tile_patches + 1) // 2) ** 2
    with torch.no_grad():
        own = model.project(model.encode(seen), [each, each, each + 1])
        # The published preparation of a frame: squeezed to a tile.
        tiles_NCHW = torch.stack([picture.values[1] for picture in seen])
        theirs = model.network.model.get_video_features(tiles_NCHW[None]).pooler_output[0]  # type: ignore[union-attr]
    assert torch.allclose(torch.cat(own), theirs, atol=1e-5)


def test_what_there_is_room_for_is_all_that_needs_to_be_seen(model: LlavaOnevisionModel) -> None:
    picture = draw((64, 48))
    everything = model.encode([model.pixels(picture)])
    alone, among, frame = model.cost.tokens((64, 48)), model.cost.among(2).tokens((64, 48)), model.frame_tokens
    for room, views in ((alone, len(everything[0].values) - 1), (among, 1), (frame, 1), (frame + 1, 1)):
        seen = model.pixels(picture, room)
        assert len(seen.values) == views
        with torch.no_grad():
            (fewer,), (all_of_it,) = (model.project(each, [room]) for each in (model.encode([seen]), everything))
        assert len(fewer) == room
        assert torch.allclose(fewer, all_of_it, atol=1e-5)


def test_a_slot_of_another_size_is_refused(model: LlavaOnevisionModel) -> None:
    features = model.encode([model.pixels(draw((64, 48)))])
    with pytest.raises(
        ModelError, match=r"a picture of 64x48 pixels is .* tokens alone, .* as a frame; its slot has 7\."
    ):
        model.project(features, [7])
    view = model.encode([model.pixels(draw((64, 48)), model.cost.among(2).tokens((64, 48)))])
    with pytest.raises(ModelError, match="its slot has"):
        model.project(view, [model.cost.tokens((64, 48))])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_saved_processor_makes_the_ids_and_pixels_that_we_make(
    model: LlavaOnevisionModel, count: int, tmp_path: Path
) -> None:
    """Without videos: transformers makes the processor for them only where torchvision is."""
    model.save(tmp_path / "saved")
    images = draw_pictures(tmp_path / "pictures", count)
    question = ask("a", "Is ", *images, " old ?", reply="no")
    question = replace(question, turns=question.turns[:1])
    own = encoded(model, question, open_reply=True)
    processor = own_processor(tmp_path / "saved")
    content = [{"type": "text", "text": "Is "}, *[{"type": "image"}] * count, {"type": "text", "text": " old ?"}]
    messages = [{"role": "user", "content": content}]
    prompt = model.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    pictures = [Image.open(image.source) for image in images]
    made = processor(text=prompt, images=[pictures], return_tensors="pt")  # type: ignore[arg-type, list-item]
    inputs = model.inputs(collate([[own]], pad_id=0), [model.pixels(picture) for picture in pictures])
    assert made["input_ids"].tolist() == inputs["input_ids"].tolist()
    assert made["pixel_values"].shape == inputs["pixel_values"].shape
    assert torch.equal(made["pixel_values"], inputs["pixel_values"])
    assert torch.equal(made["image_sizes"], inputs["image_sizes"])
