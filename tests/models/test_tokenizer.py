"""A tokenizer cuts text as its tokenizer.json says, whatever class transformers makes of it, and is saved so."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer, LlamaTokenizer, Qwen2Tokenizer, TokenizersBackend

from tests.released.idefics2s import write_tokenizer
from tests.released.llava_shared import save_llama_tokenizer, save_qwen_tokenizer
from tests.released.make_llava_v1_5 import SYSTEM, TEXTS, trained_words
from tests.released.sentencepiece_file import SPACE, with_pieces
from tests.released.toy_tokenizers import BYTES
from triptych.core.errors import ModelError
from triptych.data.text.tokenise import tokeniser_of
from triptych.models.disk.tokenizer import PROBES, open_tokenizer
from triptych.models.families.llava import LlavaModel
from triptych.models.families.tiny import tiny

PIECES = ("<unk>", "<s>", "</s>", *BYTES, f"{SPACE}{SPACE}", f"{SPACE}a", f"{SPACE}b", SPACE, "a", "b", "<", ">")
TEXT = "User: What <image> like <image> \nis  it?"


def written(folder: Path, *, spaces: str, legacy: bool) -> list[int]:
    """Write a folder that names LlamaTokenizer and return what its tokenizer.json makes of a text."""
    folder.mkdir()
    write_tokenizer(folder, spaces=spaces)
    (folder / "config.json").write_text('{"model_type": "idefics2"}')
    said = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(said | {"legacy": legacy}))
    ids: list[int] = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(TEXT, add_special_tokens=False).ids
    return ids


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("spaces", ["prepend", "first"])
def test_a_folders_file_is_taken_by_its_word_and_saved_opens_so_in_plain_transformers(
    spaces: str, legacy: bool, tmp_path: Path
) -> None:
    expected = written(tmp_path / "given", spaces=spaces, legacy=legacy)
    tokenizer = open_tokenizer(tmp_path / "given")
    assert tokenizer(TEXT, add_special_tokens=False)["input_ids"] == expected
    tokenizer.save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "config.json").write_text('{"model_type": "idefics2"}')
    plain = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert plain(TEXT, add_special_tokens=False)["input_ids"] == expected
    assert plain.special_tokens_map == tokenizer.special_tokens_map


def test_a_class_that_does_as_the_file_says_is_kept(tmp_path: Path) -> None:
    model = tiny(0)
    assert isinstance(model, LlavaModel)
    model.save(tmp_path / "toy")
    assert type(open_tokenizer(tmp_path / "toy")) is type(AutoTokenizer.from_pretrained(tmp_path / "toy"))


@pytest.mark.parametrize("model_type", ["llava", "llava_onevision", "qwen2"])
def test_words_and_merges_alone_are_read_by_the_class_that_a_folder_names(model_type: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    save_qwen_tokenizer(tmp_path)
    tokenizer = open_tokenizer(tmp_path)
    expected = Qwen2Tokenizer.from_pretrained(tmp_path)
    text = "<|im_start|>user\nWhat is  in the picture?<|im_end|>\n"
    assert tokenizer(text)["input_ids"] == expected(text)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(tokenizer(" a dog")["input_ids"]) == ["Ġa", "Ġdog"]


@pytest.mark.parametrize("named", ["LlamaTokenizer", "LLaMATokenizer"])
def test_a_sentencepiece_model_alone_is_refused_with_the_package_that_reads_it(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    save_llama_tokenizer(tmp_path, b"words", legacy=False)
    said = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(said | {"tokenizer_class": named}))
    with pytest.raises(ModelError, match=r"tokenizer.model alone, .* pip install sentencepiece") as refusal:
        open_tokenizer(tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_sentencepiece_model_alone_puts_a_space_before_words(legacy: bool, tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    save_llama_tokenizer(tmp_path, trained_words([*TEXTS, SYSTEM]), legacy=legacy)
    tokenizer = open_tokenizer(tmp_path)
    # Changed, its own class would make it anew when it is saved.
    assert type(tokenizer) is (TokenizersBackend if legacy else LlamaTokenizer)
    tokenizer.save_pretrained(tmp_path / "saved")
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").tokenize(TEXT) == tokenizer.tokenize(TEXT)
    assert tokenizer.tokenize("a dog") == ["▁a", "▁dog"]
    assert (tokenizer.tokenize("a</s>dog")[-1] == "▁dog") is legacy


RUNS = ("a  b   a", " a", "  b", "a    b", "\n  a")


def scored(folder: Path, *, left_out: tuple[str, ...] = (), **said: object) -> Callable[[str], list[int]]:
    """Write a folder of Llama's kind whose scores matter, without some of its settings, and return what they say."""
    sentencepiece = pytest.importorskip("sentencepiece")
    (folder / "config.json").write_text('{"model_type": "llava", "image_token_index": 267}')
    save_llama_tokenizer(folder, with_pieces(trained_words([*TEXTS, SYSTEM]), PIECES), legacy=True)
    config = json.loads((folder / "tokenizer_config.json").read_text()) | said
    kept = {name: value for name, value in config.items() if name not in ("legacy", *left_out) or name in said}
    (folder / "tokenizer_config.json").write_text(json.dumps(kept))
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    return lambda text: list(model.encode(text))


