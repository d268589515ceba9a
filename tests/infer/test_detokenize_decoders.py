"""A reply's pieces join to what its tokens say, whatever a tokenizer's decoder makes of bytes, words and spaces.

Random words of one to four bytes a character, random tokens with torn characters among them. Byte-level decoders and
those of words read torn bytes where they stand; ``ByteFallback`` makes of a whole run of bytes one mark a byte as soon
as one of its characters is torn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from tests.toys import toy_tokenizer
from triptych.data.template import find_template, parse_reply, stop_ids
from triptych.data.text.spelling import decode_words
from triptych.infer.decoding import detokenize
from triptych.infer.decoding.detokenize import CUT_CHARACTER, Detokenizer
from triptych.models import toys

SPECIALS = ("<|im_start|>", "<|im_end|>", "<image>")
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
CHATML = find_template("chatml")
LETTERS = "ab é\u0301\u0323ñ日本龍한🎉👩🏽\u200d\n"
"""One to four bytes each, marks that join what stands before them among them."""


def wrapped(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=SPECIALS[0], eos_token=SPECIALS[1], unk_token="<unk>"
    )


def falls_back(letters: str = "abcdefgh.é") -> PreTrainedTokenizerFast:
    """Return a tokenizer as Llama 2's: a token for each of these letters, bytes for all others."""
    pieces = ["<unk>", *(f"<0x{number:02X}>" for number in range(256)), SPACE, *letters]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    parts = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(parts)
    return wrapped(tokenizer)


