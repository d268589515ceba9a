"""Checking: every row is counted once, used or refused with a reason, and statistics count what is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pictures import draw, real_data
from triptych.core.errors import DataError
from triptych.core.records import Json
from triptych.data.trust.check import check
from triptych.data.trust.stats import stats


def row(name: str, *images: str, reply: str = "Yes.", **others: Json) -> dict[str, Json]:
    said = [{"from": "human", "value": "<image>" * len(images) + " Is it so?"}, {"from": "gpt", "value": reply}]
    return {"id": name, "image": list(images), "conversations": said, **others}  # type: ignore[dict-item]


def put(folder: Path, *rows: Json, name: str = "rows.jsonl") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(each) + "\n" for each in rows))
    return f"llava:{folder / name}"


def torn(path: Path) -> None:
    """Leave the header and half of the pixels."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_images_left_out_swapped_or_broken_are_refused_by_row(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw(tmp_path / name)
    (tmp_path / "swapped.png").write_text("an error page instead of a picture")
    source = put(
        tmp_path,
        row("good", "a.png", "b.png"),
        row("left out", "a.png") | {"image": []},
        row("missing", "a.png", "gone.png"),
        row("broken", "swapped.png"),
        row("good", "b.png"),
        row("silent", "a.png", reply=""),
        "no row",
    )
    report = check([source])
    assert report.as_json() == {
        "examples": 7,
        "used": 2,
        "refused": 5,
        "images": 3,
        "videos": 0,
        "reasons": {
            "more marks than images": 1,
            "image file missing": 1,
            "image unreadable": 1,
            "empty reply": 1,
            "bad row": 1,
        },
        "warnings": {"duplicate id": 1},
    }
    messages = [refused.message for refused in report.refusals]
    for number, message in zip((1, 2, 3, 5, 6), messages, strict=True):
        assert f"rows.jsonl: row {number}" in message
    assert "gone.png" in messages[1]
    assert "swapped.png" in messages[2]
    assert "rows.jsonl: row 4" in report.doubts[0].message
    assert "row 0" in report.doubts[0].message, "a duplicate names the row that had the id first"


def test_only_decoding_finds_a_picture_that_ends_early(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", size=(300, 300))
    torn(tmp_path / "a.png")
    source = put(tmp_path, row("x", "a.png"), row("y", "a.png"))
    assert check([source]).used == 2
    assert check([source], decode=True).reasons == {"image unreadable": 2}


def test_an_id_may_recur_in_another_source(tmp_path: Path) -> None:
    sources = [put(tmp_path / folder, row("x")) for folder in ("one", "two")]
    assert check(sources).used == 2
    assert check([sources[0]] * 2).used == 2


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone"):
        check([put(tmp_path, row("x")), f"llava:{tmp_path}/gone.json"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.one_of(
            st.builds(lambda name: row(name), st.sampled_from("abc")),
            st.builds(lambda name: row(name, "a.png"), st.sampled_from("abc")),
            st.builds(lambda name: row(name, "gone.png"), st.sampled_from("abc")),
            st.none() | st.integers() | st.dictionaries(st.sampled_from(["id", "image", "conversations"]), st.text()),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_used_and_refused_are_all_and_reasons_count_the_refused(rows: list[Json], tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    report = check([put(tmp_path, {}, *rows)])
    assert report.used + report.refused == report.examples == len(rows) + 1
    assert sum(report.reasons.values()) == report.refused


def test_statistics_count_what_is_there(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", size=(10, 10))
    draw(tmp_path / "b.png", size=(20, 10))
    source = put(
        tmp_path,
        row("x", "a.png", "b.png", skills=["temporal"], scenario="frames"),
        row("y", "a.png", reply="No, it is not.", skills=["temporal", "comparison"], scenario="images"),
        row("z"),
        row("bad", "gone.png"),
    )
    found = stats(source).as_json()
    assert found == {
        "examples": 3,
        "refused": 1,
        "turns": {"user": 3, "assistant": 3},
        "words": {"user": 9, "assistant": 6},
        "images": 3,
        "distinct_images": 2,
        "images_per_example": {"0": 1, "1": 1, "2": 1},
        "skills": {"temporal": 2, "comparison": 1},
        "scenarios": {"frames": 1, "images": 1},
        "characters": {"least": 14, "median": 14, "most": 24},
        "pixels": {"least": 100, "median": 150, "most": 200},
    }
    assert json.loads(json.dumps(found)) == found


def test_statistics_of_nothing_are_zeros(tmp_path: Path) -> None:
    found = stats(put(tmp_path, {}))
    assert (found.examples, found.refused, found.images, found.characters.median) == (0, 1, 0, 0)


def test_the_real_conversations_are_all_used() -> None:
    source = f"mantis:{real_data('mantis_examples')}/chat/train.json"
    report = check([source], decode=True)
    assert report.as_json() == {
        "examples": 100,
        "used": 100,
        "refused": 0,
        "images": 377,
        "videos": 0,
        "reasons": {},
        "warnings": {},
    }
    assert stats(source).images_per_example == {2: 23, 3: 24, 4: 22, 5: 15, 6: 16}


def test_the_real_statements_are_all_used() -> None:
    report = check([f"nlvr:{real_data('nlvr_dev')}"])
    assert (report.used, report.refused, report.images) == (989, 0, 2967)


def test_the_real_frames_are_all_used_and_alike_only_within_their_rows() -> None:
    source = f"mantis_classification:{real_data('mantis_examples')}/classification/train.json#limit=20"
    report = check([source], decode=True)
    assert (report.used, report.refused, report.warnings) == (20, 0, {})
    assert report.images >= 20 * 8


def test_each_missing_real_video_is_named() -> None:
    report = check([f"mantis_video:{real_data('mantis_examples')}/chat_video/train.json"])
    assert (report.used, report.refused, report.videos) == (3, 17, 3)
    assert report.reasons == {"video file missing": 17}
    assert all(".mp4" in refused.message for refused in report.refusals)
    assert len({refused.message for refused in report.refusals}) == 17
