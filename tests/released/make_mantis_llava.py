"""Writes ``mantis_llava.json``: what Mantis' own LLaVA does with tiny random weights.

Repository: github.com/TIGER-AI-Lab/Mantis at f3a319202d882a1794d28440b77bba7c58869a9e, its ``mantis/models/mllava``,
``mantis/models/conversation.py`` and ``mantis/train/data.py``. Run with Python 3.11, torch 2.13.0 (CPU), transformers
4.39.3 (the released checkpoints say 4.39.2), tokenizers 0.15.2, numpy 1.26.4, datasets 2.18.0, pyarrow 15.0.2,
Pillow 13.0.0. Empty modules stand for av and decord, which read videos. Attention is eager, as it alone looks through
Mistral's window there.

    PYTHONPATH=. python -m tests.released.make_mantis_llava CHECKOUT
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor

from tests.released import mantis_toys as toys
from tests.released.making import fill, rounded, shapes_of, stub, write

PX = 30
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": PX,
    "patch_size": 10,
}
WORDS = {
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
}
LLAMA_3 = "meta-llama/Meta-Llama-3-8B-Instruct"
KINDS: Mapping[str, tuple[str, str, Callable[[], Tokenizer]]] = {
    "clip_llama_3": ("clip", "llama", toys.llama_3),
    "siglip_llama_3": ("siglip", "llama", toys.llama_3),
    "clip_vicuna": ("clip", "llama", toys.llama_2),
    "clip_mistral": ("clip", "mistral", toys.llama_2),
}
"""Mantis-8B-clip-llama3, Mantis-8B-siglip-llama3, Mantis-llava-7b, Mantis-bakllava-7b."""
WINDOW = 40
"""Of Mistral; so short that a conversation is longer."""


def processor_of(kind: str, folder: Path) -> Any:
    """Save the processor as stage 1 does, and return it opened and saved as stage 2 does."""
    from mantis.models.mllava import MLlavaProcessor
    from transformers import CLIPImageProcessor, LlamaTokenizerFast, PreTrainedTokenizerFast, SiglipImageProcessor

    tower, _, made = KINDS[kind]
    if made is toys.llama_3:
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=made(),
            bos_token="<|begin_of_text|>",
            eos_token="<|end_of_text|>",
            clean_up_tokenization_spaces=True,
        )
    else:
        tokenizer = LlamaTokenizerFast(tokenizer_object=made())
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>", "<|pad|>"]})
    if made is not toys.llama_3:
        tokenizer.pad_token = "<|pad|>"
    if tower == "clip":
        images = CLIPImageProcessor(size={"shortest_edge": PX}, crop_size={"height": PX, "width": PX})
    else:
        images = SiglipImageProcessor(size={"height": PX, "width": PX})
    MLlavaProcessor(images, tokenizer).save_pretrained(folder)
    processor = MLlavaProcessor.from_pretrained(folder)
    processor.save_pretrained(folder)
    return processor


def network_of(kind: str, tokenizer: Any, folder: Path) -> Any:
    """Return the released network with drawn weights; its configuration is saved."""
    from mantis.models.mllava import LlavaConfig, LlavaForConditionalGeneration
    from transformers import CLIPVisionConfig, LlamaConfig, MistralConfig, SiglipVisionConfig

    tower, words, made = KINDS[kind]
    rows = (
        tokenizer.convert_tokens_to_ids("<|pad|>") + 1
    )  # stage 2 adds <unk> to Llama 3's tokenizer, not to the network
    text = {**WORDS, "vocab_size": rows}
    config = LlavaConfig(
        vision_config=(CLIPVisionConfig if tower == "clip" else SiglipVisionConfig)(**VISION),
        text_config=LlamaConfig(**text) if words == "llama" else MistralConfig(**text, sliding_window=WINDOW),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.convert_tokens_to_ids("<|pad|>"),
        vocab_size=rows,
        attn_implementation="eager",
        torch_dtype=torch.float32,
    )
    if made is toys.llama_3:
        config.text_config._name_or_path = LLAMA_3
    model = LlavaForConditionalGeneration(config)
    fill(model)
    model.save_pretrained(folder)
    return model.eval()


def laid(row: Any, image: int) -> dict[str, Any]:
    """Return a row of the dataset: its ids and where it is trained, but for images, whose labels forward drops."""
    ids, labels = row["input_ids"][0].tolist(), row["labels"][0].tolist()
    flags = [label != -100 and number != image for number, label in zip(ids, labels, strict=True)]
    assert all(label in (-100, number) for number, label in zip(ids, labels, strict=True))
    return {"ids": ids, "trained": toys.spans(flags)}


def trained(model: Any, processor: Any, row: Any) -> dict[str, Any]:
    """Return what training makes of a row of the dataset."""
    from mantis.train.data import Collator

    batch, told = dict(Collator(processor)([row])), {}
    if row["pixel_values"] is None:
        del batch["pixel_values"]  # the released code has no forward pass for it
    else:
        told["pixels"] = toys.projection(row["pixel_values"].flatten(1))
    told |= toys.learnt(model, batch, "language_model.model.layers.0.mlp.up_proj.weight")
    caught: list[Tensor] = []
    hook = model.multi_modal_projector.register_forward_hook(lambda _module, _args, made: caught.append(made))
    with torch.no_grad():
        told["logits"] = toys.projection(model(**batch).logits[0, :: toys.EVERY])
    hook.remove()
    return told | ({"features": toys.projection(torch.cat(caught))} if caught else {})


def together(model: Any, processor: Any, rows: Any, folder: Path) -> dict[str, Any]:
    """Return a forward pass over the first two conversations, padded by the processor."""
    texts, shown = [], []
    for number, chat in enumerate(toys.CHATS[:2]):
        rows.conv.messages = rows.conversations[number]
        texts.append(rows.conv.get_prompt())
        shown.append([Image.open(folder / name).convert("RGB") for name in chat["images"]])
    processor.tokenizer.pad_token = "<|pad|>"
    inputs = processor(text=texts, images=shown, padding=True)
    with torch.no_grad():
        logits = model(**inputs).logits[:, :: toys.EVERY]
    return {"mask": inputs["attention_mask"].sum(dim=1), "logits": toys.projection(logits)}


def made(kind: str, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a kind of model makes of the chats, and what its tokenizer alone does."""
    from mantis.models.conversation import conv_templates
    from mantis.models.mllava import chat_mllava
    from mantis.train import data

    home, llama_3 = folder / kind, KINDS[kind][2] is toys.llama_3
    processor = processor_of(kind, home)
    model = network_of(kind, processor.tokenizer, home)
    image = processor.tokenizer.convert_tokens_to_ids("<image>")
    data.set_default_image_token("<image>")
    data.set_default_image_token_id(image)
    words, chats, pair = {}, {}, {}
    for name in ("llama_3", "plain") if llama_3 else ("mllava_v1",):
        rows = data.ChatDataset(
            processor, str(folder / "train.json"), "json", "chats", "train", 4096, conv_templates[name], num_proc=None
        )
        pair = pair or together(model, processor, rows, folder)
        told = [str(row["id"]) for row in (*toys.CHATS, toys.SMALL)]
        read = {each: rows.getitem(at) for at, each in enumerate(told) if (name, each) != ("plain", "words")}
        words[name] = {each: laid(row, image) for each, row in read.items()}
        chats[name] = {each: trained(model, processor, row) for each, row in read.items()}
    files = {file.name: file.read_text() for file in sorted(home.glob("*.json"))}
    mine = {file: files.pop(file) for file in list(files) if "token" in file}
    shapes = list(shapes_of(model).items())
    talk = toys.talk(chat_mllava, model, processor, folder)
    told = {"words": "llama_3" if llama_3 else "llama_2", "files": files, "weights": shapes}
    return told | {"chats": chats, "together": pair, "talk": talk}, {"files": mine, "chats": words}


def main(checkout: str) -> None:
    """Run the released code."""
    sys.path.insert(0, checkout)
    stub("av", "decord")
    told: dict[str, Any] = {"words": {}, "models": {}}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        toys.draw(folder)
        for kind in KINDS:
            model, words = made(kind, folder)
            told["models"][kind] = model
            assert told["words"].setdefault(model["words"], words) == words
    write("mantis_llava", rounded(told), ascii_alone=False)


if __name__ == "__main__":
    main(sys.argv[1])
