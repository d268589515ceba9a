"""The Python API: words and pictures in order, streams, batches, conversations, scores; and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.infer.endpoint import serving
from tests.pictures import draw, real_data
from tests.serve.test_speaking import streamed
from triptych.core.errors import ConfigError, DataError, ModelError, RunError, TriptychError
from triptych.core.records import ImageRef, Text, VideoRef, images_of, text_of
from triptych.data.format import load_examples
from triptych.data.media.images import load_image
from triptych.data.plan.scoring import Scoring
from triptych.infer.engine.engine import EngineSettings
from triptych.models.families.tiny import tiny
from triptych.models.heads import ScoreHead
from triptych.serve.assistant import Assistant, load
from triptych.serve.pieces import parts_of, picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny(3).save(folder / "model")
    return folder / "model"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(folder: Path, cache: None) -> Iterator[Assistant]:
    with load(folder, engine=EngineSettings(rows=2, queue=3)) as opened:
        yield opened


def test_everything_that_shows_the_same_picture_is_the_same_question(model: Assistant, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    ways: list[Any] = [path, picture(path), pixels, Image.open(path), path.read_bytes(), ImageRef(str(path))]
    replies = {model.ask(["Is ", way, " red?"], max_tokens=8) for way in ways}
    assert len(replies) == 1
    layout = model.layout(["Is ", path, " red?"])
    assert layout is not None
    assert len(layout.images) == 1
    assert model.ask("Is it?", max_tokens=3) == model.ask(["Is it?"], max_tokens=3)


def test_pixels_in_memory_look_as_people_see_them(tmp_path: Path) -> None:
    turned = Image.new("RGB", (8, 4), "red")
    turned.getexif()[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=turned.getexif())
    (shown,) = parts_of(Image.open(tmp_path / "turned.jpg"))
    assert isinstance(shown, ImageRef)
    assert shown.size == (4, 8)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"):
        (part,) = parts_of(Image.new(mode, (5, 6)))
        assert isinstance(part, ImageRef)
        assert load_image(part).size == (5, 6)
    (grey,) = parts_of(np.full((3, 7), 90, np.uint8))
    assert isinstance(grey, ImageRef)
    assert load_image(grey).getpixel((0, 0)) == (90, 90, 90)


def test_a_string_is_words_and_one_that_names_a_picture_is_asked_back(tmp_path: Path) -> None:
    path = str(draw(tmp_path / "a.png").source)
    for said in (path, "https://example.org/cat.png"):
        with pytest.raises(DataError, match=r"picture\(.*Text\("):
            parts_of(["What is ", said])
        assert parts_of([Text(said)]) == (Text(said),)
    assert parts_of("no picture: <image> a.gif") == (Text("no picture: <image> a.gif"),)


@pytest.mark.parametrize(
    "said",
    [
        [],
        [3],
        Path("/gone.png"),
        b"no picture",
        np.zeros((3, 3)),
        np.zeros((2, 3, 3, 3), np.uint8),
        np.zeros((0, 3), np.uint8),
        Image.new("F", (3, 3)),
        VideoRef("/gone.mp4"),
    ],
)
def test_what_cannot_be_shown_is_one_line(model: Assistant, said: Any) -> None:
    with pytest.raises(TriptychError) as told:
        model.ask(said)
    assert "\n" not in str(told.value)


def test_bytes_that_are_no_picture_are_not_named_by_their_place_in_the_cache() -> None:
    with pytest.raises(DataError, match=r"^a picture given as 10 bytes: neither a picture nor a video\.$"):
        parts_of(b"no picture")


def test_a_stream_joins_to_the_reply_and_can_be_left(model: Assistant, tmp_path: Path) -> None:
    said = ["What is ", Path(draw(tmp_path / "a.png").source), "?"]
    assert "".join(model.stream(said, max_tokens=20)) == model.ask(said, max_tokens=20)
    pieces = model.stream(said, max_tokens=500)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert model.ask(said, max_tokens=2)


def test_a_batch_is_answered_in_order_also_where_it_is_longer_than_the_queue(model: Assistant, tmp_path: Path) -> None:
    colours = ("red", "blue", "green")
    paths = [Path(draw(tmp_path / f"{colour}.png", colour=colour).source) for colour in colours]
    questions = [["Number ", str(number), ": ", paths[number % 3]] for number in range(14)]
    together = model.batch(questions, max_tokens=6)
    assert together == [model.ask(question, max_tokens=6) for question in questions]
    with pytest.raises(DataError, match=r"gone\.png"):
        model.batch(["fine", Path("/gone.png")])
    assert model.batch([]) == []


def test_a_conversation_remembers_and_computes_only_what_is_new(model: Assistant, tmp_path: Path) -> None:
    first, second = (Path(draw(tmp_path / f"{name}.png", colour=name).source) for name in ("red", "navy"))
    talk = model.chat(system="Look closely.")
    talk.ask(["What is ", first, "?"], max_tokens=5)
    reply = "".join(talk.stream(["And ", second, "?"], max_tokens=5))
    assert [turn.role for turn in talk.example.turns] == ["system", "user", "assistant", "user", "assistant"]
    assert text_of(talk.example.turns[-1]) == reply
    with pytest.raises(DataError):
        talk.ask(["And ", Path("/gone.png"), "?"])
    assert len(images_of(talk.example)) == 2
    talk.save(tmp_path / "talk.jsonl")
    again = model.chat(tmp_path / "talk.jsonl")
    assert [text_of(turn) for turn in again.example.turns] == [text_of(turn) for turn in talk.example.turns]
    assert talk.undo()
    assert len(talk.example.turns) == 3


def test_a_stream_of_a_conversation_that_is_left_is_remembered_as_far_as_it_came(model: Assistant) -> None:
    talk = model.chat()
    pieces = talk.stream("Tell a long story.", max_tokens=400)
    begun = ""
    while not begun.strip():
        begun += next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert text_of(talk.example.turns[-1]) == begun
    long = talk.ask("And?", max_tokens=12)
    assert talk.example.facts["cut"] == [True, True]
    talk.undo()
    talk.ask("And?", max_tokens=12, stop=long[1])
    assert talk.example.facts["cut"] == [True, False]


def test_a_wish_that_cannot_be_is_one_line(model: Assistant) -> None:
    for wishes in ({"top_p": 7.0}, {"temprature": 1.0}, {"max_tokens": "five"}, {"stop": [1]}, {"stop": 5}):
        with pytest.raises(ConfigError) as told:
            model.ask("Hm?", **wishes)  # type: ignore[arg-type]
        assert "\n" not in str(told.value)
    whole = model.ask("Hm?", max_tokens=12)
    assert model.ask("Hm?", max_tokens=12, stop=None) == whole
    stop = whole[3:5]
    assert stop
    assert model.ask("Hm?", max_tokens=12, stop=stop) == whole[: whole.index(stop)]


def test_a_score_head_scores_and_says_what_it_cannot(folder: Path, tmp_path: Path, model: Assistant) -> None:
    with pytest.raises(ModelError, match="no score head"):
        model.score("How good?")
    both = tiny(3)
    both.score_head = ScoreHead(Scoring(targets=("sharp", "bright")), 48, seed=4)
    both.save(tmp_path / "both")
    shown = Path(draw(tmp_path / "a.png").source)
    with load(tmp_path / "both") as scoring:
        before = scoring.ask("Hm?", max_tokens=4)
        scores = scoring.score(shown)
        assert set(scores) == {"sharp", "bright"}
        assert scoring.score(["How good is ", shown, "?"]) != scores
        assert scoring.ask("Hm?", max_tokens=4) == before
        pieces = scoring.stream("Hm?", max_tokens=400)
        next(pieces)
        with pytest.raises(RunError, match="under way"):
            scoring.score(shown)


def test_an_endpoint_is_asked_as_a_local_model_is(tmp_path: Path) -> None:
    shown = Path(draw(tmp_path / "a.png").source)
    with serving(lambda request, before: streamed("It is", " red.")) as endpoint, load(str(endpoint.address)) as model:
        assert model.ask(["What is ", shown, "?"], temperature=0.3, stop="END") == "It is red."
        assert list(model.stream("Hm?")) == ["It is", " red."]
        assert model.batch(["a", "b"]) == ["It is red."] * 2
        talk = model.chat()
        talk.ask(["What is ", shown, "?"])
        talk.ask("Sure?")
        with pytest.raises(ModelError, match="endpoint"):
            model.score(shown)
    assert len(endpoint.requests[-1]["messages"]) == 3
    assert endpoint.requests[0]["stop"] == ["END"]


def test_a_closed_model_says_so(folder: Path) -> None:
    model = load(folder)
    model.close()
    with pytest.raises(RunError, match="closed"):
        model.ask("Hm?")


def test_a_video_file_is_shown_as_frames(folder: Path, tmp_path: Path) -> None:
    clip = real_data("videoscore") / "video1.mp4"
    with load(folder, video_frames=3) as model:
        layout = model.layout(["What happens in ", clip, "?"])
        assert layout is not None
        assert len(layout.images) == 3
        talk = model.chat()
        talk.ask([clip, "What happens?"], max_tokens=3)
        talk.save(tmp_path / "talk.jsonl")
    load_examples(f"messages:{tmp_path / 'talk.jsonl'}", on_bad="raise")
    assert torch.is_grad_enabled()
