"""Each distinct picture is encoded once, however often, in whatever order and in however many runs it is asked for."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from tests.models.pictures import draw_pictures, pixels_of, stacked
from triptych.core.errors import DataError, ModelError
from triptych.core.records import ImageRef
from triptych.models.families.llava import LlavaModel
from triptych.models.families.tiny import tiny
from triptych.models.family import Seen
from triptych.models.vision import features
from triptych.models.vision.features import FeatureStore


class Counted(LlavaModel):
    """A toy model that counts the pictures its tower is shown."""

    seen = 0

    def encode(self, pictures: Sequence[Seen]) -> list[Seen]:
        self.seen += len(pictures)
        return super().encode(pictures)


def test_a_store_gives_what_the_tower_gives_in_the_order_asked_for(tmp_path: Path) -> None:
    model, pictures = _counted(), draw_pictures(tmp_path, 3)
    expected = model.encode(pixels_of(model, pictures))
    asked = [2, 0, 1, 0]
    for folder in (None, tmp_path / "kept"):
        got = FeatureStore(model, folder).features([pictures[at] for at in asked])
        assert torch.allclose(stacked(got), stacked([expected[at] for at in asked]), atol=1e-6)
        assert stacked(got).dtype == torch.float32
        assert [seen.size for seen in got] == [pictures[at].size for at in asked]


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_picture_is_encoded_once_over_several_calls(tmp_path: Path, on_disk: bool) -> None:
    model, pictures = _counted(), draw_pictures(tmp_path, 3)
    store = FeatureStore(model, tmp_path / "kept" if on_disk else None)
    first = store.features([pictures[0], pictures[1], pictures[0]])
    assert model.seen == 2
    again = store.features([*pictures, pictures[1]])
    assert model.seen == 3
    assert torch.equal(stacked(again[:2]), stacked(first[:2]))


def test_the_same_picture_under_another_name_is_encoded_once(tmp_path: Path) -> None:
    model, pictures = _counted(), draw_pictures(tmp_path, 1)
    copy = tmp_path / "copy.png"
    copy.write_bytes(Path(pictures[0].source).read_bytes())
    FeatureStore(model).features([pictures[0], ImageRef(str(copy))])
    assert model.seen == 1


def test_a_folder_outlives_the_run(tmp_path: Path) -> None:
    model, pictures = _counted(), draw_pictures(tmp_path, 3)
    first = FeatureStore(model, tmp_path / "kept").features(pictures)
    later = _counted()
    again = FeatureStore(later, tmp_path / "kept").features(pictures[::-1])
    assert later.seen == 0
    assert torch.equal(stacked(again), stacked(first[::-1]))
    assert [seen.size for seen in again] == [seen.size for seen in first[::-1]]


def test_a_changed_picture_is_encoded_again(tmp_path: Path) -> None:
    model, pictures = _counted(), draw_pictures(tmp_path, 2)
    store = FeatureStore(model, tmp_path / "kept")
    before = store.features(pictures)
    Image.new("RGB", (50, 40), (250, 10, 10)).save(pictures[0].source)
    after = store.features([replace(image, size=None) for image in pictures])
    assert model.seen == 3
    assert not torch.equal(after[0].values, before[0].values)
    assert torch.equal(after[1].values, before[1].values)


def test_another_box_is_another_picture(tmp_path: Path) -> None:
    model, (picture,) = _counted(), draw_pictures(tmp_path, 1)
    left, right = ImageRef(picture.source, box=(0, 0, 20, 30)), ImageRef(picture.source, box=(20, 0, 40, 30))
    got = FeatureStore(model).features([left, right, picture])
    assert model.seen == 3
    assert len({tuple(seen.values.flatten().tolist()) for seen in got}) == 3


def test_another_resize_is_another_picture(tmp_path: Path) -> None:
    model, (picture,) = _counted(), draw_pictures(tmp_path, 1)
    box = (0, 0, 20, 30)
    asked = [
        replace(picture, resize=(9, 9)),
        replace(picture, resize=(9, 30)),
        replace(picture, box=box, resize=(9, 9)),
    ]
    FeatureStore(model).features([*asked, picture, *asked])
    assert model.seen == 4


def test_a_picture_in_a_zip_is_the_file_of_the_same_content(tmp_path: Path) -> None:
    model, (first, second) = _counted(), draw_pictures(tmp_path, 2)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(first.source, "a.png")
    packed = ImageRef(f"{tmp_path / 'a.zip'}!/a.png")
    store = FeatureStore(model)
    got = store.features([first, second, packed])
    assert model.seen == 2
    assert torch.equal(got[0].values, got[2].values)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(second.source, "a.png")
    assert torch.equal(store.features([packed])[0].values, got[1].values)
    assert model.seen == 2


def test_another_tower_shares_nothing(tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path, 2)
    FeatureStore(_counted(seed=0), tmp_path / "kept").features(pictures)
    other = _counted(seed=1)
    FeatureStore(other, tmp_path / "kept").features(pictures)
    assert other.seen == 2


def test_a_tower_that_was_trained_meanwhile_is_asked_again(tmp_path: Path) -> None:
    model, pictures = _counted(), draw_pictures(tmp_path, 2)
    store = FeatureStore(model)
    before = store.features(pictures)
    with torch.no_grad():
        next(model.parts()["vision"].parameters()).add_(1.0)
    assert not torch.equal(stacked(store.features(pictures)), stacked(before))
    assert model.seen == 4


def test_another_layer_or_preparation_is_asked_for_again(tmp_path: Path) -> None:
    model, pictures = _counted(), draw_pictures(tmp_path, 2)
    store = FeatureStore(model, tmp_path / "kept")
    before = stacked(store.features(pictures))
    model.network.config.vision_feature_layer = -1
    other = stacked(store.features(pictures))
    assert torch.equal(other, stacked(model.encode(pixels_of(model, pictures))))
    assert not torch.equal(other, before)
    model.processor.image_mean = [0.1] * 3  # type: ignore[attr-defined]
    assert not torch.equal(stacked(store.features(pictures)), other)
    assert model.seen == 8


def test_what_is_kept_is_computed_in_all_bits_under_autocast_too(tmp_path: Path) -> None:
    model, pictures = _counted(), draw_pictures(tmp_path, 2)
    expected = stacked(model.encode(pixels_of(model, pictures)))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(stacked(FeatureStore(model).features(pictures)), expected)


@pytest.mark.parametrize("said", [None, {"keys": "oops", "sizes": "[]"}, {"keys": "[]", "sizes": "oops"}])
def test_files_of_others_among_the_features_are_passed_over(said: dict[str, str] | None, tmp_path: Path) -> None:
    model, pictures = _counted(), draw_pictures(tmp_path, 2)
    expected = stacked(FeatureStore(model, tmp_path / "kept").features(pictures))
    (file,) = (tmp_path / "kept").rglob("*.safetensors")
    save_file({"0": torch.zeros(2)}, file.with_name("another.safetensors"), metadata=said)
    again = _counted()
    assert torch.equal(stacked(FeatureStore(again, tmp_path / "kept").features(pictures)), expected)
    assert again.seen == 0


def test_features_that_are_deleted_meanwhile_are_named(tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path, 2)
    store = FeatureStore(_counted(), tmp_path / "kept")
    store.features(pictures)
    (file,) = (tmp_path / "kept").rglob("*.safetensors")
    file.unlink()
    with pytest.raises(ModelError, match=rf"{file.name}: no features can be read .* Start again"):
        store.features(pictures)


def test_a_tower_in_training_is_refused(tmp_path: Path) -> None:
    model = _counted()
    model.parts()["vision"].requires_grad_(True)
    with pytest.raises(ModelError, match="the tower is being trained"):
        FeatureStore(model).features(draw_pictures(tmp_path, 1))


def test_no_pictures_have_no_features() -> None:
    model = _counted()
    assert FeatureStore(model).features([]) == []


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png"):
        FeatureStore(_counted()).features([ImageRef(str(tmp_path / "gone.png"))])


def test_progress_counts_what_is_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "CHUNK_IMAGES", 2)
    model, pictures = _counted(), draw_pictures(tmp_path, 5)
    store, said = FeatureStore(model, tmp_path / "kept"), []
    expected = model.encode(pixels_of(model, pictures))
    got = store.features([*pictures, pictures[0]], progress=lambda done, total: said.append((done, total)))
    assert said == [(2, 5), (4, 5), (5, 5)]
    assert torch.allclose(stacked(got), stacked([*expected, expected[0]]), atol=1e-6)
    store.features(pictures, progress=lambda done, total: said.append((done, total)))
    assert len(said) == 3


def test_a_broken_picture_loses_no_chunk_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "CHUNK_IMAGES", 2)
    pictures = draw_pictures(tmp_path, 4)
    Path(pictures[3].source).write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"0-3\.png"):
        FeatureStore(_counted(), tmp_path / "kept").features(pictures)
    later = _counted()
    FeatureStore(later, tmp_path / "kept").features(pictures[:3])
    assert later.seen == 1


def test_a_torn_file_is_never_taken_as_whole(tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path, 3)
    expected = stacked(FeatureStore(_counted(), tmp_path / "kept").features(pictures))
    (file,) = (tmp_path / "kept").rglob("*.safetensors")
    whole = file.read_bytes()
    for size in (0, 7, 40, len(whole) - 1):
        file.write_bytes(whole[:size])
        model = _counted()
        assert torch.equal(stacked(FeatureStore(model, tmp_path / "kept").features(pictures)), expected)
        assert model.seen == 3


def test_a_kill_leaves_whole_files_only(tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path, 40)
    worker = multiprocessing.get_context("fork").Process(target=_encode_forever, args=(tmp_path / "kept", pictures))
    worker.start()
    assert worker.pid is not None
    while len(list((tmp_path / "kept").rglob("*.safetensors"))) < 5 and worker.is_alive():
        time.sleep(0.005)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    kept = len(list((tmp_path / "kept").rglob("*.safetensors")))
    model = _counted()
    got = FeatureStore(model, tmp_path / "kept").features(pictures)
    assert model.seen == 40 - kept
    assert torch.allclose(stacked(got), stacked(model.encode(pixels_of(model, pictures))), atol=1e-5)


def test_a_folder_keeps_memory_for_an_index_only(tmp_path: Path) -> None:
    store = FeatureStore(_counted(), tmp_path / "kept")
    store.features(draw_pictures(tmp_path, 3))
    held = [value for kept in vars(store).values() if isinstance(kept, dict) for value in kept.values()]
    assert len(held) == 6
    assert not any(isinstance(value, Tensor) for value in held)


def _encode_forever(folder: Path, pictures: tuple[ImageRef, ...]) -> None:
    torch.set_num_threads(1)
    features.CHUNK_IMAGES = 1
    FeatureStore(_counted(), folder).features(pictures, progress=lambda done, total: time.sleep(0.02))


def _counted(seed: int = 0) -> Counted:
    made = tiny(seed)
    made.parts()["vision"].requires_grad_(False)
    return Counted(made.network, made.tokenizer, processor=made.processor, template=made.template, sources=made.sources)


def test_a_tower_is_given_few_pictures_at_once_where_they_are_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, pictures = _counted(), draw_pictures(tmp_path, 5)
    whole = stacked(FeatureStore(model).features(pictures))
    one = model.pixels(features.load_image(pictures[0])).values.numel()
    for most, expected in ((2 * one, [2, 2, 1]), (2 * one - 1, [1] * 5), (5 * one, [5])):
        monkeypatch.setattr(features, "PASS_VALUES", most)
        shown: list[int] = []
        encode = model.encode

        def counted(some: Sequence[Seen], shown: list[int] = shown, encode=encode) -> list[Seen]:  # type: ignore[no-untyped-def]
            shown.append(len(some))
            return list(encode(some))

        with monkeypatch.context() as patch:
            patch.setattr(model, "encode", counted)
            assert torch.allclose(stacked(FeatureStore(model).features(pictures)), whole, atol=1e-6)
        assert shown == expected
