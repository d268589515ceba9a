"""Replies that are read and not learnt: what rows say of it, in every layout that has turns, there and back."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tests.data.reading import Row, read, shape, used
from tests.data.talking import talk
from triptych.core.errors import DataError
from triptych.core.plugins import find
from triptych.core.records import Example, Json
from triptych.data.disk.json_rows import Row as Line
from triptych.data.disk.spool import decode_row, encode_row
from triptych.data.disk.writing import LeavingOut
from triptych.data.format import Format, Refused, read_source
from triptych.data.plan import corpus as corpus_file
from triptych.data.plan.corpus import open_corpus
from triptych.data.show import show_terminal
from triptych.data.transform import TransformPlan
from triptych.generate.item import Annotation, Item
from triptych.generate.written import item_from_json, item_to_json

LAYOUTS = {
    "messages": ("messages", "role", "content", "user", "assistant"),
    "sharegpt": ("conversations", "from", "value", "human", "gpt"),
    "swift": ("messages", "role", "content", "user", "assistant"),
    "trl": ("messages", "role", "content", "user", "assistant"),
    "mantis": ("conversation", "role", "content", "user", "assistant"),
    "mantis_video": ("conversation", "role", "content", "user", "assistant"),
    "llava": ("conversations", "from", "value", "human", "gpt"),
    "qwen_vl": ("conversations", "from", "value", "user", "assistant"),
}
KEYS = ("loss", "loss_weight", "weight", "loss_scale")
SAYING = ("messages", "swift")
"""Layouts that write it."""

every_layout = pytest.mark.parametrize("name", LAYOUTS)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))


def row_of(name: str, *marks: dict[str, Json], user: dict[str, Json] | None = None) -> Row:
    """Return a conversation with a reply for each mark, what is marked beside it."""
    turns, speaker, text, asking, replying = LAYOUTS[name]
    said: list[Json] = []
    for at, mark in enumerate(marks):
        said += [{speaker: asking, text: f"q{at}", **(user or {})}, {speaker: replying, text: f"a{at}", **mark}]
    return {"id": "x", turns: said}


def learnt(example: Example) -> list[bool]:
    return [turn.learnt for turn in example.turns if turn.role == "assistant"]


def flagged(*said: str, unlearnt: int = 1) -> Example:
    """Return a conversation whose reply at this turn is not learnt."""
    example = talk(*said)
    turns = [replace(turn, learnt=at != unlearnt) for at, turn in enumerate(example.turns)]
    return replace(example, turns=tuple(turns))


@every_layout
@pytest.mark.parametrize("key", KEYS)
def test_zero_and_false_say_that_a_reply_is_not_learnt(name: str, key: str, tmp_path: Path) -> None:
    for nothing in (0, 0.0, False):
        example = used(name, tmp_path, row_of(name, {key: nothing}, {}, {key: 1}))
        assert learnt(example) == [False, True, True]
        assert shape(example)[1] == "assistant: a0"
    for one in (1, 1.0, True, None):
        assert learnt(used(name, tmp_path, row_of(name, {key: one}, {key: one}))) == [True, True]


@every_layout
@pytest.mark.parametrize("value", [0.5, 2, -1, "0", "false", [0], {"a": 0}, float("nan")], ids=repr)
def test_a_weight_in_between_is_refused_by_name(name: str, value: Json, tmp_path: Path) -> None:
    (found,) = read(name, tmp_path, row_of(name, {}, {"weight": value}))
    assert isinstance(found, Refused), found
    assert "turn 3 has 'weight'" in found.message.replace("message 3", "turn 3")
    assert "a reply is learnt or not: write true or false" in found.message


@every_layout
def test_two_keys_say_the_same_or_the_row_is_refused(name: str, tmp_path: Path) -> None:
    assert learnt(used(name, tmp_path, row_of(name, {"loss": False, "weight": 0}, {}))) == [False, True]
    (found,) = read(name, tmp_path, row_of(name, {"loss": True, "weight": 0}))
    assert isinstance(found, Refused)
    assert "'loss' and 'weight', which say different things" in found.message


@pytest.mark.parametrize("name", sorted(LAYOUTS.keys() - {"messages"}))
def test_of_users_it_says_nothing(name: str, tmp_path: Path) -> None:
    plain = used(name, tmp_path, row_of(name, {}))
    assert used(name, tmp_path, row_of(name, {}, user={"loss": False, "weight": 0.5})) == plain


def test_messages_know_the_key_of_replies_alone(tmp_path: Path) -> None:
    (found,) = read("messages", tmp_path, row_of("messages", {}, user={"loss": False}))
    assert isinstance(found, Refused)
    assert "'loss', which would be lost" in found.message


def test_swift_marks_whole_rounds_and_joins_no_replies_that_differ(tmp_path: Path) -> None:
    rounds: Row = {"conversation": [{"human": "a", "assistant": "b", "loss": False}, {"human": "c", "assistant": "d"}]}
    assert learnt(used("swift", tmp_path, rounds)) == [False, True]
    said: list[Json] = [{"role": "user", "content": "a"}]
    said += [{"role": "assistant", "content": text, "loss": False} for text in "bc"]
    joined = used("swift", tmp_path, {"messages": said})
    assert (shape(joined), learnt(joined)) == (["user: a", "assistant: bc"], [False])
    (found,) = read("swift", tmp_path, {"messages": [*said, {"role": "assistant", "content": "d"}]})
    assert isinstance(found, Refused)
    assert "two replies stand side by side" in found.message


def test_trl_reads_it_in_a_prompt_and_its_completion(tmp_path: Path) -> None:
    prompt: Json = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "loss": False},
        {"role": "user", "content": "c"},
    ]
    row: Row = {"prompt": prompt, "completion": [{"role": "assistant", "content": "d"}]}
    assert learnt(used("trl", tmp_path, row)) == [False, True]


@pytest.mark.parametrize("name", SAYING)
def test_it_is_written_and_read_again(name: str, tmp_path: Path) -> None:
    write = find("format", name, expected=Format).write
    assert write is not None
    examples = [flagged("a", "b", "c", "d"), flagged("a", "b", "c", "d", unlearnt=3), talk("a", "b")]
    for ending in ("json", "jsonl"):
        path = tmp_path / f"out.{ending}"
        write(examples, path)
        assert [row.turns for row in read_source(f"{name}:{path}") if isinstance(row, Example)] == [
            each.turns for each in examples
        ]
    *_, plain = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    assert "loss" not in json.dumps(plain)


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "tar"])
def test_it_is_kept_of_demonstrations_too(ending: str, tmp_path: Path) -> None:
    example = replace(flagged("a", "b", "c", "d"), demonstrations=(replace(flagged("e", "f"), id="shown"),))
    name = "webdataset" if ending == "tar" else "messages"
    write = find("format", name, expected=Format).write
    assert write is not None
    write([example, talk("a", "b")], tmp_path / f"out.{ending}")
    first, second = read_source(f"{name}:{tmp_path}/out.{ending}")
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    assert (learnt(first), learnt(first.demonstrations[0]), learnt(second)) == ([False, True], [False], [True])


def test_a_parquet_file_of_an_older_version_is_read(tmp_path: Path) -> None:
    write = find("format", "messages", expected=Format).write
    assert write is not None
    write([talk("a", "b")], tmp_path / "new.parquet")
    table = pq.read_table(tmp_path / "new.parquet")
    rows = table.to_pylist()
    for row in rows:
        for message in row["messages"]:
            assert message.pop("loss") is None
    old = table.select(["id"]).from_pylist([{"id": row["id"], "messages": row["messages"]} for row in rows])
    pq.write_table(old, tmp_path / "old.parquet")
    (found,) = read_source(f"messages:{tmp_path / 'old.parquet'}")
    assert isinstance(found, Example)
    assert learnt(found) == [True]


@pytest.mark.parametrize(
    "name", ["sharegpt", "llava", "mantis", "mantis_video", "trl", "qwen_vl", "alpaca", "cauldron"]
)
def test_a_layout_without_a_word_for_it_refuses_the_row_and_leaves_it_out_where_asked(
    name: str, tmp_path: Path
) -> None:
    write = find("format", name, expected=Format).write
    assert write is not None
    with pytest.raises(DataError, match=r"cannot say that a reply is not learnt\. Write messages or swift instead"):
        write([flagged("a", "b", "c", "d")], tmp_path / "out.jsonl")
    leaving_out = LeavingOut([flagged("a", "b", "c", "d"), talk("a", "b", name="y")])
    assert write(leaving_out, tmp_path / "out.jsonl") == 1
    assert len(leaving_out.left_out) == 1


def test_rows_kept_on_disk_keep_it_and_others_are_written_as_ever() -> None:
    example = replace(flagged("a", "b", "c", "d"), demonstrations=(flagged("e", "f"),))
    assert decode_row(Line(0, json.loads(encode_row(example)))) == example
    turns = b'"turns":[["user",["a"]],["assistant",["b"]]]'
    assert encode_row(talk("a", "b")) == b'{"id":"x",' + turns + b',"origin":"rows.jsonl: row 0"}'


def test_an_item_of_a_run_that_makes_data_keeps_it() -> None:
    example = flagged("a", "b", "c", "d")
    item = Item("x", Annotation("x", ()), example)
    written = json.loads(json.dumps(item_to_json(item)))
    assert item_from_json(written, where="here").example == example


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_corpus_with_the_step_is_another_one_in_memory_and_kept(
    in_memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_memory:
        monkeypatch.setattr(corpus_file, "IN_MEMORY_ROWS", 1)
    rows = [{**row_of("messages", {}, {}, user={"content": f"q{at}"}), "id": str(at)} for at in range(4)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = f"messages:{tmp_path / 'rows.jsonl'}"
    last, once = (TransformPlan.parse({"kind": kind}) for kind in ("learn_last", "drop_repeats"))
    found = {len(steps): open_corpus(source, steps=steps) for steps in ((), (once,), (last, once))}
    assert len({corpus.digest for corpus in found.values()}) == 3
    for corpus in (found[2], open_corpus(source, steps=(last, once))):
        row = corpus.row(2)
        assert isinstance(row, Example)
        assert learnt(row) == [False, True]
    plain = found[1].row(0)
    assert isinstance(plain, Example)
    assert learnt(plain) == [True, True]


def test_shown_green_is_what_is_learnt() -> None:
    console = Console(width=60, record=True, force_terminal=True, color_system="standard", file=io.StringIO())
    console.print(show_terminal(flagged("ask", "earlier", "more", "later")))
    shown = console.export_text(styles=True)
    assert shown.count("assistant, not learnt") == 1
    styles = {word: shown.split(word)[0].rpartition("\x1b[")[2] for word in ("ask", "earlier", "later")}
    assert styles["earlier"] == styles["ask"] != styles["later"]
