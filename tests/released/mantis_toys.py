"""What the makers and tests of Mantis share: chats, their pictures, tokenizers of three kinds, numbers of vectors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor

from tests.released import toy_tokenizers
from tests.released.drawn import picture, weight
from tests.released.toy_tokenizers import BYTES, LETTERS

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


# Tokenizers.

MARKS_OF_LLAMA_3 = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
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
    """Return bytes and a few words, line ends in pairs."""
    words = [word.replace(" ", "Ġ") for word in WORDS]
    return toy_tokenizers.llama_3(_joined([*words, "ĊĊ", "ĠĠ", ".Ċ"]), MARKS_OF_LLAMA_3)


def llama_2() -> Tokenizer:
    """Return letters and a few words."""
    merges = _joined(["▁" + word.strip() for word in WORDS] + ["ASSISTANT", "USER", "image", "▁▁"])
    control = ("<unk>", "<s>", "</s>")
    tokens = dict.fromkeys([*control, *BYTES, *LETTERS, "▁", *(left + right for left, right in merges)])
    return toy_tokenizers.llama_2(tokens, merges, control)


def fuyu() -> Tokenizer:
    """Return letters, line ends and a few words."""
    words = ["▁", *("▁" + word.strip() for word in WORDS), "ASSISTANT", "USER", "image", "SPEAKER", "▁▁"]
    return toy_tokenizers.fuyu(words, [*LETTERS, "\n"])


# Numbers.


def projection(values: Tensor, name: str = "projection") -> Tensor:
    """Return one number for each vector: its product with a drawn one."""
    return values.detach().float() @ weight(name, (1, values.shape[-1]))[0]


def spans(flags: Sequence[bool]) -> list[list[int]]:
    """Return [start, stop) of each run of what is true."""
    edges = [at for at in range(len(flags) + 1) if (at > 0 and flags[at - 1]) != (at < len(flags) and flags[at])]
    return [list(edge) for edge in zip(edges[::2], edges[1::2], strict=True)]


# What released code makes of them.


def learnt(model: Any, batch: Mapping[str, Any], watched: str) -> dict[str, Any]:
    """Return the loss of a batch as training computes it, and a number of its gradient at a weight."""
    model.train()
    out = model(**batch)
    gradient = torch.autograd.grad(out.loss, model.get_parameter(watched))[0]
    model.eval()
    return {"loss": out.loss.item(), "gradient": projection(gradient.flatten()[None])[0]}


def talk(chat: Any, model: Any, processor: Any, folder: Path) -> list[dict[str, Any]]:
    """Return a talk's turns by a chat of the released code: ids that go in, ids that come out, what is said."""
    generate, seen = model.generate, []

    def listening(**inputs: Any) -> Tensor:
        out: Tensor = generate(**inputs)
        seen.append((inputs["input_ids"][0].tolist(), out[0, inputs["input_ids"].shape[1] :].tolist()))
        return out

    model.generate = listening
    history, turns = None, []
    for text, images in TALK:
        shown = [Image.open(folder / f"{name}.png").convert("RGB") for name in images]
        said, history = chat(
            text, shown, model, processor, history=history, max_new_tokens=REPLY, do_sample=False, num_beams=1
        )
        prompt, reply = seen[-1]
        turns.append({"text": text, "images": images, "prompt": prompt, "reply": reply, "said": said})
    del model.generate
    return turns
