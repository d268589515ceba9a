"""Write ``idefics2.json``: what the released code of Mantis makes of conversations on a tiny Idefics2.

Run by an environment that has it, from this repository's root:
``PYTHONPATH=. python -m tests.released.make_idefics2 CHECKOUT``, the last a checkout of TIGER-AI-Lab/Mantis at f3a3192.
Made with torch 2.13.0 (CPU), transformers 4.45.2, datasets 2.18.0. Stubbed: av and decord, which nothing here reads.
Called there: ``mantis.train.data.ChatDataset`` and ``Collator``, ``mantis.models.idefics2``; and what
``train_idefics2`` says in lines: no image splitting, and the image token's id as that of what is not learnt. The
example ``run_mantis_idefics2`` opens the network of transformers itself instead: ``plain`` are its logits.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.released.idefics2s import (
    IMAGE,
    LATENTS,
    STOP,
    chats_of,
    eager,
    seen_rows,
    specials,
    write_chats,
    write_folder,
)
from tests.released.making import rounded, stub, write

SIZES = [(70, 50), (33, 64), (56, 42), (120, 90), (29, 200), (300, 31), (42, 42), (70, 28)]
ROWS: list[dict[str, Any]] = [
    {"id": "one", "images": [0], "said": ["<image>What is this?", "It is the cat."]},
    {"id": "among words", "images": [1, 2], "said": ["Is <image>or <image>? Say.", "Yes"]},
    {
        "id": "turns",
        "images": [0, 3, 1],
        "said": [
            "Look: <image><image>and",
            " Two.",
            "And<image>this?",
            "1. Red\n2. Blue é",
            "Thanks",
            "You are welcome",
        ],
    },
    {"id": "words alone", "images": [], "said": ["What is an ant?", "An insect.\n"]},
    {"id": "marks in front", "images": [2, 6], "said": ["Which is a square?", "The second"]},
    {"id": "four", "images": [6, 6, 2, 4], "said": ["<image><image>\n<image><image>", "(A) the first; <a> is new"]},
    {"id": "one size", "images": [6, 6], "said": ["Say <image>,<image>", "Both."]},
    {"id": "one size, longer", "images": [6, 6], "said": ["Say <image>or<image>, please.", "Neither of them."]},
    {"id": "wide", "images": [7, 0], "said": ["<image>a<image>b", "No no."]},
    {"id": "space behind", "images": [6, 2, 6], "said": ["Is <image> like <image> ? <image>", "No"]},
    {"id": "spaces between", "images": [0, 3, 3, 1], "said": ["<image> <image> <image>\n<image> Which?", "The last"]},
]
PAIR = (6, 7)
"""Rows that its collator can join: as many pictures, of one size."""


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
        for spaces, split in (("prepend", False), ("prepend", True), ("first", False)):
            folder = write_folder(where / f"{spaces}-{split}", spaces=spaces, split=split)
            found["split" if split else spaces] = case(folder, chat, spaces=spaces, split=split)
    shapes = found["prepend"]["weights"]
    for each in found.values():
        del each["weights"]
    for row in found["first"]["rows"]:  # numbers are those of the other tokenizer
        for name in row.keys() - {"ids", "learnt"}:
            del row[name]
    found["first"] = {name: found["first"][name] for name in ("spaces", "split", "rows")}
    write("idefics2", {**made, "weights": shapes, "cases": found})


def case(folder: Path, chat: Path, *, spaces: str, split: bool) -> dict[str, Any]:
    """Return what a folder's model makes of every conversation."""
    from mantis.models.idefics2 import Idefics2ForConditionalGeneration
    from mantis.train import data
    from mantis.train.conversation import conv_templates

    # train_idefics2.load_model: False is hard-coded there; True is Idefics2's own default.
    processor = transformers.Idefics2Processor.from_pretrained(folder, do_image_splitting=split)
    config = transformers.AutoConfig.from_pretrained(folder)
    network, shapes = eager(Idefics2ForConditionalGeneration, config)
    plain, _ = eager(transformers.Idefics2ForConditionalGeneration, config)  # run_mantis_idefics2.py opens this one
    data.set_ignore_index(network.image_token_id)
    data.set_default_image_token(processor.tokenizer.decode(network.image_token_id))
    data.set_default_image_token_id(network.image_token_id)
    conversation = conv_templates["idefics_2"]
    rows = data.ChatDataset(processor, str(chat), "json", "chat", "train", 4096, conversation, num_proc=1)
    collator = data.Collator(processor)
    collator.tokenizer = processor.tokenizer  # it asks for one, and nothing gives it one
    made: dict[str, Any] = {"spaces": spaces, "split": split, "weights": shapes, "rows": [], "alone": {}}
    shown: dict[str, Any] = {}
    call = processor.image_processor.__class__.__call__

    def noted(self: Any, images: Any, **more: Any) -> Any:
        shown["images"] = images
        return call(self, images, **more)

    processor.image_processor.__class__.__call__ = noted
    for number, row in enumerate(ROWS):
        batch = collator([rows.getitem(number)])
        made["rows"].append(answered(network, batch))
        made["rows"][-1]["plain"] = plainly(plain, batch)
        pictures = list(shown["images"][0]) if row["images"] else None
        for image, picture in zip(row["images"], pictures or (), strict=True):
            if image not in made["alone"]:
                made["alone"][image] = alone(network, processor, picture)
        if not any("<image>" in said for said in row["said"][2::2]):
            conversation.messages = [["User", "<image>" * front(row) + row["said"][0]], ["Assistant", None]]
            made["rows"][-1] |= reply(network, processor(conversation.get_prompt(), pictures, return_tensors="pt"))
    processor.image_processor.__class__.__call__ = call
    if not split:
        batch = collator([rows.getitem(number) for number in PAIR])
        with torch.no_grad():
            made["pair"] = {
                "rows": PAIR,
                "mask": batch["attention_mask"].sum(-1).tolist(),
                "loss": rounded(network(**batch).loss),
            }
    return made


