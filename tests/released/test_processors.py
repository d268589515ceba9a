"""Ids of hard conversations by transformers' own processors, with the tokenizers of the released models, beside ours.

Each image costs what the processor writes for one alone. Roles come from the published chat templates, or from ours
where the published ones move images or leave ends out (LLaVA's). Left out: words right behind an image on Idefics2, as
transformers 5 writes a blank there, which the processor that the models were tuned with (4.40) does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import pytest
from PIL import Image
from transformers import (
    CLIPImageProcessorPil,
    Gemma3ImageProcessorPil,
    Gemma3Processor,
    Idefics2ImageProcessorPil,
    Idefics2Processor,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    LlavaOnevisionImageProcessorPil,
    LlavaOnevisionProcessor,
    LlavaProcessor,
    PreTrainedTokenizerBase,
    Qwen2VLImageProcessorPil,
    Qwen2VLProcessor,
    Qwen3VLProcessor,
)

from tests.models.chat_templates import GEMMA3, IDEFICS2, IDEFICS3, QWEN2_VL, QWEN3_VL, SMOLVLM
from tests.released.drawn import picture
from tests.released.hard_words import SAID
from tests.released.real_tokenizers import hard_example, opened
from triptych.core.records import Example, Text
from triptych.data.template import find_template, render

SIDE = {"height": 28, "width": 28}


class Kind(NamedTuple):
    """A released model's processor."""

    tokenizer: str
    make: Callable[[PreTrainedTokenizerBase], Any]
    template: str
    """The one of ours."""
    jinja: str = ""
    """As published; empty: ours."""
    begins_itself: bool = False
    """Whether the tokenizer puts its beginning before a text."""


def _clip() -> Any:
    return CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size=SIDE)


def _llava(tokenizer: PreTrainedTokenizerBase) -> Any:
    return LlavaProcessor(
        _clip(), tokenizer, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )


def _llava_next(tokenizer: PreTrainedTokenizerBase) -> Any:
    images = LlavaNextImageProcessorPil(
        size={"shortest_edge": 28}, crop_size=SIDE, image_grid_pinpoints=[[28, 56], [56, 28]]
    )
    return LlavaNextProcessor(
        images, tokenizer, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )


def _made(processor: type[Any], images: object, tokenizer: PreTrainedTokenizerBase, **settings: object) -> Any:
    """Return a processor whose maker asks for a video processor, and that for torchvision."""
    made: Any = object.__new__(processor)
    vars(made).update(image_processor=images, tokenizer=tokenizer, chat_template=None, **settings)
    for kind in ("image", "video"):
        mark = getattr(made, f"{kind}_token")
        setattr(made, f"{kind}_token_id", tokenizer.convert_tokens_to_ids(mark))
    return made


def _onevision(tokenizer: PreTrainedTokenizerBase) -> Any:
    images = LlavaOnevisionImageProcessorPil(size=SIDE, image_grid_pinpoints=[[28, 56], [56, 28]])
    settings = {"num_image_tokens": 4, "vision_feature_select_strategy": "full", "vision_aspect_ratio": "anyres_max_9"}
    return _made(LlavaOnevisionProcessor, images, tokenizer, image_token="<image>", video_token="<video>", **settings)


def _qwen_vl(processor: type[Any], tokenizer: PreTrainedTokenizerBase) -> Any:
    marks = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    return _made(processor, Qwen2VLImageProcessorPil(), tokenizer, **marks)


def _idefics2(tokenizer: PreTrainedTokenizerBase) -> Any:
    images = Idefics2ImageProcessorPil(size={"longest_edge": 40, "shortest_edge": 28}, do_image_splitting=False)
    return Idefics2Processor(images, tokenizer, image_seq_len=3)


def _idefics3(tokenizer: PreTrainedTokenizerBase) -> Any:
    images = Idefics3ImageProcessorPil(size={"longest_edge": 56}, max_image_size={"longest_edge": 28})
    return Idefics3Processor(images, tokenizer, image_seq_len=2)


def _gemma3(tokenizer: PreTrainedTokenizerBase) -> Any:
    return Gemma3Processor(Gemma3ImageProcessorPil(size=SIDE), tokenizer, image_seq_length=3)


KINDS = {
    "idefics2": Kind("idefics2", _idefics2, "idefics2", IDEFICS2, begins_itself=True),
    "idefics3": Kind("idefics3", _idefics3, "idefics3", IDEFICS3),
    "smolvlm": Kind("smolvlm", _idefics3, "idefics3", SMOLVLM),
    "gemma3": Kind("gemma3", _gemma3, "gemma3", GEMMA3),
    "qwen2_vl": Kind("qwen2_5", partial(_qwen_vl, Qwen2VLProcessor), "mantis_qwen2_vl_clean", QWEN2_VL),
    "qwen3_vl": Kind("qwen3", partial(_qwen_vl, Qwen3VLProcessor), "qwen3_vl", QWEN3_VL),
    "llava": Kind("llava", _llava, "vicuna_v1"),
    "llava_plain": Kind("llava", _llava, "plain"),
    "llava_mistral": Kind("llava_mistral", _llava_next, "mistral_instruct"),
    "llava_vicuna_next": Kind("llava", _llava_next, "vicuna_v1"),
    "llava_qwen": Kind("llava_qwen", _onevision, "llava_qwen_1_5_clean"),
    "llava_qwen_published": Kind("llava_qwen", _onevision, "llava_qwen_1_5"),
    "mantis_llama3": Kind("mantis_llama3", _llava, "mantis_llama_3"),
    "mantis_vicuna": Kind("mantis_llama2", _llava, "mantis_mllava_v1"),
}


@cache
def shown() -> Image.Image:
    return picture(1, 45, 30)


def theirs(kind: Kind, processor: Any, asked: Example, *, ask: bool) -> list[int]:
    """Return what the processor makes of a conversation."""
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
    jinja = kind.jinja or find_template(kind.template).jinja.replace("'<image>'", f"'{processor.image_token}'")
    text = processor.apply_chat_template(messages, chat_template=jinja, add_generation_prompt=ask, tokenize=False)
    return ids_of(processor, text, begins=kind.begins_itself)


def ids_of(processor: Any, text: str, *, begins: bool = False) -> list[int]:
    """Return a processor's ids of a text in which each mark is the picture."""
    pictures = [shown()] * text.count(processor.image_token)
    nested = isinstance(processor, Idefics2Processor | Idefics3Processor)
    images = ([pictures] if nested else pictures) if pictures else None
    made = processor(text=text, images=images, add_special_tokens=begins)
    ids = made["input_ids"]
    return list(ids[0] if isinstance(ids[0], list) else ids)


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_those_of_the_processor(kind: str, name: str) -> None:
    said = KINDS[kind]
    tokenizer = opened(said.tokenizer)
    processor, template = said.make(tokenizer), find_template(said.template)
    # Of Gemma's processor, the image token is the mark that it makes the others of.
    number = tokenizer.convert_tokens_to_ids(getattr(tokenizer, "image_token", processor.image_token))
    assert isinstance(number, int)
    alone = [each for each in ids_of(processor, processor.image_token) if each == number or not template.image_before]
    for turns in range(1, len(SAID[name]) + 1):
        asked, ask = hard_example(name, turns), turns % 2 == 1
        if kind == "idefics2" and any(re.search(r"<image>[^\s<]", words) for words in SAID[name][:turns]):
            continue
        ours = render(
            asked,
            template,
            tokenizer=tokenizer,
            image_token_id=number,
            image_ids=lambda _: alone,
            open_reply=ask,
        )
        assert list(ours.ids) == theirs(said, processor, asked, ask=ask), turns
