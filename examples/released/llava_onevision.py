"""LLaVA-OneVision: one picture in tiles, several as a view each.

A picture alone costs more tokens than one among others.

    python examples/released/llava_onevision.py first.png second.png
    python examples/released/llava_onevision.py --model FOLDER first.png second.png

The 0.5B model runs on a laptop; onevision-7b is the same at 7B.
`triptych models info onevision-0.5b` says how large it is and what was tried of it here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import triptych
from triptych.core.errors import TriptychError

MODEL = "llava-hf/llava-onevision-qwen2-0.5b-ov-hf"


def ask(images: Sequence[Path], *, model: str = MODEL, max_tokens: int = 128) -> str:
    """Return what the model says of two or more pictures."""
    first, second, *others = images
    with triptych.load(model) as opened:
        return opened.ask([first, second, *others, "What do these pictures have in common?"], max_tokens=max_tokens)


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
