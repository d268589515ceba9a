"""Draws the sample of BLINK: one row of each of its 14 tasks, in the published layout; words are ours.

Run ``python -m tests.samples.draw_blink`` in the repository after the layout has changed, then
``python -m tests.samples.golden blink``; what they write is kept in the repository.
"""

from __future__ import annotations

from pathlib import Path
from string import ascii_uppercase

from tests.samples.sized import PICTURE, picture, write_parquet
from triptych.evaluate.benchmarks.blink import TASKS

IMAGES = {"Art_Style": 3, "Forensic_Detection": 4, "Jigsaw": 3, "Visual_Similarity": 3, "Multi-view_Reasoning": 2}
"""One where nothing else is said; the correspondences have two."""


def draw_row(row: int, task: str) -> dict[str, object]:
    options = [option or str(3 - at) for at, option in enumerate(TASKS[task].options)]
    question = f"What is right of {task.replace('_', ' ').lower()}?"
    letters = [f"({letter}) {option}" for letter, option in zip(ascii_uppercase, options, strict=False)]
    images = 2 if "Correspondence" in task else IMAGES.get(task, 1)
    shown = {f"image_{k + 1}": picture(row, k) if k < images else None for k in range(4)}
    return {
        "idx": f"val_{task}_1",
        "question": question,
        "sub_task": task,
        **shown,
        "choices": options,
        "answer": f"({ascii_uppercase[row % len(options)]})",
        "prompt": "\n".join([question, "Select from the following choices.", *letters]),
    }


def main(folder: Path) -> None:
    for row, task in enumerate(TASKS):
        path = folder / task / "val-00000-of-00001.parquet"
        write_parquet(path, [draw_row(row, task)], **{f"image_{k}": PICTURE for k in range(1, 5)})


if __name__ == "__main__":
    main(Path(__file__).parent / "blink")
