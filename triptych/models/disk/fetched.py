"""The note of a model that was brought here: whence, which files are ours, and what their contents are.

Not the download (``hub``). In a folder of the user's it is ``.got.json``; of the hub's cache it is in ours. Invariants:
only files that stand in the note are deleted, and only while they are as they were fetched.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from triptych.core.errors import RunError
from triptych.core.files import cache_folder, sha256_of, write_atomically

NOTE = ".got.json"
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "mm_projector.bin", "adapter_model.bin", "*.index.json")
"""Files beside which other weights, or their list, would be opened in place of those that were fetched."""


@dataclass(frozen=True, slots=True)
class State:
    """A file as it was when it was read last."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Note:
    """What was brought."""

    hub_id: str
    commit: str
    files: Mapping[str, State | None]
    """By name; None: begun, and not looked at yet."""


def note_of(hub_id: str, folder: Path | None) -> Path:
    """Return where the note of a model is: in its folder, or, where that is the hub's cache, in our own."""
    return cache_folder() / "got" / f"{hub_id.replace('/', '--')}.json" if folder is None else folder / NOTE


def read_note(path: Path) -> Note | None:
    """Return a note; None: there is none yet. Raises RunError: it is not as it was written."""
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        files = {name: None if state is None else State(**state) for name, state in said["files"].items()}
        return Note(str(said["hub_id"]), str(said["commit"]), files)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RunError(f"{path} is not as it was written. Delete it; what is whole is not fetched again.") from None


def write_note(path: Path, note: Note) -> None:
    """Write a note."""
    write_atomically(path, json.dumps(asdict(note), indent=1) + "\n")


def check_folder(folder: Path, hub_id: str, *, note: Note | None) -> None:
    """Raise RunError unless a model may be brought into a folder: it is empty, or holds that model or its beginning."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file. Name a folder.")
    if note is not None and note.hub_id != hub_id:
        raise RunError(f"{folder} holds {note.hub_id}, not {hub_id}. Name another folder, or delete that one.")
    begun = note is not None or (folder / ".cache" / "huggingface").exists()
    if not begun and folder.is_dir() and any(folder.iterdir()):
        raise RunError(f"{folder} holds other things than a model that was begun here. Name another folder.")


def left_over(folder: Path, wanted: Collection[str], *, listed: Collection[str], note: Note | None) -> list[Path]:
    """Return files that were brought here earlier, and that are none of the model's any more.

    Args:
        folder: where they are.
        wanted: files that the model needs now.
        listed: all that the hub has of it: another tool may have brought those that are not needed.
        note: of an earlier time.

    Raises:
        RunError: such a file was changed since; or weights are there that nobody brought, and are none of the model's.
    """
    known = {} if note is None else note.files
    gone = [folder / name for name in sorted(known.keys() - set(wanted)) if Path(name).name == name]
    gone = [path for path in gone if path.is_file()]
    for path in gone:
        state = known[path.name]
        if state is not None and _state_of(path, state).sha256 != state.sha256:
            raise RunError(f"{path}: the model has no such file any more, and it was changed here. Move it away.")
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        others = path.name not in {*listed, *known}
        if others and any(fnmatchcase(path.name, pattern) for pattern in _WEIGHTS):
            raise RunError(
                f"{path}: the model has no such file, and it was not brought here by `triptych models get`. Beside the"
                " model's own it may be opened in their place: move it away, or name another folder."
            )
    return gone


def read_states(
    folder: Path, names: Collection[str], *, sums: Mapping[str, str], note: Note | None
) -> dict[str, State]:
    """Return the files as they are. Each is read once: one that is as the note says is not read again.

    Args:
        folder: where they are.
        names: of the files.
        sums: sha256 that the hub gives, by name.
        note: of an earlier time.

    Raises:
        RunError: a file is not what the hub has, and is deleted; or it is not there.
    """
    known = {} if note is None else note.files
    states, damaged = {}, []
    for name in names:
        path, wanted = folder / name, sums.get(name)
        if not path.is_file():
            raise RunError(f"{path} did not arrive. The same command goes on where it was.")
        before = known.get(name)
        # What the hub says counts: one that was compared with another sum is read again.
        state = _state_of(path, before if before is not None and wanted in (None, before.sha256) else None)
        if wanted is not None and state.sha256 != wanted:
            path.resolve().unlink(missing_ok=True)  # in the hub's cache a link leads to it
            path.unlink(missing_ok=True)
            damaged.append(name)
        states[name] = state
    if damaged:
        raise RunError(
            f"{folder}: {', '.join(damaged)} arrived damaged (not of the sha256 that the hub gives) and is deleted. The"
            " same command fetches it anew."
        )
    return states


def _state_of(path: Path, before: State | None) -> State:
    """Return a file as it is; read only where its size or time are others than before."""
    stat = path.stat()
    if before is not None and (before.size, before.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
        return before
    return State(stat.st_size, stat.st_mtime_ns, sha256_of(path))
