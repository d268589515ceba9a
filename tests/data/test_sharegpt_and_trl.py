"""Rows of LLaMA-Factory and TRL: what those libraries accept is read, what is no conversation is refused by name."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.reading import Row, read, shape, used
from triptych.core.records import Json, images_of
from triptych.data.format import Refused, load_examples

A, B = "pictures/a.png", "pictures/b.png"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))


def refusal(format_name: str, folder: Path, row: Row) -> Refused:
    (found,) = read(format_name, folder, row)
    assert isinstance(found, Refused), found
    return found


# sharegpt


def chat(*said: str, **others: Json) -> Row:
    speakers = ("human", "gpt")
    turns: Json = [{"from": speakers[number % 2], "value": text} for number, text in enumerate(said)]
    return {"conversations": turns, **others}


def test_sharegpt_places_images_and_videos_at_their_marks(folder: Path) -> None:
    row = chat("<image>Is it in <video>?", "Yes: <image>", images=[B, A], videos=["pictures"], system="Look.")
    assert shape(used("sharegpt", folder, row)) == [
        "system: Look.",
        "user: [b]Is it in [pictures]?",
        "assistant: Yes: [a]",
    ]


def test_sharegpt_reads_openai_messages(folder: Path) -> None:
    said: Json = [
        {"role": "system", "content": "Look."},
        {"role": "user", "content": "<image>What?"},
        {"role": "assistant", "content": "So."},
    ]
    row: Row = {"messages": said, "images": [A], "tools": "", "videos": [], "audios": [], "mix": 1}
    example = used("sharegpt", folder, row)
    assert shape(example) == ["system: Look.", "user: [a]What?", "assistant: So."]
    assert example.facts == {"mix": 1}


def parts(role: str, *content: str) -> Json:
    """Return a message of content parts as LLaMA-Factory's second version has it: names of pictures, and words."""
    said: Json = [{"type": "image_url" if part in (A, B) else "text", "value": part} for part in content]
    return {"role": role, "content": said, "loss_weight": float(role == "assistant")}


@pytest.mark.parametrize(
    "row",
    [
        {
            "conversations": [
                {"role": "user", "content": "<image>Is it <image>?"},
                {"role": "assistant", "content": "b"},
            ]
        },
        {"messages": [{"from": "human", "value": "<image>Is it <image>?"}, {"from": "gpt", "value": "b"}]},
    ],
)
@pytest.mark.parametrize("key", ["image", "images"])
def test_sharegpt_reads_either_names_of_turns_and_images_as_the_library_can_be_told(
    row: Row, key: str, folder: Path
) -> None:
    assert shape(used("sharegpt", folder, {**row, key: [B, A]})) == ["user: [b]Is it [a]?", "assistant: b"]


def test_sharegpt_reads_content_parts_in_their_order(folder: Path) -> None:
    row: Row = {"messages": [parts("user", B, "Is it ", A, "?"), parts("assistant", "b")]}
    assert shape(used("sharegpt", folder, row)) == ["user: [b]Is it [a]?", "assistant: b"]


def test_sharegpt_takes_a_list_of_frames_for_one_video(folder: Path) -> None:
    frames = images_of(used("sharegpt", folder, chat("<video><video>?", "b", videos=[[A, B], [A]])))
    assert [Path(frame.source).stem for frame in frames] == ["a", "b", "a"]
    assert frames[0].video == frames[1].video != frames[2].video


@pytest.mark.parametrize(
    ("row", "reason", "said"),
    [
        (chat("<image>", "b"), "more marks than images", "Add the images"),
        (chat("a", "b", images=[A]), "more images than marks", "1 images but 0"),
        (chat("<video>", "b"), "more marks than videos", "Add the videos"),
        (chat("a", "b", videos=[A]), "more videos than marks", "1 videos but 0"),
        (chat("<video>", "b", videos=["gone.mp4"]), "video file missing", "gone.mp4"),
        (chat("a", "b", tools="[{}]"), "bad row", "tools"),
        (chat("a", "b", audios=["a.wav"]), "bad row", "audio"),
        (chat("a", chosen={"from": "gpt", "value": "b"}), "bad row", "preference pairs"),
        ({"conversations": [{"from": "observation", "value": "a"}]}, "bad row", "a tool's (observation)"),
        ({"conversations": [{"from": "function_call", "value": "a"}]}, "bad row", "a tool's (function_call)"),
        (chat("a", "b", messages=[]), "bad row", "both 'conversations' and 'messages'"),
        ({**chat("a", "b"), "conversations": [{"from": "system", "value": "s"}], "system": "t"}, "bad row", "both"),
        (chat("a"), "no assistant turn", "Add the reply"),
        ({}, "bad row", "it is an empty object"),
        ({"id": "x"}, "another layout", "it has no 'conversations', which every row"),
        (chat("a", "b", kto_tag=False), "bad row", "'kto_tag' is for preferences"),
        (chat("a", "b", label=False), "bad row", "'label' is false"),
        (chat("a", "b", rejected_response="c"), "bad row", "preference pairs"),
        (chat("a", "b", image=A), "more images than marks", "1 images but 0"),
        (chat("a", "b", video="pictures"), "more videos than marks", "1 videos but 0"),
        (chat("<image>", "b", image=A, images=[A]), "bad row", "both 'image' and 'images'"),
        (chat("<video>", "b", videos=[[]]), "bad row", "an empty list of frames"),
        (chat("<video>", "b", videos=["https://x.org/a.mp4"]), "bad row", "is on a network"),
        (chat("a", "a <bbox>", objects={"bbox": [[1, 2, 3, 4]]}), "bad row", "<bbox> is to be filled from 'objects'"),
        ({"messages": [parts("user", A, "a"), parts("assistant", "b")], "images": [B]}, "bad row", "in one place"),
        ({"messages": [{"role": "user", "content": [{"type": "audio_url"}]}]}, "bad row", "'audio_url'"),
    ],
)
def test_sharegpt_refuses_what_is_no_conversation(row: Row, reason: str, said: str, folder: Path) -> None:
    found = refusal("sharegpt", folder, row)
    assert (found.reason, said in found.message) == (reason, True), found.message


