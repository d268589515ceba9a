"""Draws the sample of LLaVA-Interleave Bench: the raw JSON of its three parts, with the pictures beside it.

Run ``python -m tests.samples.draw_llava_interleave`` in the repository after the layout has changed; what it writes is
committed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.samples.drawing import SAMPLES, Row, png


def draw() -> None:
    """The raw JSON of the three parts, with the pictures beside it."""

    def row(name: str, dataset: str, kind: str, images: Sequence[int], *said: str) -> Row:
        folder = SAMPLES / "llava_interleave" / "Split1"
        folder.mkdir(parents=True, exist_ok=True)
        for image in images:
            (folder / f"{image}.png").write_bytes(png(image))
        turns = [{"from": ("human", "gpt")[at % 2], "value": text} for at, text in enumerate(said)]
        return {
            "sample_id": name,
            "image": [f"Split1/{image}.png" for image in images],
            "conversations": turns,
            "metadata": {"dataset": dataset, "question_type": kind},
        }

    letter = "Answer with the option's letter from the given choices directly."
    parts = {
        "multi_image_in_domain": [
            row(
                "1", "Spot-the-Diff", "open-ended", [0, 1], "<image><image>\nWhat differs?", "The square is now green."
            ),
            row("2", "CLEVR-Change", "open-ended", [2, 3], "From <image> to <image>: what?", "The cube is gone."),
            row(
                "3",
                "RAVEN",
                "multi-choice",
                [4, 5, 6],
                f"<image>\nWhich comes next?\nA: <image> B: <image>\n{letter}",
                "B",
            ),
            row("4", "NLVR2_Mantis", "multi-choice", [0, 2], "<image><image>\nBoth are red. True or false?", "False"),
        ],
        "multi_image_out_domain": [
            row(
                "1",
                "BLINK",
                "multi-choice",
                [1, 4],
                f"<image> <image> Which is left?\n(A) first\n(B) second\n{letter}",
                "A",
            )
        ],
        "multi_view_in_domain": [
            row(
                "1",
                "ALFRED",
                "open-ended",
                [5, 6],
                "Step Details: <image>Step#1: go. <image> Current Step:",
                "Open the drawer.",
                "And then?",
                "Take the cup.",
            )
        ],
    }
    for name, rows in parts.items():
        (SAMPLES / "llava_interleave" / f"{name}.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    draw()
