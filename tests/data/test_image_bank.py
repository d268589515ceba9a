"""Pictures by id: base64 in JSON and in Parquet, files named by id, and files that are too large to hold."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.subsets import PICTURES, asked, colour_of, draw_subset, kept, refusals, rows_of, shown_by, write_json
from triptych.core.errors import DataError
from triptych.core.records import Example, Json, images_of
from triptych.data.disk.image_bank import open_bank
from triptych.data.disk.json_members import members_of
from triptych.data.format import Refused, read_source
from triptych.data.media.locate import read_bytes


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def subset(tmp_path: Path) -> Path:
    draw_subset(tmp_path / "LA")
    return tmp_path / "LA"


@pytest.mark.parametrize("index", ["pandas", "plain", "unknown"])
@pytest.mark.parametrize("parts", [1, 3])
def test_parquet_with_an_index_of_ids_gives_the_same_pictures(
    index: str, parts: int, subset: Path, cache: Path
) -> None:
    expected = [shown_by(row) for row in rows_of(f"mimicit:{subset}").values()]
    pictures = list(json.loads((subset / "LA.json").read_text()).items())
    (subset / "LA.json").unlink()
    column = {"pandas": "__index_level_0__", "plain": "id", "unknown": "what"}[index]
    target = subset / "LA.parquet"
    for part in range(parts):
        some = pictures[part::parts]
        table = pa.table({"base64": [text for _, text in some], column: [name for name, _ in some]})
        if index == "pandas":
            table = table.replace_schema_metadata({"pandas": json.dumps({"index_columns": [column]})})
        file = target if parts == 1 else target / f"part.{part}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, file, row_group_size=2)
    assert [shown_by(row) for row in rows_of(f"mimicit:{subset}").values()] == expected
    assert len(list((cache / "images").rglob("*.*"))) + len(list((cache / "images").glob("*/*"))) >= 4


def test_a_first_look_at_parquet_unpacks_only_what_it_shows(tmp_path: Path, cache: Path) -> None:
    texts = [base64.b64encode(f"picture {number}".encode()).decode() for number in range(500)]
    ids = [f"X_IMG_{number}" for number in range(500)]
    pq.write_table(pa.table({"id": ids, "base64": texts}), tmp_path / "X.parquet", row_group_size=250)
    data = {f"X_INS_{number}": asked("What?", "This.", [ids[number]]) for number in range(500)}
    write_json(tmp_path / "X_instructions.json", {"data": data})
    assert len(list(read_source(f"mimicit:{tmp_path}#limit=3"))) == 3
    assert len(kept(cache)) == 16
    assert len(rows_of(f"mimicit:{tmp_path}")) == 500
    assert len(kept(cache)) == 500
    for file in kept(cache)[:5]:
        file.unlink()
    again = rows_of(f"mimicit:{tmp_path}")
    assert [read_bytes(images_of(row)[0].source) for row in again.values()] == [
        f"picture {number}".encode() for number in range(500)
    ]


def test_a_row_group_is_gone_over_a_few_times_only(tmp_path: Path, cache: Path) -> None:
    ids = [f"X_IMG_{number}" for number in range(100)]
    table = pa.table({"id": ids, "base64": [base64.b64encode(name.encode()).decode() for name in ids]})
    pq.write_table(table, tmp_path / "X.parquet")
    bank = open_bank(tmp_path / "X.parquet")
    for number in range(4):
        bank.find([f"X_IMG_{number}"])
        assert len(kept(cache)) == (number + 1 if number < 3 else 100)


@pytest.mark.parametrize("text", ["no base64!", "", None])
def test_what_is_no_base64_in_parquet_refuses_its_row(text: str | None, tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "base64": pa.array([text, "aGVsbG8="], pa.string())})
    pq.write_table(table, tmp_path / "X.parquet")
    data = {name: asked("What?", "This.", [name]) for name in "ab"}
    write_json(tmp_path / "X_instructions.json", {"data": data})
    for _ in range(2):
        bad, good = read_source(f"mimicit:{tmp_path}")
        assert isinstance(good, Example)
        assert isinstance(bad, Refused)
        assert bad.reason == "image unreadable"


@pytest.mark.parametrize(
    "content", [b"PAR1 no", pa.table({"a": [1], "b": [2]}), pa.table({"base64": [""], "b": [""], "c": [""]})]
)
def test_parquet_without_an_index_of_pictures_is_an_error_of_the_file(
    content: bytes | pa.Table, tmp_path: Path
) -> None:
    path = tmp_path / "X.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        pq.write_table(content, path)
    write_json(tmp_path / "X_instructions.json", {"data": {"a": asked("What?", "This.", ["p"])}})
    with pytest.raises(DataError, match=r"X\.parquet"):
        list(read_source(f"mimicit:{tmp_path}"))


def test_files_named_by_id_are_pictures_too(subset: Path, tmp_path: Path) -> None:
    for name in PICTURES:
        (tmp_path / f"{name}.png").rename(subset / f"{name}.png")
    rows = rows_of(f"mimicit:{subset}#images={subset}")
    assert [colour_of(image) for image in images_of(rows["SD_INS_1"])] == [(0, 128, 0), (0, 0, 255)]
    assert [Path(image.source).stem for image in images_of(rows["OLD_INS_1"])] == ["LA_00_IMG_000000000002"]
    write_json(subset / "LACONV_instructions.json", {"data": {"X": asked("What?", "This.", ["../LA/SD_IMG_00001_1"])}})
    assert list(rows_of(f"mimicit:{subset}#images={subset}")) == ["X"]
    write_json(subset / "LACONV_instructions.json", {"data": {"X": asked("What?", "This.", ["../secret"])}})
    assert refusals(f"mimicit:{subset}#images={subset}")[0].reason == "path leaves the data folder"


# Size


def test_forty_megabytes_of_base64_are_read_in_four(tmp_path: Path) -> None:
    noise = base64.b64encode(b"\x00\xff\x10" * 33_000).decode()
    path = tmp_path / "X.json"
    with path.open("w") as file:
        file.write("{" + ",\n".join(f'"X_IMG_{number}": "{noise}"' for number in range(300)) + "}")
    data = {f"X_INS_{number}": asked("What?", "This.", [f"X_IMG_{number}"]) for number in range(300)}
    write_json(tmp_path / "X_instructions.json", {"data": data})
    assert path.stat().st_size > 39_000_000
    list(read_source(f"mimicit:{tmp_path}#context=none#limit=1"))  # loads what is loaded once
    (tmp_path / "X.json").touch()
    tracemalloc.start()
    try:
        rows = list(read_source(f"mimicit:{tmp_path}"))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(rows) == 300
    assert most < 4_000_000
    last = rows[-1]
    assert isinstance(last, Example)
    assert read_bytes(images_of(last)[0].source) == b"\x00\xff\x10" * 33_000


HELD = """
import re, sys
from pathlib import Path
from triptych.data.disk.image_bank import open_bank

