"""Rows that are held out share no picture with the others, nor a copy of one, and are the same ones each time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from numpy.random import default_rng
from PIL import Image
from typer.testing import CliRunner

from triptych.cli.main import build_app
from triptych.core.errors import ConfigError, DataError
from triptych.core.records import Example
from triptych.data.format import read_source
from triptych.data.trust.split import split


def picture(path: Path, seed: int) -> None:
    """Write a picture that looks like no other."""
    blocks = default_rng(seed).integers(0, 256, (6, 6, 3), dtype="uint8")
    Image.fromarray(blocks).resize((96, 96), Image.Resampling.BICUBIC).save(path)


def row(name: str, images: list[str], words: str = "What is it?") -> dict[str, object]:
    parts = [*({"type": "image", "image": at} for at in range(len(images))), {"type": "text", "text": words}]
    said = [{"role": "user", "content": parts}, {"role": "assistant", "content": f"It is {name}."}]
    return {"id": name, "images": images, "messages": said}


def write(folder: Path, rows: list[dict[str, object]]) -> str:
    path = folder / "all.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return f"messages:{path}"


def shared_rows(folder: Path) -> str:
    """Write 20 pairs of rows about one picture each, of which one of a pair shows it smaller and as JPEG."""
    rows = []
    for number in range(20):
        picture(folder / f"{number}.png", number)
        with Image.open(folder / f"{number}.png") as whole:
            whole.resize((72, 72)).save(folder / f"{number}.jpg", quality=85)
        rows += [row(f"first-{number}", [f"{number}.png"]), row(f"second-{number}", [f"{number}.jpg"])]
    return write(folder, rows)


def said(*words: str) -> str:
    result = CliRunner().invoke(build_app(), ["data", "split", *words])
    if result.exception is not None:
        raise result.exception
    return result.stderr


def ids(source: str) -> list[str]:
    return [each.id for each in read_source(source) if isinstance(each, Example)]


def test_both_sides_are_written_and_share_no_picture(tmp_path: Path) -> None:
    source = shared_rows(tmp_path)
    held, rest = f"messages:{tmp_path / 'held.jsonl'}", f"messages:{tmp_path / 'rest.jsonl'}"
    told = said(source, held, rest, "--share", "0.2")
    assert len(ids(held)) == 8
    assert sorted(ids(held) + ids(rest)) == sorted(ids(source))
    assert not {name.rpartition("-")[2] for name in ids(held)} & {name.rpartition("-")[2] for name in ids(rest)}
    assert "8 of 40 rows held out (20.0%); 20 groups that share no picture, the largest of 2 rows" in told
    assert ids(rest) == [name for name in ids(source) if name in ids(rest)]


def test_rows_are_bound_by_chains_of_pictures_and_rows_without_any_by_their_words(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / f"{number}.png", number)
    chained = [row(f"chain-{at}", [f"{at}.png", f"{at + 1}.png"]) for at in range(3)]
    alone = [row(f"text-{at}", [], words="Say so." if at < 2 else f"Say {at}.") for at in range(2)]
    alone[1]["messages"] = alone[0]["messages"]
    found = split(write(tmp_path, [*chained, *alone]), share=0.4)
    assert (found.groups, found.largest) == (2, 3)
    assert found.held == {3, 4}


def test_parts_of_a_picture_and_frames_of_a_video_are_on_the_side_of_the_whole(tmp_path: Path) -> None:
    (tmp_path / "va").mkdir()
    (tmp_path / "vb").mkdir()
    for number in range(3):
        picture(tmp_path / f"{number}.png", number)
        for folder in ("va", "vb"):
            picture(tmp_path / folder / f"{number}.png", 10 + number)
    boxed = [{"path": "0.png", "box": box} for box in ([0, 0, 90, 96], [5, 0, 96, 96])]
    rows = [row(f"box-{at}", [each]) for at, each in enumerate(boxed)]  # type: ignore[list-item]
    rows += [row("whole", ["0.png"]), row("frame", ["va/0.png"]), row("other", ["2.png"])]
    for name in ("va", "vb"):
        told = row(f"video-{name}", [])
        parts = [{"type": "video", "video": 0}, {"type": "text", "text": "What happens?"}]
        said = [{"role": "user", "content": parts}, {"role": "assistant", "content": "This."}]
        rows.append(told | {"videos": [name], "messages": said})
    found = split(write(tmp_path, rows), share=0.5)
    assert not found.refused
    assert (found.groups, found.largest) == (3, 3)
    assert {0, 1, 2} <= found.held or {0, 1, 2} <= found.rest
    assert {3, 5, 6} <= found.held or {3, 5, 6} <= found.rest


def test_the_choice_follows_from_seed_and_ids_alone(tmp_path: Path) -> None:
    rows = [row(f"text-{at}", [], words=f"Say {at}.") for at in range(200)]
    source = write(tmp_path, rows)
    first = split(source, share=0.1)
    assert split(source, share=0.1) == first
    assert len(first.held) == 20
    assert split(source, share=0.1, seed=1).held != first.held
    more = write(tmp_path, [*rows, *(row(f"more-{at}", [], words=f"Tell {at}.") for at in range(20))])
    assert len(split(more, share=0.1).held & first.held) >= 16


def test_refused_rows_are_on_neither_side_and_told(tmp_path: Path) -> None:
    source = write(tmp_path, [row("a", ["gone.png"]), *(row(f"b-{at}", [], words=f"Say {at}.") for at in range(4))])
    found = split(source, share=0.5)
    assert found.held | found.rest == {1, 2, 3, 4}
    assert len(found.held) == 2
    assert "gone.png" in said(source, f"messages:{tmp_path / 'h.jsonl'}", f"messages:{tmp_path / 'r.jsonl'}")


def test_what_cannot_be_split_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "0.png", 0)
    source = write(tmp_path, [row(f"same-{at}", ["0.png"]) for at in range(10)])
    with pytest.raises(
        DataError, match="each row belongs to a group of 10 or more that share pictures or words, and 1"
    ):
        split(source, share=0.1)
    for share in (0.0, 1.0, -1.0, 1.5):
        with pytest.raises(ConfigError, match="leaves one side empty"):
            split(source, share=share)
    with pytest.raises(ConfigError, match="are one file"):
        said(source, f"messages:{tmp_path / 'h.jsonl'}", f"messages:{tmp_path / 'h.jsonl'}")
    with pytest.raises(ConfigError):
        said(source, source, f"messages:{tmp_path / 'r.jsonl'}")
    with pytest.raises(DataError, match="has no row that can be used"):
        split(write(tmp_path, [row("a", ["gone.png"])]), share=0.5)
