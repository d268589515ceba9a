"""Test files in several parts: all of them are there, and no two of their questions have one id."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from triptych.core.errors import DataError
from triptych.core.plugins import find
from triptych.core.records import Example
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.question.question_rows import files_of, read_questions

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
        (("test-00000-of-00002.parquet", "test-00000-of-00003.parquet"), "test-00001-of-00002.parquet is"),
        (
            ("test-00000-of-00009.parquet",),
            "test-00001-of-00009.parquet, test-00002-of-00009.parquet, test-00003-of-00009.parquet and 5 more are",
        ),
    ],
)
def test_a_missing_part_of_a_set_is_named(names: tuple[str, ...], missing: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        files_of(shards(tmp_path, *names), ("*/test-*.parquet", "test-*.parquet"))
    assert f": {missing} not there. Get all parts of the set." in str(caught.value)


@pytest.mark.parametrize(
    ("names", "pattern", "missing"),
    [
        (("all-00000-of-00002.parquet",), "*.parquet", "all-00001-of-00002.parquet is"),
        (("single_town-00001-of-00002.parquet",), "single_*.parquet", "single_town-00000-of-00002.parquet is"),
        (
            ("test-00000-of-00001.parquet", "test-more-00000-of-00002.parquet"),
            "test-*.parquet",
            "test-more-00001-of-00002.parquet is",
        ),
        (("a-00000-of-00002.parquet", "b-00000-of-00001.parquet"), "*.parquet", "a-00001-of-00002.parquet is"),
    ],
)
def test_a_part_of_a_set_that_no_pattern_names_is_missed_too(
    names: tuple[str, ...], pattern: str, missing: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        files_of(shards(tmp_path, *names), (pattern,))
    assert f": {missing} not there. Get all parts of the set." in str(caught.value)


@pytest.mark.parametrize("pattern", ["*.parquet", "test-*.parquet"])
@pytest.mark.parametrize(
    "names",
    [
        ("test-00000-of-00001.parquet", "test-more-00000-of-00001.parquet"),
        ("test-00000-of-00002-0a1b.parquet", "test-00001-of-00002-9f.parquet"),
        ("test-00000-of-00002.parquet", "test-00001-of-00002-9f.parquet"),
        ("test-00001-of-00002.parquet", "test-00002-of-00002.parquet"),
        ("test-1-of-3.parquet", "test-2-of-3.parquet"),
        ("test-3-of-the-plan.parquet", "test-all.parquet"),
    ],
)
def test_sets_of_which_all_is_there_are_read(names: tuple[str, ...], pattern: str, tmp_path: Path) -> None:
    assert [file.name for file in files_of(shards(tmp_path, *names), (pattern,))] == sorted(names)


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (("a.json", "scene-3-of-12.json"), "*.json"),
        (("test-00000-of-00002.json",), "test-*.json"),
        (("train-00000-of-00003.json", "validation-00000-of-00001.parquet"), "*"),
    ],
)
def test_files_that_were_never_asked_for_as_a_set_are_not_missed(
    names: tuple[str, ...], pattern: str, tmp_path: Path
) -> None:
    assert [file.name for file in files_of(shards(tmp_path, *names), (pattern,))] == sorted(names)


def test_a_set_that_is_whole_is_read_without_what_is_left_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shards(tmp_path, "test-00000-of-00001.parquet", "test-00000-of-00003.parquet", "test-more.parquet")
    found = files_of(folder, ("test-*.parquet",))
    assert [file.name for file in found] == ["test-00000-of-00001.parquet", "test-more.parquet"]
    said = capsys.readouterr().err
    assert "test-00000-of-00003.parquet is left out" in said
    assert said.count("\n") == 1


def test_a_part_that_is_named_alone_is_read_alone(tmp_path: Path) -> None:
    folder = shards(tmp_path, "test-00001-of-00003.parquet")
    assert len(files_of(folder / "test-00001-of-00003.parquet", ("*.parquet",))) == 1


def parts(folder: Path, name: str, *rows: Sequence[int], files: Sequence[str]) -> list[str]:
    """Return the ids that a sample has when these rows of it stand in these files."""
    read = find("benchmark", name, expected=Benchmark).questions
    shutil.copytree(SAMPLES / name, folder, dirs_exist_ok=True)
    (path,) = [*folder.glob("**/*.parquet"), *folder.glob("*.json")]
    table = pq.read_table(path) if path.suffix == ".parquet" else pa.Table.from_pylist(json.loads(path.read_text()))
    path.unlink()
    for file, wanted in zip(files, rows, strict=True):
        pq.write_table(table.take(wanted), folder / file)
    return [each.id for each in read(folder) if isinstance(each, Example)]


IN_TWO = ("test-00000-of-00002.parquet", "test-00001-of-00002.parquet")


@pytest.mark.parametrize("files", [IN_TWO, ("test-a.parquet", "test-b.parquet")])
@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("mmiu", ["spot_the_diff/0", "visual_ordering/0"]),
        ("remi", ["EmojiAlgebra/0", "Clocks/0"]),
        ("chartqa", ["human/0", "augmented/0"]),
    ],
)
def test_ids_are_by_the_row_in_its_file_where_these_are_distinct(
    name: str, ids: list[str], files: tuple[str, ...], tmp_path: Path
) -> None:
    assert parts(tmp_path, name, [0], [1], files=files) == ids


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("mmiu", ["spot_the_diff/0", "visual_ordering/1", "spot_the_diff/2", "visual_ordering/3"]),
        ("remi", ["EmojiAlgebra/0", "Clocks/1", "EmojiAlgebra/2", "Clocks/3"]),
        ("chartqa", ["human/0", "augmented/1", "human/2", "augmented/3"]),
    ],
)
def test_ids_are_by_the_row_in_its_set_where_they_would_be_there_twice(
    name: str, ids: list[str], tmp_path: Path
) -> None:
    assert parts(tmp_path, name, [0, 1], [0, 1], files=IN_TWO) == ids


def test_ids_of_files_that_are_no_set_stay_as_they_are(tmp_path: Path) -> None:
    files = ("spot_the_diff.parquet", "visual_ordering.parquet")
    assert parts(tmp_path, "mmiu", [0], [1], files=files) == ["spot_the_diff/0", "visual_ordering/0"]
    again = parts(tmp_path / "again", "mmiu", [0], [0], files=("a.parquet", "b.parquet"))
    assert again == ["spot_the_diff/0"] * 2  # a file that is there twice, which ends an evaluation


@pytest.mark.parametrize(
    "files",
    [
        ("a/test-00000-of-00001.parquet", "b/test-00000-of-00001.parquet"),
        ("a/test-00000-of-00001.parquet", "a/tests-00000-of-00001.parquet"),
        ("a/test-00000-of-00001.parquet", "a/test-00001-of-00002.parquet", "a/test-00002-of-00002.parquet"),
    ],
)
def test_parts_of_other_folders_names_and_counts_are_other_sets(files: Sequence[str], tmp_path: Path) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist([{"task": "x"}] * 2), tmp_path / file)
    found = read_questions(tmp_path, lambda source: [Example(source.numbered("x"), ())], files=("*/*.parquet",))
    ids = [each.id for each in found if isinstance(each, Example)]
    assert ids == ["x/0", "x/1", "x/0", "x/1", "x/2", "x/3"][: 2 * len(files)]
