"""A process of its own with a GPU that is pretended, and work that is done there. Its fixture is ``apart``."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class Apart:
    """A process of its own, which has a GPU that is pretended."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def run(self, work: Callable[..., T], *given: object, **more: object) -> T:
        return self._pool.submit(work, *given, **more).result(timeout=170)

    def both(self, work: Callable[..., T], sample: str, folder: Path, **more: object) -> tuple[T, T]:
        """Return what is done on the CPU, and on the GPU."""
        for name in ("cpu", "cuda"):
            (folder / name).mkdir()
        cpu, gpu = (self.run(work, sample, name, folder / name, **more) for name in ("cpu", "cuda"))
        return cpu, gpu
