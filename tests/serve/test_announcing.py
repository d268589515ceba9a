"""A server's first and last words: it takes connections from the moment its address is told, and tells of its end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.serve.api_server import ENDLESS, asking, picture, serving, until
from triptych.models.families.tiny import tiny
from triptych.serve import server
from triptych.serve.api.settings import ServeSettings


class _Reached(Exception):  # noqa: N818 -- an end of the test, not an error
    pass


def test_whoever_reads_the_address_can_connect_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny(0).save(tmp_path / "model")

    def connect(line: str) -> None:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)/v1", line):
            socket.create_connection(("127.0.0.1", int(found[1])), timeout=5).close()
            raise _Reached

    monkeypatch.setattr(server, "say", connect)
    with pytest.raises(_Reached):
        server.run([str(tmp_path / "model")], ServeSettings(port=0))


def test_a_server_that_is_ended_leaves_nobodys_pictures(tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "model")
    kept = tmp_path / "kept"
    kept.mkdir()
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "model")]
    environment = {**os.environ, "TMPDIR": str(kept), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            told = next(found for line in server.stderr if (found := re.search(r"(http://\S+)/v1 answers", line)))
            body = asking("x", picture(1), model=str(tmp_path / "model"))
            assert httpx.post(f"{told[1]}/v1/chat/completions", json=body, timeout=60).status_code == 200
            assert list(kept.rglob("media/*"))
            server.send_signal(signal.SIGHUP)  # which it passes on to itself as SIGTERM
            assert server.wait(30) == 0
        finally:
            server.kill()
    assert list(kept.iterdir()) == []


PROGRAM = """
import signal, sys
from triptych.serve.api.settings import ServeSettings
from triptych.serve.server import run
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may ignore it
run([sys.argv[1]], ServeSettings(port=0))
"""


def test_who_waits_for_a_reply_when_the_server_ends_is_told_so(tmp_path: Path) -> None:
    with serving(tmp_path) as server, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(server.post, {**asking("x", stream=stream), **ENDLESS}) for stream in (False, True)]
        until(lambda: server.talker.state().running == 2)
        server.end()
        whole, stream = (each.result() for each in waiting)
    assert (whole.status_code, whole.json()["error"]["code"]) == (503, "ending")
    assert stream.status_code == 200
    assert json.loads(stream.text.strip().rpartition("data: ")[2])["error"]["code"] == "ending"
    assert "[DONE]" not in stream.text
