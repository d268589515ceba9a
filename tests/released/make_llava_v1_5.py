"""Run LLaVA-1.5's released code on tiny models with a CLIP tower and Llama: write ``llava_v1_5.json``.

Repository: haotian-liu/LLaVA at c121f043 (2024-05-12). Run with torch 2.13.0 (CPU), transformers 4.37.2 and
sentencepiece, as ``python -m tests.released.make_llava_v1_5 CHECKOUT``. Stubbed: the module of the trainer (of which
nothing is run).

Called: ``LazySupervisedDataset`` and its collator for rows of one picture (ids, labels, pixels), ``process_images`` and
``tokenizer_image_token`` for questions of several, ``prepare_inputs_labels_for_multimodal`` (features, places, labels),
``forward`` (logits, loss), ``generate``. The tokenizer is trained here; the JSON has it as
``tokenizer.json``.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from tests.released.drawn import picture
from tests.released.llava_shared import PICTURE, by_position, draw, folded, losses, row, save_llama_tokenizer
from tests.released.making import fill, rounded, stub, write

TOWER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 16,
    "patch_size": 4,
}
CONFIG: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-05,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
    "mm_hidden_size": 32,
    "mm_projector_type": "mlp2x_gelu",
    "mm_use_im_patch_token": False,
    "mm_use_im_start_end": False,
    "mm_vision_select_feature": "patch",
    "mm_vision_select_layer": -2,
}
CASES: dict[str, dict[str, Any]] = {
    "pad": {"image_aspect_ratio": "pad"},
    "square": {"image_aspect_ratio": "square", "mm_projector_type": "linear"},
    "cls_patch": {"image_aspect_ratio": "pad", "mm_vision_select_feature": "cls_patch"},
}
LEGACY = {"pad": False, "square": True, "cls_patch": False}
"""Whether the tokenizer puts a space before words behind a special token."""


ROWS = [
    row("front", "1-40x30.png", "<image>\nWhat is in the picture?", "A dog and a cat."),
    row("behind", "2-9x60.png", "What is this?\n<image>", "A cat.", "And what is that?", "The second dog, yes."),
    row("amid", "3-16x16.png", "Is <image> a dog ?", "No, it is not.\nIt is a cat."),
    row("words", None, "What is a dog?", "An animal.", "And a cat?", "That too."),
    row("odd", "4-33x5.png", "<image>\nCompare the first with the second image.\nSay yes or no.", "Yes."),
]
CAPTIONS = [row("caption", "5-20x31.png", "Describe this.\n<image>", "a dog and a cat in the picture")]
ASKED = [
    row("two", ["6-40x31.png", "7-13x29.png"], "Is <image> or <image> a dog?", "No."),
    row("four", [f"{at}-{20 + at}x18.png" for at in range(8, 12)], "<image><image><image>\n<image>\nCompare.", "Same."),
    row("late", ["12-64x12.png"], "What is a dog?", "A cat.", "<image>\nIs this one?", "No."),
]
IMAGE = -200
PAIRS = (("front", "words"), ("behind", "odd"))
TEXTS = [turn["value"].replace("<image>", "") for each in ROWS + CAPTIONS + ASKED for turn in each["conversations"]]
SYSTEM = "A chat between a curious user and an artificial intelligence assistant. USER: ASSISTANT: The assistant gives"


def main(checkout: Path) -> None:
    """Run every case and write them."""
    stub("llava.train.llava_trainer", of_anything=True)
    sys.path.insert(0, str(checkout))
    words = trained_words([*TEXTS, SYSTEM])
    made: dict[str, Any] = {"tower": TOWER, "tokenizer": quick(words)}
    for name, settings in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            made[name] = case(Path(folder), words, settings, legacy=LEGACY[name])
    made["shapes"] = made["pad"]["shapes"] | made["square"]["shapes"]
    for name in CASES:
        made[name]["shapes"] = sorted(made[name]["shapes"].keys() ^ made["shapes"].keys())
    write("llava_v1_5", rounded(made), ascii_alone=False, lines='},{"id')


def trained_words(texts: list[str]) -> bytes:
    """Return a SentencePiece model as Llama's: BPE, unknown characters as bytes, white space kept."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="bpe",
        vocab_size=400,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def quick(words: bytes) -> dict[str, Any]:
    """Return the tokenizer as ``tokenizer.json`` has it, converted by transformers."""
    from transformers import LlamaTokenizerFast

    with tempfile.TemporaryDirectory() as folder:
        save_llama_tokenizer(Path(folder), words, legacy=True)
        LlamaTokenizerFast.from_pretrained(folder).save_pretrained(folder)
        return json.loads((Path(folder) / "tokenizer.json").read_text())


