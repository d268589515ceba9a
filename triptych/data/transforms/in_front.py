"""in_front: all images before the first user's words, as when a family is given images and text apart.

Source: arXiv:2407.07895 section 3.2 (in-the-front); ``published`` is what LLaVA-NeXT's training code does instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal

from triptych.core.config import Settings
from triptych.core.records import Example
from triptych.data.text.layout import Front, to_front, to_published_front
from triptych.data.text.references import UnclearError
from triptych.data.transform import Transform, noted


class InFront(Settings):
    """How images are put in front. No randomness; a conversation whose images are in front already stays as it is."""

    separator: str = "\n"
    """What stands between the images and the words."""
    leave: str = "image {k}"
    """Said where an image stood inside a sentence; {k} is its number. Of several side by side: "images 1 to 10"; of a
    video: "the video", or "video 2" where there are more. Empty: nothing."""
    labels: Literal["keep", "drop"] = "drop"
    """What becomes of "Image 1:" once its image is gone: it names a place where nothing is any more."""
    published: bool = False
    """Move only an image that is alone in its turn, to the front of that turn, as LLaVA-NeXT's code does."""

    @property
    def front(self) -> Front:
        """The layout that these settings describe."""
        return Front(separator=self.separator, leave=self.leave, labels=self.labels)


def put_in_front(example: Example, settings: InFront, random: Random) -> Sequence[Example]:
    """Return the example with its images in front; or as it is, with a note that says why."""
    del random
    if settings.published:
        return [to_published_front(example)]
    try:
        return [to_front(example, settings.front)]
    except UnclearError as error:
        return [noted(example, "in_front", left=str(error))]


TRANSFORM = Transform(
    settings=InFront,
    about="all images before the first user's words",
    each=put_in_front,
    keeps=frozenset(("images",)),
    samples=({}, {"labels": "keep", "leave": ""}, {"published": True}),
)
