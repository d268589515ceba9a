"""Run LLaVA-NeXT's released code on tiny models with a SigLIP tower and Qwen2: write ``llava_interleave.json``.

Repository: LLaVA-VL/LLaVA-NeXT at df179663 (2026-04-15), where LLaVA-NeXT-Interleave, LLaVA-OneVision and LLaVA-Video
were released. Run with torch 2.13.0 (CPU), transformers 4.40.0 and accelerate 0.29.3, as
``HF_HUB_OFFLINE=1 python -O -m tests.released.make_llava_interleave CHECKOUT``: ``-O`` turns off the code's assertions
that a picture has 729 features and a tile one of the released sizes. Stubbed: deepspeed, and the module of the trainer
(of which nothing is run). The tower's defaults (its sizes stand in the code as numbers) are those of a tiny one.

Called: ``LazySupervisedDataset`` and its collator (ids, labels, pixels), ``prepare_inputs_labels_for_multimodal``
(features, places, labels, positions), ``forward`` (logits, loss), ``generate``.
"""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch

from tests.released.drawn import weights
from tests.released.llava_shared import by_position, draw, folded, losses, row, save_qwen_tokenizer
from tests.released.making import rounded, stub, write

TOWER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 17,
    "patch_size": 5,
}
"""Three patches along a side and two pixels over; released are 27 and six."""
LANGUAGE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "rope_theta": 1000000.0,
    "use_sliding_window": False,
}
SHARED = {
    "mm_hidden_size": 32,
    "mm_patch_merge_type": "spatial_unpad",
    "mm_projector_type": "mlp2x_gelu",
    "mm_resampler_type": None,
    "mm_use_im_patch_token": False,
    "mm_use_im_start_end": False,
    "mm_vision_select_feature": "patch",
    "mm_vision_select_layer": -2,
    "mm_vision_tower": "tiny/siglip",
    "tokenizer_model_max_length": 32768,
    "tokenizer_padding_side": "right",
}
FIVE = [[17, 34], [34, 17], [34, 34], [51, 17], [17, 51]]
NINE = [[17 * wide, 17 * high] for wide in range(1, 4) for high in range(1, 4)]
ONE = {"image_aspect_ratio": "anyres_max_9", "image_grid_pinpoints": [[17, 17]]}
POOLED = {"mm_spatial_pool_mode": "bilinear", "mm_newline_position": "one_token"}
CASES: dict[str, dict[str, object]] = {
    "interleave": {"image_aspect_ratio": "anyres", "image_grid_pinpoints": FIVE, "tie_word_embeddings": True},
    "onevision": {"image_aspect_ratio": "anyres_max_9", "image_grid_pinpoints": NINE, **POOLED},
    "brought_down": {"image_aspect_ratio": "anyres_max_2", "image_grid_pinpoints": NINE, **POOLED},
    "video_grid": {**ONE, "mm_spatial_pool_mode": "bilinear", "mm_newline_position": "grid"},
    "video_average": {**ONE, "mm_spatial_pool_mode": "average", "mm_newline_position": "one_token"},
    "pad": {"image_aspect_ratio": "pad", "mm_patch_merge_type": "flat", "image_grid_pinpoints": None},
    "pad_newline": {"image_aspect_ratio": "pad", "image_grid_pinpoints": None},
    "square": {"image_aspect_ratio": "square", "mm_patch_merge_type": "flat", "image_grid_pinpoints": None},
    "video_frame": {**ONE, "mm_spatial_pool_mode": "bilinear", "mm_newline_position": "frame"},
}
"""What config.json says of each beside ``SHARED``."""
PAIRED = (("two", "late"), ("alone", "words"), ("four", "video"), ("film", "alone"))
"""Rows that the collator puts into one batch."""


