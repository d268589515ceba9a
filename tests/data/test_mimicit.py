"""MIMIC-IT as it is published: rows, contexts in order, both spellings of ids; and written again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.reading import shape
from tests.data.subsets import asked, colour_of, draw_subset, refusals, rows_of, shown_by, write_json
from tests.pictures import draw
from triptych.core.errors import ConfigError, DataError
from triptych.core.records import Example, ImageRef, Json, Text, Turn, VideoRef, images_of
from triptych.data.disk.image_bank import spellings
from triptych.data.format import Refused, load_examples, read_source
from triptych.data.formats import mimicit


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def subset(tmp_path: Path) -> Path:
    draw_subset(tmp_path / "LA")
    return tmp_path / "LA"


# Rows, contexts, ids


def test_a_row_is_an_instruction_behind_its_pictures(subset: Path) -> None:
    rows = rows_of(f"mimicit:{subset}/LACONV_instructions.json")
    assert list(rows)[2:] == ["LACONV_00_INS_000000033471_2", "SD_INS_1", "TEXT_INS_1", "OLD_INS_1"]
    query = rows["LACONV_00_INS_000000033471_2"]
    assert query.origin == f"{subset}/LACONV_instructions.json: row 2"
    pair = rows["SD_INS_1"]
    assert [colour_of(image) for image in images_of(pair)] == [(0, 128, 0), (0, 0, 255)]
    assert pair.facts == {"note": "kept"}
    assert shape(rows["TEXT_INS_1"]) == ["user: Say hello.", "assistant: Hello."]
    assert [colour_of(image) for image in images_of(rows["OLD_INS_1"])] == [(255, 255, 255)]


def test_rounds_about_the_same_images_are_turns_that_show_them_once(subset: Path, tmp_path: Path) -> None:
    query = rows_of(f"mimicit:{subset}/LACONV_instructions.json")["LACONV_00_INS_000000033471_2"]
    rounds = ["assistant: A bus.", "user: How full?", "assistant: Crowded.", "user: Is the bus driving?"]
    assert shape(query)[1:] == [*rounds, "assistant: It is."]
    assert query.turns[0].parts[1:] == (Text("What is it?"),)
    assert [colour_of(image) for image in images_of(query)] == [(255, 0, 0)]
    assert query.demonstrations == ()
    pair: list[Json] = ["SD_IMG_00001_1", "SD_IMG_00001_2"]
    data = {
        "both": asked("What changed?", "A car left.", pair),
        "one": asked("What is there?", "A street.", ["SD_IMG_00001_1"]),
        "words": asked("Say hello.", "Hello.", []),
        "all": asked("And then?", "Rain.", pair, ["both"], note="kept"),
        "not_all": asked("And then?", "Rain.", pair, ["both", "one"]),
        "turned": asked("And then?", "Rain.", pair[::-1], ["both"]),
        "no_images": asked("Say it again.", "Hello.", [], ["words"]),
    }
    write_json(subset / "X_instructions.json", {"data": data})
    rows = rows_of(f"mimicit:{subset}/X_instructions.json")
    said = {name: (len(rows[name].turns), len(rows[name].demonstrations), len(images_of(rows[name]))) for name in data}
    assert said == {
        "both": (2, 0, 2),
        "one": (2, 0, 1),
        "words": (2, 0, 0),
        "all": (4, 0, 2),
        "not_all": (2, 2, 5),
        "turned": (2, 1, 4),
        "no_images": (2, 1, 0),
    }
    assert (rows["all"].id, rows["all"].facts) == ("all", {"note": "kept"})
    assert mimicit.FORMAT.write is not None
    with pytest.raises(DataError, match="one instruction and one answer a row"):
        mimicit.FORMAT.write([rows["all"]], tmp_path / "NEW_instructions.json")


def test_a_folder_with_one_instructions_file_is_that_file(subset: Path) -> None:
    assert list(rows_of(f"mimicit:{subset}")) == list(rows_of(f"mimicit:{subset}/LACONV_instructions.json"))
    write_json(subset / "LADD_instructions.json", {"data": {}})
    with pytest.raises(DataError, match="2 files are called"):
        list(read_source(f"mimicit:{subset}"))


def test_the_train_file_says_which_rows_there_are_and_what_is_shown_before_them(subset: Path) -> None:
    write_json(
        subset / "LACONV_train.json",
        {"SD_INS_1": ["TEXT_INS_1", "OLD_INS_1"], "LACONV_00_INS_000000033471_2": [], "OLD_INS_1": ["SD_INS_1"] * 2},
    )
    rows = rows_of(f"mimicit:{subset}")
    shown = {name: [each.id for each in row.demonstrations] for name, row in rows.items()}
    assert shown == {
        "SD_INS_1": ["TEXT_INS_1", "OLD_INS_1"],
        "LACONV_00_INS_000000033471_2": [],
        "OLD_INS_1": ["SD_INS_1", "SD_INS_1"],
    }
    assert rows["OLD_INS_1"].origin == f"{subset}/LACONV_train.json: row 2"
    related = rows_of(f"mimicit:{subset}#context=related")
    assert len(related) == 6
    assert len(related["LACONV_00_INS_000000033471_2"].turns) == 6
    alone = rows_of(f"mimicit:{subset}#context=none")
    assert (len(alone), {(len(row.turns), row.demonstrations) for row in alone.values()}) == (6, {(2, ())})


def test_files_that_lie_elsewhere_are_named_by_options(subset: Path, tmp_path: Path) -> None:
    pictures = (subset / "LA.json").rename(tmp_path / "pictures.json")
    train = write_json(tmp_path / "chosen.json", {"SD_INS_1": []})
    rows = rows_of(f"mimicit:{subset}#images={pictures}#train={train}")
    assert list(rows) == ["SD_INS_1"]
    assert refusals(f"mimicit:{subset}")[0].reason == "image file missing"
    assert "#images=PATH" in refusals(f"mimicit:{subset}")[0].message
    for option in ("images=gone.json", "train=gone.json", f"train={train}#context=none", "context=all", "colour=red"):
        with pytest.raises(ConfigError, match=option.partition("=")[0]):
            list(read_source(f"mimicit:{subset}#{option}"))
    with pytest.raises(DataError, match=r"LACONV_train\.json: no such file"):
        list(read_source(f"mimicit:{subset}#context=train"))


def test_the_pictures_may_lie_in_a_file_that_is_called_so(subset: Path) -> None:
    before = [shown_by(row) for row in rows_of(f"mimicit:{subset}").values()]
    (subset / f"{subset.name}.json").rename(subset / "LACONV_images.json")
    assert [shown_by(row) for row in rows_of(f"mimicit:{subset}").values()] == before


def test_two_files_that_may_hold_the_pictures_are_no_choice(subset: Path) -> None:
    (subset / "LA.parquet").touch()
    with pytest.raises(DataError, match="which holds the pictures"):
        list(read_source(f"mimicit:{subset}"))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (asked("What?", "This.", ["LA_IMG_404"]), "image file missing"),
        (asked("What?", "This.", ["../../secret"]), "image file missing"),
        (asked("What?", "This.", [7]), "bad row"),
        (asked("What?", "This.", {"a": 1}), "bad row"),
        (asked("What?", "  ", []), "empty reply"),
        (asked("What?", "This.", [], ["nobody"]), "unknown id"),
        (asked("What?", "This.", [], ["X"]), "bad row"),
        (asked("What?", "This.", [], ["empty"]), "empty reply"),
        (asked("What?", "This.", [], ["torn"]), "bad row"),
        (asked("What?", "This.", [], "LADD"), "bad row"),
        (asked("What?", "This.", [], id="another"), "bad row"),
        (asked("What?", "half \ud800 a pair", []), "bad row"),
        ({"instruction": "What?", "image_ids": []}, "bad row"),
        ({"answer": "This.", "image_ids": []}, "bad row"),
        ({"instruction": 3, "answer": "This."}, "bad row"),
        (["What?", "This."], "bad row"),
        (None, "bad row"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason_and_stops_no_other(
    entry: Json, reason: str, subset: Path, tmp_path: Path
) -> None:
    good: Json = asked("What?", "This.", ["LA_IMG_000000033471"])
    data = {"first": good, "X": entry, "empty": asked("a", "", []), "torn": 5, "last": good}
    write_json(subset / "X_instructions.json", {"data": data})
    rows = list(read_source(f"mimicit:{subset}/X_instructions.json"))
    assert [type(row) for row in rows] == [Example, Refused, Refused, Refused, Example]
    refused = rows[1]
    assert isinstance(refused, Refused)
    assert refused.reason == reason
    assert refused.where == f"{subset}/X_instructions.json: row 1 (id 'X')"
    assert "\n" not in refused.message


def test_a_key_that_stands_twice_in_an_instruction_is_a_bad_row(subset: Path) -> None:
    (subset / "X_instructions.json").write_text('{"data": {"X": {"instruction": "a", "answer": "b", "answer": "c"}}}')
    (row,) = read_source(f"mimicit:{subset}/X_instructions.json")
    assert isinstance(row, Refused)
    assert "the key 'answer' stands twice" in row.message


def test_an_id_that_is_said_twice_refuses_both(subset: Path) -> None:
    entry = json.dumps(asked("What?", "This.", []))
    (subset / "X_instructions.json").write_text(f'{{"data": {{"a": {entry}, "b": {entry}, "a": {entry}}}}}')
    assert [row.reason for row in refusals(f"mimicit:{subset}/X_instructions.json")] == ["duplicate id"] * 2
    (subset / "X.json").write_text('{"P": "aaaa", "P": "bbbb", "E": "", "N": null, "O": [1, 2, 3]}')
    data = {name: asked("What?", "This.", [name]) for name in "PENO"}
    write_json(subset / "X_instructions.json", {"data": data})
    loaded = load_examples(f"mimicit:{subset}/X_instructions.json", on_bad="refuse")
    assert [row.reason for row in loaded.refused] == ["duplicate id", *["image unreadable"] * 3]


def test_a_key_of_the_train_file_without_an_instruction_is_refused(subset: Path) -> None:
    write_json(subset / "LACONV_train.json", {"gone": [], "SD_INS_1": 3, "TEXT_INS_1": ["OLD_INS_1"]})
    rows = list(read_source(f"mimicit:{subset}"))
    assert [row.reason for row in rows if isinstance(row, Refused)] == ["unknown id", "bad row"]
    assert isinstance(rows[2], Example)


@pytest.mark.parametrize(
    "content",
    [b"", b"[1]", b"{", b'{"data": 3}', b'{"meta": {}}', b'{"data": {"a": {}}', b'{"data": {}} and more', b"\x89PNG"],
)
def test_a_file_that_is_no_subset_is_an_error_of_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "X_instructions.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"X_instructions\.json"):
        list(read_source(f"mimicit:{path}"))


def test_both_spellings_of_an_image_id_are_one() -> None:
    assert spellings("LA_00_IMG_7") == ("LA_00_IMG_7", "LA_IMG_7")
    assert spellings("LA_IMG_7") == ("LA_IMG_7", "LA_00_IMG_7")
    assert spellings("DC_IMG_v_N1c3C_0000")[1] == "DC_00_IMG_v_N1c3C_0000"
    assert spellings("photo 7") == ("photo 7",)


# Writing


def test_what_is_written_is_read_again_with_its_context(subset: Path, tmp_path: Path) -> None:
    write_json(subset / "LACONV_train.json", {"SD_INS_1": ["TEXT_INS_1", "OLD_INS_1"], "OLD_INS_1": ["SD_INS_1"]})
    rows = list(rows_of(f"mimicit:{subset}").values())
    out = tmp_path / "out" / "NEW_instructions.json"
    assert mimicit.FORMAT.write is not None
    assert mimicit.FORMAT.write(rows, out) == 2
    assert {path.name for path in out.parent.iterdir()} == {"NEW_instructions.json", "NEW.json", "NEW_train.json"}
    again = list(rows_of(f"mimicit:{out}").values())
    assert [shown_by(row) for row in again] == [shown_by(row) for row in rows]
    assert len(json.loads((out.parent / "NEW.json").read_text())) == 3
    assert set(json.loads(out.read_text())) == {"meta", "data"}
    content = {path.name: path.read_bytes() for path in out.parent.iterdir()}
    mimicit.FORMAT.write(again, out)
    assert {path.name: path.read_bytes() for path in out.parent.iterdir()} == content


def test_what_the_layout_cannot_say_is_refused_and_leaves_the_old_files(tmp_path: Path) -> None:
    image = draw(tmp_path / "a.png")
    reply = Turn("assistant", (Text("Yes."),))
    question = Turn("user", (image, Text("Is it?")))
    good = Example("good", (question, reply))
    nested = Example("n", good.turns, demonstrations=(Example("m", good.turns, demonstrations=(good,)),))
    cannot = [
        Example("x", (Turn("user", (Text("Is "), image, Text("it?"))), reply)),
        Example("x", (question, Turn("assistant", (image,)))),
        Example("x", (Turn("system", (Text("Look."),)), question, reply)),
        Example("x", (question, reply, question, reply)),
        Example("x", (Turn("user", (VideoRef("a.mp4"), Text("Is it?"))), reply)),
        Example("x", (Turn("user", (ImageRef(image.source, box=(0, 0, 8, 8)), Text("Is it?"))), reply)),
        Example("x", good.turns, labels=(("quality", 1.0),)),
        Example("x", good.turns, facts={"answer": "twice"}),
        Example("x", good.turns, facts={"video": "clip.mp4"}),
        Example("x", good.turns, demonstrations=(Example("x", good.turns),)),
        Example("x", good.turns, demonstrations=(Example("good", (Turn("user", (Text("Else?"),)), reply)),)),
        Example("good", good.turns),
        Example("x", (Turn("user", (ImageRef(str(tmp_path / "gone.png")), Text("Is it?"))), reply)),
        nested,
    ]
    assert mimicit.FORMAT.write is not None
    out = tmp_path / "out" / "X_instructions.json"
    mimicit.FORMAT.write([good], out)
    before = {path.name: path.read_bytes() for path in out.parent.iterdir()}
    for example in cannot:
        with pytest.raises(DataError, match=r"X_instructions\.json: row 1 .* cannot be written"):
            mimicit.FORMAT.write([good, example], out)
    assert {path.name: path.read_bytes() for path in out.parent.iterdir()} == before
    with pytest.raises(DataError, match="_instructions"):
        mimicit.FORMAT.write([good], tmp_path / "rows.json")
