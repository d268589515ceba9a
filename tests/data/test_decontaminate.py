"""Rows that a benchmark holds too are found by picture and by words, in either direction; others are left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.test_check import put
from tests.data.test_doubts import talk
from tests.data.test_near import cut, saved, scene
from triptych.core.records import Json
from triptych.data.text.wording import all_words, runs_of, sketch_of, words_in
from triptych.data.trust.decontaminate import COMMON, Found, clean_rows, decontaminate

LONG = "Which of the two boats that lie in the harbour behind the old lighthouse has the taller mast?"
PLACED: Json = {"type": "image", "image": 0, "box": [0, 0, 5, 5], "resize": [8, 8]}
SAYS: Json = {"from": "assistant", "value": "The left one."}


@pytest.fixture
def rooms(tmp_path: Path) -> tuple[Path, Path]:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
    for number in range(4):
        scene(number).save(theirs / f"{number}.png")
    for number in range(10, 13):
        scene(number).save(ours / f"{number}.png")
    return ours, theirs


def compare(rooms: tuple[Path, Path], ours: list[dict[str, Json]], theirs: list[dict[str, Json]]) -> Found:
    return decontaminate([put(rooms[0], *ours)], [put(rooms[1], *theirs)])


def shown(name: str, image: str, text: str = "<image>What now?") -> dict[str, Json]:
    return talk(name, text, f"This is {name}, which nobody else says.", images=(image,))


def benchmark() -> list[dict[str, Json]]:
    return [shown(f"b{number}", f"{number}.png", f"<image>Question {number} of them?") for number in range(4)]


def test_pictures_are_found_scaled_saved_again_and_cut(rooms: tuple[Path, Path]) -> None:
    ours = rooms[0]
    saved(scene(0).resize((120, 90)), 40).save(ours / "scaled.jpg", quality=50)
    saved(cut(scene(1), 0.9), 60).save(ours / "cut.jpg", quality=60)
    scene(2).save(ours / "equal.bmp")
    found = compare(
        rooms,
        [
            shown("x", "10.png"),
            shown("s", "scaled.jpg"),
            shown("c", "cut.jpg"),
            shown("e", "equal.bmp"),
            shown("y", "11.png"),
        ],
        benchmark(),
    )
    assert found.clean == ((0, 0), (0, 4))
    assert found.kinds["picture"] == 3
    told = {match.where.rpartition("'")[0].rpartition("'")[2]: match.message for match in found.matches}
    assert "looks like '0.png'" in told["s"]
    assert "looks like a part of '1.png'" in told["c"]
    assert "is '2.png'" in told["e"]


def test_a_benchmark_picture_that_is_a_cut_of_ours_is_found(rooms: tuple[Path, Path]) -> None:
    cut(scene(10), 0.9).save(rooms[1] / "0.png")
    found = compare(rooms, [shown("x", "10.png"), shown("y", "11.png")], benchmark())
    assert found.clean == ((0, 1),)
    assert "holds what looks like '0.png'" in found.matches[0].message


def test_words_are_found_in_runs_whatever_stands_around_them(rooms: tuple[Path, Path]) -> None:
    theirs = [talk("b", f"Look well. {LONG}", "The left one.")]
    ours = [
        talk("same", LONG.upper().replace(" ", "  ").rstrip("?"), "It is the right one."),
        talk("inside", f"Tell me: {LONG} And why do you think so?", "Because."),
        talk("other", LONG.replace("boats", "ships").replace("old lighthouse", "tower"), "The left."),
    ]
    found = compare(rooms, ours, theirs)
    assert found.clean == ((0, 2),)
    assert found.kinds == {"words": 2}


def test_a_short_turn_must_be_theirs_whole(rooms: tuple[Path, Path]) -> None:
    asked = "How many red cups stand on the table?"
    theirs = [talk("b", asked, "Three.")]
    ours = [talk("same", asked, "Four."), talk("longer", f"{asked[:-1]} of the kitchen?", "Four.")]
    assert compare(rooms, ours, theirs).clean == ((0, 1),)


def test_a_question_that_many_ask_is_told_and_kept(rooms: tuple[Path, Path]) -> None:
    found = compare(rooms, [talk("x", "What is this?", "A cup.")], [talk("b", "what is THIS", "A dog.")])
    assert found.clean == ((0, 0),)
    assert found.kinds == {"question": 1}
    assert found.shared == 0


def test_instructions_of_a_benchmark_are_no_shared_words(rooms: tuple[Path, Path]) -> None:
    asks = "Answer with the letter of the right option from the given choices and with nothing else."
    theirs = [talk(f"b{number}", f"Is it {number}? {asks}", "A") for number in range(COMMON + 1)]
    assert compare(rooms, [talk("x", f"Who is there? {asks}", "B")], theirs).shared == 0
    assert compare(rooms, [talk("x", f"Who is there? {asks}", "B")], theirs[:2]).shared == 1


def test_all_rows_are_counted_and_the_clean_ones_are_given_back_in_order(rooms: tuple[Path, Path]) -> None:
    (rooms[0] / "torn.png").write_bytes((rooms[0] / "10.png").read_bytes()[:300])
    ours = [
        shown("torn", "torn.png"),
        shown("x", "10.png"),
        talk("same", LONG, "No."),
        talk("gone", "a", images=("gone.png",)),
    ]
    source = put(rooms[0], *ours, talk("last", "And?", "No."))
    found = decontaminate([source], [put(rooms[1], talk("b", LONG, "Yes."), talk("bad", "x", images=("gone.png",)))])
    assert (found.examples, len(found.clean), found.shared, len(found.refused)) == (5, 2, 1, 2)
    assert (found.benchmark_rows, len(found.benchmark_refused)) == (1, 1)
    assert [example.id for example in clean_rows([source], found)] == ["x", "last"]
    counts = found.as_json()
    assert counts["examples"] == counts["clean"] + counts["shared"] + counts["refused"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("mantis_eval", {"question_type": "short-answer", "question": LONG, "images": ["no.png"], "answer": "A"}),
        ("qwen_vl", {"conversations": [{"from": "user", "value": f"<img>no.png</img>{LONG}"}, SAYS]}),
        (
            "messages",
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image", "path": "no.png"}, {"type": "text", "text": LONG}]},
                    {"role": "assistant", "content": "A"},
                ]
            },
        ),
        ("sharegpt", {"conversations": [{"from": "human", "value": f"<video>{LONG}"}, SAYS], "videos": ["no.mp4"]}),
        (
            "messages",
            {
                "images": ["no.png"],
                "messages": [
                    {"role": "user", "content": [PLACED, {"type": "text", "text": LONG}]},
                    {"role": "assistant", "content": "A"},
                ],
            },
        ),
    ],
)
@pytest.mark.parametrize("options", ["", "#image_dir={0}/pics#limit=2", "#rows=1-1"])
def test_words_of_a_benchmark_without_its_pictures_are_compared(
    name: str, row: dict[str, Json], options: str, rooms: tuple[Path, Path]
) -> None:
    (rooms[1] / "pics").mkdir()
    source = put(rooms[1], {"id": "odd"}, row).replace("llava:", f"{name}:") + options.format(rooms[1])
    found = decontaminate([put(rooms[0], talk("same", LONG, "It is."), talk("own", "And?", "No."))], [source])
    assert found.clean == ((0, 1),)
    assert (found.benchmark_rows, found.benchmark_words, found.unread) == (0, 1, (source,))


def test_a_benchmark_without_rows_is_none_that_cannot_be_read(rooms: tuple[Path, Path]) -> None:
    ours = put(rooms[0], talk("own", "And?", "No."))
    (rooms[1] / "none.json").write_text("[]")
    sources = [f"llava:{rooms[1] / 'none.json'}", put(rooms[1], {"id": "odd"}) + "#limit=0"]
    found = decontaminate([ours], sources)
    assert (found.clean, found.benchmark_rows, found.unread) == (((0, 0),), 0, ())


def test_words_of_a_benchmark_with_torn_pictures_are_compared(rooms: tuple[Path, Path]) -> None:
    (rooms[1] / "0.png").write_bytes((rooms[1] / "0.png").read_bytes()[:300])
    found = compare(rooms, [talk("same", LONG, "It is.")], [shown("b", "0.png", f"<image>{LONG}"), shown("c", "1.png")])
    assert (found.shared, found.benchmark_rows, found.benchmark_words, found.unread) == (1, 1, 1, ())


def test_words_are_compared_without_case_marks_and_punctuation() -> None:
    assert words_in("<image>Is it “So”?\nＡ１ <VIDEO> don't") == ["is", "it", "so", "a1", "don", "t"]
    assert words_in("这是 abc") == ["这", "是", "abc"]
    assert runs_of(["a", "b", "c"], length=2) == ["a b", "b c"]
    assert runs_of(["a"], length=2) == []


def test_sketches_tell_how_much_two_texts_share() -> None:
    words = [f"word{number}" for number in range(200)]
    half = words[:100] + [f"other{number}" for number in range(100)]
    assert float((sketch_of(words) == sketch_of(list(words))).mean()) == 1
    assert float((sketch_of(words) == sketch_of([*words[:-2], "x", "y"])).mean()) > 0.85
    assert 0.15 < float((sketch_of(words) == sketch_of(half)).mean()) < 0.55
    assert sketch_of([]).shape == (64,)


def test_who_speaks_belongs_to_a_rows_words() -> None:
    from triptych.core.records import Example, Text, Turn

    assert all_words(Example("x", (Turn("user", (Text("Hi there"),)),))) == ["user:", "hi", "there"]
