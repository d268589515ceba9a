"""Run the released code over hard words with the released models' own tokenizers: write ``words.json``, part by part.

``HF_HUB_OFFLINE=1 python -m tests.released.make_words PART CHECKOUT [TOKENIZERS]``; the tokenizers are what
``get_tokenizers.py`` brings. PART is one of

- ``llava``: LLaVA-VL/LLaVA-NeXT at df179663, with transformers 4.40.0, accelerate 0.29.3, sentencepiece. Called:
  ``preprocess`` (v1, llama_2, plain, qwen), ``preprocess_multimodal``, ``tokenizer_image_token``;
- ``mantis``: TIGER-AI-Lab/Mantis at f3a3192, with transformers 4.40.0, datasets 2.18.0. Called: ``ChatDataset``,
  ``MLlavaProcessor``, its conversations;
- ``idefics``: the same with transformers 4.45.2, its Idefics2 and Idefics3;
- ``videoscore``: the same as ``idefics``. Called: ``ClassificationDataset``, with VideoScore's prompts, too, as
  ``videoscore.json`` has them;
- ``otter``: Luodian/Otter at 1e7eb9a6, with what ``make_otter.py`` names. Called: ``MimicitDataset`` and, up to its
  forward pass, ``train_one_epoch``. A row has one picture in front, the first question and its answer.

All with torch 2.13.0 (CPU). Stubbed: deepspeed and LLaVA's trainer; av and decord.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import MagicMock

from tests.released.drawn import picture
from tests.released.get_tokenizers import cached
from tests.released.hard_words import SAID, chats, rows, scored
from tests.released.making import HERE, made_of, stub

SEQUENCE = 3
"""Image tokens of a picture or tile."""


class LLaVA(NamedTuple):
    """How LLaVA's code is run."""

    tokenizer: str
    version: str
    """Of its conversations."""
    legacy: bool | None = None
    """What a SentencePiece model alone is read as; None: ``tokenizer.json`` is read."""


LLAVA = {
    "v1": LLaVA("llama2", "v1", legacy=False),
    "v1_legacy": LLaVA("llama2", "v1", legacy=True),
    "v1_fast": LLaVA("llama2", "v1"),
    "mistral": LLaVA("mistral", "mistral_instruct", legacy=True),
    "mistral_fast": LLaVA("mistral", "mistral_instruct"),
    "plain": LLaVA("llama2", "plain", legacy=False),
    "plain_fast": LLaVA("llama2", "plain"),
    "plain_qwen": LLaVA("llava_qwen", "plain"),
    "qwen": LLaVA("llava_qwen", "qwen_1_5"),
}
MANTIS = {
    "mantis_llama3": ("mantis_llama3", "llama_3"),
    "mantis_llama3_plain": ("mantis_llama3", "plain"),
    "mantis_vicuna": ("mantis_llama2", "mllava_v1"),
    "mantis_mistral": ("mantis_mistral", "mllava_v1"),
}