@pytest.mark.parametrize("said", [{"legacy": True}, {"legacy": None}, {}], ids=["legacy", "null", "absent"])
def test_a_sentencepiece_model_alone_is_read_by_its_scores_and_as_legacy_unless_the_folder_says_no(
    said: dict[str, object], tmp_path: Path
) -> None:
    wanted = scored(tmp_path, **said)
    open_tokenizer(tmp_path).save_pretrained(tmp_path / "saved")
    saved = AutoTokenizer.from_pretrained(tmp_path / "saved")
    for text in RUNS:
        assert open_tokenizer(tmp_path)(text, add_special_tokens=False)["input_ids"] == wanted(text), text
        assert saved(text, add_special_tokens=False)["input_ids"] == wanted(text), text


@pytest.mark.parametrize("file", ["added_tokens.json", "tokenizer_config.json"])
def test_a_plain_token_that_was_added_later_does_not_keep_the_others_from_their_scores(
    file: str, tmp_path: Path
) -> None:
    token = {"content": "<pad>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    decoder = {str(len(PIECES)): token | {"special": False}} if file == "tokenizer_config.json" else {}
    wanted = scored(
        tmp_path, left_out=("added_tokens_decoder",), **({"added_tokens_decoder": decoder} if decoder else {})
    )
    if not decoder:
        (tmp_path / file).write_text(json.dumps({"<pad>": len(PIECES)}))
    tokenizer = open_tokenizer(tmp_path)
    assert tokenizer("<pad>", add_special_tokens=False)["input_ids"] == [len(PIECES)]
    for text in RUNS:
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == wanted(text), text


@pytest.mark.parametrize("added", [["  ", "    "], ["\n", "\n\n"]], ids=["spaces", "lines"])
def test_white_space_that_was_added_does_not_keep_the_others_from_their_scores(
    added: list[str], tmp_path: Path
) -> None:
    wanted = scored(tmp_path, left_out=("added_tokens_decoder",))
    (tmp_path / "added_tokens.json").write_text(json.dumps({each: len(PIECES) + at for at, each in enumerate(added)}))
    tokenizer = open_tokenizer(tmp_path)
    assert len(PIECES) in tokenizer(f"a{added[0]}b", add_special_tokens=False)["input_ids"]
    texts = [text for text in (*RUNS, "a b", " a <", "ab a") if not any(each in text for each in added)]
    assert texts
    for text in texts:
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == wanted(text), text


@pytest.mark.parametrize("added", [[" "], ["<x>", "a<x>"]], ids=["every space", "one within another"])
def test_tokens_by_which_scores_cannot_be_tried_leave_a_tokenizer_as_transformers_has_it(
    added: list[str], tmp_path: Path
) -> None:
    scored(tmp_path, left_out=("added_tokens_decoder",))
    (tmp_path / "added_tokens.json").write_text(json.dumps({each: 268 + at for at, each in enumerate(["<y>", *added])}))
    tokenizer, plain = open_tokenizer(tmp_path), LlamaTokenizer.from_pretrained(tmp_path)
    assert type(tokenizer) is LlamaTokenizer
    for text in (*RUNS, "a<x>a", "a <x> a"):
        assert tokenizer(text)["input_ids"] == plain(text)["input_ids"], text


@pytest.mark.parametrize("named", ["LLaMATokenizer", None, "no settings"])
def test_a_sentencepiece_model_alone_is_read_so_whatever_class_the_folder_names(
    named: str | None, tmp_path: Path
) -> None:
    wanted = scored(tmp_path, tokenizer_class=named)
    if named == "no settings":
        (tmp_path / "tokenizer_config.json").unlink()
    tokenizer = open_tokenizer(tmp_path)
    for text in RUNS:
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == wanted(text), text


def test_special_tokens_that_a_folder_leaves_empty_are_those_of_its_sentencepiece_model(tmp_path: Path) -> None:
    empty = {"bos_token": "", "eos_token": "", "unk_token": ""}
    wanted = scored(tmp_path, tokenizer_class="LLaMATokenizer", **empty)
    tokenizer = open_tokenizer(tmp_path)
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token) == ("<s>", "</s>", "<unk>")
    for text in RUNS:
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == wanted(text), text


