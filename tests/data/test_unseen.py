"""Rows whose pictures are not there are read by their words; one picture of two sizes is no other picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.test_near import scene
from triptych.core.records import Json
from triptych.data.trust.check import check
from triptych.data.trust.unseen import unseen_rows


def row_of(name: str, image: str, **others: Json) -> dict[str, Json]:
    said: Json = [{"from": "human", "value": f"<image>What is {name}?"}, {"from": "gpt", "value": f"It is {name}."}]
    return {"id": name, "image": image, "conversations": said, **others}


@pytest.mark.parametrize("options", ["", "#image_dir=photos"])
def test_rows_that_where_does_not_choose_are_not_counted(options: str, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    path = tmp_path / "rows.jsonl"
    rows = [row_of(f"r{at}", f"gone-{at}.png", set="ab"[at % 2]) for at in range(6)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    source = f"llava:{path}{options.replace('photos', str(tmp_path / 'photos'))}#where=set:b"
    assert [row.id for row in unseen_rows(source, [0, 2])] == ["r1", "r5"]
    assert [row.id for row in unseen_rows(f"{source}#rows=1-2", [0, 1])] == ["r3", "r5"]


def test_a_picture_that_two_rows_show_in_two_sizes_is_one_file_and_no_doubt(tmp_path: Path) -> None:
    scene(1).save(tmp_path / "a.png")
    scene(1).save(tmp_path / "copy.png")

    def said(name: str, image: Json, **sized: Json) -> str:
        part: Json = {"type": "image", "image": 0, **sized}
        asked: Json = {"role": "user", "content": [part, {"type": "text", "text": f"What is {name} here?"}]}
        answered: Json = {"role": "assistant", "content": f"It is {name}, and nothing else."}
        return json.dumps({"id": name, "images": [image], "messages": [asked, answered]}) + "\n"

    path = tmp_path / "rows.jsonl"
    path.write_text(said("large", "a.png") + said("small", "a.png", resize=[160, 120]))
    assert "near-duplicate picture" not in check([f"messages:{path}"], decode=True).warnings
    path.write_text(path.read_text() + said("third", "copy.png"))
    assert check([f"messages:{path}"], decode=True).warnings["near-duplicate picture"] == 1
