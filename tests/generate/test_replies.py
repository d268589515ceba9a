"""Replies on disk: found again however the writer died, counted once, and an index that is only an index."""

from __future__ import annotations

import errno
import resource
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.core.errors import DataError
from triptych.generate.running.costs import Learnt, Reply, Totals
from triptych.generate.running.index import open_index
from triptych.generate.running.lines import LineFile
from triptych.generate.running.replies import COMMIT_EVERY, NoReply, ReplyStore

KEYS = [f"{number:032x}" for number in range(8)]


def test_a_reply_is_found_again_by_another_process_and_after_a_torn_line(tmp_path: Path) -> None:
    said = Reply(
        "yes\nno \N{SNOWMAN}", model="m", tokens_in=3, tokens_out=2, usd=0.5, seconds=1.5, learnt=Learnt(4, 1, 0)
    )
    store = ReplyStore(tmp_path)
    store.put(KEYS[0], "writer", reply=said)  # and never closed, as when it is killed
    path = tmp_path / "replies" / "writer.jsonl"
    with path.open("ab") as file:
        file.write(b'{"key": "00000000000000000000000000000001", "repl')
    with ReplyStore(tmp_path) as again:
        assert again.get(KEYS[0]) == said
        assert again.get(KEYS[1]) is None
        again.put(KEYS[1], "writer", reply=Reply("new"))
    assert path.read_bytes().count(b"\n") == 2
    with ReplyStore(tmp_path) as third:
        assert [third.get(key) for key in KEYS[:2]] == [said, Reply("new")]
        assert third.totals() == {"writer": Totals(2, 3, 2, 0.5, 1.5, 0, 0.0, Learnt(4, 1, 0))}


@pytest.mark.parametrize("damage", ["gone", "nonsense", "old"])
def test_an_index_that_is_gone_damaged_or_behind_is_made_anew(tmp_path: Path, damage: str) -> None:
    index = tmp_path / "replies" / "index.sqlite"
    with ReplyStore(tmp_path) as store:
        store.put(KEYS[0], "writer", reply=Reply("first", tokens_in=5))
    old = index.read_bytes()
    with ReplyStore(tmp_path) as store:
        store.put(KEYS[1], "checker", reply=Reply("second", tokens_in=7))
        store.sent(KEYS[2], "writer", tokens=11, usd=0.1)
    with ReplyStore(tmp_path) as store:
        known = store.totals()
    for part in index.parent.glob("index.sqlite-*"):
        part.unlink()
    if damage == "gone":
        index.unlink()
    else:
        index.write_bytes(old if damage == "old" else b"no database at all" * 100)
    with ReplyStore(tmp_path) as store:
        assert [reply.text for key in KEYS[:2] if (reply := store.get(key))] == ["first", "second"]
        assert (
            store.totals() == known == {"writer": Totals(1, 5, lost_tokens=11, lost_usd=0.1), "checker": Totals(1, 7)}
        )


def test_what_was_in_flight_at_a_death_is_lost_once_however_often_one_starts(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path)
    for key in KEYS[:4]:
        store.sent(key, "writer", tokens=10, usd=1.0)
    store.put(KEYS[0], "writer", reply=Reply("came", tokens_in=4, usd=0.4))
    store.back(KEYS[1], "writer")
    store.paid(KEYS[2], "writer", tokens=7, usd=0.7)
    for _ in range(3):
        with ReplyStore(tmp_path) as again:
            assert again.totals()["writer"] == Totals(1, 4, usd=0.4, lost_tokens=17, lost_usd=1.7)


def test_why_a_request_failed_is_known_until_the_store_is_closed(tmp_path: Path) -> None:
    with ReplyStore(tmp_path) as store:
        store.fail(KEYS[0], "status 500")
        assert (store.failure(KEYS[0]), store.failure(KEYS[1])) == (NoReply("status 500", again=True), None)
    with ReplyStore(tmp_path) as again:
        assert again.failure(KEYS[0]) is None


@pytest.mark.parametrize("index", ["there", "gone"])
def test_what_was_refused_stays_refused(tmp_path: Path, index: str) -> None:
    with ReplyStore(tmp_path) as store:
        store.refuse(KEYS[0], "writer", reason="the content filter")
    if index == "gone":
        for part in (tmp_path / "replies").glob("index*"):
            part.unlink()
    with ReplyStore(tmp_path) as again:
        assert (again.failure(KEYS[0]), again.failure(KEYS[1])) == (NoReply("the content filter", again=False), None)
        assert not again.has(KEYS[0])


def test_a_line_of_somebody_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "replies").mkdir()
    (tmp_path / "replies" / "writer.jsonl").write_text('{"question": "who wrote this?"}\n')
    with pytest.raises(DataError, match=r"writer\.jsonl: a line is no kept reply"):
        ReplyStore(tmp_path)


@given(st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"") + b"\n")), st.binary(max_size=5))
def test_every_whole_line_survives_and_a_torn_one_goes(lines: list[bytes], torn: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        with LineFile(path) as file:
            starts = [file.add(line) for line in lines]
            assert [file.read(at, len(line)) for at, line in zip(starts, lines, strict=True)] == lines
        with path.open("ab") as raw:
            raw.write(torn.replace(b"\n", b""))
        with LineFile(path) as file:
            file.add(b"next\n")
        assert path.read_bytes() == b"".join(lines) + b"next\n"


def fill(folder: Path, most_bytes: int, *, first: int = 0) -> OSError | None:
    """Keep replies until a file would be larger than so many bytes, which stands for a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with ReplyStore(folder) as store:
            for number in range(first):
                store.put(f"{number:064x}", "writer", reply=Reply("x" * 200))
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
            for number in range(first, first + COMMIT_EVERY + 10):
                store.put(f"{number:064x}", "writer", reply=Reply("x" * 200))
    except OSError as error:
        return error
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    return None


@pytest.mark.parametrize(
    ("most_bytes", "first"),
    [(4_000, 0), (40_000, 0), (300_000, 0), *((most, COMMIT_EVERY + 50) for most in (300_000, 700_000, 1_290_000))],
)
def test_a_full_disk_is_an_error_of_the_system_that_names_the_file_and_loses_no_reply(
    most_bytes: int, first: int, tmp_path: Path
) -> None:
    error = fill(tmp_path, most_bytes, first=first)
    assert error is not None
    assert error.errno == errno.EFBIG
    assert Path(error.filename).parent == tmp_path / "replies"
    kept = (tmp_path / "replies" / "writer.jsonl").read_bytes().count(b"\n")
    assert kept >= first
    with ReplyStore(tmp_path) as store:
        assert [store.has(f"{number:064x}") for number in range(kept + 1)] == [*[True] * kept, False]
        assert sum(totals.replies for totals in store.totals().values()) == kept
    assert fill(tmp_path, 10**9) is None


def test_an_index_that_the_disk_has_failed_takes_nothing_more(tmp_path: Path) -> None:
    index = open_index(tmp_path / "index.sqlite")
    index.execute("CREATE TABLE lines (line TEXT)")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        with pytest.raises(OSError, match=r"index\.sqlite") as caught:
            index.execute("INSERT INTO lines VALUES (?)", ("x" * 20_000,))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    with pytest.raises(OSError, match="an earlier line could not be written"):
        index.execute("INSERT INTO lines VALUES ('y')")
    assert open_index(tmp_path / "index.sqlite").execute("SELECT count(*) FROM lines").fetchone() == (0,)
