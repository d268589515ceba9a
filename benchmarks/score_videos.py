"""Short videos of known, graded damage, made from photographs: what ``score.py`` learns from. No ratings by people.

Not the training nor the scores (``score.py``). A video is ``FRAMES`` views of one picture. Three of VideoScore's five
aspects (arXiv:2406.15252), each from 1 to 4:

    visual quality        4 nothing, then blur, noise or JPEG (one kind a video), stronger at 3, 2 and 1
    temporal consistency  4 nothing, then light that flickers or another picture that shines through every other frame
    dynamic degree        1 the view stands still, then it wanders over the picture, faster at 2, 3 and 4

Every 64 videos of a split hold each of the 4 x 4 x 4 combinations once: within a split no aspect tells of another, nor
of how many videos have which label. All videos have as many frames and the same words. A picture, with whatever looks
the same, is in one split, and so is the picture that shines through.
"""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from triptych.core.records import ImageRef
from triptych.data.media.fingerprint import fingerprint
from triptych.data.media.images import load_image
from triptych.data.media.near import candidates, lay_over
from triptych.starter.icons import icon, vocabulary

FRAMES = 4
VIEW_PX, PICTURE_PX = 128, 256
"""Sides of a frame, and of the square of a picture over which it wanders."""
ASPECTS = ("visual quality", "temporal consistency", "dynamic degree")
LEVELS = (1, 2, 3, 4)
SHARES = {"train": 0.6, "dev": 0.15, "test": 0.25}
"""Of the pictures."""
PROMPT = "<image>" * FRAMES + "\nScores:"
DRAWN = 240
"""Pictures that are drawn where nobody has photographs."""

BLUR_PX = {4: 0.0, 3: 0.8, 2: 1.6, 1: 3.2}
NOISE_LEVELS = {4: 0.0, 3: 12.0, 2: 30.0, 1: 70.0}
"""Standard deviation, of 0 to 255."""
JPEG_QUALITY = {3: 25, 2: 10, 1: 4}
FLICKER = {4: 0.0, 3: 0.12, 2: 0.28, 1: 0.55}
"""Share of light that every other frame loses."""
FOREIGN = {4: 0.0, 3: 0.2, 2: 0.4, 1: 0.75}
"""Share of another picture in every other frame."""
SPEED_PX = {1: 0, 2: 8, 3: 20, 4: 42}
"""From a frame to the next; three steps of the last cross the picture."""
QUALITY_KINDS, TEMPORAL_KINDS = ("blur", "noise", "jpeg"), ("flicker", "foreign")
DIRECTIONS = ((1, 0), (0, 1), (1, 1), (1, -1), (-1, 0), (0, -1), (-1, -1), (-1, 1))

Pixels = NDArray[np.float32]
"""(side, side, 3), levels of 0 to 255."""


@dataclass(frozen=True, slots=True)
class Video:
    """What is done to a picture."""

    picture: str
    foreign: str
    """The picture that shines through, where one does."""
    levels: tuple[int, int, int]
    """1 to 4 for each of ``ASPECTS``."""
    quality_kind: str
    temporal_kind: str
    direction: tuple[int, int]
    phase: int
    """0 or 1: whether the frames 0 and 2 are disturbed, or 1 and 3."""
    seed: int
    """Of the noise."""


def photographs() -> dict[str, Image.Image]:
    """Return the squares of the Mantis chat examples' pictures by name; empty: nobody has them here."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    root = Path(os.environ["TRIPTYCH_SHARED"]) if "TRIPTYCH_SHARED" in os.environ else beside
    folder = root / "data" / "mantis_examples" / "chat"
    return {
        str(path.relative_to(folder)): squared(load_image(ImageRef(str(path))))
        for path in sorted(folder.rglob("*.jpg"))
    }


def drawn_pictures(count: int = DRAWN, *, seed: int) -> dict[str, Image.Image]:
    """Return pictures of pictograms on a mottled ground, by name: the same for the same seed."""
    random, things = np.random.default_rng(seed), vocabulary()
    pictures = {}
    for number in range(count):
        coarse = random.integers(40, 256, (6, 6, 3), dtype=np.uint8)
        ground = Image.fromarray(coarse).resize((PICTURE_PX, PICTURE_PX), Image.Resampling.BICUBIC)
        for place in random.choice(len(things), size=6, replace=False):
            side = int(random.integers(60, 120))
            thing = icon(things[int(place)].code).resize((side, side), Image.Resampling.LANCZOS)
            left, top = (int(each) for each in random.integers(-10, PICTURE_PX - side + 10, 2))
            ground.paste(thing, (left, top), thing)
        pictures[f"drawn-{number:03}"] = ground
    return pictures


def squared(picture: Image.Image) -> Image.Image:
    """Return the largest middle square of a picture at ``PICTURE_PX``."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    return picture.resize((PICTURE_PX, PICTURE_PX), Image.Resampling.LANCZOS, box=box)


