"""Draws the samples of one's own rows, the same for each rule: a choice, yes or no, a number, and a conversation.

Run ``python -m tests.samples.draw_own`` in the repository after a layout has changed.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.samples.drawing import SAMPLES, png

NAMES = ("own", "own_exact", "own_judge", "own_rouge_l")
LONG = "The second picture has one more white dot than the first, and it is green instead of red."
ROWS = {
    "choice": [("Which is green?\n(A) image 1\n(B) image 2\nAnswer with the letter.", "B")],
    "two": [("Is the first picture red?", "Yes")],
    "number": [("How many dots has the second picture?", "2")],
    "talk": [("Which is red?", "the first"), ("What else is different?", LONG)],
}


def draw(folder: Path) -> None:
    """Write ``held.jsonl`` and two pictures."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    paths = [f"images/{number}.png" for number in range(2)]
    for number, path in enumerate(paths):
        (folder / path).write_bytes(png(number))
    lines = [json.dumps(_row(name, said, paths)) + "\n" for name, said in ROWS.items()]
    (folder / "held.jsonl").write_text("".join(lines), encoding="utf-8")


def _row(name: str, said: list[tuple[str, str]], paths: list[str]) -> dict[str, object]:
    shown = [{"type": "image", "image": number} for number in range(len(paths))]
    messages = [
        {"role": role, "content": [*(shown if (at, role) == (0, "user") else []), {"type": "text", "text": text}]}
        for at, pair in enumerate(said)
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    return {"id": name, "messages": messages, "images": [{"path": path} for path in paths]}


if __name__ == "__main__":
    for each in NAMES:
        draw(SAMPLES / each)
