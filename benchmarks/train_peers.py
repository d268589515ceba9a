"""One run of a peer, in the peer's own environment: Hugging Face's Trainer, or TRL's SFTTrainer. Imports no Triptych.

    python benchmarks/train_peers.py SETTINGS.json      (started by benchmarks/train.py)

Both as their documentation shows for a LLaVA: a chat template with generation marks, the processor in the collator,
images decoded by ``datasets``, labels on the assistant's words alone (``assistant_only_loss``). Nothing is logged,
saved or recomputed (TRL's default recomputes activations: off, as memory is not short), and a step's loss is divided by
its supervised tokens, as both do by themselves.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, List
from datasets import Image as Picture
from peft import LoraConfig, PeftModel, get_peft_model
from train_turns import Turns
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    PreTrainedModel,
    ProcessorMixin,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

Rows = list[dict[str, Any]]
IGNORE = -100
PROJECTORS = re.compile(r".*\.(multi_modal_projector|connector)\.")
LANGUAGE_LAYERS = r".*\.(language_model|text_model)\..*_proj"


class TakesTurns(TrainerCallback):
    """Waits after each step. State: what the step held so far."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.seen = dict.fromkeys(("trained_tokens", "tokens", "positions", "images"), 0)
        self.loss = 0.0

    def saw(self, inputs: dict[str, Any], loss: float) -> None:
        """Count a micro-batch, and add its share of the step's loss."""
        self.seen["trained_tokens"] += int((inputs["labels"][:, 1:] != IGNORE).sum())
        self.seen["tokens"] += int(inputs["attention_mask"].sum())
        self.seen["positions"] += inputs["attention_mask"].numel()
        self.seen["images"] += sum(bool(each.any()) for each in inputs["pixel_values"].flatten(0, -4))
        self.loss += loss

    def on_step_end(self, *_args: object, **_kwargs: object) -> None:
        """Tell, and wait."""
        self.turns.tell(**self.seen, loss_nats=self.loss)
        self.seen, self.loss = dict.fromkeys(self.seen, 0), 0.0
        self.turns.wait()


def counted(kind: type[Trainer], takes: TakesTurns) -> type[Trainer]:
    """Return the trainer's class with each micro-batch counted."""

    class Counted(kind):  # type: ignore[valid-type, misc]
        def training_step(self, model: PreTrainedModel, inputs: dict[str, Any], *args: Any, **rest: Any) -> Any:
            held = dict(inputs)
            loss = super().training_step(model, inputs, *args, **rest)
            takes.saw(held, float(loss))
            return loss

    return Counted


def read_rows(path: Path) -> Dataset:
    """Return rows as a data set of messages and pictures, with lengths for ``group_by_length``."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return Dataset.from_list([row_of(row, path.parent) for row in rows]).cast_column("images", List(Picture()))


def row_of(row: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a row as both trainers want it: placeholders in the messages, pictures in their order beside them."""
    said = [{"role": turn["role"], "content": parts_of(turn["content"])} for turn in row["messages"]]
    words = sum(len(part["text"].split()) for turn in said for part in turn["content"])
    pictures = [str(folder / name) for name in row["images"]]
    return {"messages": said, "images": pictures, "length": words + 50 * len(pictures)}


def parts_of(content: str | Rows) -> list[dict[str, str]]:
    """Return a message's parts without the numbers of their pictures."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [{"type": part["type"], "text": part.get("text", "")} for part in content]


class PaddingCollator:
    """Messages and pictures -> one padded batch, as documented for vision language models. State: the processor."""

    def __init__(self, processor: ProcessorMixin) -> None:
        self.processor = processor

    def __call__(self, rows: Rows) -> dict[str, torch.Tensor]:
        """Return ids, mask, pixels and labels."""
        batch = self.processor.apply_chat_template(
            [filled(row) for row in rows],
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            return_assistant_tokens_mask=True,
            processor_kwargs={"padding": True, "padding_side": "right", "add_special_tokens": False},
        )
        labels = batch["input_ids"].clone()
        labels[batch.pop("assistant_masks") == 0] = IGNORE
        batch["labels"] = labels
        return batch


def filled(row: dict[str, Any]) -> Rows:
    """Return the row's messages with their pictures in them."""
    pictures = iter(row["images"])
    return [
        {
            "role": said["role"],
            "content": [
                {"type": "image", "image": next(pictures)} if part["type"] == "image" else part
                for part in said["content"]
            ],
        }
        for said in row["messages"]
    ]


def arguments(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what both trainers are told."""
    return {
        "output_dir": settings["work"],
        "per_device_train_batch_size": settings["batch"],
        "gradient_accumulation_steps": settings["step_rows"] // settings["batch"],
        "train_sampling_strategy": settings["order"],
        "max_steps": settings["steps"],
        "learning_rate": settings["rate"],
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "adam_beta2": 0.999,
        "max_grad_norm": 1.0,
        "bf16": settings["precision"] == "bfloat16",
        "gradient_checkpointing": False,
        "use_cpu": settings["device"] == "cpu",
        "seed": settings["seed"],
        "dataloader_num_workers": settings["workers"],
        "dataloader_pin_memory": settings["device"] != "cpu",
        "remove_unused_columns": False,
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def with_adapters(model: PreTrainedModel, rank: int) -> PeftModel:
    """Return the model with LoRA on the linear layers of its language model; its projector moves in full."""
    projector = [weight for name, weight in model.named_parameters() if PROJECTORS.match(name)]
    told = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=LANGUAGE_LAYERS)
    adapted = get_peft_model(model, told)
    for weight in projector:
        weight.requires_grad_(True)
    return adapted


def make_trainer(settings: dict[str, Any], takes: TakesTurns) -> Trainer:
    """Return the trainer that the settings ask for."""
    model = AutoModelForImageTextToText.from_pretrained(
        settings["model"], dtype=torch.float32, attn_implementation="sdpa"
    )
    getattr(model.model, settings["tower"]).requires_grad_(False)
    if settings["projector_only"]:
        for name, weight in model.named_parameters():
            weight.requires_grad_(bool(PROJECTORS.match(name)))
    elif settings["rank"]:
        model = with_adapters(model, settings["rank"])
    processor = AutoProcessor.from_pretrained(settings["model"])
    rows = read_rows(Path(settings["rows"]))
    if settings["way"] == "trl":
        from trl import SFTConfig, SFTTrainer

        told = SFTConfig(**arguments(settings), assistant_only_loss=True, max_length=None)
        return counted(SFTTrainer, takes)(
            model=model, args=told, train_dataset=rows, processing_class=processor, callbacks=[takes]
        )
    return counted(Trainer, takes)(
        model=model,
        args=TrainingArguments(**arguments(settings)),
        data_collator=PaddingCollator(processor),
        train_dataset=rows,
        processing_class=processor,
        callbacks=[takes],
    )


def main() -> None:
    """Train as the settings say, a step a turn."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(settings["threads"])
    turns = Turns()
    turns.wait()
    trainer = make_trainer(settings, TakesTurns(turns))
    turns.tell(ready=True)
    turns.wait()
    trainer.train()


if __name__ == "__main__":
    main()
