"""The folder of a data file: what rows name is found in it or in its zips; nothing leads out unless allowed."""

from __future__ import annotations

import base64
import os
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.pictures import draw
from triptych.core.records import ImageRef, VideoRef
from triptych.data.media.folder import ImageFolder, ImageShelf
from triptych.data.media.images import load_image
from triptych.data.media.locate import ImageError, base64_at, read_bytes, zip_at


def zipped(path: Path, **colours: str) -> Path:
    """Write a zip with pictures, each of one colour."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, colour in colours.items():
            picture = draw(path.with_name("drawn.png"), colour=colour)
            archive.write(picture.source, f"pictures/{name}.png")
    path.with_name("drawn.png").unlink()
    return path


def reason_of(folder: ImageFolder, name: str, *, video: bool = False) -> str:
    with pytest.raises(ImageError) as caught:
        folder.find_video(name) if video else folder.find(name)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_a_file_comes_before_a_zip_and_a_zip_before_the_next(tmp_path: Path) -> None:
    draw(tmp_path / "pictures" / "a.png", colour="red")
    first = zipped(tmp_path / "1.zip", a="lime", b="lime")
    second = zipped(tmp_path / "2.zip", b="blue", c="blue")
    folder = ImageFolder(tmp_path, archives=[first, second])
    assert folder.find("pictures/a.png") == ImageRef(str(tmp_path / "pictures" / "a.png"))
    assert folder.find("pictures/b.png") == ImageRef(zip_at(first, "pictures/b.png"))
    assert folder.find("./pictures//c.png") == ImageRef(zip_at(second, "pictures/c.png"))
    assert load_image(folder.find("pictures/c.png")).getpixel((0, 0)) == (0, 0, 255)
    with pytest.raises(ImageError, match=r"'pictures/d\.png' is no file under .* or in 1\.zip or in 2\.zip"):
        folder.find("pictures/d.png")


@pytest.mark.parametrize(
    "name", ["../1.zip", "pictures", "1.zip!/pictures/a.png", "a.png!frame=0", "x\0y", "n" * 5000, "/"]
)
def test_names_of_other_things_find_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    folder = ImageFolder(tmp_path, archives=[zipped(tmp_path / "1.zip", a="red")])
    assert reason_of(folder, name) in {"image file missing", "path leaves the data folder"}


def test_a_zip_that_is_lost_or_broken_is_named(tmp_path: Path) -> None:
    assert reason_of(ImageFolder(tmp_path, archives=[tmp_path / "gone.zip"]), "a.png") == "image file missing"
    (tmp_path / "torn.zip").write_bytes(b"PK")
    with pytest.raises(ImageError, match=r"torn\.zip: zip file unreadable"):
        ImageFolder(tmp_path, archives=[tmp_path / "torn.zip"]).find("a.png")


def test_nothing_outside_is_found_unless_allowed(tmp_path: Path) -> None:
    secret = draw(tmp_path / "secret.png")
    inside = tmp_path / "data"
    inside.mkdir()
    (inside / "link.png").symlink_to(secret.source)
    (inside / "folder").symlink_to(tmp_path)
    names = ["../secret.png", secret.source, "link.png", "folder/secret.png"]
    for name in names:
        assert reason_of(ImageFolder(inside), name) == "path leaves the data folder"
        assert reason_of(ImageFolder(inside), name, video=True) == "path leaves the data folder"
        assert ImageFolder(inside, allow_outside=True).find(name) == secret
    assert reason_of(ImageFolder(inside, allow_outside=True), "../gone.png") == "image file missing"


def test_a_file_whose_name_reads_as_a_locator_is_not_found(tmp_path: Path) -> None:
    draw(tmp_path / "secret.mp4.png")
    (tmp_path / "secret.mp4.png").rename(tmp_path / "secret.mp4!frame=0")
    (tmp_path / "a.zip!").mkdir()
    draw(tmp_path / "a.zip!" / "b.png")
    draw(tmp_path / "wow!.png")
    folder = ImageFolder(tmp_path)
    assert reason_of(folder, "secret.mp4!frame=0") == "image file missing"
    assert reason_of(folder, "a.zip!/b.png") == "image file missing"
    assert folder.find("wow!.png").source.endswith("wow!.png")


@pytest.mark.parametrize("video", [False, True])
def test_a_folder_that_may_not_be_entered_is_not_said_to_lack_the_file(
    video: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lstat(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    finder = ImageFolder(tmp_path)
    monkeypatch.setattr(Path, "lstat", lstat)
    with pytest.raises(ImageError, match=r"may not enter .*pictures/a\.png: permission denied.*execute perm") as caught:
        finder.find_video("pictures/a.png") if video else finder.find("pictures/a.png")
    assert caught.value.reason == "no permission"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_picture_behind_a_closed_folder_is_no_missing_one(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    draw(tmp_path / "pictures" / "a.png")
    (tmp_path / "pictures").chmod(0)
    assert reason_of(ImageFolder(tmp_path), "pictures/a.png") == "no permission"
    (tmp_path / "pictures").chmod(0o700)


def test_a_video_is_a_file_or_a_folder_of_frames(tmp_path: Path) -> None:
    draw(tmp_path / "frames" / "f_1.png")
    (tmp_path / "clip.mp4").write_bytes(b"film")
    folder = ImageFolder(tmp_path)
    assert folder.find_video("clip.mp4") == VideoRef(str(tmp_path / "clip.mp4"))
    assert folder.find_video("frames") == VideoRef(str(tmp_path / "frames"))
    assert folder.find_video("frames/") == VideoRef(str(tmp_path / "frames"))
    assert reason_of(folder, "gone.mp4", video=True) == "video file missing"
    assert reason_of(folder, "../..", video=True) == "path leaves the data folder"


def test_a_picture_from_anywhere_is_put_on_the_shelf_once(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "1.zip", a="red")
    shelf = ImageShelf(tmp_path / "out")
    packed = zip_at(archive, "pictures/a.png")
    name = shelf.name(packed)
    assert name == shelf.name(packed)
    assert name.startswith("images/a-")
    assert name.endswith(".png")
    assert (tmp_path / "out" / name).read_bytes() == read_bytes(packed)
    assert ImageShelf(tmp_path / "out").name(str(tmp_path / "out" / name)) == name


def test_base64_gets_the_ending_that_its_bytes_ask_for(tmp_path: Path) -> None:
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"):
        Image.new("RGB", (4, 4), "red").save(tmp_path / "a", kind)
        text = base64.b64encode((tmp_path / "a").read_bytes())
        (tmp_path / "LA.json").write_bytes(text)
        name = ImageShelf(tmp_path / "out").name(base64_at(tmp_path / "LA.json", start=0, length=len(text)))
        with Image.open(tmp_path / "out" / name) as picture:
            assert picture.format == kind
        assert Path(name).suffix == {"JPEG": ".jpg", "TIFF": ".tif"}.get(kind, f".{kind.lower()}")


def test_videos_are_put_on_the_shelf_as_files_or_folders(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"film")
    draw(tmp_path / "frames" / "f_2.png")
    draw(tmp_path / "frames" / "f_1.png", colour="blue")
    shelf = ImageShelf(tmp_path / "out")
    clip, frames = shelf.video_name(str(tmp_path / "clip.mp4")), shelf.video_name(str(tmp_path / "frames"))
    assert clip.startswith("videos/clip-")
    assert (tmp_path / "out" / clip).read_bytes() == b"film"
    assert sorted(path.name for path in (tmp_path / "out" / frames).iterdir()) == ["f_1.png", "f_2.png"]
    assert shelf.video_name(str(tmp_path / "out" / frames)) == frames
    with pytest.raises(ImageError) as caught:
        shelf.video_name(str(tmp_path / "gone.mp4"))
    assert caught.value.reason == "video file missing"
