"""InternVL3, a current base: a picture in tiles of its own shape, and the whole.

A photograph is up to 13 tiles of 256 tokens here; a recipe may show fewer (docs/models.md).

    python examples/released/internvl.py first.png second.png
    python examples/released/internvl.py --model FOLDER first.png second.png

InternVL3.5 opens in the same way, from the folders for transformers: named with -hf, or -HF.
`triptych models info internvl3-1b` says how large it is and what was tried of it here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import triptych
from triptych.core.errors import TriptychError

MODEL = "OpenGVLab/InternVL3-1B-hf"


def ask(images: Sequence[Path], *, model: str = MODEL, max_tokens: int = 128) -> str:
    """Return what the model says of two or more pictures."""
    first, second, *others = images
    with triptych.load(model) as opened:
        return opened.ask(
            ["Image-1: ", first, "Image-2: ", second, *others, "What do they share?"], max_tokens=max_tokens
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
