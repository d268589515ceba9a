"""Ctrl-C and SIGTERM as a question that training asks between steps, so that a step is never half done.

A Ctrl-C after either ends at once. A second SIGTERM does not: a scheduler sends one to every process of a job, and
``torchrun`` passes its own on to those that have had theirs.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from triptych.core.errors import RunError

T = TypeVar("T")

MOMENT_S = 1.0

Handler = Callable[[int, FrameType | None], object] | int | None


class InterruptedTrainingError(RunError):
    """It was Ctrl-C that asked: the command line ends as it does for every command that is interrupted."""


class Stop:
    """Whether somebody asked to stop. State: the signal that did."""

    def __init__(self) -> None:
        self.asked_by: str | None = None

    def asked_soon(self) -> bool:
        """Return whether somebody asked, or does within a moment: a job's processes hear of it one after the other."""
        until = time.monotonic() + MOMENT_S
        while self.asked_by is None and time.monotonic() < until:
            time.sleep(MOMENT_S / 50)
        return self.asked_by is not None

    def check(self, where: str) -> None:
        """Go on, unless a stop was asked for.

        Args:
            where: completes the sentence "stopped by SIGTERM ...".

        Raises:
            InterruptedTrainingError: by Ctrl-C.
            RunError: by SIGTERM.
        """
        if self.asked_by:
            kind = InterruptedTrainingError if self.asked_by == signal.SIGINT.name else RunError
            raise kind(f"stopped by {self.asked_by} {where}. Give the same command again to go on.")


class CutOff:
    """Stands for the next item where the processes that make it were ended by the signal that asks all to stop."""


def next_or_cut_off(items: Iterator[T], stop: Stop) -> T | CutOff | None:
    """Return the next item, None behind the last.

    Args:
        items: made by other processes, to each of which a scheduler sends its signal as well.
        stop: has heard it, or will.

    Raises:
        RunError: the items end with it, and nobody asks to stop.
    """
    try:
        return next(items, None)
    except RunError:
        if not stop.asked_soon():
            raise
        return CutOff()


@contextmanager
def listening() -> Iterator[Stop]:
    """Yield a Stop that hears SIGINT and SIGTERM while the block runs.

    In another than the main thread signals cannot be caught: there it is never asked.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before: dict[signal.Signals, Handler] = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
    }

    def note(number: int, _frame: FrameType | None) -> None:
        stop.asked_by = stop.asked_by or signal.Signals(number).name
        _restore({signal.SIGINT: before[signal.SIGINT]})

    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        _restore(before)


def _restore(handlers: Mapping[signal.Signals, Handler]) -> None:
    for number, handler in handlers.items():
        # None: a handler that was not set from Python; the default is the nearest that can be set.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
