"""albums: drawn albums of a few images with several things each, counted, small or large, shared between the images.

Not ``drawn``, whose images hold one thing each. The path is the folder that the pictures are drawn into; the same
options draw the same. Three sorts take turns: ``album`` (things recur), ``before_after`` (one thing differs),
``frames`` (things come and go in order). Source of the pictograms: ``triptych.starter`` (OpenMoji).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from triptych.data.format import Refused
from triptych.data.transform import draw
from triptych.generate.annotation import AnnotationLayout
from triptych.generate.entries import check_options, choice_option, number_option
from triptych.generate.item import Annotation

OPTIONS = {
    "count": "number of albums; otherwise 24",
    "seed": "what they follow from; otherwise 0",
    "sort": "album, before_after, frames, or any, in turn; otherwise any",
    "captions": "yes or no: whether a sentence tells of each image, besides its things; otherwise yes",
}


def read(path: Path, options: Mapping[str, str]) -> Iterator[Annotation | Refused]:
    """Draw and yield one album after the other."""
    from triptych.generate.kit.drawing import ALBUMS, draw_album  # which loads what draws, where it is wanted

    check_options(options, OPTIONS, layout="albums")
    count, seed = number_option(options, "count", default=24), options.get("seed", "0")
    sort = choice_option(options, "sort", choices=("any", *ALBUMS))
    captions = choice_option(options, "captions", choices=("yes", "no")) == "yes"
    for number in range(count):
        name = f"album-{seed}-{number:05d}"
        kind = ALBUMS[number % len(ALBUMS)] if sort == "any" else sort
        yield draw_album(name, kind, folder=path, random=draw("albums", seed, number), captions=captions)


ANNOTATION = AnnotationLayout(
    read=read, about="albums drawn here, several things an image, whose truth is known", options=OPTIONS
)
