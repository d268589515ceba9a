"""The planner against what is measured: peak memory of training on a CPU, and a published run.

    python benchmarks/plan.py [--out FILE]

Each case trains two steps in a process of its own. Measured is the process's largest resident memory less what it had
after its imports; predicted is what ``triptych recipe plan`` counts, without the reserve that a GPU needs. The last
cases are Mantis, which gives 36 hours on 16 x A100-40G (arXiv:2405.01483) and not which of its models that was.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from PIL import Image

from triptych.core.config import parse_config
from triptych.core.machine import GIB
from triptych.train.forecast.estimate import Assumed, memory_of
from triptych.train.forecast.gpus import GPUS
from triptych.train.forecast.planner import UNPACKED_MFU, plan_stages, shape_of
from triptych.train.forecast.shapes import Shape
from triptych.train.recipe import Recipe, Tune, load_recipe, resolve

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
STARTER = "{vision: 'starter:efficientnet-lite0', language: 'starter:smollm2-135m-instruct', image_tokens: 4}"
LORA = "{train: lora, rate: 1.0e-3, rank: 16, alpha: 32}"
FULL = "{train: full, rate: 1.0e-4}"
CASES = {
    "tiny, all weights": ("tiny", "{vision: vit, language: llama}", FULL, 1024, False),
    "starter, LoRA": ("llava", STARTER, LORA, 1024, False),
    "starter, LoRA, checkpointed": ("llava", STARTER, LORA, 1024, True),
    "starter, all weights": ("llava", STARTER, FULL, 1024, False),
    "starter, all weights, 2048 tokens": ("llava", STARTER, FULL, 2048, False),
}
CHILD = """
import resource, sys
from pathlib import Path
import peft, torch, transformers
from triptych.train.recipe import load_recipe
from triptych.train.trainer import train
import triptych.models.families.llava, triptych.train.tune
before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
train(load_recipe(Path(sys.argv[1])), run=Path(sys.argv[2]))
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before)
"""
PUBLISHED_HOURS = 36


def main() -> None:
    """Run all cases and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    told = {
        "machine": {"processor": platform.machine(), "python": platform.python_version()},
        "memory": [memory_case(name) for name in CASES],
        "published": [published_case(name) for name in ("mantis_clip", "mantis_siglip", "mantis_idefics2")],
    }
    text = json.dumps(told, indent=2)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


def memory_case(name: str) -> dict[str, object]:
    """Return predicted and measured peak of a case."""
    family, parts, language, tokens, checkpointed = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        model = f"{{family: {family}, parts: {parts}}}"
        recipe = write_case(Path(folder), model=model, language=language, tokens=tokens, again=checkpointed)
        child = subprocess.run(
            [sys.executable, "-c", CHILD, str(Path(folder) / "case.yaml"), str(Path(folder) / "run")],
            check=False,
            capture_output=True,
            text=True,
        )
    if child.returncode:
        raise SystemExit(child.stderr)
    measured = int(child.stdout.split("peak")[1])
    stage = recipe.stages[0]
    assert isinstance(stage, Tune)
    assumed = replace(Assumed(), image_share=0.1, supervised_share=0.3)
    memory = memory_of(stage, case_shape(recipe), gpus=1, parallel="none", assumed=assumed)
    predicted = memory.total - memory.reserve
    return {
        "case": name,
        "predicted_gib": round(predicted / GIB, 3),
        "measured_gib": round(measured / GIB, 3),
        "predicted_over_measured": round(predicted / measured, 3),
    }


def published_case(name: str) -> dict[str, object]:
    """Return the planned hours of a recipe on the machine that the paper names."""
    recipe = load_recipe(RECIPES / f"{name}.yaml")
    (stage,) = plan_stages(recipe, shape_of(recipe.model, recipes=RECIPES), gpu=GPUS["a100-40g"], gpus=16)
    assert stage.hours is not None
    mfu = stage.assumed.mfu
    return {
        "recipe": name,
        "planned_hours": round(stage.hours, 1),
        "published_hours": PUBLISHED_HOURS,
        "planned_over_published": round(stage.hours / PUBLISHED_HOURS, 2),
        "planned_hours_unpacked": {f"mfu {low}": round(stage.hours_unpacked_at(low) or 0, 1) for low in UNPACKED_MFU},
        "mfu_of_the_published": round((stage.hours_unpacked_at(mfu) or 0) * mfu / PUBLISHED_HOURS, 3),
        "memory_gib": round(stage.memory.total / GIB, 1),
        "fits": stage.fits,
    }


def case_shape(recipe: Recipe) -> Shape:
    """Return the shape of a case's model; a toy's is made up from its configuration."""
    if recipe.model.family != "tiny":
        return shape_of(recipe.model)
    from triptych.train.forecast.shapes import joined, stack_of
    from triptych.train.start import start_model

    config = start_model(recipe.model, seed=0).network.config.to_dict()
    vision = config["vision_config"]
    patches = (vision["image_size"] // vision["patch_size"]) ** 2
    return joined((stack_of(vision), patches), stack_of(config["text_config"]), image_tokens=None, two_layers=False)


def write_case(folder: Path, *, model: str, language: str, tokens: int, again: bool) -> Recipe:
    """Write a recipe and its data: conversations of two pictures that fill packs well."""
    for number in range(8):
        Image.new("RGB", (64, 64), (30 * number, 255 - 30 * number, 90)).save(folder / f"{number}.png")
    lines = []
    for row in range(64):
        images = [f"{row % 8}.png", f"{(row + 3) % 8}.png"]
        asked = [
            {"type": "image", "image": 0},
            {"type": "image", "image": 1},
            {"type": "text", "text": "Compare. " * 12},
        ]
        reply = "The first one is darker than the second one. " * 3
        messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": reply}]
        lines.append(json.dumps({"id": str(row), "images": images, "messages": messages}))
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = (
        f"name: case\nmodel: {model}\nstages:\n"
        f"  - {{name: tune, kind: tune, data: [{{source: 'messages:{folder}/rows.jsonl'}}], length: 2 steps,\n"
        f"     pack_tokens: {tokens}, step_tokens: {tokens}, checkpoint_activations: {str(again).lower()},\n"
        f"     parts: {{projector: {{train: full, rate: 1.0e-4}}, language: {language}}}}}\n"
    )
    (folder / "case.yaml").write_text(text, encoding="utf-8")
    return resolve(parse_config(text, model=Recipe, file="case"))


if __name__ == "__main__":
    main()
