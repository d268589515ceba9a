"""Videos: a frame reached by seeking is the one that decoding from the start gives; what is torn is refused."""

from __future__ import annotations

import multiprocessing
import struct
import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from random import Random

import av
import numpy as np
import pytest
from PIL import Image

from tests.pictures import draw, real_data
from triptych.core.records import ImageRef, VideoRef
from triptych.data.media.images import load_image, measure, whole_size
from triptych.data.media.locate import ImageError, bytes_of, digest_of, exists, frame_at, read_bytes
from triptych.data.media.video import frame_files, frame_refs, load_frame, pick_uniform, probe

WIDTH, HEIGHT = 96, 64


def film(
    path: Path,
    *,
    frames: int = 40,
    codec: str = "libx264",
    rate: int | Fraction = 25,
    rotation: int = 0,
    pixels: str = "yuv420p",
    corners: Sequence[tuple[int, int, int]] = (),
    **options: str,
) -> Path:
    """Make a video in which a square wanders, so that no two frames are alike, with its corners in these colours."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(frames):
            canvas = np.full((HEIGHT, WIDTH, 3), (number * 6) % 256, dtype=np.uint8)
            canvas[8:24, (number * 2) % 80 :][:, :16] = (255, number * 5 % 256, 0)
            canvas[:4, :4] = (255, 0, 0)
            for colour, (down, across) in zip(corners, ((0, 0), (0, -8), (-8, 0), (-8, -8)), strict=False):
                canvas[down:, across:][:8, :8] = colour
            container.mux(stream.encode(av.VideoFrame.from_ndarray(canvas, format="rgb24")))
        container.mux(stream.encode())
    return path


def from_the_start(path: Path) -> list[Image.Image]:
    with av.open(str(path)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def same(left: Image.Image, right: Image.Image) -> bool:
    return left.size == right.size and left.tobytes() == right.tobytes()


def reason_of(look: object, *args: object) -> str:
    assert callable(look)
    with pytest.raises(ImageError) as caught:
        look(*args)
    assert "\n" not in str(caught.value)
    return caught.value.reason


KINDS = {
    "b-frames.mp4": {"codec": "libx264", "g": "12", "bf": "3", "keyint_min": "12"},
    "open-gop.mp4": {"codec": "libx264", "x264-params": "open-gop=1:keyint=10:bframes=3:b-pyramid=normal"},
    "one-key.mp4": {"codec": "libx264", "g": "1000", "bf": "2"},
    "all-keys.mp4": {"codec": "libx264", "g": "1"},
    "b-frames.mkv": {"codec": "libx264", "g": "12", "bf": "3"},
    "b-frames.ts": {"codec": "libx264", "g": "12", "bf": "2"},
    "packed.avi": {"codec": "mpeg4", "g": "12"},
    "hidden.webm": {"codec": "libvpx", "auto-alt-ref": "1", "lag-in-frames": "16", "g": "15", "deadline": "realtime"},
    "hidden9.webm": {"codec": "libvpx-vp9", "auto-alt-ref": "1", "lag-in-frames": "12", "g": "15", "cpu-used": "8"},
    "simple.mp4": {"codec": "mpeg4", "g": "7", "bf": "2"},
}


@pytest.mark.parametrize("name", KINDS)
def test_each_frame_is_what_decoding_from_the_start_gives(name: str, tmp_path: Path) -> None:
    path = film(tmp_path / name, **KINDS[name])  # type: ignore[arg-type]
    truth = from_the_start(path)
    info = probe(str(path))
    assert (info.frames, info.size) == (len(truth), (WIDTH, HEIGHT))
    assert info.frames == 40
    order = [*range(0, 40, 7), *Random(0).sample(range(40), 40), 0, 39, 39]
    for index in order:
        assert same(load_frame(str(path), index), truth[index]), index


def test_rate_and_length_are_told(tmp_path: Path) -> None:
    info = probe(str(film(tmp_path / "a.mp4", rate=Fraction(30000, 1001), frames=30)))
    assert info.fps == pytest.approx(29.97, abs=0.01)
    assert info.seconds == pytest.approx(1.001, abs=0.001)


@pytest.mark.parametrize(
    "name",
    [
        "mantis_examples/chat_video/video/000001_000050/1066682446.mp4",
        "mantis_examples/chat_video/video/000051_000100/1066666141.mp4",
        "mantis_examples/chat_video/video/000101_000150/26173820.mp4",
        "videoscore/video1.mp4",
    ],
)
def test_frames_of_real_videos_are_exact(name: str) -> None:
    path = real_data(name)
    frames = probe(str(path)).frames
    wanted = {*pick_uniform(frames, 6), *Random(1).sample(range(frames), 4)}
    shown = {}
    with av.open(str(path)) as container:
        for count, frame in enumerate(container.decode(video=0), start=1):
            if count - 1 in wanted:
                shown[count - 1] = frame.to_image()
    assert count == frames
    order = list(wanted)
    Random(2).shuffle(order)
    for index in order:
        assert same(load_frame(str(path), index), shown[index]), index


@pytest.mark.parametrize(("rotation", "corner"), [(90, (2, -3)), (-90, (-3, 2)), (180, (-3, -3))])
def test_a_turned_video_stands_upright_and_its_size_is_known(
    rotation: int, corner: tuple[int, int], tmp_path: Path
) -> None:
    path = film(tmp_path / "a.mp4", frames=3, rotation=rotation)
    frame = load_frame(str(path), 2)
    assert frame.size == probe(str(path)).size == ((WIDTH, HEIGHT) if rotation == 180 else (HEIGHT, WIDTH))
    red, green, blue = frame.getpixel(tuple(side % full for side, full in zip(corner, frame.size, strict=True)))  # type: ignore[misc]
    assert red > 120 > max(green, blue)


RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
MATRICES = {
    "mirrored": ((-1, 0, 0, 1), [GREEN, RED, WHITE, BLUE]),
    "flipped": ((1, 0, 0, -1), [BLUE, WHITE, RED, GREEN]),
    "on its head": ((-1, 0, 0, -1), [WHITE, BLUE, GREEN, RED]),
    "a quarter with the clock": ((0, 1, -1, 0), [BLUE, RED, WHITE, GREEN]),
    "a quarter against the clock": ((0, -1, 1, 0), [GREEN, WHITE, RED, BLUE]),
    "transposed": ((0, 1, 1, 0), [RED, BLUE, GREEN, WHITE]),
    "transposed on the other diagonal": ((0, -1, -1, 0), [WHITE, GREEN, BLUE, RED]),
    "twice as wide": ((2, 0, 0, 1), [RED, GREEN, BLUE, WHITE]),
    "aslant": ((1, 1, -1, 1), [RED, GREEN, BLUE, WHITE]),
    "nothing": ((0, 0, 0, 0), [RED, GREEN, BLUE, WHITE]),
}


@pytest.mark.parametrize("name", MATRICES)
def test_a_video_is_turned_and_mirrored_as_its_display_matrix_says(name: str, tmp_path: Path) -> None:
    """The corners are those of the frame as a player shows it: where the matrix puts them."""
    matrix, corners = MATRICES[name]
    path = film(tmp_path / "a.mp4", frames=3, corners=(RED, GREEN, BLUE, WHITE))
    content = bytearray(path.read_bytes())
    across, down, across_of_y, down_of_y = (number << 16 for number in matrix)
    struct.pack_into(
        ">9i", content, content.index(b"tkhd") + 4 + 40, across, down, 0, across_of_y, down_of_y, 0, 0, 0, 1 << 30
    )
    path.write_bytes(bytes(content))
    frame = load_frame(str(path), 2)
    assert frame.size == probe(str(path)).size == ((HEIGHT, WIDTH) if matrix[0] == 0 != matrix[1] else (WIDTH, HEIGHT))
    right, bottom = frame.width - 4, frame.height - 4
    shown = [frame.getpixel(place) for place in ((3, 3), (right, 3), (3, bottom), (right, bottom))]
    assert np.allclose(shown, corners, atol=60)


def test_a_frame_is_a_picture_like_any_other(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", frames=9)
    first, last = frame_refs(VideoRef(str(path)), [0, 8])
    assert last == ImageRef(frame_at(path, 8), video=str(path))
    assert frame_refs(VideoRef(str(path)), [8], name="") == (ImageRef(frame_at(path, 8)),)
    assert measure(last).size == whole_size(last.source) == (WIDTH, HEIGHT)
    assert same(load_image(last), load_frame(str(path), 8))
    part = ImageRef(last.source, box=(0, 0, 32, 16), resize=(8, 4))
    assert measure(part).size == load_image(part).size == (8, 4)
    kept = tmp_path / "kept.png"
    kept.write_bytes(read_bytes(last.source))
    assert same(load_image(ImageRef(str(kept))), load_frame(str(path), 8))
    assert digest_of(first.source) != digest_of(last.source)
    assert bytes_of(last.source) == path.stat().st_size
    assert exists(last.source)


@pytest.mark.parametrize("index", [-1, 9, 10**9])
def test_a_frame_that_is_not_there_is_missing(index: int, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", frames=9)
    assert reason_of(frame_refs, VideoRef(str(path)), [0, index]) == "video frame missing"
    assert reason_of(load_frame, str(path), index) == "video frame missing"
    if index > 0:
        assert reason_of(whole_size, frame_at(path, index)) == "video frame missing"


def test_a_missing_video_is_missing(tmp_path: Path) -> None:
    for look in (probe, lambda path: load_frame(path, 0), lambda path: whole_size(frame_at(path, 0))):
        assert reason_of(look, str(tmp_path / "gone.mp4")) == "video file missing"


@pytest.mark.parametrize("name", ["front.mp4", "end.mp4", "a.mkv"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.95])
def test_a_torn_video_is_unreadable(name: str, part: float, tmp_path: Path) -> None:
    options = {"movflags": "faststart"} if name == "front.mp4" else {}
    whole = tmp_path / f"whole-{name}"
    raw = film(tmp_path / "raw.mp4", frames=100, g="10", bf="2")
    with av.open(str(raw)) as source, av.open(str(whole), "w", options=options) as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    assert probe(str(whole)).frames == 100
    torn = tmp_path / name
    torn.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * part)])
    assert reason_of(probe, str(torn)) == "video unreadable"


@pytest.mark.parametrize("place", [5, 9, 13, 17])
def test_a_damaged_frame_and_those_that_build_on_it_are_refused_and_all_others_are_whole(
    place: int, tmp_path: Path
) -> None:
    path = film(tmp_path / "a.mp4", frames=60, g="10", bf="0", sc_threshold="0")
    truth = from_the_start(path)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        hit = packets[25].pos
    assert hit is not None
    content = bytearray(path.read_bytes())
    content[hit + place : hit + place + 8] = b"\xaa\x55" * 4
    path.write_bytes(bytes(content))
    refused = []
    for index in range(60):
        try:
            frame = load_frame(str(path), index)
        except ImageError:
            refused.append(index)
        else:
            assert same(frame, truth[index]), index
    assert refused == [25, 26, 27, 28, 29]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no video",
        b"#EXTM3U\n#EXTINF:1,\n/etc/hosts\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile a.mp4\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
    ],
)
def test_what_is_no_plain_video_is_unreadable_even_if_it_names_one(content: bytes, tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", frames=3)
    for name in ("list.m3u8", "list.mp4", "list.txt"):
        (tmp_path / name).write_bytes(content)
        assert reason_of(probe, str(tmp_path / name)) == "video unreadable"


def test_a_name_with_a_colon_or_a_percent_sign_is_a_name(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", frames=3).rename(tmp_path / "http:%03d concat:x.mp4")
    assert probe(str(path)).frames == 3


def test_a_sound_file_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    assert reason_of(probe, str(tmp_path / "a.mp4")) == "video unreadable"


def test_a_video_that_changed_is_looked_at_anew(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", frames=9)
    load_frame(str(path), 3)
    film(path, frames=5)
    assert probe(str(path)).frames == 5
    assert same(load_frame(str(path), 3), from_the_start(path)[3])


@pytest.mark.filterwarnings("ignore:This process")
def test_threads_and_forked_workers_see_the_same_frames(tmp_path: Path) -> None:
    sources = [frame_at(film(tmp_path / f"{number}.mp4", frames=20, g="8"), 13) for number in range(6)]
    truth = [read_bytes(source) for source in sources]
    wrong: list[int] = []

    def check(number: int) -> None:
        wrong.extend(at for at in range(3) if read_bytes(sources[number]) != truth[number] and at >= 0)

    threads = [threading.Thread(target=check, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(read_bytes, sources) == truth


# Folders of frames


def test_a_folder_of_frames_is_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    names = ["a_10.jpg", "a_9.jpg", "a_100.png", "b_2.jpg", "b_2x.txt", ".hidden_1.jpg"]
    for name in names:
        if name.endswith("txt"):
            (tmp_path / name).write_text("notes")
        else:
            draw(tmp_path / name, size=(10, 20 if name == "b_2.jpg" else 30))
    assert [path.name for path in frame_files(tmp_path)] == ["b_2.jpg", "a_9.jpg", "a_10.jpg", "a_100.png"]
    info = probe(str(tmp_path))
    assert (info.frames, info.fps, info.seconds, info.size) == (4, None, None, (10, 20))
    refs = frame_refs(VideoRef(str(tmp_path)), [0, 3, 3])
    assert [Path(ref.source).name for ref in refs] == ["b_2.jpg", "a_100.png", "a_100.png"]
    assert reason_of(frame_refs, VideoRef(str(tmp_path)), [4]) == "video frame missing"


def test_frames_without_a_number_after_the_underscore_are_in_natural_order(tmp_path: Path) -> None:
    for name in ("clip7_end.png", "frame2.png", "frame10.png", "clip10_end.png"):
        draw(tmp_path / name)
    found = [path.name for path in frame_files(tmp_path)]
    assert found == ["frame2.png", "frame10.png", "clip7_end.png", "clip10_end.png"]


def test_a_folder_without_pictures_is_no_video(tmp_path: Path) -> None:
    assert reason_of(probe, str(tmp_path)) == "video file missing"
    assert reason_of(frame_files, tmp_path / "gone") == "video file missing"


def test_a_frame_that_links_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    secret = draw(tmp_path / "secret.png")
    draw(tmp_path / "clip" / "f_1.png")
    (tmp_path / "clip" / "f_2.png").symlink_to(secret.source)
    assert reason_of(probe, str(tmp_path / "clip")) == "path leaves the data folder"
