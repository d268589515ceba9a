"""A tokenizer of the kind that Fuyu-8B was released with, folders as they are on the hub, pictures of chosen sizes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from triptych.core.records import ImageRef
from triptych.data.media.images import measure
from triptych.data.template import find_template
from triptych.models.families.fuyu import teach, tiny

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
PIECES = ("▁", "▁Yes", "▁ASSISTANT", "ASSISTANT", "▁USER", "▁image", "image", "▁older", "older", "▁a", "ing", "SPEAKER")


def published_tokenizer(*more: str) -> PreTrainedTokenizerFast:
    """Return a small tokenizer of Fuyu-8B's kind: pieces with scores, marks among them, a space before all words.

    Args:
        more: tokens that were added to it later.
    """
    control = ["<unk>", "<s>", "</s>", "|ENDOFTEXT|", "|SPEAKER|", "|NEWLINE|", *BYTES]
    scored = [(piece, 0.0) for piece in control] + [(piece, -3.0) for piece in PIECES]
    scored += [(chr(code), -6.0) for code in range(33, 127)] + [("\n", -6.0)]
    tokenizer = Tokenizer(models.Unigram(scored, 0, True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    known = ("<unk>", "<s>", "</s>", "|ENDOFTEXT|", *more)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in known])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="|ENDOFTEXT|", eos_token="|ENDOFTEXT|")


def taught(template: str) -> PreTrainedTokenizerBase:
    tokenizer = published_tokenizer("|IMAGE|", "|ENDOFIMAGE|")
    teach(tokenizer, find_template(template))
    return tokenizer


def published_model(folder: Path, *, template: str | None, added: Sequence[str] = ()) -> Path:
    """Write a folder as they are on the hub: its tokenizer as above, no chat template."""
    model, tokenizer = tiny(0), published_tokenizer(*added)
    model.network.resize_token_embeddings(len(tokenizer))
    model.network.config.image_token_id = tokenizer.convert_tokens_to_ids("|SPEAKER|")
    model.network.save_pretrained(folder)
    model.processor.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if template is not None:
        (folder / "triptych.json").write_text(json.dumps({"template": template}))
    return folder


def picture(folder: Path, width: int, height: int, *, name: str = "drawn") -> ImageRef:
    generator = torch.Generator().manual_seed(width * 1000 + height)
    pixels = torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)
    path = folder / f"{name}-{width}-{height}.png"
    Image.fromarray(pixels.numpy()).save(path)
    return measure(ImageRef(str(path)))
