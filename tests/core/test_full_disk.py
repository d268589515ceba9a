"""An error of a full disk names what was being written, whoever raised it."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError

from triptych.core.full_disk import NO_ROOM, naming, system_error

ROOT = Path(__file__).resolve().parent.parent.parent
RUST = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize("number", NO_ROOM)
def test_an_error_of_a_full_disk_names_the_file(number: int) -> None:
    with pytest.raises(OSError, match=r"rows\.jsonl") as caught, naming(Path("rows.jsonl")):
        raise OSError(number, os.strerror(number))
    assert (caught.value.errno, caught.value.filename) == (number, "rows.jsonl")


def test_so_does_what_safetensors_says_of_it() -> None:
    with pytest.raises(OSError, match="model") as caught, naming(Path("model")):
        raise RUST
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "model")


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EIO, "Input/output error"), OSError("torn"), SafetensorError("bad header"), ValueError("no number")],
)
def test_other_errors_are_as_they_were(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, naming(Path("rows.jsonl")):
        raise error
    assert caught.value is error
    assert getattr(error, "filename", None) is None


def test_the_file_that_an_error_names_itself_stays() -> None:
    with pytest.raises(OSError, match=r"picture\.png") as caught, naming(Path("rows.jsonl")):
        raise OSError(errno.ENOSPC, "No space left on device", "picture.png")
    assert caught.value.filename == "picture.png"


def test_an_error_of_the_system_has_its_number() -> None:
    assert [system_error(each) for each in (OSError(5, "x"), RUST, SafetensorError("bad header"))] == [5, 28, None]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("data", "convert", "messages:rows.jsonl", "messages:out.jsonl"), "out.jsonl"),
        (("starter", "draw", "drawn"), "drawn/"),
    ],
    ids=["convert", "draw"],
)
def test_a_command_that_finds_no_room_says_for_which_file(words: tuple[str, ...], named: str, tmp_path: Path) -> None:
    row = '{"id": "ID", "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    (tmp_path / "rows.jsonl").write_text("".join(row.replace("ID", str(number)) for number in range(40)))
    limited = "import resource; from triptych.cli.main import main;"
    limited += f"resource.setrlimit(resource.RLIMIT_FSIZE, (150, {resource.RLIM_INFINITY})); main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    left = subprocess.run(
        [sys.executable, "-c", limited, *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert left.returncode == 2, left.stderr
    (error,) = [line for line in left.stderr.splitlines() if line.startswith("error: ")]
    assert error.startswith(f"error: {named}")
    assert error.endswith(": File too large. Make room, and give the same command again.")
