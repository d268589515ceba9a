"""What holds for every layout in ``triptych/data/formats``, today's and tomorrow's."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pictures import bare, draw, real_data
from triptych.core.errors import ConfigError, DataError
from triptych.core.plugins import find, names
from triptych.core.records import Example, ImageRef, Part, Text, Turn, VideoRef
from triptych.data.disk.json_rows import read_row_at, row_places
from triptych.data.disk.writing import LeavingOut
from triptych.data.format import Format, Refused, Trait, Writer, random_rows, read_source

FORMATS = names("format")
PLUGINS = {name: find("format", name, expected=Format) for name in FORMATS}
WRITTEN = [name for name in FORMATS if PLUGINS[name].write]
CHATS = [name for name in WRITTEN if "chat" not in PLUGINS[name].cannot]
PICTURED = [name for name in CHATS if "images" not in PLUGINS[name].cannot]
BY_ROW = [name for name in FORMATS if PLUGINS[name].each]
JSON_FORMATS = [name for name in FORMATS if ".jsonl" in PLUGINS[name].endings]
TRAITS: tuple[Trait, ...] = get_args(Trait)

every_format = pytest.mark.parametrize("name", FORMATS)
every_written = pytest.mark.parametrize("name", WRITTEN)
every_chat = pytest.mark.parametrize("name", CHATS)
in_one_folder = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(lambda text: "<" not in text)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))


@every_format
def test_a_format_says_in_one_line_what_it_is(name: str) -> None:
    plugin = PLUGINS[name]
    assert plugin.about.strip()
    assert "\n" not in plugin.about
    assert plugin.cannot <= set(TRAITS)
    assert all("." in ending for ending in plugin.endings)


@every_format
def test_a_missing_file_is_an_error_of_the_source(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.json"):
        list(read_source(f"{name}:{tmp_path}/nowhere.json"))


@every_format
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"[", b'[{"id": "a"', b"plain words", b"[]]", b"\xff\xfe"])
def test_a_file_that_is_no_data_is_an_error_of_the_file(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"broken{PLUGINS[name].endings[0]}"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(path.name)):
        list(read_source(f"{name}:{path}"))


@every_format
def test_an_unknown_option_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="colour"):
        read_source(f"{name}:{tmp_path}#colour=red")


@pytest.mark.parametrize("name", JSON_FORMATS)
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


@pytest.mark.parametrize("name", [name for name in JSON_FORMATS if name in WRITTEN and name != "mantis_eval"])
@pytest.mark.parametrize("key", ["image", "images", "video", "videos", "audio", "audios"])
def test_what_a_row_calls_its_media_is_never_a_fact(name: str, key: str, tmp_path: Path) -> None:
    source = f"{name}:{tmp_path}/rows.jsonl"
    writer(name)([base(name)], tmp_path / "rows.jsonl")
    row = json.loads((tmp_path / "rows.jsonl").read_text())
    draw(tmp_path / "a.png")
    for value, named in (([], False), (["a.png"], True)):
        (tmp_path / "rows.jsonl").write_text(json.dumps({**row, key: value}) + "\n")
        (found,) = read_source(source)
        if isinstance(found, Example):
            assert key not in found.facts
            assert not named or any(not isinstance(part, Text) for turn in found.turns for part in turn.parts)
        else:
            assert named or name == "messages", found.message


@every_written
@pytest.mark.parametrize("key", ["image", "images", "video", "videos", "audio", "audios"])
def test_a_fact_that_is_called_like_media_is_kept_or_refused_at_writing(name: str, key: str, tmp_path: Path) -> None:
    example = replace(base(name), facts={key: "clip.mp4"})
    path = tmp_path / f"rows{PLUGINS[name].endings[0]}"
    left_out = LeavingOut([example])
    writer(name)(left_out, path)
    assert left_out.left_out or read_again(f"{name}:{path}") == [bare(example)]


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_the_limit_keeps_the_first_rows(name: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("{}\n" * 5)
    assert len(list(read_source(f"{name}:{path}#limit=2"))) == 2


@every_chat
def test_what_is_written_is_read_again(name: str, tmp_path: Path) -> None:
    here, elsewhere = draw(tmp_path / "out" / "photos" / "a.png"), draw(tmp_path / "away" / "a.png", colour="blue")
    placed = Example(
        id="placed",
        turns=(
            Turn("system", (Text("Look well."),)),
            Turn("user", (Text("Is "), here, Text("\nolder than\n"), elsewhere, Text("?"))),
            said("assistant", "Yes, “so” it is. ✓"),
            Turn("user", (elsewhere, here)),
            said("assistant", "And again."),
        ),
    )
    examples = [Example(id="text", turns=(said("user", "Hello"), said("assistant", "Hi")))]
    if name in PICTURED:
        examples.append(placed)
    for number, ending in enumerate(PLUGINS[name].endings):
        source = f"{name}:{tmp_path}/out/rows{number}{ending}"
        assert round_trip(source, examples) == [bare(each) for each in examples]


@every_written
@pytest.mark.parametrize("trait", TRAITS)
def test_what_a_layout_has_words_for_is_kept_and_the_rest_is_refused(name: str, trait: Trait, tmp_path: Path) -> None:
    write = writer(name)
    for number, (plain, example) in enumerate(with_trait(trait, name, tmp_path)):
        path = tmp_path / f"rows{number}{PLUGINS[name].endings[0]}"
        if trait not in PLUGINS[name].cannot:
            assert round_trip(f"{name}:{path}", [example]) == [bare(example)]
            continue
        with pytest.raises(DataError, match=r"row 0 \(id 'x'\) cannot be written"):
            write([example], path)
        assert not path.exists()
        if not {"chat", "images"} & PLUGINS[name].cannot:
            assert round_trip(f"{name}:{path}", [plain]) == [bare(plain)], "it was the trait that was refused"


@pytest.mark.parametrize("name", BY_ROW)
def test_a_row_read_alone_is_the_row_read_in_the_stream(name: str, tmp_path: Path) -> None:
    examples = [replace(base(name), id=str(number)) for number in range(5)]
    for ending in (".jsonl", ".json"):
        path = tmp_path / f"rows{ending}"
        rows = [json.dumps({"id": "bad"}), *[""] * (ending == ".jsonl")]
        if PLUGINS[name].write:
            writer(name)(LeavingOut(examples), path)
            written = json.loads(path.read_text()) if ending == ".json" else path.read_text().splitlines()
            rows += [json.dumps(row) if isinstance(row, dict) else row for row in written]
        path.write_text(f"[{', '.join(filter(None, rows))}]" if ending == ".json" else "\n".join(rows))
        found = random_rows(f"{name}:{path}#limit=4")
        assert found is not None
        alone = [
            found.read(read_row_at(path, start, length=length, number=number))
            for number, start, length in row_places(path)
        ]
        assert alone == list(read_source(f"{name}:{path}"))
        assert any(isinstance(row, Refused) for row in alone)


@pytest.mark.parametrize("name", PICTURED)
@in_one_folder
@given(texts=st.lists(words.filter(str.strip), min_size=2, max_size=6), image_at=st.integers(0, 2))
def test_any_words_survive_writing_and_reading(name: str, texts: list[str], image_at: int, tmp_path: Path) -> None:
    image = draw(tmp_path / "a.png")
    parts = [image if place == image_at else Text(texts[0]) for place in range(2)] if image_at < 2 else [Text(texts[0])]
    turns = [Turn("user", tuple(parts))]
    turns += [said("user" if number % 2 else "assistant", text) for number, text in enumerate(texts[1:])]
    example = Example(id="x", turns=tuple(turns))
    source = f"{name}:{tmp_path}/rows{PLUGINS[name].endings[0]}"
    assert round_trip(source, [example]) == [bare(example)]


@pytest.mark.parametrize("name", PICTURED)
def test_the_real_conversations_survive_a_round_trip(name: str, tmp_path: Path) -> None:
    path = real_data("mantis_examples") / "chat" / "train.json"
    examples = [row for row in read_source(f"mantis:{path}") if isinstance(row, Example)]
    again = round_trip(f"{name}:{tmp_path}/rows{PLUGINS[name].endings[0]}", examples)
    assert len(again) == 100
    assert again == [bare(example) for example in examples]


@every_written
@in_one_folder
@given(data=st.data())
def test_any_example_is_kept_whole_or_refused_whole(name: str, data: st.DataObject, tmp_path: Path) -> None:
    pictures = [draw(tmp_path / f"{colour}.png", colour=colour) for colour in ("red", "blue")]
    example = data.draw(examples_of(pictures, a_video(tmp_path)))
    path = tmp_path / f"rows{PLUGINS[name].endings[0]}"
    refused = ""
    try:
        writer(name)([example], path)
    except DataError as error:
        refused = str(error)
    if refused:
        assert "row 0 (id 'x') cannot be written" in refused
    else:
        assert read_again(f"{name}:{path}") == [bare(example)]


@every_chat
def test_a_row_that_cannot_be_written_leaves_the_old_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"rows{PLUGINS[name].endings[0]}"
    good = Example(id="good", turns=(said("user", "Hello"), said("assistant", "Hi")))
    lost = draw(tmp_path / "a.png")
    Path(lost.source).unlink()
    bad = Example(id="lost", turns=(Turn("user", (lost,)), said("assistant", "Hi")))
    writer(name)([good], path)
    before = {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()}
    with pytest.raises(DataError, match=r"row 1 \(id 'lost'\)"):
        writer(name)([good, bad], path)
    assert {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()} == before


def base(name: str) -> Example:
    """Return the plainest Example that a layout has words for."""
    if "chat" in PLUGINS[name].cannot and "labels" not in PLUGINS[name].cannot:
        return Example("x", (said("user", "How good?"),), labels=(("quality", 2.5),))
    return Example("x", (said("user", "Hello"), said("assistant", "Hi")))


def with_trait(trait: Trait, name: str, folder: Path) -> list[tuple[Example, Example]]:
    """Return pairs of a plain Example and one that differs in this trait."""
    plain, reply = base(name), base(name).turns[1:]
    red, blue = draw(folder / "red.png"), draw(folder / "blue.png", colour="blue")

    def asked(*parts: Part) -> Example:
        return replace(plain, turns=(Turn("user", parts), *reply))

    seen = asked(red, Text("What?"))
    match trait:
        case "chat":
            turns = (said("system", "Be kind."), said("user", "a"), said("assistant", "b"), said("user", "c"))
            return [(plain, Example("x", (*turns, said("assistant", "d"))))]
        case "unlearnt":
            return [(plain, replace(plain, turns=(plain.turns[0], replace(said("assistant", "b"), learnt=False))))]
        case "images":
            return [(plain, asked(red, Text(" or "), blue, red, Text("?")))]
        case "boxes":
            odd = (replace(red, box=(0, 0, 8, 8)), replace(red, resize=(16, 12)), replace(red, video="film"))
            return [(seen, asked(image, Text("What?"))) for image in odd]
        case "videos":
            return [(plain, asked(Text("In "), a_video(folder), Text(" what?")))]
        case "demonstrations":
            shown = Example("x/0", (Turn("user", (blue, Text("a"))), said("assistant", "b")))
            return [(plain, replace(plain, demonstrations=(shown,)))]
        case "labels":
            return [(plain, replace(plain, labels=(("quality", 1.5), ("Treue", -2.0))))]
        case "facts":
            facts = {"scenario": "images", "options": ["yes", "no"], "chance": 0.5, "deep": {"er": [None, True]}}
            return [(plain, replace(plain, facts=facts)), (plain, replace(plain, skills=("comparison", "temporal")))]
        case "marks":
            return [(seen, asked(red, Text(" is a literal <image> text?")))]


def a_video(folder: Path) -> VideoRef:
    """Return a video that is a folder of frames."""
    for number in range(3):
        draw(folder / "film" / f"frame_{number}.png", colour=(number * 80, 0, 0))
    return VideoRef(str(folder / "film"))


def examples_of(pictures: Sequence[ImageRef], video: VideoRef) -> st.SearchStrategy[Example]:
    """Return Examples of all kinds; adjacent texts are one, as most layouts join them."""
    text = words.filter(str.strip).map(Text)
    frame = replace(pictures[0], video="film")
    medium = st.sampled_from([*pictures, replace(pictures[0], box=(1, 2, 9, 8)), frame, video])
    parts = st.lists(st.one_of(text, medium), min_size=1, max_size=4).map(joined)
    reply = st.tuples(text)
    rounds = st.lists(st.tuples(parts, reply), min_size=1, max_size=3)
    system = st.none() | st.tuples(text)
    names = st.text("abcdefgh ", min_size=1, max_size=6)
    labels = st.dictionaries(names, st.floats(-9, 9), max_size=3).map(lambda pairs: tuple(pairs.items()))
    json_values = st.recursive(st.none() | st.booleans() | st.integers(-99, 99) | words, st.lists, max_leaves=4)

    def conversation(id: str, rows: list[tuple[tuple[Part, ...], tuple[Text]]], first: tuple[Text] | None) -> Example:
        turns = [Turn("system", first)] if first else []
        turns += [turn for asked, told in rows for turn in (Turn("user", asked), Turn("assistant", told))]
        return Example(id, tuple(turns))

    return st.builds(
        lambda own, shown, named, skills, facts: replace(
            own, demonstrations=tuple(shown), labels=named, skills=tuple(skills), facts=facts
        ),
        st.builds(conversation, st.just("x"), rounds, system),
        st.lists(st.builds(conversation, st.just("shown"), rounds, st.none()), max_size=1),
        st.just(()) | labels,
        st.lists(words, max_size=2),
        st.dictionaries(names.map(lambda key: f"f {key}"), json_values, max_size=2),
    )


def joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the parts with neighbouring texts as one."""
    found: list[Part] = []
    for part in parts:
        last = found[-1] if found else None
        if isinstance(part, Text) and isinstance(last, Text):
            found[-1] = Text(last.text + part.text)
        else:
            found.append(part)
    return tuple(found)


def round_trip(source: str, examples: list[Example]) -> list[Example]:
    """Write the examples, read them again, and return them as any copy must be."""
    name, _, path = source.partition(":")
    assert writer(name)(iter(examples), Path(path)) == len(examples)
    return read_again(source)


def read_again(source: str) -> list[Example]:
    rows = list(read_source(source))
    assert [row for row in rows if isinstance(row, Refused)] == []
    return [bare(row) for row in rows if isinstance(row, Example)]


def writer(name: str) -> Writer:
    write = PLUGINS[name].write
    assert write
    return write


def said(role: str, text: str) -> Turn:
    roles = {"system": "system", "user": "user", "assistant": "assistant"}
    return Turn(roles[role], (Text(text),))  # type: ignore[arg-type]
