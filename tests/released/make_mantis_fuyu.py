"""Writes ``mantis_fuyu.json``: what Mantis' own Fuyu does with tiny random weights.

Repository: github.com/TIGER-AI-Lab/Mantis at f3a319202d882a1794d28440b77bba7c58869a9e, its ``mantis/models/mfuyu``,
``mantis/models/conversation.py`` and ``mantis/train/data.py``. Run with Python 3.11, torch 2.13.0 (CPU), transformers
4.39.3, tokenizers 0.15.2, numpy 1.26.4, datasets 2.18.0, pyarrow 15.0.2, Pillow 13.0.0. Empty modules stand for av and
decord, which read videos; flash_attn is not there, and attention is eager.

    PYTHONPATH=. python -m tests.released.make_mantis_fuyu CHECKOUT
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from tests.released import mantis_toys as toys
from tests.released.making import fill, rounded, shapes_of, stub, write

SIZE = {"height": 40, "width": 60}
PATCH = {"height": 10, "width": 10}
WORDS = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 2048,
    "image_size": 60,
    "patch_size": 10,
}
WATCHED = "language_model.model.layers.0.mlp.dense_h_to_4h.weight"
TOGETHER = (["one", "turns"], ["four", "last", "foreign"])
"""Conversations of a padded batch."""


def processor_of(folder: Path) -> Any:
    """Return the processor opened as training does, which adds two tokens; saved as training saves it."""
    from mantis.models.mfuyu import MFuyuProcessor
    from transformers import FuyuImageProcessor, FuyuProcessor, LlamaTokenizerFast

    end = "|ENDOFTEXT|"
    tokenizer = LlamaTokenizerFast(
        tokenizer_object=toys.fuyu(),
        bos_token=end,
        eos_token=end,
        add_bos_token=False,
        clean_up_tokenization_spaces=False,
    )
    FuyuProcessor(FuyuImageProcessor(size=SIZE, patch_size=PATCH), tokenizer).save_pretrained(folder)
    processor = MFuyuProcessor.from_pretrained(folder)
    processor.save_pretrained(folder)
    return processor


def network_of(tokenizer: Any, folder: Path) -> Any:
    """Return the released network with drawn weights; its configuration is saved."""
    from mantis.models.mfuyu import MFuyuForCausalLM
    from transformers import FuyuConfig

    config = FuyuConfig(**WORDS, vocab_size=len(tokenizer), attn_implementation="eager", torch_dtype=torch.float32)
    model = MFuyuForCausalLM(config)
    fill(model)
    model.save_pretrained(folder)
    return model.eval()


def logits(model: Any, batch: dict[str, Any]) -> Any:
    """Return a number for every few positions."""
    with torch.no_grad():
        return toys.projection(model(**batch).logits[:, :: toys.EVERY])


def trained(model: Any, processor: Any, row: Any) -> dict[str, Any]:
    """Return a row of the dataset, and what training makes of it."""
    from mantis.train.data import Collator

    ids, labels = row["input_ids"][0].tolist(), row["labels"][0].tolist()
    assert all(label in (-100, number) for number, label in zip(ids, labels, strict=True))
    places = row["image_patches_indices"][0, : len(ids)]
    at = (places >= 0).nonzero().flatten()
    batch = dict(Collator(processor)([row]))
    patches = row["image_patches"].flatten(0, -2)[places[at].long()].float()
    return {
        "ids": ids,
        "trained": toys.spans([label != -100 for label in labels]),
        "patches": toys.projection(patches),
        "tokens": toys.projection(model.vision_embed_tokens(patches)),
        "logits": logits(model, batch)[0],
        **toys.learnt(model, batch, WATCHED),
    }


def made(folder: Path) -> dict[str, Any]:
    """Return what Mantis' Fuyu makes of the chats."""
    from mantis.models.conversation import conv_mfuyu_v1
    from mantis.models.mfuyu import chat_mfuyu
    from mantis.train import data

    home = folder / "fuyu"
    processor = processor_of(home)
    model = network_of(processor.tokenizer, home)
    data.set_default_image_token("<image>")
    data.set_default_image_token_id(processor.tokenizer.convert_tokens_to_ids("|SPEAKER|"))
    rows = data.ChatDataset(
        processor, str(folder / "train.json"), "json", "chats", "train", 4096, conv_mfuyu_v1, num_proc=None
    )
    read = {str(chat["id"]): rows.getitem(at) for at, chat in enumerate((*toys.CHATS, toys.SMALL))}
    together = []
    for names in TOGETHER:
        batch = dict(data.Collator(processor)([read[name] for name in names]))
        together.append({"rows": names, "logits": logits(model, batch), **toys.learnt(model, batch, WATCHED)})
    return {
        "files": {file.name: file.read_text() for file in sorted(home.glob("*.json"))},
        "weights": list(shapes_of(model).items()),
        "chats": {name: trained(model, processor, row) for name, row in read.items()},
        "together": together,
        "talk": toys.talk(chat_mfuyu, model, processor, folder),
    }


def main(checkout: str) -> None:
    """Run the released code."""
    sys.path.insert(0, checkout)
    stub("av", "decord")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        toys.draw(folder)
        write("mantis_fuyu", rounded(made(folder)), ascii_alone=False)


if __name__ == "__main__":
    main(sys.argv[1])
