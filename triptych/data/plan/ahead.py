"""Work that is done ahead in other processes, and comes back in its order: the same stream for any number of workers.

Not about which work. Workers are started anew (spawn), so neither locks nor threads nor a GPU's state go along; they
import what the work needs and nothing else. An error comes back in its place. A worker that is killed ends the stream
with an error, never with a wait without end; workers whose parent is killed end by themselves.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any, TypeVar

from triptych.core.errors import RunError

DEPTH = 2
"""Tasks handed to each worker ahead of the one that is waited for."""

A = TypeVar("A")
B = TypeVar("B")


def ahead(work: Callable[[A], B], tasks: Iterable[A], *, workers: int) -> Generator[B]:
    """Yield ``work(task)`` for each task, in order. Tasks are drawn as they are needed, a few ahead.

    Args:
        work: goes to each worker once, so it must be picklable where there are workers.
        tasks: small, picklable; may be endless.
        workers: processes; 0: in this one, and nothing is done ahead.

    Raises:
        RunError: a worker was killed.
    """
    if workers < 1:
        yield from map(work, tasks)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(work,))
    waiting: deque[Future[Any]] = deque()
    drawn = iter(tasks)
    try:
        for task in drawn:
            waiting.append(pool.submit(_do, task))
            if len(waiting) >= DEPTH * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RunError(
            "a worker that reads data was killed, perhaps as memory ran out. Give the same command again to go on, "
            "with fewer workers if it happens again."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_work: Callable[[Any], Any] | None = None
"""In a worker process: the function that it runs on each task."""


def _begin(work: Callable[[Any], Any]) -> None:
    """Make a worker ready: it leaves Ctrl-C to its parent and does not outlive it."""
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # as many processes as cores are enough
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _do(task: Any) -> Any:
    assert _work is not None, "the worker was not made ready"
    return _work(task)
