"""Rendering: the ids and masks that the published codes themselves made, where somebody has them."""

from __future__ import annotations

import json
import os
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tests.pictures import real_data
from tests.toys import Said, parts_of, toy_images
from triptych.core.files import cache_folder
from triptych.core.records import Example, ImageRef, Text, Turn
from triptych.data.batch import IGNORE
from triptych.data.format import read_source
from triptych.data.template import Encoded, find_template, render, render_many
from triptych.data.text.turns import one_image_first

MANTIS = [("llama_3", "toy_llama3"), ("mllava_v1", "toy_llama2"), ("plain", "toy_llama3")]
PUBLISHED_IMAGE = -200
"""What LLaVA's code puts out for an image."""

every_mantis = pytest.mark.parametrize(("name", "tokenizer"), MANTIS)


@cache
def chats() -> tuple[Example, ...]:
    rows = read_source(f"mantis:{real_data('mantis_examples') / 'chat' / 'train.json'}#limit=50")
    return tuple(row for row in rows if isinstance(row, Example))


def rendered(name: str, tokenizer: str) -> list[Encoded]:
    opened = AutoTokenizer.from_pretrained(real_data("golden") / "mantis" / f"{tokenizer}_tokenizer")
    rows = render_many(
        chats(),
        find_template(name),
        tokenizer=opened,
        image_token_id=(mark := opened.get_added_vocab()["<image>"]),
        image_ids=lambda image: [mark],
    )
    return [row for row in rows if isinstance(row, Encoded)]


def spans(encoded: Encoded) -> list[list[int]]:
    runs = groupby(range(len(encoded.ids)), key=lambda place: encoded.trained[place])
    places = [list(run) for learnt, run in runs if learnt]
    return [[run[0], run[-1] + 1] for run in places]


@every_mantis
def test_mantis_ids_and_trained_spans_are_those_of_its_own_code(name: str, tokenizer: str) -> None:
    lines = (real_data("golden") / "mantis" / f"chat_{name}.jsonl").read_text().splitlines()
    ours = rendered(f"mantis_{name}", tokenizer)
    assert len(ours) == len(lines) == 50
    for encoded, expected in zip(ours, map(json.loads, lines), strict=True):
        assert (encoded.id, len(encoded.slots)) == (expected["id"], expected["n_images"])
        assert list(encoded.ids) == expected["input_ids"]
        assert spans(encoded) == expected["trained"]


@every_mantis
def test_a_clean_variant_has_the_published_ids_and_trains_less(name: str, tokenizer: str) -> None:
    published, clean = rendered(f"mantis_{name}", tokenizer), rendered(f"mantis_{name}_clean", tokenizer)
    assert [encoded.ids for encoded in clean] == [encoded.ids for encoded in published]
    for ours, theirs in zip(clean, published, strict=True):
        assert 0 < sum(ours.trained) < sum(theirs.trained)
        assert not any(learnt and not also for learnt, also in zip(ours.trained, theirs.trained, strict=True))


# LLaVA-NeXT-Interleave, with SmolLM2's tokenizer.


@cache
def interleave(group: str) -> Any:
    return json.loads((real_data("golden") / "llava_interleave.json").read_text())[group]


@cache
def smollm2() -> PreTrainedTokenizerBase:
    named = os.environ.get("TRIPTYCH_TEST_TOKENIZER")
    folders = [Path(named)] if named else sorted((cache_folder() / "starter").glob("smollm2-135m-instruct-*"))
    if not folders or not folders[-1].is_dir():
        pytest.skip("SmolLM2's tokenizer is not here: run `triptych starter weights smollm2-135m-instruct`")
    return AutoTokenizer.from_pretrained(folders[-1])


def said(words: str, images: list[ImageRef]) -> list[Said]:
    first, *others = words.split("<image>")
    return [first, *(part for text in others for part in (images.pop(0), text))]


def asked() -> Example:
    golden, images = interleave("qwen_masking"), list(toy_images(4))
    roles = {"human": "user", "gpt": "assistant"}
    turns = (Turn(roles[who], parts_of(said(words, images))) for who, words in golden["conversation"])  # type: ignore[arg-type]
    return Example("qwen", tuple(turns))


def as_published(example: Example, template: str, *, open_reply: bool = False) -> Encoded:
    return render(
        example,
        find_template(template),
        tokenizer=smollm2(),
        image_token_id=PUBLISHED_IMAGE,
        image_ids=lambda image: [PUBLISHED_IMAGE],
        open_reply=open_reply,
    )


def test_llava_interleave_trains_on_its_own_ids_and_labels() -> None:
    golden, encoded = interleave("qwen_masking"), as_published(asked(), "llava_qwen_1_5")
    labels = [token if learnt else IGNORE for token, learnt in zip(encoded.ids, encoded.trained, strict=True)]
    assert list(encoded.ids) == golden["train_ids"]
    assert labels == golden["train_labels_reference"]


def test_llava_interleave_asks_with_a_line_end_after_each_image() -> None:
    question = Example("qwen", asked().turns[:1])
    encoded = as_published(question, "llava_qwen_1_5_eval", open_reply=True)
    assert list(encoded.ids) == interleave("qwen_masking")["eval_ids_first_turn"]


def test_llava_interleaves_demo_loses_the_token_after_each_image() -> None:
    # Its code takes <|im_start|> for a beginning that every piece of text repeats, and drops each piece's first token.
    encoded = as_published(Example("qwen", asked().turns[:1]), "llava_qwen_1_5_clean", open_reply=True)
    after_images = {slot.stop for slot in encoded.slots}
    kept = [token for place, token in enumerate(encoded.ids) if place not in after_images]
    assert kept == interleave("qwen_masking")["demo_ids_first_turn_bos_equals_im_start"]


def test_llava_moves_a_turns_only_image_in_front() -> None:
    pairs = interleave("preprocess_multimodal")
    for words, expected in pairs:
        parts = one_image_first(tuple(part for part in parts_of(said(words, list(toy_images(4)))) if part != Text("")))
        assert "".join(part.text if isinstance(part, Text) else "<image>" for part in parts) == expected
    assert len(pairs) == 5
