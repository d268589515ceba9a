"""How many cores are this process's: those that it may run on, shared with its like."""

from __future__ import annotations

import pytest

from triptych.core import machine


@pytest.mark.parametrize(("there", "processes", "each"), [(8, "1", 8), (8, "3", 2), (2, "4", 1), (1, "1", 1)])
def test_processes_of_one_machine_share_its_cores(
    monkeypatch: pytest.MonkeyPatch, there: int, processes: str, each: int
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: there)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert machine.cores_each() == each


def test_there_is_at_least_one() -> None:
    assert machine.cores() >= 1