def of_words(decoder: Any, *pieces: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of these words and parts of words, with its decoder."""
    vocabulary = {piece: number for number, piece in enumerate(("<unk>", *pieces))}
    tokenizer = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoder
    return wrapped(tokenizer)


def spelt(said: bytes) -> str:
    """Return how a byte-level tokenizer writes these bytes."""
    letters = bytes_to_unicode()
    return "".join(letters[byte] for byte in said)


def number_of(piece: str, tokenizer: PreTrainedTokenizerBase) -> int:
    number = tokenizer.convert_tokens_to_ids(piece)
    assert isinstance(number, int)
    return number


def astride() -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer some of whose tokens end one character and begin the next."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["<unk>", *alphabet, spelt(b"\xa5\xe6"), spelt(b"\x8e\x89\xf0\x9f")]
    tokenizer = Tokenizer(models.BPE(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return wrapped(tokenizer)


FALLBACK = falls_back()
LEVEL = {"bytes": toys.toy_tokenizer(), "pairs": toy_tokenizer(), "astride": astride()}
WORDS = {
    "word-piece": of_words(decoders.WordPiece(), "a", "##b", "日本", "##語", ".", "🎉", CUT_CHARACTER),
    "metaspace": of_words(decoders.Metaspace(), f"{SPACE}a", "b", SPACE, f"{SPACE}日", "語", "\u0301", CUT_CHARACTER),
    "suffix": of_words(decoders.BPEDecoder(), "a</w>", "b", "日</w>", "é", CUT_CHARACTER),
}
ALL = {"fallback": FALLBACK} | LEVEL | WORDS


def ids_of(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def pieces_of(ids: list[int], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    detokenizer = Detokenizer(CHATML, tokenizer)
    return [*(detokenizer.add(token) for token in ids), detokenizer.finish()]


def said(ids: list[int], tokenizer: PreTrainedTokenizerBase) -> str:
    return parse_reply(ids, CHATML, tokenizer=tokenizer)


def speaking(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return all tokens but those that end a reply: special ones, which say nothing, among them."""
    return [number for number in range(len(tokenizer)) if number != tokenizer.eos_token_id]


def bytes_often(tokenizer: PreTrainedTokenizerBase) -> st.SearchStrategy[list[int]]:
    """Draw tokens of ``FALLBACK``, many of them bytes of characters of several."""
    return st.lists(st.integers(129, 256) | st.sampled_from(speaking(tokenizer)), max_size=40)


def as_heard(ids: list[int]) -> str:
    """Return what is heard of tokens of ``FALLBACK``: of a run its whole characters, then a mark for each torn byte."""
    text, run = "", b""
    for token in [*(each for each in ids if not FALLBACK.added_tokens_decoder.get(each)), None]:
        if token is not None and 1 <= token <= 256:
            run += bytes([token - 1])
            continue
        text, run = text + run_as_heard(run, first=not text), b""
        text += "" if token is None else str(FALLBACK.convert_ids_to_tokens(token)).replace(SPACE, " ")
    return text.removeprefix(" ")


def run_as_heard(run: bytes, *, first: bool) -> str:
    try:
        return run.decode()
    except UnicodeDecodeError as torn:
        silent = first and run[: torn.start] == b" "  # which is not said at a reply's begin, and so can be a mark still
        start = 0 if silent else torn.start
        return run[:start].decode() + CUT_CHARACTER * (len(run) - start)


@pytest.mark.parametrize("name", ["fallback", *LEVEL])
@given(text=st.text(st.sampled_from(LETTERS), max_size=40))
def test_pieces_of_words_join_to_the_reply(name: str, text: str) -> None:
    tokenizer = ALL[name]
    ids = ids_of(text, tokenizer)
    pieces = pieces_of(ids, tokenizer)
    assert "".join(pieces) == said(ids, tokenizer)
    assert not any(CUT_CHARACTER in piece for piece in pieces)


@pytest.mark.parametrize("name", [*LEVEL, *WORDS])
@given(data=st.data())
def test_pieces_of_any_tokens_join_to_the_reply(name: str, data: st.DataObject) -> None:
    tokenizer = ALL[name]
    ids = data.draw(st.lists(st.sampled_from(speaking(tokenizer)), max_size=40))
    assert "".join(pieces_of(ids, tokenizer)) == said(ids, tokenizer)


@given(ids=bytes_often(FALLBACK))
def test_pieces_of_torn_runs_of_bytes_keep_what_was_whole(ids: list[int]) -> None:
    assert "".join(pieces_of(ids, FALLBACK)) == as_heard(ids)


@given(runs=st.lists(st.tuples(st.text(st.sampled_from(LETTERS)), st.lists(st.integers(129, 192), max_size=6))))
def test_pieces_join_to_the_reply_where_torn_runs_have_no_whole_characters_in_front(
    runs: list[tuple[str, list[int]]],
) -> None:
    word = ids_of("a", FALLBACK)
    ids = [token for text, torn in runs for token in (*ids_of(text, FALLBACK), *word, *torn, *word)]
    assert "".join(pieces_of(ids, FALLBACK)) == said(ids, FALLBACK)


@pytest.mark.parametrize("name", ALL)
@given(data=st.data())
def test_no_piece_ends_in_a_character_that_a_later_one_completes(name: str, data: st.DataObject) -> None:
    tokenizer = ALL[name]
    text = data.draw(st.text(st.sampled_from(LETTERS), max_size=12)) if name in ("fallback", *LEVEL) else "a"
    noise = st.lists(st.sampled_from(speaking(tokenizer)), max_size=12)
    ids = [*ids_of(text, tokenizer), *data.draw(noise), *ids_of(text, tokenizer)]
    detokenizer, heard = Detokenizer(CHATML, tokenizer), ""
    whole = as_heard(ids) if name == "fallback" else said(ids, tokenizer)
    for token in ids:
        heard += detokenizer.add(token)
        assert whole.startswith(heard)


@pytest.mark.parametrize("name", ["fallback", "bytes", "astride"])
@pytest.mark.parametrize("around", ["", " a"])
def test_a_run_of_characters_of_bytes_comes_piece_by_piece(name: str, around: str) -> None:
    ids = ids_of("a " + "日本龍한🎉" * 4 + around, ALL[name])
    pieces = [piece for piece in pieces_of(ids, ALL[name]) if piece]
    assert "".join(pieces) == said(ids, ALL[name])
    assert len(pieces) >= 20


def test_characters_that_tokens_are_never_whole_with_do_not_wait() -> None:
    tokenizer = ALL["astride"]
    first, middle = ids_of("\u65e5", tokenizer)[:2]
    ids = [first, *[middle, number_of(spelt(b"\xa5\xe6"), tokenizer)] * 20]
    pieces = [piece for piece in pieces_of(ids, tokenizer) if piece]
    assert "".join(pieces) == said(ids, tokenizer) == "\u65e5" * 20 + CUT_CHARACTER
    assert len(pieces) == 21


RUNS: dict[str, Callable[[int], tuple[list[int], PreTrainedTokenizerBase]]] = {
    "words": lambda n: (ids_of("a b" * n, FALLBACK), FALLBACK),
    "characters of bytes": lambda n: (ids_of("日" * n, FALLBACK), FALLBACK),
    "torn bytes": lambda n: ([0x80 + 1] * n, FALLBACK),
    "torn bytes behind whole ones": lambda n: ([*ids_of("日", FALLBACK), *[0x80 + 1] * n], FALLBACK),
    "torn bytes of a byte-level one": lambda n: ([number_of(spelt(b"\x80"), LEVEL["bytes"])] * n, LEVEL["bytes"]),
    "special tokens": lambda n: ([number_of("<image>", FALLBACK)] * n, FALLBACK),
    "marks": lambda n: (ids_of(f"{CUT_CHARACTER} " * n, WORDS["word-piece"]), WORDS["word-piece"]),
}


@pytest.mark.parametrize("kind", RUNS)
def test_a_long_reply_costs_no_more_a_token(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []

    def counted(ids: list[int], tokenizer: PreTrainedTokenizerBase) -> str:
        decoded.append(len(ids))
        return decode_words(ids, tokenizer)

    monkeypatch.setattr(detokenize, "decode_words", counted)
    ids, tokenizer = RUNS[kind](400)
    detokenizer = Detokenizer(CHATML, tokenizer)
    for token in ids:
        detokenizer.add(token)
    detokenizer.finish()
    assert len(decoded) <= 2 * len(ids) + 2
    assert sum(decoded) <= 25 * len(ids)


def with_line_ends() -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer that has a full stop and a line end as one token, as Llama 3's does."""
    pieces = ["<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet()), spelt(b".\n")]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[(".", spelt(b"\n"))]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return wrapped(tokenizer)


@pytest.mark.parametrize("name", ["plain", "mantis_plain"])
@pytest.mark.parametrize(("text", "words"), [("A red dog.\n", "A red dog."), ("A red dog\n", "A red dog")])
def test_the_token_that_ends_a_reply_says_what_stands_before_the_stop(name: str, text: str, words: str) -> None:
    tokenizer, template = with_line_ends(), find_template(name)
    *ids, last = ids_of(text, tokenizer)
    assert last in stop_ids(template, tokenizer)
    detokenizer = Detokenizer(template, tokenizer)
    pieces = [*(detokenizer.add(token) for token in ids), detokenizer.end(last), detokenizer.finish()]
    assert "".join(pieces) == words == parse_reply([*ids, last], template, tokenizer=tokenizer)


def test_a_special_token_that_ends_a_reply_says_nothing() -> None:
    tokenizer = with_line_ends()
    detokenizer = Detokenizer(CHATML, tokenizer)
    pieces = [detokenizer.add(token) for token in ids_of("A dog.\n", tokenizer)]
    pieces += [detokenizer.end(number_of("<|im_end|>", tokenizer)), detokenizer.finish()]
    assert "".join(pieces) == "A dog.\n"