@pytest.mark.parametrize("said", [{"additional_special_tokens": ["<image>", "<end>"]}, None], ids=["said", "by number"])
def test_the_image_token_of_an_older_folder_is_no_words(said: dict[str, object] | None, tmp_path: Path) -> None:
    wanted = scored(tmp_path, left_out=("added_tokens_decoder",))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<image>": 267, "<end>": 268}))
    if said:
        (tmp_path / "special_tokens_map.json").write_text(json.dumps(said))
    tokenizer = open_tokenizer(tmp_path)
    added = {token.content: token.special for token in tokenizer.added_tokens_decoder.values()}
    assert (added["<image>"], added["<end>"]) == (True, said is not None)
    assert len(tokenizer) == len(PIECES) + 2
    assert 267 not in tokeniser_of(tokenizer).ids(["a <image> b"])[0]
    for text in RUNS:
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == wanted(text), text
    tokenizer.save_pretrained(tmp_path / "saved")
    saved = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert saved("a  b<image> a")["input_ids"] == tokenizer("a  b<image> a")["input_ids"]
    assert saved.added_tokens_decoder[267].special


@pytest.mark.parametrize("special", ["no file", "settings"])
def test_an_added_token_is_found_in_running_text_and_the_words_around_it_are_as_if_alone(
    special: str, tmp_path: Path
) -> None:
    begin, end = 269, 268
    wanted = scored(tmp_path, left_out=("added_tokens_decoder",), eos_token="<end>")
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<image>": 267, "<begin>": begin, "<end>": end}))
    if special == "settings":
        token = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False, "special": True}
        decoder = {str(267 + at): token | {"content": each} for at, each in enumerate(("<image>", "<end>", "<begin>"))}
        said = json.loads((tmp_path / "tokenizer_config.json").read_text())
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(said | {"added_tokens_decoder": decoder}))
    tokenizer = open_tokenizer(tmp_path)
    assert tokenizer.added_tokens_decoder[end].special  # its name as eos_token says so
    tokenizer.save_pretrained(tmp_path / "saved")
    for each in (tokenizer, AutoTokenizer.from_pretrained(tmp_path / "saved")):
        for text in ("<begin>a\nb  a<end>\n<begin>b\n", "a<begin>a", "a <begin> a", "a<end>b"):
            ids: list[int] = []
            for piece in re.split("(<begin>|<end>)", text):
                ids += [begin] if piece == "<begin>" else [end] if piece == "<end>" else wanted(piece)
            assert each(text, add_special_tokens=False)["input_ids"] == ids, text


@pytest.mark.parametrize(
    ("trained", "said"),
    [
        ({"add_dummy_prefix": False}, {}),
        ({"user_defined_symbols": ["fe"]}, {}),
        ({"model_type": "unigram"}, {}),
        ({}, {"add_prefix_space": False}),
    ],
    ids=["no space", "own pieces", "unigram", "the folder says no"],
)
def test_a_model_of_another_kind_is_left_as_transformers_has_it(
    trained: dict[str, object], said: dict[str, object], tmp_path: Path
) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    model = io.BytesIO()
    settings = {"model_type": "bpe", "vocab_size": 320, "byte_fallback": True, "minloglevel": 2, **trained}
    settings |= {"remove_extra_whitespaces": False, "hard_vocab_limit": False, "num_threads": 1}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*TEXTS, SYSTEM]), model_writer=model, normalization_rule_name="identity", **settings
    )
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    (tmp_path / "tokenizer.model").write_bytes(model.getvalue())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"} | said))
    tokenizer, plain = open_tokenizer(tmp_path), LlamaTokenizer.from_pretrained(tmp_path)
    assert type(tokenizer) is LlamaTokenizer
    for text in (*PROBES, "a safe cat", TEXT):
        assert tokenizer(text)["input_ids"] == plain(text)["input_ids"], text


@pytest.mark.parametrize("name", ["special_tokens_map", "tokenizer_config", "added_tokens"])
def test_a_list_where_names_are_wanted_is_told(name: str, tmp_path: Path) -> None:
    save_qwen_tokenizer(tmp_path)
    (tmp_path / f"{name}.json").write_text('["<end>"]')
    with pytest.raises(ModelError, match=rf"{tmp_path}/{name}\.json holds a list, and an object .* is wanted"):
        open_tokenizer(tmp_path)


def test_a_class_that_is_no_name_is_told(tmp_path: Path) -> None:
    save_qwen_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": 7}')
    with pytest.raises(
        ModelError, match=r"tokenizer_config.json: tokenizer_class is 7, and the name of a class is wan"
    ):
        open_tokenizer(tmp_path)


def test_a_file_of_that_name_that_sentencepiece_does_not_know_is_none_of_its(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    save_qwen_tokenizer(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"IQ== 0\nIg== 1\n")  # as tiktoken's are
    assert open_tokenizer(tmp_path)(TEXT)["input_ids"] == Qwen2Tokenizer.from_pretrained(tmp_path)(TEXT)["input_ids"]
