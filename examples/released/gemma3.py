"""Gemma 3, a current base: 256 tokens a picture, which see each other in both directions.

Its weights are gated: agree to the licence on the hub, then give HF_TOKEN.

    python examples/released/gemma3.py first.png second.png
    python examples/released/gemma3.py --model FOLDER first.png second.png

The models of 12 and 27 billion parameters open in the same way.
`triptych models info gemma-3-4b` says how large it is and what was tried of it here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import triptych
from triptych.core.errors import TriptychError

MODEL = "google/gemma-3-4b-it"


def ask(images: Sequence[Path], *, model: str = MODEL, max_tokens: int = 128) -> str:
    """Return what the model says of two or more pictures."""
    first, second, *others = images
    with triptych.load(model) as opened:
        return opened.ask([first, second, *others, "Which of these is the odd one out?"], max_tokens=max_tokens)


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
