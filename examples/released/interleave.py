"""LLaVA-NeXT-Interleave, in the layout of its own code: pictures before the words, as it was tuned.

Several pictures are shown as one view each, and a new line behind.

    python examples/released/interleave.py first.png second.png
    python examples/released/interleave.py --model FOLDER first.png second.png

The 0.5B model runs on a laptop; interleave-7b is the same at 7B.
`triptych models info interleave-0.5b` says how large it is and what was tried of it here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import triptych
from triptych.core.errors import TriptychError

MODEL = "lmms-lab/llava-next-interleave-qwen-0.5b"


def ask(images: Sequence[Path], *, model: str = MODEL, max_tokens: int = 128) -> str:
    """Return what the model says of two or more pictures."""
    first, second, *others = images
    with triptych.load(model) as opened:
        return opened.ask(
            [first, second, *others, "What changed from the first image to the last?"], max_tokens=max_tokens
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
