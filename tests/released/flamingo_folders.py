"""Folders of tiny Flamingos and of MIMIC-IT rows, built from what the makers have written down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.released.drawn import picture, save_weights
from tests.released.flamingo_toys import FLAMINGO_TOKENS, PAD, png_of, projected, toy_tokenizer, write_instructions
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
CLOSE = {"atol": 3e-5, "rtol": 1e-4}
"""The numbers were kept with six digits."""


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
    save_weights(folder, shapes.items())
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


def otters(folder: Path, said: Said) -> dict[str, FlamingoModel]:
    """Return the Otters that a maker has made."""
    found = {}
    for kind, network in said["networks"].items():
        tokens = "llama" if kind.startswith("llama") else "neox"
        sizes = {"config": network["config"], "shapes": network["shapes"]}
        found[kind] = opened(build(folder / kind, said, **sizes, tokens=tokens))
    return found


def pixels(model: FlamingoModel, said: Said, names: Sequence[str]) -> Tensor | None:
    """Return pictures as the model prepares them, NCHW; None: there are none."""
    made = [model.pixels(picture(*said["pictures"][name])).values for name in names]
    return torch.stack(made) if made else None


def kept(numbers: Sequence[float]) -> Tensor:
    """Return a row's projected logits as they were kept."""
    return torch.tensor(numbers).view(-1, 2)


def same_logits(found_BTV: Tensor, wanted: Sequence[Sequence[float]], mask_BT: Tensor) -> None:
    """Assert that each row has the logits that were kept, where it is not filled up."""
    for logits_TV, row, mask_T in zip(found_BTV, wanted, mask_BT, strict=True):
        assert torch.allclose(projected(logits_TV)[mask_T.bool()], kept(row), **CLOSE)


def same_rows(found: Sequence[Encoded], said: Said) -> None:
    """Assert that rows have the ids and labels that were kept, and nothing is learnt behind them."""
    for row, ids, labels, mask in zip(found, said["ids"], said["labels"], said["mask"], strict=True):
        length = sum(mask)
        assert list(row.ids) == ids[:length]
        assert labels_of(row) == labels[:length]
        assert set(labels[length:]) <= {-100}


def write_rows(folder: Path, said: Said) -> Path:
    """Write the subset's three files, a context file for each batch; return that of the instructions."""
    folder.mkdir(parents=True)
    pictures = {name: png_of(*sizes) for name, sizes in said["pictures"].items()}
    (folder / "X.json").write_text(json.dumps(pictures))
    return write_instructions(folder, said["rows"], said["groups"])


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
    return supervised_loss(model, hidden_BTH, labels_BT=batch.labels_BT, step_tokens=batch.trained_tokens).item()
