"""Rows of ms-swift, Alpaca, the Cauldron and Qwen-VL: each documented kind is read as its own code does, or refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.reading import Row, read, shape, used
from tests.pictures import bare
from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Json, Text, Turn, VideoRef, images_of, videos_of
from triptych.data.format import Refused, load_examples, read_source
from triptych.data.formats import alpaca, cauldron, qwen_vl, swift

A, B = "pictures/a.png", "pictures/b.png"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))


def refusal(format_name: str, folder: Path, row: Row) -> Refused:
    (found,) = read(format_name, folder, row)
    assert isinstance(found, Refused), found
    return found


def said(*turns: str) -> Json:
    speakers = ("user", "assistant")
    return [{"role": speakers[number % 2], "content": text} for number, text in enumerate(turns)]


def picture(folder: Path, name: str = "a") -> ImageRef:
    return ImageRef(str(folder / "pictures" / f"{name}.png"))


@pytest.mark.parametrize(
    ("name", "row", "formats"),
    [
        ("sharegpt", {"instruction": "a", "output": "b"}, "alpaca"),
        ("llava", {"messages": said("a", "b"), "images": [A]}, "messages, sharegpt, trl or swift"),
        ("mantis", {"messages": said("a", "b"), "videos": [A]}, "messages, sharegpt, trl or swift"),
        ("mantis", {"texts": [{"user": "a", "assistant": "b"}]}, "cauldron"),
        ("messages", {"conversations": [{"from": "human", "value": "a"}]}, "llava, mantis, sharegpt, swift or qwen_vl"),
        ("alpaca", {"conversation": said("a", "b")}, "mantis or swift"),
        ("cauldron", {"prompt": "a", "completion": "b"}, "trl, alpaca or mantis_classification"),
        ("qwen_vl", {"query": "a", "response": "b"}, "alpaca or swift"),
        ("trl", {"texts": [{"user": "a", "assistant": "b"}]}, "cauldron"),
    ],
)
def test_a_row_of_another_layout_says_how_to_read_it(name: str, row: Row, formats: str, folder: Path) -> None:
    assert f"Read the file as {formats}." in refusal(name, folder, row).message


# swift


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"messages": said("<image>Is it <image>?", "b"), "images": [B, A]}, ["user: [b]Is it [a]?", "assistant: b"]),
        ({"messages": said("Which?", "b"), "images": [B, A]}, ["user: [b][a]Which?", "assistant: b"]),
        ({"messages": said("<image>?", "b", "And?", "c"), "images": [B, A]}, ["user: [b][a]?", *["assistant: b"]]),
        ({"messages": said("Which?", "b"), "image": A}, ["user: [a]Which?", "assistant: b"]),
        ({"messages": said("Which?", "b"), "images": {"path": A}}, ["user: [a]Which?", "assistant: b"]),
        ({"messages": said("Which?", "b"), "images": "", "videos": None}, ["user: Which?", "assistant: b"]),
        ({"system": "Look.", "messages": said("a", "b")}, ["system: Look.", "user: a", "assistant: b"]),
        ({"system_prompt": "Look.", "query": "a", "response": "b"}, ["system: Look.", "user: a", "assistant: b"]),
        (
            {"query": "And <image>?", "response": "d", "history": [["<image>?", "b"]], "images": [B, A]},
            ["user: [b]?", "assistant: b", "user: And [a]?", "assistant: d"],
        ),
        ({"instruction": "a", "input": "b", "output": "c", "image": A}, ["user: [a]a\nb", "assistant: c"]),
        (
            {"conversation": [{"human": "<image>?", "assistant": "b"}, {"user": "c", "bot": "d"}], "images": [A]},
            ["user: [a]?", "assistant: b", "user: c", "assistant: d"],
        ),
        (
            {"conversations": [{"from": "human", "value": "a"}, {"from": "bot", "value": "b"}]},
            ["user: a", "assistant: b"],
        ),
    ],
)
def test_swift_reads_every_documented_row_of_images(row: Row, expected: list[str], folder: Path) -> None:
    assert shape(used("swift", folder, row))[: len(expected)] == expected


def test_swift_puts_missing_marks_behind_the_system_turn_a_videos_before_an_images(folder: Path) -> None:
    row: Row = {"messages": [{"role": "system", "content": "Look."}, *listed(said("What?", "b"))]}
    found = used("swift", folder, {**row, "images": [A], "videos": ["pictures"]})
    assert shape(found) == ["system: Look.", "user: [pictures][a]What?", "assistant: b"]
    assert videos_of(found) == (VideoRef(str(folder / "pictures")),)


def test_swift_takes_two_turns_of_one_speaker_for_one(folder: Path) -> None:
    turns: Json = [*listed(said("a", "b")), {"role": "assistant", "content": "c"}, *listed(said("d", "e"))]
    assert shape(used("swift", folder, {"messages": turns})) == ["user: a", "assistant: bc", "user: d", "assistant: e"]


def test_swift_reads_the_content_parts_of_openai_and_anthropic(folder: Path) -> None:
    data = base64.b64encode((folder / B).read_bytes()).decode("ascii")
    openai: Json = [
        {"type": "text", "text": "Compare "},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "image_url", "image_url": A},
    ]
    anthropic: Json = [
        {"type": "text", "text": "Compare "},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        {"type": "image", "source": {"type": "url", "url": A}},
    ]
    for content in (openai, anthropic):
        row: Row = {"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "b"}]}
        first, second, third = used("swift", folder, row).turns[0].parts
        assert first == Text("Compare ")
        assert isinstance(second, ImageRef)
        assert Path(second.source).read_bytes() == (folder / B).read_bytes()
        assert third == picture(folder)


@pytest.mark.parametrize(
    ("row", "reason", "message"),
    [
        ({"messages": said("<image><image>", "b"), "images": [A]}, "more marks than images", "Add the images"),
        ({"messages": said("a", "b"), "conversation": []}, "bad row", "both 'messages' and 'conversation'"),
        ({"messages": said("a", "b"), "rejected_response": "c"}, "bad row", "preference pairs"),
        ({"messages": said("a", "b"), "rejected_images": [A]}, "bad row", "preference pairs"),
        ({"messages": said("a", "b"), "label": False}, "bad row", "'label' is false"),
        ({"messages": said("a", "b"), "tools": "[{}]"}, "bad row", "'tools' is for tools"),
        ({"messages": said("a", "b"), "audios": ["a.wav"]}, "bad row", "audio"),
        (
            {"messages": said("<ref-object>?", "b"), "objects": {"ref": ["a"]}},
            "bad row",
            "<ref-object> is to be filled",
        ),
        ({"messages": [{"role": "tool_call", "content": "a"}]}, "bad row", "a tool's (tool_call)"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "bad row", "'tool_result'"),
        ({"messages": [{"role": "assistant", "content": "words"}]}, "wrong role order", "Put the turns in order"),
        ({"messages": said("a")}, "no assistant turn", "Add the reply"),
        ({"query": "a", "prompt": "b", "response": "c"}, "bad row", "both 'query' and 'prompt'"),
        ({"system": "a", "messages": [{"role": "system", "content": "b"}]}, "bad row", "both a 'system' key"),
    ],
)
def test_swift_refuses_what_is_no_conversation_about_images(row: Row, reason: str, message: str, folder: Path) -> None:
    found = refusal("swift", folder, row)
    assert (found.reason, message in found.message) == (reason, True), found.message


def test_swift_keeps_other_keys_as_facts_and_writes_what_it_read(folder: Path) -> None:
    row: Row = {"messages": said("<image>?", "b"), "images": [A], "channel": "math", "objects": {}, "answer": "b"}
    example = used("swift", folder, row)
    assert example.facts == {"channel": "math", "objects": {}, "answer": "b"}
    assert swift.write([example], folder / "new.jsonl") == 1
    assert json.loads((folder / "new.jsonl").read_text()) == {**row, "id": "0"}


# alpaca


def test_alpaca_reads_the_history_first_and_the_input_below_the_instruction(folder: Path) -> None:
    row: Row = {
        "system": "Look.",
        "history": [["<image>?", "A square."]],
        "instruction": "Is it the colour of",
        "input": "<image>?",
        "output": "No.",
        "images": [B, A],
        "mix": 1,
    }
    example = used("alpaca", folder, row)
    assert shape(example) == [
        "system: Look.",
        "user: [b]?",
        "assistant: A square.",
        "user: Is it the colour of\n[a]?",
        "assistant: No.",
    ]
    assert example.facts == {"mix": 1}


def test_alpaca_reads_a_question_and_its_answer_under_other_names(folder: Path) -> None:
    rows: list[Row] = [
        {"question": "<image>?", "answer": "b", "image": A},
        {"query": "<image>?", "response": "b", "image": A, "input": None, "history": None},
        {"prompt": "", "input": "<image>?", "completion": "b", "images": A},
    ]
    for row in rows:
        assert shape(used("alpaca", folder, row)) == ["user: [a]?", "assistant: b"]


@pytest.mark.parametrize(
    ("row", "reason", "message"),
    [
        ({"instruction": "a", "output": "b", "images": [A]}, "more images than marks", "1 images but 0"),
        ({"instruction": "<image>", "output": "b"}, "more marks than images", "Add the images"),
        ({"instruction": "<video>", "output": "b"}, "more marks than videos", "Add the videos"),
        ({"instruction": "a", "chosen": "b", "rejected": "c"}, "bad row", "preference pairs"),
        ({"instruction": "a", "output": ""}, "no assistant turn", "Add the reply"),
        ({"instruction": "a", "output": "b", "history": [["c"]]}, "bad row", "round 0 of the history"),
        ({"instruction": "a", "output": "b", "history": [[None, "c"]]}, "bad row", "the question of round 0"),
        ({"text": "a"}, "another layout", "no question"),
        ({"instruction": 3, "output": "b"}, "bad row", "instruction is 3, not a text"),
    ],
)
def test_alpaca_refuses_what_is_no_question_with_its_answer(row: Row, reason: str, message: str, folder: Path) -> None:
    found = refusal("alpaca", folder, row)
    assert (found.reason, message in found.message) == (reason, True), found.message


def test_alpaca_writes_the_last_round_as_instruction_and_output(folder: Path) -> None:
    turns = (
        Turn("system", (Text("Look."),)),
        Turn("user", (picture(folder), Text("?"))),
        Turn("assistant", (Text("A square."),)),
        Turn("user", (Text("And "), picture(folder, "b"), Text("?"))),
        Turn("assistant", (Text("Too."),)),
    )
    alpaca.write([Example("x", turns)], folder / "new.json")
    assert json.loads((folder / "new.json").read_text()) == [
        {
            "id": "x",
            "system": "Look.",
            "history": [["<image>?", "A square."]],
            "instruction": "And <image>?",
            "input": "",
            "output": "Too.",
            "images": [A, B],
        }
    ]
    for broken in (turns[2:], (*turns[1:], turns[0]), turns[:2]):
        with pytest.raises(DataError, match="cannot be written"):
            alpaca.write([Example("x", broken)], folder / "broken.json")


# cauldron


def test_the_cauldron_shows_all_images_before_the_first_question(folder: Path) -> None:
    texts: Json = [
        {"user": "Which is older?", "assistant": "The first.", "source": "nlvr2"},
        {"user": "A literal <image>?", "assistant": "Yes.", "source": "nlvr2"},
    ]
    example = used("cauldron", folder, {"images": [B, A], "texts": texts, "relevance_ratings": [5, 4]})
    assert shape(example) == [
        "user: [b][a]Which is older?",
        "assistant: The first.",
        "user: A literal <image>?",
        "assistant: Yes.",
    ]
    assert example.facts == {"source": "nlvr2", "relevance_ratings": [5, 4]}


def test_the_cauldron_is_read_from_parquet_with_the_pictures_inside(folder: Path) -> None:
    texts = [{"user": "What?", "assistant": "A square.", "source": "drawn"}]
    inside = [{"bytes": (folder / name).read_bytes(), "path": None} for name in (A, B)]
    rows = [{"images": inside, "texts": texts}, {"images": None, "texts": texts}]
    pq.write_table(pa.Table.from_pylist(rows), folder / "train-00000-of-00012.parquet")
    loaded = load_examples(f"cauldron:{folder}/train-00000-of-00012.parquet", on_bad="raise")
    assert [len(images_of(example)) for example in loaded.examples] == [2, 0]
    assert [Path(image.source).read_bytes() for image in images_of(loaded.examples[0])] == [
        each["bytes"] for each in inside
    ]


@pytest.mark.parametrize(
    ("row", "reason", "message"),
    [
        ({"images": [A], "texts": []}, "no assistant turn", "Add the reply"),
        ({"images": [A], "texts": [{"user": "a"}]}, "bad row", "the assistant's words of text 0"),
        ({"images": [A], "texts": "a"}, "bad row", "texts is"),
        ({"texts": [{"user": "a", "assistant": "b"}], "video": "pictures"}, "another layout", "'video' is no key"),
    ],
)
def test_the_cauldron_refuses_what_is_no_round(row: Row, reason: str, message: str, folder: Path) -> None:
    found = refusal("cauldron", folder, row)
    assert (found.reason, message in found.message) == (reason, True), found.message


def test_the_cauldron_cannot_say_images_that_stand_elsewhere(folder: Path) -> None:
    a, question, answer = picture(folder), Text("What?"), Turn("assistant", (Text("So."),))
    good = Example(
        "x", (Turn("user", (a, a, question)), answer, Turn("user", (question,)), answer), facts={"source": "s"}
    )
    cauldron.write([good], folder / "new.jsonl")
    (again,) = read_source(f"cauldron:{folder}/new.jsonl")
    assert isinstance(again, Example)
    assert bare(again) == bare(good)
    texts = [{"user": "What?", "assistant": "So."}] * 2
    assert json.loads((folder / "new.jsonl").read_text()) == {
        "id": "x",
        "images": [A, A],
        "texts": texts,
        "source": "s",
    }
    for parts in ((question, a), (a, question, a)):
        with pytest.raises(DataError, match="in front of the first question"):
            cauldron.write([Example("x", (Turn("user", parts), answer))], folder / "new.jsonl")
    later = Example("x", (Turn("user", (a,)), answer, Turn("user", (a,)), answer))
    with pytest.raises(DataError, match="in front of the first question"):
        cauldron.write([later], folder / "new.jsonl")


# qwen_vl


def test_qwen_vl_finds_pictures_in_the_words_and_keeps_the_rest(folder: Path) -> None:
    value = f"Picture 1: <img>{A}</img>\nPicture 2: <img> {B} </img>\n<ref>It</ref><box>(1,2),(3,4)</box> <image>?"
    row: Row = {"id": "x", "conversations": [{"from": "user", "value": value}, {"from": "assistant", "value": "b"}]}
    example = used("qwen_vl", folder, row)
    assert shape(example)[0] == "user: Picture 1: [a]\nPicture 2: [b]\n<ref>It</ref><box>(1,2),(3,4)</box> <image>?"
    qwen_vl.write([example], folder / "new.jsonl")
    assert json.loads((folder / "new.jsonl").read_text()) == json.loads(json.dumps(row).replace(f" {B} ", B))


def test_qwen_vl_refuses_pictures_that_are_not_there_and_literal_tags(folder: Path) -> None:
    row: Row = {
        "conversations": [{"from": "user", "value": "<img>gone.png</img>?"}, {"from": "assistant", "value": "b"}]
    }
    assert refusal("qwen_vl", folder, row).reason == "image file missing"
    listed_too: Row = {
        "conversations": [{"from": "user", "value": "?"}, {"from": "assistant", "value": "b"}],
        "images": [A],
    }
    assert "'images' is no key" in refusal("qwen_vl", folder, listed_too).message
    literal = Example("x", (Turn("user", (Text("<img>"), picture(folder))), Turn("assistant", (Text("b"),))))
    with pytest.raises(DataError, match="a literal <img>"):
        qwen_vl.write([literal], folder / "new.jsonl")


def listed(value: Json) -> list[Json]:
    assert isinstance(value, list)
    return value
