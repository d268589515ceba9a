"""sessions.jsonl: when a run was started, with what, where it was taken up again, and how each start ended.

Not what steps did: that is metrics.jsonl, in which a step stands once however often its run was killed. Nothing here
is read by training; the page is made of it. A session without an ``end`` was killed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import nn

from triptych.core.errors import TriptychError
from triptych.core.files import append_json_line
from triptych.core.records import Json
from triptych.train.measuring.operations import weights_in
from triptych.train.parallel.world import World

SESSIONS = "sessions.jsonl"
PACKAGES = ("triptych", "torch", "transformers", "peft", "tokenizers")
FINISHED = "finished"


@contextmanager
def session(run: Path, world: World) -> Iterator[None]:
    """Write down that the run goes on, in what environment, and at the end of the block how it ended.

    Args:
        run: the run's folder.
        world: its processes; only the leading one writes there.
    """
    _note(world.book(run), {"event": "start", "environment": environment(world)})
    how = "ended by an error of the program"
    try:
        yield
        how = FINISHED
    except (TriptychError, OSError) as error:
        how = str(error)
        raise
    except (KeyboardInterrupt, SystemExit) as error:
        how = f"ended by {type(error).__name__}"
        raise
    finally:
        with suppress(OSError):  # of a full disk: what ended the block is to be told
            _note(world.book(run), {"event": "end", "how": how})


def note_stage(book: Path, stage: str, *, after_step: int, parts: Mapping[str, nn.Module]) -> None:
    """Write down that a stage begins, or goes on after a step that a checkpoint kept.

    Args:
        book: where this process writes.
        stage: its name.
        after_step: steps that are done.
        parts: of the model, released as the stage wants them.
    """
    counted: dict[str, Json] = {}
    for part, module in parts.items():
        weights, moved = weights_in(module)
        counted[part] = {"weights": weights, "moved": moved}
    _note(book, {"event": "stage", "stage": stage, "after_step": after_step, "parts": counted})


def note_kept(book: Path, stage: str, *, step: int) -> None:
    """Write down that a stage leaves the weights that it had after a step."""
    _note(book, {"event": "kept", "stage": stage, "step": step})


def environment(world: World) -> dict[str, Json]:
    """Return what a run is computed by: versions, device, threads and processes."""
    versions: dict[str, Json] = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    cuda = world.device.type == "cuda"
    device = torch.cuda.get_device_name(world.device) if cuda else f"CPU, {platform.machine()}, {os.cpu_count()} cores"
    return {
        **versions,
        "system": platform.platform(terse=True),
        "device": device,
        "threads": torch.get_num_threads(),
        "processes": world.ranks,
        "shared": world.kind if world.ranks > 1 else "none",
    }


def _note(book: Path, record: Mapping[str, Json]) -> None:
    append_json_line(book / SESSIONS, {"at": datetime.now(UTC).isoformat(timespec="seconds"), **record})
