"""What a person and a run folder see of the work: a line, a progress bar, the cost of a stage.

All of it goes to stderr, so that stdout stays a command's result; while a run goes on, what is said also goes to its
``log.txt``. Not a logger with levels: what matters is said, the rest is in ``metrics.jsonl``.
"""

from __future__ import annotations

import re
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from triptych.core.errors import TriptychError
from triptych.core.files import append_json_line
from triptych.core.full_disk import naming
from triptych.core.machine import GIB
from triptych.core.records import Json

SAMPLE_EVERY_S = 0.05
PLAIN_EVERY_S = 10.0
STATUS = Path("/proc/self/status")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


_logs: list[Path] = []
"""Where else what is said goes: the log files of the runs under way, innermost last."""


_muted: list[bool] = [False]
"""Whether this process says nothing, as another one speaks for both."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 row``, ``2,000 rows``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def duration(seconds: float) -> str:
    """Return how long something took: ``4.2 s``, ``3 min 07 s``, ``2 h 05 min``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def mute(silent: bool) -> None:
    """Say nothing from now on in this process, nor show progress; or speak again."""
    _muted[0] = silent


def printable(text: str) -> str:
    """Return a text without what gives a terminal orders: colours, titles, the clipboard. Tabs and line ends stay."""
    return _CONTROL.sub("", text)


def say(message: str) -> None:
    """Print one line to stderr, as it is: no markup is read into it, no line is broken."""
    if _muted[0]:
        return
    message = printable(message)
    _console().print(message, markup=False, highlight=False, soft_wrap=True)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for path in _logs:
        with naming(path), path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"{now} {message}\n")


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Append what is said while the block runs to a file too, with the time, and the error of ours that ends it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _logs.append(path)
    try:
        yield
    except TriptychError as error:  # told even where a full disk takes no line of it
        with suppress(OSError), path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {type(error).__name__}: {error}\n")
        raise
    finally:
        _logs.remove(path)


class Advance(Protocol):
    """Says that some units of a job are done."""

    def __call__(self, units: int, told: str = "", *, total: int | None = None) -> None:
        """Show it.

        Args:
            units: just done.
            told: how it goes, in a few words.
            total: how many there are in all, where that is known better by now.
        """


@contextmanager
def progress(label: str, total: int, *, done: int = 0, lines: int = 0) -> Iterator[Advance]:
    """Show how far a job of ``total`` units is, with the time left; call what is yielded with the units just done.

    On a terminal a bar that stays when done; elsewhere a plain line now and then, so that a log file stays readable.

    Args:
        label: of the job.
        total: units.
        done: units that were done before.
        lines: say about so many plain lines in any case, so that the run's log has them too; and the first unit's.
    """
    console = _console()
    bars = console.is_terminal and not _muted[0]
    tell = _plain_lines(label, total, done=done, lines=lines, alone=not bars)
    if not bars:
        yield tell
        return
    columns = (
        TextColumn("{task.description}" if lines else "{task.description:<28}", markup=False),
        BarColumn(bar_width=12 if lines else 30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[told]}", markup=False),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=total, completed=done, told="")

        def advance(units: int, told: str = "", *, total: int | None = None) -> None:
            bar.update(task, advance=units, total=total, told=told)
            tell(units, told, total=total)

        yield advance


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


def _plain_lines(label: str, total: int, *, done: int, lines: int, alone: bool) -> Advance:
    begin = time.monotonic()
    first, told_s, most = done, begin, total

    def advance(units: int, told: str = "", *, total: int | None = None) -> None:
        nonlocal done, told_s, most
        before, done, most, now = done, done + units, most if total is None else total, time.monotonic()
        due = alone and (done >= most > before or now - told_s >= PLAIN_EVERY_S)
        if lines:
            every = max(1, most // lines)
            due = due or before == first or done == most or before // every < done // every
        if due:
            told_s = now
            left_s = (now - begin) / (done - first) * max(most - done, 0) if done > first else 0.0
            said = told if told else f"{now - begin:.0f} s"
            say(f"{label}: {'step ' if lines else ''}{done}/{most}, {said}, about {_span(left_s)} left")

    return advance


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def _console() -> Console:
    # Made when needed: stderr may be redirected after import.
    return Console(stderr=True)
