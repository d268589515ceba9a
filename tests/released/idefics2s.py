"""Tiny folders in the layout of Idefics2's checkpoints: made alike for the released code and for ours.

Imports nothing of either. Two tokenizers in the manner of Mistral's: ``prepend`` writes a space before the words behind
every special token, ``first`` before the first words alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.released import drawn
from tests.released.making import fill, rounded
from tests.released.toy_tokenizers import BYTES, LETTERS, SPACE, numbered

FAKE, IMAGE, STOP = "<fake_token_around_image>", "<image>", "<end_of_utterance>"
MERGES = (
    "h e", "t h", "i n", "a n", "e r", f"{SPACE} t", "o n", "r e", f"{SPACE} a", f"{SPACE}t he", f"{SPACE} w",
    f"{SPACE} i", "i s", "s e", "U se", "Use r", f"{SPACE} Use", f"{SPACE}Use r", "A s", "s i", "As si", "an t", "s t",
    "Assi st", "Assist ant", f"{SPACE} Assist", f"{SPACE}Assist ant", ": Y", "e s", f"{SPACE}i s", "u e", "l i", "t y",
    "1 .",
)  # fmt: skip
SCORED: dict[str, Any] = {
    "architectures": ["Idefics2ForSequenceClassification"],
    "problem_type": "regression",
    "id2label": {str(number): f"LABEL_{number}" for number in range(5)},
    "label2id": {f"LABEL_{number}": number for number in range(5)},
}
"""What ``config.json`` of a checkpoint for five scores says besides."""
TEXT = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
IMAGES = {
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_pad": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "rescale_factor": 0.00392156862745098,
}
"""What Idefics3 has in common."""
PATCH, SIDES, LATENTS = 14, {"shortest_edge": 28, "longest_edge": 70}, 4


def vocabulary() -> dict[str, int]:
    """Return pieces and their ids: marks, bytes, characters, what merges make."""
    characters = [SPACE, *LETTERS, "\n", "é"]
    pieces = ["<unk>", "<s>", "</s>", *BYTES, *characters, *(merge.replace(" ", "") for merge in MERGES)]
    return numbered(dict.fromkeys(pieces))


def specials() -> dict[str, int]:
    """Return the tokens that stand behind the vocabulary, as in Idefics2."""
    return {token: len(vocabulary()) + number for number, token in enumerate((FAKE, IMAGE, STOP))}


def write_tokenizer(folder: Path, *, spaces: str) -> None:
    """Write a BPE of characters with bytes behind it, as Mistral's."""
    added = {"<unk>": 0, "<s>": 1, "</s>": 2, **specials()}
    entry = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    first = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": False}
    begin = [{"SpecialToken": {"id": "<s>", "type_id": 0}}]
    one, two = ({"Sequence": {"id": name, "type_id": number}} for number, name in enumerate("AB"))
    decoders = [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]
    made = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": token, **entry} for token, number in added.items()],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, replace]}
        if spaces == "prepend"
        else None,
        "pre_tokenizer": first if spaces == "first" else None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [*begin, one],
            "pair": [*begin, one, {"SpecialToken": {"id": "<s>", "type_id": 1}}, two],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocabulary(),
            "merges": list(MERGES),
        },
    }
    said = {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": {str(number): {"content": token, **entry} for token, number in added.items()},
        "additional_special_tokens": [FAKE, IMAGE, STOP],
        "bos_token": "<s>",
        "clean_up_tokenization_spaces": False,
        "eos_token": "</s>",
        "legacy": spaces == "prepend",
        "model_max_length": 1000000000000000019884624838656,
        "pad_token": "<unk>",
        "spaces_between_special_tokens": False,
        "tokenizer_class": "LlamaTokenizer",
        "truncation_side": "left",
        "unk_token": "<unk>",
        "use_default_system_prompt": True,
    }
    _write(folder / "tokenizer.json", made)
    _write(folder / "tokenizer_config.json", said)


