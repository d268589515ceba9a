"""What the makers and tests of Mantis share: chats, their pictures, tokenizers of three kinds, rounded numbers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from torch import Tensor

from tests.released.drawn import picture, weight

SIZES = {"a": (40, 30), "b": (33, 57), "c": (97, 20), "d": (31, 31), "e": (21, 64), "small": (12, 9)}
"""Width and height of each picture; each has a number of its own: its place in this list."""

SAID: Mapping[str, tuple[str, Sequence[str]]] = {
    "one": ("a", ["<image> What is in it?", "A red wave."]),
    "two": ("ab", ["Is <image> older than <image>?", "The second one is.\nNo doubt."]),
    "turns": (
        "bcda",
        ["Look: <image>", "Yes.", "And <image><image>, are they alike?", "No!", "Or <image>?", " It is."],
    ),
    "four": ("ebda", ["<image><image> and\n<image>, <image>: which is wide?", "image 2 (the second)."]),
    "last": ("c", ["What is shown in <image>", "Waves"]),
    "caption": ("cab", ["<image>\nTell me.", "Waves of red, and <none> of blue"]),
    "reply": ("ab", ["Which one is wide?", "This one: <image> and not <image>."]),
    "unmarked": ("ab", ["Are these alike?", "No.", "Why?", "\n\nOne is   red. "]),
    "foreign": ("d", ["Qu'est-ce <image> ? 猫 \t ", "C'est l'été 🌊."]),
    "words": ("", ["What is two and two?", "Four.", "And three?", "Six"]),
}
CHATS = [
    {
        "id": name,
        "images": [f"{each}.png" for each in images],
        "conversation": [
            {"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(texts)
        ],
    }
    for name, (images, texts) in SAID.items()
]
"""As Mantis' files have them; ``unmarked`` has images and no marks."""
SMALL = {
    "id": "small",
    "images": ["small.png"],
    "conversation": [{"role": "user", "content": "<image>?"}, {"role": "assistant", "content": "Small."}],
}
"""A picture below 16 pixels, which Mantis' training enlarges first."""
TALK = [("Look: <image> and?", "a"), ("Is <image> alike?", "ab"), ("Why?", "ab"), ("<image><image>!", "abcd")]
"""What is said to a chat turn by turn, and the pictures of all turns so far."""
REPLY = 8
"""Tokens of a chat's reply."""
EVERY = 3
"""Logits of every so many positions are kept."""


def draw(folder: Path) -> None:
    """Write the pictures, and the chats as one file of Mantis' kind."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, size) in enumerate(SIZES.items()):
        picture(number, *size).save(folder / f"{name}.png")
    (folder / "train.json").write_text(json.dumps([*CHATS, SMALL]))


def stub(*names: str) -> None:
    """Put empty modules where released code imports what it does not use here."""
    for name in names:
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        sys.modules[name] = module


# Tokenizers.

MARKS_OF_LLAMA_3 = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
LLAMA_3_CUTS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
WORDS = (
    "system",
    "user",
    "assistant",
    " image",
    "image",
    " the",
    " is",
    " second",
    "USER",
    "ASSISTANT",
    "Image",
    " red",
)


def _joined(words: Iterable[str]) -> list[tuple[str, str]]:
    """Return merges that make each word one token, from its front."""
    merges = {(word[:at], word[at]): None for word in words for at in range(1, len(word))}
    return list(merges)


def llama_3() -> Tokenizer:
    """Return bytes and a few words in Llama 3's manner: its cuts, line ends in pairs, its marks behind the words."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [word.replace(" ", "Ġ") for word in WORDS]
    merges = _joined([*words, "ĊĊ", "ĠĠ", ".Ċ"])
    vocabulary = {token: number for number, token in enumerate([*alphabet, *(a + b for a, b in merges)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    cuts = pre_tokenizers.Split(Regex(LLAMA_3_CUTS), "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cuts, level])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in MARKS_OF_LLAMA_3])
    return tokenizer


def llama_2() -> Tokenizer:
    """Return pieces with bytes for the rest in Llama 2's manner: a space before each run of words."""
    letters = [chr(code) for code in range(33, 127)] + ["▁"]
    words = ["▁" + word.strip() for word in WORDS] + ["ASSISTANT", "USER", "image", "▁▁"]
    merges = _joined(words)
    control = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokens = dict.fromkeys([*control, *letters, *(a + b for a, b in merges)])
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    _spaced(tokenizer)
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in control[:3]])
    return tokenizer


def fuyu() -> Tokenizer:
    """Return pieces with scores in Fuyu's manner: its marks are pieces, a space before each run of words."""
    marks = [
        "<unk>",
        "<s>",
        "</s>",
        "|ENDOFTEXT|",
        "|SPEAKER|",
        "|NEWLINE|",
        *(f"<0x{byte:02X}>" for byte in range(256)),
    ]
    words = ["▁", *("▁" + word.strip() for word in WORDS), "ASSISTANT", "USER", "image", "SPEAKER", "▁▁"]
    scored = [(mark, 0.0) for mark in marks] + [(word, -3.0) for word in dict.fromkeys(words)]
    scored += [(chr(code), -6.0) for code in range(33, 127)] + [("\n", -6.0)]
    tokenizer = Tokenizer(models.Unigram(scored, 0, True))
    _spaced(tokenizer)
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks[:4]])
    return tokenizer


def _spaced(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(parts)


# Numbers.


def projection(values: Tensor, name: str = "projection") -> Tensor:
    """Return one number for each vector: its product with a drawn one."""
    return values.detach().float() @ weight(name, (1, values.shape[-1]))[0]


def spans(flags: Sequence[bool]) -> list[list[int]]:
    """Return [start, stop) of each run of what is true."""
    edges = [at for at in range(len(flags) + 1) if (at > 0 and flags[at - 1]) != (at < len(flags) and flags[at])]
    return [list(edge) for edge in zip(edges[::2], edges[1::2], strict=True)]


def rounded(values: Any) -> Any:
    """Return numbers with six significant digits, as JSON holds them."""
    if isinstance(values, Tensor):
        return rounded(values.tolist())
    if isinstance(values, dict):
        return {name: rounded(each) for name, each in values.items()}
    if isinstance(values, list):
        return [rounded(each) for each in values]
    return float(f"{values:.6g}") if isinstance(values, float) else values


def write(told: Mapping[str, Any], file: Path) -> None:
    """Write a maker's JSON."""
    file.write_text(json.dumps(rounded(dict(told)), ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
