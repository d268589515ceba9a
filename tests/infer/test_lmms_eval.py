"""The bridge to lmms-eval: its chat messages become our conversations, part for part."""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Text, images_of
from triptych.data.media.images import load_image

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Example]:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    name = "lmms_eval_messages"
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., Example] = module.example_of
    return found


def test_parts_keep_their_order_and_images_their_pixels(example_of: Callable[..., Example], tmp_path: Path) -> None:
    red, blue = Image.new("RGB", (9, 8), "red"), Image.new("RGBA", (7, 6), "blue")
    path = tmp_path / "green.png"
    Image.new("RGB", (5, 4), "green").save(path)
    file = io.BytesIO()
    red.save(file, "JPEG")
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Is "},
                {"type": "image", "url": red},
                {"type": "text", "text": " <image> "},
                {"type": "image", "url": str(path)},
                {"type": "image", "url": blue},
                {"type": "image", "url": file.getvalue()},
                {"type": "image", "url": red},
            ],
        },
    ]
    question = example_of(messages, "q")
    system, asked = question.turns
    assert (system.role, system.parts) == ("system", (Text("Be brief."),))
    assert [type(part) for part in asked.parts] == [Text, ImageRef, Text, ImageRef, ImageRef, ImageRef, ImageRef]
    assert asked.parts[2] == Text(" <image> ")
    shown = images_of(question)
    assert [load_image(image).size for image in shown] == [(9, 8), (5, 4), (7, 6), (9, 8), (9, 8)]
    assert load_image(shown[0]).tobytes() == red.tobytes()
    assert shown[0] == shown[-1], "the same picture is kept once"


def test_a_video_becomes_frames_in_its_place(example_of: Callable[..., Example], tmp_path: Path) -> None:
    folder = tmp_path / "film"
    folder.mkdir()
    for number in range(9):
        Image.new("RGB", (8, 8), (number * 20, 0, 0)).save(folder / f"frame_{number}.png")
    content = [{"type": "video", "url": str(folder)}, {"type": "text", "text": "?"}]
    question = example_of([{"role": "user", "content": content}], "q", video_frames=3)
    assert [Path(image.source).name for image in images_of(question)] == ["frame_0.png", "frame_4.png", "frame_8.png"]


@pytest.mark.parametrize("part", [{"type": "audio", "url": "a.wav"}, {"type": "image", "url": "nowhere.png"}])
def test_what_cannot_be_shown_is_refused_by_name(example_of: Callable[..., Example], part: dict[str, str]) -> None:
    with pytest.raises(DataError, match="document 3"):
        example_of([{"role": "user", "content": [part]}], "document 3")


def test_lmms_eval_takes_the_model_for_one_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lmms_eval.api.model", reason="lmms-eval is not installed: it brings torchvision")
    from lmms_eval.models.registry_v2 import ModelManifest, ModelRegistryV2

    monkeypatch.syspath_prepend(str(EXAMPLES))
    registry = ModelRegistryV2()
    registry.register_manifest(ModelManifest("triptych", chat_class_path="lmms_eval_bridge.TriptychModel"))
    assert registry.get_model_class("triptych").__name__ == "TriptychModel"
    sys.modules.pop("lmms_eval_bridge", None)
