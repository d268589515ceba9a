"""Rows of JSON files: where each one is, so that any one can be read without the others."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from time import process_time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triptych.core.errors import DataError
from triptych.data.disk.json_rows import Row, read_row_at, read_rows, row_places
from triptych.data.format import RowError

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
words = st.text(st.characters(codec="utf-8"), max_size=20)
rows_of_words = st.lists(st.dictionaries(words, words | st.integers() | st.lists(words), max_size=3), max_size=6)


def read_by_place(path: Path) -> list[Row]:
    return [read_row_at(path, start, length=length, number=number) for number, start, length in row_places(path)]


@in_one_folder
@given(rows=rows_of_words, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]), mark=st.booleans())
def test_every_row_of_a_list_is_found_at_its_place(
    rows: list[dict[str, object]], ascii_only: bool, indent: int | None, mark: bool, tmp_path: Path
) -> None:
    path = tmp_path / "rows.json"
    text = json.dumps(rows, ensure_ascii=ascii_only, indent=indent)
    path.write_text(text.replace("\n", "\r\n"), "utf-8-sig" if mark else "utf-8", newline="")
    assert read_by_place(path) == list(read_rows(path))
    assert [row.value for row in read_rows(path)] == rows


@in_one_folder
@given(
    rows=rows_of_words, blank=st.sampled_from(["", " ", "\t\r"]), end=st.sampled_from(["", "\n"]), mark=st.booleans()
)
def test_every_line_is_found_at_its_place(
    rows: list[dict[str, object]], blank: str, end: str, mark: bool, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) for row in [{"first": 1}, *rows]]
    path.write_text(f"\n{blank}\n".join(lines) + end, "utf-8-sig" if mark else "utf-8", newline="")
    found = list(read_rows(path))
    assert read_by_place(path) == found
    assert [row.number for row in found] == list(range(0, 2 * len(lines), 2))
    assert [row.value for row in found[1:]] == rows


def test_a_list_longer_than_a_chunk_has_all_its_places(tmp_path: Path) -> None:
    rows = [{"id": number, "text": "é→" * (9000 + 17 * number)} for number in range(60)]
    path = tmp_path / "long.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    assert path.stat().st_size > 2_500_000
    assert read_by_place(path) == list(read_rows(path))


def test_a_broken_line_has_a_place_and_a_broken_list_is_an_error_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"a": 1}\n{"torn\n\xff\n{}\n')
    assert [number for number, _, _ in row_places(tmp_path / "rows.jsonl")] == [0, 1, 2, 3]
    (tmp_path / "rows.json").write_text('[{"a": 1}, {"torn')
    places = row_places(tmp_path / "rows.json")
    assert next(places) == (0, 1, 8)
    with pytest.raises(DataError, match="no JSON list"):
        next(places)
    with pytest.raises(DataError, match=r"gone\.json: cannot be read"):
        list(row_places(tmp_path / "gone.json"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(b'{"id": 1}', mtime=0), "packed by gzip: unpack it"),
        ('{"id": 1}'.encode("utf-16"), "UTF-16: save it as UTF-8"),
        ('[{"id": 1}]'.encode("utf-16"), "UTF-16: save it as UTF-8"),
        (b"PAR1....PAR1", "Parquet: call it .parquet"),
        (b"id,words", "neither a JSON list"),
    ],
    ids=["gzip", "UTF-16 lines", "a UTF-16 list", "Parquet", "CSV"],
)
def test_a_file_that_is_packed_or_of_another_kind_is_refused_by_what_it_is(
    tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=told):
        list(read_rows(path))


TWICE = '{"id": "b", "role": "user", "role": "assistant"}'


@pytest.mark.parametrize(
    "text", [f'{{"id": "a"}}\n{TWICE}\n{{"id": "c"}}\n', f'[{{"id": "a"}}, {TWICE}, {{"id": "c"}}]']
)
def test_a_key_that_stands_twice_is_a_bad_row_and_the_others_are_read(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)
    first, bad, last = (row.value for row in read_rows(path))
    assert (first, last) == ({"id": "a"}, {"id": "c"})
    assert isinstance(bad, RowError)
    assert bad.reason == "bad row"
    assert str(bad) == "the key 'role' stands twice in one object. Leave one of them out."
    assert [str(row.value) for row in read_by_place(path)] == [str(each) for each in (first, bad, last)]


def test_a_key_that_stands_twice_in_a_row_longer_than_a_chunk_is_that_rows_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(f'[{{"a": 1, "b": "{"x" * (3 << 20)}", "a": 2}}, {{"id": "c"}}]')
    bad, last = (row.value for row in read_rows(path))
    assert isinstance(bad, RowError)
    assert last == {"id": "c"}


def test_a_key_that_stands_twice_among_many_is_found_in_no_time(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    many = ", ".join(f'"k{number}": {{"a": 1}}' for number in range(40_000))
    path.write_text(f'{{{many}, "k39999": 2}}\n{{{many}}}\n')
    begun = process_time()
    bad, good = (row.value for row in read_rows(path))
    assert process_time() - begun < 3.0
    assert str(bad).startswith("the key 'k39999' stands twice")
    assert isinstance(good, dict)


@pytest.mark.parametrize("gap", [":", " :", "\t :", " : "])
@pytest.mark.parametrize(
    "keys", [("caf\\u00e9", "café"), ("café", "caf\\u00E9"), ("role", "rol\\u0065"), ("a\\/b", "a/b")]
)
@pytest.mark.parametrize("form", ['{{"id": "a"}}\n{}\n', '[{{"id": "a"}}, {}]'], ids=["lines", "a list"])
def test_a_key_that_stands_twice_in_two_spellings_is_a_bad_row(
    form: str, keys: tuple[str, str], gap: str, tmp_path: Path
) -> None:
    path, gaps = tmp_path / "rows.json", (":", gap)
    for names in (keys, keys[::-1], (keys[0], keys[0]), (keys[1], keys[1])):
        said = ", ".join(
            f'"{name}"{space}{number}' for number, (name, space) in enumerate(zip(names, gaps, strict=True))
        )
        path.write_text(form.format(f"{{{said}}}"), encoding="utf-8")
        good, bad = (row.value for row in read_rows(path))
        assert good == {"id": "a"}
        assert isinstance(bad, RowError), said
        assert "stands twice" in str(bad)
        assert [str(row.value) for row in read_by_place(path)] == [str(each) for each in (good, bad)]


@pytest.mark.parametrize("text", ['{"a" : {"b" :1}, "b" :2}', '{"said": "caf\\u00e9 \\u0022a\\u0022:", "a": 1}', "[]"])
def test_a_row_that_is_spelt_otherwise_and_says_no_key_twice_is_read(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(f'[{text}, {{"id": "c"}}]', encoding="utf-8")
    assert [row.value for row in read_rows(path)] == [json.loads(text), {"id": "c"}]


def test_a_key_of_a_row_that_its_turns_have_too_stands_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = {"id": "a", 'of "this"': 1, "said": [{"id": "b"}, {"id": "c"}]}
    path.write_text(json.dumps(row) + "\n")
    assert [each.value for each in read_rows(path)] == [row]