# trl


def message(role: str, *content: Json) -> Json:
    parts: Json = [{"type": "image"} if part == "image" else {"type": "text", "text": part} for part in content]
    return {"role": role, "content": parts}


def test_trl_fills_image_parts_in_order(folder: Path) -> None:
    row: Row = {"messages": [message("user", "image", "or", "image", "<image>?"), message("assistant", "b")]}
    assert shape(used("trl", folder, {**row, "images": [B, A]}))[0] == "user: [b]or[a]<image>?"


def test_trl_puts_images_without_parts_in_front_of_the_first_user_message(folder: Path) -> None:
    said: Json = [
        {"role": "system", "content": "Look."},
        {"role": "user", "content": "Which?"},
        {"role": "assistant", "content": "b"},
    ]
    assert shape(used("trl", folder, {"messages": said, "images": [A, B]}))[:2] == [
        "system: Look.",
        "user: [a][b]Which?",
    ]
    assert shape(used("trl", folder, {"messages": said, "image": A}))[1] == "user: [a]Which?"


@pytest.mark.parametrize("prompt", ["What?", [message("user", "What?")]])
@pytest.mark.parametrize("completion", ["So.", [message("assistant", "So.")]])
def test_trl_joins_a_prompt_and_its_completion(prompt: Json, completion: Json, folder: Path) -> None:
    row: Row = {"prompt": prompt, "completion": completion, "images": [A]}
    assert shape(used("trl", folder, row)) == ["user: [a]What?", "assistant: So."]


@pytest.mark.parametrize(
    ("row", "reason", "said"),
    [
        (
            {"messages": [message("user", "image"), message("assistant", "b")]},
            "more marks than images",
            "no image left",
        ),
        (
            {"messages": [message("user", "image"), message("assistant", "b")], "images": [A, B]},
            "more images than marks",
            "2 images but 1 image parts",
        ),
        ({"messages": [message("assistant", "b")], "images": [A]}, "bad row", "no user message"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "bad row", "preference pairs"),
        ({"prompt": "<image>?", "completion": "b", "images": [A]}, "bad row", "Read the file as sharegpt or swift"),
        ({"prompt": "a", "completion": "b", "label": False}, "bad row", "'label' is false"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "bad row", "message 0 is a tool's (tool)"),
        ({"messages": [{"role": "narrator", "content": "a"}]}, "bad row", "the speaker of message 0"),
        ({"messages": [{"role": "assistant", "content": "a", "tool_calls": [{}]}]}, "bad row", "calls tools"),
        ({"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "bad row", "'audio'"),
        ({"prompt": "a"}, "bad row", "completion"),
        ({"prompt": "a", "completion": "b", "messages": []}, "bad row", "both 'messages' and a prompt"),
        ({"messages": [], "image": A, "images": [A]}, "bad row", "both 'image' and 'images'"),
    ],
)
def test_trl_refuses_what_does_not_fit(row: Row, reason: str, said: str, folder: Path) -> None:
    found = refusal("trl", folder, row)
    assert (found.reason, said in found.message) == (reason, True), found.message


def test_trl_reads_parquet_with_pictures_inside_and_indexes_that_agree(folder: Path) -> None:
    content = (folder / A).read_bytes()
    parts = [{"type": "image", "text": None, "index": 0}, {"type": "text", "text": "What?", "index": None}]
    wrong = [{"type": "image", "text": None, "index": 1}]
    reply = {"role": "assistant", "content": [{"type": "text", "text": "So.", "index": None}]}
    rows = [
        {"messages": [{"role": "user", "content": asked}, reply], "images": [{"bytes": content, "path": None}]}
        for asked in (parts, wrong)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    loaded = load_examples(f"trl:{folder}/train.parquet", on_bad="refuse")
    assert [images_of(example)[0].size for example in loaded.examples] == [(32, 24)]
    assert ["has the index 1" in refused.message for refused in loaded.refused] == [True]
