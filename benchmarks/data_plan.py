"""Speed and quality of the plan: first batch of many rows cold and warm, fill of packs, balance of ranks; one JSON.

    python benchmarks/data_plan.py                       all sections
    python benchmarks/data_plan.py start --scale 10      the first batch of 1,000,000 rows
    python benchmarks/data_plan.py packing balance

Not a test: nothing fails for being slow. Each start is a fresh process with a cache folder of its own; "cold" means
that nothing was ever read of the file by us, "warm" that everything was. ``data.py`` has the other sections.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROWS = 100_000
PICTURES = 64
CAPACITY = 8192
PACKS = 8
RANKS = 64
GIB = 1 << 30
WORDS = 20_000


class Setting(Protocol):
    """What a section is given."""

    @property
    def folder(self) -> Path:
        """Empty."""

    @property
    def scale(self) -> float:
        """Times the usual amount of input."""


@dataclass(frozen=True, slots=True)
class Given:
    """A setting from the command line."""

    folder: Path
    scale: float


Numbers = dict[str, float | int]


def start(setting: Setting) -> dict[str, Numbers | float]:
    """Time two new processes to the first batch of many multi-image rows; the second knows what the first met."""
    found = drawn_rows(setting)
    return {**found, "cold": child(setting.folder, "first"), "warm": child(setting.folder, "first")}


def epoch(setting: Setting) -> dict[str, Numbers | float]:
    """Time fresh processes: one that plans a whole epoch, the first batch after it, and going on at the epoch's end."""
    found = drawn_rows(setting)
    asked = (("whole_epoch", "last"), ("warm", "first"), ("resume_at_the_end", "last"))
    return {**found, **{name: child(setting.folder, where) for name, where in asked}}


def drawn_rows(setting: Setting) -> dict[str, Numbers | float]:
    """Write the rows; return how many, and their size."""
    rows = max(1000, int(ROWS * setting.scale))
    write_rows(setting.folder, rows)
    return {"rows_count": rows, "file_gib": round((setting.folder / "rows.jsonl").stat().st_size / GIB, 3)}


def child(folder: Path, where: str) -> Numbers:
    """Run ``first_batch`` in a new process."""
    command = [sys.executable, str(Path(__file__).absolute()), "--child", str(folder), where]
    begin = time.perf_counter()
    done = subprocess.run(
        command,
        env={**os.environ, "TRIPTYCH_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    numbers: Numbers = json.loads(done.stdout)
    return {**numbers, "process_s": round(time.perf_counter() - begin, 2)}


def first_batch(folder: Path, where: str) -> Numbers:
    """Plan, read, render, decode and collate a step: the ``first``, or the epoch's ``last``."""
    born = time.perf_counter()
    from tokenizers import Tokenizer

    from triptych.data.plan.corpora import Corpora
    from triptych.data.plan.corpus import open_corpus
    from triptych.data.plan.costs import Fixed
    from triptych.data.plan.measures import CachedMeasures
    from triptych.data.plan.mixture import mix
    from triptych.data.plan.reader import Reader
    from triptych.data.plan.rendering import PlainTokenizer, Rendering
    from triptych.data.plan.step_loader import StepLoader
    from triptych.data.plan.step_plan import WINDOW_ROWS, PlanSettings, StepPlan
    from triptych.data.template import Encoded, find_template

    imported = time.perf_counter()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    plain = PlainTokenizer(tokenizer.to_str(), bos=None, eos=None)
    rendering = Rendering(find_template("chatml"), cast("PreTrainedTokenizerBase", plain), 1, Fixed(576))
    opened = time.perf_counter()
    reader = Reader(Corpora([open_corpus(f"messages:{folder / 'rows.jsonl'}")]), rendering)
    indexed = time.perf_counter()
    settings = PlanSettings(capacity=CAPACITY, packs_per_step=PACKS, seed=0, window=WINDOW_ROWS, search=True)
    rows = len(reader.corpora)
    mixture = mix([rows], weights=[1.0], limits=[None], seed=0)
    plan = StepPlan(CachedMeasures(reader), mixture, settings)
    number = 0
    if where == "last":
        number = plan.first_step(1) - 1
    step = plan.step(number)
    planned = time.perf_counter()
    loaded = StepLoader(reader.read, decode=True)(step)
    packs = [[read.row for read in pack if isinstance(read.row, Encoded)] for pack in loaded.packs]
    read = time.perf_counter()
    from triptych.data.batch import collate  # loads torch, which the plan and the reading do without

    torch_loaded = time.perf_counter()
    batch = collate(packs, pad_id=0)
    collated = time.perf_counter()
    assert batch.tokens == sum(step.lengths)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "import_s": round(imported - born, 2),
        "index_s": round(indexed - opened, 2),
        "plan_s": round(planned - indexed, 2),
        "read_s": round(read - planned, 2),
        "import_torch_s": round(torch_loaded - read, 2),
        "collate_s": round(collated - torch_loaded, 2),
        "first_batch_s": round(read - imported + collated - torch_loaded, 2),
        "peak_gib": round(peak * (1 if sys.platform == "darwin" else 1024) / GIB, 3),
        "step": number,
        "pictures": len(loaded.pictures),
        "fill_percent": round(100 * sum(step.lengths) / len(step.packs) / CAPACITY, 2),
    }


def write_rows(folder: Path, rows: int) -> None:
    """Write conversations about 1 to 12 pictures, as JSON Lines, and a word tokenizer."""
    from PIL import Image
    from tokenizers import Tokenizer, models, pre_tokenizers

    random = Random(1)
    for number in range(PICTURES):
        colour = tuple(random.randrange(256) for _ in range(3))
        Image.effect_noise((336, 336), 40).convert("RGB").point(lambda v, c=colour: (v + c[0]) % 256).save(
            folder / f"{number}.jpg"
        )
    words = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(2, 9))) for _ in range(WORDS)]
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for number in range(rows):
            images = [f"{random.randrange(PICTURES)}.jpg" for _ in range(min(12, 1 + int(random.expovariate(0.5))))]
            asked: list[dict[str, str | int]] = [{"type": "image", "image": at} for at in range(len(images))]
            asked.append({"type": "text", "text": " ".join(random.choices(words, k=random.randint(5, 40)))})
            reply = " ".join(random.choices(words, k=min(600, 5 + int(random.lognormvariate(3.4, 0.9)))))
            messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": reply}]
            file.write(json.dumps({"id": f"row-{number}", "images": images, "messages": messages}) + "\n")
    known = [
        "<unk>",
        "<image>",
        "<|im_start|>",
        "<|im_end|>",
        "user",
        "assistant",
        "system",
        "\n",
        *dict.fromkeys(words),
    ]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(known)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<image>", "<|im_start|>", "<|im_end|>"])
    tokenizer.save(str(folder / "tokenizer.json"))