FOUR = ["4-40x31.png", "5-17x17.png", "6-9x60.png", "7-64x12.png"]
ROWS = [
    row("alone", "1-40x30.png", "What is in <image> the picture?", "A dog."),
    row("front", ["2-100x7.png"], "<image>\nWhat is this?\n\nYes or no?", " Yes.\n\nNo, this."),
    row("two", ["1-40x30.png", "3-13x29.png"], "Is <image> or <image> a dog?", "No.", "And that?", "Yes, the cat é."),
    row("four", FOUR, "<image><image><image><image>\nCompare the first with the second.", "The first is a dog."),
    row("named", FOUR[:3], "Image 1: <image>\nImage 2: <image>\nImage 3:<image>", "Two of three."),
    row("turns", ["8-33x35.png", "9-5x90.png"], "Is this <image> a cat?", "Yes.", "Or that <image>?", "No."),
    row("late", "10-52x50.png", "What is a dog?", "A cat.", "This: <image> ?", "\tNo dog"),
    row("words", None, "What is a dog?\n", "A cat.\n"),
    row("noisy", "11-1x1.png", "<image>QA_GT_caption_based_noisy  Is this ?  ", "No. "),
    row("answered", ["12-16x18.png", "13-20x20.png"], "Compare with <image>.", "It is <image> that."),
]
VIDEO = row("video", None, "<image>\nWhat is in the video?", "A dog.", video="shareVideoGPTV/one")
FILM = row("film", None, "What is in <image> this?", "Yes.", "And?", "No.", video="shareVideoGPTV/two")


def main(checkout: Path) -> None:
    """Run every case and write them."""
    stub("deepspeed", "llava.train.llava_trainer", of_anything=True)
    sys.path.insert(0, str(checkout))
    torch.manual_seed(0)
    rows_of = {"interleave": ROWS, "onevision": [*ROWS[:4], VIDEO, FILM], "brought_down": ROWS[:4]}
    rows_of |= {"pad": ROWS[:3], "pad_newline": ROWS[:3], "square": ROWS[:3]}
    made: dict[str, Any] = {"tower": TOWER}
    for name, settings in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            made[name] = case(Path(folder), settings, rows_of.get(name, [VIDEO]))
    made["shapes"] = made["onevision"]["shapes"]
    made["shapes"]["model.image_newline"] = [32]
    for each in made.values():
        assert not isinstance(each, dict) or each.pop("shapes", {}).items() <= made["shapes"].items()
    write("llava_interleave", rounded(made), ascii_alone=False, lines='},{"id')


def case(folder: Path, settings: dict[str, object], rows: list[dict[str, Any]]) -> dict[str, object]:
    """Return what the released code makes of rows with one configuration."""
    from llava import conversation
    from llava.model.language_model.llava_qwen import LlavaQwenConfig, LlavaQwenForCausalLM
    from llava.model.multimodal_encoder import siglip_encoder as siglip
    from llava.train import train
    from transformers import AutoTokenizer

    length = save_qwen_tokenizer(folder)
    config = {**LANGUAGE, **SHARED, "vocab_size": length + 5, "tie_word_embeddings": False, **settings}
    tower, side = siglip.SigLipVisionModel, TOWER["image_size"]
    tiny = partial(siglip.SigLipVisionConfig, **TOWER)
    square = {"size": (side, side), "crop_size": {"height": side, "width": side}}
    whole = (siglip.SigLipVisionConfig, siglip.SigLipImageProcessor)
    siglip.SigLipVisionConfig, siglip.SigLipImageProcessor = tiny, partial(siglip.SigLipImageProcessor, **square)
    tower.from_pretrained = lambda *_, **__: tower(tiny())  # type: ignore[method-assign]
    model = LlavaQwenForCausalLM(LlavaQwenConfig(**config)).float().eval()
    siglip.SigLipVisionConfig, siglip.SigLipImageProcessor = whole
    tied = config["tie_word_embeddings"]
    shapes = {key: list(held.shape) for key, held in model.state_dict().items() if not tied or key != "lm_head.weight"}
    lost = model.load_state_dict(weights(shapes.items()), strict=False)
    assert lost.missing_keys == (["lm_head.weight"] if tied else []), lost
    model.tie_weights()
    conversation.default_conversation = conversation.conv_templates["qwen_1_5"]
    tokenizer = AutoTokenizer.from_pretrained(folder, model_max_length=32768, padding_side="right")
    draw(folder, rows)
    (folder / "rows.json").write_text(json.dumps(rows))
    seen = model.get_vision_tower().image_processor
    arguments = train.DataArguments(data_path=str(folder / "rows.json"), image_folder=str(folder), is_multimodal=True)
    arguments.video_folder, arguments.image_processor, arguments.mm_use_im_start_end = str(folder), seen, False
    for key in ("image_aspect_ratio", "image_grid_pinpoints"):
        setattr(arguments, key, settings[key])
    material = train.make_supervised_data_module(tokenizer=tokenizer, data_args=arguments)
    items = {each["id"]: material["train_dataset"]._get_item(at) for at, each in enumerate(rows)}
    collator = material["data_collator"]
    answers = {name: outcome(model, collator([item]), item, length) for name, item in items.items()}
    paired = [pair for pair in PAIRED if set(pair) <= set(items)]
    pairs = [[*pair, *losses(model, collator([items[name] for name in pair]), length)] for pair in paired]
    for each in rows:
        answers[each["id"]] |= {"reply": reply(model, tokenizer, items[each["id"]], each)}
        answers[each["id"]] |= {"asked": asked(tokenizer, each)}
    return {"config": config, "tokens": length, "shapes": shapes, "rows": rows, "outcomes": answers, "pairs": pairs}


