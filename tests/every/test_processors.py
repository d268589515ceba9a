"""What transformers' own processor of a saved folder makes of a conversation is what every family makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, FuyuProcessor

from tests.every.test_families import SAMPLES
from tests.models.pictures import ask, draw_pictures, encoded, pixels_of
from triptych.core.records import Example, Text, images_of
from triptych.data.batch import collate


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Example]:
    first, second, third = draw_pictures(tmp_path_factory.mktemp("pictures"), 3)
    # No word right behind an image: some processors of transformers write a space there.
    asked = {
        "apart": ask("apart", "Is ", first, " older than ", second, " ?", reply=""),
        "words": ask("words", "What is two and two?", reply=""),
        "side by side": ask("side by side", "Compare ", first, second, third, first, " with care", reply=""),
    }
    return {name: replace(example, turns=example.turns[:1]) for name, example in asked.items()}


@pytest.mark.parametrize("sample", sorted(SAMPLES))
def test_the_saved_processor_makes_the_ids_and_pixels_that_we_make(
    sample: str, questions: dict[str, Example], tmp_path: Path
) -> None:
    model = SAMPLES[sample](0)
    model.save(tmp_path / "saved")
    try:
        processor = AutoProcessor.from_pretrained(tmp_path / "saved")
    except (ImportError, ValueError) as error:
        if "torchvision" not in str(error).lower():
            raise
        pytest.skip("its processor of transformers needs torchvision; compared part by part in tests/models")
    if isinstance(processor, FuyuProcessor):  # puts one picture before the words, and keeps no chat template
        pytest.skip("transformers' processor of this family takes no conversation; compared in tests/models")
    for name, question in questions.items():
        if name == "side by side" and model.cost.joins:  # frames share one mark
            continue
        (turn,) = question.turns
        content = [
            {"type": "text", "text": it.text} if isinstance(it, Text) else {"type": "image"} for it in turn.parts
        ]
        prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        pictures = [Image.open(image.source) for image in images_of(question)]
        made = processor(text=prompt, images=pictures or None, return_tensors="pt")
        batch = collate([[encoded(model, question, open_reply=True)]], pad_id=0)
        inputs = model.inputs(batch, pixels_of(model, images_of(question)))
        assert made["input_ids"].tolist() == inputs["input_ids"].tolist(), name
        assert all(torch.equal(made[key], value) for key, value in inputs.items() if key in made)
        if pictures:
            assert any("pix" in key or "patch" in key for key in made.keys() & inputs.keys())
