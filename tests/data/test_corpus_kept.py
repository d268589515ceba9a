"""What a corpus keeps in the cache folder is used as long as the same rows would be made, and made again where not."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.core.errors import DataError
from triptych.core.records import Example
from triptych.data.plan import code_digest as code_file
from triptych.data.plan import corpus as corpus_file
from triptych.data.plan.code_digest import code_digest
from triptych.data.plan.corpus import open_corpus
from triptych.data.transform import TransformPlan


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(corpus_file, "IN_MEMORY_ROWS", 3)
    return tmp_path / "cache" / "corpus"


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Six rows, each on a picture of its own: three are reddish, three bluish."""
    lines = []
    for number in range(6):
        colour = (200 + number, 0, 0) if number % 2 else (0, 0, 200 + number)
        Image.new("RGB", (8, 8), colour).save(tmp_path / f"{number}.png")
        asked = [{"type": "image", "image": 0}, {"type": "text", "text": f"Which thing is number {number}?"}]
        messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": f"thing {number}"}]
        lines.append(json.dumps({"id": f"r{number}", "images": [f"{number}.png"], "messages": messages}))
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    return f"messages:{tmp_path / 'rows.jsonl'}"


def vectors(path: Path, neighbour: int) -> None:
    """Write embeddings by which row 0 and ``neighbour`` are alike, and no others."""
    found = np.eye(6, dtype=np.float32)
    found[neighbour] = found[0] * 0.9 + found[neighbour] * 0.1
    np.savez(path, ids=np.array([f"r{at}" for at in range(6)]), vectors=found)


def shown(source: str, step: TransformPlan) -> str:
    row = open_corpus(source, steps=[step]).row(0)
    assert isinstance(row, Example)
    return row.demonstrations[0].id


