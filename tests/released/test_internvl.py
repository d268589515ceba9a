"""Ids of hard conversations by InternVL's processor, with Qwen2.5's tokenizer and the marks it was given, are ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import GotOcr2ImageProcessorPil

from tests.models.chat_templates import INTERNVL
from tests.released.hard_words import SAID
from tests.released.real_tokenizers import hard_example, opened
from tests.released.test_processors import shown
from triptych.core.records import Text
from triptych.data.template import find_template, render
from triptych.models.disk.check import own_processor
from triptych.models.families.internvl import MARK, NAMED

ADDED = ("<img>", "</img>", MARK, "<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>", "<video>")
"""As transformers' conversion adds them, and the last as the published folders have it."""
NUMBER = 151667
"""``image_token_id`` of InternVL3's config.json."""


@pytest.fixture
def processor(tmp_path: Path) -> Any:
    tokenizer = opened("qwen2_5", *ADDED)
    tokenizer.save_pretrained(tmp_path)
    GotOcr2ImageProcessorPil(size={"height": 28, "width": 28}, max_patches=2).save_pretrained(tmp_path)
    said = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(said | {"extra_special_tokens": NAMED}))
    (tmp_path / "processor_config.json").write_text('{"image_seq_length": 2}')
    (tmp_path / "config.json").write_text('{"model_type": "internvl"}')
    return own_processor(tmp_path)


@pytest.mark.parametrize("name", SAID)
def test_ids_are_those_of_the_processor(name: str, processor: Any) -> None:
    tokenizer = opened("qwen2_5", *ADDED)
    assert tokenizer.convert_tokens_to_ids(MARK) == processor.image_token_id == NUMBER
    for turns in range(1, len(SAID[name]) + 1):
        asked, ask = hard_example(name, turns), turns % 2 == 1
        ours = render(
            asked,
            find_template("internvl"),
            tokenizer=tokenizer,
            image_token_id=NUMBER,
            image_ids=lambda _: [NUMBER] * 6,
            open_reply=ask,
        )
        messages = [
            {
                "role": turn.role,
                "content": [
                    {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"}
                    for part in turn.parts
                ],
            }
            for turn in asked.turns
        ]
        text = processor.apply_chat_template(
            messages, chat_template=INTERNVL, add_generation_prompt=ask, tokenize=False
        )
        made = processor(text=text, images=[shown()] * text.count(MARK) or None)
        assert list(ours.ids) == made["input_ids"][0], turns