def write_folder(folder: Path, *, spaces: str = "prepend", split: bool = False, **more: Any) -> Path:
    """Write all but the weights.

    Args:
        folder: made if need be.
        spaces: of the tokenizer.
        split: what the image processor says of splitting.
        more: keys of ``config.json``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder, spaces=spaces)
    _write(folder / "config.json", config(**more))
    images = {
        **IMAGES,
        "do_image_splitting": split,
        "image_processor_type": "Idefics2ImageProcessor",
        "processor_class": "Idefics2Processor",
        "resample": 2,
        "size": SIDES,
    }
    _write(folder / "preprocessor_config.json", images)
    _write(folder / "processor_config.json", {"image_seq_len": LATENTS, "processor_class": "Idefics2Processor"})
    return folder


def config(**more: Any) -> dict[str, Any]:
    """Return a tiny Idefics2's ``config.json`` with the keys of the released ones."""
    text = {
        **TEXT,
        "model_type": "mistral",
        "vocab_size": len(vocabulary()) + len(specials()),
        "pad_token_id": 0,
        "rms_norm_eps": 1e-05,
    }
    vision = {**TOWER, "model_type": "idefics2", "image_size": SIDES["longest_edge"], "patch_size": PATCH}
    perceiver = {
        "model_type": "idefics2",
        "hidden_size": 48,
        "resampler_n_latents": LATENTS,
        "resampler_depth": 2,
        "resampler_n_heads": 4,
        "resampler_head_dim": 12,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-05,
    }
    plain = {
        "architectures": ["Idefics2ForConditionalGeneration"],
        "image_token_id": specials()[IMAGE],
        "model_type": "idefics2",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "transformers_version": "4.40.0",
        "use_cache": True,
    }
    return {**plain, "text_config": text, "vision_config": vision, "perceiver_config": perceiver, **more}


def write_weights(folder: Path, shapes: Mapping[str, Sequence[int]]) -> None:
    """Write drawn weights of these names and shapes."""
    drawn.save_weights(folder, shapes.items())


def eager(network: Any, config: Any) -> tuple[Any, dict[str, list[int]]]:
    """Return a network of the released code with drawn weights, and their shapes."""
    config._attn_implementation = "eager"
    made = network(config).eval()
    return made, fill(made)


def chats_of(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows (id, numbers of images, what is said) as Mantis' JSON has them."""
    made = []
    for row in rows:
        turns = [{"role": ("user", "assistant")[at % 2], "content": said} for at, said in enumerate(row["said"])]
        made.append({"id": row["id"], "images": [f"pictures/{at}.png" for at in row["images"]], "conversation": turns})
    return made


def write_chats(folder: Path, made: Mapping[str, Any]) -> Path:
    """Write the pictures and chats that a maker's JSON tells of; return the file of chats."""
    write_pictures(folder / "pictures", made["sizes"])
    chat = folder / "chat.json"
    chat.write_text(json.dumps(made["chats"]))
    return chat


def write_pictures(folder: Path, sizes: Sequence[Sequence[int]]) -> None:
    """Write drawn pictures ``0.png``, ``1.png`` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (width, height) in enumerate(sizes):
        drawn.picture(number, width, height).save(folder / f"{number}.png")


def seen(values: Tensor, count: int = 3) -> list[float]:
    """Return a few numbers that change with each of the values."""
    return seen_rows(values.flatten()[None], count)[0]


def seen_rows(values: Tensor, count: int = 2) -> list[list[float]]:
    """Return a few numbers of each row, the rows along the last axis."""
    rows = values.detach().double().flatten(0, -2)
    lines = drawn.weight("lines", (count, rows.shape[-1])).double()
    found: list[list[float]] = rounded(rows @ lines.T)
    return found


def same(found: Any, expected: Any) -> None:
    """Assert that numbers are those that the released code gave."""
    torch.testing.assert_close(torch.as_tensor(found), torch.as_tensor(expected), rtol=1e-4, atol=1e-4)


def _write(path: Path, made: object) -> None:
    path.write_text(json.dumps(made, indent=1))
