"""Fuzzing of the readers: mutated rows, containers and pictures; no crash, no hang, memory bounded. Prints JSON.

    python -m benchmarks.fuzz --records 10000 --images 2000 --seed 0

Not a proof: a seeded sample. ``tests/data/test_fuzz.py`` runs a short form of it. What is asked of a reader: every row
of JSON Lines becomes one Example or one Refused whose message is one line; the pictures of an Example lie in the folder
of the data or in the cache, and its words are UTF-8; a file as a whole is read or is a DataError; a picture has one
size and pixels of that size, or is an ImageError.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

from benchmarks.mutations import line_of, mutated, mutated_bytes, mutated_png, pictures
from triptych.core.errors import DataError, TriptychError
from triptych.core.plugins import find, names
from triptych.core.records import Example, ImageRef, Json, Text, Turn, VideoRef, parts_of
from triptych.data.format import Format, Refused, measured, read_source
from triptych.data.media.images import ImageError, load_image, whole_size
from triptych.data.media.kept import SUFFIXES
from triptych.data.media.locate import base64_at, container_of, index_tar, zip_members

ITEM_S = 5.0
"""Longest that one picture, or a file of ``BATCH`` rows, may take."""
BATCH = 20
_KEPT = 20
"""Files that did harm and are kept."""
_MIB = 1 << 20


class HangError(BaseException):
    """An item took too long. Not an Exception, so that no reader takes it for a broken file."""


@dataclass
class Tally:
    """What happened. State: counts, and what went wrong."""

    rows: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    images: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def as_json(self) -> dict[str, Json]:
        """Return all of it; ``faults`` is empty where all is well."""
        return {
            "rows": dict(self.rows.most_common()),
            "files": dict(self.files.most_common()),
            "images": dict(self.images.most_common()),
            "slowest_s": round(self.slowest_s, 3),
            "faults": list(self.faults),
        }


def fuzz_records(folder: Path, tally: Tally, *, records: int, draw: Random) -> None:
    """Feed mutated rows to every layout that reads JSON Lines, each the rows of all layouts."""
    seeds = _rows(folder)
    _examples(folder / "made")
    readers = [name for name in names("format") if ".jsonl" in find("format", name, expected=Format).endings]
    for batch in range(-(-records // BATCH)):
        name = readers[batch % len(readers)]
        own, foreign = seeds.get(name) or seeds["nlvr"], [row for rows in seeds.values() for row in rows]
        lines = [
            line_of(mutated(draw.choice(own if draw.random() < 0.8 else foreign), draw), draw) for _ in range(BATCH)
        ]
        lines = [line if line.strip() else b"0" for line in lines]
        path = folder / "made" / "rows.jsonl"
        path.write_bytes(b'{"id": "first"}\n' + b"\n".join(lines) + b"\n")
        with _watched(tally, f"{name}: batch {batch}", keep=path):
            seen = list(read_source(f"{name}:{path}"))
            assert len(seen) == len(lines) + 1, f"{len(seen)} rows of {len(lines) + 1}"
            for row in seen[1:]:
                tally.rows[_judge(row, folder)] += 1


def fuzz_files(folder: Path, tally: Tally, *, files: int, draw: Random) -> None:
    """Feed whole files with wrong bytes, or JSON of the wrong shape, to the layouts that they were written in."""
    made = list(_written(folder / "made"))
    for number in range(files):
        name, path = draw.choice(made)
        beside = [each for each in sorted(path.parent.iterdir()) if each.is_file() and each.suffix not in SUFFIXES]
        harmed = path if draw.random() < 0.7 else draw.choice(beside)
        whole = harmed.read_bytes()
        harmed.write_bytes(_spoilt(harmed, whole, draw))
        with _watched(tally, f"{name}: file {number}", keep=harmed):
            try:
                for row in read_source(f"{name}:{path}"):
                    tally.rows[_judge(row, folder)] += 1
                tally.files["read"] += 1
            except DataError as error:
                _check_line(error)
                tally.files["refused"] += 1
        harmed.write_bytes(whole)


def _spoilt(path: Path, content: bytes, draw: Random) -> bytes:
    if path.suffix == ".json" and draw.random() < 0.6:
        return json.dumps(mutated(json.loads(content), draw)).encode("utf-8", "surrogatepass")
    return mutated_bytes(content, draw)


def fuzz_images(folder: Path, tally: Tally, *, images: int, draw: Random) -> None:
    """Feed mutated pictures to the reader of pictures, as files and inside a zip, a tar and base64 text."""
    seeds = list(pictures().items())
    for number in range(images):
        name, content = seeds[number % len(seeds)]
        spoil = mutated_png if name.endswith(".png") and draw.random() < 0.5 else mutated_bytes
        spoilt = spoil(content, draw)
        path = folder / f"spoilt-{name}"
        path.write_bytes(spoilt)
        with _watched(tally, f"image {number} ({name})", keep=path):
            tally.images[_look(str(path))] += 1
        if number % 4 == 0:
            _inside(folder, path, spoilt, tally, draw)


def _inside(folder: Path, path: Path, content: bytes, tally: Tally, draw: Random) -> None:
    """Look at a picture inside a container, and at one inside a container whose bytes are wrong."""
    for holder, sources in _containers(folder, path.name, content):
        for spoilt in (False, True):
            if spoilt:
                holder.write_bytes(mutated_bytes(holder.read_bytes(), draw))
            with _watched(tally, f"{holder.name} with {path.name}", keep=holder):
                try:
                    for source in sources():
                        tally.images[_look(source)] += 1
                except DataError:
                    tally.files["refused"] += 1


def _containers(folder: Path, name: str, content: bytes) -> Iterator[tuple[Path, Callable[[], list[str]]]]:
    import base64
    import io
    import tarfile
    import zipfile

    zipped, tarred, text = folder / "holder.zip", folder / "holder.tar", folder / "holder.json"
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"inner/{name}", content)
    yield zipped, lambda: list(zip_members(zipped).values())
    with tarfile.open(tarred, "w") as tar:
        member = tarfile.TarInfo(f"inner/{name}")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    yield tarred, lambda: [source for _, source in index_tar(tarred)]
    said = base64.b64encode(content)
    text.write_bytes(b'"' + said + b'"')
    yield text, lambda: [base64_at(text, start=1, length=len(said))]


def _look(source: str) -> str:
    """Return how a picture fared: ``whole`` or its reason; what it shows must have the size that it tells."""
    try:
        size = whole_size(source)
        pixels = load_image(ImageRef(source))
    except ImageError as error:
        _check_line(error)
        return error.reason
    assert pixels.size == size, f"{pixels.size} where {size} was told"
    assert pixels.mode == "RGB", pixels.mode
    return "whole"


def _check_line(error: DataError) -> None:
    if "\n" in str(error):
        raise AssertionError(f"more than one line: {error}") from error


def _judge(row: Example | Refused, folder: Path) -> str:
    """Return ``used`` or the reason; a row that is read wrongly is an AssertionError."""
    if isinstance(row, Refused):
        assert row.reason, "no reason"
        assert row.message.startswith(row.where), row
        assert "\n" not in row.message, repr(row.message)
        row.message.encode("utf-8")
        return row.reason
    assert row.turns or row.labels, "an empty conversation"
    for part in parts_of(row):
        if isinstance(part, Text):
            part.text.encode("utf-8")
        elif isinstance(part, ImageRef | VideoRef):
            assert _is_inside(container_of(part.source), folder), f"{part.source} lies outside"
    json.dumps(dict(row.facts))
    row.id.encode("utf-8")
    seen = measured(row, {})
    return "used" if isinstance(seen, Example) else seen.reason


def _is_inside(path: Path, folder: Path) -> bool:
    cache = Path(os.environ["TRIPTYCH_CACHE"])
    return any(path.resolve().is_relative_to(root.resolve()) for root in (folder, cache))


@contextmanager
def _watched(tally: Tally, what: str, *, keep: Path) -> Iterator[None]:
    """Note what goes wrong, with the file that did it; stop what takes too long."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, ITEM_S)
    start = time.monotonic()
    try:
        yield
    except HangError:
        _fault(tally, f"{what}: longer than {ITEM_S} s\n{traceback.format_exc(limit=-3)}", keep)
    except Exception:  # noqa: BLE001  # a crash of any kind is what is looked for
        _fault(tally, f"{what}: {traceback.format_exc(limit=-4)}", keep)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        tally.slowest_s = max(tally.slowest_s, time.monotonic() - start)