def llava(tokenizers: Path, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what LLaVA's training makes of each conversation, and the prompt of its last reply."""
    stub("deepspeed", "llava.train.llava_trainer", of_anything=True)
    from llava import conversation
    from llava.train import train

    arguments = MagicMock(is_multimodal=True, mm_use_im_start_end=False)
    for name, case in LLAVA.items():
        tokenizer = _llava_tokenizer(tokenizers / case.tokenizer, folder / name, case.legacy)
        conversation.default_conversation = conversation.conv_templates[case.version]
        made = {}
        for row in rows():
            turns = row["conversations"]
            shown = any("<image>" in turn["value"] for turn in turns)
            if case.version == "plain" and turns[0]["value"].count("<image>") + turns[1]["value"].count("<image>") != 1:
                continue  # of the user's words it keeps one image
            said = [dict(turn) for turn in (turns[:2] if case.version == "plain" else turns)]
            if case.version == "qwen_1_5" and shown:
                said = train.preprocess_multimodal([said], arguments)[0]
            asked = [dict(turn) for turn in said]
            found = train.preprocess([said], tokenizer, has_image=shown)
            made[row["id"]] = laid(found["input_ids"][0].tolist(), found["labels"][0].tolist())
            if case.version != "plain":
                made[row["id"]]["asked"] = _llava_prompt(tokenizer, asked[:-1])
        yield name, {"chats": made}


def _llava_tokenizer(given: Path, folder: Path, legacy: bool | None) -> Any:
    from transformers import AutoTokenizer, LlamaTokenizer

    if legacy is not None:
        folder.mkdir()
        shutil.copy(given / "tokenizer.model", folder)
        tokenizer: Any = LlamaTokenizer.from_pretrained(folder, legacy=legacy, pad_token="<unk>")
        return tokenizer
    tokenizer = AutoTokenizer.from_pretrained(given, model_max_length=32768)
    if tokenizer.bos_token:
        tokenizer.pad_token, tokenizer.legacy = "<unk>", True  # only the slow tokenizer says so, and the masks ask it
    else:
        tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    return tokenizer


def _llava_prompt(tokenizer: Any, turns: list[dict[str, str]]) -> list[int]:
    from llava import conversation
    from llava.mm_utils import tokenizer_image_token

    talk = conversation.default_conversation.copy()
    for turn in turns:
        talk.append_message(talk.roles[turn["from"] == "gpt"], turn["value"])
    talk.append_message(talk.roles[1], None)
    ids: list[int] = tokenizer_image_token(talk.get_prompt(), tokenizer)
    return ids


def mantis(tokenizers: Path, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what Mantis' training on LLaVA's networks makes of each conversation."""
    from mantis.models.conversation import conv_templates
    from mantis.models.mllava import MLlavaProcessor
    from transformers import AutoTokenizer, CLIPImageProcessor

    for name, (given, version) in MANTIS.items():
        tokenizer = AutoTokenizer.from_pretrained(tokenizers / given)
        images = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
        processor = MLlavaProcessor(images, tokenizer)
        yield name, _mantis(processor, folder, conv_templates[version], plain=version == "plain")


def idefics(tokenizers: Path, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what Mantis' training on Idefics2 and Idefics3 makes of each conversation."""
    from mantis.models.idefics3.image_processing_idefics3 import Idefics3ImageProcessor
    from mantis.models.idefics3.processing_idefics3 import Idefics3Processor
    from mantis.train.conversation import conv_templates
    from transformers import AutoTokenizer, Idefics2ImageProcessor, Idefics2Processor

    two = Idefics2ImageProcessor(size={"longest_edge": 40, "shortest_edge": 28}, do_image_splitting=False)
    sizes = {"size": {"longest_edge": 56}, "max_image_size": {"longest_edge": 28}}
    # Without means and deviations it fails: its defaults are not defined.
    three = Idefics3ImageProcessor(**sizes, image_mean=[0.5] * 3, image_std=[0.5] * 3, do_image_splitting=False)
    for name, kind, images in (("idefics2", Idefics2Processor, two), ("idefics3", Idefics3Processor, three)):
        tokenizer = AutoTokenizer.from_pretrained(tokenizers / name)
        processor = kind(images, tokenizer, image_seq_len=SEQUENCE)
        yield f"mantis_{name}", _mantis(processor, folder, conv_templates[name.replace("s", "s_")], plain=False)


def videoscore(tokenizers: Path, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what VideoScore's training makes of each prompt."""
    from mantis.train import data
    from transformers import AutoTokenizer, Idefics2ImageProcessor, Idefics2Processor

    images = Idefics2ImageProcessor(size={"longest_edge": 40, "shortest_edge": 28}, do_image_splitting=False)
    processor = Idefics2Processor(
        images, AutoTokenizer.from_pretrained(tokenizers / "idefics2"), image_seq_len=SEQUENCE
    )
    image = processor.tokenizer.convert_tokens_to_ids("<image>")
    data.set_default_image_token("<image>")
    picture(1, 45, 30).save(folder / "one.png")
    told = scored(made_of("videoscore")["train_regression"])
    (folder / "rows.json").write_text(json.dumps(told))
    dataset = data.ClassificationDataset(processor, str(folder / "rows.json"), "json", "score", "train", 4096)
    made = {}
    for number, row in enumerate(told):
        ids = dataset[number]["input_ids"][0].tolist()
        made[row["id"]] = laid(ids, [-100] * len(ids), image=image)["ids"]
    yield "videoscore", {"prompts": made}


def _mantis(processor: Any, folder: Path, conversation: Any, *, plain: bool) -> dict[str, Any]:
    from mantis.train import data

    tokenizer = processor.tokenizer
    image = tokenizer.convert_tokens_to_ids("<image>")
    data.set_ignore_index(-100)
    data.set_default_image_token("<image>")
    data.set_default_image_token_id(image)
    picture(1, 45, 30).save(folder / "one.png")
    blind = not plain and type(processor).__name__ != "Idefics3Processor"  # which fail on words alone
    told = [row for row in chats() if row["images"] or blind]
    (folder / "chats.json").write_text(json.dumps(told))
    dataset = data.ChatDataset(
        processor, str(folder / "chats.json"), "json", "chats", "train", 4096, conversation, num_proc=1
    )
    made = {}
    for number, row in enumerate(told):
        found = dataset.getitem(number)
        made[row["id"]] = laid(found["input_ids"][0].tolist(), found["labels"][0].tolist(), image=image)
        if not plain:
            said = [list(message) for message in dataset.conversations[number]]
            said[-1][1] = None
            dataset.conv.messages = said
            prompt = dataset.conv.get_prompt()
            pictures = [picture(1, 45, 30)] * prompt.count("<image>") or None
            ids = processor(prompt, pictures, return_tensors="pt")["input_ids"][0].tolist()
            made[row["id"]]["asked"] = laid(ids, [-100] * len(ids), image=image)["ids"]
    alone = processor("<image>", [picture(1, 45, 30)], return_tensors="pt")["input_ids"][0].tolist()
    return {"alone": laid(alone, [-100] * len(alone), image=image)["ids"], "chats": made}


def otter(tokenizers: Path, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what Otter's training makes of each conversation's first round."""
    import torch
    from accelerate import Accelerator
    from transformers import AutoTokenizer

    from tests.released import make_otter

    make_otter.stub(Path(sys.path[0]).resolve())
    from pipeline.train import instruction_following as training

    said = {name: [text.replace("<image>", "") for text in turns[:2]] for name, turns in SAID.items()}
    told = {name: turns for name, turns in said.items() if not turns[0].startswith("\n")}  # it takes line ends away
    numbered = {f"X_{number}": name for number, name in enumerate(told)}
    make_otter.ROWS = {key: (*told[name], ["P_1"], []) for key, name in numbered.items()}
    make_otter.GROUPS = {"all": ("IMAGE_TEXT", list(numbered))}
    make_otter.write_rows(folder)
    tokenizer = AutoTokenizer.from_pretrained(tokenizers / "otter")
    arguments = make_otter.arguments(tokenizer, "simple")
    data = make_otter.data_set(folder, "all", arguments)
    given: list[list[list[int]]] = []

    def noted(_arguments: Any, _model: Any, _tokenizer: Any, _images: Any, *batch: Any) -> None:
        given.extend(each.tolist() for each in batch[:3])
        raise StopIteration

    training.forward_pass = noted
    loader = type("Loader", (list,), {"dataset": data})([data.collate([data[at] for at in range(len(data))])])
    with suppress(StopIteration):
        training.train_one_epoch(
            *(arguments, torch.nn.Linear(1, 1), 0, [loader], tokenizer, None, None),
            *(torch.device("cpu"), Accelerator(cpu=True), None),
        )
    made = {}
    for name, ids, mask, labels in zip(told, *given, strict=True):
        length = sum(mask)
        made[name] = laid(ids[:length], labels[:length])
    yield "otter", {"chats": made}


def laid(ids: list[int], labels: list[int], *, image: int | None = None) -> dict[str, Any]:
    """Return ids, images' own side by side as one, and [start, stop) of each run that is trained; images are not."""
    assert all(label in (-100, image, number) for number, label in zip(ids, labels, strict=True))
    kept = [at for at, number in enumerate(ids) if at == 0 or number != image or ids[at - 1] != image]
    flags = [labels[at] not in (-100, image) for at in kept]
    edges = [at for at in range(len(flags) + 1) if (at > 0 and flags[at - 1]) != (at < len(flags) and flags[at])]
    runs = [list(edge) for edge in zip(edges[::2], edges[1::2], strict=True)]
    return {"ids": [ids[at] for at in kept], "trained": runs}


PARTS = {"llava": llava, "mantis": mantis, "idefics": idefics, "videoscore": videoscore, "otter": otter}


def main(part: str, checkout: Path, tokenizers: Path) -> None:
    """Run a part, and write its cases beside those of the others."""
    sys.path.insert(0, str(checkout))
    stub("av", "decord")
    file = HERE / "words.json"
    held = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        held |= dict(PARTS[part](tokenizers, Path(folder)))
    file.write_text(json.dumps(held, separators=(",", ":")).replace('},"', '},\n"') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else cached())
