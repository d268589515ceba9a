"""Counting tokens without making them: exactly as many as rendering makes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from tests.data.test_template_properties import conversations
from tests.toys import encode, talk, toy_images, toy_tokenizer
from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, VideoRef
from triptych.data.template import Encoded, Template, find_template, render_many
from triptych.data.text import lengths
from triptych.data.text.lengths import count_tokens

CHATML = find_template("chatml")


def cost(image: ImageRef) -> int:
    return 1 + len(image.source) % 3


@pytest.mark.parametrize("template", [CHATML, find_template("plain")], ids=lambda each: each.name)
@given(examples=st.lists(conversations(), max_size=5))
@settings(max_examples=30)
def test_counts_are_the_lengths_of_what_is_rendered(template: Template, examples: list[Example]) -> None:
    tokenizer = toy_tokenizer()
    rendered = [encode(example, template, tokenizer, cost=cost) for example in examples]
    counted = count_tokens(examples, template, tokenizer=tokenizer, count_image_tokens=cost)
    assert counted == [len(encoded.ids) for encoded in rendered]


def test_more_conversations_than_go_at_once_keep_their_order(
    tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lengths, "RENDERED_AT_ONCE", 3)
    examples = [talk(("user", "cats " * number), ("assistant", "Yes.")) for number in range(10)]
    counted = count_tokens(examples, CHATML, tokenizer=tokenizer, count_image_tokens=cost)
    assert counted == [len(encode(example, CHATML, tokenizer).ids) for example in examples]
    assert counted == sorted(set(counted))


def test_a_conversation_that_cannot_be_rendered_is_named(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(DataError, match=r"'talk' holds the video /films/one\.mp4"):
        count_tokens([talk(("user", VideoRef("/films/one.mp4")))], CHATML, tokenizer=tokenizer, count_image_tokens=cost)


def test_images_count_at_their_full_cost(tokenizer: PreTrainedTokenizerBase) -> None:
    images = toy_images(2)
    example = talk(("user", [*images, "Which?"]), ("assistant", "Both."))
    cheap = count_tokens([example], CHATML, tokenizer=tokenizer, count_image_tokens=lambda image: 1)
    dear = count_tokens([example], CHATML, tokenizer=tokenizer, count_image_tokens=lambda image: 729)
    assert dear[0] - cheap[0] == 2 * 728


def test_many_are_rendered_as_each_by_itself_and_refusals_stay_in_place(tokenizer: PreTrainedTokenizerBase) -> None:
    good = talk(("user", ["Is ", toy_images(1)[0], " a cat?"]), ("assistant", "Yes."))
    video = talk(("user", VideoRef("/films/one.mp4")))
    mark = tokenizer.convert_tokens_to_ids("<image>")
    assert isinstance(mark, int)
    first, refused, last = render_many(
        [good, video, good],
        CHATML,
        tokenizer=tokenizer,
        image_token_id=mark,
        image_ids=lambda image: [mark] * cost(image),
    )
    assert first == last == encode(good, CHATML, tokenizer, cost=cost)
    assert not isinstance(refused, Encoded)
    assert refused.reason == "cannot be rendered"
    assert "cut it into frames first" in refused.message