def _fault(tally: Tally, said: str, keep: Path) -> None:
    tally.faults.append(said)
    if len(tally.faults) > _KEPT:
        return
    kept = keep.with_name(f"fault-{len(tally.faults)}-{keep.name}")
    kept.write_bytes(keep.read_bytes())


def _examples(folder: Path) -> list[Example]:
    shelf = []
    for name in ("plain.jpg", "plain.png"):
        (folder / name).write_bytes(pictures()[name])
        shelf.append(ImageRef(str(folder / name)))
    one, other = shelf
    reply, again = Turn("assistant", (Text("Yes."),)), Turn("user", (Text("Sure?"),))
    return [
        Example("words", (Turn("user", (Text("Hello?"),)), reply)),
        Example("one", (Turn("user", (one, Text("Is it so?"))), reply), skills=("comparison",)),
        Example("two", (Turn("user", (one, Text("or"), other, Text("?"))), reply, again, reply)),
        Example("told", (Turn("system", (Text("Look."),)), again, reply), facts={"a": [1]}),
        Example("rated", (Turn("user", (one, Text("How good?"))), reply), labels=(("quality", 2.5), ("motion", 1.0))),
        Example("scored", (Turn("user", (one, Text("How good?"))),), labels=(("quality", 2.5),)),
        Example("shown", (Turn("user", (other, Text("What?"))), reply), demonstrations=(
            Example("shown/0", (Turn("user", (one, Text("What?"))), reply)),
        )),
    ]  # fmt: skip


