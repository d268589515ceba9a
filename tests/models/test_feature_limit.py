"""A folder of features that all runs share: the oldest of others go, and what has no room is not kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.models.pictures import draw_pictures, stacked
from triptych.core.machine import GIB
from triptych.core.records import ImageRef
from triptych.models.families.llava import LlavaModel
from triptych.models.families.tiny import tiny
from triptych.models.family import Model
from triptych.models.vision.feature_limit import room_on
from triptych.models.vision.features import FeatureStore


def frozen(seed: int = 0) -> LlavaModel:
    model = tiny(seed)
    model.parts()["vision"].requires_grad_(False)
    return model


def encoded_by(model: Model, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the number of pictures whenever the tower is shown some."""
    shown: list[int] = []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda seen: shown.append(len(seen)) or encode(seen))
    return shown


def files(folder: Path) -> set[Path]:
    return set(folder.glob("*/*.safetensors"))


def file_bytes(folder: Path, picture: ImageRef) -> int:
    FeatureStore(frozen(), folder).features([picture])
    (only,) = files(folder)
    return only.stat().st_size


def keep(model: Model, folder: Path, pictures: Sequence[ImageRef], *, age_s: int, most: int | None = None) -> Path:
    """Keep pictures in a file of their own, written so long ago."""
    before = files(folder)
    FeatureStore(model, folder, most_bytes=most).features(pictures)
    (made,) = files(folder) - before
    os.utime(made, (made.stat().st_atime - age_s, made.stat().st_mtime - age_s))
    return made


def test_what_was_used_longest_ago_goes_of_whatever_tower(tmp_path: Path) -> None:
    pictures, folder = draw_pictures(tmp_path, 4), tmp_path / "kept"
    size = file_bytes(tmp_path / "one", pictures[0])
    old = keep(frozen(1), folder, pictures[:1], age_s=300)
    read = keep(frozen(), folder, pictures[:1], age_s=400)
    recent = keep(frozen(), folder, pictures[1:2], age_s=200)
    store = FeatureStore(frozen(), folder, most_bytes=int(3.5 * size))
    store.features([pictures[0], pictures[2]])
    assert not old.exists()
    assert read.exists()
    assert recent.exists()
    store.features([pictures[3]])
    assert not recent.exists()
    assert len(files(folder)) == 3


def test_what_has_no_room_is_computed_each_time_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures, folder = draw_pictures(tmp_path, 3), tmp_path / "kept"
    model = frozen()
    expected = stacked(FeatureStore(model).features(pictures))
    size = file_bytes(tmp_path / "one", pictures[0])
    store, shown = FeatureStore(model, folder, most_bytes=int(1.5 * size)), encoded_by(model, monkeypatch)
    for picture in pictures:
        store.features([picture])
    assert stacked(store.features(pictures)).allclose(expected, atol=1e-4)  # numbers up to 36
    assert shown == [1, 1, 1, 2]
    assert len(files(folder)) == 1
    assert capsys.readouterr().err.count("features of more images are not kept") == 1


def test_the_last_of_a_disk_does_not_go_to_what_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(100 * GIB, 96 * GIB, 4 * GIB))
    assert room_on(tmp_path / "not" / "there") == 0
    (picture,) = draw_pictures(tmp_path, 1)
    assert len(FeatureStore(frozen(), tmp_path / "kept", most_bytes=GIB).features([picture])) == 1
    assert not files(tmp_path / "kept")
    assert "nearly full" in capsys.readouterr().err
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10_000 * GIB, 9_900 * GIB, 100 * GIB))
    assert room_on(tmp_path) == 80 * GIB


def test_what_another_process_let_go_is_encoded_anew(tmp_path: Path) -> None:
    pictures, folder = draw_pictures(tmp_path, 2), tmp_path / "kept"
    store = FeatureStore(frozen(), folder, most_bytes=GIB)
    before = stacked(store.features(pictures))
    for path in files(folder):
        path.unlink()
    assert stacked(store.features(pictures)).allclose(before, atol=1e-6)
    assert files(folder)
