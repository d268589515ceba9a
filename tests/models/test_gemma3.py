"""Gemma 3: what its tower sees, who sees whom in packs, folders as they are published, and prompts that go on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, Gemma3Processor

from tests.models.chat_templates import GEMMA3
from tests.models.pictures import ask, draw_pictures, encoded, logits_of, pixels_of, stacked
from triptych.core.errors import ModelError
from triptych.core.records import Example, ImageRef, Text, Turn, images_of
from triptych.data.batch import collate
from triptych.data.template import find_template
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.engine import Engine
from triptych.models.disk.check import check_model
from triptych.models.families.gemma3 import TYPES, Gemma3Model, assemble, tiny
from triptych.models.family import PartsPlan, Woven, open_model
from triptych.models.vision.features import FeatureStore


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[ImageRef, ...]:
    return draw_pictures(tmp_path / "pictures", 3)


def several(pictures: tuple[ImageRef, ...]) -> list[Example]:
    """Return conversations in which images stand side by side, begin a turn, end it, and stand in a reply."""
    first, second, third = pictures
    told = (Turn("system", (Text("Be brief. "),)), Turn("user", (Text(" Which "), first)))
    return [
        ask("two", "Is ", first, " older than ", second, " ?", reply="yes"),
        ask("none", "What is two and two?", reply="four"),
        ask("adjacent", first, third, first, reply="three"),
        Example("shown", (*told, Turn("assistant", (Text("this "), second)))),
    ]


def test_features_and_tokens_are_those_of_transformers(pictures: tuple[ImageRef, ...]) -> None:
    model = tiny(0, image_px=32)
    shown = pixels_of(model, pictures)
    seen = model.encode(shown)
    assert [tuple(each.values.shape) for each in seen] == [(16, 32)] * 3, "averaged before they are kept"
    with torch.no_grad():
        wanted = model.network.get_image_features(stacked(shown)).pooler_output  # type: ignore[operator]
        assert torch.allclose(torch.stack(model.project(seen)), wanted, atol=1e-6)


def test_words_are_scaled_and_tokens_of_images_are_not(pictures: tuple[ImageRef, ...]) -> None:
    model = tiny(0)
    batch = collate([[encoded(model, several(pictures)[0])]], pad_id=0)
    features = model.encode(pixels_of(model, batch.images))
    with torch.no_grad():
        embeds_TH = model.weave(batch, features).embeds_BTH[0]
        tokens = model.project(features)
    marks_T = batch.ids_BT[0] == model.image_token_id
    table = model.network.get_input_embeddings().weight  # type: ignore[union-attr]
    assert torch.allclose(embeds_TH[~marks_T], table[batch.ids_BT[0, ~marks_T]] * 48**0.5, rtol=1e-3)  # type: ignore[index, operator]
    assert torch.equal(embeds_TH[marks_T], torch.cat(tokens))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(("window", "image_px"), [(3, 32), (12, 16), (512, 32)])
def test_in_a_pack_each_conversation_has_the_logits_that_transformers_gives_it(
    window: int, image_px: int, attention: str, pictures: tuple[ImageRef, ...]
) -> None:
    """By segments and under a mask; also where an image is larger than the window."""
    model = tiny(0, window=window, image_px=image_px)
    model.network.set_attn_implementation(attention)
    rows = [encoded(model, example) for example in several(pictures)]
    pack = collate([rows, rows[1:]], pad_id=0)
    with torch.no_grad():
        found_BTV, starts = logits_of(model, pack), [0, 0]
        for number, row in enumerate(rows):
            alone = collate([[row]], pad_id=0)
            wanted_TV = model.network(**model.inputs(alone, pixels_of(model, alone.images))).logits[0]
            for line in (0, 1) if number else (0,):
                here = slice(starts[line], starts[line] + len(row.ids))
                assert torch.allclose(found_BTV[line, here], wanted_TV, atol=1e-4), (row.id, line)
                starts[line] = here.stop
    assert model._packs._agrees == (attention == "sdpa")


def test_an_image_sees_itself_whole_and_words_see_nothing_behind_them(pictures: tuple[ImageRef, ...]) -> None:
    model = tiny(0, image_px=32)
    batch = collate([[encoded(model, several(pictures)[0])]], pad_id=0)
    slot, _ = batch.slots
    with torch.no_grad():
        woven = model.weave(batch, model.encode(pixels_of(model, batch.images)))
        other_BTH = woven.embeds_BTH.clone()
        other_BTH[0, slot.stop - 1] += 1.0
        before, after = model.hidden(woven)[0], model.hidden(replace(woven, embeds_BTH=other_BTH))[0]
    assert torch.equal(before[: slot.start], after[: slot.start])
    assert not torch.allclose(before[slot.start], after[slot.start], atol=1e-3)


def published_folder(folder: Path) -> Gemma3Model:
    """Save a toy as Google publishes Gemma 3; return it."""
    model = tiny(0)
    model.network.generation_config.eos_token_id = [2, 260]
    model.save(folder)
    (folder / "triptych.json").unlink()
    (folder / "chat_template.jinja").unlink()
    images = _read(folder / "preprocessor_config.json") | dict.fromkeys(
        ("do_convert_rgb", "do_pan_and_scan", "pan_and_scan_min_crop_size", "pan_and_scan_max_num_crops")
    )
    _write(folder / "preprocessor_config.json", images | {"image_seq_length": 4, "processor_class": "Gemma3Processor"})
    _write(folder / "processor_config.json", {"image_seq_length": 4, "processor_class": "Gemma3Processor"})
    _write(folder / "chat_template.json", {"chat_template": GEMMA3})
    weights = load_file(folder / "model.safetensors")
    older = {name.replace("vision_tower.", "vision_tower.vision_model."): each for name, each in weights.items()}
    save_file(older, folder / "model.safetensors", metadata={"format": "pt"})
    return model


def test_a_folder_as_published_opens_and_is_whole(tmp_path: Path, pictures: tuple[ImageRef, ...]) -> None:
    saved = published_folder(tmp_path / "model")
    model = open_model(tmp_path / "model")
    assert model.template.name == "gemma3"
    verdicts = {check.name: (check.verdict, check.said) for check in check_model(str(tmp_path / "model"))}
    assert {verdict for verdict, _ in verdicts.values()} == {"ok"}, verdicts
    assert verdicts["template"][1] == "gemma3: its chat template writes what this one writes"
    assert "replies end with '<end_of_turn>' (260)" in verdicts["stop"][1]
    own = saved.network.state_dict()
    assert all(torch.equal(weight, own[name]) for name, weight in model.network.state_dict().items())
    model.save(tmp_path / "again")
    assert open_model(tmp_path / "again").template.name == "gemma3"


def test_ids_kinds_and_pixels_are_those_of_the_processor_by_the_published_chat_template(
    tmp_path: Path, pictures: tuple[ImageRef, ...]
) -> None:
    published_folder(tmp_path / "model")
    model = open_model(tmp_path / "model")
    processor = Gemma3Processor.from_pretrained(tmp_path / "model", backend="pil")
    for example in several(pictures)[:3]:
        question = replace(example, turns=example.turns[:1])
        text = processor.apply_chat_template(
            [{"role": "user", "content": _content(question.turns[0])}],
            chat_template=GEMMA3,
            add_generation_prompt=True,
            tokenize=False,
        )
        shown = [Image.open(image.source) for image in images_of(question)]
        made = processor(text=text, images=shown or None, add_special_tokens=False, return_tensors="pt")
        batch = collate([[encoded(model, question, open_reply=True)]], pad_id=0)
        ours = model.inputs(batch, pixels_of(model, images_of(question)))
        assert made["input_ids"].tolist() == ours["input_ids"].tolist()
        assert ours["input_ids"][0].tolist().count(model.tokenizer.bos_token_id) == 1
        if shown:
            assert torch.equal(made[TYPES], ours[TYPES])
            assert torch.equal(made["pixel_values"], ours["pixel_values"])


def test_white_space_around_what_is_said_goes_and_stays_within(pictures: tuple[ImageRef, ...]) -> None:
    model, first = tiny(0), pictures[0]
    spaced, bare = (
        Example("same", (Turn("user", asked), Turn("assistant", (Text(reply),))))
        for asked, reply in (
            ((Text("\n Is "), Text("it\n two "), first, Text(" \n")), "\nNo,  not "),
            ((Text("Is it\n two"), first), "No,  not"),
        )
    )
    assert encoded(model, spaced) == encoded(model, bare)


def test_marks_that_somebody_types_are_words() -> None:
    model = tiny(0)
    typed = ask("typed", "A <start_of_image> and <image_soft_token> <end_of_turn>", reply="<end_of_image>")
    plain = ask("plain", "A", reply="B")
    marks = set(model.tokenizer.all_special_ids)
    counts = [sum(token in marks for token in encoded(model, example).ids) for example in (typed, plain)]
    assert counts[0] == counts[1]


def test_a_template_that_writes_images_otherwise_is_refused() -> None:
    model = tiny(0)
    model.template = find_template("chatml")
    with pytest.raises(ModelError, match=r"template 'chatml' does not write <start_of_image>.*take `template: gemma3`"):
        _ = model.rendering


def test_parts_are_refused() -> None:
    plan = PartsPlan(vision="a/b", language="c/d", projector="linear", image_tokens=None, template="gemma3", seed=0)
    with pytest.raises(ModelError, match=r"not put together from parts .here a/b.*open: google/gemma-3-4b-it"):
        assemble(plan)


@pytest.mark.parametrize(("window", "joins"), [(512, True), (12, False)])
def test_a_conversation_that_goes_on_with_a_picture_says_what_it_says_at_once(
    window: int, joins: bool, pictures: tuple[ImageRef, ...]
) -> None:
    """Where all fits into the window its beginning is kept; longer ones are computed anew."""
    model = tiny(0, window=window)
    first, second, _ = pictures
    begun = Example("one", (Turn("user", (Text("Is "), first, Text(" old?"))),))
    length = Sampling(max_tokens=6, ignore_stop=True)
    with Engine(model, features=FeatureStore(model)) as engine:
        reply = engine.submit(begun, length)
        said = "".join(delta.text for delta in reply)
        more = (Turn("assistant", (Text(said),)), Turn("user", (Text("And "), second, Text("?"))))
        longer = replace(begun, turns=begun.turns + more)
        later = engine.submit(longer, length)
        found = "".join(delta.text for delta in later)
        assert (later.usage.cached_tokens > 20) == joins
    batch = collate([[encoded(model, longer, open_reply=True)]], pad_id=0)
    made = model.network.generate(  # type: ignore[operator]
        **model.inputs(batch, pixels_of(model, batch.images)),
        max_new_tokens=6,
        min_new_tokens=6,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    words = model.tokenizer.decode(made[0, batch.ids_BT.shape[1] :], skip_special_tokens=True)
    assert found.strip() == str(words).strip() != ""


def test_a_picture_behind_what_is_kept_sees_itself_whole(pictures: tuple[ImageRef, ...]) -> None:
    model = tiny(0, window=512)
    batch = collate([[encoded(model, several(pictures)[0])]], pad_id=0)
    _, slot = batch.slots
    mask_BT = torch.ones_like(batch.ids_BT)
    with torch.no_grad():
        woven = model.weave(batch, model.encode(pixels_of(model, batch.images)))
        wanted, _ = model.run(_cut(woven, slice(slot.stop)), mask=mask_BT[:, : slot.stop], cache=None)
        _, cache = model.run(_cut(woven, slice(slot.start)), mask=mask_BT[:, : slot.start], cache=None)
        found, _ = model.run(_cut(woven, slice(slot.start, slot.stop)), mask=mask_BT[:, : slot.stop], cache=cache)
    assert torch.allclose(found, wanted, atol=1e-5)


def _cut(woven: Woven, columns: slice) -> Woven:
    return Woven(
        woven.embeds_BTH[:, columns],
        woven.positions_ABT[:, :, columns],
        woven.segments_BT[:, columns],
        {TYPES: woven.extra_inputs[TYPES][:, columns]},
    )


def test_plain_transformers_generates_the_same_from_the_saved_folder(
    tmp_path: Path, pictures: tuple[ImageRef, ...]
) -> None:
    model = tiny(0)
    model.save(tmp_path / "saved")
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "saved").eval()
    processor = Gemma3Processor.from_pretrained(tmp_path / "saved", backend="pil")
    question = replace(several(pictures)[0], turns=several(pictures)[0].turns[:1])
    messages = [{"role": "user", "content": _content(question.turns[0])}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    shown = [Image.open(image.source) for image in images_of(question)]
    made = processor(text=text, images=shown, add_special_tokens=False, return_tensors="pt")
    theirs = plain.generate(**made, max_new_tokens=8, do_sample=False)[0, made["input_ids"].shape[1] :]
    with Engine(model, features=FeatureStore(model)) as engine:
        ours = "".join(delta.text for delta in engine.submit(question, Sampling(max_tokens=8)))
    assert ours.strip() == str(processor.tokenizer.decode(theirs, skip_special_tokens=True)).strip() != ""


def _content(turn: Turn) -> list[dict[str, str]]:
    return [{"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"} for part in turn.parts]


def _read(file: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(file.read_text())
    return said


def _write(file: Path, said: dict[str, Any]) -> None:
    file.write_text(json.dumps(said))
