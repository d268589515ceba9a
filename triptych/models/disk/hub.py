"""Bring a released model to this disk: only the files that it needs, gone on with after a kill, whole or told.

Not opened: no torch here. huggingface_hub does the fetching; it verifies sizes and goes on where it was ended. Without
a folder the files go to its cache, where hub ids in recipes and commands find them.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    DryRunError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    XetDownloadError,
)
from huggingface_hub.utils.tqdm import tqdm

from triptych.core.errors import NotFoundError, RunError
from triptych.core.files import write_atomically

BESIDE = ("*.json", "*.jinja", "*.model", "*.txt", "README.md", "LICENSE*")
"""Files at the top of a model's folder that are needed beside its weights, or that its licence wants kept."""
WEIGHTS = ("model*.safetensors", "score_head.safetensors", "adapter_model.safetensors")
OTHER_WEIGHTS = ("*.safetensors",)
"""Where none has such a name."""
OLD_WEIGHTS = ("pytorch_model*.bin", "mm_projector.bin", "adapter_model.bin")
"""Where a model has no ``*.safetensors``."""
NOTE = "triptych.json"
SPARE_BYTES = 64 << 20
"""What is left free on a disk."""
GIB = 1 << 30
_HTTP_ERROR = cast(type[Exception], HfHubHTTPError.__bases__[0])
"""Of the HTTP client that huggingface_hub uses, whichever it is: a network that is not there, or ends."""


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
        RunError: the disk is too small, or the folder holds other things.
    """
    if folder is not None and folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file. Name a folder.")
    if folder is not None and _holds_others(folder):
        raise RunError(f"{folder} holds other things than a model that was begun here. Name another folder.")
    try:
        told = snapshot_download(
            hub_id,
            revision=revision,
            local_dir=folder,
            endpoint=endpoint,
            ignore_patterns=["*/*"],
            dry_run=True,
            tqdm_class=_Silent,
        )
        sizes = {each.filename: each.file_size or 0 for each in told}
        wanted = wanted_files(list(sizes))
        if "config.json" not in wanted and "adapter_config.json" not in wanted:
            raise NotFoundError(f"{hub_id}: it has no config.json, so it is no Hugging Face model.")
        absent = sum(sizes[each.filename] for each in told if each.filename in wanted and each.will_download)
        _check_room(folder or Path(constants.HF_HUB_CACHE), absent)
        # The very names, with what has a meaning in patterns bracketed.
        exact = ["".join(f"[{letter}]" if letter in "*?[" else letter for letter in name) for name in wanted]
        place = snapshot_download(
            hub_id, revision=revision, local_dir=folder, allow_patterns=exact, endpoint=endpoint, max_workers=4
        )
    except (OSError, ValueError, XetDownloadError, _HTTP_ERROR) as error:
        raise _told(error, hub_id, revision) from error
    if folder is not None and template is not None and not (folder / NOTE).is_file():
        write_atomically(folder / NOTE, json.dumps({"template": template}, indent=2) + "\n")
    return Brought(Path(place), len(wanted), sum(sizes[name] for name in wanted), len(sizes) - len(wanted))


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


def _holds_others(folder: Path) -> bool:
    """Return whether a folder holds something and neither a model nor one that was begun."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    return not any((folder / name).exists() for name in ("config.json", "adapter_config.json", ".cache/huggingface"))


def _check_room(place: Path, needed: int) -> None:
    there = place.absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if needed + SPARE_BYTES > free:
        raise RunError(
            f"{place}: {needed / GIB:,.1f} GiB are needed, {free / GIB:,.1f} GiB are free. Make room, or name a"
            " folder on another disk."
        )


def _told(error: BaseException, hub_id: str, revision: str | None) -> Exception:
    """Return an error of the hub's client as one line that says what to do."""
    if isinstance(error, NotFoundError | RunError):
        return error
    if isinstance(error, DryRunError) and error.__cause__ is not None:
        return _of_cause(error.__cause__, hub_id, revision)
    return _of_cause(error, hub_id, revision)


def _of_cause(error: BaseException, hub_id: str, revision: str | None) -> Exception:
    if isinstance(error, GatedRepoError):
        return NotFoundError(
            f"{hub_id} is gated: accept its terms at https://huggingface.co/{hub_id}, then say who you are with `hf"
            " auth login` or HF_TOKEN."
        )
    if isinstance(error, RevisionNotFoundError):
        return NotFoundError(f"{hub_id} has no revision {revision!r}. Leave --revision out for its main branch.")
    if isinstance(error, RepositoryNotFoundError):
        return NotFoundError(
            f"{hub_id}: the hub has no such model, or it is private and HF_TOKEN names nobody who may see it."
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return RunError(f"{hub_id}: the disk is full. Make room; the same command goes on where it was.")
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if status is not None:
        return NotFoundError(f"{hub_id}: the hub answers {status}. Try again; the same command goes on where it was.")
    if isinstance(error, OfflineModeIsEnabled):
        return NotFoundError(f"{hub_id}: HF_HUB_OFFLINE is set, so the hub is not asked. Unset it.")
    said = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return NotFoundError(
        f"{hub_id}: the hub cannot be reached ({said}). Is there a network, is HF_ENDPOINT right? The same command"
        " goes on where it was."
    )
