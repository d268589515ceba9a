"""Folders of tiny Flamingos and of MIMIC-IT rows, built from what the makers have written down."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.released.drawn import picture, weight, weights
from tests.released.flamingo_toys import FLAMINGO_TOKENS, PAD, toy_tokenizer
from triptych.core.records import Example
from triptych.data.batch import Batch, collate
from triptych.data.formats import mimicit
from triptych.data.media.images import load_image
from triptych.data.plan.rendering import tokens_of
from triptych.data.template import Encoded, find_template
from triptych.models.families.flamingo import FlamingoModel
from triptych.models.family import open_model
from triptych.train.loss import supervised_loss

Said = dict[str, Any]


def said_of(name: str) -> Said:
    """Return what a maker has written."""
    said: Said = json.loads((Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8"))
    return said


def build(
    folder: Path,
    said: Said,
    *,
    config: Said,
    shapes: Mapping[str, Sequence[int]],
    tokens: str,
    added: Sequence[str] = FLAMINGO_TOKENS,
) -> Path:
    """Write the folder of a model: the released names and configuration, its tokenizer, and nothing of pictures."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config | said.get("small", {})))
    save_file(weights(shapes.items()), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = toy_tokenizer(tokens)
    tokenizer.add_special_tokens({"additional_special_tokens": list(added)})
    tokenizer.add_special_tokens({"pad_token": PAD})
    tokenizer.save_pretrained(folder)
    return folder


def opened(folder: Path) -> FlamingoModel:
    """Return the model of a folder, as a user opens it."""
    model = open_model(folder)
    assert isinstance(model, FlamingoModel)
    return model


def pixels(model: FlamingoModel, said: Said, names: Sequence[str]) -> Tensor | None:
    """Return pictures as the model prepares them, NCHW; None: there are none."""
    made = [model.pixels(picture(*said["pictures"][name])).values for name in names]
    return torch.stack(made) if made else None


def projected(logits_BTV: Tensor) -> Tensor:
    """Return logits as the makers keep them: two fixed sums at each position."""
    return logits_BTV @ weight("basis", (2, logits_BTV.shape[-1])).T


def kept(numbers: Sequence[float]) -> Tensor:
    """Return a row's projected logits as they were kept."""
    return torch.tensor(numbers).view(-1, 2)


def write_rows(folder: Path, said: Said) -> Path:
    """Write the subset's three files, a context file for each batch; return that of the instructions."""
    folder.mkdir(parents=True)
    pictures = {}
    for name, (number, width, height) in said["pictures"].items():
        file = io.BytesIO()
        picture(number, width, height).save(file, "PNG")
        pictures[name] = base64.b64encode(file.getvalue()).decode()
    rows = {
        name: {"instruction": asked, "answer": answer, "image_ids": images, "rel_ins_ids": context}
        for name, (asked, answer, images, context) in said["rows"].items()
    }
    (folder / "X.json").write_text(json.dumps(pictures))
    for name, (*_, names) in said["groups"].items():
        (folder / f"{name}_train.json").write_text(json.dumps({row: said["rows"][row][3] for row in names}))
    path = folder / "X_instructions.json"
    path.write_text(json.dumps({"data": rows}))
    return path


def rows_of(path: Path, group: str) -> list[Example]:
    """Return the rows of a batch."""
    read = mimicit.configure({"train": str(path.with_name(f"{group}_train.json"))})
    found = list(read(path))
    rows = [row for row in found if isinstance(row, Example)]
    assert rows == found
    return rows


def rendered(model: FlamingoModel, rows: Sequence[Example], template: str) -> list[Encoded]:
    """Return rows as tokens, by a template of ours."""
    rendering = replace(model.rendering, template=find_template(template))
    return [tokens_of(row, rendering) for row in rows]


def labels_of(row: Encoded) -> list[int]:
    """Return a row's labels as released code writes them."""
    return [token if trained else -100 for token, trained in zip(row.ids, row.trained, strict=True)]


def batch_of(rows: Sequence[Encoded], *, packed: bool) -> Batch:
    """Return a batch, a row each or all in one."""
    return collate([list(rows)] if packed else [[row] for row in rows], pad_id=0)


def loss_of(model: FlamingoModel, batch: Batch) -> float:
    """Return the loss that Triptych trains by."""
    features = model.encode([model.pixels(load_image(image)) for image in batch.images])
    hidden_BTH = model.hidden(model.weave(batch, features))
    return supervised_loss(model, hidden_BTH, batch.labels_BT, step_tokens=batch.trained_tokens).item()
