"""What holds for every layout in ``triptych/data/formats``, today's and tomorrow's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pictures import bare, draw
from triptych.core.errors import ConfigError, DataError
from triptych.core.plugins import find, names
from triptych.core.records import Example, Text, Turn
from triptych.data.format import Format, Refused, read_source

FORMATS = names("format")
WRITTEN = [name for name in FORMATS if find("format", name, Format).write]

every_format = pytest.mark.parametrize("name", FORMATS)
every_written = pytest.mark.parametrize("name", WRITTEN)
in_one_folder = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(lambda text: "<image>" not in text)


@every_format
def test_a_format_says_in_one_line_what_it_is(name: str) -> None:
    plugin = find("format", name, Format)
    assert plugin.about.strip()
    assert "\n" not in plugin.about


@every_format
def test_a_missing_file_is_an_error_of_the_source(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.json"):
        list(read_source(f"{name}:{tmp_path}/nowhere.json"))


@every_format
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"[", b'[{"id": "a"', b"plain words", b"[]]", b"\xff\xfe"])
def test_a_file_that_is_no_data_is_an_error_of_the_file(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.json"):
        list(read_source(f"{name}:{path}"))


@every_format
def test_an_unknown_option_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="colour"):
        read_source(f"{name}:{tmp_path}#colour=red")


@every_format
def test_every_row_is_either_used_or_refused_by_number(name: str, tmp_path: Path) -> None:
    rows = [{}, {"id": "x"}, {"id": {}}, {"id": 1, "messages": 3, "conversation": [4], "conversations": "5"}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"torn\n[]\n7\n"x"\n' + "[" * 100_000 + "\n")
    read = list(read_source(f"{name}:{path}"))
    assert len(read) == len(rows) + 5
    for number, refused in enumerate(read):
        assert isinstance(refused, Refused)
        assert refused.where.startswith(f"{path}: row {number}")
        assert refused.message.startswith(refused.where)
        assert "\n" not in refused.message
        assert refused.message.endswith((".", "..."))


@every_format
def test_the_limit_keeps_the_first_rows(name: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("{}\n" * 5)
    assert len(list(read_source(f"{name}:{path}#limit=2"))) == 2


@every_written
def test_what_is_written_is_read_again(name: str, tmp_path: Path) -> None:
    write = find("format", name, Format).write
    assert write
    here, elsewhere = draw(tmp_path / "out" / "photos" / "a.png"), draw(tmp_path / "away" / "a.png", colour="blue")
    examples = [
        Example(id="text", turns=(said("user", "Hello"), said("assistant", "Hi"))),
        Example(
            id="placed",
            turns=(
                Turn("system", (Text("Look well."),)),
                Turn("user", (Text("Is "), here, Text("\nolder than\n"), elsewhere, Text("?"))),
                said("assistant", "Yes, “so” it is. ✓"),
                Turn("user", (elsewhere, here)),
                said("assistant", "And again."),
            ),
            skills=("comparison", "temporal"),
            facts={"scenario": "images", "options": ["yes", "no"], "chance": 0.5},
        ),
    ]
    for file in ("rows.json", "rows.jsonl"):
        assert write(iter(examples), tmp_path / "out" / file) == 2
        again = list(read_source(f"{name}:{tmp_path}/out/{file}"))
        assert [bare(each) for each in again if isinstance(each, Example)] == [bare(each) for each in examples]
    (copy,) = (tmp_path / "out" / "images").iterdir()
    assert copy.read_bytes() == Path(elsewhere.source).read_bytes()


@every_written
@in_one_folder
@given(texts=st.lists(words.filter(str.strip), min_size=2, max_size=6), image_at=st.integers(0, 2))
def test_any_words_survive_writing_and_reading(name: str, texts: list[str], image_at: int, tmp_path: Path) -> None:
    image = draw(tmp_path / "a.png")
    parts = [image if place == image_at else Text(texts[0]) for place in range(2)] if image_at < 2 else [Text(texts[0])]
    turns = [Turn("user", tuple(parts))]
    turns += [said("user" if number % 2 else "assistant", text) for number, text in enumerate(texts[1:])]
    example = Example(id="x", turns=tuple(turns))
    write = find("format", name, Format).write
    assert write
    write([example], tmp_path / "rows.jsonl")
    (again,) = read_source(f"{name}:{tmp_path}/rows.jsonl")
    assert isinstance(again, Example)
    assert bare(again) == bare(example)


@every_written
def test_a_row_that_cannot_be_written_leaves_the_old_file(name: str, tmp_path: Path) -> None:
    write = find("format", name, Format).write
    assert write
    path = tmp_path / "rows.jsonl"
    good = Example(id="good", turns=(said("user", "Hello"), said("assistant", "Hi")))
    lost = draw(tmp_path / "a.png")
    Path(lost.source).unlink()
    bad = Example(id="lost", turns=(Turn("user", (lost,)), said("assistant", "Hi")))
    write([good], path)
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"row 1 \(id 'lost'\)"):
        write([good, bad], path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["rows.jsonl"]


def said(role: str, text: str) -> Turn:
    return Turn("user" if role == "user" else "assistant", (Text(text),))
