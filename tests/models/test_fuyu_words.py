"""A tokenizer of pieces is taught what Fuyu's marks are: words keep their published ids, and never become marks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from tests.models.fuyus import picture, published_tokenizer, taught
from tests.models.pictures import ask
from triptych.core.records import ImageRef, Text, Turn
from triptych.data.plan.rendering import Rendering, prompt_of, tokens_of
from triptych.data.template import find_template, parse_reply
from triptych.data.text.parse import parse
from triptych.models.families.fuyu import MARKS, teach, tiny


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[ImageRef, ...]:
    return picture(tmp_path, 40, 30), picture(tmp_path, 25, 11), picture(tmp_path, 90, 35)


marked = st.sampled_from([*MARKS, "</s>", "<unk>", "|", "<", " ", "\n", "  older", "SPEAKER|", "é猫", "<0x05>", "▁"])
said = st.lists(st.one_of(marked, st.text(max_size=5, alphabet=st.characters(codec="utf-8")))).map("".join)
PUBLISHED, TAUGHT = published_tokenizer("|IMAGE|", "|ENDOFIMAGE|"), taught("mantis_fuyu")


def words(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    ids: list[int] = tokenizer([text], add_special_tokens=False, split_special_tokens=True)["input_ids"][0]
    return ids


@given(text=said)
@settings(max_examples=200, deadline=None)
def test_what_people_say_never_becomes_a_mark(text: str) -> None:
    assert not set(words(text, TAUGHT)) & {PUBLISHED.convert_tokens_to_ids(mark) for mark in MARKS if mark != "<0x04>"}


@given(text=st.text(max_size=30, alphabet=st.characters(codec="utf-8", exclude_characters="|<▁")))
@settings(max_examples=200, deadline=None)
def test_words_have_the_ids_that_the_published_tokenizer_gives_them(text: str) -> None:
    if text:
        assert words(" " + text, TAUGHT) == words(text, PUBLISHED)


def test_the_published_tokenizer_reads_a_literal_mark_as_a_patch() -> None:
    patch = PUBLISHED.convert_tokens_to_ids("|SPEAKER|")
    assert PUBLISHED("|SPEAKER|", add_special_tokens=False)["input_ids"][1:] == [patch]
    assert patch in words("|SPEAKER|", PUBLISHED)
    assert words("|SPEAKER|", TAUGHT) == [PUBLISHED.convert_tokens_to_ids(piece) for piece in ("|", "SPEAKER", "|")]


def test_teaching_twice_is_teaching_once() -> None:
    tokenizer = taught("mantis_fuyu")
    once = tokenizer.backend_tokenizer.to_str()
    teach(tokenizer, find_template("mantis_fuyu"))
    assert tokenizer.backend_tokenizer.to_str() == once


@pytest.mark.parametrize("template", ["mantis_fuyu_clean", "mantis_fuyu_from_1", "otterhd", "fuyu"])
def test_conversations_are_read_back_as_they_were_written(template: str, pictures: tuple[ImageRef, ...]) -> None:
    tokenizer, chosen = taught(template), find_template(template)
    first, second, _ = pictures
    asked = ask("two", first, " Is |SPEAKER| older  than\n", second, "?", reply=" Yes, <s> it is. ")
    example = replace(asked, turns=(*asked.turns, Turn("user", (Text("USER"),)), Turn("assistant", (Text("a b"),))))
    rendering = Rendering(chosen, tokenizer, tokenizer.convert_tokens_to_ids("|SPEAKER|"), tiny(0).cost)
    row = tokens_of(example, rendering)
    assert parse(row, chosen, tokenizer=tokenizer) == example.turns
    prompt = prompt_of(replace(example, turns=example.turns[:3]), rendering)
    assert row.ids[: len(prompt.ids)] == prompt.ids
    assert parse_reply(row.ids[len(prompt.ids) :], chosen, tokenizer=tokenizer) == "a b"
