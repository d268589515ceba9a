"""Drawn albums: a few images of things on coloured grounds that belong together, with the truth of what is in them.

Not the starter's Storyboard, whose images hold one thing each: here things are counted, small or large, and shared
between images. Three sorts of album: ``album`` (things recur), ``before_after`` (one thing differs), ``frames`` (things
come and go in order). Everything follows from the random generator passed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from PIL import Image

from triptych.core.records import ImageRef
from triptych.generate.item import Annotation, Thing, View
from triptych.generate.kit.sorts import join_words, plural, with_article
from triptych.starter import icons

SIDE_PX = 192
_CELL_PX = SIDE_PX // 2
_SIZES = {"small": 0.5, "large": 0.92}
_GROUNDS = {
    "pink": (250, 218, 221),
    "blue": (205, 225, 250),
    "green": (212, 240, 210),
    "yellow": (252, 246, 200),
    "grey": (222, 222, 222),
    "white": (255, 255, 255),
}
ALBUMS = ("album", "before_after", "frames")
_NUMBERS = ("no", "one", "two", "three", "four")


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A thing in an image: which, how large, and in which quarter."""

    what: icons.Thing
    size: str
    cell: int


def draw_album(name: str, kind: str, *, folder: Path, random: Random, captions: bool = True) -> Annotation:
    """Draw an album's images as PNG files named by it, and return what is in them.

    Args:
        name: of the album; the annotation's id.
        kind: one of ``ALBUMS``.
        folder: where the files go.
        random: everything follows from it.
        captions: whether a sentence tells of each image, besides its things.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = {"album": _album, "before_after": _before_after, "frames": _frames}[kind](random)
    names = [thing.what.word for things in images for thing in things]
    grounds = random.sample(sorted(_GROUNDS), 1) * len(images)
    if kind == "album":
        grounds = [random.choice(sorted(_GROUNDS)) for _ in images]
    views = []
    for number, (things, ground) in enumerate(zip(images, grounds, strict=True), start=1):
        path = (folder / f"{name}-{number}.png").absolute()
        _paint(things, ground, random).save(path)
        told = tuple(Thing(each.what.word, _box(each), (each.size,)) for each in things)
        said = (_caption(things, ground),) if captions else ()
        title = ("before", "after")[number - 1] if kind == "before_after" else f"{kind} {number}"
        views.append(View(ImageRef(str(path), (SIDE_PX, SIDE_PX)), said, told, name=title))
    facts = {"album": name, "scene": kind, "names": sorted(set(names))}
    return Annotation(name, tuple(views), origin=f"drawn: {name}", facts=facts)  # type: ignore[arg-type]


def _pool() -> list[icons.Thing]:
    """Return the things whose words have a plural: no jeans, no grapes."""
    return [thing for thing in icons.vocabulary() if not thing.word.endswith("s")]


def _album(random: Random) -> list[list[_Drawn]]:
    pool = random.sample(_pool(), 4)
    return [
        _placed([random.choice(pool) for _ in range(random.randint(1, 4))], random) for _ in range(random.randint(3, 4))
    ]


def _before_after(random: Random) -> list[list[_Drawn]]:
    *shared, extra = random.sample(_pool(), random.randint(3, 4))
    before = _placed(shared, random)
    free = sorted(set(range(4)) - {each.cell for each in before})
    after = [*before, _Drawn(extra, random.choice(sorted(_SIZES)), random.choice(free))]
    return [before, after] if random.random() < 0.5 else [after, before]


def _frames(random: Random) -> list[list[_Drawn]]:
    pool = random.sample(_pool(), 4)
    frames: list[list[_Drawn]] = []
    shown: list[_Drawn] = []
    for at, thing in enumerate(pool[: random.randint(3, 4)]):
        if len(shown) > 1 and random.random() < 0.4:
            shown = shown[1:]
        shown = [*shown, _Drawn(thing, random.choice(sorted(_SIZES)), at)]
        frames.append(shown)
    return frames


def _placed(things: Sequence[icons.Thing], random: Random) -> list[_Drawn]:
    cells = random.sample(range(4), len(things))
    return [_Drawn(thing, random.choice(sorted(_SIZES)), cell) for thing, cell in zip(things, cells, strict=True)]


def _paint(things: Sequence[_Drawn], ground: str, random: Random) -> Image.Image:
    picture = Image.new("RGB", (SIDE_PX, SIDE_PX), _GROUNDS[ground])
    for each in things:
        left, top, right, bottom = (round(edge * SIDE_PX) for edge in _box(each))
        drawn = icons.icon(each.what.code).resize((right - left, bottom - top), Image.Resampling.BICUBIC)
        if random.random() < 0.5:
            drawn = drawn.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        picture.paste(drawn, (left, top), drawn)
    return picture


def _box(each: _Drawn) -> tuple[float, float, float, float]:
    side = _CELL_PX * _SIZES[each.size]
    middle = (each.cell % 2 + 0.5) * _CELL_PX, (each.cell // 2 + 0.5) * _CELL_PX
    left, top = (round(middle[axis] - side / 2) for axis in (0, 1))
    return left / SIDE_PX, top / SIDE_PX, (left + round(side)) / SIDE_PX, (top + round(side)) / SIDE_PX


def _caption(things: Sequence[_Drawn], ground: str) -> str:
    counts: dict[tuple[str, str], int] = {}
    for each in things:
        counts[each.size, each.what.word] = counts.get((each.size, each.what.word), 0) + 1
    said = [
        with_article(f"{size} {word}") if count == 1 else f"{_NUMBERS[count]} {size} {plural(word)}"
        for (size, word), count in counts.items()
    ]
    words = join_words(said)
    return f"{words[0].upper()}{words[1:]} on a {ground} ground."
