"""Mantis-Idefics2: pictures of any shape at 64 tokens each, so that many fit.

The strongest of the Mantis checkpoints, by its paper.

    python examples/released/idefics2.py first.png second.png
    python examples/released/idefics2.py --model FOLDER first.png second.png

It needs a GPU.
`triptych models info mantis-idefics2` says how large it is and what was tried of it here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import triptych
from triptych.core.errors import TriptychError

MODEL = "TIGER-Lab/Mantis-8B-Idefics2"


def ask(images: Sequence[Path], *, model: str = MODEL, max_tokens: int = 128) -> str:
    """Return what the model says of two or more pictures."""
    first, second, *others = images
    with triptych.load(model) as opened:
        return opened.ask(
            ["Here is ", first, " and here is ", second, *others, ". Which was taken later, and why?"],
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
