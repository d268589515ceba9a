"""Mantis on LLaVA's architecture: compare pictures that stand in the sentence.

Mantis-SigLIP takes 728 tokens a picture, each called by its number in the text it was tuned on.

    python examples/released/llava.py first.png second.png
    python examples/released/llava.py --model FOLDER first.png second.png

Its template is known by its hub id, or by the triptych.json that `triptych models get` writes.
`triptych models info mantis-siglip` says how large it is and what was tried of it here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import triptych
from triptych.core.errors import TriptychError

MODEL = "TIGER-Lab/Mantis-8B-siglip-llama3"


def ask(images: Sequence[Path], *, model: str = MODEL, max_tokens: int = 128) -> str:
    """Return what the model says of two or more pictures."""
    first, second, *others = images
    with triptych.load(model) as opened:
        return opened.ask(["What is different between ", first, " and ", second, *others, "?"], max_tokens=max_tokens)


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
