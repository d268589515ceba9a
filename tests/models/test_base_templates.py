"""Base models that bring their own chat template: it is known, and of a conversation we write what it writes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from tests.models.chat_templates import PUBLISHED, Published, marked
from tests.toys import encode, text_of, through_jinja, toy_images, toy_tokenizer, trained_text
from triptych.core.errors import ModelError
from triptych.core.records import Example, Part, Text, Turn
from triptych.data.template import find_template
from triptych.data.transform import tidy
from triptych.models import zoo
from triptych.models.disk.recognise import recognise

KINDS = {each.jinja: each for each in PUBLISHED.values()}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda each: f"{each.model_type}-{each.begin}")

WORDS = ("Hello.", "Which one is older?", " and then ", "\nWhat else? ", "Two cats,\n\nsaid he", " ")
REPLIES = ("A cat.", "The second", "No,\nfour. ")
SPECIALS = (
    *("<s>", "<|begin_of_text|>", "<end_of_utterance>", "<fake_token_around_image>"),
    *("<|vision_start|>", "<|vision_end|>"),
    *("<bos>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>"),
)


@cache
def tokenizer_of(begin: str) -> PreTrainedTokenizerBase:
    """Return a tokenizer that calls its beginning so; empty: it has none."""
    tokenizer = toy_tokenizer(*SPECIALS)
    tokenizer.bos_token = begin or None
    return tokenizer


questions = st.lists(
    st.one_of(st.sampled_from(toy_images(4)), st.sampled_from(WORDS).map(Text)), min_size=1, max_size=6
)


@st.composite
def conversations(draw: st.DrawFn) -> Example:
    """Return one with or without a system turn, images first, in the middle or last, together or not, several turns."""
    turns = [Turn("system", (Text("Be brief."),))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        said: list[Part] = draw(questions)
        # Words in several pieces are one here; Gemma's chat template would join them without a space between.
        turns += [Turn("user", tidy(said)), Turn("assistant", (Text(draw(st.sampled_from(REPLIES))),))]
    return Example("random", tuple(turns[: len(turns) - draw(st.booleans())]))


def parts_of(turn: Turn) -> list[dict[str, str]]:
    """Return what a turn says as parts: of a string Idefics2's chat template writes nothing."""
    return [{"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"} for part in turn.parts]


def theirs(example: Example, kind: Published) -> list[int]:
    """Return the ids of the published chat template's text, each image as one token."""
    tokenizer = tokenizer_of(kind.begin)
    text = tokenizer.apply_chat_template(
        [{"role": turn.role, "content": parts_of(turn)} for turn in example.turns],
        chat_template=kind.jinja,
        tokenize=False,
        add_generation_prompt=example.turns[-1].role == "user",
    )
    return list(tokenizer(marked(str(text), kind), add_special_tokens=False)["input_ids"])


@every_kind
@given(example=conversations())
@settings(max_examples=60, deadline=None)
def test_ids_are_those_of_the_published_chat_template(kind: Published, example: Example) -> None:
    template, ask = find_template(kind.template), example.turns[-1].role == "user"
    ours = encode(example, template, tokenizer_of(kind.begin), cost=lambda image: 1, open_reply=ask)
    assert list(ours.ids) == theirs(example, kind)


@pytest.mark.parametrize("hub_id", PUBLISHED)
def test_the_published_chat_template_is_known(hub_id: str, tmp_path: Path) -> None:
    kind = PUBLISHED[hub_id]
    found = recognise(kind.write(tmp_path), kind.jinja)
    assert found.template.name == kind.template
    assert found.how == "its chat template writes what this one writes"


def test_the_zoo_says_of_base_models_what_their_chat_templates_say() -> None:
    entries = {entry.hub_id: entry for entry in zoo.catalogue().checkpoints.values()}
    assert {hub_id for hub_id, entry in entries.items() if entry.template is None} <= set(PUBLISHED)
    for hub_id, kind in PUBLISHED.items():
        assert entries[hub_id].template in (None, kind.template), hub_id


@pytest.mark.parametrize("name", ["idefics2", "idefics3"])
def test_a_blank_stands_behind_the_colon_unless_an_image_comes_first(name: str) -> None:
    first, second = toy_images(2)
    example = Example(
        "colons",
        (
            Turn("system", (Text("Be brief."),)),
            Turn("user", (first, Text("Hi "), second)),
            Turn("assistant", (Text("Yes."),)),
            Turn("user", (Text("And "), first)),
            Turn("assistant", (second, Text("this"))),
        ),
    )
    tokenizer = tokenizer_of("<|im_start|>")
    encoded = encode(example, find_template(name), tokenizer, cost=lambda image: 1)
    text = text_of(encoded.ids, tokenizer)
    assert list(encoded.ids) == through_jinja(example, find_template(name), tokenizer, ask=False)
    assert text.replace("<fake_token_around_image>", "") == (
        "<|im_start|>System: Be brief.<end_of_utterance>\nUser:<image>Hi <image><end_of_utterance>\n"
        "Assistant: Yes.<end_of_utterance>\nUser: And <image><end_of_utterance>\n"
        "Assistant:<image>this<end_of_utterance>\n"
    )
    assert trained_text(encoded, tokenizer) == " Yes.<end_of_utterance>this<end_of_utterance>"
    assert encoded.images == (first, second, first, second)


def test_a_beginning_that_the_tokenizer_does_not_put_there_is_missed(tmp_path: Path) -> None:
    """Idefics2's chat template leaves its beginning to the tokenizer: where that puts none, ours says more."""
    kind = PUBLISHED["HuggingFaceM4/idefics2-8b"]._replace(begins_itself=False)
    with pytest.raises(ModelError, match="its chat template is none that is known"):
        recognise(kind.write(tmp_path), kind.jinja)
