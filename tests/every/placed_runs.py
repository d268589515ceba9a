"""What people start, on one device: a run of training, a model to talk to, a server, a teacher of words alone.

Toys of the tiny family; what each family does itself is in ``placed.py``. Run in a process of its own.
"""

from __future__ import annotations

import json
import runpy
import signal
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

import triptych
from tests.every.placed import SCORING
from tests.models.pictures import draw_pictures
from tests.pretended import waiting
from tests.pretending import hidden
from tests.serve.api_server import picture, said, serving
from tests.toys import toy_tokenizer
from tests.train.runs import toy_recipe
from triptych.core.errors import RunError
from triptych.core.records import Answer, Example, Text, Turn
from triptych.infer.opening import open_responder
from triptych.infer.words import WordsResponder
from triptych.models.families.tiny import tiny
from triptych.models.family import Model, open_model
from triptych.models.heads import ScoreHead
from triptych.serve.api.settings import ServeSettings
from triptych.serve.server import _open
from triptych.train.measuring.meters import StepReport
from triptych.train.trainer import Hooks, train

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "train_gpu.py"
TUNED = "language: {train: lora, rate: 1e-2, rank: 4, alpha: 8, dropout: 0.1}"
SCHEDULE = "schedule: linear"
CHANGES: dict[str, tuple[tuple[str, str], ...]] = {
    "adapter": (),
    "adapter in bfloat16": ((SCHEDULE, f"{SCHEDULE}\n    precision: bfloat16"), ("dropout: 0.1", "dropout: 0.0")),
    "all weights": (
        (TUNED, "vision: {train: full, rate: 1e-4}\n      language: {train: full, rate: 1e-3}"),
        (SCHEDULE, f"{SCHEDULE}\n    checkpoint_activations: true\n    forward_tokens: 160"),
    ),
}
"""Ways to train -> what they change in the toy recipe."""


def run(kind: str, device: str, folder: Path) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Align and tune, stopped after a step and taken up again; return the records and the finished weights."""

    def stop(report: StepReport) -> None:
        if report.step == 3:
            signal.raise_signal(signal.SIGINT)

    recipe = toy_recipe(folder, *CHANGES[kind], align=True)
    with hidden(device == "cpu"):
        with pytest.raises(RunError, match="after step 3 of 6"):
            train(recipe, run=folder / "run", hooks=Hooks(after_step=stop))
        finished = open_model(train(recipe, run=folder / "run"))
    assert ("H200" in (folder / "run" / "sessions.jsonl").read_text()) == (device == "cuda")
    records = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    return records, dict(finished.network.state_dict())


def waits(folder: Path, *, forward_tokens: int) -> list[int]:
    """Return how often the host waits in each step, tower and all, of packs that go through so many at once."""
    counts: list[int] = []
    wide = ("step_tokens: 320", f"step_tokens: 640\n    forward_tokens: {forward_tokens}")
    recipe = toy_recipe(
        folder, (TUNED, "vision: {train: full, rate: 1e-4}\n      language: {train: full, rate: 1e-3}"), wide
    )

    def count(_: StepReport) -> None:
        counts.append(len(heard))
        heard.clear()

    with waiting() as heard:
        train(recipe, run=folder / "run", hooks=Hooks(after_step=count))
    return counts


def talk(device: str, folder: Path) -> list[str]:
    """Return what a folder says by ``triptych.load``: alone, in a batch, in a chat; and its scores."""
    first, second = (image.source for image in draw_pictures(folder, 2))
    _scoring().save(folder / "model")
    with triptych.load(folder / "model", device=device, precision="float32") as assistant:
        chat = assistant.chat()
        return [
            assistant.ask(["See ", triptych.picture(first)], max_tokens=6),
            *assistant.batch([["Is ", triptych.picture(first), "?"], "Two and two?"], max_tokens=6),
            chat.ask(["See ", triptych.picture(second)], max_tokens=6),
            "".join(chat.stream("And now?", max_tokens=6)),
            *(f"{name} {number:.3f}" for name, number in assistant.score(triptych.picture(first)).items()),
        ]


def serve(device: str, folder: Path) -> list[str]:
    """Return what a server answers over HTTP, in words and in scores, of a model that it opens itself."""
    _scoring().save(folder / "model")
    settings = ServeSettings(device=device, precision="float32")
    served = _open(str(folder / "model"), settings, folder / "kept")
    with serving(folder, [], served=[served]) as running:
        asked = {"model": served.name, "messages": said(picture(5), "Which is it?"), "max_tokens": 6}
        replies = [running.post(asked | {"seed": 3, "temperature": heat}).json() for heat in (0.0, 0.7)]
        scores = running.post({"model": served.name, "messages": asked["messages"]}, path="/v1/score").json()
        assert served.talker is not None
        served.talker.close()
    told = [f"{name} {number:.3f}" for name, number in scores["scores"].items()]
    return [*(reply["choices"][0]["message"]["content"] for reply in replies), *told]


def evaluate(device: str, folder: Path) -> list[str]:
    """Return what a responder answers that a command line opens, and one that knows words alone."""
    tiny(0).save(folder / "model")
    _words().save_pretrained(folder / "words")
    tokenizer = toy_tokenizer()
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}<|im_end|>{% endfor %}"
    tokenizer.save_pretrained(folder / "words")
    asked = [Example(str(n), (Turn("user", (Text("How many cats? " * (n + 1)),)),)) for n in range(3)]
    opened = open_responder(str(folder / "model"), [f"device={device}", "precision=float32"]).responder
    drawn = WordsResponder(folder / "words", name="words", device=device, precision="float32", temperature=0.9)
    found = [*opened.answer(asked, max_tokens=6), *drawn.answer(asked, max_tokens=6)]
    return sorted(f"{each.id} {each.text}" for each in found if isinstance(each, Answer))


def measure(out: Path) -> dict[str, Any]:
    """Run the benchmark of GPUs on shapes that mean nothing; return what it writes.

    Without bitsandbytes: its kernels are of a kind of device, and on the pretended one its weights lose their scales.
    """
    find = find_spec

    def other_than_bitsandbytes(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "bitsandbytes" else find(name, package)

    asked = [str(BENCHMARK), "--toy", "--out", str(out)]
    with patch.object(sys, "argv", asked), patch("importlib.util.find_spec", other_than_bitsandbytes):
        runpy.run_path(str(BENCHMARK), run_name="__main__")
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def _scoring() -> Model:
    model = tiny(0)
    model.score_head = ScoreHead(SCORING, model.network.config.get_text_config().hidden_size, seed=1)
    return model


def _words() -> LlamaForCausalLM:
    torch.manual_seed(0)
    shape: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    shape |= {"num_attention_heads": 4, "vocab_size": len(toy_tokenizer()), "max_position_embeddings": 200}
    return LlamaForCausalLM(LlamaConfig(**shape))
