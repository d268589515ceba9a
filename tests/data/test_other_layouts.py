"""A file given to another format than its own: the refusal says which format it looks like, and what to write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from triptych.core.errors import ConfigError, DataError
from triptych.core.records import Example, Json
from triptych.data.disk.json_rows import Row
from triptych.data.format import OTHER_LAYOUT, Refused, random_rows, read_source

SAID: list[Json] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
FROM: list[Json] = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
MANTIS: dict[str, Json] = {"id": "m", "images": [], "conversation": SAID}


def written(folder: Path, *rows: Json, name: str = "train.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(list(rows)), encoding="utf-8")
    return path


def first_refusal(source: str, number: int = 0) -> Refused:
    row = [*read_source(source)][number]
    assert isinstance(row, Refused), row
    return row


@pytest.mark.parametrize("name", ["sharegpt", "llava", "messages", "trl", "cauldron", "nlvr", "mantis_eval", "alpaca"])
def test_a_mantis_file_is_recognised_whatever_it_is_read_as(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, MANTIS)
    row = first_refusal(f"{name}:{path}")
    assert row.reason == OTHER_LAYOUT
    assert row.message.endswith(f"The file looks like mantis (or swift): write mantis:{path}")


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"sentence": "s", "label": "True", "identifier": "dev-0-0", "directory": "3"}, "nlvr"),
        ({"texts": [{"user": "a", "assistant": "b"}], "images": []}, "cauldron"),
        ({"messages": SAID}, "messages"),
        ({"prompt": "How good?", "images": [], "labels": {"good": 1.0}}, "mantis_classification"),
    ],
)
def test_other_files_are_recognised_too(row: dict[str, Json], name: str, tmp_path: Path) -> None:
    path = written(tmp_path, row)
    told = first_refusal(f"llava:{path}").message
    assert f"The file looks like {name}" in told
    assert told.endswith(f"write {name}:{path}")


def test_what_is_to_be_written_keeps_the_options(tmp_path: Path) -> None:
    source = f"{written(tmp_path, MANTIS)}#limit=1"
    assert first_refusal(f"sharegpt:{source}").message.endswith(f"write mantis:{source}")


def test_pictures_that_are_not_there_hide_no_layout(tmp_path: Path) -> None:
    path = written(tmp_path, {**MANTIS, "images": ["gone.png"]})
    assert "looks like mantis (or swift)" in first_refusal(f"sharegpt:{path}").message


def test_a_file_that_cannot_be_read_at_all_is_recognised_too(tmp_path: Path) -> None:
    path = written(tmp_path, MANTIS)
    with pytest.raises(DataError, match="looks like mantis"):
        list(read_source(f"webdataset:{path}"))


def test_one_odd_row_of_a_file_says_nothing_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, {"id": "l", "conversations": FROM}, MANTIS)
    rows = list(read_source(f"llava:{path}"))
    assert isinstance(rows[0], Example)
    assert isinstance(rows[1], Refused)
    assert "looks like" not in rows[1].message


def test_rows_of_no_known_layout_name_their_keys_and_no_format(tmp_path: Path) -> None:
    told = first_refusal(f"sharegpt:{written(tmp_path, {'colour': 'red', 'sound': 'loud'})}").message
    assert "it has no 'conversations'" in told
    assert "Its keys are: colour, sound." in told
    assert "looks like" not in told
    assert "null" not in told


@pytest.mark.parametrize(
    ("name", "row", "told"),
    [
        ("messages", {"id": "x", "messages": None}, "'messages' is null. Mend the row or leave it out."),
        ("mantis_eval", {"question_type": None}, "'question_type' is null. Mend the row or leave it out."),
        ("messages", {}, "it is an empty object. Mend the row or leave it out."),
        ("llava", {}, "it is an empty object. Mend the row or leave it out."),
        ("alpaca", {}, "it is an empty object. Mend the row or leave it out."),
        ("alpaca", {"instruction": None}, "'instruction' is null. Mend the row or leave it out."),
        ("alpaca", {"instruction": "", "output": "b"}, "'instruction' is empty. Mend the row or leave it out."),
        ("alpaca", {"instruction": [], "output": "b"}, "'instruction' is empty. Mend the row or leave it out."),
        ("alpaca", {"query": "", "response": "b"}, "'query' is empty. Mend the row or leave it out."),
        ("swift", {"id": "x", "messages": None}, "'messages' is null. Mend the row or leave it out."),
        ("swift", {"conversations": None, "images": []}, "'conversations' is null. Mend the row or leave it out."),
    ],
)
def test_a_row_that_says_nothing_is_told_what_it_is(name: str, row: dict[str, Json], told: str, tmp_path: Path) -> None:
    refused = first_refusal(f"{name}:{written(tmp_path, row)}")
    assert refused.reason == "bad row"
    assert refused.message.endswith(f": {told}")


def test_a_key_that_is_null_beside_the_key_of_another_layout_is_of_that_layout(tmp_path: Path) -> None:
    row = first_refusal(f"sharegpt:{written(tmp_path, {**MANTIS, 'conversations': None})}")
    assert row.reason == OTHER_LAYOUT
    assert "Read the file as mantis or swift." in row.message


def test_rows_that_are_read_at_random_say_it_as_well(tmp_path: Path) -> None:
    found = random_rows(f"sharegpt:{written(tmp_path, MANTIS)}")
    assert found is not None
    row = found.read(Row(0, dict(MANTIS)))
    assert isinstance(row, Refused)
    assert "looks like mantis" in row.message


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("mantis:train.json#imge_dir=x", "no option 'imge_dir'. Did you mean 'image_dir'?"),
        ("nlvr:train.json#lmit=2", "no option 'lmit'. Did you mean 'limit'?"),
        ("mimicit:train.json#contxt=none", "no option 'contxt'. Did you mean 'context'?"),
        ("webdataset:train.tar#missing_mark=front", "Did you mean 'missing_marks'?"),
        ("mantis_hub:folder#splt=train", "no option 'splt'. Did you mean 'split'?"),
    ],
)
def test_an_unknown_option_offers_the_nearest(source: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_source(source)
    assert told in str(refused.value)


ASKED_OF_PICTURE: list[Json] = [{"type": "image"}, {"type": "text", "text": "What?"}]
TRL: dict[str, Json] = {"messages": [{"role": "user", "content": ASKED_OF_PICTURE}, SAID[1]], "images": ["a.png"]}
SHOWN: dict[str, Json] = {"type": "image_url", "image_url": {"url": "a.png"}}
OPENAI: dict[str, Json] = {"messages": [{"role": "user", "content": [SHOWN, ASKED_OF_PICTURE[1]]}, SAID[1]]}
NUMBERED: dict[str, Json] = {
    "messages": [{"role": "user", "content": [{"type": "image", "image": 0}, {"type": "text", "text": "a"}]}, SAID[1]],
    "images": ["a.png"],
}
QWEN_VL: dict[str, Json] = {"conversations": [{"from": "user", "value": "Picture 1: <img>a.png</img> a?"}, FROM[1]]}


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("read_as", ["messages", "alpaca", "cauldron"])
def test_a_format_that_would_leave_the_pictures_as_words_is_not_recommended(
    read_as: str, there: bool, tmp_path: Path
) -> None:
    if there:
        (tmp_path / "a.png").write_bytes(b"")
    path = written(tmp_path, QWEN_VL)
    assert first_refusal(f"{read_as}:{path}").message.endswith(f"The file looks like qwen_vl: write qwen_vl:{path}")


@pytest.mark.parametrize(
    ("read_as", "row", "name"),
    [
        ("messages", TRL, "sharegpt"),  # which reads it as trl does
        ("trl", OPENAI, "messages"),
        ("trl", NUMBERED, "messages"),
        ("sharegpt", NUMBERED, "messages"),
        ("swift", NUMBERED, "messages"),
    ],
)
def test_a_layout_with_the_same_keys_is_recognised_whatever_the_reason(
    read_as: str, row: dict[str, Json], name: str, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    path = written(tmp_path, row, row)
    told = first_refusal(f"{read_as}:{path}").message
    assert f"The file looks like {name}" in told
    assert told.endswith(f"write {name}:{path}")


PARTS: list[Json] = [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What?"}]


@pytest.mark.parametrize(
    ("read_as", "row"),
    [
        ("llava", {"image": "a.png", "conversations": [{"from": "human", "value": "<image><image>a"}, FROM[1]]}),
        ("llava", {"image": ["a.png", "a.png"], "conversations": [{"from": "human", "value": "<image>a"}, FROM[1]]}),
        ("llava", {"pos_image": ["a.png"], "conversations": FROM}),
        ("mantis", {"conversation": [{"role": "user", "content": "<image>a"}, SAID[1]]}),
        ("messages", {"messages": SAID, "colour": 1}),
        ("messages", {"messages": SAID, "labels": "x"}),
        ("messages", {"messages": [{"role": "user", "content": "a", "name": "B"}, SAID[1]]}),
        ("messages", {"messages": [{"role": "user", "content": PARTS}, SAID[1]], "weight": 0}),
        ("mantis_eval", {"question_type": "multi-choice", "question": "a", "images": [], "options": [], "answer": "A"}),
        ("qwen_vl", {"conversations": [{"from": "user", "value": "<img>a.png</img> a"}, FROM[0]]}),
    ],
)
def test_a_broken_row_is_not_sent_to_a_format_that_reads_it_with_a_loss(
    read_as: str, row: dict[str, Json], tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    assert "looks like" not in first_refusal(f"{read_as}:{written(tmp_path, row)}").message


def test_pictures_under_keys_that_another_format_would_lose_make_it_none_to_recommend(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    row: dict[str, Json] = {"id": "x", "conversations": FROM, "left_image": "a.png", "right_image": "a.png"}
    assert "looks like" not in first_refusal(f"messages:{written(tmp_path, row)}").message


def test_the_rows_that_are_looked_at_are_the_sources_own(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    path = written(tmp_path, NUMBERED, TRL, TRL)
    assert "looks like" not in first_refusal(f"messages:{path}#rows=0-2", 1).message
    assert first_refusal(f"messages:{path}#rows=1-2").message.endswith(f"write sharegpt:{path}#rows=1-2")


def test_a_first_row_without_the_key_of_its_layout_is_enough_to_look_for_another(tmp_path: Path) -> None:
    path = written(tmp_path, MANTIS, {"id": "l", "conversations": FROM})
    assert "The file looks like mantis" in first_refusal(f"llava:{path}").message


def test_where_some_row_of_the_file_can_be_used_the_others_are_bad_rows(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    path = written(tmp_path, TRL, NUMBERED)
    assert "looks like" not in first_refusal(f"messages:{path}").message
    path = written(tmp_path, TRL, {**NUMBERED, "images": ["gone.png"]})
    assert "looks like" not in first_refusal(f"messages:{path}").message
