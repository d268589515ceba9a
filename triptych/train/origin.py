"""What a run started from, told by content: so that going on notices a base model that was replaced at the same path.

Not the digest of features (``models/vision/fingerprint.py``), nor provenance for a model's card. It reads little:
settings and the tokenizer whole, of weights the table of tensors and some bytes of each. Times and folders do not
count, so a copy elsewhere is the same. Invariant: nothing in it follows from anything but the files' content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from triptych.core.errors import NotFoundError, RunError
from triptych.core.files import sha256_of, write_atomically
from triptych.models.disk.locate import locate
from triptych.train.recipe import ModelPlan

ORIGIN = "origin.json"
WHOLE = ("config.json", "preprocessor_config.json", "processor_config.json", "tokenizer.json", "tokenizer.model")
"""Files that are small and change what a model learns or sees."""
WEIGHTS = ("*.safetensors", "*.bin")
SAMPLE_BYTES = 64
"""Read from the middle of a tensor; and of a file without a table of tensors, so often:"""
PLACES = 512
MOST_TENSORS = 4096
"""Most tensors of a file that are looked at; of more, every second or third is, and so on."""

Told = dict[str, dict[str, str]]
"""Part of the recipe -> file -> digest."""


def check_origin(plan: ModelPlan, run: Path, *, begun: bool) -> None:
    """Write down what a run starts from; where it has begun, compare.

    Args:
        plan: the recipe's model.
        run: the run's folder.
        begun: whether there are weights to go on from; a run of an older version has written nothing down, and is
            believed.

    Raises:
        RunError: a file of the model is another one; the message names it.
    """
    now, path = origin_of(plan), run / ORIGIN
    if begun and path.is_file():
        there: Told = json.loads(path.read_text(encoding="utf-8"))
        for part, name in _named(plan):
            if part in now and part in there and (file := _other(there[part], now[part])):
                raise RunError(
                    f"{run}: model.{part} ({name}) is not what this run began with: {file} is another one. Put the"
                    f" old files back to go on, use another name for the run, or delete {run / 'checkpoints'} to begin"
                    " anew."
                )
        return
    write_atomically(path, json.dumps(now, indent=1) + "\n")


def origin_of(plan: ModelPlan) -> Told:
    """Return what a recipe's model is made of; nothing of a toy, nor of what is not there: opening it says so."""
    found: Told = {}
    for part, name in _named(plan):
        tokens = plan.parts.image_tokens if plan.parts is not None and part == "parts.vision" else None
        if files := _files(name, image_tokens=tokens):
            found[part] = {path.name: digest_of(path) for path in files}
    return found


def _files(name: str, *, image_tokens: int | None) -> list[Path]:
    """Return the files of a part that count: of a folder or hub id, or itself where it is a file."""
    path = Path(name).expanduser()
    if path.is_file():
        return [path]
    try:
        folder = locate(name, image_tokens=image_tokens)
    except NotFoundError:  # a family's toy, or a folder of nothing but a projector
        folder = path
    files = {folder / each for each in WHOLE} | {found for each in WEIGHTS for found in folder.glob(each)}
    return sorted(file for file in files if file.is_file())


def digest_of(path: Path) -> str:
    """Return what tells the content of one file, as 64 hexadecimal digits; of weights without reading them whole."""
    if path.name in WHOLE:
        return sha256_of(path)
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode("ascii"))
    with path.open("rb") as file:
        table = _table(file.read(8), size)
        head = file.read(table) if table else b""
        digest.update(head)
        for at in _places(head, start=8 + table, size=size):
            file.seek(at)
            digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()


def _table(first: bytes, size: int) -> int:
    """Return the length of a safetensors file's table, which its first eight bytes tell; 0: it has none."""
    length = int.from_bytes(first, "little")
    return length if len(first) == 8 and length < size - 8 else 0


def _places(head: bytes, *, start: int, size: int) -> Iterator[int]:
    """Yield where bytes are read: in the middle of each tensor, or all over a file that has no table."""
    try:
        tensors = json.loads(head) if head else {}
        spans = [value["data_offsets"] for name, value in tensors.items() if name != "__metadata__"]
        middles = [start + (int(first) + int(last)) // 2 for first, last in spans]
    except (ValueError, TypeError, KeyError, AttributeError):
        middles = []
    few = middles[:: 1 + len(middles) // MOST_TENSORS]
    yield from (max(start, at - SAMPLE_BYTES // 2) for at in few)
    if not middles:
        yield from (size * place // PLACES for place in range(PLACES))


def _named(plan: ModelPlan) -> Iterator[tuple[str, str]]:
    """Yield (key of the recipe's model, name) of what is opened."""
    if plan.open is not None:
        yield "open", plan.open
    if plan.parts is not None:
        yield "parts.vision", plan.parts.vision
        yield "parts.language", plan.parts.language
        if plan.parts.projector_weights is not None:
            yield "parts.projector_weights", plan.parts.projector_weights


def _other(there: Mapping[str, str], here: Mapping[str, str]) -> str | None:
    """Return the first file that differs, or is only in one of the two."""
    return next((name for name in sorted({*there, *here}) if there.get(name) != here.get(name)), None)
