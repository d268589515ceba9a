"""Turns: training runs that are measured against one another step by step, each in a process of its own.

A run waits after each of its steps until it is told to go on, so that runs take turns on the machine and what else
happens there falls on all of them. Nothing here but the standard library: the environments of other trainers import it.

A run writes a line of JSON for each step to what was its stdout; what libraries print goes to its log.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

READY = "ready"


class Turns:
    """A run's side. State: when its turn began."""

    def __init__(self) -> None:
        self._told = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._began = (time.perf_counter(), time.process_time())

    def wait(self) -> None:
        """Wait for the next turn; end the process when there is none."""
        if not sys.stdin.readline():
            os._exit(0)  # no checkpoint, no goodbye: the run was only measured
        self._began = (time.perf_counter(), time.process_time())

    def tell(self, **record: object) -> None:
        """Tell what the turn did, and what it took."""
        wall, cpu = self._began
        took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        self._told.write(json.dumps(took | record) + "\n")
        self._told.flush()


class Run:
    """The measuring side: a process that trains. State: the process."""

    def __init__(self, command: list[str], *, log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        with log.open("w", encoding="utf-8") as file:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env={**os.environ, **environment},
            )

    def turn(self) -> dict[str, object]:
        """Let it do a step; return what it tells.

        Raises:
            RuntimeError: it ended; the message has the end of its log.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.end()
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            raise RuntimeError("\n".join(["a run ended before its time; its log says:", *lines[-12:]]))
        record: dict[str, object] = json.loads(line)
        return record

    def end(self) -> None:
        """End the process, wherever it is."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
