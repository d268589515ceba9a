"""A server whose disk is full says so to who asks, keeps no half of anything, and goes on when there is room."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.serve.api_server import Running, asking, picture, serving
from triptych.models.families.tiny import tiny


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with serving(tmp_path, [tiny(3), tiny(4)]) as running:
        yield running


@contextmanager
def files_up_to(most_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes, which stands for a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_picture_that_finds_no_room_is_told_and_leaves_none_of_itself(
    server: Running, capfd: pytest.CaptureFixture[str]
) -> None:
    body = asking("What is ", picture(1))
    with files_up_to(50):
        error = server.refused(body, status=507)
    assert (error["code"], error["type"]) == ("full", "server_error")
    assert "the server's disk is full. Make room there, and ask again." in error["message"]
    assert [path for path in server.folder.rglob("*") if path.is_file() and path.stat().st_size == 50] == []
    assert "Traceback" not in capfd.readouterr().err
    assert server.post(body).status_code == 200


def test_a_vote_is_kept_with_its_replies_or_not_at_all(server: Running) -> None:
    replies = {"a": "x", "b": "y" * 20}
    vote = {"a": "toy", "b": "other", "winner": "tie", "both_bad": True, "replies": replies}
    for number in (1, 2):
        assert server.post(vote | {"id": f"q{number}"}, path="/v1/votes").status_code == 200
    files = [server.folder / f"{name}.jsonl" for name in ("toy", "other", "votes")]
    before = [path.read_bytes() for path in files]
    for filled in before:  # of the three, each is the first that takes no more
        with files_up_to(len(filled) + 3):
            assert server.refused(vote | {"id": "q3"}, path="/v1/votes", status=507)["code"] == "full"
        assert [path.read_bytes() for path in files] == before
    assert server.post(vote | {"id": "q3"}, path="/v1/votes").status_code == 200
    assert [len(path.read_text().splitlines()) for path in files] == [3, 3, 3]


def test_replies_to_vote_on_are_an_object(server: Running) -> None:
    error = server.refused({"a": "toy", "b": "other", "winner": "a", "replies": ["x", "y"]}, path="/v1/votes")
    assert error["message"] == "replies: should be an object, {...}."
