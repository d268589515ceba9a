"""Small runs for tests: pictures of one colour, questions about them, and recipes over the tiny family."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from random import Random

from PIL import Image

from triptych.core.config import parse_config
from triptych.train.measuring.meters import StepReport
from triptych.train.recipe import Recipe, resolve
from triptych.train.trainer import Hooks

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 40), "blue": (20, 40, 230), "white": (250, 250, 250)}

RECIPE = """
name: toy
seed: 3
model:
  family: tiny
  parts: {vision: vit, language: llama}
stages:
  - name: tune
    kind: tune
    data: [{source: "messages:TUNE"}]
    length: 6 steps
    pack_tokens: 160
    step_tokens: 320
    parts:
      projector: {train: full, rate: 3e-3}
      language: {train: lora, rate: 1e-2, rank: 4, alpha: 8, dropout: 0.1}
    schedule: linear
    checkpoint_every: 2 steps
"""

ALIGN = """
  - name: align
    kind: closed_form
    data: [{source: "messages:ALIGN"}]
"""


def write_pictures(folder: Path) -> list[str]:
    """Write two pictures of each colour; return the files' names: ``red-0.png``."""
    names = []
    for colour, rgb in COLOURS.items():
        for number in range(2):
            name = f"{colour}-{number}.png"
            picture = Image.new("RGB", (40 + 8 * number, 32), rgb)
            picture.paste((255 - rgb[0], 90 * number, 60), (0, 0, 6 + 4 * number, 9))
            picture.save(folder / name)
            names.append(name)
    return names


def write_tune(folder: Path, *, rows: int = 24) -> Path:
    """Write conversations about 0 to 3 pictures in mid-sentence; every fifth has none, some have two turns."""
    random, names = Random(5), write_pictures(folder)
    lines = []
    for row in range(rows):
        images = [] if row % 5 == 4 else random.sample(names, random.randint(1, 3))
        asked = [part for at in range(len(images)) for part in ({"type": "image", "image": at}, words(" and "))]
        colours = [name.split("-")[0] for name in images]
        messages = [
            {"role": "user", "content": [words("See "), *asked, words("?")]},
            {"role": "assistant", "content": " ".join(colours) or "none"},
        ]
        if row % 3 == 0:
            messages += [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": str(len(images))}]
        lines.append(json.dumps({"id": f"row-{row}", "images": images, "messages": messages}))
    path = folder / "tune.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def write_align(folder: Path) -> Path:
    """Write one caption for each picture."""
    lines = []
    for name in write_pictures(folder):
        messages = [
            {"role": "user", "content": [{"type": "image", "image": 0}]},
            {"role": "assistant", "content": name.split("-")[0]},
        ]
        lines.append(json.dumps({"id": name, "images": [name], "messages": messages}))
    path = folder / "align.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def words(text: str) -> dict[str, str]:
    """Return a text part."""
    return {"type": "text", "text": text}


def recipe_text(folder: Path, *, align: bool = False) -> str:
    """Return the YAML of a recipe over data that it writes into ``folder``."""
    text = RECIPE
    if align:
        text = text.replace("stages:\n", f"stages:{ALIGN}")
    return text.replace("TUNE", str(write_tune(folder))).replace("ALIGN", str(write_align(folder)))


def toy_recipe(folder: Path, *changes: tuple[str, str], align: bool = False) -> Recipe:
    """Return a recipe; each change replaces a piece of its YAML."""
    text = recipe_text(folder, align=align)
    for old, new in changes:
        assert old in text, f"{old!r} is not in the recipe"
        text = text.replace(old, new)
    return resolve(parse_config(text, model=Recipe, file="toy"))


def stop_at(step: int) -> Hooks:
    """Return what asks a run to stop after a step."""

    def ask(report: StepReport) -> None:
        if report.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return Hooks(after_step=ask)
