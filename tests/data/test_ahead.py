"""Work done ahead in other processes: the same stream, errors in their place, and never a wait without end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import count, islice
from pathlib import Path

import pytest

from triptych.core.errors import DataError, RunError
from triptych.data.plan.ahead import ahead

ROOT = Path(__file__).parents[2]


def square(number: int) -> int:
    """Work that is done at different speeds."""
    time.sleep(0.002 * (number % 3))
    return number * number


def fail_at_five(number: int) -> int:
    if number == 5:
        raise DataError("row 5 of train.json cannot be read")
    return number


def die_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def own_pid(_number: int) -> int:
    return os.getpid()


def torch_loaded(_number: int) -> bool:

    return "torch" in sys.modules or "transformers" in sys.modules


@pytest.mark.parametrize("workers", [0, 2])
def test_the_stream_is_the_same_for_any_number_of_workers(workers: int) -> None:
    assert list(ahead(square, range(20), workers=workers)) == [number * number for number in range(20)]


def test_tasks_without_end_are_drawn_as_they_are_needed() -> None:
    drawn = []

    def tasks() -> object:
        for number in count():
            drawn.append(number)
            yield number

    assert list(islice(ahead(square, tasks(), workers=2), 5)) == [0, 1, 4, 9, 16]  # type: ignore[arg-type]
    assert len(drawn) <= 5 + 2 * 2


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_comes_back_in_its_place(workers: int) -> None:
    stream = ahead(fail_at_five, range(10), workers=workers)
    seen = list(islice(stream, 5))
    with pytest.raises(DataError, match=r"row 5 of train\.json cannot be read"):
        next(stream)
    assert seen == [0, 1, 2, 3, 4]


def test_a_worker_that_is_killed_ends_the_stream() -> None:
    begin = time.monotonic()
    with pytest.raises(RunError, match="a worker that reads data was killed"):
        list(ahead(die_at_three, range(100), workers=2))
    assert time.monotonic() - begin < 30


def test_workers_load_neither_torch_nor_transformers() -> None:
    assert list(ahead(torch_loaded, range(1), workers=1)) == [False]


def test_workers_of_a_killed_parent_end_by_themselves() -> None:
    script = (
        "import time; from itertools import islice; from tests.data.test_ahead import ahead, own_pid\n"
        "stream = ahead(own_pid, range(10**6), workers=2); print(*set(islice(stream, 20)), flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert workers
    parent.kill()
    parent.wait()
    until = time.monotonic() + 10
    while any(is_alive(pid) for pid in workers) and time.monotonic() < until:
        time.sleep(0.05)
    left = [pid for pid in workers if is_alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    parent.stdout.close()
    assert not left


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")
