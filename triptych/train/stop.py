"""Ctrl-C and SIGTERM as a question that training asks between steps, so that a step is never half done.

A second Ctrl-C ends at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from triptych.core.errors import RunError

Handler = Callable[[int, FrameType | None], object] | int | None


class Stop:
    """Whether somebody asked to stop. State: the signal that did."""

    def __init__(self) -> None:
        self.asked_by: str | None = None

    def check(self, where: str) -> None:
        """Go on, unless a stop was asked for.

        Args:
            where: completes the sentence "stopped by SIGTERM ...".

        Raises:
            RunError: it was.
        """
        if self.asked_by:
            raise RunError(f"stopped by {self.asked_by} {where}. Give the same command again to go on.")


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
        stop.asked_by = signal.Signals(number).name
        _restore(before)

    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        _restore(before)


def _restore(handlers: dict[signal.Signals, Handler]) -> None:
    for number, handler in handlers.items():
        # None: a handler that was not set from Python; the default is the nearest that can be set.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