def packing(setting: Setting) -> dict[str, float]:
    """Measure how full packs are on long-tailed multi-image mixes, in percent, and what a row costs."""
    from triptych.data.plan.packing import Packer

    found: dict[str, float] = {}
    for name in MIXES:
        lengths = [sum(images) + words for images, words in drawn(name, int(20_000 * setting.scale))]
        for way, search in (("longest_first", False), ("search", True)):
            begin = time.perf_counter()
            packer = Packer(capacity=CAPACITY, search=search)
            packs = [*packer.add(lengths), *packer.finish()]
            spent = time.perf_counter() - begin
            found[f"{name}_{way}_fill_percent"] = round(100 * sum(lengths) / len(packs) / CAPACITY, 2)
            found[f"{name}_{way}_us_per_row"] = round(spent / len(lengths) * 1e6, 2)
    return found


def balance(setting: Setting) -> dict[str, float]:
    """Measure mean over largest work of 64 ranks: packs as they come, dealt in turn; and as the plan puts them."""
    import numpy as np

    from triptych.data.plan.balance import Work
    from triptych.data.plan.balance import balance as balanced
    from triptych.data.plan.measures import RECORD, USED, KnownMeasures
    from triptych.data.plan.mixture import Mixture, Portion
    from triptych.data.plan.step_plan import WINDOW_ROWS, PlanSettings, StepPlan

    found: dict[str, float] = {}
    for name in MIXES:
        rows = drawn(name, int(60_000 * setting.scale))
        records = np.zeros(len(rows), dtype=RECORD)
        for at, (images, words) in enumerate(rows):
            squares = sum(image * image for image in images)
            records[at] = (sum(images) + words, len(images), sum(images), squares, USED)
        work = Work().of(records)
        for way, weigh in (("random", None), ("balanced", Work())):
            settings = PlanSettings(
                capacity=CAPACITY, packs_per_step=RANKS, seed=0, window=WINDOW_ROWS, search=True, work=weigh
            )
            plan = StepPlan(KnownMeasures(records), Mixture((Portion(len(rows), Fraction(len(rows))),), 0), settings)
            steps = [plan.step(number) for number in range(plan.steps_per_epoch(0) - 1)]  # the last may be smaller
            costs = [[float(work[list(pack)].sum()) for pack in step.packs] for step in steps]
            found[f"{name}_{way}_mean_over_max"] = round(balanced(costs, RANKS), 4)
    return found


MIXES = ("clip_576", "resampled_64", "by_size")


def drawn(mix: str, rows: int) -> list[tuple[list[int], int]]:
    """Return (tokens of each image, tokens of the words) of long-tailed rows; a tenth is words alone."""
    random, found = Random(mix), []
    for _ in range(rows):
        count = 0 if random.random() < 0.1 else min(12, 1 + int(random.expovariate(0.5)))
        words = min(4000, max(10, round(random.lognormvariate(5.2, 0.9))))
        fixed = {"clip_576": 576, "resampled_64": 64}.get(mix)
        images = [random.randint(60, 1300) if fixed is None else fixed for _ in range(count)]
        while sum(images) + words > CAPACITY:
            images.pop()
        found.append((images, words))
    return found


SECTIONS = {"start": start, "epoch": epoch, "packing": packing, "balance": balance}


def main() -> None:
    """Run sections and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; none: all")
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual amount of input")
    parser.add_argument("--child", nargs=2, metavar=("DIR", "WHERE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        sys.stdout.write(json.dumps(first_batch(Path(asked.child[0]), asked.child[1])))
        return
    found: dict[str, object] = {"machine": {"cores": os.cpu_count(), "python": platform.python_version()}}
    for name in asked.sections or SECTIONS:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = SECTIONS[name](Given(Path(folder), asked.scale))
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
