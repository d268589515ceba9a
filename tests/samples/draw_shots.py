"""Draws the samples of the benchmarks with shots, of MM-Vet and of MagnifierBench, in the published layouts.

Run ``python -m tests.samples.draw_shots`` in the repository after a layout has changed, then
``python -m tests.samples.golden``; what they write is kept in the repository.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
from PIL import Image

from tests.samples.sized import COLOURS, PICTURE, picture, size, write_json, write_parquet

THINGS = ("dog", "cat", "bird", "horse", "cow", "sheep", "goat", "duck")


def photograph(folder: Path, name: str, row: int) -> str:
    """Draw a picture as JPEG; return its name."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    Image.new("RGB", size(row, 0), COLOURS[row % len(COLOURS)]).save(file, "JPEG")
    path.write_bytes(file.getvalue())
    return path.name


def karpathy(folder: Path, file: str, *, coco: bool) -> None:
    """Three pictures to ask about, six to show, one of validation that is neither."""
    images = []
    for row, split in enumerate(["test"] * 3 + ["train"] * 6 + ["val"]):
        place = ("val2014" if split != "train" else "train2014") if coco else "flickr30k-images"
        name = f"COCO_{place}_{row:012d}.jpg" if coco else f"{1000000 + row}.jpg"
        thing = THINGS[row % len(THINGS)]
        told = {
            "filename": photograph(folder, f"{place}/{name}", row),
            "imgid": row,
            "sentids": [row],
            "sentences": [{"raw": f"A {COLOURS[row % 6]} {thing} stands near tree number {row}.", "imgid": row}],
            "split": split,
        }
        images.append({**told, "filepath": place, "cocoid": 500 + row} if coco else told)
    write_json(folder / file, {"images": images, "dataset": "coco" if coco else "flickr30k"})


def coco_caption(folder: Path) -> None:
    karpathy(folder, "dataset_coco.json", coco=True)


def flickr30k(folder: Path) -> None:
    karpathy(folder, "dataset_flickr30k.json", coco=False)


def official(folder: Path, questions: str, annotations: str, **kinds: str) -> None:
    """Two questions to ask and six to show, ten answers each."""
    for split, numbers in (("val", range(6, 8)), ("train", range(6))):
        asked, notes = [], []
        for row in numbers:
            photograph(folder, f"{split}2014/COCO_{split}2014_{row:012d}.jpg", row)
            asked.append({"image_id": row, "question": f"Is it a {THINGS[row]}?", "question_id": 10 * row})
            said = [{"answer": "yes" if row % 2 else "no", "answer_id": at + 1} for at in range(10)]
            notes.append({"image_id": row, "question_id": 10 * row, "answers": said, **kinds})
        write_json(folder / questions.format(split=split), {"questions": asked, "data_type": "mscoco"})
        write_json(folder / annotations.format(split=split), {"annotations": notes, "data_type": "mscoco"})


def vqav2_shots(folder: Path) -> None:
    official(
        folder,
        "v2_OpenEnded_mscoco_{split}2014_questions.json",
        "v2_mscoco_{split}2014_annotations.json",
        answer_type="yes/no",
        question_type="is it a",
    )


def okvqa_shots(folder: Path) -> None:
    official(
        folder,
        "OpenEnded_mscoco_{split}2014_questions.json",
        "mscoco_{split}2014_annotations.json",
        answer_type="other",
        question_type="one",
    )


def mm_vet(folder: Path) -> None:
    told = [
        ("What is x in the equation?", "-1<AND>-5", "ocr,math"),
        ("Which colour is it?", "blue<OR>dark blue", "rec"),
    ]
    rows = [
        {"question_id": f"v1_{row}", "image": picture(row, 0), "question": asked, "answer": said, "capability": skills}
        for row, (asked, said, skills) in enumerate(told)
    ]
    write_parquet(folder / "data" / "test-00000-of-00001.parquet", rows, image=PICTURE)
    (folder / "verdict.txt").write_text("score: 1.0\n", encoding="utf-8")


def magnifier(folder: Path) -> None:
    rows = [
        {
            "id": f"MAG_{row}",
            "instruction": f"What is in {place}? A. a red ball, B. a small key, C. a cup, D. a book",
            "images": [picture(row, 0)],
            "answer": "BD"[row],
        }
        for row, place in enumerate(["the hand", "the far corner"])
    ]
    write_parquet(folder / "data" / "test-00000-of-00001.parquet", rows, images=pa.list_(PICTURE))


def magnifier_bench(folder: Path) -> None:
    magnifier(folder)


def magnifier_bench_free(folder: Path) -> None:
    magnifier(folder)
    (folder / "verdict.txt").write_text("{'pred': 'yes', 'score': 5}\n", encoding="utf-8")


DRAWN: Mapping[str, Callable[[Path], None]] = {
    each.__name__: each
    for each in (
        coco_caption, flickr30k, vqav2_shots, okvqa_shots, mm_vet, magnifier_bench, magnifier_bench_free,
    )
}  # fmt: skip

if __name__ == "__main__":
    for name, draw_one in DRAWN.items():
        draw_one(Path(__file__).parent / name)
