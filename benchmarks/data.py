"""Speed of the data room, measured here and now: one JSON object, a section for each thing that is claimed.

    python benchmarks/data.py                      all sections, to stdout
    python benchmarks/data.py headers budget       these sections
    python benchmarks/data.py --scale 0.1 --out result.json

Not a test: nothing fails for being slow. A section is a function ``(Setting) -> numbers`` in ``SECTIONS``; the key of
each number ends with its unit. Inputs are drawn here from a fixed seed; each timing is the median of ``--repeats``.
Where other work shares the machine, rates per second of processor time (``_per_cpu_s``) say more than the clock's.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

import numpy as np
import PIL
from data_plan import SECTIONS as PLAN
from PIL import Image

from triptych.core.records import Example, ImageRef, Text, Turn, images_of, parts_of
from triptych.data.media.images import whole_size
from triptych.data.media.index import SizeIndex
from triptych.data.plan.budget import Budget, Fitted, fit
from triptych.data.plan.costs import Cost, Fixed, Merged, Patches
from triptych.data.plan.costs_tiled import AnyRes, Split, Tiles

Numbers = dict[str, float | int | dict[str, int]]
ORIENTATION = 0x0112
PIXELS_SEED = 11


@dataclass(frozen=True, slots=True)
class Setting:
    """How much is measured, and where."""

    folder: Path
    """Empty at the start of a section."""
    scale: float
    """Times the usual amount of input."""
    repeats: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What a piece of work took."""

    wall_s: float
    cpu_s: float
    """Of this process and of those it started and waited for."""


def headers(setting: Setting) -> Numbers:
    """Measure the size index against opening each file with Pillow, and against the least that a JPEG parser does."""
    paths = draw_jpegs(setting.folder / "pictures", max(64, int(20_000 * setting.scale)))
    index = setting.folder / "index"

    def anew(processes: int) -> None:
        shutil.rmtree(index, ignore_errors=True)
        SizeIndex(index, processes=processes).sizes(paths)

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ways: dict[str, Callable[[], object]] = {
        "pillow_open_one_thread": lambda: [pillow_size(path) for path in paths],
        "bare_parser_one_thread": lambda: [bare_jpeg_size(path) for path in paths],
        "whole_size_one_thread": lambda: [whole_size(path) for path in paths],
        "index_cold_one_process": lambda: anew(1),
        "index_cold_all_cores": lambda: anew(cores),
        "index_warm": lambda: SizeIndex(index).sizes(paths),
    }
    numbers: Numbers = {"files_count": len(paths), "processes_count": cores}
    for name, way in ways.items():
        spent = [timed(way) for _ in range(setting.repeats)]
        numbers[f"{name}_headers_per_s"] = rate(len(paths), [each.wall_s for each in spent])
        numbers[f"{name}_headers_per_cpu_s"] = rate(len(paths), [each.cpu_s for each in spent])
    numbers["index_bytes_per_image"] = round(sum(file.stat().st_size for file in index.iterdir()) / len(paths), 1)
    return numbers


def budget(setting: Setting) -> Numbers:
    """Measure costs and the image budget over drawn conversations of a Qwen2-VL."""
    random = Random(7)
    rows = [conversation(random, number) for number in range(max(20, int(2_000 * setting.scale)))]
    limits = Budget(image_tokens=1280, images_tokens=3000, example_tokens=4096)
    fitted = [fit(row, limits, cost=Merged(), count_text=count_words) for row in rows]
    spent = [
        timed(lambda: [fit(row, limits, cost=Merged(), count_text=count_words) for row in rows])
        for _ in range(setting.repeats)
    ]
    outcomes = Counter(each.outcome if isinstance(each, Fitted) else "refused" for each in fitted)
    shrunk = [each.example for each in fitted if isinstance(each, Fitted) and each.outcome == "shrunk"]
    filled = [sum(Merged().span(image.size or (1, 1)) for image in images_of(row)) for row in shrunk]
    numbers: Numbers = {
        "examples_count": len(rows),
        "images_count": sum(len(images_of(row)) for row in rows),
        "fit_examples_per_s": rate(len(rows), [each.wall_s for each in spent]),
        "fit_examples_per_cpu_s": rate(len(rows), [each.cpu_s for each in spent]),
        "outcomes_count": dict(sorted(outcomes.items())),
        "shrunk_median_image_tokens": median(filled) if filled else 0,
    }
    sizes = [(random.randint(60, 4000), random.randint(60, 4000)) for _ in range(max(20, int(5_000 * setting.scale)))]
    for name, cost in schemes().items():
        spent = [timed(lambda cost=cost: [cost.span(size) for size in sizes]) for _ in range(setting.repeats)]
        numbers[f"cost_{name}_images_per_cpu_s"] = rate(len(sizes), [each.cpu_s for each in spent])
    return numbers


SECTIONS: Mapping[str, Callable[[Setting], Mapping[str, object]]] = {"headers": headers, "budget": budget, **PLAN}