def _written(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write what each layout can hold, each into a folder of its own, and yield the files."""
    for name in names("format"):
        plugin = find("format", name, expected=Format)
        for ending in plugin.endings if plugin.write else ():
            own = folder / f"{name}{ending.replace('.', '-')}"
            own.mkdir(parents=True, exist_ok=True)
            held = [example for example in _examples(own) if _fits(plugin, example, own / f"try{ending}")]
            for tried in own.glob("try*"):
                tried.unlink()
            if plugin.write and held:
                plugin.write(held, own / f"all{ending}")
                yield name, own / f"all{ending}"


def _fits(plugin: Format, example: Example, path: Path) -> bool:
    assert plugin.write is not None
    try:
        return plugin.write([example], path) == 1
    except TriptychError:
        return False


def _rows(folder: Path) -> dict[str, list[Json]]:
    """Return rows of each layout that is JSON."""
    # fmt: off
    rows: dict[str, list[Json]] = {
        "nlvr": [
            {"sentence": "There is a box.", "label": "true", "identifier": "1-0", "directory": "1"},
            {"sentence": "No.", "label": "false", "identifier": "1-1", "directory": "1", "evals": {"r0": "true"}},
        ],
        "mantis_eval": [
            {"id": "a", "question_type": "multi-choice", "question": "<image> or <image>?", "answer": "B",
             "images": ["plain.jpg", "plain.png"], "options": ["(A) the first", "(B) the second"], "category": "x"},
            {"id": "b", "question_type": "short-answer", "question": "<image> How many?", "answer": "2",
             "images": ["plain.jpg"], "options": [], "category": "y"},
        ],
    }
    # fmt: on
    for name, path in _written(folder / "made"):
        if path.suffix == ".json" and isinstance(value := json.loads(path.read_bytes()), list):
            rows[name] = value
    return rows


def main() -> int:
    """Run, print what happened, and return 1 where something went wrong."""
    parser = argparse.ArgumentParser(description="Feed broken data to every reader.")
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=1_000)
    parser.add_argument("--images", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for the files that did harm")
    told = parser.parse_args()
    warnings.simplefilter("ignore")  # Pillow's, about broken TIFF tags
    tally, draw = Tally(), Random(told.seed)
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as made:
        folder = told.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["TRIPTYCH_CACHE"] = f"{made}/cache"
        fuzz_records(folder, tally, records=told.records, draw=draw)
        fuzz_files(folder, tally, files=told.files, draw=draw)
        fuzz_images(folder, tally, images=told.images, draw=draw)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    report = {
        **tally.as_json(),
        "wall_s": round(time.monotonic() - start, 1),
        "memory_growth_mib": grown * 1024 // _MIB,
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
