"""One run of Triptych: its own ``train`` on a recipe, a step a turn. Not the measuring: ``train.py`` does that.

    python benchmarks/train_triptych.py SETTINGS.json      (started by benchmarks/train.py)

The first turn ends when everything is opened, planned and, as the tower is frozen, every picture is encoded; how long
the pictures took is told apart.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
import yaml
from train_turns import Turns

from triptych.core.allocators import keep_large_blocks
from triptych.core.config import parse_config
from triptych.core.records import Json
from triptych.models.vision.features import FeatureStore
from triptych.train.measuring.meters import StepReport
from triptych.train.recipe import Recipe
from triptych.train.trainer import Hooks, train


def recipe_of(settings: Mapping[str, Json]) -> Recipe:
    """Return the recipe: the projector moves and, unless it moves alone, the language model; the tower does not."""
    full: Json = {"train": "full", "rate": settings["rate"]}
    rank = int(str(settings["rank"]))
    adapted: Json = {"train": "lora", "rate": settings["rate"], "rank": rank, "alpha": 2 * rank, "dropout": 0.0}
    frozen: Json = {"train": "frozen"}
    language = frozen if settings["projector_only"] else adapted if rank else full
    stage: dict[str, Json] = {
        "name": "tune",
        "kind": "tune",
        "data": [{"source": f"messages:{settings['rows']}"}],
        "length": f"{settings['steps']} steps",
        "pack_tokens": settings["pack_tokens"],
        "step_tokens": settings["step_tokens"],
        "forward_tokens": settings["pack_tokens"],
        "parts": {"vision": frozen, "projector": full, "language": language},
        "schedule": "constant",
        "betas": [0.9, 0.999],
        "checkpoint_every": "1000000 steps",
        "workers": settings["workers"],
    }
    if settings["precision"] != "float32":
        stage["precision"] = settings["precision"]
    tree = {"name": "speed", "seed": settings["seed"], "model": {"open": settings["model"]}, "stages": [stage]}
    return parse_config(yaml.safe_dump(tree), model=Recipe, file=__file__)


class Clock:
    """Times the features of pictures. State: the sum."""

    def __init__(self) -> None:
        self.encode_s = 0.0
        inner = FeatureStore.features

        def timed(store: FeatureStore, *args: object, **more: object) -> object:
            begin = time.perf_counter()
            try:
                return inner(store, *args, **more)  # type: ignore[arg-type]
            finally:
                self.encode_s += time.perf_counter() - begin

        FeatureStore.features = timed  # type: ignore[method-assign, assignment]


def main() -> None:
    """Train as the settings say, a step a turn."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(settings["threads"])
    keep_large_blocks()  # as the command does
    turns, clock = Turns(), Clock()
    turns.wait()

    def after_step(report: StepReport) -> None:
        turns.tell(
            trained_tokens=report.trained_tokens,
            tokens=report.tokens,
            positions=report.tokens,
            images=report.images,
            loss_nats=report.loss_nats,
            packing_fill=report.packing_fill,
            encode_s=clock.encode_s,
        )
        turns.wait()

    train(recipe_of(settings), run=Path(settings["work"]), hooks=Hooks(after_step=after_step))


if __name__ == "__main__":
    main()
