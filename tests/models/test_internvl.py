"""InternVL as it is published for transformers: its folders open, and ids, masks, pixels and logits are its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForImageTextToText
from transformers.models.internvl.processing_internvl import InternVLProcessor

from tests.models.chat_templates import INTERNVL
from tests.models.pictures import ask, encoded, logits_of, pixels_of
from tests.released.drawn import picture
from triptych.core.errors import ModelError
from triptych.core.records import Example, ImageRef, Part, Text, Turn, images_of
from triptych.data.batch import collate, pad_left
from triptych.data.plan.budget import costs_of
from triptych.data.plan.costs import Fixed
from triptych.data.plan.costs_tiled import Tiles
from triptych.data.plan.rendering import tokens_of
from triptych.data.template import find_template, stop_id
from triptych.infer.decoding.decode import decode
from triptych.models.disk.check import check_model, own_processor
from triptych.models.families.internvl import AROUND, MARK, NAMED, InternVLModel, tiny
from triptych.models.family import PartsPlan, assemble, open_model, outline_model
from triptych.models.vision.features import FeatureStore
from triptych.train.recipe import ModelPlan
from triptych.train.start import start_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A toy as OpenGVLab publishes InternVL3.

    No tiles are asked for; table and head are two, and the language model's settings alone say so; its rotary positions
    are dynamic; the token for videos came last, and has no row in either.
    """
    folder = tmp_path / "published"
    tiny(0, most=12).save(folder)
    (folder / "triptych.json").unlink()
    weights = load_file(folder / "model.safetensors")
    for name in ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight"):
        weights[name] = weights[name][:-1].contiguous()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    text = json.loads((folder / "config.json").read_text())["text_config"]
    del text["rope_parameters"]
    scaling = {"factor": 2.0, "rope_type": "dynamic", "type": "dynamic"}
    text |= {"vocab_size": text["vocab_size"] - 1, "rope_theta": 1e6, "rope_scaling": scaling}
    _change(folder / "config.json", leave=("tie_word_embeddings",), text_config=text)
    _change(folder / "processor_config.json", leave=("image_processor",))
    _change(
        folder / "preprocessor_config.json", image_processor_type="GotOcr2ImageProcessorFast", crop_to_patches=False
    )
    _change(folder / "tokenizer_config.json", tokenizer_class="Qwen2Tokenizer", extra_special_tokens=NAMED)
    (folder / "chat_template.jinja").write_text(INTERNVL)
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[ImageRef, ...]:
    """Pictures of one tile, of two and of many."""
    found = []
    for number, size in enumerate([(20, 20), (40, 20), (45, 30), (12, 90)]):
        path = tmp_path / f"{number}.png"
        picture(number, *size).save(path)
        found.append(ImageRef(str(path), size=size))
    return tuple(found)


def asked(pictures: tuple[ImageRef, ...]) -> list[Example]:
    """Return conversations with images first, among words, side by side and last, over several turns."""
    first, second, third, thin = pictures
    said: list[list[tuple[Part, ...]]] = [
        [(first, Text("Which is it?"))],
        [(Text("Is "), second, Text("older than "), third), (Text("Yes."),), (thin, Text("\nAnd "), first, second)],
        [(third, thin, third, Text(" Which is red?"))],
        [(Text("What is two and two?"),)],
    ]
    roles = ("user", "assistant")
    return [
        Example(str(number), tuple(Turn(roles[at % 2], parts) for at, parts in enumerate(turns)))  # type: ignore[arg-type]
        for number, turns in enumerate(said)
    ]


def prompt_by(processor: Any, example: Example) -> str:
    """Return the text that the published chat template makes of a conversation."""
    parts = [
        [{"type": "text", "text": each.text} if isinstance(each, Text) else {"type": "image"} for each in turn.parts]
        for turn in example.turns
    ]
    messages = [{"role": turn.role, "content": said} for turn, said in zip(example.turns, parts, strict=True)]
    text = processor.apply_chat_template(messages, chat_template=INTERNVL, add_generation_prompt=True, tokenize=False)
    return str(text)


def opened(images: tuple[ImageRef, ...]) -> list[Image.Image] | None:
    return [Image.open(image.source) for image in images] or None


