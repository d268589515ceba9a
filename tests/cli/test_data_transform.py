"""``triptych data transform``: steps from a file, new rows with their pictures, and what was refused or left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Triptych


def test_steps_of_a_file_make_new_rows_with_their_pictures(triptych_here: Triptych, chats: str, tmp_path: Path) -> None:
    (tmp_path / "steps.yaml").write_text("steps: [{kind: in_front}, {kind: number_images}, {kind: shuffle_images}]\n")
    done = triptych_here(tmp_path, "data", "transform", chats, "messages:new/rows.jsonl", "--steps", "steps.yaml")
    assert done.returncode == 0
    row, _, _ = map(json.loads, (tmp_path / "new" / "rows.jsonl").read_text().splitlines())
    texts = [part.get("text", "[]") for part in row["messages"][0]["content"]]
    assert "".join(texts) == "Image 1: []\nImage 2: []\n\nIs image 1 or image 2 red?"
    assert all((tmp_path / "new" / entry).is_file() for entry in row["images"])
    assert "left" in row["facts"]["transforms"][0], "'The first.' may mean an image"
    said = done.stderr.splitlines()
    assert said[-2:] == [
        "shuffle_images left 1 row as they were; their notes say why",
        "new/rows.jsonl: 3 rows, 1 refused",
    ]
    assert "refused: image file missing: 1" in said


def test_rows_that_a_step_refuses_are_counted(triptych_here: Triptych, chats: str, tmp_path: Path) -> None:
    (tmp_path / "steps.yaml").write_text("steps:\n  - {kind: limit_images, most: 1}\n")
    done = triptych_here(tmp_path, "data", "transform", chats, "messages:rows.jsonl", "--steps", "steps.yaml")
    assert done.returncode == 0
    assert "refused: too many images: 1" in done.stderr
    assert done.stderr.splitlines()[-1] == "rows.jsonl: 2 rows, 2 refused"


def test_a_seed_decides_what_is_drawn(triptych_here: Triptych, tmp_path: Path) -> None:
    rows = [
        {"id": f"{at}", "messages": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "That."}]}
        for at in range(20)
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "steps.yaml").write_text('steps:\n  - {kind: task_prompt, rules: [{suffix: [" A", " B"]}]}\n')
    made = []
    for seed in ("1", "1", "2"):
        arguments = ("messages:rows.json", "messages:new.jsonl", "--steps", "steps.yaml", "--seed", seed)
        assert triptych_here(tmp_path, "data", "transform", *arguments).returncode == 0
        made.append((tmp_path / "new.jsonl").read_text())
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize(
    ("steps", "to", "said"),
    [
        (
            "steps: [{kind: in_frnt}]",
            "messages:new.jsonl",
            "no transform is called 'in_frnt'. Did you mean 'in_front'?",
        ),
        ("steps: [{kind: merge, share: 3}]", "messages:new.jsonl", "less than or equal to 1"),
        ("stps: []", "messages:new.jsonl", "stps: unknown key. Did you mean 'steps'?"),
        ("steps: []", "messages:chats.json", "is the source itself"),
        ("steps: []", "messages:new.jsonl#limit=3", "option of reading"),
    ],
)
def test_what_is_wrong_is_one_line(
    triptych_here: Triptych, chats: str, tmp_path: Path, steps: str, to: str, said: str
) -> None:
    (tmp_path / "steps.yaml").write_text(steps)
    done = triptych_here(tmp_path, "data", "transform", chats, to, "--steps", "steps.yaml")
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "new.jsonl").exists()
