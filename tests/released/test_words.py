"""Ids and masks of hard words beside the released code, with the released models' own tokenizers.

``words.json`` holds what that code made (``make_words.py`` says how).
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from transformers import PreTrainedTokenizerBase

from tests.released.get_tokenizers import LLAMA
from tests.released.hard_words import SAID, scored
from tests.released.making import made_of
from tests.released.real_tokenizers import folder_of, hard_example, opened
from triptych.core.records import Example, ImageRef, Text, Turn, text_of
from triptych.data.format import load_examples
from triptych.data.plan.scoring import Scoring
from triptych.data.template import Encoded, find_template, render
from triptych.models.disk.tokenizer import open_tokenizer

MADE = made_of("words")
IMAGE = -200
"""The id of an image in LLaVA's code."""
CASES = {
    "v1_legacy": ("llava", "vicuna_v1"),
    "v1_fast": ("llava", "vicuna_v1"),
    "mistral": ("llava_mistral", "mistral_instruct"),
    "mistral_fast": ("llava_mistral", "mistral_instruct"),
    "plain": ("llava", "plain"),
    "plain_fast": ("llava", "plain"),
    "plain_qwen": ("llava_qwen", "plain"),
    "qwen": ("llava_qwen", "llava_qwen_1_5"),
    "mantis_llama3": ("mantis_llama3", "mantis_llama_3"),
    "mantis_llama3_plain": ("mantis_llama3", "mantis_plain"),
    "mantis_vicuna": ("mantis_llama2", "mantis_mllava_v1"),
    "mantis_mistral": ("mantis_mistral", "mantis_mllava_v1"),
    "mantis_idefics2": ("idefics2", "mantis_idefics_2"),
    "mantis_idefics3": ("idefics3", "mantis_idefics_3"),
    "otter": ("otter", "otter_simple"),
}
"""Tokenizer and template. A SentencePiece model read as "legacy" and its tokenizer.json give the same."""
ALONE = {"v1": (False, "vicuna_v1"), "v1_legacy": (True, "vicuna_v1"), "plain": (False, "plain")}
"""Llama's SentencePiece model without a tokenizer.json: whether it is read as "legacy", and the template."""


def encoded(tokenizer: PreTrainedTokenizerBase, template: str, case: str, said: Example, *, ask: bool) -> Encoded:
    number = tokenizer.convert_tokens_to_ids("<image>")
    assert isinstance(number, int)
    alone = [each for each in MADE[case].get("alone", [number]) if each != tokenizer.bos_token_id]
    around = find_template(template)
    if around.image_before:
        alone = [each for each in alone if each == number]
    return render(said, around, tokenizer=tokenizer, image_token_id=number, image_ids=lambda _: alone, open_reply=ask)


def ids_of(row: Encoded, case: str) -> list[int]:
    """Return ids as the released code has them."""
    ids = list(row.ids)
    for slot in row.slots if not case.startswith(("mantis", "otter")) else ():
        ids[slot.start : slot.stop] = [IMAGE]
    return ids


def check(tokenizer: PreTrainedTokenizerBase, template: str, case: str, name: str) -> None:
    """Assert that ids, what is trained, and the last reply's prompt are the released ones."""
    told: dict[str, Any] = MADE[case]["chats"][name]
    whole = hard_example(name, 2 if case.startswith("plain") else None)
    if case == "otter":  # a row is a picture, a question and an answer, both without white space around them
        asked, answer = (Text(text_of(turn).strip()) for turn in whole.turns[:2])
        whole = Example(name, (Turn("user", (ImageRef("/pictures/0.png"), asked)), Turn("assistant", (answer,))))
    row = encoded(tokenizer, template, case, whole, ask=False)
    assert ids_of(row, case) == told["ids"]
    trained = [at for at, learnt in enumerate(row.trained) if learnt]
    assert trained == [at for start, stop in told["trained"] for at in range(start, stop)]
    if "asked" in told:
        prompt = encoded(tokenizer, template, case, Example(name, whole.turns[:-1]), ask=True)
        assert ids_of(prompt, case) == told["asked"]


@pytest.mark.parametrize(("case", "name"), [(case, name) for case in CASES for name in MADE[case]["chats"]])
def test_ids_masks_and_prompts_are_those_of_the_released_code(case: str, name: str) -> None:
    tokenizer, template = CASES[case]
    check(opened(tokenizer), template, case, name)


@pytest.mark.parametrize("name", MADE["videoscore"]["prompts"])
def test_what_a_score_head_reads_is_what_the_released_code_gave_it(name: str, tmp_path: Path) -> None:
    told = [row for row in scored(made_of("videoscore")["train_regression"]) if row["id"] == name]
    (tmp_path / "rows.json").write_text(json.dumps(told))
    Image.new("RGB", (45, 30)).save(tmp_path / "one.png")
    (example,) = load_examples(f"mantis_classification:{tmp_path / 'rows.json'}", on_bad="raise").examples
    tokenizer = opened("idefics2")
    number = tokenizer.convert_tokens_to_ids("<image>")
    assert isinstance(number, int)
    found = render(
        example,
        Scoring(targets=("quality",), asked="plain").template(find_template("mantis_idefics_2")),
        tokenizer=tokenizer,
        image_token_id=number,
        image_ids=lambda _: [number],
    )
    assert list(found.ids) == MADE["videoscore"]["prompts"][name]


@pytest.mark.parametrize("case", ALONE)
def test_a_sentencepiece_model_alone_gives_the_released_ids(case: str, tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    legacy, template = ALONE[case]
    shutil.copy(folder_of("llama2") / "tokenizer.model", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(LLAMA | {"legacy": legacy}))
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    tokenizer = open_tokenizer(tmp_path)
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    for name in MADE[case]["chats"]:
        # Not "legacy", a text that begins with a space gets no other one here.
        if legacy or template == "plain" or not re.search("<image>( |$)|^ ", "\n".join(SAID[name]), re.MULTILINE):
            check(tokenizer, template, case, name)