def test_a_folder_as_published_opens_and_is_whole(folder: Path, tmp_path: Path) -> None:
    model = open_model(folder)
    assert (model.family, model.template.name) == ("internvl", "internvl")
    assert outline_model(folder).digest == model.rendering.digest
    verdicts = {check.name: (check.verdict, check.said) for check in check_model(str(folder))}
    assert {name for name, (verdict, _) in verdicts.items() if verdict != "ok"} == set()
    assert verdicts["template"][1] == "internvl: its chat template writes what this one writes"
    assert verdicts["counts"][1].startswith("24 to 52 tokens for 6 sizes of pictures")
    model.save(tmp_path / "again")
    (tmp_path / "again" / "triptych.json").unlink()
    again = open_model(tmp_path / "again")
    assert (again.template, again.cost) == (model.template, model.cost)
    told = {check.name: check.verdict for check in check_model(str(tmp_path / "again"))}
    assert set(told.values()) == {"ok"}


def test_a_table_and_a_head_that_differ_stay_two(folder: Path, pictures: tuple[ImageRef, ...], tmp_path: Path) -> None:
    model = open_model(folder)
    assert model.network.config.tie_word_embeddings is False
    batch = collate([[encoded(model, asked(pictures)[1], open_reply=True)]], pad_id=0)
    inputs = model.inputs(batch, pixels_of(model, batch.images))
    model.save(tmp_path / "again")
    for each in (folder, tmp_path / "again"):
        plain = AutoModelForImageTextToText.from_pretrained(each).eval()
        assert not torch.equal(plain.lm_head.weight, plain.get_input_embeddings().weight)
        with torch.no_grad():
            assert torch.equal(plain(**inputs).logits, model.network(**inputs).logits)


def test_ids_masks_and_pixels_are_those_of_the_published_processor(
    folder: Path, pictures: tuple[ImageRef, ...]
) -> None:
    model, processor = open_model(folder), own_processor(folder)
    assert isinstance(processor, InternVLProcessor)
    examples = asked(pictures)
    for example in examples:
        made = processor(text=prompt_by(processor, example), images=opened(images_of(example)), return_tensors="pt")
        batch = collate([[encoded(model, example, open_reply=True)]], pad_id=0)
        inputs = model.inputs(batch, pixels_of(model, batch.images))
        assert set(inputs) == set(made)
        assert all(torch.equal(inputs[key], made[key]) for key in made)
    together = [image for example in examples for image in images_of(example)]
    texts = [prompt_by(processor, example) for example in examples]
    made = processor(text=texts, images=opened(tuple(together)), padding=True, return_tensors="pt")
    rows = collate([[encoded(model, example, open_reply=True)] for example in examples], pad_id=0)
    padded = pad_left(rows)
    real = padded.segments_BT >= 0
    assert torch.equal(real.long(), made["attention_mask"])
    assert torch.equal(padded.ids_BT[real], made["input_ids"][real])


@pytest.mark.parametrize("shown", [0, 1, 2])
def test_logits_and_replies_are_those_of_transformers(folder: Path, pictures: tuple[ImageRef, ...], shown: int) -> None:
    model, processor = open_model(folder), own_processor(folder)
    example, stop = asked(pictures)[shown], stop_id(model.template, model.tokenizer)
    made = processor(text=prompt_by(processor, example), images=opened(images_of(example)), return_tensors="pt")  # type: ignore[arg-type]
    network: Any = AutoModelForImageTextToText.from_pretrained(folder).eval()
    batch = collate([[encoded(model, example, open_reply=True)]], pad_id=stop)
    with torch.no_grad():
        assert torch.allclose(logits_of(model, batch), network(**made).logits, atol=1e-4)
        features = model.encode(pixels_of(model, batch.images))
        steps = list(decode(model, model.weave(batch, features), stops={stop}, max_tokens=8))
    said = network.generate(**made, max_new_tokens=8, do_sample=False, pad_token_id=stop)[0]
    assert said[batch.ids_BT.shape[1] :].tolist() == [step.ids[0] for step in steps]


