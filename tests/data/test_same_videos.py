"""A video that a benchmark holds too is found: its bytes, another file, a folder of its frames; no other video."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest
from PIL import Image

from tests.data.test_near import saved, scene
from triptych.core.records import VideoRef
from triptych.data.trust.decontaminate import decontaminate
from triptych.data.trust.videos import same_videos, video_print


def frames_of(seed: int, count: int = 12) -> list[Image.Image]:
    """Return a picture that changes into another: a video unlike that of any other seed."""
    return [Image.blend(scene(seed), scene(seed + 100), number / count) for number in range(count)]


def film(path: Path, frames: list[Image.Image], *, rate: int = 8) -> VideoRef:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=rate)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_image(frame)))
        file.mux(stream.encode())
    return VideoRef(str(path))


def folder_of(path: Path, frames: list[Image.Image]) -> VideoRef:
    path.mkdir()
    for number, frame in enumerate(frames):
        frame.save(path / f"f_{number}.png")
    return VideoRef(str(path))


def source(place: Path, name: str, **videos: VideoRef) -> str:
    rows = [
        {
            "id": key,
            "video": video.source,
            "conversations": [
                {"from": "human", "value": f"<image>What is {key}?"},
                {"from": "gpt", "value": f"That is {key}."},
            ],
        }
        for key, video in videos.items()
    ]
    (place / name).write_text(json.dumps(rows))
    return f"llava:{place / name}#outside=allow"


def test_a_row_with_a_benchmarks_video_is_shared(tmp_path: Path) -> None:
    theirs = film(tmp_path / "theirs.mp4", frames_of(0))
    small = [saved(frame.resize((120, 90)), 60) for frame in frames_of(0)]
    (tmp_path / "equal.mp4").write_bytes(Path(theirs.source).read_bytes())
    found = decontaminate(
        [
            source(
                tmp_path,
                "ours.json",
                equal=VideoRef(str(tmp_path / "equal.mp4")),
                small=film(tmp_path / "small.mp4", small, rate=25),
                folder=folder_of(tmp_path / "folder", frames_of(0)),
                other=film(tmp_path / "other.mp4", frames_of(1)),
            )
        ],
        [source(tmp_path, "bench.json", b=theirs)],
    )
    assert found.clean == ((0, 3),)
    assert found.kinds == {"video": 3}
    told = {match.where.rpartition("'")[0].rpartition("'")[2]: match.message for match in found.matches}
    assert "video 'equal.mp4' is 'theirs.mp4'" in told["equal"]
    assert "looks like 'theirs.mp4'" in told["small"]
    assert "looks like 'theirs.mp4'" in told["folder"]


def test_a_video_that_cannot_be_read_refuses_its_row(tmp_path: Path) -> None:
    (tmp_path / "torn.mp4").write_bytes(b"torn")
    ours = source(tmp_path, "ours.json", torn=VideoRef(str(tmp_path / "torn.mp4")))
    found = decontaminate([ours], [ours])
    assert (found.shared, len(found.refused), len(found.benchmark_refused)) == (0, 1, 1)


def test_videos_that_share_a_title_or_blackness_are_not_one(tmp_path: Path) -> None:
    black, title = Image.new("RGB", (240, 180)), scene(7)
    one = folder_of(tmp_path / "one", [title] * 3 + frames_of(0, 9))
    other = folder_of(tmp_path / "other", [title] * 3 + frames_of(1, 9))
    dark = [folder_of(tmp_path / name, [black] * length) for name, length in (("a", 8), ("b", 9))]
    prints = {video: video_print(video) for video in (one, other, *dark)}
    pairs = same_videos(prints, prints)
    assert set(pairs) == {(video, video) for video in prints}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_all_frames_of_a_short_video_must_be_alike(count: int, tmp_path: Path) -> None:
    one = folder_of(tmp_path / "one", frames_of(0, count))
    copy = film(tmp_path / "copy.mp4", frames_of(0, count))
    longer = folder_of(tmp_path / "longer", [*frames_of(0, count), *map(scene, range(5, 14))])
    ours, theirs = {one: video_print(one)}, {video: video_print(video) for video in (copy, longer)}
    assert same_videos(ours, theirs) == {(one, copy): "looks like"}
