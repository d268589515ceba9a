"""A tiny folder in the layout of Idefics3's checkpoints: made alike for the released code and for ours.

Imports nothing of either. The tower's patches are 2 pixels: Mantis' processor writes 169 image tokens for any tile.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, processors

from tests.released.idefics2s import FAKE, IMAGE, IMAGES, STOP, TEXT, TOWER
from tests.released.toy_tokenizers import llama_3

WHOLE = "<global-img>"
BEGIN = "<|begin_of_text|>"
TILE = 52
MERGES = (("Ċ", "Ċ"), ("t", "h"), ("Ġ", "t"), ("i", "s"), ("Ġ", "a"), ("A", "s"), (":", "Y"), (".", "Ċ"), ("?", "Ċ"))


def tokenizer() -> Tokenizer:
    """Return a byte-level BPE in Llama 3's manner, with Idefics3's marks."""
    places = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    marks = (BEGIN, "<|end_of_text|>", "<|pad|>", FAKE, IMAGE, STOP, WHOLE, *places)
    made = llama_3(MERGES, marks)
    begin = made.token_to_id(BEGIN)
    made.post_processor = processors.TemplateProcessing(f"{BEGIN} $A", special_tokens=[(BEGIN, begin)])
    return made


def write_folder(folder: Path, *, longest: int) -> Path:
    """Write all but the weights; ``longest`` is the side in pixels that every picture is brought to."""
    folder.mkdir(parents=True, exist_ok=True)
    made = tokenizer()
    made.save(str(folder / "tokenizer.json"))
    text = {
        **TEXT,
        "model_type": "llama",
        "vocab_size": made.get_vocab_size(),
        "pad_token_id": made.token_to_id("<|pad|>"),
        "bos_token_id": made.token_to_id(BEGIN),
        "eos_token_id": made.token_to_id("<|end_of_text|>"),
    }
    vision = {**TOWER, "model_type": "idefics3", "image_size": TILE, "patch_size": TILE // 26}
    config: dict[str, Any] = {
        "architectures": ["Idefics3ForConditionalGeneration"],
        "model_type": "idefics3",
        "image_token_id": made.token_to_id(IMAGE),
        "scale_factor": 2,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "use_cache": False,
        "text_config": text,
        "vision_config": vision,
    }
    images = {
        **IMAGES,
        "do_image_splitting": True,
        "image_processor_type": "Idefics3ImageProcessor",
        "max_image_size": {"longest_edge": TILE},
        "processor_class": "Idefics3Processor",
        "resample": 1,
        "size": {"longest_edge": longest},
        "vision_encoder_max_size": TILE,
    }
    words = {
        "bos_token": BEGIN,
        "eos_token": "<|end_of_text|>",
        "pad_token": "<|pad|>",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 4096,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "truncation_side": "left",
    }
    whole = {"processor_class": "Idefics3Processor", "image_seq_len": 169}
    files = {"config": config, "preprocessor_config": images, "tokenizer_config": words, "processor_config": whole}
    for name, said in files.items():
        (folder / f"{name}.json").write_text(json.dumps(said, indent=1))
    return folder
