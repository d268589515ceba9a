"""A folder that is written whole or not at all, in a place that held nothing.

Not what is in it. It is filled beside its name and then renamed, so that whoever is killed leaves nothing under it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from safetensors import SafetensorError

from triptych.core.errors import RunError
from triptych.core.files import part_folder, replace_folder
from triptych.core.full_disk import NO_ROOM
from triptych.core.machine import SPARE_BYTES, disk_room, short_of
from triptych.core.records import Json

LOCAL = re.compile(r"(?<![\w./-])(?:~/|/(?!/))(?:[^/\s'\"#,\]}]+/)*(?=[^/\s'\"#,\]}]+)")
"""The folders of an absolute path: nobody else's business."""


@contextmanager
def new_folder(folder: Path, *, needed_bytes: int) -> Iterator[Path]:
    """Yield a folder to be filled; at the end of the block it has its name, after an error it is gone.

    Args:
        folder: holds nothing, or is not there.
        needed_bytes: what will be written, about.

    Raises:
        RunError: it holds something, or the disk is too small or gets full.
    """
    check_empty(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _, free = disk_room(folder.resolve().parent)
    if needed_bytes + SPARE_BYTES > free:
        raise RunError(f"{folder}: about {short_of(needed_bytes, free)}. Make room, or export to another disk.")
    work = part_folder(folder)
    try:
        yield work
        check_empty(folder)  # somebody may have been faster
        replace_folder(folder, work)
    except SafetensorError as error:
        raise RunError(f"{folder}: cannot be written: {error}. Is the disk full? Nothing was left there.") from error
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise RunError(f"{folder}: the disk is full. Nothing was left there.") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_empty(folder: Path) -> None:
    """Raise RunError where a folder holds something, or a file has its name."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} is not empty. Export to a new folder: nothing is overwritten.")


def forget_places(folder: Path) -> None:
    """Leave out of a folder's JSON files where things lay on this machine: ``_name_or_path``, and folders of parts."""
    for path in (folder / "config.json", folder / "triptych.json"):
        if path.is_file():
            said = json.loads(path.read_text(encoding="utf-8"))
            path.write_text(json.dumps(_without_places(said), indent=2) + "\n", encoding="utf-8")


def without_places(text: str) -> str:
    """Return text with the folders of absolute paths left out: of a file's path ``.../a.jsonl`` stays."""
    return LOCAL.sub(".../", text)


def _without_places(said: Json) -> Json:
    if isinstance(said, dict):
        kept = {key: value for key, value in said.items() if not (key == "_name_or_path" and _is_place(value))}
        return {key: _without_places(value) for key, value in kept.items()}
    if isinstance(said, list):
        return [_without_places(value) for value in said]
    return PurePosixPath(said).name if isinstance(said, str) and _is_place(said) and LOCAL.match(said) else said


def _is_place(value: Json) -> bool:
    return isinstance(value, str) and value.startswith(("/", "~", ".")) and "/" in value
