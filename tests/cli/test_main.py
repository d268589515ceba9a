"""What every command has in common: help, one line for an error, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from safetensors import SafetensorError

from tests.cli.conftest import ROOT, Triptych, run_triptych
from tests.train.runs import RECIPE, write_tune
from triptych import __version__
from triptych.cli import main as command_line
from triptych.cli.main import command_names, main
from triptych.core.errors import TriptychError


def test_without_a_command_help_is_shown(triptych: Triptych) -> None:
    shown = triptych()
    assert "train" in shown.stdout + shown.stderr
    assert "Traceback" not in shown.stderr


def test_the_version_is_printed_alone(triptych: Triptych) -> None:
    assert triptych("--version").stdout == f"{__version__}\n"


def test_every_command_has_help_with_a_sentence(triptych: Triptych) -> None:
    names = command_names()
    assert {"train", "eval", "chat", "report", "list", "data"} <= set(names)
    for name in names:
        shown = triptych(name, "--help")
        assert shown.returncode == 0, shown.stderr
        assert "." in shown.stdout.split("Options")[0], name


def test_a_mistyped_command_is_answered_with_the_nearest(triptych: Triptych) -> None:
    refused = triptych("trian")
    assert refused.returncode == 2
    assert "Did you mean 'train'?" in refused.stderr


def test_the_demo_says_where_it_is_to_be_given(triptych: Triptych) -> None:
    refused = triptych("demo")
    assert refused.returncode == 2
    assert refused.stderr == (
        "error: recipes/demo.yaml is not here: give this command in the folder of Triptych's repository.\n"
    )


def test_an_error_of_the_users_is_one_line_on_stderr_and_exit_code_2(triptych: Triptych) -> None:
    refused = triptych("data", "check", "mantsi:nowhere.json")
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.startswith("error: no format is called 'mantsi'. Did you mean 'mantis'?")
    assert refused.stderr.count("\n") == 1


def test_a_message_of_several_lines_becomes_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise TriptychError("row 3:\nwrong [bold]role[/bold]")

    monkeypatch.setattr(command_line, "build_app", lambda: fail)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert capsys.readouterr().err == "error: row 3: wrong [bold]role[/bold]\n"


def test_a_folder_that_may_not_be_written_is_an_error_of_the_users(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise PermissionError(13, "Permission denied", "/runs/demo")

    monkeypatch.setattr(command_line, "build_app", lambda: fail)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert capsys.readouterr().err == "error: /runs/demo: Permission denied.\n"


def test_a_file_that_cannot_get_its_name_is_called_by_that_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise IsADirectoryError(21, "Is a directory", ".out.17.part", None, "out")

    monkeypatch.setattr(command_line, "build_app", lambda: fail)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert capsys.readouterr().err == "error: out: Is a directory.\n"


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (OSError(30, "Read-only file system", "data/.x.jsonl.17.140.part"), "data/x.jsonl: Read-only file system."),
        (OSError(13, "Permission denied", "out/.ex.9061803c.part"), "out/ex: Permission denied."),
        (OSError(13, "Permission denied", "out/.ex.9061803c-old.part/a.json"), "out/ex/a.json: Permission denied."),
        (
            OSError(28, "No space left on device", "data/.x.jsonl.17.140.part"),
            "data/x.jsonl: No space left on device. Make room, and give the same command again.",
        ),
        (OSError(28, "No space left on device"), "No space left on device: something could not be written."),
        (SafetensorError("I/O error: Disk quota exceeded (os error 122)"), "Disk quota exceeded: something could"),
    ],
)
def test_a_disk_that_takes_nothing_is_one_line(
    raised: Exception, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise raised

    monkeypatch.setattr(command_line, "build_app", lambda: fail)
    monkeypatch.setattr(sys.stdout, "close", lambda: None)  # pytest reads it afterwards
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {told}")
    assert said.count("\n") == 1


@pytest.mark.parametrize("raised", [OSError(107, "Transport endpoint is not connected"), SafetensorError("bad header")])
def test_an_error_that_is_of_no_file_and_no_disk_keeps_its_traceback(
    raised: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise raised

    monkeypatch.setattr(command_line, "build_app", lambda: fail)
    with pytest.raises(type(raised)):
        main()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full, the disk without room")
def test_output_that_finds_no_room_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "triptych", "list", "formats"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with Path("/dev/full").open("w") as full:
        left = subprocess.run(
            program, cwd=tmp_path, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert left.returncode == 2
    assert left.stderr == (
        "error: No space left on device: something could not be written. Make room, and give the same command again.\n"
    )


def test_a_letter_that_the_terminal_cannot_show_ends_no_command(triptych: Triptych, tmp_path: Path) -> None:
    row = {"id": "x", "messages": [{"role": "user", "content": "größer?"}, {"role": "assistant", "content": "是"}]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    shown = triptych("data", "show", "messages:rows.jsonl", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert shown.returncode == 0, shown.stderr
    assert "gr\\xf6\\xdfer?" in shown.stdout


def test_an_error_of_our_own_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise AssertionError("an invariant of ours")

    monkeypatch.setattr(command_line, "build_app", lambda: fail)
    with pytest.raises(AssertionError, match="an invariant of ours"):
        main()


def test_an_interrupted_command_leaves_with_130_and_no_traceback(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never.json")  # reading it waits for ever
    program = [sys.executable, "-m", "triptych", "data", "stats", "messages:never.json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def listen() -> None:
        # A shell lets what it starts with "&" ignore interrupts, and the tests may run so.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    # Opening the other end returns when the command has opened its own: then it is under way.
    with (
        subprocess.Popen(
            program, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=listen
        ) as process,
        (tmp_path / "never.json").open("w"),
    ):
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said


def test_interrupted_training_saves_and_leaves_with_130_as_every_command_does(tmp_path: Path) -> None:
    write_tune(tmp_path)
    (tmp_path / "toy.yaml").write_text(RECIPE.replace("TUNE", "tune.jsonl"))
    program = [sys.executable, "-m", "triptych", "train", "toy.yaml", "stages.tune.length=100000 steps"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        program,
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    with process, process.stderr or nullcontext(()) as told:
        assert any("tune: step 1/" in line for line in told)
        process.send_signal(signal.SIGINT)
        said = "".join(told)
    assert process.returncode == 130
    assert "error: stopped by SIGINT after step" in said
    assert "Give the same command again to go on." in said


def test_ctrl_c_while_it_is_still_loading_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    ended = subprocess.run(
        [sys.executable, "-m", "triptych", "list"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.parametrize(
    "command",
    [
        "train nope.yaml",
        "recipe check nope.yaml",
        "recipe plan nope.yaml",
        "chat nope",
        "serve nope",
        "score nope a.mp4",
        "eval nope storyboard --data .",
        "diagnose nope storyboard --data .",
    ],
)
def test_a_name_with_a_slip_is_told_before_seconds_of_loading(tmp_path: Path, command: str) -> None:
    for network in ("torch", "transformers"):
        (tmp_path / f"{network}.py").write_text("raise SystemExit('networks are loaded')\n", encoding="utf-8")
    refused = run_triptych(tmp_path, *command.split(), PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
    assert refused.stderr.startswith("error: nope"), refused.stderr
    assert refused.stderr.count("\n") == 1
