"""Mantis-Fuyu: no tower, squares of 30 pixels straight into the language model.

Small things in large pictures are what this kind is for.

    python examples/released/fuyu.py first.png second.png
    python examples/released/fuyu.py --model FOLDER first.png second.png

OtterHD (Otter-AI/OtterHD-8B) opens in the same way, with its own template.
`triptych models info mantis-fuyu` says how large it is and what was tried of it here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import triptych
from triptych.core.errors import TriptychError

MODEL = "TIGER-Lab/Mantis-8B-Fuyu"


def ask(images: Sequence[Path], *, model: str = MODEL, max_tokens: int = 128) -> str:
    """Return what the model says of two or more pictures."""
    first, second, *others = images
    with triptych.load(model) as opened:
        return opened.ask(
            ["Look at ", first, " and ", second, *others, ". What is the smallest thing that differs?"],
            max_tokens=max_tokens,
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
