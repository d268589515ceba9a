"""Positions of Qwen-VL in packs, its processor's ids, and what its tower sees, are the published ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn.functional import scaled_dot_product_attention
from transformers import Qwen2VLProcessor

from tests.models.pictures import ask, draw_pictures, encoded, logits_of, pixels_of
from tests.released.drawn import picture
from triptych.core.records import Example, ImageRef, Text, images_of
from triptych.data.batch import collate
from triptych.data.text.jinja import IMAGE_MARK
from triptych.models.families import qwen_vl
from triptych.models.families.qwen_vl import TOWERS, QwenVLModel, tiny
from triptych.models.vision import pieces


@pytest.fixture(params=sorted(TOWERS))
def model(request: pytest.FixtureRequest) -> QwenVLModel:
    return tiny(0, kind=request.param)


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[ImageRef, ...]:
    return draw_pictures(tmp_path, 3)


def examples(pictures: tuple[ImageRef, ...]) -> list[Example]:
    first, second, third = pictures
    return [
        ask("two", "Is ", first, " older than ", second, " ?", reply="yes"),
        ask("none", "What is two and two?", reply="four"),
        ask("adjacent", first, third, first, reply="three"),
    ]


def test_positions_of_each_conversation_in_a_pack_are_the_published_ones(
    model: QwenVLModel, pictures: tuple[ImageRef, ...]
) -> None:
    rows = [encoded(model, example) for example in examples(pictures)]
    pack = collate([rows, rows[1:]], pad_id=0)
    woven = model.weave(pack, model.encode(pixels_of(model, pack.images)))
    start = 0
    for segment, row in enumerate(rows):
        alone = collate([[row]], pad_id=0)
        inputs = model.inputs(alone, pixels_of(model, alone.images))
        if alone.slots:
            published, _ = model.network.model.get_rope_index(  # type: ignore[operator, union-attr]
                inputs["input_ids"], inputs["mm_token_type_ids"], inputs["image_grid_thw"]
            )
        else:
            published = torch.arange(len(row.ids)).expand(3, 1, -1)
        here = woven.positions_ABT[:, 0, start : start + len(row.ids)]
        assert torch.equal(here, published[:, 0])
        if segment:  # the second row of the batch begins with the second conversation
            there = start - len(rows[0].ids)
            assert torch.equal(woven.positions_ABT[:, 1, there : there + len(row.ids)], published[:, 0])
        start += len(row.ids)


def test_the_published_processor_writes_the_ids_and_patches_that_we_make(
    model: QwenVLModel, pictures: tuple[ImageRef, ...]
) -> None:
    token = "<|image_pad|>"
    # Its maker asks for a video processor, and that for torchvision.
    processor = Qwen2VLProcessor.__new__(Qwen2VLProcessor)
    processor.image_processor, processor.tokenizer = model.processor, model.tokenizer
    processor.image_token = token
    jinja = model.template.jinja.replace(IMAGE_MARK, token)
    for example in examples(pictures):
        question = replace(example, turns=example.turns[:1])
        said = [
            {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"}
            for part in question.turns[0].parts
        ]
        prompt = model.tokenizer.apply_chat_template(
            [{"role": "user", "content": said}], chat_template=jinja, add_generation_prompt=True, tokenize=False
        )
        batch = collate([[encoded(model, question, open_reply=True)]], pad_id=0)
        inputs = model.inputs(batch, pixels_of(model, batch.images))
        shown = [Image.open(image.source) for image in images_of(question)]
        if shown:
            made = model.processor(shown, return_tensors="pt")  # type: ignore[arg-type]
            for number in range(len(shown)):
                prompt = prompt.replace(token, processor.replace_image_token(made, number).replace(token, "<mark>"), 1)
            prompt = prompt.replace("<mark>", token)
            assert torch.equal(made["pixel_values"], inputs["pixel_values"])
            assert torch.equal(made["image_grid_thw"], inputs["image_grid_thw"])
        ids = model.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        assert ids == inputs["input_ids"][0].tolist()


def test_pieces_of_one_length_attend_in_one_call_and_see_what_transformers_lets_them_see(
    model: QwenVLModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [(32, 24), (40, 24), (32, 24), (8, 8)]
    pictures = [model.pixels(picture(number, *size)) for number, size in enumerate(sizes)]
    grids_N3 = torch.tensor([[1, *(side // 4 for side in model.cost.target(size)[::-1])] for size in sizes])
    calls: list[tuple[int, ...]] = []

    def counting(query: torch.Tensor, *given: torch.Tensor, scale: float) -> torch.Tensor:
        calls.append(tuple(query.shape))
        return scaled_dot_product_attention(query, *given, scale=scale)

    monkeypatch.setattr(pieces, "scaled_dot_product_attention", counting)
    seen = model.encode(pictures)
    visual = model.network.get_submodule("model.visual")
    with torch.no_grad():
        published = visual(torch.cat([each.values for each in pictures]), grid_thw=grids_N3).pooler_output
    ours = torch.cat(model.project(seen))
    assert torch.allclose(ours, published, atol=1e-5)
    layers = len(list(visual.get_submodule("blocks").children()))
    lengths = [shape[2] for shape in calls]
    assert len(set(lengths)) > 1
    assert len(calls) <= layers * len(set(lengths))
    assert sum(shape[0] * shape[2] for shape in calls) == layers * int(grids_N3.prod(dim=1).sum())


@pytest.mark.parametrize("layers", [[2, 0], [1, 1], [0, 2]])
def test_levels_come_in_the_order_of_their_layers_however_they_are_listed(
    layers: list[int], pictures: tuple[ImageRef, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    tower = {**TOWERS["qwen3_vl"], "depth": 3, "deepstack_visual_indexes": layers}
    monkeypatch.setattr(qwen_vl, "TOWERS", {**TOWERS, "qwen3_vl": tower})
    model = tiny(0, kind="qwen3_vl")
    batch = collate([[encoded(model, examples(pictures)[0])]], pad_id=0)
    seen = pixels_of(model, batch.images)
    with torch.no_grad():
        published = model.network(**model.inputs(batch, seen)).logits
        assert torch.allclose(logits_of(model, batch), published, atol=1e-4)