def schemes() -> dict[str, Cost]:
    """Return a cost of each kind, with published settings."""
    grids = tuple((384 * columns, 384 * rows) for rows in range(1, 7) for columns in range(1, 7))
    return {
        "fixed": Fixed(576),
        "anyres_max_9": AnyRes(tile_px=384, tile_patches=27, grids=grids, view=729, most_tiles=9),
        "idefics3": Split(longest_px=4 * 364, tile_px=364, tile_tokens=169),
        "fuyu": Patches(),
        "qwen2_vl": Merged(least_pixels=1),
        "internvl": Tiles(),
    }


def draw_jpegs(folder: Path, count: int) -> list[str]:
    """Write JPEGs of 64 kinds (200 to 1,600 pixels a side; half with EXIF, some turned) and return their paths."""
    folder.mkdir(parents=True)
    random, pixels = Random(PIXELS_SEED), np.random.default_rng(PIXELS_SEED)
    kinds: list[bytes] = []
    for number in range(64):
        size = (random.randint(200, 1600), random.randint(200, 1600))
        coarse = Image.fromarray(pixels.integers(0, 255, (size[1] // 16, size[0] // 16, 3), dtype=np.uint8))
        exif = Image.Exif()
        if number % 2:
            exif[ORIENTATION] = 6 if number % 4 == 1 else 1
            exif[0x010F] = "a camera"
        content = io.BytesIO()
        coarse.resize(size).save(content, "JPEG", quality=80, **({"exif": exif} if number % 2 else {}))
        kinds.append(content.getvalue())
    paths = [folder / f"{number // 1000:03}" / f"{number:06}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if number % 1000 == 0:
            path.parent.mkdir()
        # All of the headers, the beginning of the pixels: what follows is never read, and would fill the disk.
        path.write_bytes(kinds[number % len(kinds)][:16_384])
    return list(map(str, paths))


def pillow_size(path: str) -> tuple[int, int]:
    """Return what Pillow says, without a check, and the picture lying as it is stored."""
    with Image.open(path) as picture:
        return picture.size


def bare_jpeg_size(path: str) -> tuple[int, int]:
    """Return the size in a JPEG's frame header, as small libraries for image sizes do: no EXIF, no checks."""
    with open(path, "rb") as file:  # noqa: PTH123 - the baseline is as lean as it can be
        content = file.read(4096)
    at = 2
    while content[at + 1] not in {0xC0, 0xC1, 0xC2}:
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return int.from_bytes(content[at + 7 : at + 9], "big"), int.from_bytes(content[at + 5 : at + 7], "big")


def conversation(random: Random, number: int) -> Example:
    """Draw one to four turns with up to six pictures each, mostly of the sizes that cameras and screens have."""
    turns: list[Turn] = []
    for turn in range(random.randint(1, 4)):
        pictures = tuple(
            ImageRef(f"{number}-{turn}-{each}", (random.randint(200, 3000), random.randint(200, 3000)))
            for each in range(random.randint(0, 6))
        )
        turns.append(Turn("user", (*pictures, Text("What is new here? " * random.randint(1, 20)))))
        turns.append(Turn("assistant", (Text("This and that. " * random.randint(1, 20)),)))
    return Example(str(number), tuple(turns))


def count_words(example: Example) -> int:
    """Return the words of an example: a stand-in for its tokens that costs nothing."""
    return sum(len(part.text.split()) for part in parts_of(example) if isinstance(part, Text))


def timed(work: Callable[[], object]) -> Spent:
    """Return what the work takes."""
    wall, cpu = time.perf_counter(), _cpu_s()
    work()
    return Spent(time.perf_counter() - wall, _cpu_s() - cpu)


def rate(count: int, seconds: list[float]) -> float:
    """Return how many a second, by the median."""
    return round(count / max(median(seconds), 1e-9), 1)


def machine() -> dict[str, str | int | float]:
    """Return where the numbers come from."""
    return {
        "cores_count": os.cpu_count() or 1,
        "load_1_min": round(os.getloadavg()[0], 2),
        "processor": next(_processors(), platform.processor()),
        "python": platform.python_version(),
        "pillow": PIL.__version__,
    }


def _processors() -> Iterator[str]:
    facts = Path("/proc/cpuinfo")
    for line in facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []:
        if line.startswith("model name"):
            yield line.partition(":")[2].strip()


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> None:
    """Measure what the command line asks for and write it as JSON."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; none: all of them")
    options.add_argument("--scale", type=float, default=1.0, help="times the usual amount of input")
    options.add_argument("--repeats", type=int, default=3, help="of each timing; the median counts")
    options.add_argument("--out", type=Path, help="a file for the JSON, instead of stdout")
    asked = options.parse_args()
    if unknown := sorted(set(asked.sections) - SECTIONS.keys()):
        options.error(f"no section is called {unknown[0]!r}; there are: {', '.join(SECTIONS)}")
    result: dict[str, object] = {"machine": machine(), "scale": asked.scale}
    for name in asked.sections or SECTIONS:
        with tempfile.TemporaryDirectory(prefix="triptych-benchmark-") as folder:
            sys.stderr.write(f"{name}...\n")
            spent = time.perf_counter()
            numbers = SECTIONS[name](Setting(Path(folder), asked.scale, asked.repeats))
            result[name] = {**numbers, "section_s": round(time.perf_counter() - spent, 1)}
    text = json.dumps(result, indent=2) + "\n"
    if asked.out is None:
        sys.stdout.write(text)
    else:
        asked.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
