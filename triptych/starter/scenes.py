"""Stories and their pictures: which thing stands in which image, how it is drawn, what the image is called.

Not the questions (``questions.py``). A story has one of LLaVA-NeXT-Interleave's four scenarios:
``images`` (separate pictures), ``frames`` (one clip on one backdrop), ``views`` (a room from several sides)
and ``patches`` (tiles cut from one large picture). Everything follows from the random generator passed in.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw

from triptych.core.full_disk import naming
from triptych.core.records import ImageRef
from triptych.starter.icons import Thing, icon

SIDE_PX = 128
"""Side of one image, and of one tile of a large picture, in pixels."""

SCENARIOS = ("images", "frames", "views", "patches")
SIZES = {"images": (2, 3, 3, 4, 4, 5, 6, 8), "frames": (3, 3, 4, 4, 5, 6, 8), "views": (3, 4), "patches": (4, 4, 6)}
"""How many images a story of each scenario may have; drawn uniformly from these."""

_SIDES = ("front", "right", "back", "left")
_TILES = {
    4: ("top left", "top right", "bottom left", "bottom right"),
    6: ("top left", "top middle", "top right", "bottom left", "bottom middle", "bottom right"),
}

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Story:
    """What is to be seen, image by image."""

    id: str
    scenario: str
    things: tuple[Thing, ...]
    names: tuple[str, ...]
    """How the text refers to each image: ``image 2``, ``frame 1``, ``the left view``, ``the top right tile``."""


def name_images(scenario: str, count: int) -> tuple[str, ...]:
    """Return what the text calls each of ``count`` images of a scenario."""
    if scenario == "views":
        return tuple(f"the {side} view" for side in _SIDES[:count])
    if scenario == "patches":
        return tuple(f"the {place} tile" for place in _TILES[count])
    unit = "frame" if scenario == "frames" else "image"
    return tuple(f"{unit} {number}" for number in range(1, count + 1))


def draw_story(story: Story, folder: Path, *, rng: Random) -> tuple[ImageRef, ...]:
    """Draw the story's pictures as PNG files named by its id and return one reference an image, in order.

    A ``patches`` story is one file; its references carry boxes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if story.scenario == "patches":
        return _draw_patches(story, folder, rng)
    backdrop = _pastel(rng)
    refs = []
    for number, thing in enumerate(story.things):
        if story.scenario == "images":
            backdrop = _pastel(rng)
        picture = Image.new("RGB", (SIDE_PX, SIDE_PX), backdrop)
        if story.scenario == "views":
            _draw_room(picture, backdrop, rng)
        _paste(picture, thing, (0, 0), rng)
        path = folder / f"{story.id}-{number + 1}.png"
        _save(picture, path)
        refs.append(ImageRef(str(path), picture.size))
    return tuple(refs)


def draw_portrait(thing: Thing, path: Path, *, rng: Random) -> ImageRef:
    """Draw one thing alone, in a random scenario's manner, for naming it."""
    backdrop = _pastel(rng)
    picture = Image.new("RGB", (SIDE_PX, SIDE_PX), backdrop)
    if rng.random() < 0.3:
        _draw_room(picture, backdrop, rng)
    _paste(picture, thing, (0, 0), rng)
    path.parent.mkdir(parents=True, exist_ok=True)
    _save(picture, path)
    return ImageRef(str(path), picture.size)


def _draw_patches(story: Story, folder: Path, rng: Random) -> tuple[ImageRef, ...]:
    columns = len(story.things) // 2
    picture = Image.new("RGB", (columns * SIDE_PX, 2 * SIDE_PX), _pastel(rng))
    boxes = []
    for number, thing in enumerate(story.things):
        left, top = number % columns * SIDE_PX, number // columns * SIDE_PX
        _paste(picture, thing, (left, top), rng)
        boxes.append((left, top, left + SIDE_PX, top + SIDE_PX))
    path = folder / f"{story.id}.png"
    _save(picture, path)
    return tuple(ImageRef(str(path), (SIDE_PX, SIDE_PX), box) for box in boxes)


def _paste(picture: Image.Image, thing: Thing, corner: tuple[int, int], rng: Random) -> None:
    side = round(SIDE_PX * rng.uniform(0.62, 0.95))
    drawn = icon(thing.code).rotate(rng.uniform(-18, 18), resample=Image.Resampling.BICUBIC)
    drawn = drawn.resize((side, side), Image.Resampling.BICUBIC)
    left, top = (corner[axis] + rng.randint(0, SIDE_PX - side) for axis in (0, 1))
    picture.paste(drawn, (left, top), drawn)


def _draw_room(picture: Image.Image, wall: Colour, rng: Random) -> None:
    """Add a floor in perspective, so that a view looks like a side of a room."""
    horizon = round(SIDE_PX * rng.uniform(0.5, 0.75))
    red, green, blue = (round(channel * 0.85) for channel in wall)
    canvas = ImageDraw.Draw(picture)
    canvas.rectangle((0, horizon, SIDE_PX, SIDE_PX), fill=(red, green, blue))
    line = (round(red * 0.9), round(green * 0.9), round(blue * 0.9))
    for foot in range(-SIDE_PX, 2 * SIDE_PX + 1, SIDE_PX // 4):
        canvas.line(((SIDE_PX + foot) / 3, horizon, foot, SIDE_PX), fill=line)


def _save(picture: Image.Image, path: Path) -> None:
    with naming(path):
        picture.save(path)


def _pastel(rng: Random) -> Colour:
    channels = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.0, 0.35), rng.uniform(0.82, 1.0))
    red, green, blue = (round(255 * channel) for channel in channels)
    return red, green, blue


def pick_things(pool: Sequence[Thing], count: int, *, rng: Random) -> tuple[Thing, ...]:
    """Return ``count`` different things."""
    return tuple(rng.sample(list(pool), count))
