"""Bring a released model to this disk: only the files that it needs, gone on with after a kill, whole or told.

Not opened: no torch here. huggingface_hub does the fetching; it verifies sizes and goes on where it was ended. What the
hub gives a sha256 of is compared with it here, once. Without a folder the files go to its cache, where hub ids in
recipes and commands find them. A note (``fetched``) says what in a folder is ours: files that the model has no more are
deleted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, RepoFile, constants, snapshot_download
from huggingface_hub.utils.tqdm import tqdm

from triptych.core.errors import NotFoundError, RunError
from triptych.core.files import write_atomically
from triptych.core.log import say
from triptych.core.machine import SPARE_BYTES, disk_room, short_of
from triptych.models.disk.fetched import Note, check_folder, left_over, note_of, read_note, read_states, write_note
from triptych.models.disk.hub_errors import HUB_ERRORS, told

BESIDE = ("*.json", "*.jinja", "*.model", "*.txt", "README.md", "LICENSE*")
"""Files at the top of a model's folder that are needed beside its weights, or that its licence wants kept."""
WEIGHTS = ("model*.safetensors", "score_head.safetensors", "adapter_model.safetensors")
OTHER_WEIGHTS = ("*.safetensors",)
"""Where none has such a name."""
OLD_WEIGHTS = ("pytorch_model*.bin", "mm_projector.bin", "adapter_model.bin")
"""Where a model has no ``*.safetensors``."""
NOTE = "triptych.json"


@dataclass(frozen=True, slots=True)
class Brought:
    """A model that is there."""

    folder: Path
    files: int
    size_bytes: int
    left: int
    """Files beside these that were not needed."""


class _Silent(tqdm):
    """No progress of what only looks."""

    def __init__(self, *words: Any, **settings: Any) -> None:
        super().__init__(*words, **{**settings, "disable": True})  # type: ignore[no-untyped-call]


def bring(
    hub_id: str,
    folder: Path | None = None,
    *,
    revision: str | None = None,
    template: str | None = None,
    endpoint: str | None = None,
) -> Brought:
    """Download a model's files; those that are there and whole are not asked for again.

    Args:
        hub_id: ``OWNER/NAME``.
        folder: where to; None: the hub's cache.
        revision: a branch, tag or commit; None: main.
        template: what it was tuned with; written into the folder's ``triptych.json``, as a folder has no hub id.
            None: it says so itself.
        endpoint: the hub's address; None: as the environment says (``HF_ENDPOINT``).

    Raises:
        NotFoundError: it is not there, is gated, or no hub can be reached.
        RunError: the disk is too small, the folder holds other things, or a file arrived damaged.
    """
    noted = note_of(hub_id, folder)
    note = read_note(noted)
    if folder is not None:
        check_folder(folder, hub_id, note=note)
    try:
        listed = snapshot_download(
            hub_id,
            revision=revision,
            local_dir=folder,
            endpoint=endpoint,
            ignore_patterns=["*/*"],
            dry_run=True,
            tqdm_class=_Silent,
        )
        sizes = {each.filename: each.file_size or 0 for each in listed}
        wanted = wanted_files(list(sizes))
        if "config.json" not in wanted and "adapter_config.json" not in wanted:
            raise NotFoundError(f"{hub_id}: it has no config.json, so it is no Hugging Face model.")
        absent = sum(sizes[each.filename] for each in listed if each.filename in wanted and each.will_download)
        _check_room(folder or Path(constants.HF_HUB_CACHE), absent)
        commit, known = listed[0].commit_hash, {} if note is None else note.files
        old = [] if folder is None else left_over(folder, wanted, listed=sizes, note=note)
        write_note(noted, Note(hub_id, commit, {**known, **{name: known.get(name) for name in wanted}}))
        # The very names, with what has a meaning in patterns bracketed.
        exact = ["".join(f"[{letter}]" if letter in "*?[" else letter for letter in name) for name in wanted]
        place = Path(
            snapshot_download(
                hub_id, revision=revision, local_dir=folder, allow_patterns=exact, endpoint=endpoint, max_workers=4
            )
        )
        sums = _sums(hub_id, commit, endpoint)
    except HUB_ERRORS as error:
        raise told(error, hub_id, revision=revision) from error
    for path in old:
        path.unlink(missing_ok=True)
        say(f"{path}: deleted, as {hub_id} does not have it any more")
    write_note(noted, Note(hub_id, commit, read_states(place, wanted, sums=sums, note=note)))
    if folder is not None and template is not None and not (folder / NOTE).is_file():
        write_atomically(folder / NOTE, json.dumps({"template": template}, indent=2) + "\n")
    return Brought(place, len(wanted), sum(sizes[name] for name in wanted), len(sizes) - len(wanted))


def _sums(hub_id: str, commit: str, endpoint: str | None) -> dict[str, str]:
    """Return the sha256 of each file that the hub gives one of: those in its large file storage, as all weights are."""
    entries = HfApi(endpoint=endpoint).list_repo_tree(hub_id, revision=commit)
    return {each.path: each.lfs.sha256 for each in entries if isinstance(each, RepoFile) and each.lfs is not None}


def wanted_files(names: Sequence[str]) -> list[str]:
    """Return which files of a repository a model needs: at the top, and weights of one kind.

    Other kinds of the same weights (``consolidated*``, ``original/``, ``onnx/``, GGUF, ``*.bin`` beside safetensors)
    are left, and so are indices of what is left.
    """
    top = [name for name in names if "/" not in name]
    for kind in (WEIGHTS, OTHER_WEIGHTS, OLD_WEIGHTS):
        if weights := [name for name in top if _is_like(name, kind)]:
            break
    beside = [name for name in top if _is_like(name, BESIDE)]
    kinds = {"safetensors" if name.endswith(".safetensors") else "bin" for name in weights}
    spare = {name for name in beside if name.endswith(".index.json") and name.split(".")[-3] not in kinds}
    return sorted({*weights, *beside} - spare)


def _is_like(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _check_room(place: Path, needed: int) -> None:
    _, free = disk_room(place)
    if needed + SPARE_BYTES > free:
        raise RunError(f"{place}: {short_of(needed, free)}. Make room, or name a folder on another disk.")