def test_a_picture_is_cut_into_the_grid_of_its_shape_with_the_whole_behind(pictures: tuple[ImageRef, ...]) -> None:
    model = tiny(0, most=12)
    found = pixels_of(model, pictures)
    assert [len(seen.values) for seen in found] == [1, 1 + 2, 1 + 6, 1 + 8]
    assert model.cost.grid((45, 30)) == (3, 2)
    alone = [model.pixels_in(Image.open(image.source), model.cost.frame) for image in pictures]
    assert all(torch.equal(whole.values, seen.values[-1:]) for whole, seen in zip(alone, found, strict=True))


def test_the_recipe_says_how_many_tiles_there_are(folder: Path) -> None:
    for most, tokens in ((1, 4), (6, 28), (12, 52)):
        model = start_model(ModelPlan(open=str(folder), image_processor={"max_patches": most}), seed=0)
        assert isinstance(model, InternVLModel)
        assert model.cost.tokens((640, 480)) == tokens
        (tokens_KH,) = model.project(model.encode([model.pixels(picture(0, 64, 48))]))
        assert len(tokens_KH) == tokens


def video(pictures: tuple[ImageRef, ...]) -> tuple[ImageRef, ...]:
    return tuple(replace(image, video="a.mp4") for image in pictures)


def test_a_frame_of_a_video_is_one_tile_between_marks_of_its_own(pictures: tuple[ImageRef, ...]) -> None:
    model, frames = tiny(0), video(pictures)
    example = ask("video", "See ", *frames, "What moves?", reply="all")
    row = encoded(model, example)
    text = model.tokenizer.decode(list(row.ids))
    each = "<img>" + MARK * 4 + "</img>\n"
    assert text == f"<|im_start|>user\nSee {each * 4}What moves?<|im_end|>\n<|im_start|>assistant\nall<|im_end|>\n"
    whole = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert list(row.ids) == whole
    short = replace(model.rendering, cost=Fixed(1, frame=1))
    words = len(tokens_of(example, short).ids) - len(frames)
    assert len(row.ids) == words + sum(each.span((9, 9)) for each in costs_of(example, model.cost))
    # With words between them each stands alone, as transformers' processor writes a video.
    processor = InternVLProcessor.__new__(InternVLProcessor)
    processor.image_token, processor.image_seq_length = MARK, 4
    processor.start_image_token, processor.end_image_token = AROUND
    written = processor.replace_video_token({"pixel_values_videos": [torch.zeros(4, 3, 16, 16)]}, 0) + "\n"
    told = [part for number, frame in enumerate(frames) for part in (f"Frame{number + 1}: ", frame)]
    row = encoded(model, ask("told", *told, "What moves?", reply="all"), open_reply=False)
    assert written in model.tokenizer.decode(list(row.ids))


def test_frames_beside_pictures_have_the_logits_of_transformers(pictures: tuple[ImageRef, ...], tmp_path: Path) -> None:
    model, frames = tiny(0), video(pictures[1:])
    example = ask("both", pictures[2], "Is it in ", *frames, "?", reply="no")
    batch = collate([[encoded(model, example), encoded(model, ask("other", pictures[3], "?", reply="a"))]], pad_id=0)
    alone = collate([[encoded(model, example)]], pad_id=0)
    inputs = model.inputs(alone, pixels_of(model, alone.images))
    assert len(inputs["pixel_values"]) == len(model.pixels(Image.open(pictures[2].source)).values) + len(frames)
    model.network.requires_grad_(False)
    expected = model.network(**inputs).logits
    assert torch.allclose(logits_of(model, alone), expected, atol=1e-4)
    for store in (FeatureStore(model), FeatureStore(model, tmp_path / "kept"), FeatureStore(model, tmp_path / "kept")):
        for spans in (None, batch.spans):
            woven = model.weave(batch, store.features(batch.images, spans=spans))
            packed = model.head(model.hidden(woven))[:, : expected.shape[1]]
            assert torch.allclose(packed, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("template", "between"),
    [("internvl", ("</img>", "\n", "<img>")), ("mantis_internvl2_5", ("</img>", "<img>"))],
)
def test_what_stands_between_frames_is_the_templates(template: str, between: tuple[str, ...]) -> None:
    cost = tiny(0, template=template).cost
    assert (cost.between, cost.between_tokens) == (between, len(between))
    assert [cost.framed(last=last).span((9, 9)) for last in (False, True)] == [4 + len(between), 4]
    assert cost.framed(last=False).pattern((9, 9)) == (4, *between)
    assert cost.framed(last=False).tokens((9, 9)) == Tiles(tile_tokens=4).frame


