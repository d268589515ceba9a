"""The processes of a run that ``torchrun`` started: what they tell each other, who writes, and how they end together.

Not gradients (``replicas.py``, ``shards.py``). Without ``torchrun`` a run is one process, and everything here is what
it would do anyway. Process 0 leads: it alone writes into the run's folder. An error of one ends all, with one line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import torch
import torch.distributed as dist

from triptych.core.errors import ConfigError, RunError, TriptychError
from triptych.core.log import mute

T = TypeVar("T")
U = TypeVar("U")

WORK = timedelta(minutes=30)
"""Longest wait for another's share of a gradient."""
TALK = timedelta(days=2)
"""Longest wait for what one process does alone: to align a projector, to look at data, to be evaluated by a hook."""
GONE = (
    "another process of this run ended; its own message says why. The last whole checkpoint is kept: give the same"
    " command again to go on."
)
_PEER = ("closed by peer", "reset by peer", "Broken pipe", "onnection refused")
"""What gloo says when the other end is gone."""


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """All processes of a run, seen by one of them."""

    rank: int = 0
    ranks: int = 1
    kind: str = "ddp"
    """``ddp``: each holds all weights. ``fsdp``: each holds a share."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Device of this process."""
    scratch: Path | None = None
    """Folder for metrics and ledger of a process that does not lead; only the leading one's count. None: it leads."""
    talk: dist.ProcessGroup | None = None
    """Process group for small messages, over gloo on the CPU."""

    @property
    def leads(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def book(self, run: Path) -> Path:
        """Return the folder for this process's metrics and ledger: the run's, where it leads."""
        return run if self.scratch is None else self.scratch

    def gather(self, value: T) -> list[T]:
        """Return what every process handed in, by rank. All must come here."""
        if self.ranks == 1:
            return [value]
        found: list[T | None] = [None] * self.ranks
        dist.all_gather_object(found, value, group=self.talk)
        return found  # type: ignore[return-value]

    def together(self, work: Callable[[], T]) -> T:
        """Do ``work`` in every process, and go on only if all could.

        Raises:
            TriptychError: in the leading process, the first one's that could not.
            SystemExit: in the others then: the leading one says it.
        """
        if self.ranks == 1:
            return work()
        try:
            result = work()
        except (TriptychError, OSError) as error:
            self._end(self.gather(str(error)), own=error)
            raise  # not reached: somebody failed
        self._end(self.gather(None), own=None)
        return result

    def lead(self, work: Callable[[], T]) -> T:
        """Do ``work`` in the leading process alone; return its result, which is picklable, in all.

        Raises:
            TriptychError, SystemExit: as ``together``.
        """
        if self.ranks == 1:
            return work()
        results = self.gather(self.together(work) if self.leads else self.together(_nothing))
        return results[0]  # type: ignore[return-value]

    def after_lead(self, work: Callable[[U | None], T], *, tell: Callable[[T], U]) -> T:
        """Do ``work`` in the leading process, then in the others, which find what it left on the disk.

        Args:
            work: is given what the leading process tells of its result; in that one itself None.
            tell: returns that; it is picklable.

        Raises:
            TriptychError, SystemExit: as ``together``.
        """
        if self.ranks == 1:
            return work(None)
        if self.leads:
            result = self.together(lambda: work(None))
            self.gather(tell(result))
            self.together(_nothing)
            return result
        self.together(_nothing)
        told = self.gather(None)[0]
        return self.together(lambda: work(told))

    def _end(self, errors: list[str | None], *, own: Exception | None) -> None:
        failed = [rank for rank, error in enumerate(errors) if error is not None]
        if not failed:
            return
        if not self.leads:
            raise SystemExit(2)
        if own is not None:
            raise own
        raise RunError(f"process {failed[0]} of {self.ranks}: {errors[failed[0]]}")


@contextmanager
def joined(kind: str) -> Iterator[World]:
    """Join the processes that ``torchrun`` started with this one; part from them when the block ends.

    Args:
        kind: how they share the work: ``ddp``, ``fsdp``, or ``none``, which is ddp where there are several.

    Raises:
        ConfigError: there are more processes on this machine than GPUs.
        RunError: another process is gone.
    """
    ranks, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    device = _device(int(os.environ.get("LOCAL_RANK", "0")))
    if ranks == 1:
        yield World(device=device)
        return
    mute(rank > 0)
    ended = False
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=WORK)
    try:
        with TemporaryDirectory(prefix="triptych-") as scratch:
            talk = dist.new_group(backend="gloo", timeout=TALK)
            yield World(rank, ranks, "fsdp" if kind == "fsdp" else "ddp", device, Path(scratch) if rank else None, talk)
            dist.barrier(talk)  # who leaves first would cut the others off
        ended = True
    except TriptychError:
        mute(False)  # the others do not know of it
        raise
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or any(sign in str(error) for sign in _PEER)):
            raise
        if rank:
            raise SystemExit(2) from error
        raise RunError(GONE) from error
    finally:
        if ended or device.type == "cpu":  # taking NCCL apart waits for the others, who may wait for this process
            dist.destroy_process_group()


def _device(local_rank: int) -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"process {local_rank} of this machine has no GPU of its own, there are {torch.cuda.device_count()}: lower"
            " --nproc_per_node, or set CUDA_VISIBLE_DEVICES= to compute on the CPU."
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def _nothing() -> None:
    """Wait for the others."""
