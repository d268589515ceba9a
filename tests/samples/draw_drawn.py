"""Draws the samples of the benchmarks whose pictures are drawn anyway: NLVR and storyboard.

Run ``python -m tests.samples.draw_drawn`` in the repository after a layout has changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image

from tests.samples.sized import png


def nlvr(folder: Path) -> None:
    rows = [
        {
            "sentence": "There is a red box.",
            "identifier": f"1-{k}",
            "directory": "1",
            "label": label,
            "structured_rep": [],
        }
        for k, label in enumerate(("true", "false"))
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dev.json").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for row in rows:
        path = folder / f"images/1/dev-{row['identifier']}-0.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (400, 100), "grey").save(path)


def storyboard(folder: Path) -> None:
    def shown(image: int) -> dict[str, object]:
        return {"type": "image", "image": image}

    for part in ("held_in", "held_out"):
        names = [f"images/{slot}.png" for slot in range(2)]
        for slot, name in enumerate(names):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(0, slot))
        row = {
            "id": part,
            "messages": [
                {"role": "user", "content": [shown(0), shown(1), {"type": "text", "text": "Wider?"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "image 2"}]},
            ],
            "images": [{"path": name} for name in names],
            "skills": ["comparison"],
            "facts": {"scenario": "images", "kind": "name", "chance": 0.5},
        }
        (folder / f"{part}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")


DRAWN: Mapping[str, Callable[[Path], None]] = {"nlvr": nlvr, "storyboard": storyboard}

if __name__ == "__main__":
    for name, draw_one in DRAWN.items():
        draw_one(Path(__file__).parent / name)
