"""What the tests of LLaVA's works share: folders, and rows as the released code wrote them given to an opened model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tests.released.drawn import save_weights
from tests.released.llava_shared import by_position, draw
from tests.released.making import made_of
from triptych.core.records import Example, ImageRef
from triptych.data.batch import IGNORE, Batch, collate
from triptych.data.format import load_examples
from triptych.data.media.images import load_image, measure
from triptych.data.template import Encoded, Slot
from triptych.models.family import Model, Seen, open_model

LOOSE = 1e-4
"""For sums of some hundred products of six significant digits."""
CLIP = {
    "image_processor_type": "CLIPImageProcessor",
    "resample": 3,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
"""Preparation of pictures as the released CLIP has it, but for sizes."""
IMAGE = -200
"""The id of an image in the released code."""


def close(ours: Tensor | Sequence[float], theirs: Sequence[float]) -> bool:
    """Return whether numbers are equal to what six significant digits tell."""
    return torch.allclose(torch.as_tensor(ours).double(), torch.tensor(theirs).double(), atol=LOOSE, rtol=LOOSE)


def one_each(ids: Sequence[int], image: int) -> list[int]:
    """Return ids in which images side by side are one."""
    return [IMAGE if key == image else each for key, run in groupby(ids) for each in ([key] if key == image else run)]


def encoded(name: str, made: Mapping[str, Any], images: Sequence[Path], model: Model) -> Encoded:
    """Return a row with the released ids and labels, in place of those that Triptych renders."""
    ids: list[int] = []
    slots: list[Slot] = []
    left = iter(images)
    cost = model.cost.among(len(images))
    for each in made["ids"]:
        if each == IMAGE:
            image = measure(ImageRef(str(next(left))))
            assert image.size is not None
            slots.append(Slot(len(ids), len(ids) + cost.tokens(image.size), image))
            ids += [model.image_token_id] * cost.tokens(image.size)
        else:
            ids.append(each)
    labels = made.get("spread") or [IGNORE] * len(ids)
    assert len(labels) == len(ids), "pictures cost what they cost in the released code"
    return Encoded(name, tuple(ids), tuple(label != IGNORE for label in labels), tuple(slots))


def batch_of(*rows: Encoded) -> Batch:
    """Return rows under each other."""
    return collate([[row] for row in rows], pad_id=0)


def shown(model: Model, batch: Batch) -> list[Seen]:
    """Return the pictures as their slots show them."""
    return [model.pixels_in(load_image(image), span) for image, span in zip(batch.images, batch.spans, strict=True)]


class Opened(NamedTuple):
    """A case on CLIP: its model, and its rows as read and as the released code wrote them."""

    name: str
    made: Mapping[str, Any]
    model: Model
    read: Mapping[str, Example]
    given: Mapping[str, Encoded]


def write_tower(folder: Path, config: Mapping[str, Any], images: Mapping[str, Any]) -> None:
    """Write a tower's folder, without its weights."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(images))


def opened(
    folder: Path,
    name: str,
    made: Mapping[str, Any],
    *,
    tower: Mapping[str, Any],
    named: Mapping[str, Any],
    shapes: Mapping[str, Sequence[int]],
    rows: Sequence[Mapping[str, Any]],
    template: str,
) -> Opened:
    """Write a checkpoint in the layout of the released code, its tower and its rows, and open it.

    Args:
        folder: to write into.
        name: of the case.
        made: by the released code.
        tower: configuration of the tower.
        named: the class of the network, as ``config.json`` says it.
        shapes: of the weights.
        rows: as the released data have them.
        template: of ours.
    """
    side = tower["image_size"]
    write_tower(
        folder / "tower", {**tower, "model_type": "clip_vision_model"}, {**CLIP, "size": side, "crop_size": side}
    )
    config = {**made["config"], **named, "mm_vision_tower": str(folder / "tower")}
    (folder / "config.json").write_text(json.dumps(config))
    save_weights(folder, shapes.items())
    (folder / "tokenizer.json").write_text(json.dumps(made_of("llava_v1_5")["tokenizer"]))
    ends = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer", **ends}))
    (folder / "triptych.json").write_text(json.dumps({"template": template}))
    model = open_model(folder)
    read = {each.id: each for each in read_rows(folder, rows)}
    given = {}
    for row in rows:
        images = row.get("image", [])
        paths = [folder / image for image in ([images] if isinstance(images, str) else images)]
        given[row["id"]] = encoded(row["id"], made["outcomes"][row["id"]], paths, model)
    return Opened(name, made, model, read, given)


def read_rows(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Sequence[Example]:
    """Write rows and their pictures, and return them as our format reads them."""
    draw(folder, rows)
    (folder / "rows.json").write_text(json.dumps(rows))
    return load_examples(f"llava:{folder / 'rows.json'}", on_bad="raise").examples


def check_numbers(
    model: Model, batch: Batch, made: Mapping[str, Any], *, tokens: int, name: str
) -> tuple[Tensor, Tensor]:
    """Assert that a row's features stand as there and its logits are equal; return hidden_BTH and logits_TV."""
    with torch.no_grad():
        woven = model.weave(batch, model.encode(shown(model, batch)))
        hidden_BTH = model.hidden(woven)
        logits_TV = model.head(hidden_BTH)[0, :, :tokens]
    assert close(by_position(woven.embeds_BTH[0]), made["given"]), name
    assert close(by_position(logits_TV), made["logits"]), name
    return hidden_BTH, logits_TV


def check_batch(logits_BTV: Tensor, batch: Batch, made: Sequence[Sequence[float]], *, left: bool = False) -> None:
    """Assert that each row of a batch has its logits, ``left``: there padded on the left."""
    for row, theirs in enumerate(made):
        length = int((batch.segments_BT[row] >= 0).sum())
        kept = theirs[-length:] if left else theirs[:length]
        assert close(by_position(logits_BTV[row, :length]), kept)


def check_pairs(case: Opened, *, left: bool = False) -> None:
    """Assert that two rows in a batch have the logits that they have there."""
    model, size = case.model, case.made["config"]["vocab_size"]
    for first, second, _, logits in case.made["pairs"]:
        batch = batch_of(case.given[first], case.given[second])
        with torch.no_grad():
            ours = model.head(model.hidden(model.weave(batch, model.encode(shown(model, batch)))))
        check_batch(ours[..., :size], batch, logits, left=left)


def before(ids: list[int], stop: int) -> list[int]:
    """Return what is said before a reply's stop."""
    return ids[: ids.index(stop)] if stop in ids else ids
