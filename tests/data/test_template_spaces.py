"""Tokenizers that put a space before words: a conversation's ids are those of its text in one string all the same."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.data.test_template_properties import conversations, for_reply, ordinary, up_to
from tests.released import mantis_toys
from tests.toys import as_messages, encode, through_jinja, toy_images, toy_tokenizer
from triptych.core.records import Example, Text, Turn
from triptych.data.template import find_template, parse_reply
from triptych.data.text.parse import parse
from triptych.data.text.tokenise import Tokeniser

MARKS = ("<image>", "<|im_start|>", "<|im_end|>")
LINES = settings(max_examples=30)


def spaced(scheme: str) -> PreTrainedTokenizerFast:
    """Return a toy of Llama 2's kind; ``prepend``: a space before each run of words, ``first``: before a text alone."""
    backend = mantis_toys.llama_2()
    if scheme == "first":
        backend.normalizer = None
        backend.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    backend.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in MARKS])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<unk>"
    )


SPACED = {scheme: spaced(scheme) for scheme in ("prepend", "first")}
TEMPLATES = ("vicuna_v1", "llava_v1", "llama_2", "mantis_mllava_v1", "mantis_mllava_v1_clean", "chatml")


@pytest.mark.parametrize("name", TEMPLATES)
@given(data=st.data(), ask=st.booleans())
@LINES
def test_ids_equal_those_of_the_hugging_face_chat_template(name: str, data: st.DataObject, ask: bool) -> None:
    tokenizer, template = SPACED["prepend"], find_template(name)
    example = data.draw(conversations(words=ordinary, reply=for_reply, images_in_replies=False))
    example = up_to(example, len(example.turns) - ask)
    ours = encode(example, template, tokenizer, cost=lambda image: 1, open_reply=ask)
    assert list(ours.ids) == through_jinja(example, template, tokenizer, ask=ask)


@pytest.mark.parametrize("name", ["mantis_mllava_v1", "mantis_mllava_v1_clean", "chatml"])
@given(data=st.data())
@LINES
def test_a_space_before_a_text_stands_behind_the_beginning_and_nowhere_else(name: str, data: st.DataObject) -> None:
    tokenizer, template = SPACED["first"], find_template(name)
    example = data.draw(conversations(words=ordinary, reply=for_reply, images_in_replies=False))
    ours = encode(example, template, tokenizer, cost=lambda image: 1)
    begin = [tokenizer.bos_token_id] if template.begin == "{bos}" else []
    written = tokenizer.apply_chat_template(as_messages(example), chat_template=template.jinja, tokenize=False)
    # What the tokenizer adds by itself does not stand in the text.
    whole = tokenizer(written.removeprefix("<s>"), add_special_tokens=False)["input_ids"]
    assert list(ours.ids) == [*begin, *whole]


@pytest.mark.parametrize("scheme", SPACED)
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_reply_is_read_back_from_its_tokens(scheme: str, name: str) -> None:
    tokenizer, template = SPACED[scheme], find_template(name)
    first, second = toy_images(2)
    turns = (
        Turn("user", (Text("Is "), first, Text(" older than "), second, Text("?"))),
        Turn("assistant", (Text("No.  It is\nnot."),)),
        Turn("user", (Text("Why?"),)),
    )
    asked = Example("asked", turns)
    whole = replace(asked, turns=(*turns, Turn("assistant", (Text("image 2 is."),))))
    prompt = encode(asked, template, tokenizer, cost=lambda image: 1, open_reply=True)
    row = encode(whole, template, tokenizer, cost=lambda image: 1)
    assert row.ids[: len(prompt.ids)] == prompt.ids
    assert parse_reply(row.ids[len(prompt.ids) :], template, tokenizer=tokenizer) == "image 2 is."


def test_where_an_image_ends_a_text_the_next_words_begin_one() -> None:
    tokenizer = SPACED["first"]
    (image,) = toy_images(1)
    turns = (Turn("user", (image, Text("What is it?"))), Turn("assistant", (Text("A cat."),)))
    ids = {
        name: encode(Example("one", turns), find_template(name), tokenizer, cost=lambda image: 1).ids
        for name in ("vicuna_v1", "mantis_mllava_v1")
    }
    mark = tokenizer.convert_tokens_to_ids("<image>")
    behind = {name: tokenizer.convert_ids_to_tokens(each[each.index(mark) + 1]) for name, each in ids.items()}
    assert behind["vicuna_v1"].startswith("▁")
    assert not behind["mantis_mllava_v1"].startswith("▁")


def test_a_tokenizer_that_was_told_to_cut_off_and_fill_up_does_neither_to_words_behind_words() -> None:
    words, told = ["It is not red at all."], spaced("prepend")
    told.backend_tokenizer.enable_truncation(4)
    told.backend_tokenizer.enable_padding(length=64)
    assert Tokeniser(told).bare_ids(words) == Tokeniser(spaced("prepend")).bare_ids(words)


def test_line_ends_that_a_tokenizer_adds_as_tokens_are_words() -> None:
    tokenizer = deepcopy(toy_tokenizer())
    tokenizer.add_tokens([AddedToken("\n" * count, special=False, normalized=False) for count in (1, 2, 3)])
    template = find_template("chatml")
    example = Example("lines", (Turn("user", (Text("\n\nWhat?\n"),)), Turn("assistant", (Text("A\n\ncat."),))))
    ours = encode(example, template, tokenizer, cost=lambda image: 1)
    assert list(ours.ids) == through_jinja(example, template, tokenizer, ask=False)
    assert tokenizer.convert_tokens_to_ids("\n\n\n") in ours.ids
    assert parse(ours, template, tokenizer=tokenizer) == example.turns
