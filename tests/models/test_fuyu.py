"""Fuyu: ids, patches and their order are the published ones, and folders open."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from transformers import (
    AutoModelForImageTextToText,
    FuyuImageProcessorPil,
    FuyuProcessor,
    PreTrainedTokenizerBase,
)

from tests.models.fuyus import picture, published_model, published_tokenizer, taught
from tests.models.pictures import ask, encoded, logits_of, pixels_of
from triptych.core.errors import ModelError
from triptych.core.records import Example, ImageRef, Text, Turn
from triptych.data.batch import collate
from triptych.data.plan.rendering import Rendering, prompt_of, tokens_of
from triptych.data.template import find_template
from triptych.models.families.fuyu import FuyuModel, tiny
from triptych.models.family import open_model, outline_model


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[ImageRef, ...]:
    return picture(tmp_path, 40, 30), picture(tmp_path, 25, 11), picture(tmp_path, 90, 35)


# Pictures.


@pytest.mark.parametrize("size", [(1, 1), (9, 11), (10, 10), (25, 40), (40, 40), (41, 30), (97, 31), (30, 200)])
def test_patches_are_those_of_the_published_processor(size: tuple[int, int], tmp_path: Path) -> None:
    model = tiny(0)
    shown = Image.open(picture(tmp_path, *size).source)
    whole = model.processor(shown)
    high, wide = whole["image_unpadded_heights"][0][0], whole["image_unpadded_widths"][0][0]
    published = model.processor.preprocess_with_tokenizer_info(
        image_input=torch.tensor(whole["images"][0][0])[None, None],
        image_present=torch.ones(1, 1, 1),
        image_unpadded_h=torch.tensor([[high]]),
        image_unpadded_w=torch.tensor([[wide]]),
        image_placeholder_id=7,
        image_newline_id=8,
        variable_sized=True,
    )
    assert torch.equal(model.pixels(shown).values, published["image_patches"][0][0].float())
    ids = {model.image_token_id: 7, model.tokenizer.convert_tokens_to_ids("|NEWLINE|"): 8}
    ours = [ids[each] for each in model.rendering.image_ids(size, model.cost)]
    assert ours == published["image_input_ids"][0][0].tolist()


def test_patches_go_row_by_row_and_so_do_the_pixels_in_them() -> None:
    model = tiny(0)
    column, row = torch.arange(20), torch.arange(30)
    pixels_HWC = torch.stack([row[:, None].expand(30, 20), column.expand(30, 20), torch.zeros(30, 20)], dim=-1)
    patches_PD = model.pixels(Image.fromarray(pixels_HWC.byte().numpy())).values
    values = (patches_PD.reshape(6, 10, 10, 3) / 2 + 0.5) * 255
    for patch in range(6):
        top, left = 10 * (patch // 2), 10 * (patch % 2)
        expected = pixels_HWC[top : top + 10, left : left + 10]
        assert torch.allclose(values[patch], expected.float(), atol=1e-3)


def test_a_picture_of_mantis_is_twelve_rows_of_twenty_patches() -> None:
    tokenizer = taught("mantis_fuyu")
    patch, line_end = tokenizer.convert_tokens_to_ids(["|SPEAKER|", "|NEWLINE|"])
    model = tiny(0)
    model.processor = FuyuImageProcessorPil(size={"height": 720, "width": 1290})
    rendering = Rendering(find_template("mantis_fuyu"), tokenizer, patch, model.cost)
    assert rendering.image_ids((599, 336), model.cost) == ([patch] * 20 + [line_end]) * 12
    seen = model.pixels(Image.new("RGB", (599, 336)))
    assert seen.values.shape == (240, 2700)


def test_pictures_of_any_size_stand_in_one_batch(pictures: tuple[ImageRef, ...]) -> None:
    model = tiny(0)
    first, second, third = pictures
    again = (Turn("user", (Text("and "), third, Text("?"))), Turn("assistant", (Text("no"),)))
    rows = [
        ask("several", first, "Here stand ", second, third, reply="three"),
        ask("none", "What is two and two?", reply="four"),
        ask("one", second, "?", reply="yes"),
    ]
    rows[0] = replace(rows[0], turns=rows[0].turns + again)
    assert len({model.cost.tokens(image.size or (1, 1)) for image in pictures}) == 3
    with torch.no_grad():
        both = logits_of(model, collate([[encoded(model, row)] for row in rows], pad_id=0))
        for row, together in zip(rows, both, strict=True):
            batch = collate([[encoded(model, row)]], pad_id=0)
            alone = model.network(**model.inputs(batch, pixels_of(model, batch.images))).logits[0]
            assert torch.allclose(together[: len(alone)], alone, atol=1e-4)


def test_a_linear_map_is_put_in_place_of_the_projector(pictures: tuple[ImageRef, ...]) -> None:
    model = tiny(0)
    features = model.encode(pixels_of(model, pictures))
    weight_CH, bias_H = torch.randn(300, 48), torch.randn(48)
    model.set_linear_projection(weight_CH, bias_H)
    for tokens_KH, seen in zip(model.project(features), features, strict=True):
        assert torch.allclose(tokens_KH, seen.values @ weight_CH + bias_H, atol=1e-4)
    with pytest.raises(ModelError, match="does not fit this projector"):
        model.set_linear_projection(torch.zeros(48, 300), torch.zeros(300))


# Ids.


def published_mantis(text: str, images: Sequence[ImageRef], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids that MFuyuProcessor makes: every run of words by itself, behind ``<s>``; images between them."""
    model = tiny(0)
    begin, opens, closes, patch, line_end = tokenizer.convert_tokens_to_ids(
        ["<s>", "|IMAGE|", "|ENDOFIMAGE|", "|SPEAKER|", "|NEWLINE|"]
    )
    ids: list[int] = []
    runs = text.split("<image>")
    for number, run in enumerate(runs):
        words = run if number == len(runs) - 1 else f"{run}image {number}: "
        ids += [begin, *tokenizer(words, add_special_tokens=False)["input_ids"]]
        if number < len(images):
            rows, columns = model.cost.shape(images[number].size or (1, 1))
            ids += [opens, *([patch] * columns + [line_end]) * rows, closes]
    return ids


