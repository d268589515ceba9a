"""What a person and a run folder see of the work: a line, a progress bar, the cost of a stage.

All of it goes to stderr, so that stdout stays a command's result; while a run goes on, what is said also goes to its
``log.txt``. Not a logger with levels: what matters is said, the rest is in ``metrics.jsonl``.
"""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from triptych.core.errors import TriptychError
from triptych.core.files import append_json_line
from triptych.core.records import Json

GIB = 1 << 30
SAMPLE_EVERY_S = 0.05
PLAIN_EVERY_S = 10.0
STATUS = Path("/proc/self/status")


_logs: list[Path] = []
"""Where else what is said goes: the log files of the runs under way, innermost last."""


def say(message: str) -> None:
    """Print one line to stderr, as it is: no markup is read into it, no line is broken."""
    _console().print(message, markup=False, highlight=False, soft_wrap=True)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for path in _logs:
        with path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"{now} {message}\n")


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Append what is said while the block runs to a file too, with the time, and the error of ours that ends it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _logs.append(path)
    try:
        yield
    except TriptychError as error:
        with path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {type(error).__name__}: {error}\n")
        raise
    finally:
        _logs.remove(path)


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how far a job of ``total`` units is, with the time left; call what is yielded with the units just done.

    On a terminal a bar that stays when done; elsewhere a plain line now and then, so that a log file stays readable.
    """
    console = _console()
    if not console.is_terminal:
        yield _plain_lines(label, total)
        return
    columns = (
        TextColumn("{task.description:<28}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=total)
        yield lambda units: bar.advance(task, units)


@contextmanager
def measured(stage: str, metrics: Path) -> Iterator[None]:
    """Append ``{"stage", "wall_s", "peak_gib"}`` to ``metrics`` when the block ends well.

    ``peak_gib`` is the process's largest resident memory during the block, sampled every 50 ms, in GiB. Where there
    is no ``/proc`` it is the largest since the process began: never too small.
    """
    begin = time.perf_counter()
    with _peak_memory() as peak_bytes:
        yield
    wall_s = time.perf_counter() - begin
    record: dict[str, Json] = {"stage": stage, "wall_s": round(wall_s, 3), "peak_gib": round(peak_bytes() / GIB, 3)}
    append_json_line(metrics, record)


@contextmanager
def _peak_memory() -> Iterator[Callable[[], int]]:
    peak = _resident_bytes()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(SAMPLE_EVERY_S):
            peak = max(peak, _resident_bytes())

    watcher = threading.Thread(target=watch, name="peak memory", daemon=True)
    watcher.start()
    try:
        yield lambda: max(peak, _resident_bytes())
    finally:
        done.set()
        watcher.join()


def _resident_bytes() -> int:
    """Return the process's resident memory now, or its peak so far where the system does not tell."""
    if STATUS.exists():
        for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, KiB elsewhere


def _plain_lines(label: str, total: int) -> Callable[[int], None]:
    begin = time.monotonic()
    done = 0
    told_s = begin

    def advance(units: int) -> None:
        nonlocal done, told_s
        done += units
        now = time.monotonic()
        if done >= total > done - units or now - told_s >= PLAIN_EVERY_S:
            told_s = now
            left_s = (now - begin) / done * max(total - done, 0) if done else 0.0
            say(f"{label}: {done}/{total}, {now - begin:.0f} s, about {left_s:.0f} s left")

    return advance


def _console() -> Console:
    # Made when needed: stderr may be redirected after import.
    return Console(stderr=True)
