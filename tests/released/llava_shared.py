"""What the makers and the tests of LLaVA's works share: a tokenizer's files, pictures by name, tensors in few numbers.

The makers run where Triptych is not installed, so nothing of it is imported here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.released.drawn import picture, weight

WORDS = (
    "system user assistant You Ġare Ġhelpful Ġassistant . What Ġis Ġin Ġthe Ġpicture ? Is Ġthis Ġthat Ġor Ġand "
    "Ġfirst Ġsecond Ġshows Ġa Ġdog Ġcat No Yes , ĊĊ ĠĠ ĉĉ Compare Ġwith Ġimage Image Ġof Ġtwo Ġthree :Ċ"
)
"""Words of a tokenizer, as GPT-2 spells bytes: each is made of its own merges, from left to right."""
NAMED = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
PICTURE = re.compile(r"(\d+)-(\d+)x(\d+)\.png$")


def save_qwen_tokenizer(folder: Path) -> int:
    """Write the tokenizer of Qwen 1.5 in small, as its checkpoints hold it; return how many tokens it has.

    Bytes have GPT-2's order, so that a line end is 198, which the released code writes as a number.
    """
    pieces = [_spelled(byte) for byte in _order()]
    merges: dict[tuple[str, str], None] = {}
    for word in WORDS.split():
        for at in range(1, len(word)):
            merges[word[:at], word[at]] = None
    vocabulary = {piece: number for number, piece in enumerate([*pieces, *dict.fromkeys("".join(m) for m in merges)])}
    said = {
        "add_prefix_space": False,
        "added_tokens_decoder": _added(NAMED, len(vocabulary)),
        "additional_special_tokens": list(NAMED[1:]),
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": NAMED[2],
        "errors": "replace",
        "model_max_length": 32768,
        "pad_token": NAMED[0],
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(said), encoding="utf-8")
    return len(vocabulary) + len(NAMED)


def save_llama_tokenizer(folder: Path, words: bytes, *, legacy: bool) -> None:
    """Write a tokenizer as Llama's checkpoints hold it: a SentencePiece model alone.

    Args:
        folder: to write into.
        words: the model.
        legacy: whether words behind a special token begin with a space.
    """
    said = {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": _added(("<unk>", "<s>", "</s>"), 0),
        "bos_token": "<s>",
        "clean_up_tokenization_spaces": False,
        "eos_token": "</s>",
        "legacy": legacy,
        "model_max_length": 2048,
        "pad_token": "<unk>",
        "padding_side": "right",
        "sp_model_kwargs": {},
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": "<unk>",
    }
    (folder / "tokenizer.model").write_bytes(words)
    (folder / "tokenizer_config.json").write_text(json.dumps(said), encoding="utf-8")


def said(*turns: str) -> list[dict[str, str]]:
    """Return turns by speaker and words."""
    return [{"from": ("human", "gpt")[at % 2], "value": value} for at, value in enumerate(turns)]


def row(name: str, image: str | list[str] | None, *turns: str, **more: str) -> dict[str, Any]:
    """Return a row as the released data have it."""
    return {"id": name, **({"image": image} if image else {}), **more, "conversations": said(*turns)}


def losses(model: Any, batch: Mapping[str, Any], length: int | None = None) -> list[object]:
    """Return a batch's loss, and the logits (the first so many) of its rows by position, padding too."""
    with torch.no_grad():
        told = model(**batch)
    return [told.loss.item(), [by_position(logits_TV[:, :length]) for logits_TV in told.logits]]


def draw(folder: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write the pictures that rows name, ``NUMBER-WIDTHxHEIGHT.png``, and frames in the folders of their videos."""
    for row in rows:
        named = row.get("image") or [f"{row['video']}/{number}-30x20.png" for number in range(12) if "video" in row]
        for name in [named] if isinstance(named, str) else named if isinstance(named, list) else []:
            sizes = PICTURE.search(str(name))
            assert sizes is not None
            path = folder / str(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            number, wide, high = (int(group) for group in sizes.groups())
            picture(number, wide, high).save(path if path.parent == folder else path.with_name(f"{number:03}.png"))


def folded(values: Tensor, count: int = 6) -> list[float]:
    """Return a tensor as a few numbers: the products with fixed random ones of its size."""
    flat = values.detach().double().flatten()
    return [float(number) for number in weight("folded", (count, len(flat))).double() @ flat]


def by_position(values_TX: Tensor) -> list[float]:
    """Return a number for each position: its values by fixed random ones."""
    return [
        float(number) for number in values_TX.detach().double() @ weight("told", (1, values_TX.shape[-1]))[0].double()
    ]


def _added(tokens: Sequence[str], first: int) -> dict[str, dict[str, object]]:
    rest = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {str(number): {"content": token, **rest} for number, token in enumerate(tokens, first)}


def _order() -> list[int]:
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [*printed, *(byte for byte in range(256) if byte not in printed)]


def _spelled(byte: int) -> str:
    order = _order()
    return chr(byte) if order.index(byte) < 188 else chr(256 + order.index(byte) - 188)
