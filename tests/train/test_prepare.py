"""The ledger: used + refused = all, and every refused row is there with its reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.train.runs import toy_recipe
from triptych.core.config import parse_config
from triptych.core.errors import DataError
from triptych.core.files import read_json_lines
from triptych.core.records import Example, ImageRef, Text, Turn
from triptych.data.format import Refused
from triptych.models.families.tiny import tiny
from triptych.train.closed_form import Caption, caption_of
from triptych.train.prepare import LEDGER, digest_of, prepare, render_for
from triptych.train.recipe import Recipe, Tune, resolve

REFUSE = ("    pack_tokens: 160", "    on_bad: refuse\n    pack_tokens: 160")


def tune_stage(recipe: Recipe) -> Tune:
    stage = recipe.stages[-1]
    assert isinstance(stage, Tune)
    return stage


def spoil(folder: Path) -> None:
    """Leave row 1's picture out, break row 2's, and make row 4 too long, each a row of its own."""
    rows = [json.loads(line) for line in (folder / "tune.jsonl").read_text().splitlines()]
    rows[1]["images"][0] = "gone.png"
    (folder / "broken.png").write_bytes(b"not a picture")
    rows[2]["images"][0] = "broken.png"
    rows[4]["messages"][1]["content"] = "very " * 50
    (folder / "tune.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_used_and_refused_make_all_and_each_refusal_names_its_row(tmp_path: Path) -> None:
    stage = tune_stage(toy_recipe(tmp_path, REFUSE))
    spoil(tmp_path)
    used = prepare(stage, render_for(tiny(), pack_tokens=160), run=tmp_path / "run")
    *refused, total = read_json_lines(tmp_path / "run" / LEDGER)
    assert total == {"stage": "tune", "source": stage.data[0].source, "all": 24, "used": 21, "refused": 3}
    assert len(used) == 21
    assert {row["reason"] for row in refused} == {
        "image file missing",
        "image unreadable",
        "longer than pack_tokens",
    }
    for row, number in zip(sorted(refused, key=lambda row: str(row["where"])), (1, 2, 4), strict=True):
        assert f"row {number} (id 'row-{number}')" in str(row["where"])
        assert str(row["message"]).startswith(str(row["where"]))


def test_the_ledger_of_a_run_that_is_taken_up_counts_nothing_twice(tmp_path: Path) -> None:
    stage = tune_stage(toy_recipe(tmp_path, REFUSE))
    spoil(tmp_path)
    for _ in range(2):
        prepare(stage, render_for(tiny(), pack_tokens=160), run=tmp_path / "run")
    records = list(read_json_lines(tmp_path / "run" / LEDGER))
    assert len(records) == 4


def test_a_bad_row_stops_the_run_where_that_is_asked(tmp_path: Path) -> None:
    stage = tune_stage(toy_recipe(tmp_path))
    spoil(tmp_path)
    with pytest.raises(DataError, match=r"row 1 \(id 'row-1'\)"):
        prepare(stage, render_for(tiny(), pack_tokens=160), run=tmp_path / "run")


def test_an_example_longer_than_a_pack_stops_the_run_and_says_what_to_do(tmp_path: Path) -> None:
    stage = tune_stage(toy_recipe(tmp_path))
    with pytest.raises(DataError, match=r"it has \d+ tokens, pack_tokens is 20: raise pack_tokens"):
        prepare(stage, render_for(tiny(), pack_tokens=20), run=tmp_path / "run")


def test_a_stage_of_which_no_row_is_left_is_refused(tmp_path: Path) -> None:
    stage = tune_stage(toy_recipe(tmp_path, REFUSE))
    with pytest.raises(DataError, match=f"no row of its data can be used; the reasons are in .*{LEDGER}"):
        prepare(stage, render_for(tiny(), pack_tokens=20), run=tmp_path / "run")


def test_several_sources_are_counted_each(tmp_path: Path) -> None:
    text = toy_recipe(tmp_path).model_dump_json()
    tree = json.loads(text)
    tree["stages"][0]["data"].append({"source": f"messages:{tmp_path / 'align.jsonl'}"})
    stage = tune_stage(resolve(parse_config(json.dumps(tree), model=Recipe, file="two")))
    used = prepare(stage, render_for(tiny(), pack_tokens=160), run=tmp_path / "run")
    assert [record["used"] for record in read_json_lines(tmp_path / "run" / LEDGER)] == [24, 8]
    assert len(used) == 32


def test_the_digest_follows_words_masks_and_pictures_but_not_the_folder(tmp_path: Path) -> None:
    def digest(name: str, source: str, said: str) -> str:
        image = ImageRef(source, size=(32, 32))
        turns = (Turn("user", (image, Text("?"))), Turn("assistant", (Text(said),)))
        encoded = render_for(tiny(), pack_tokens=160)(Example(id=name, turns=turns))
        assert not isinstance(encoded, Refused)
        return digest_of([encoded])

    base = digest("x", "/a/1.png", "red")
    assert digest("x", "/b/1.png", "red") == base
    assert digest("x", "/a/2.png", "red") != base
    assert digest("x", "/a/1.png", "blue") != base
    assert digest("y", "/a/1.png", "red") != base


def test_an_example_without_a_reply_is_refused() -> None:
    refused = render_for(tiny(), pack_tokens=160)(Example(id="x", turns=(Turn("user", (Text("?"),)),)))
    assert isinstance(refused, Refused)
    assert refused.reason == "no assistant turn"


def test_alignment_takes_one_picture_and_its_caption() -> None:
    image, other = ImageRef("/a.png"), ImageRef("/b.png")
    asked, said = Turn("user", (image,)), Turn("assistant", (Text(" red apple"),))
    assert caption_of(Example(id="x", turns=(asked, said))) == Caption(image, "red apple")
    for turns, reason in (
        ((Turn("user", (image, other)), said), "not one image and one reply"),
        ((asked, said, asked, said), "not one image and one reply"),
        ((asked,), "not one image and one reply"),
        ((asked, Turn("assistant", (Text("  "),))), "empty reply"),
    ):
        refused = caption_of(Example(id="x", turns=turns))
        assert isinstance(refused, Refused)
        assert refused.reason == reason
