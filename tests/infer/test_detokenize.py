"""A reply's words while they come: whole characters, no stop text, and in the end what the tokens say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from tests.toys import toy_tokenizer
from triptych.data.template import Template, find_template, parse_reply
from triptych.infer.decoding.detokenize import Detokenizer, bytes_of_token
from triptych.models import toys

BYTES = toys.toy_tokenizer()
PAIRS = toy_tokenizer()
CHATML = find_template("chatml")
SAID = "naïve – 日本語 🎉! The end of it."


def ids_of(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def spoken(detokenizer: Detokenizer, ids: list[int]) -> list[str]:
    """Return the pieces that are said, up to a stop text."""
    pieces = []
    for token in ids:
        pieces.append(detokenizer.add(token))
        if detokenizer.stopped:
            break
    return [*pieces, detokenizer.finish()]


@pytest.mark.parametrize("tokenizer", [BYTES, PAIRS], ids=["bytes", "pairs"])
def test_a_character_of_several_tokens_is_said_whole(tokenizer: PreTrainedTokenizerBase) -> None:
    pieces = spoken(Detokenizer(CHATML, tokenizer), ids_of(SAID, tokenizer))
    assert "".join(pieces) == SAID
    assert all("\ufffd" not in piece for piece in pieces)
    assert len([piece for piece in pieces if piece]) > 10


def test_a_character_that_never_ends_is_said_last() -> None:
    ids = ids_of("so 🎉", BYTES)[:-1]
    assert spoken(Detokenizer(CHATML, BYTES), ids)[-1] == parse_reply(ids, CHATML, tokenizer=BYTES)[3:]


@given(
    text=st.text(st.sampled_from("ab -é🎉\n"), max_size=30),
    stops=st.lists(st.text(st.sampled_from("ab -é"), min_size=1, max_size=4), max_size=3),
)
def test_nothing_of_a_stop_text_is_ever_said(text: str, stops: list[str]) -> None:
    for tokenizer in (BYTES, PAIRS):
        detokenizer = Detokenizer(CHATML, tokenizer, stop=stops)
        pieces = spoken(detokenizer, ids_of(text, tokenizer))
        complete = sorted((text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text)
        assert "".join(pieces) == (text[: complete[0][1]] if complete else text)
        assert detokenizer.stopped == bool(complete)


def test_words_are_held_back_only_while_they_may_be_a_stop() -> None:
    detokenizer = Detokenizer(CHATML, BYTES, stop=("###",))
    assert [detokenizer.add(token) for token in ids_of("a#b##c", BYTES)] == ["a", "", "#b", "", "", "##c"]


@pytest.mark.parametrize(("lead", "tail"), [(" ", ""), ("", "\n"), (" ", "\n\n")])
def test_what_a_template_puts_around_a_reply_is_not_said(lead: str, tail: str) -> None:
    template = Template(
        name="around",
        system=CHATML.system,
        user=CHATML.user,
        assistant=CHATML.assistant,
        stop=CHATML.stop,
        lead=lead,
        tail=tail,
    )
    for text in (f"{lead}well\nthen{tail}", "no lead", f"{lead}{tail}", ""):
        ids = ids_of(text, BYTES)
        assert "".join(spoken(Detokenizer(template, BYTES), ids)) == parse_reply(ids, template, tokenizer=BYTES)


def test_the_bytes_of_tokens_join_to_the_text() -> None:
    for tokenizer in (BYTES, PAIRS):
        found = b"".join(bytes_of_token(token, tokenizer) for token in ids_of(SAID, tokenizer))
        assert found.decode() == SAID
        stop = tokenizer.convert_tokens_to_ids("<|im_end|>")
        assert isinstance(stop, int)
        assert bytes_of_token(stop, tokenizer) == b"<|im_end|>"
