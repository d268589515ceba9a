"""Folders as SmolVLM and SmolVLM2 are laid out: they open without torchvision, and their ids are their processor's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import Idefics2Processor, Idefics3Processor

from tests.models.chat_templates import IDEFICS2, SMOLVLM, SMOLVLM2
from tests.models.pictures import draw_pictures, encoded
from triptych.core.records import Example, Part, Text, Turn, images_of
from triptych.models.disk.check import check_model
from triptych.models.families import idefics2, idefics3
from triptych.models.family import open_model


def published_folder(folder: Path, *, second: bool) -> Path:
    """Save a toy as HuggingFaceTB publishes SmolVLM, or ``second``: SmolVLM2, which has a video processor too."""
    model = idefics3.tiny(0, template="idefics3")
    model.tokenizer.bos_token = "<|im_start|>"
    model.save(folder)
    (folder / "triptych.json").unlink()
    (folder / "chat_template.jinja").unlink()
    kind = "SmolVLM" if second else "Idefics3"
    said = _read(folder / "processor_config.json")
    images = said.pop("image_processor", None) or _read(folder / "preprocessor_config.json")
    images |= {"image_processor_type": f"{kind}ImageProcessor", "processor_class": f"{kind}Processor"}
    _write(folder / "preprocessor_config.json", images)
    _write(folder / "processor_config.json", {"image_seq_len": 4, "processor_class": f"{kind}Processor"})
    _write(folder / "chat_template.json", {"chat_template": SMOLVLM2 if second else SMOLVLM})
    tokenizer = _read(folder / "tokenizer_config.json") | {"processor_class": f"{kind}Processor"}
    _write(folder / "tokenizer_config.json", tokenizer)
    if second:
        config = _read(folder / "config.json")
        config |= {"model_type": "smolvlm", "architectures": ["SmolVLMForConditionalGeneration"]}
        config["vision_config"]["model_type"] = "smolvlm_vision"
        _write(folder / "config.json", config)
    return folder


@pytest.mark.parametrize("second", [False, True], ids=["smolvlm", "smolvlm2"])
def test_a_folder_as_published_opens_and_is_whole(second: bool, tmp_path: Path) -> None:
    folder = published_folder(tmp_path / "model", second=second)
    model = open_model(folder)
    assert model.template.name == "idefics3"
    assert model.processor.image_seq_len == 4  # type: ignore[attr-defined]
    verdicts = {check.name: (check.verdict, check.said) for check in check_model(str(folder))}
    assert {name: said for name, said in verdicts.items() if said[0] == "wrong"} == {}
    assert verdicts["template"][1] == "idefics3: its chat template writes what this one writes"
    model.save(tmp_path / "again")
    assert open_model(tmp_path / "again").template.name == "idefics3"


@pytest.mark.parametrize("second", [False, True], ids=["smolvlm", "smolvlm2"])
def test_ids_and_pixels_are_those_of_the_published_processor(second: bool, tmp_path: Path) -> None:
    folder = published_folder(tmp_path / "model", second=second)
    model, processor = open_model(folder), Idefics3Processor.from_pretrained(folder, backend="pil")
    for example in asked(tmp_path):
        _same(model, processor, example, SMOLVLM)


def test_ids_of_an_idefics2_are_those_of_the_published_processor(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    idefics2.tiny(0, template="idefics2").save(folder)
    (folder / "triptych.json").unlink()
    (folder / "chat_template.jinja").write_text("{{ bos_token }}" + IDEFICS2)
    model = open_model(folder)
    assert model.template.name == "idefics2"
    for example in asked(tmp_path):
        _same(model, model.processor, example, "{{ bos_token }}" + IDEFICS2)  # type: ignore[attr-defined]


def asked(folder: Path) -> list[Example]:
    """Return questions in which no word follows an image at once: Idefics2's processor would write a blank there."""
    first, second, third = draw_pictures(folder, 3)
    said: list[tuple[Part, ...]] = [
        (first, Text(" Is this older than "), second, Text(" or not?")),
        (Text("Is "), first, Text(" older than "), second),
        (second, third, Text("\nWhich is red?")),
        (Text("What is two and two?"),),
    ]
    return [Example(str(number), (Turn("user", parts),)) for number, parts in enumerate(said)]


def _same(model: Any, processor: Idefics2Processor | Idefics3Processor, example: Example, jinja: str) -> None:
    content = [
        {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"}
        for part in example.turns[0].parts
    ]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], chat_template=jinja, add_generation_prompt=True, tokenize=False
    )
    shown = [Image.open(image.source).convert("RGB") for image in images_of(example)]
    made = processor(text=text, images=[shown] if shown else None, add_special_tokens=False, return_tensors="pt")
    ours = encoded(model, example, open_reply=True)
    assert list(ours.ids) == made["input_ids"][0].tolist()
    if shown and model.family == "idefics3":
        tiles = torch.cat([model.pixels(each).values for each in shown])
        assert torch.equal(tiles, made["pixel_values"][0])


def _read(file: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    return said


def _write(file: Path, said: dict[str, Any]) -> None:
    file.write_text(json.dumps(said))
