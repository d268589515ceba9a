"""Runs in several processes, as ``torchrun`` starts them, over gloo on the CPU."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from triptych.core.errors import TriptychError
from triptych.train.recipe import Recipe
from triptych.train.trainer import train

# A child that starts with torch imported, and else with nothing of ours: a second instead of ten.
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(["tests.train.processes", "torch.distributed.fsdp", "torch.distributed.checkpoint"])
LIMIT_S = 100

Before = Callable[[int], None]
"""Is called with the rank before the run begins; picklable."""


def start_ranks(recipe: Recipe, run: Path, *, ranks: int, before: Before | None = None) -> list[BaseProcess]:
    """Start a run in so many processes; what each says goes to ``RUN.RANK.txt``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes: list[BaseProcess] = []
    for rank in range(ranks):
        told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = {name: str(value) for name, value in told.items()}
        process = CHILDREN.Process(target=_child, args=(recipe, run, environment, before))
        process.start()
        processes.append(process)
    return processes


def end_ranks(processes: list[BaseProcess]) -> list[int | None]:
    """Return how each ended; those that did not within the limit are killed, and have None."""
    for process in processes:
        process.join(LIMIT_S)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    return codes


def run_ranks(recipe: Recipe, run: Path, *, ranks: int, before: Before | None = None) -> list[int | None]:
    """Train in so many processes; return their exit codes."""
    return end_ranks(start_ranks(recipe, run, ranks=ranks, before=before))


def said(run: Path, rank: int) -> str:
    """Return what a process said."""
    return run.with_name(f"{run.name}.{rank}.txt").read_text(encoding="utf-8")


def _child(recipe: Recipe, run: Path, environment: dict[str, str], before: Before | None) -> None:
    os.environ.update(environment)
    run.parent.mkdir(parents=True, exist_ok=True)
    with run.with_name(f"{run.name}.{environment['RANK']}.txt").open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8")
    if before is not None:
        before(int(environment["RANK"]))
    with contextlib.suppress(KeyboardInterrupt):
        try:
            train(recipe, run=run)
        except TriptychError as error:
            sys.stderr.write(f"error: {error}\n")
            sys.exit(2)
