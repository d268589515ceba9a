"""Words -> ids: what is kept of words met before changes no id; where cuts are not known, nothing is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from tests.toys import SENTENCES, SPECIAL, toy_tokenizer
from triptych.data.text import tokenise
from triptych.data.text.tokenise import Tokeniser, tokeniser_of

QWEN_2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA_3 = QWEN_2.replace(r"\p{N}|", r"\p{N}{1,3}|")
SPACED = [
    "a  b",
    "a \n b",
    " a",
    "a ",
    "in the  \n\n two",
    "no\u00a0break here",
    "tab\t tab",
    "nul\0 nul",
    "  ",
    "e \u0301",
]


def split_by(
    *parts: pre_tokenizers.PreTokenizer, normalizer: normalizers.Normalizer | None = None
) -> PreTrainedTokenizerFast:
    """Return a BPE that cuts words in this way, with merges of runs of white space too."""
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(parts))
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator([*SENTENCES, "a  b   c    d \n\n e\n\n\nf?\n\n g 12345 678"] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def bytes_only() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def pattern(regex: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(regex), behavior="isolated")


KNOWN = {
    "gpt2": toy_tokenizer(),
    "smollm2": split_by(
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    ),
    "qwen2": split_by(pattern(QWEN_2), bytes_only(), normalizer=normalizers.NFC()),
    "llama3": split_by(pattern(LLAMA_3), bytes_only()),
}
UNKNOWN = {
    "prefix": split_by(pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "another pattern": split_by(pattern(r"\S+|\s+"), bytes_only()),
    "no cuts": split_by(bytes_only()),
    "lower case": split_by(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizer=normalizers.Lowercase()),
}

anything = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20),
    st.text(alphabet=" \n\t\r\u00a0a'1?.\u0301\0", max_size=20),
    st.sampled_from([*SPACED, *SPECIAL, *SENTENCES]),
)


@pytest.mark.parametrize("name", [*KNOWN, *UNKNOWN])
@given(texts=st.lists(anything, max_size=6))
def test_ids_are_those_of_each_text_by_itself(name: str, texts: list[str]) -> None:
    tokenizer = (KNOWN | UNKNOWN)[name]
    whole = [tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"] for text in texts]
    tokeniser = tokeniser_of(tokenizer)
    assert tokeniser.ids(texts) == whole


def test_only_known_cuts_are_made() -> None:
    assert {name: Tokeniser(tokenizer).keeps_words for name, tokenizer in KNOWN.items()} == dict.fromkeys(KNOWN, True)
    assert {name: Tokeniser(tokenizer).keeps_words for name, tokenizer in UNKNOWN.items()} == dict.fromkeys(
        UNKNOWN, False
    )


def test_a_token_of_several_words_forbids_cuts() -> None:
    tokenizer = toy_tokenizer()
    tokenizer.add_tokens(["two cats"])
    texts = ["I see two cats here"]
    assert not Tokeniser(tokenizer).keeps_words
    assert tokeniser_of(tokenizer).ids(texts) == [tokenizer(texts[0], split_special_tokens=True)["input_ids"]]
    assert tokenizer.get_added_vocab()["two cats"] in tokeniser_of(tokenizer).ids(texts)[0]


def test_words_beyond_the_limit_are_forgotten_and_learnt_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenise, "KEPT_WORDS", 8)
    tokenizer = toy_tokenizer()
    tokeniser = Tokeniser(tokenizer)
    texts = [f"picture {number} shows {number + 1} cats" for number in range(30)]
    whole = tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert [tokeniser.ids([text])[0] for text in texts] == whole
    assert tokeniser.ids(texts) == whole


def test_a_tokenizer_reads_special_tokens_after_as_before() -> None:
    tokenizer = toy_tokenizer()
    before = tokenizer("a <image> b", add_special_tokens=False)["input_ids"]
    tokeniser_of(tokenizer).ids(["a <image> b"])
    assert tokenizer("a <image> b", add_special_tokens=False)["input_ids"] == before
    assert tokenizer.convert_tokens_to_ids("<image>") in before


def test_a_text_is_not_cut_short_by_a_tokenizer_that_truncates() -> None:
    tokenizer = toy_tokenizer()
    text = "Which of these two pictures shows more cats?"
    whole = tokenizer(text, add_special_tokens=False)["input_ids"]
    tokenizer.backend_tokenizer.enable_truncation(2)
    tokenizer.backend_tokenizer.enable_padding(length=64)
    assert Tokeniser(tokenizer).ids([text]) == [whole]
