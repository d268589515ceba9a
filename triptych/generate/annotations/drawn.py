"""drawn: scenes that are drawn here, so that the truth of each is known: pictograms of things, one an image.

Source: ``triptych.starter`` (OpenMoji). The path is the folder that the pictures are drawn into; the same options draw
the same. One Annotation a scene, a view an image. The facts hold the scene's truth: ``words``, what is in each image,
and ``categories``, ``scenario``, which checks of made data are judged by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from triptych.core.errors import ConfigError
from triptych.core.records import Json
from triptych.data.format import Refused
from triptych.generate.annotation import AnnotationLayout
from triptych.generate.entries import check_options, choice_option, number_option
from triptych.generate.item import Annotation, Thing, View

if TYPE_CHECKING:
    from triptych.starter.icons import Thing as Word

OPTIONS = {
    "count": "number of scenes; otherwise 32",
    "seed": "what the scenes follow from; otherwise 0",
    "scenario": "images, frames, views, patches or any; otherwise any",
    "things": "all, tuned or held_out: which words may occur, as the starter's data divide them; otherwise all",
    "most": "images of a scene at most; otherwise 8",
}


def read(path: Path, options: Mapping[str, str]) -> Iterator[Annotation | Refused]:
    """Draw and yield one scene after the other."""
    from triptych.starter.scenes import SCENARIOS, SIZES, Story, draw_story, name_images, pick_things

    check_options(options, OPTIONS, layout="drawn")
    count, most = number_option(options, "count", default=32), number_option(options, "most", default=8)
    seed = options.get("seed", "0")
    scenario = choice_option(options, "scenario", choices=("any", *SCENARIOS))
    pool = _pool(choice_option(options, "things", choices=("all", "tuned", "held_out")))
    if most < min(min(sizes) for name, sizes in SIZES.items() if scenario in ("any", name)):
        raise ConfigError(f"option most is {most}: scenes of scenario {scenario} have more images.")
    for number in range(count):
        random = Random(f"{seed}-drawn-{number}")
        kind = scenario
        while kind == "any" or min(SIZES[kind]) > most:
            kind = random.choice(SCENARIOS)
        images = random.choice([size for size in SIZES[kind] if size <= most])
        names = name_images(kind, images)
        things = pick_things(pool, images, rng=random)
        story = Story(f"scene-{seed}-{number:05d}", kind, things, names)
        drawn = draw_story(story, path.absolute(), rng=random)
        facts: dict[str, Json] = {
            "scenario": kind,
            "words": [thing.word for thing in things],
            "categories": [thing.category for thing in things],
        }
        views = tuple(
            View(image, things=(Thing(thing.word, attributes=(thing.category,)),), name=name)
            for image, thing, name in zip(drawn, things, names, strict=True)
        )
        yield Annotation(f"{seed}-{number:05d}", views, origin=f"{path}: scene {number}", facts=facts)


def _pool(which: str) -> Sequence[Word]:
    from triptych.starter.icons import vocabulary
    from triptych.starter.storyboard import split_things

    if which == "all":
        return vocabulary()
    tuned, held_out = split_things(0)
    return tuned if which == "tuned" else held_out


ANNOTATION = AnnotationLayout(read=read, about="scenes drawn here, whose truth is known", options=OPTIONS)
