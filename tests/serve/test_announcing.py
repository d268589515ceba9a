"""The server takes connections from the moment its address is told."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

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
