"""What nobody has used for long goes from the cache folder, and what somebody uses stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest
from PIL import Image

from triptych.data.plan import corpus as corpus_file
from triptych.data.plan import measures as measures_file
from triptych.data.plan import shelves as shelves_file
from triptych.data.plan.corpora import Corpora
from triptych.data.plan.corpus import Corpus, open_corpus
from triptych.data.plan.measures import CachedMeasures
from triptych.data.plan.reader import Reader
from triptych.data.transform import TransformPlan

DAY_S = 24 * 3600
OPEN = """
import sys
from triptych.data.plan import corpus
from triptych.data.transform import TransformPlan
corpus.IN_MEMORY_ROWS = 3
found = corpus.open_corpus(sys.argv[1], steps=[TransformPlan.parse({"kind": "drop_repeats"})])
print("open", flush=True)
sys.stdin.read()
print(len(found), found.row(5).id[:4])
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(corpus_file, "IN_MEMORY_ROWS", 3)
    monkeypatch.setattr(shelves_file, "_held", {})
    return tmp_path / "cache" / "corpus"


def source(folder: Path, name: str) -> str:
    messages = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    lines = [{"id": f"{name}-{row}", "images": [], "messages": [*messages, *messages[:1] * row]} for row in range(6)]
    (folder / name).mkdir()
    (folder / name / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return f"messages:{folder / name / 'rows.jsonl'}"


def opened(source: str) -> Corpus:
    return open_corpus(source, steps=[TransformPlan.parse({"kind": "drop_repeats"})])


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAY_S
    for each in (*path.rglob("*"), path):
        os.utime(each, (then, then))


def let_go() -> None:
    """Let go of all that this process holds, as if it had ended."""
    for file in shelves_file._held.values():
        os.close(file)
    shelves_file._held.clear()


def test_rows_that_nobody_used_for_long_go_when_others_are_put_there(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(source(tmp_path, "old"))
    (old,) = cache.iterdir()
    opened(source(tmp_path, "late"))
    (late,) = set(cache.iterdir()) - {old}
    let_go()
    age(old, 31)
    age(late, 29)
    opened(source(tmp_path, "new"))
    assert not old.exists()
    assert late.exists()
    assert len(list(cache.iterdir())) == 2
    assert f"{cache}: deleted what nobody has used for 30 days: 1 of 3" in capsys.readouterr().err


def test_opening_rows_keeps_them(tmp_path: Path, cache: Path) -> None:
    name = source(tmp_path, "old")
    opened(name)
    (old,) = cache.iterdir()
    let_go()
    age(old, 31)
    opened(name)
    let_go()
    opened(source(tmp_path, "new"))
    assert old.exists()


def test_rows_that_this_process_uses_stay_however_old(tmp_path: Path, cache: Path) -> None:
    found = opened(source(tmp_path, "old"))
    (old,) = cache.iterdir()
    age(old, 31)
    opened(source(tmp_path, "new"))
    assert found.row(5)
    let_go()


def test_rows_that_another_process_uses_stay_however_old(tmp_path: Path, cache: Path) -> None:
    name = source(tmp_path, "old")
    command = [sys.executable, "-c", OPEN, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        (old,) = cache.iterdir()
        age(old, 31)
        opened(source(tmp_path, "new"))
        assert other.communicate("go on")[0] == "6 old-\n"
    age(old, 31)  # it was read since
    opened(source(tmp_path, "newer"))
    assert not old.exists()


def test_what_a_killed_writer_left_goes(tmp_path: Path, cache: Path) -> None:
    for name, days in (("rows.1234abcd", 31), ("rows.5678abcd", 1), ("rows.mine", 31)):
        (cache / f".{name}.part").mkdir(parents=True)
        if days > 30:
            (cache / f".{name}.part" / "rows.jsonl").write_text("half")
        age(cache / f".{name}.part", days)
    (cache / "mine").mkdir()
    age(cache / "mine", 99)
    opened(source(tmp_path, "new"))
    assert {path.name for path in cache.iterdir()} >= {".rows.5678abcd.part", ".rows.mine.part", "mine"}
    assert not (cache / ".rows.1234abcd.part").exists()


def test_what_a_person_gave_a_name_like_ours_stays(tmp_path: Path, cache: Path) -> None:
    lengths = cache.with_name("lengths")
    files = [cache / "rows-of-my-thesis" / "a.txt", cache / f"rows-{'a' * 32}.zip", cache / "media-old.json"]
    files += [cache / f"places-{'A' * 32}" / "digest", lengths / "2-mine.lengths", lengths / f"2-{'b' * 33}.lengths"]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    age(cache.parent, 40)
    opened(source(tmp_path, "new"))
    rendering = namedtuple("Known", "digest asks_sizes")("known", False)
    CachedMeasures(Reader(Corpora([open_corpus(source(tmp_path, "rows"))]), rendering))  # type: ignore[arg-type]
    assert [file for file in files if not file.exists()] == []


def shown(folder: Path) -> str:
    """Return a source whose rows show pictures."""
    lines = []
    for row in range(6):
        Image.new("RGB", (8 + row, 8)).save(folder / f"{row}.png")
        asked = [{"type": "image", "image": 0}, {"type": "text", "text": "Why?"}]
        messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": "So."}]
        lines.append(json.dumps({"id": str(row), "images": [f"{row}.png"], "messages": messages}) + "\n")
    (folder / "shown.jsonl").write_text("".join(lines))
    return f"messages:{folder / 'shown.jsonl'}"


def test_the_list_of_pictures_stays_as_long_as_its_rows_are_used(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = [TransformPlan.parse({"kind": "in_context", "by": "image", "k": 1})]
    name = shown(tmp_path)
    kept_rows = open_corpus(name, steps=near).kept_rows
    for known in (None, kept_rows):
        let_go()
        open_corpus(name, steps=near, kept_rows=known)
        age(cache, 31)
        opened(source(tmp_path, f"new, {known is None}"))
        with monkeypatch.context() as patched:
            patched.setattr(corpus_file, "_spool", lambda *_args, **_how: pytest.fail("its rows are known"))
            open_corpus(name, steps=near)
    let_go()
    age(cache, 31)
    opened(source(tmp_path, "last"))
    assert [path.name[:5] for path in cache.iterdir()] == ["rows-"]


def test_what_is_used_is_marked_so_once_an_hour(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    near = [TransformPlan.parse({"kind": "in_context", "by": "image", "k": 1})]
    found = open_corpus(shown(tmp_path), steps=near)
    files = [next(cache.glob("rows-*")) / "digest", next(cache.glob("media-*"))]
    for waited, marked in ((0, False), (3500, False), (3700, True)):
        age(cache, 31)
        monkeypatch.setattr(shelves_file, "_touched", [time.monotonic() - waited])
        found.row(1)
        assert [file.stat().st_mtime > time.time() - DAY_S for file in files] == [marked] * 2


def test_on_a_disk_that_is_nearly_full_they_go_after_a_day(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(source(tmp_path, "old"))
    (old,) = cache.iterdir()
    let_go()
    age(old, 2)
    opened(source(tmp_path, "new"))
    assert old.exists()
    monkeypatch.setattr(shelves_file, "disk_room", lambda _folder: (1 << 40, 1 << 30))
    opened(source(tmp_path, "newer"))
    assert not old.exists()
    assert len(list(cache.iterdir())) == 2


def test_nothing_goes_where_the_file_system_has_no_locks(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock(_file: object, _how: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(shelves_file.fcntl, "flock", lock)
    opened(source(tmp_path, "old"))
    (old,) = cache.iterdir()
    let_go()
    age(old, 31)
    opened(source(tmp_path, "new"))
    assert old.exists()


def test_lengths_of_other_code_go_when_nobody_used_them_for_long(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendering = namedtuple("Known", "digest asks_sizes")("known", False)
    reader = Reader(Corpora([open_corpus(source(tmp_path, "rows"))]), rendering)  # type: ignore[arg-type]
    lengths = cache.with_name("lengths")
    CachedMeasures(reader)
    (old,) = lengths.iterdir()
    shared = lengths / old.name.removeprefix("2-")
    shared.write_bytes(old.read_bytes())
    age(lengths, 31)
    CachedMeasures(reader)
    monkeypatch.setattr(measures_file, "code_digest", lambda _plugins: "another")
    CachedMeasures(reader)
    assert len(list(lengths.iterdir())) == 3, "it was opened just now"
    age(lengths, 31)
    monkeypatch.setattr(measures_file, "code_digest", lambda _plugins: "a third")
    CachedMeasures(reader)
    assert not old.exists()
    assert shared.exists(), "a run of before goes on with it"
    assert len(list(lengths.iterdir())) == 2
