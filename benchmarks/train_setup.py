"""What the training benchmark runs on: conversations, and environments for the peers. Measures nothing.

The model is in ``train_models.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random

import numpy as np
import torch
import transformers
from PIL import Image

from triptych.core.errors import DataError, NotFoundError
from triptych.core.records import Example, ImageRef, Text, Turn
from triptych.data.format import read_source
from triptych.data.formats import messages
from triptych.data.plan.rendering import encode
from triptych.data.template import Encoded
from triptych.models.family import open_model

SEED = 7

IMAGES_A_ROW = {2: 23, 3: 24, 4: 22, 5: 15, 6: 16}
"""Of the 100 Mantis chat examples: how many rows have so many pictures. Drawn rows follow it."""
REPLIES_A_ROW = {8: 3, 9: 12, 10: 85}
WORDS = {"user": (30.4, 7.7), "assistant": (54.6, 16.1)}
"""Mean and deviation of the words of a turn: a seventh more than there, as these words are of fewer tokens."""
SAID = """
    the picture shows a small house beside an old road and in front of it two people who look at something far away
    while the other image has more light fewer trees and perhaps another season so one could compare what both suggest
"""


def shared_rows(given: str | None) -> str | None:
    """Return ``FORMAT:PATH`` of real conversations: what is given, else the Mantis examples where somebody has them."""
    if given is not None:
        return given
    beside = Path(__file__).resolve().parents[2] / "shared"
    for root in [Path(os.environ["TRIPTYCH_SHARED"])] if "TRIPTYCH_SHARED" in os.environ else [beside]:
        if (found := root / "data" / "mantis_examples" / "chat" / "train.json").is_file():
            return f"mantis:{found}"
    return None


def read_rows(source: str, count: int) -> list[Example]:
    """Return the first conversations of a source that can be used.

    Raises:
        DataError: there is none.
    """
    rows: list[Example] = []
    why = "it has no rows"
    for row in read_source(source):
        if len(rows) == count:
            break
        if isinstance(row, Example):
            rows.append(row)
        elif not rows:
            why = row.message
    if not rows:
        raise DataError(f"{source}: no conversation of it can be used. {why}")
    return rows


def draw_rows(folder: Path, count: int) -> list[Example]:
    """Draw conversations of the lengths, and with the numbers of pictures, that the Mantis chat examples have."""
    random, pixels = Random(SEED), np.random.default_rng(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        shown = []
        for each in range(_drawn(random, IMAGES_A_ROW)):
            path, size = folder / f"{number}-{each}.jpg", (random.randint(336, 640), random.randint(336, 480))
            coarse = pixels.integers(0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize(size).save(path, quality=90)
            shown.append(ImageRef(str(path)))
        turns: list[Turn] = []
        for _ in range(_drawn(random, REPLIES_A_ROW)):
            turns.append(Turn("user", (*(() if turns else shown), Text(_sentence(random, "user")))))
            turns.append(Turn("assistant", (Text(_sentence(random, "assistant")),)))
        rows.append(Example(str(number), tuple(turns)))
    return rows


def _drawn(random: Random, counts: Mapping[int, int]) -> int:
    return random.choices(list(counts), list(counts.values()))[0]


def _sentence(random: Random, role: str) -> str:
    mean, deviation = WORDS[role]
    return " ".join(random.choices(SAID.split(), k=max(4, round(random.gauss(mean, deviation)))))


def write_rows(rows: Iterable[Example], path: Path) -> Path:
    """Write conversations as JSON Lines of our ``messages`` layout, their pictures beside; peers read that too."""
    messages.write(rows, path)
    return path


def row_lengths(rows: Path, model: Path) -> list[tuple[int, int]]:
    """Return (tokens, supervised tokens) of each conversation of a file, as Triptych renders it."""
    rendering = open_model(model).rendering
    encoded = [encode(row, rendering) for row in read_source(f"messages:{rows}") if isinstance(row, Example)]
    return [(len(each.ids), sum(each.trained)) for each in encoded if isinstance(each, Encoded)]


def peers_python(folder: Path, name: str) -> Path:
    """Return the interpreter of a peer's environment, made the first time: the same torch, nothing of ours.

    Raises:
        subprocess.CalledProcessError: pip cannot install it; what it says is on stderr.
        NotFoundError: torchvision or timm came in; the peer would prepare pictures by other code.
    """
    home = (folder / name).absolute()
    python = home / "bin" / "python"
    if not (home / "made").is_file():
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        sys.stderr.write(f"an environment for {name} in {home}...\n")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run([*pip, f"torch=={torch.__version__.partition('+')[0]}"], check=True)
        what = {"hf": [f"transformers=={transformers.__version__}"], "trl": ["trl"]}[name]
        subprocess.run([*pip, *what, "accelerate", "datasets", "peft", "pillow"], check=True)
        (home / "made").touch()
    if unwanted := {"torchvision", "timm"} & versions(python).keys():
        raise NotFoundError(f"{home}: {', '.join(unwanted)} is installed there; remove it.")
    return python


def versions(python: Path) -> dict[str, str]:
    """Return the packages of an environment."""
    listed = subprocess.run(
        [str(python), "-m", "pip", "list", "--format", "json"], check=True, capture_output=True, text=True
    )
    return {package["name"].lower(): package["version"] for package in json.loads(listed.stdout)}