def most_mib():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

before = most_mib()
bank = open_bank(Path(sys.argv[1]))
assert len(bank.find([f"X_IMG_{number}" for number in range(250, 256)])) == 6
print(most_mib() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell what a process held")
def test_a_row_group_of_parquet_is_never_in_memory(tmp_path: Path) -> None:
    noise = base64.b64encode(b"\x00\xff\x10" * 100_000).decode()
    table = pa.table(
        {
            "id": [f"X_IMG_{number}" for number in range(256)],
            "base64": [f"{number:04d}{noise}" for number in range(256)],
        }
    )
    path = tmp_path / "X.parquet"
    pq.write_table(table, path, compression=None, use_dictionary=False, write_batch_size=4)
    assert path.stat().st_size > 100_000_000
    ran = subprocess.run([sys.executable, "-c", HELD, str(path)], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 50  # MiB. As pyarrow reads by itself, it is 120.


def test_the_second_start_reads_no_index_and_a_changed_file_is_seen(subset: Path, cache: Path) -> None:
    rows_of(f"mimicit:{subset}")
    stamps = {path: path.stat().st_mtime_ns for path in (cache / "names").iterdir()}
    rows_of(f"mimicit:{subset}")
    assert {path: path.stat().st_mtime_ns for path in (cache / "names").iterdir()} == stamps
    for path in stamps:
        path.write_bytes(b"no table")
    assert len(rows_of(f"mimicit:{subset}")) == 6
    write_json(subset / "LACONV_instructions.json", {"data": {"X": asked("What?", "This.", [])}})
    assert list(rows_of(f"mimicit:{subset}")) == ["X"]
    assert len(list((cache / "names").iterdir())) == len(stamps)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(
    value=st.dictionaries(st.text(), json_values, max_size=8),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
    chunk=st.integers(16, 64),
)
def test_every_member_of_an_object_is_found_where_it_stands(
    value: dict[str, Json], indent: int | None, ascii_only: bool, chunk: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "members.json"
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    path.write_bytes(b" " + text + b"\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("triptych.data.disk.json_members._CHUNK_BYTES", chunk)
        patch.setattr("triptych.data.disk.json_members._LONGEST_KEY_BYTES", 1 << 20)
        members = list(members_of(path))
    content = path.read_bytes()
    found = {each.key: json.loads(content[each.start : each.start + each.length]) for each in members}
    assert found == value
    assert list(found) == list(value)


@given(value=st.dictionaries(st.text(max_size=4), json_values, max_size=3), data=st.data())
def test_a_torn_or_damaged_object_is_read_or_is_an_error_and_never_hangs(
    value: dict[str, Json], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "torn.json"
    whole = json.dumps({"meta": value, "data": value}).encode()
    path.write_bytes(whole)
    assert {each.key for each in members_of(path, inside="data")} == set(value)
    cut = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:cut])
    with pytest.raises(DataError, match=r"torn\.json"):
        list(members_of(path, inside="data"))
    path.write_bytes(whole[:cut] + data.draw(st.binary(min_size=1, max_size=3)) + whole[cut + 1 :])
    try:
        members = list(members_of(path, inside="data"))
    except DataError:
        return
    assert all(0 < each.start < each.start + each.length <= path.stat().st_size for each in members)
