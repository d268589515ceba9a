"""What the tests of Mantis share on our side: chats as Examples, folders, losses, talks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.models.pictures import encoded, pixels_of
from tests.released import mantis_toys as toys
from tests.released.drawn import save_weights
from triptych.core.plugins import find
from triptych.core.records import Example, ImageRef, Part, Text, Turn
from triptych.data.batch import Batch, collate, pad_left
from triptych.data.format import Format, Refused
from triptych.data.media.images import load_image, measure
from triptych.data.template import Encoded, parse_reply, stop_id
from triptych.infer.decoding.decode import decode
from triptych.infer.local import measured
from triptych.models.family import Model, Seen, open_model
from triptych.train.loss import supervised_loss


def read(folder: Path) -> dict[str, Example]:
    """Draw the pictures and chats, and return them as our format reads them."""
    toys.draw(folder)
    found: dict[str, Example] = {}
    for row in find("format", "mantis", expected=Format).read(folder / "train.json"):
        assert not isinstance(row, Refused)
        found[row.id] = measured(row)
    return found


def opened(
    folder: Path, files: Mapping[str, str], shapes: Sequence[tuple[str, Sequence[int]]], *, template: str
) -> Model:
    """Write a folder as the released code saved it, its weights drawn, and open it."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    save_weights(folder, shapes)
    (folder / "triptych.json").write_text(json.dumps({"template": template}))
    return open_model(folder)


def close(ours: Tensor, told: object, atol: float = 1e-4) -> bool:
    """Say whether numbers are those that the released code told."""
    return torch.allclose(ours, torch.tensor(told), atol=atol)


def learnt(model: Model, batch: Batch, weight: str) -> tuple[float, Tensor]:
    """Return the loss of a batch, and a number of its gradient at a weight of the language model."""
    hidden = model.hidden(model.weave(batch, model.encode(pixels_of(model, batch.images))))
    loss = supervised_loss(model, hidden, labels_BT=batch.labels_BT, step_tokens=batch.trained_tokens)
    watched = model.body.get_parameter(weight)
    return loss.item(), toys.projection(torch.autograd.grad(loss, watched)[0].flatten()[None])[0]


def enlarged(model: Model, image: ImageRef) -> Seen:
    """Return a picture below 16 pixels as training there sees it: enlarged before anything else."""
    picture = load_image(image)
    factor = max(16 / side for side in picture.size)
    return model.pixels(picture.resize((int(picture.width * factor), int(picture.height * factor))))


def turn(text: str, pictures: Iterator[ImageRef]) -> Turn:
    """Return what a user says, with the next pictures in place of its marks."""
    said = filter(None, re.split("(<image>)", text))
    parts: list[Part] = [next(pictures) if part == "<image>" else Text(part) for part in said]
    return Turn("user", tuple(parts))


def check_talk(
    model: Model, talk: Sequence[dict[str, Any]], folder: Path, *, ids_of: Callable[[Encoded], list[int]]
) -> None:
    """Assert that each turn of a talk has the prompt, the greedy reply and the words that were told.

    Args:
        model: an opened one.
        talk: of the released code, turn by turn.
        folder: where the pictures are.
        ids_of: a prompt as the released code has it before its network is run.
    """
    turns: tuple[Turn, ...] = ()
    pictures = iter([measure(ImageRef(str(folder / f"{name}.png"))) for name in talk[-1]["images"]])
    stop = stop_id(model.template, model.tokenizer)
    for told in talk:
        turns = (*turns, turn(told["text"], pictures))
        prompt = encoded(model, Example("talk", turns), open_reply=True)
        assert ids_of(prompt) == told["prompt"]
        batch = pad_left(collate([[prompt]], pad_id=0))
        with torch.inference_mode():
            woven = model.weave(batch, model.encode(pixels_of(model, batch.images)))
            steps = list(decode(model, woven, stops={stop}, max_tokens=len(told["reply"])))
        reply = [number for step in steps for number in step.ids]
        assert reply == told["reply"]
        assert parse_reply(reply, model.template, tokenizer=model.tokenizer) == told["said"]
        turns = (*turns, Turn("assistant", (Text(told["said"]),)))