@pytest.mark.parametrize("template", ["mantis_fuyu", "mantis_fuyu_clean"])
def test_ids_and_mask_of_mantis_are_the_published_ones(template: str, pictures: tuple[ImageRef, ...]) -> None:
    first, second, third = pictures
    asked = ask("two", "Is ", first, " older than", second, third, "?", reply="Yes, it is.")
    again = (Turn("user", (Text("And this? "), first)), Turn("assistant", (Text("No."),)))
    example = replace(asked, turns=asked.turns + again)
    tokenizer = taught(template)
    rendering = Rendering(
        find_template(template), tokenizer, tokenizer.convert_tokens_to_ids("|SPEAKER|"), tiny(0).cost
    )
    row = tokens_of(example, rendering)
    text = (
        f"{rendering.template.default_system}\nUSER: Is <image> older than<image><image>?<0x04>ASSISTANT: Yes, it is."
        "|ENDOFTEXT|USER: And this? <image><0x04>ASSISTANT: No.|ENDOFTEXT|"
    )
    published = published_tokenizer("|IMAGE|", "|ENDOFIMAGE|")
    assert list(row.ids) == published_mantis(text, (first, second, third, first), published)
    answer, stop = published.convert_tokens_to_ids(["<0x04>", "|ENDOFTEXT|"])
    spoken = [False] * len(row.ids)
    for start in (at for at, number in enumerate(row.ids) if number == answer):
        skipped = 0 if template == "mantis_fuyu" else len(("ASSISTANT", ":"))
        for at in range(start + 1 + skipped, row.ids.index(stop, start) + 1):
            spoken[at] = True
    assert list(row.trained) == spoken


def test_images_are_counted_from_nought_or_from_one(pictures: tuple[ImageRef, ...]) -> None:
    example = ask("two", pictures[0], pictures[1], "Which?", reply="Yes")
    for template, numbers in (("mantis_fuyu", "01"), ("mantis_fuyu_from_1", "12")):
        model = tiny(0, template=template)
        text = model.tokenizer.decode(encoded(model, example).ids).replace("|SPEAKER|", "").replace("|NEWLINE|", "")
        before, between = (f"image {number}: |IMAGE||ENDOFIMAGE|<s> " for number in numbers)
        assert f"USER: {before}{between}Which?<0x04>ASSISTANT: Yes|ENDOFTEXT|" in text


class Mended(FuyuImageProcessorPil):
    """The published one, which cannot cut the tensors that FuyuProcessor hands it (transformers 5.23)."""

    def patchify_image(self, image: Any, patch_size: Any = None) -> Any:
        """Return patches [1, P, D]."""
        return torch.from_numpy(super().patchify_image(image.numpy(), patch_size))[None]