def save_tower(folder: Path) -> None:
    """Write a CLIP with its picture preparation."""
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

    side = TOWER["image_size"]
    CLIPVisionModel(CLIPVisionConfig(**TOWER)).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side}).save_pretrained(folder)


def case(folder: Path, words: bytes, settings: dict[str, Any], *, legacy: bool) -> dict[str, object]:
    """Return what the released code makes of rows with one configuration."""
    from llava import conversation
    from llava.model.language_model.llava_llama import LlavaConfig, LlavaLlamaForCausalLM
    from llava.train import train
    from transformers import LlamaTokenizer

    save_tower(folder / "clip")
    save_llama_tokenizer(folder, words, legacy=legacy)
    tokenizer = LlamaTokenizer.from_pretrained(folder, model_max_length=2048, padding_side="right")
    tokenizer.pad_token = tokenizer.unk_token
    config = {**CONFIG, "vocab_size": len(tokenizer), **settings}
    model = LlavaLlamaForCausalLM(LlavaConfig(**config, mm_vision_tower=str(folder / "clip"))).float().eval()
    model.get_vision_tower().load_model()
    shapes = fill(model)
    seen = model.get_vision_tower().image_processor
    draw(folder, ROWS + CAPTIONS + ASKED)
    answers: dict[str, dict[str, object]] = {}
    pairs: list[object] = []
    for version, rows in (("v1", ROWS), ("plain", CAPTIONS)):
        conversation.default_conversation = conversation.conv_templates[version]
        (folder / "rows.json").write_text(json.dumps(rows))
        arguments = train.DataArguments(data_path=str(folder / "rows.json"), image_folder=str(folder))
        arguments.is_multimodal, arguments.image_processor, arguments.mm_use_im_start_end = True, seen, False
        arguments.image_aspect_ratio = settings["image_aspect_ratio"]
        material = train.make_supervised_data_module(tokenizer=tokenizer, data_args=arguments)
        items = {each["id"]: material["train_dataset"][at] for at, each in enumerate(rows)}
        collator = material["data_collator"]
        answers |= {name: learnt(model, collator([item]), item) for name, item in items.items()}
        both = [pair for pair in PAIRS if set(pair) <= set(items)]
        pairs += [[*pair, *losses(model, collator([items[name] for name in pair]))] for pair in both]
    answers |= {each["id"]: told(model, tokenizer, seen, folder, each) for each in ASKED}
    said = {"config": config, "shapes": shapes, "outcomes": answers, "pairs": pairs}
    return said | {"rows": ROWS + CAPTIONS + ASKED}


def learnt(model: Any, batch: dict[str, Any], item: dict[str, Any]) -> dict[str, object]:
    """Return a training row's ids, labels and pixels, what the language model is given, and what it says."""
    with torch.no_grad():
        given = model.prepare_inputs_labels_for_multimodal(
            batch["input_ids"], None, batch["attention_mask"], None, batch["labels"], batch["images"]
        )
        said = model(**batch)
    return {
        "ids": item["input_ids"].tolist(),
        "spread": given[5][0].tolist(),
        "pixels": [folded(image) for image in batch["images"]] if IMAGE in item["input_ids"] else [],
        "given": by_position(given[4][0]),
        "logits": by_position(said.logits[0]),
        "loss": said.loss.item(),
    }


def told(model: Any, tokenizer: Any, seen: Any, folder: Path, row: dict[str, Any]) -> dict[str, object]:
    """Return a question's ids, pixels, logits and greedy reply; images stand where they are."""
    from llava.conversation import conv_templates
    from llava.mm_utils import process_images, tokenizer_image_token

    talk = conv_templates["vicuna_v1"].copy()
    for turn in row["conversations"][:-1]:
        talk.append_message(talk.roles[turn["from"] == "gpt"], turn["value"])
    talk.append_message(talk.roles[1], None)
    ids = tokenizer_image_token(talk.get_prompt(), tokenizer, return_tensors="pt")[None]
    named = [[int(group) for group in PICTURE.search(name).groups()] for name in row["image"]]  # type: ignore[union-attr]
    pictures = [picture(*numbers) for numbers in named]
    images, sizes = process_images(pictures, seen, model.config), [each.size for each in pictures]
    with torch.no_grad():
        given = model.prepare_inputs_labels_for_multimodal(ids, None, None, None, None, images, sizes)
        said = model(ids, images=images, image_sizes=sizes)
    reply = model.generate(ids, images=images, image_sizes=sizes, do_sample=False, max_new_tokens=6, eos_token_id=-1)
    return {
        "ids": ids[0].tolist(),
        "pixels": [folded(image) for image in images],
        "given": by_position(given[4][0]),
        "logits": by_position(said.logits[0]),
        "reply": reply[0].tolist(),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