def test_rows_of_other_embeddings_are_made_again(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    near = {"kind": "in_context", "by": "text", "k": 1, "embeddings": "e.npz", "most_like": 1.0}
    step = TransformPlan.parse(near)
    for neighbour in (4, 4, 2):
        vectors(tmp_path / "e.npz", neighbour)
        os.utime(tmp_path / "e.npz", ns=(neighbour, neighbour))
        assert shown(source, step) == f"r{neighbour}"
    assert len(list(cache.glob("rows-*"))) == 2
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    vectors(Path("e.npz"), 1)
    assert shown(source, step) == "r1", "the same name, in another folder"


def test_rows_by_pictures_that_changed_are_made_again(source: str, tmp_path: Path, cache: Path) -> None:
    step = TransformPlan.parse({"kind": "in_context", "by": "image", "k": 1, "most_like": 1.0})
    first = shown(source, step)
    assert first in ("r2", "r4")
    assert shown(source, step) == first
    assert len(list(cache.glob("rows-*"))) == 1
    Image.new("RGB", (8, 8), (200, 0, 0)).save(tmp_path / "0.png")
    assert shown(source, step) in ("r1", "r3", "r5")
    assert len(list(cache.glob("rows-*"))) == 2


def test_rows_of_other_code_are_made_again_and_are_the_same_where_they_are_equal(
    source: str, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    step = TransformPlan.parse({"kind": "drop_repeats"})
    first = open_corpus(source, steps=[step])
    monkeypatch.setattr(corpus_file, "code_digest", lambda _plugins=(): "another")
    again = open_corpus(source, steps=[step])
    assert len(list(cache.glob("rows-*"))) == 2
    assert again.digest == first.digest, "a run goes on where other code makes the same rows"


def test_code_is_told_the_same_in_every_process() -> None:
    said = "from triptych.data.plan.code_digest import code_digest; print(code_digest())"
    found = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == code_digest()


@pytest.mark.parametrize("packed", [False, True], ids=["a folder", "a zip"])
def test_the_code_of_a_plugin_counts_with_what_stands_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    name = f"mine_{packed}".lower()

    def digest(words: str) -> str:
        files = {"__init__.py": "", "swap.py": "TRANSFORM = None\n", "words.py": words}
        if packed:
            with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
                for file, text in files.items():
                    archive.writestr(f"{name}/{file}", text)
        else:
            (tmp_path / name).mkdir(exist_ok=True)
            for file, text in files.items():
                (tmp_path / name / file).write_text(text)
        code = f"from triptych.data.plan.code_digest import code_digest; print(code_digest(['merge', '{name}.swap']))"
        path = str(tmp_path / "mine.zip" if packed else tmp_path)
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([path, os.environ.get("PYTHONPATH", "")])}
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
        return found.stdout

    first = digest("A = 1\n")
    assert digest("A = 1\n") == first
    assert digest("A = 2\n") != first
    assert first.strip() != code_digest(["merge"])


def test_code_that_cannot_be_read_is_told_by_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    code_file._digest.cache_clear()
    monkeypatch.setattr(code_file, "_files", lambda *_args, **_kinds: iter(()))
    monkeypatch.setattr(code_file, "_own", lambda *_args: iter(()))
    first = code_digest()
    code_file._digest.cache_clear()
    monkeypatch.setattr(code_file, "__version__", "99.0")
    assert code_digest() != first
    code_file._digest.cache_clear()


def torn(shelf: Path, file: str, size: int | None) -> None:
    if size is None:
        (shelf / file).unlink()
    else:
        (shelf / file).write_bytes((shelf / file).read_bytes()[:size])


@pytest.mark.parametrize(
    ("file", "size"),
    [(file, size) for file in ("places.npy", "rows.jsonl", "digest") for size in (0, 30, None)],
)
@pytest.mark.parametrize("kind", ["drop_repeats", "number_images"])
def test_what_was_torn_in_the_cache_is_made_again(
    source: str, monkeypatch: pytest.MonkeyPatch, cache: Path, file: str, size: int | None, kind: str
) -> None:
    monkeypatch.setattr(corpus_file, "IN_MEMORY_BYTES", 0)
    step = TransformPlan.parse({"kind": kind})
    where = source + "#where=id:r*" if kind == "number_images" else source

    def rows() -> list[object]:
        corpus = open_corpus(where, steps=[step])
        return [corpus.digest, *(corpus.row(number) for number in range(len(corpus)))]

    wanted = rows()
    shelves = list(cache.glob("*s-*"))
    assert len(shelves) == (1 if kind == "drop_repeats" else 2)
    for shelf in shelves:
        if (shelf / file).exists():
            torn(shelf, file, size)
    assert rows() == wanted
    assert rows() == wanted
    assert sorted(cache.iterdir()) == sorted(shelves)


def test_a_kept_row_that_is_damaged_is_named(source: str, cache: Path) -> None:
    step = TransformPlan.parse({"kind": "drop_repeats"})
    open_corpus(source, steps=[step])
    (shelf,) = cache.glob("rows-*")
    (shelf / "rows.jsonl").write_bytes(bytes((shelf / "rows.jsonl").stat().st_size))
    with pytest.raises(DataError, match=r"rows\.jsonl: damaged at byte 0\. Delete .*rows-\w+ and start again"):
        open_corpus(source, steps=[step]).row(0)


def test_another_process_looks_at_no_picture_again(
    source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    step = TransformPlan.parse({"kind": "in_context", "by": "image", "k": 1, "most_like": 1.0})
    first = open_corpus(source, steps=[step])
    asked: list[str] = []
    state = corpus_file.state_of

    def noted(path: str | Path) -> os.stat_result | None:
        asked.append(str(path))
        return state(path)

    with monkeypatch.context() as patched:
        patched.setattr(corpus_file, "state_of", noted)
        again = pickle.loads(pickle.dumps(first))
        assert [again.row(number) for number in range(6)] == [first.row(number) for number in range(6)]
        assert not [path for path in asked if path.endswith(".png")]
        open_corpus(source, steps=[step])
        assert len([path for path in asked if path.endswith(".png")]) == 6, "a new start does, once"
    Image.new("RGB", (8, 8), (200, 0, 0)).save(tmp_path / "0.png")
    assert pickle.loads(pickle.dumps(first)).row(0) == first.row(0), "a run goes on with the rows that it had"
