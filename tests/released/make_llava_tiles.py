"""Run LLaVA-NeXT's released code on tiny models with a CLIP tower, Llama and Mistral: write ``llava_tiles.json``.

Repository: LLaVA-VL/LLaVA-NeXT at df179663 (2026-04-15), which has LLaVA-1.6's tiles. Run with torch 2.13.0 (CPU),
transformers 4.40.0 and accelerate 0.29.3, as ``HF_HUB_OFFLINE=1 python -m tests.released.make_llava_tiles CHECKOUT``.
Stubbed: deepspeed, and the module of the trainer (of which nothing is run).

Called: ``preprocess`` (ids and labels), ``process_images`` (each of several pictures in its tiles, as the released code
answers), ``prepare_inputs_labels_for_multimodal`` (features, places), ``forward`` (logits, loss), ``generate``, and
``get_anyres_image_grid_shape`` with ``unpad_image`` for what many sizes cost. The tokenizer is that of
``llava_v1_5.json``.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from tests.released.drawn import picture
from tests.released.llava_shared import PICTURE, by_position, folded, row
from tests.released.make_llava_v1_5 import CONFIG, TOWER, save_tower
from tests.released.making import fill, made_of, rounded, stub, write

FIVE = [[16, 32], [32, 16], [32, 32], [48, 16], [16, 48]]
NINE = [[16 * wide, 16 * high] for wide in range(1, 4) for high in range(1, 4)]
SHARED = {"mm_patch_merge_type": "spatial_unpad", "rope_theta": 1000000.0}
ANYRES = {"image_aspect_ratio": "anyres", "image_grid_pinpoints": FIVE}
CASES: dict[str, dict[str, Any]] = {
    "llama": {**ANYRES, "num_key_value_heads": 2},
    "mistral": {**ANYRES, "num_key_value_heads": 2, "tokenizer_padding_side": "left", "sliding_window": None},
    "llama_max": {"image_aspect_ratio": "anyres_max_2", "image_grid_pinpoints": NINE},
}
VERSIONS = {"llama": "v1", "mistral": "mistral_instruct", "llama_max": "v1"}
ROWS = [
    row("one", "1-40x30.png", "<image>\nWhat is in the picture?", "A dog and a cat."),
    row("tall", "2-9x60.png", "<image>\nWhat is this?", "A cat."),
    row("wide", "3-95x11.png", "<image>\nIs this a dog?", "No."),
    row("two", ["4-40x31.png", "5-13x29.png"], "Is <image> or <image> a dog?", "No.", "And that?", "A cat."),
    row("three", ["6-16x16.png", "7-64x12.png", "8-47x49.png"], "<image><image>\n<image>\nCompare.", "A dog."),
    row("words", None, "What is a dog?", "An animal."),
]
PAIRS = (("two", "one"), ("words", "wide"))
GRIDS = {"336": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]}
GRIDS["384"] = [[384 * wide, 384 * high] for wide in range(1, 7) for high in range(1, 7)]
SIZES = 200


def main(checkout: Path) -> None:
    """Run every case and write them."""
    stub("deepspeed", "llava.train.llava_trainer", of_anything=True)
    sys.path.insert(0, str(checkout))
    made: dict[str, Any] = {"tower": TOWER, "rows": ROWS, "sizes": sizes(SIZES)}
    tokenizer = json.dumps(made_of("llava_v1_5")["tokenizer"])
    for name, settings in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "tokenizer.json").write_text(tokenizer)
            made[name] = case(Path(folder), settings, name)
    made["shapes"] = made["llama"].pop("shapes")
    assert all(made[name].pop("shapes", made["shapes"]) == made["shapes"] for name in ("mistral",))
    made["llama_max"]["shapes"] = {
        key: shape for key, shape in made["llama_max"]["shapes"].items() if made["shapes"][key] != shape
    }
    write("llava_tiles", rounded(made), ascii_alone=False, lines='},"')


def sizes(count: int) -> list[list[int]]:
    """Return widths and heights, and what the tiles of such a picture cost without the view of the whole.

    By the five grids of 336 pixels, and by the 36 of 384 pixels before ``anyres_max_N``.
    """
    from llava.mm_utils import get_anyres_image_grid_shape
    from llava.model.llava_arch import unpad_image

    draws = random.Random(0)
    found = []
    for _ in range(count):
        size = (draws.randint(1, 2400), draws.randint(1, 2400))
        costs = []
        for side, patches in ((336, 24), (384, 27)):
            wide, high = get_anyres_image_grid_shape(size, GRIDS[str(side)], side)
            left = unpad_image(torch.zeros(1, high * patches, wide * patches), size)
            costs.append(left.shape[1] * (left.shape[2] + 1))
        found.append([*size, *costs])
    return found


def case(folder: Path, settings: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what the released code makes of rows with one configuration."""
    from llava import conversation
    from llava.model.language_model.llava_llama import LlavaConfig, LlavaLlamaForCausalLM
    from llava.model.language_model.llava_mistral import LlavaMistralConfig, LlavaMistralForCausalLM
    from transformers import LlamaTokenizerFast

    save_tower(folder / "clip")
    ends = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<unk>"}
    tokenizer = LlamaTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), model_max_length=2048, **ends)
    tokenizer.legacy = True  # only the slow tokenizer says so, and the masks ask it
    config = {**CONFIG, **SHARED, "vocab_size": len(tokenizer), **settings}
    kinds: Any = {"mistral": (LlavaMistralConfig, LlavaMistralForCausalLM)}
    make, network = kinds.get(name, (LlavaConfig, LlavaLlamaForCausalLM))
    model = network(make(**config, mm_vision_tower=str(folder / "clip"))).float().eval()
    shapes = fill(model)
    conversation.default_conversation = conversation.conv_templates[VERSIONS[name]]
    batches = {each["id"]: batch_of(model, tokenizer, each) for each in ROWS}
    answers = {each["id"]: outcome(model, tokenizer, batches[each["id"]], each) for each in ROWS}
    pairs = [[*pair, *losses(model, together(tokenizer, settings, [batches[each] for each in pair]))] for pair in PAIRS]
    return {"config": config, "shapes": shapes, "outcomes": answers, "pairs": pairs}