@pytest.mark.parametrize("size", [(9, 11), (40, 40), (97, 31)])
@pytest.mark.parametrize("words", ["Generate a coco-style caption.\n", "Is it older? Yes", " a"])
def test_the_prompt_of_fuyu_is_what_transformers_processor_writes(
    words: str, size: tuple[int, int], tmp_path: Path
) -> None:
    model, tokenizer = tiny(0), taught("fuyu")
    image = picture(tmp_path, *size)
    processor = Mended(size={"height": 40, "width": 40}, patch_size={"height": 10, "width": 10})
    published = FuyuProcessor(processor, published_tokenizer())
    made = published(text=words, images=[Image.open(image.source)], return_legacy_image_output=False)
    example = Example("one", (Turn("user", (image, Text(words))),))
    rendering = Rendering(find_template("fuyu"), tokenizer, published.image_token_id, model.cost)
    assert list(prompt_of(example, rendering).ids) == made["input_ids"][0].tolist()
    assert torch.equal(model.pixels(Image.open(image.source)).values, made["pixel_values"].float())


def test_ids_and_mask_of_otterhd_are_the_published_ones(pictures: tuple[ImageRef, ...]) -> None:
    tokenizer, published, image = taught("otterhd"), published_tokenizer(), pictures[0]
    patch, line_end, begin, answer, end = published.convert_tokens_to_ids(
        ["|SPEAKER|", "|NEWLINE|", "<s>", "<0x04>", "|ENDOFTEXT|"]
    )
    row = tokens_of(
        ask("one", image, "Is it older?", reply="Yes it is"),
        Rendering(find_template("otterhd"), tokenizer, patch, tiny(0).cost),
    )
    words = published("User:Is it older? Assistant:\x04 Yes it is", add_special_tokens=False)["input_ids"]
    assert list(row.ids) == [*([patch] * 4 + [line_end]) * 3, begin, *words, end]
    assert row.trained == tuple(at > row.ids.index(answer) for at in range(len(row.ids)))


# Folders.


def test_a_published_checkpoint_learns_the_tokens_of_a_template(tmp_path: Path, pictures: tuple[ImageRef, ...]) -> None:
    folder = published_model(tmp_path / "hub", template="mantis_fuyu")
    opened = open_model(folder)
    assert isinstance(opened, FuyuModel)
    rows = len(published_tokenizer())
    table = opened.network.get_input_embeddings().weight
    assert opened.tokenizer.convert_tokens_to_ids(["|IMAGE|", "|ENDOFIMAGE|"]) == [rows, rows + 1]
    assert torch.allclose(table[rows:], table[:rows].mean(dim=0).expand(2, -1))
    assert opened.network.config.text_config.vocab_size == len(table) == rows + 2
    example = ask("one", "Is ", pictures[0], " |SPEAKER| older?", reply="Yes")
    row = encoded(opened, example)
    assert tokens_of(example, outline_model(folder)) == row
    opened.save(tmp_path / "saved")
    again = open_model(tmp_path / "saved")
    assert encoded(again, example) == row
    batch = collate([[row]], pad_id=0)
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "saved").eval()
    with torch.no_grad():
        there = plain(**again.inputs(batch, pixels_of(again, batch.images))).logits
        assert torch.allclose(there, logits_of(opened, batch), atol=1e-4)
    said = [{"type": "text", "text": "Is "}, {"type": "image"}, {"type": "text", "text": " older?"}]
    ids = again.tokenizer.apply_chat_template([{"role": "user", "content": said}], add_generation_prompt=True)[
        "input_ids"
    ]
    prompt = prompt_of(Example("one", (Turn("user", (Text("Is "), pictures[0], Text(" older?"))),)), again.rendering)
    slot = prompt.slots[0]
    assert ids == [*prompt.ids[: slot.start], again.image_token_id, *prompt.ids[slot.stop :]]


def test_a_template_is_known_by_the_chat_template_of_a_folder_and_never_guessed(tmp_path: Path) -> None:
    for name in ("mantis_fuyu_from_1", "otterhd", "fuyu"):
        tiny(0, template=name).save(tmp_path / name)
        (tmp_path / name / "triptych.json").unlink()
        assert open_model(tmp_path / name).template.name == name
    other = published_model(tmp_path / "other", template=None)
    with pytest.raises(ModelError, match="other: it has no chat template"):
        open_model(other)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = published_model(tmp_path / "hub", template="fuyu")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"image_token_id": 3}))
    with pytest.raises(ModelError, match=r"but image_token_id is 3 in config\.json"):
        open_model(folder)


def test_weights_are_saved_by_the_names_of_the_released_checkpoint(tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "saved")
    with safe_open(tmp_path / "saved" / "model.safetensors", framework="pt") as weights:
        names = set(weights.keys())
    assert names >= {
        "vision_embed_tokens.weight",
        "language_model.lm_head.weight",
        "language_model.model.embed_tokens.weight",
        "language_model.model.layers.0.self_attn.query_key_value.weight",
    }
