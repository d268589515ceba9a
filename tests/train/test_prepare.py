"""What a run remembers of its data, to notice that they changed."""

from __future__ import annotations

import zipfile
from pathlib import Path

from PIL import Image

from tests.pictures import draw
from triptych.core.records import ImageRef
from triptych.train.prepare import image_key


def test_another_picture_of_the_same_name_and_size_is_another_picture(tmp_path: Path) -> None:
    keys = []
    for folder, picture in (("a", Image.new("RGB", (8, 8))), ("b", Image.effect_noise((8, 8), 90).convert("RGB"))):
        path = tmp_path / folder / "same.png"
        path.parent.mkdir()
        picture.save(path)
        keys.append(image_key(ImageRef(str(path), (8, 8))))
    assert keys[0] != keys[1]


def test_a_data_set_that_moved_is_the_same(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / folder / "same.png")
    first, second = (image_key(ImageRef(str(tmp_path / folder / "same.png"), (8, 8))) for folder in ("a", "b"))
    assert first == second


def test_an_image_is_told_by_its_resize_and_in_a_zip_by_its_member(tmp_path: Path) -> None:
    picture = draw(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(picture.source, "folder/a.png")
    packed = ImageRef(f"{tmp_path / 'a.zip'}!/folder/a.png")
    assert image_key(packed) == image_key(picture)
    assert image_key(ImageRef(picture.source, resize=(4, 4))) != image_key(picture)
