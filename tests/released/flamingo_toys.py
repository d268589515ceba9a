"""Toy tokenizers of the makers and tests of Flamingos and OtterHD: in the manner of Llama, GPT-NeoX (MPT) and Fuyu.

And files of MIMIC-IT rows, and sums of logits. tokenizers and transformers are all it needs beside ``drawn``.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from tests.released import toy_tokenizers
from tests.released.drawn import picture, weight
from tests.released.toy_tokenizers import BYTES, LETTERS, SPACE

FLAMINGO_TOKENS = ("<|endofchunk|>", "<image>", "<answer>")
"""What Otter's network adds to its language model's tokenizer, in its order. OpenFlamingo adds the first two."""
PAD = "<PAD>"
PAIRS = ("U s", "e r", "Us er", "User :", "P T", "s w", "sw er", ": (", "? !", "i s", "t h", "th e")
"""Merges beside those of words with a space in front: a colon joins what stands behind it."""


def toy_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """Return ``llama``: spaces are letters, one before each run of words; or ``neox``: bytes, no token of its own."""
    llama = kind == "llama"
    space = SPACE if llama else "\u0120"
    first = ("<unk>", "<s>", "</s>", *BYTES) if llama else ("<|endoftext|>",)
    letters = [space, *LETTERS] if llama else sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [(left, right) for left, right in map(str.split, PAIRS)]
    merges += [(space, "G"), (space + "G", "PT"), (space, "is"), (space, "the"), (space, "a"), (space, "c")]
    words = (*first, *letters, *(left + right for left, right in merges))
    begin, end = ("<s>", "</s>") if llama else ("<|endoftext|>", "<|endoftext|>")
    if llama:
        tokenizer = toy_tokenizers.llama_2(words, merges, (begin, end))
    else:
        tokenizer = Tokenizer(models.BPE(toy_tokenizers.numbered(words), merges))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        toy_tokenizers.mark(tokenizer, [begin])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=begin, eos_token=end, clean_up_tokenization_spaces=False
    )


def fuyu_tokenizer() -> PreTrainedTokenizerFast:
    """Return pieces with scores in Fuyu's manner."""
    words = [SPACE, *(SPACE + word for word in ("User", "Assistant", "a", "the", "cat")), "User", "ing", "cat"]
    tokenizer = toy_tokenizers.fuyu(words, ["\n", *LETTERS])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="|ENDOFTEXT|", eos_token="|ENDOFTEXT|")


def png_of(number: int, width: int, height: int) -> str:
    """Return a drawn picture as MIMIC-IT and MMC4 hold it: a PNG file in base 64."""
    file = io.BytesIO()
    picture(number, width, height).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def write_instructions(folder: Path, rows: Mapping[str, Any], groups: Mapping[str, Any]) -> Path:
    """Write rows of (question, answer, pictures, context), and a context file for each batch; return the rows' file."""
    told = {
        name: {"instruction": asked, "answer": answer, "image_ids": images, "rel_ins_ids": context}
        for name, (asked, answer, images, context) in rows.items()
    }
    for name, (*_, names) in groups.items():
        (folder / f"{name}_train.json").write_text(json.dumps({row: rows[row][3] for row in names}))
    path = folder / "X_instructions.json"
    path.write_text(json.dumps({"data": told}))
    return path


def projected(logits_BTV: Tensor) -> Tensor:
    """Return logits as the makers keep them: two fixed sums at each position."""
    return logits_BTV @ weight("basis", (2, logits_BTV.shape[-1])).T