def outcome(model: Any, batch: dict[str, Any], item: dict[str, Any], length: int) -> dict[str, object]:
    """Return one row's ids and labels, pixels, what the language model is given, and what it says."""
    with torch.no_grad():
        _, _, _, _, embeddings, labels = model.prepare_inputs_labels_for_multimodal(
            batch["input_ids"],
            None,
            batch["attention_mask"],
            None,
            batch["labels"],
            batch["images"],
            batch["modalities"],
            batch["image_sizes"],
        )
        told = model(**batch)
    shown = [] if batch["modalities"] == ["text"] else batch["images"]
    return {
        "ids": item["input_ids"].tolist(),
        "labels": item["labels"].tolist(),
        "pixels": [[*image.shape, *folded(image)] for image in shown],
        "given": by_position(embeddings[0]),
        "spread": labels[0].tolist(),
        "logits": by_position(told.logits[0, :, :length]),
        "loss": told.loss.item(),
    }


def reply(model: Any, tokenizer: Any, item: dict[str, Any], row: dict[str, Any]) -> list[int]:
    """Return a greedy reply to all but a row's last turn, its pictures as training shows them."""
    from llava.conversation import conv_templates
    from llava.mm_utils import tokenizer_image_token
    from llava.train.train import preprocess_multimodal

    talk = conv_templates["qwen_1_5"].copy()
    arguments = MagicMock(is_multimodal=True, mm_use_im_start_end=False)
    turns = preprocess_multimodal([[dict(turn) for turn in row["conversations"][:-1]]], arguments)[0]
    for turn in turns:
        talk.append_message(talk.roles[turn["from"] == "gpt"], turn["value"])
    talk.append_message(talk.roles[1], None)
    ids = tokenizer_image_token(talk.get_prompt(), tokenizer, return_tensors="pt")[None]
    images = [values for values, _, _ in item["image"]]
    sizes, kinds = [size for _, size, _ in item["image"]], [kind for _, _, kind in item["image"]]
    said = model.generate(
        ids, images=images, image_sizes=sizes, modalities=kinds, do_sample=False, max_new_tokens=6, eos_token_id=-1
    )
    return said[0].tolist()


def asked(tokenizer: Any, row: dict[str, Any]) -> list[int]:
    """Return the prompt of a row's first question as the evaluation's script writes it."""
    from llava.eval.model_vqa import preprocess_qwen

    turns = [row["conversations"][0], {"from": "gpt", "value": None}]
    return preprocess_qwen(turns, tokenizer, has_image=True)[0].tolist()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
