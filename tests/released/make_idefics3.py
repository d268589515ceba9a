"""Write ``idefics3.json``: what the released code of Mantis makes of conversations on a tiny Idefics3.

Run by an environment that has it, from this repository's root:
``PYTHONPATH=. python -m tests.released.make_idefics3 CHECKOUT``, the last a checkout of TIGER-AI-Lab/Mantis at f3a3192.
Made with torch 2.13.0 (CPU), transformers 4.45.2, datasets 2.18.0. Stubbed: av and decord, which nothing here reads.
Called there: ``mantis.train.data.ChatDataset``, ``mantis.models.idefics3``; and what ``train_idefics3`` says in lines:
the longest side is a number of tiles, and the image token's id is that of what is not learnt. Its processor fails on
words alone, and its dataset shows the next row instead.
"""

from __future__ import annotations

import sys
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.released.idefics2s import IMAGE, chats_of, eager, seen_rows, write_chats
from tests.released.idefics3s import TILE, write_folder
from tests.released.making import rounded, stub, write

SIZES = [(70, 50), (33, 64), (52, 52), (300, 40), (20, 17)]
ROWS: list[dict[str, Any]] = [
    {"id": "one", "images": [0], "said": ["<image>What is this?", "It is the cat."]},
    {"id": "among words", "images": [1, 2], "said": ["Is <image> like <image>? Say.", "Yes"]},
    {"id": "turns", "images": [3, 4], "said": ["Look: <image><image> and", " Two.", "And this?", "1. Red\n2. Blue é"]},
    {"id": "lines", "images": [2, 0], "said": ["<image>\n<image>\n\nWhich?", "The last"]},
]


def main(checkout: str) -> None:
    """Make all cases and write them."""
    sys.path.insert(0, checkout)
    stub("av", "decord")
    made: dict[str, Any] = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "sizes": SIZES,
        "chats": chats_of(ROWS),
    }
    found = {}
    with tempfile.TemporaryDirectory() as place:
        where = Path(place)
        chat = write_chats(where, made)
        for tiles in (1, 2):
            folder = write_folder(where / str(tiles), longest=tiles * TILE)
            found[str(tiles)] = case(folder, chat)
    shapes = [each.pop("weights") for each in found.values()]
    write("idefics3", {**made, "weights": shapes[0], "cases": found})


def case(folder: Path, chat: Path) -> dict[str, Any]:
    """Return what a folder's model makes of every conversation."""
    from mantis.models.idefics3.configuration_idefics3 import Idefics3Config
    from mantis.models.idefics3.image_processing_idefics3 import Idefics3ImageProcessor
    from mantis.models.idefics3.modeling_idefics3 import Idefics3ForConditionalGeneration
    from mantis.models.idefics3.processing_idefics3 import Idefics3Processor
    from mantis.train import data
    from mantis.train.conversation import conv_templates

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.truncation_side = "right"
    processor = Idefics3Processor(Idefics3ImageProcessor.from_pretrained(folder), tokenizer)
    config = Idefics3Config.from_pretrained(folder)
    network, shapes = eager(Idefics3ForConditionalGeneration, config)
    data.set_ignore_index(network.image_token_id)
    data.set_default_image_token(tokenizer.decode(network.image_token_id))
    data.set_default_image_token_id(network.image_token_id)
    rows = data.ChatDataset(
        processor, str(chat), "json", "chat", "train", 4096, conv_templates["idefics_3"], num_proc=1
    )
    made: dict[str, Any] = {"weights": shapes, "rows": []}
    for number in range(len(ROWS)):
        batch = rows.getitem(number)
        with torch.no_grad():
            found = network(**batch)
        (ids,), (labels,) = batch["input_ids"].tolist(), batch["labels"].tolist()
        image = tokenizer.convert_tokens_to_ids(IMAGE)
        words = [at for at, each in enumerate(ids) if each != image]
        row = {"runs": [[each, len(list(run))] for each, run in groupby(ids)]}
        row |= {"learnt": [at for at, label in enumerate(labels) if label != image]}
        row |= {"loss": rounded(found.loss), "logits": seen_rows(found.logits[0, words])}
        if "pixel_values" in batch:
            row["pixels"] = seen_rows(batch["pixel_values"][0].flatten(1), 3)
            row["features"] = seen_rows(found.image_hidden_states.flatten(1), 3)
        made["rows"].append(row)
    return made


if __name__ == "__main__":
    main(sys.argv[1])
