"""Otter: pictures beside the words, seen by cross-attention.

An image costs one position, so that many demonstrations fit.

    python examples/released/flamingo.py first.png second.png
    python examples/released/flamingo.py --model FOLDER first.png second.png

Its folder has old weight files, which are read without running code of theirs.
`triptych models info otter-mpt7b` says how large it is and what was tried of it here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import triptych
from triptych.core.errors import TriptychError

MODEL = "luodian/OTTER-Image-MPT7B"


def ask(images: Sequence[Path], *, model: str = MODEL, max_tokens: int = 128) -> str:
    """Return what the model says of two or more pictures."""
    first, second, *others = images
    with triptych.load(model) as opened:
        return opened.ask([first, "What is here? ", second, *others, "And what is here?"], max_tokens=max_tokens)


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
