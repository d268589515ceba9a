"""What the training benchmark runs on: conversations, a model, and environments for the peers. Measures nothing.

The model is one saved folder that all open: SmolLM2-135M-Instruct with its real weights (the starter's), a two-layer
projector and a vision tower of a published shape, both with random weights. Its chat template is the model's own with
generation marks, as Hugging Face's trainers need them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
import transformers
from PIL import Image
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
)

from triptych.core.errors import NotFoundError
from triptych.core.records import Example, ImageRef, Text, Turn
from triptych.data.format import read_source
from triptych.data.formats import messages
from triptych.data.plan.rendering import encode
from triptych.data.template import Encoded
from triptych.models.family import PartsPlan, assemble, open_model
from triptych.models.parts import locate

SEED = 7
LANGUAGE = "starter:smollm2-135m-instruct"

IMAGES_A_ROW = {2: 23, 3: 24, 4: 22, 5: 15, 6: 16}
"""Of the 100 Mantis chat examples: how many rows have so many pictures. Drawn rows follow it."""
REPLIES_A_ROW = {8: 3, 9: 12, 10: 85}
WORDS = {"user": (30.4, 7.7), "assistant": (54.6, 16.1)}
"""Mean and deviation of the words of a turn: a seventh more than there, as these words are of fewer tokens."""
SAID = """
    the picture shows a small house beside an old road and in front of it two people who look at something far away
    while the other image has more light fewer trees and perhaps another season so one could compare what both suggest
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is trained: the shape of its tower, and its language model."""

    about: str
    image_px: int
    patch_px: int
    hidden: int = 768
    layers: int = 12
    heads: int = 12
    small: bool = False
    """Whether the language model is cut down to two small layers of random weights."""

    @property
    def tokens(self) -> int:
        """Tokens of an image."""
        return (self.image_px // self.patch_px) ** 2


MODELS: Mapping[str, Shape] = {
    "clip-b-32-256": Shape("SmolLM2-135M-Instruct + CLIP ViT-B/32 at 256 px", 256, 32),
    "siglip-b-16-224": Shape("SmolLM2-135M-Instruct + a tower of SigLIP base/16's size at 224 px", 224, 16),
    "toy": Shape("a toy, to try the benchmark itself", 64, 8, hidden=64, layers=2, heads=4, small=True),
}


def make_model(folder: Path, name: str) -> Path:
    """Return the model's folder, made the first time.

    Raises:
        NotFoundError: the starter's language model is not installed.
    """
    model = folder / f"model-{name}"
    if (model / "config.json").is_file():
        return model
    shape, vision = MODELS[name], folder / f"tower-{name}"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        config = CLIPVisionConfig(
            hidden_size=shape.hidden,
            intermediate_size=4 * shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            image_size=shape.image_px,
            patch_size=shape.patch_px,
        )
        CLIPVisionModel(config).save_pretrained(vision)
    side = {"height": shape.image_px, "width": shape.image_px}
    CLIPImageProcessorPil(size=side, do_center_crop=False).save_pretrained(vision)
    language = _small_language(folder / "language") if shape.small else LANGUAGE
    plan = PartsPlan(
        vision=str(vision), language=language, projector="mlp", image_tokens=None, template="chatml", seed=SEED
    )
    assemble("llava", plan).save(model)
    (model / "chat_template.jinja").write_text(with_generation_marks(model / "chat_template.jinja"), encoding="utf-8")
    return model


def _small_language(folder: Path) -> str:
    """Make a language model of two small layers with the starter's tokenizer; return its folder."""
    starter = locate(LANGUAGE)
    config = AutoConfig.from_pretrained(starter)
    config.hidden_size, config.intermediate_size, config.num_hidden_layers = 64, 128, 2
    config.num_attention_heads, config.num_key_value_heads, config.head_dim = 4, 2, 16
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(starter).save_pretrained(folder)
    return str(folder)


def with_generation_marks(template: Path) -> str:
    """Return ChatML in Jinja, its replies marked: the same text that the folder's own template writes.

    Raises:
        NotFoundError: the folder has no template of its own.
    """
    if not template.is_file():
        raise NotFoundError(f"{template}: a saved model has no chat template; the peers need one.")
    part = "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    content = (
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
        f"{{% for part in message['content'] %}}{part}{{% endfor %}}{{% endif %}}"
    )
    return (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
        "{% if message['role'] == 'assistant' %}"
        f"{{% generation %}}{content}{{{{ '<|im_end|>' }}}}{{% endgeneration %}}{{{{ '\\n' }}}}"
        f"{{% else %}}{content}{{{{ '<|im_end|>\\n' }}}}{{% endif %}}{{% endfor %}}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    )


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
    """Return the first conversations of a source that can be used."""
    rows = (row for row in read_source(source) if isinstance(row, Example))
    return [row for row, _ in zip(rows, range(count), strict=False)]


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
        subprocess.run([*pip, *what, "accelerate", "datasets", "pillow"], check=True)
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