@pytest.mark.parametrize("template", ["internvl", "mantis_internvl2_5"])
def test_a_saved_chat_template_leaves_the_marks_to_the_processor(template: str, tmp_path: Path) -> None:
    tiny(0, template=template).save(tmp_path / "saved")
    jinja = (tmp_path / "saved" / "chat_template.jinja").read_text()
    assert MARK in jinja
    assert not any(mark in jinja for mark in AROUND)
    assert all(mark in find_template(template).jinja for mark in AROUND)
    (tmp_path / "saved" / "triptych.json").unlink()
    assert open_model(tmp_path / "saved").template.name == template


def test_frames_have_nothing_between_them_where_the_template_numbers_images(pictures: tuple[ImageRef, ...]) -> None:
    model = tiny(0)
    model.template = replace(model.template, image_before="Image-{k}: <img>")
    said = ask("numbered", pictures[0], *video(pictures[:2]), reply="a")
    text = model.tokenizer.decode(list(encoded(model, said).ids))
    assert f"Image-1: <img>{MARK * 4}</img>\nImage-2: <img>{MARK * 8}</img>\n<|im_end|>" in text


def test_a_template_without_the_marks_of_the_processor_is_refused(folder: Path) -> None:
    model = start_model(ModelPlan(open=str(folder), template="chatml"), seed=0)
    with pytest.raises(ModelError, match=r"'chatml' does not write <img> and </img> .*: take `template: internvl`"):
        _ = model.rendering
    assert start_model(ModelPlan(open=str(folder), template="mantis_internvl2_5"), seed=0).rendering.cost


def test_tiles_go_through_tower_and_projector_in_parts(
    pictures: tuple[ImageRef, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny(0)
    with torch.no_grad():
        whole = model.project(model.encode(pixels_of(model, pictures)))
        monkeypatch.setattr("triptych.models.vision.anyres.TILES_AT_ONCE", 3)
        few = model.project(model.encode(pixels_of(model, pictures)))
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(whole, few, strict=True))


@pytest.mark.parametrize("layer", [-1, 1])
@pytest.mark.parametrize("normed", [False, True])
def test_features_are_of_the_layer_that_the_configuration_names(layer: int, normed: bool) -> None:
    model = tiny(0)
    config = model.network.config
    config.vision_feature_layer, config.vision_config.use_mean_pooling = layer, not normed
    network = type(model.network)(config).eval()
    model.network = network
    seen = model.pixels(picture(1, 40, 20))
    with torch.no_grad():
        published: Tensor = network.get_image_features(seen.values).pooler_output
        (ours,) = model.project(model.encode([seen]))
    assert torch.allclose(ours, published.flatten(0, 1), atol=1e-5)


def test_a_folder_of_internvls_own_code_is_answered_with_where_the_other_is(tmp_path: Path) -> None:
    config = {"model_type": "internvl_chat", "architectures": ["InternVLChatModel"], "llm_config": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    told = r"needs InternVL's own code.*open the folder that is published beside it.*OpenGVLab/InternVL3-1B-hf"
    for look in (open_model, outline_model):
        with pytest.raises(ModelError, match=told) as refusal:
            look(tmp_path)
        assert "\n" not in str(refusal.value)
    (check,) = check_model(str(tmp_path))
    assert (check.name, check.verdict) == ("family", "wrong")
    assert "OpenGVLab/InternVL3-1B-hf" in check.said


def test_parts_make_no_internvl() -> None:
    plan = PartsPlan(vision="x", language="y", projector="mlp", image_tokens=None, template="chatml", seed=0)
    with pytest.raises(ModelError, match=r"not put together from parts .*OpenGVLab/InternVL3-1B-hf"):
        assemble("internvl", plan)


def _change(file: Path, leave: tuple[str, ...] = (), **said: object) -> None:
    told = json.loads(file.read_text()) | said
    file.write_text(json.dumps({name: value for name, value in told.items() if name not in leave}))