def batch_of(model: Any, tokenizer: Any, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as the training code tokenises it and as the answering code shows its pictures."""
    from llava.mm_utils import process_images
    from llava.train.train import preprocess

    named = row.get("image", [])
    groups = [PICTURE.search(name).groups() for name in ([named] if isinstance(named, str) else named)]  # type: ignore[union-attr]
    pictures = [picture(*(int(group) for group in numbers)) for numbers in groups]
    side = TOWER["image_size"]
    seen = model.get_vision_tower().image_processor
    images = list(process_images(pictures, seen, model.config)) if pictures else [torch.zeros(1, 3, side, side)]
    made = preprocess([[dict(turn) for turn in row["conversations"]]], tokenizer, has_image=bool(pictures))
    sizes = [each.size for each in pictures] or [(side, side)]
    kinds = ["image" if pictures else "text"] * len(images)
    ids = made["input_ids"]
    return {
        "input_ids": ids,
        "labels": made["labels"],
        "attention_mask": ids.ne(tokenizer.pad_token_id),
        "images": images,
        "image_sizes": sizes,
        "modalities": kinds,
    }


def together(tokenizer: Any, settings: dict[str, Any], batches: list[dict[str, Any]]) -> dict[str, Any]:
    """Return rows in one batch, by the released collator."""
    from llava.train.train import DataCollatorForSupervisedDataset

    tokenizer.padding_side = settings.get("tokenizer_padding_side", "right")
    collate = DataCollatorForSupervisedDataset(tokenizer=tokenizer)
    rows = []
    for batch in batches:
        image = list(zip(batch["images"], batch["image_sizes"], batch["modalities"], strict=True))
        rows.append({"input_ids": batch["input_ids"][0], "labels": batch["labels"][0], "image": image})
    return collate(rows)


def outcome(model: Any, tokenizer: Any, batch: dict[str, Any], row: dict[str, Any]) -> dict[str, object]:
    """Return one row's ids and labels, pixels, what the language model is given, and what it says."""
    given, told = run(model, batch)
    return {
        "ids": batch["input_ids"][0].tolist(),
        "spread": given[5][0].tolist(),
        "pixels": [[*image.shape, *folded(image)] for image in batch["images"]] if "image" in row else [],
        "given": by_position(given[4][0]),
        "logits": by_position(told.logits[0]),
        "loss": told.loss.item(),
        **reply(model, tokenizer, batch, row),
    }


def losses(model: Any, batch: dict[str, Any]) -> list[object]:
    """Return a batch's loss, and the logits of its rows by position, padding too."""
    _, told = run(model, batch)
    return [told.loss.item(), [by_position(logits_TV) for logits_TV in told.logits]]


def run(model: Any, batch: dict[str, Any]) -> tuple[Any, Any]:
    """Return what the language model is given, and what it says.

    By hand in two steps, as ``LlavaMistralForCausalLM.forward`` hands pictures' sizes on in the place of another
    argument and stops there.
    """
    named = ("input_ids", "attention_mask", "labels", "images", "modalities", "image_sizes")
    rest = {"position_ids": None, "past_key_values": None}
    with torch.no_grad():
        given = model.prepare_inputs_labels_for_multimodal(**{key: batch[key] for key in named}, **rest)
        _, positions, mask, _, embeddings, labels = given
        told = model(inputs_embeds=embeddings, attention_mask=mask, position_ids=positions, labels=labels)
    return given, told


def reply(model: Any, tokenizer: Any, batch: dict[str, Any], row: dict[str, Any]) -> dict[str, object]:
    """Return the prompt of a row's first question and a greedy reply; nothing where only later ones show pictures."""
    from llava import conversation
    from llava.mm_utils import tokenizer_image_token

    talk = conversation.default_conversation.copy()
    talk.append_message(talk.roles[0], row["conversations"][0]["value"])
    talk.append_message(talk.roles[1], None)
    ids = tokenizer_image_token(talk.get_prompt(), tokenizer, return_tensors="pt")[None]
    keys = (
        ("images", "image_sizes") if "mistral" in model.config.model_type else ("images", "image_sizes", "modalities")
    )
    shown = {key: batch[key] for key in keys}
    said = model.generate(ids, **shown, do_sample=False, max_new_tokens=5, eos_token_id=-1)
    return {"asked": ids[0].tolist(), "reply": said[0].tolist()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