def front(row: dict[str, Any]) -> int:
    """Return how many marks the dataset puts in front of the first turn."""
    return len(row["images"]) - sum(said.count("<image>") for said in row["said"])


def alone(network: Any, processor: Any, picture: Any) -> dict[str, Any]:
    """Return a picture's pixels and features where no other stands beside it."""
    made = processor.image_processor([[picture]], return_tensors="pt")
    pixels, parts = made["pixel_values"][0], made["pixel_values"].shape[1]
    ids = torch.full((1, LATENTS * parts), specials()[IMAGE])
    with torch.no_grad():
        found = network.model(input_ids=ids, **made).image_hidden_states
    real = made["pixel_attention_mask"][0]
    sizes = [[int(part.any(0).sum()), int(part.any(1).sum())] for part in real]
    return {"sizes": sizes, "pixels": seen_rows(pixels.flatten(1), 3), "features": seen_rows(found.flatten(1), 3)}


def answered(network: Any, batch: Any) -> dict[str, Any]:
    """Return ids, what is learnt, features, logits and the loss."""
    with torch.no_grad():
        made = network(**batch)
    (ids,), (labels,) = batch["input_ids"].tolist(), batch["labels"].tolist()
    ignored = network.image_token_id
    assert all(label in (ignored, each) for label, each in zip(labels, ids, strict=True))
    found = {"ids": ids, "learnt": [at for at, label in enumerate(labels) if label != ignored]}
    found |= {"loss": rounded(made.loss), "logits": seen_rows(made.logits[0])}
    if made.image_hidden_states is not None:
        found["features"] = seen_rows(made.image_hidden_states.flatten(1), 3)
    return found


def plainly(network: Any, batch: Any) -> list[list[float]]:
    """Return logits by transformers' own class, at every fourth position."""
    with torch.no_grad():
        made = network(**{name: value for name, value in batch.items() if name != "labels"})
    return seen_rows(made.logits[0, ::4])


def reply(network: Any, asked: Any) -> dict[str, Any]:
    """Return a greedy reply to the first question."""
    with torch.no_grad():
        made = network.generate(**asked, max_new_tokens=8, do_sample=False, eos_token_id=specials()[STOP])
    asked_ids = asked["input_ids"]
    return {"asked": asked_ids[0].tolist(), "reply": made[0, asked_ids.shape[1] :].tolist()}


if __name__ == "__main__":
    main(sys.argv[1])