def split(pictures: Mapping[str, Image.Image], *, seed: int) -> dict[str, list[str]]:
    """Return which pictures belong to which split; those that look the same stay together."""
    names = list(pictures)
    prints = [fingerprint(picture, crops=False) for picture in pictures.values()]
    group = list(range(len(names)))
    for pair in candidates(prints, prints):
        if lay_over(pictures[names[pair.left]], pictures[names[pair.right]]).same:
            one, other = sorted((group[pair.left], group[pair.right]))
            group = [one if each == other else each for each in group]
    groups = [[name for name, of in zip(names, group, strict=True) if of == number] for number in sorted(set(group))]
    order = np.random.default_rng([seed, 1]).permutation(len(groups))
    found: dict[str, list[str]] = {name: [] for name in SHARES}
    for place in order:
        least = min(found, key=lambda name: len(found[name]) / SHARES[name])
        found[least].extend(groups[place])
    return found


def plan(names: Sequence[str], blocks: int, *, seed: int) -> list[Video]:
    """Return 64 videos a block, one of each combination of levels, over the pictures of one split in turn."""
    random = np.random.default_rng([seed, 2])
    combinations = list(product(LEVELS, repeat=len(ASPECTS)))
    videos: list[Video] = []
    shown: list[str] = []
    for _ in range(blocks):
        for place in random.permutation(len(combinations)):
            if not shown:
                shown = [names[at] for at in random.permutation(len(names))]
            picture, (one, two, three) = shown.pop(), combinations[place]
            others = [name for name in names if name != picture]
            videos.append(
                Video(
                    picture=picture,
                    foreign=others[random.integers(len(others))],
                    levels=(one, two, three),
                    quality_kind=QUALITY_KINDS[random.integers(len(QUALITY_KINDS))],
                    temporal_kind=TEMPORAL_KINDS[random.integers(len(TEMPORAL_KINDS))],
                    direction=DIRECTIONS[random.integers(len(DIRECTIONS))],
                    phase=int(random.integers(2)),
                    seed=int(random.integers(2**31)),
                )
            )
    return videos


def frames_of(video: Video, pictures: Mapping[str, Image.Image]) -> list[Image.Image]:
    """Return the frames of a video: it wanders first, then it is disturbed, then its quality falls."""
    quality, temporal, dynamic = video.levels
    boxes = list(_boxes(SPEED_PX[dynamic], video.direction))
    frames = [_cut(pictures[video.picture], box) for box in boxes]
    for number in range(video.phase, FRAMES, 2):
        foreign = _cut(pictures[video.foreign], boxes[number])
        frames[number] = _disturbed(frames[number], foreign, video.temporal_kind, temporal)
    noise = np.random.default_rng(video.seed)
    return [_worn(frame, video.quality_kind, quality, noise) for frame in frames]


def write_split(videos: Sequence[Video], pictures: Mapping[str, Image.Image], path: Path, *, prefix: str) -> None:
    """Write the frames as PNG below ``path``'s folder, and the rows as ``mantis_classification`` JSON."""
    folder = path.parent / prefix
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, video in enumerate(videos):
        names = []
        for place, frame in enumerate(frames_of(video, pictures)):
            names.append(f"{prefix}/{number:04}_{place}.png")
            frame.save(path.parent / names[-1], compress_level=1)
        labels = {name: float(level) for name, level in zip(ASPECTS, video.levels, strict=True)}
        rows.append({"id": f"{prefix}-{number:04}", "images": names, "prompt": PROMPT, "labels": labels})
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def lenders(videos: Sequence[Video], *, seed: int) -> list[int]:
    """Return for each video the number of another, of another picture, whose frames it is shown with; each lends once.

    Args:
        videos: of which no picture makes more than half.
        seed: of the order they are paired in.
    """
    order = np.random.default_rng([seed, 3]).permutation(len(videos)).tolist()
    order.sort(key=lambda at: videos[at].picture)  # stable: a picture's videos stand together, pictures by name
    most = max(Counter(video.picture for video in videos).values())
    found = [0] * len(videos)
    for place, borrower in enumerate(order):
        found[borrower] = order[(place + most) % len(order)]
    return found


def _boxes(speed_px: int, direction: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the left upper corner of each frame's view: its way is centred on the picture."""
    middle = (PICTURE_PX - VIEW_PX) / 2
    steps = [(number - (FRAMES - 1) / 2) * speed_px for number in range(FRAMES)]
    return [(round(middle + step * direction[0]), round(middle + step * direction[1])) for step in steps]


def _cut(picture: Image.Image, corner: tuple[int, int]) -> Pixels:
    left, top = corner
    return np.asarray(picture.crop((left, top, left + VIEW_PX, top + VIEW_PX)), dtype=np.float32)


def _disturbed(frame: Pixels, foreign: Pixels, kind: str, level: int) -> Pixels:
    share = np.float32(FLICKER[level] if kind == "flicker" else FOREIGN[level])
    disturbed: Pixels = (1 - share) * frame
    if kind == "foreign":
        disturbed += share * foreign
    return disturbed


def _worn(frame: Pixels, kind: str, level: int, random: np.random.Generator) -> Image.Image:
    if kind == "noise":
        frame = frame + random.standard_normal(frame.shape, dtype=np.float32) * np.float32(NOISE_LEVELS[level])
    picture = Image.fromarray(np.clip(frame.round(), 0, 255).astype(np.uint8))
    if kind == "blur":
        return picture.filter(ImageFilter.GaussianBlur(BLUR_PX[level]))
    if kind == "jpeg" and level in JPEG_QUALITY:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=JPEG_QUALITY[level])
        return Image.open(file).convert("RGB")
    return picture
