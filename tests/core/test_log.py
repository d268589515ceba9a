"""What is said goes to stderr, in lines; what a stage costs goes to metrics.jsonl."""

from __future__ import annotations

import mmap
import time
from pathlib import Path

import pytest

from triptych.core.errors import RunError
from triptych.core.files import read_json_lines
from triptych.core.log import duration, logged, measured, progress, say
from triptych.core.machine import MIB


def test_a_message_is_one_line_on_stderr_with_its_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    message = "error: data[0].source: [red] is no markup " + "and long lines stay whole " * 10
    say(message)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == message + "\n"


def test_progress_where_there_is_no_terminal_tells_when_all_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("drawing [3x3] scenes", 10) as advance:
        for _ in range(5):
            advance(2)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("drawing [3x3] scenes: 10/10, ")
    assert said.err.count("\n") == 1


def test_a_duration_is_told_in_the_two_units_that_matter() -> None:
    told = {4.23: "4.2 s", 59.4: "59.4 s", 187: "3 min 07 s", 3600: "1 h 00 min", 7530: "2 h 05 min"}
    assert {seconds: duration(seconds) for seconds in told} == told


def test_progress_of_nothing_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("nothing", 0) as advance:
        advance(0)
    assert "Traceback" not in capsys.readouterr().err


def test_progress_on_a_terminal_is_a_bar_that_ends_full(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with progress("packing", 4) as advance:
        advance(4)
    said = capsys.readouterr()
    assert "4/4" in said.err
    assert said.out == ""


def test_a_measured_stage_leaves_its_time_and_its_peak_memory(tmp_path: Path) -> None:
    metrics = tmp_path / "run" / "metrics.jsonl"
    with measured("small", metrics):
        time.sleep(0.05)
    with measured("large", metrics):
        block = mmap.mmap(-1, 300 * MIB)  # the system's own: what tests before have freed may be resident still
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
        time.sleep(0.2)
        block.close()
    small, large = read_json_lines(metrics)
    assert (small["stage"], large["stage"]) == ("small", "large")
    assert 0.05 <= _number(small["wall_s"]) < 5.0
    assert _number(large["peak_gib"]) - _number(small["peak_gib"]) == pytest.approx(300 / 1024, abs=0.1)


def test_a_stage_that_fails_leaves_no_record(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    with pytest.raises(RuntimeError, match="broke"), measured("broken", metrics):
        raise RuntimeError("it broke")
    assert not metrics.exists()


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


def test_what_is_said_during_a_run_stands_in_its_log_with_the_error_that_ended_it(tmp_path: Path) -> None:
    log = tmp_path / "run" / "log.txt"

    def run() -> None:
        with logged(log):
            say("step 1")
            raise RunError("the end")

    with pytest.raises(RunError, match="the end"):
        run()
    say("not of this run")
    lines = log.read_text().splitlines()
    assert [line.partition(" ")[2] for line in lines] == ["step 1", "RunError: the end"]
    assert all(line.startswith("20") and "+00:00 " in line for line in lines)
