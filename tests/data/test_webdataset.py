"""WebDataset samples: rows of messages, LLaVA and Mantis, captions, and the names that a row has for its pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.reading import asked
from tests.data.tars import one, packed
from tests.pictures import draw
from triptych.core.errors import ConfigError
from triptych.core.records import Example, ImageRef, Json, Text, Turn, images_of, videos_of
from triptych.data.format import Refused, read_source
from triptych.data.formats import webdataset
from triptych.data.media.images import load_image

COLOURS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, bytes]:
    return {name: Path(draw(tmp_path / f"{name}.png", colour=name).source).read_bytes() for name in COLOURS}


def said(example: Example) -> list[str]:
    """Return what is said, with [colour] for images."""
    names = {colour: name for name, colour in COLOURS.items()}

    def one_part(part: object) -> str:
        if isinstance(part, ImageRef):
            colour = load_image(part).getpixel((0, 0))
            assert isinstance(colour, tuple)
            return f"[{names[colour]}]"  # type: ignore[index]
        assert isinstance(part, Text)
        return part.text

    return [f"{turn.role}: {''.join(map(one_part, turn.parts))}" for turn in example.turns]


# Rows


def test_a_key_that_stands_twice_is_a_bad_row(tmp_path: Path) -> None:
    packed(tmp_path / "a.tar", ("m.json", b'{"conversations": [], "conversations": []}'))
    (row,) = read_source(f"webdataset:{tmp_path / 'a.tar'}")
    assert isinstance(row, Refused)
    assert "the key 'conversations' stands twice" in row.message


def test_an_ending_means_the_same_in_capitals(pictures: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    packed(path, ("m.JPG", pictures["red"]), ("m.JSON", asked("What is <image>?", image="JPG", id="m")))
    assert said(one(path)) == ["user: What is [red]?", "assistant: Yes."]
    packed(path, ("m.PNG", pictures["red"]), ("m.Txt", "A red field."))
    found = one(path)
    assert said(found) == ["user: [red]", "assistant: A red field."]
    assert "unread" not in found.facts
    packed(path, ("m.PNG", pictures["red"]), ("m.txt", "A red field."), ("m.TXT", "Another."))
    (refused,) = read_source(f"webdataset:{path}")
    assert isinstance(refused, Refused)
    assert "two of its files have one name" in refused.message


def test_a_llava_row_has_the_pictures_beside_it(pictures: dict[str, bytes], tmp_path: Path) -> None:
    row = asked("Is <image> older than <image>?", source="stock")
    del row["id"]
    path = packed(tmp_path / "a.tar", ("s/000123.0.png", pictures["red"]), ("s/000123.json", row))
    (refused,) = read_source(f"webdataset:{path}")
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.where) == ("more marks than images", f"{path}: row 0 (id '000123')")
    packed(
        path,
        ("s/000123.0.png", pictures["red"]),
        ("s/000123.json", row),
        ("s/000123.1.png", pictures["blue"]),
        ("s/000124.json", asked("Hello", image=None)),
    )
    first, second = read_source(f"webdataset:{path}")
    assert isinstance(first, Example)
    assert said(first)[0] == "user: Is [red] older than [blue]?"
    assert (first.id, first.origin, first.facts) == ("000123", f"{path}: row 0", {"source": "stock"})
    assert isinstance(second, Example)
    assert (second.id, said(second)[0]) == ("x", "user: Hello")


@pytest.mark.parametrize(
    "names",
    [
        ["1.png", "0.png"],
        ["00.1.png", "00.0.png"],
        ["s/00.1.png", "s/00.0.png"],
        [{"path": "1.png"}, {"path": "0.png"}],
    ],
)
def test_a_row_names_its_pictures_by_extension_or_by_name(
    names: Json, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    row = asked("<image> and <image>", image=names)
    path = packed(
        tmp_path / "a.tar", ("s/00.json", row), ("s/00.0.png", pictures["red"]), ("s/00.1.png", pictures["blue"])
    )
    assert said(one(path))[0] == "user: [blue] and [red]"
    assert said(one(path, "#images=members"))[0] == "user: [red] and [blue]"


@pytest.mark.parametrize("name", ["000.{}.png", "000.image{}.png", "000.v2_{:02}.png"])
def test_more_than_ten_pictures_of_a_sample_stand_in_the_order_of_their_numbers(
    name: str, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    members = [(name.format(number), pictures["blue" if number == 2 else "red"]) for number in range(12)]
    row = asked("<image>" * 12 + "?")
    path = packed(tmp_path / "a.tar", ("000.json", row), *sorted(members))
    assert said(one(path))[0] == "user: [red][red][blue]" + "[red]" * 9 + "?"
    captions = packed(tmp_path / "b.tar", ("000.txt", "Many."), *sorted(members))
    assert said(one(captions))[0] == "user: [red][red][blue]" + "[red]" * 9


def test_pictures_that_not_only_a_number_tells_apart_stay_as_the_tar_has_them(
    pictures: dict[str, bytes], tmp_path: Path
) -> None:
    files = [("000.b2.png", pictures["blue"]), ("000.a1.png", pictures["red"])]
    assert said(one(packed(tmp_path / "a.tar", ("000.txt", "Two."), *files)))[0] == "user: [blue][red]"
    files = [("000.2.png", pictures["blue"]), ("000.png", pictures["red"])]
    assert said(one(packed(tmp_path / "b.tar", ("000.txt", "Two."), *files)))[0] == "user: [blue][red]"


def test_what_is_written_of_many_pictures_is_read_by_members_too(tmp_path: Path) -> None:
    shown = tuple(draw(tmp_path / f"{number}.png", colour=(number, 0, 0)) for number in range(12))
    example = Example("x", (Turn("user", shown), Turn("assistant", (Text("Many."),))))
    assert webdataset.FORMAT.write is not None
    webdataset.FORMAT.write([example], tmp_path / "a.tar")
    for options in ("", "#images=members"):
        read = images_of(one(tmp_path / "a.tar", options))
        assert [load_image(image).getpixel((0, 0)) for image in read] == [(number, 0, 0) for number in range(12)]


def test_a_row_of_messages_or_of_mantis_is_read_as_its_layout_is(pictures: dict[str, bytes], tmp_path: Path) -> None:
    turns: Json = [
        {
            "role": "user",
            "content": [
                {"type": "image", "image": 1},
                {"type": "text", "text": "Like "},
                {"type": "image", "image": 0},
            ],
        },
        {"role": "assistant", "content": "Yes."},
    ]
    boxed: Json = {"path": "b.png", "box": [0, 0, 8, 8]}
    mantis: Json = [{"role": "user", "content": "Compare with <image>."}, {"role": "assistant", "content": "Done."}]
    files = [
        (f"{key}.{name}.png", pictures[colour]) for key in "123" for name, colour in (("a", "red"), ("b", "green"))
    ]
    path = packed(
        tmp_path / "a.tar",
        ("1.json", {"messages": turns, "images": ["a.png", boxed], "labels": {"quality": 2.5}}),
        *files[:2],
        ("2.json", {"messages": turns}),
        *files[2:4],
        ("3.json", {"conversation": mantis, "images": ["b.png", "a.png"]}),
        *files[4:],
    )
    first, second, third = read_source(f"webdataset:{path}")
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    assert isinstance(third, Example)
    assert said(first)[0] == said(second)[0] == "user: [green]Like [red]"
    assert (images_of(first)[0].box, first.labels) == ((0, 0, 8, 8), (("quality", 2.5),))
    assert said(third)[0] == "user: [green]Compare with [red]."


def test_a_caption_is_said_of_the_pictures_before_it(pictures: dict[str, bytes], tmp_path: Path) -> None:
    path = packed(
        tmp_path / "a.tar",
        ("000.png", pictures["red"]),
        ("000.txt", "A red field.\n"),
        ("000.json", {"caption": "other words", "url": "http://example.com/a.png", "key": "000"}),
        ("001.a.png", pictures["red"]),
        ("001.b.PNG", pictures["blue"]),
        ("001.json", {"caption": "Red and blue.", "width": 32}),
        ("001.npy", b"\x93NUMPY"),
    )
    first, second = read_source(f"webdataset:{path}")
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    assert said(first) == ["user: [red]", "assistant: A red field."]
    assert first.facts == {"caption": "other words", "url": "http://example.com/a.png", "key": "000"}
    assert said(second) == ["user: [red][blue]", "assistant: Red and blue."]
    assert second.facts == {"width": 32, "unread": ["npy"]}


def test_a_missing_mark_is_added_only_when_asked(pictures: dict[str, bytes], tmp_path: Path) -> None:
    path = packed(tmp_path / "a.tar", ("0.json", asked("What?")), ("0.png", pictures["red"]))
    assert reasons(path) == ["more images than marks"]
    assert said(one(path, "#missing_marks=front"))[0] == "user: [red]What?"


def test_a_video_of_a_sample_is_unpacked_to_the_cache(tmp_path: Path, cache: Path) -> None:
    path = packed(
        tmp_path / "a.tar",
        ("0.mp4", b"not decoded here"),
        ("0.txt", "A film."),
        ("1.json", asked("<image>?")),
        ("1.mp4", b"x"),
    )
    first, second = read_source(f"webdataset:{path}")
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    assert Path(videos_of(first)[0].source).read_bytes() == b"not decoded here"
    assert Path(videos_of(first)[0].source).is_relative_to(cache)
    assert len(videos_of(second)) == 1


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([("0.json", "{torn")], "bad row"),
        ([("0.json", "[1]")], "bad row"),
        ([("0.json", b"\xff\xfe")], "bad row"),
        ([("0.json", "[" * 100_000)], "bad row"),
        ([("0.json", {})], "bad row"),
        ([("0.txt", "words alone")], "bad row"),
        ([("0.txt", b"\xff"), ("0.png", b"x")], "bad row"),
        ([("0.txt", "   "), ("0.png", b"x")], "empty reply"),
        ([("0.png", b"x")], "bad row"),
        ([("noextension", b"x")], "bad row"),
        ([("0.txt", "a"), ("0.png", b"x"), ("0.png", b"y")], "bad row"),
        ([("0.json", asked("<image>", image="gone.png"))], "image file missing"),
        ([("0.json", asked("<image>", image="../0.png")), ("0.png", b"x")], "image file missing"),
        ([("0.json", asked("<image>", image="json"))], "bad row"),
        ([("0.json", asked("<image>", video="0.png")), ("0.png", b"x")], "bad row"),
        ([("0.json", asked("<image>", image=7)), ("0.png", b"x")], "bad row"),
        ([("0.json", asked("<image>", image={"path": "0.png", "box": [0, 0, 8, 8]})), ("0.png", b"x")], "bad row"),
        ([("0.json", asked("a", "  "))], "empty reply"),
        ([("0.json", {"messages": 3})], "bad row"),
    ],
)
def test_a_bad_sample_is_refused_and_stops_no_other(
    files: list[tuple[str, bytes | str | Json]], reason: str, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    good: list[tuple[str, bytes | str]] = [("good.png", pictures["red"]), ("good.txt", "A red field.")]
    path = packed(
        tmp_path / "a.tar",
        *((f"1-{name}", data) for name, data in good),
        *files,
        *((f"2-{name}", data) for name, data in good),
    )
    first, second, third = read_source(f"webdataset:{path}")
    assert isinstance(first, Example)
    assert isinstance(third, Example)
    assert isinstance(second, Refused)
    assert second.reason == reason
    assert second.where.startswith(f"{path}: row 1")


def test_an_unknown_value_of_an_option_is_refused(tmp_path: Path) -> None:
    for option in ("images=all", "missing_marks=guess", "colour=red"):
        with pytest.raises(ConfigError, match=option.partition("=")[0]):
            read_source(f"webdataset:{tmp_path}#{option}")


def reasons(path: Path) -> list[str]:
    return [row.reason for row in read_source(f"webdataset:{path}") if isinstance(row, Refused)]
