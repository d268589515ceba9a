"""Qwen2.5-VL, a current base: pictures of any size, positions along time, height and width.

A good start for a tuning of your own: `model.open` in a recipe takes the same id.

    python examples/released/qwen_vl.py first.png second.png
    python examples/released/qwen_vl.py --model FOLDER first.png second.png

Qwen2-VL and Qwen3-VL open in the same way.
`triptych models info qwen2.5-vl-3b` says how large it is and what was tried of it here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import triptych
from triptych.core.errors import TriptychError

MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"


def ask(images: Sequence[Path], *, model: str = MODEL, max_tokens: int = 128) -> str:
    """Return what the model says of two or more pictures."""
    first, second, *others = images
    with triptych.load(model) as opened:
        return opened.ask(
            ["Put these in order: ", first, second, *others, ". Which comes first?"], max_tokens=max_tokens
        )


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("images", nargs="+", type=Path)
    words.add_argument("--model", default=MODEL)
    given = words.parse_args()
    if len(given.images) < 2:
        words.error("give two pictures or more")
    try:
        answer = ask(given.images, model=given.model)
    except TriptychError as error:
        words.exit(2, f"error: {error}\n")
    sys.stdout.write(answer + "\n")
