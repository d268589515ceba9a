"""Rows of preferences and of tools: refused by every layout that does not have their keys, never learnt as plain."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.reading import Row, read, used
from tests.data.subsets import asked, draw_subset, write_json
from tests.data.tars import one, packed
from tests.pictures import draw
from triptych.core.errors import DataError
from triptych.core.plugins import find
from triptych.core.records import Example, Json
from triptych.data.format import Format, Refused, load_examples, read_source

FROM: list[Json] = [{"from": "human", "value": "<image>Which?"}, {"from": "gpt", "value": "This."}]
ROLES: list[Json] = [{"role": "user", "content": "<image>Which?"}, {"role": "assistant", "content": "This."}]
ROWS: dict[str, Row] = {
    "llava": {"image": "a.png", "conversations": FROM},
    "mantis": {"images": ["a.png"], "conversations": FROM},
    "mantis_video": {"images": ["a.png"], "conversation": ROLES},
    "mantis_classification": {"images": ["a.png"], "prompt": "Good?", "labels": {"good": 1}},
    "mantis_eval": {"images": [], "question_type": "short-answer", "question": "Which?", "answer": "This."},
    "qwen_vl": {"conversations": [{"from": "user", "value": "<img>a.png</img>?"}, {"from": "assistant", "value": "b"}]},
    "cauldron": {"images": ["a.png"], "texts": [{"user": "Which?", "assistant": "This."}]},
}
FOREIGN: list[Row] = [
    {"chosen": "a", "rejected": "b"},
    {"rejected": "b"},
    {"rejected_response": "b"},
    {"rejected_conversations": FROM},
    {"kto_tag": False},
    {"kto_tag": True},
    {"tools": "[{}]"},
]
EMPTY: Row = {"chosen": None, "rejected": "", "rejected_images": [], "kto_tag": None, "tools": ""}
OTHERS: Row = {
    "label": False,
    "metadata": {"dataset": "DocVQA", "chosen": "a"},
    "choice_list": ["a", "b"],
    "data_source": "academic",
    "relevance_ratings": [5],
    "relevance_min": 5,
    "source": "nlvr2",
}
"""Keys of M4-Instruct, LLaVA-Video, FineVision and Mantis-Instruct, and a label of somebody's own."""


@pytest.mark.parametrize("layout", ROWS)
@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda keys: "+".join(keys))
def test_preferences_and_tools_are_refused_by_name(layout: str, foreign: Row, tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    good, bad = read(layout, tmp_path, ROWS[layout], {**ROWS[layout], **foreign})
    assert isinstance(good, Example), good
    assert isinstance(bad, Refused), bad.facts
    assert bad.reason == "bad row"
    assert "which Triptych does not tune on" in bad.message
    assert any(f"'{key}'" in bad.message for key in foreign)


@pytest.mark.parametrize("layout", ROWS)
def test_empty_ones_say_nothing_and_published_keys_are_facts(layout: str, tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    plain = used(layout, tmp_path, ROWS[layout]).facts
    assert used(layout, tmp_path, {**ROWS[layout], **EMPTY, **OTHERS}).facts == {**plain, **OTHERS}
    for tools in ([], {}, "[]", "{}", "null"):
        assert used(layout, tmp_path, {**ROWS[layout], "tools": tools, "rejected": None}).facts == plain


@pytest.mark.parametrize("layout", ROWS)
def test_a_fact_of_such_a_name_is_not_written_where_it_would_be_refused(layout: str, tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    read_one = used(layout, tmp_path, ROWS[layout])
    example = replace(read_one, facts={**read_one.facts, "rejected": "b"})
    write = find("format", layout, expected=Format).write
    assert write is not None
    with pytest.raises(DataError, match="its fact 'rejected' has the name of a key"):
        write([example], tmp_path / "out.jsonl")


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda keys: "+".join(keys))
def test_a_sample_of_a_shard_is_refused_too(foreign: Row, tmp_path: Path) -> None:
    picture = Path(draw(tmp_path / "a.png").source).read_bytes()
    for said in ({"conversations": FROM}, {"conversation": ROLES}, {"messages": ROLES[1:]}, {"caption": "A cat."}):
        path = packed(tmp_path / "a.tar", ("0.png", picture), ("0.json", {**said, **foreign}))
        (found,) = read_source(f"webdataset:{path}")
        assert isinstance(found, Refused), found.facts
    assert one(packed(tmp_path / "a.tar", ("0.png", picture), ("0.json", {"caption": "A cat.", **EMPTY}))).facts == {}


def test_an_instruction_of_mimic_it_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    draw_subset(tmp_path / "LA")
    data: Row = {
        "bad": asked("Say hello.", "Hello.", [], rejected="Go away."),
        "good": asked("Say hello.", "Hello.", [], rejected="", label=False),
    }
    write_json(tmp_path / "LA" / "LACONV_instructions.json", {"meta": {}, "data": data})
    source = f"mimicit:{tmp_path / 'LA' / 'LACONV_instructions.json'}"
    bad, good = read_source(source)
    assert isinstance(bad, Refused), bad.facts
    assert "preference pairs" in bad.message
    assert isinstance(good, Example)
    assert good.facts == {"label": False}


def test_a_file_of_llama_factory_under_mantis_keeps_its_wanted_rows_only(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    rows = [{**ROWS["mantis"], "id": str(wanted), "kto_tag": wanted} for wanted in (True, False)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert not load_examples(f"mantis:{tmp_path / 'rows.json'}", on_bad="refuse").examples
