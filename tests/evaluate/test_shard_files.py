"""Test files in several parts: all of them are there, and their rows are numbered through."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from triptych.core.errors import DataError
from triptych.core.plugins import find
from triptych.core.records import Example
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.question.question_rows import Source, files_of, free, read_questions

SAMPLES = Path(__file__).resolve().parents[1] / "samples"


def shards(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps({"task": name}) + "\n\n" + json.dumps({"task": name}) + "\n")
    return folder


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (("test-00001-of-00003.parquet",), "test-00000-of-00003.parquet and test-00002-of-00003.parquet are"),
        (("test-00000-of-00002-0a1b.parquet",), "test-00001-of-00002-*.parquet is"),
        (("data/test-00000-of-00002.parquet", "more/test-00001-of-00002.parquet"), "test-00001-of-00002.parquet is"),
        (("test-0-of-9.parquet",), "test-1-of-9.parquet, test-2-of-9.parquet, test-3-of-9.parquet and 5 more are"),
    ],
)
def test_a_missing_part_of_a_set_is_named(names: tuple[str, ...], missing: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        files_of(shards(tmp_path, *names), ("*/*.parquet", "*.parquet"))
    assert f": {missing} not there. Get all parts of the set." in str(caught.value)


@pytest.mark.parametrize(
    "names",
    [
        ("test-00000-of-00001.parquet", "val-00000-of-00002.parquet", "val-00001-of-00002.parquet"),
        ("test-00000-of-00002-0a1b.parquet", "test-00001-of-00002-9f.parquet"),
        ("part-1-of-2.parquet", "part-2-of-2.parquet"),
        ("step-3-of-the-plan.parquet", "all.parquet"),
    ],
)
def test_sets_of_which_all_is_there_are_read(names: tuple[str, ...], tmp_path: Path) -> None:
    assert [file.name for file in files_of(shards(tmp_path, *names), ("*.parquet",))] == sorted(names)


def test_a_part_that_is_named_alone_is_read_alone(tmp_path: Path) -> None:
    folder = shards(tmp_path, "test-00001-of-00003.parquet")
    assert len(files_of(folder / "test-00001-of-00003.parquet", ("*.parquet",))) == 1


def test_rows_are_numbered_over_all_files_of_a_set(tmp_path: Path) -> None:
    def build(source: Source) -> list[Example]:
        return [free(source, [], name=f"{source.place}", reply="x")]

    folder = shards(tmp_path, "test-0-of-2.json", "test-1-of-2.json")
    found = [each for each in read_questions(folder, build, files=("*.json",)) if isinstance(each, Example)]
    assert [each.id for each in found] == ["0", "2", "3", "5"]  # a blank line is counted as it is in its file
    assert found[2].origin.endswith("test-1-of-2.json: row 0")


@pytest.mark.parametrize("name", ["remi", "mmiu", "chartqa"])
def test_ids_are_distinct_where_a_published_set_lies_in_several_files(name: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SAMPLES / name, tmp_path / name))
    read = find("benchmark", name, expected=Benchmark).questions
    whole = [each.id for each in read(folder) if isinstance(each, Example)]
    (path,) = [*folder.glob("**/*.parquet"), *folder.glob("*.json")]
    rows = pq.read_table(path) if path.suffix == ".parquet" else pa.Table.from_pylist(json.loads(path.read_text()))
    path.unlink()
    for number in range(2):
        pq.write_table(rows, folder / f"test-0000{number}-of-00002.parquet")
    ids = [each.id for each in read(folder) if isinstance(each, Example)]
    assert ids[: len(whole)] == whole
    assert len(set(ids)) == 2 * len(whole) > 0
