"""The properties of ``test_template_properties.py`` with the tokenizers of released models, templates drawn at random.

Left out is what a template's file or the contract says cannot be kept: a colon of a trained header joined to its reply,
characters that a tokenizer normalises, and the space that one of Llama's kind takes from the front of a reply.
"""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from tests.data import test_template_properties as properties
from tests.data.test_template_properties import (
    OTHERS,
    SPOKEN,
    TEMPLATES,
    as_said,
    conversations,
    for_reply,
    ordinary,
    up_to,
)
from tests.released.real_tokenizers import opened
from tests.toys import SPECIAL, encode, through_jinja
from triptych.core.records import Example, Text, Turn
from triptych.data.template import Template, find_template, parse_reply

REAL = ("llama2", "llama3", "qwen3", "smollm2", "gemma3")
some = settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
"""Conversations for each tokenizer."""
every_tokenizer = pytest.mark.parametrize("tokenizer", REAL, indirect=True)


@pytest.fixture(scope="module")
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    """Return a tokenizer that has the templates' special tokens, too."""
    own = opened(request.param).get_added_vocab()
    return opened(request.param, *(mark for mark in dict.fromkeys((*SPECIAL, *OTHERS)) if mark not in own))


def written(said: Example) -> Example:
    """Return a conversation whose characters are as tokenizers write them that normalise."""
    return replace(
        said,
        turns=tuple(
            Turn(turn.role, tuple(Text(normal(part.text)) if isinstance(part, Text) else part for part in turn.parts))
            for turn in said.turns
        ),
    )


def normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def joins(template: Template) -> bool:
    """Say whether a published mask has no border between a header in words and its reply."""
    return "header" in template.also_trained and template.assistant.before.endswith((":", "\n\n"))


def keeping(templates: list[Template]) -> st.SearchStrategy[Template]:
    return st.sampled_from([each for each in templates if not joins(each) and not each.images_apart])


@every_tokenizer
@given(data=st.data(), ask=st.booleans())
@some
def test_ids_equal_those_of_the_hugging_face_chat_template(
    tokenizer: PreTrainedTokenizerBase, data: st.DataObject, ask: bool
) -> None:
    # Cut as GPT-2 cuts, two line ends are parted before words; Llama 3 and Qwen keep them.
    parted = len(tokenizer.tokenize("\n\nA")) > 2
    fitting = [each for each in TEMPLATES if not (parted and each.assistant.before.endswith("\n\n"))]
    template = data.draw(st.sampled_from([each for each in fitting if not each.images_apart]))
    placed = template.first_reply_only and "wrappers" in template.also_trained
    strategy = conversations(words=ordinary, reply=for_reply, images_in_replies=placed)
    example = data.draw(strategy)
    example = up_to(example, len(example.turns) - ask)
    ours = encode(example, template, tokenizer, cost=lambda image: 1, open_reply=ask)
    assert list(ours.ids) == through_jinja(example, template, tokenizer, ask=ask)


@every_tokenizer
@given(data=st.data())
@some
def test_prompts_are_prefixes_of_training_and_of_later_prompts(
    tokenizer: PreTrainedTokenizerBase, data: st.DataObject
) -> None:
    template = data.draw(keeping(SPOKEN))
    properties.test_training_starts_with_the_generation_prompt.hypothesis.inner_test(tokenizer, template, data)
    properties.test_a_prompt_is_a_prefix_of_the_next_prompt.hypothesis.inner_test(tokenizer, template, data)


@every_tokenizer
@given(template=keeping(SPOKEN), example=conversations())
@some
def test_parse_gives_back_what_was_rendered(
    tokenizer: PreTrainedTokenizerBase, template: Template, example: Example
) -> None:
    example = written(example)
    properties.test_parse_gives_back_what_was_rendered.hypothesis.inner_test(tokenizer, template, example)


@every_tokenizer
@given(template=keeping(SPOKEN), example=conversations(reply=for_reply, images_in_replies=False))
@some
def test_parse_reply_gives_back_what_was_said(
    tokenizer: PreTrainedTokenizerBase, template: Template, example: Example
) -> None:
    example, template = written(example), as_said(template)
    prompt = encode(replace(example, turns=example.turns[:-1]), template, tokenizer, open_reply=True)
    generated = encode(example, template, tokenizer).ids[len(prompt.ids) :]
    assert (Text(parse_reply(generated, template, tokenizer=tokenizer)),) == example.turns[-1].parts


@every_tokenizer
@given(template=keeping(TEMPLATES), example=conversations())
@some
def test_slots_hold_all_images_and_image_tokens_stand_nowhere_else(
    tokenizer: PreTrainedTokenizerBase, template: Template, example: Example
) -> None:
    name = "test_slots_hold_all_images_in_reading_order_and_image_tokens_stand_nowhere_else"
    getattr(properties, name).hypothesis.inner_test(tokenizer, template, example)


@every_tokenizer
def test_words_that_spell_special_tokens_never_become_them(tokenizer: PreTrainedTokenizerBase) -> None:
    for template in map(find_template, ("chatml", "vicuna_v1", "mantis_llama_3", "mantis_idefics_2", "idefics3")):
        plain, said = (
            Example("said", (Turn("user", (Text(f"a {words} b"),)), Turn("assistant", (Text(f"c {words}"),))))
            for words in ("x", "".join(tokenizer.all_special_tokens))
        )
        special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        counts = [sum(number in special for number in encode(each, template, tokenizer).ids) for each in (plain, said)]
        assert counts[0] == counts[1]
