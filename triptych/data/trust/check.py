"""``data check``: how much of a source can be used, why the rest cannot, and which rows somebody should look at.

Not reading itself: ``format`` does. Stricter than reading in this: a row whose video is missing is refused. What can
be used and yet is odd is a warning: ``doubts`` finds it in a row, ``repeats`` between rows, ``near`` between pictures.
Sources are read twice, as what a row repeats is only known when all pictures have been seen. Invariant:
used + refused = examples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from triptych.core.records import Example, ImageRef, Json, VideoRef, images_of, parts_of
from triptych.data.format import Refused, measured, read_source, refusal
from triptych.data.media.fingerprint import Fingerprint, fingerprint
from triptych.data.media.images import ImageError, Size, load_image
from triptych.data.media.locate import name_of
from triptych.data.media.near import candidates, equal_pixels, lay_over
from triptych.data.media.video import probe
from triptych.data.trust.doubts import Doubt, doubt, doubts_of
from triptych.data.trust.joined import Joined
from triptych.data.trust.repeats import Repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What can be used of one or more sources."""

    examples: int
    """Rows, used and refused."""
    used: int
    images: int
    """References to images in used rows, repeats counted."""
    videos: int
    """References to videos in used rows."""
    refusals: tuple[Refused, ...]
    doubts: tuple[Doubt, ...]
    """The doubts about used rows, in the order of the rows; a row may have several."""

    @property
    def refused(self) -> int:
        """Return the number of refused rows."""
        return len(self.refusals)

    @property
    def reasons(self) -> Mapping[str, int]:
        """Return how many rows were refused for each reason, the most frequent first."""
        return dict(Counter(refused.reason for refused in self.refusals).most_common())

    @property
    def warnings(self) -> Mapping[str, int]:
        """Return how many used rows are odd for each reason, the most frequent first."""
        return dict(Counter(each.reason for each in self.doubts).most_common())

    def as_json(self) -> dict[str, Json]:
        """Return the counts: what ``data check --json`` prints in front of the lists."""
        return {
            "examples": self.examples,
            "used": self.used,
            "refused": self.refused,
            "images": self.images,
            "videos": self.videos,
            "reasons": dict(self.reasons),
            "warnings": dict(self.warnings),
        }


def check(sources: Sequence[str], *, decode: bool = False) -> Report:
    """Read every row of every source and look at every image.

    Args:
        sources: each ``FORMAT:PATH``.
        decode: decode all pixels; otherwise only headers are read, which finds missing and foreign files but not
            those that end early, nor pictures that are nearly the same.

    Raises:
        DataError: a file as a whole cannot be read.
    """
    refusals: list[Refused] = []
    barred: set[tuple[int, int]] = set()
    prints: dict[ImageRef, Fingerprint] = {}
    used = images = videos = 0
    for number, source in enumerate(sources):
        look = Look(prints if decode else None)
        for row_number, row in enumerate(read_source(source)):
            seen = look.at(row)
            if isinstance(seen, Refused):
                refusals.append(seen)
                barred.add((number, row_number))
            else:
                used += 1
                images += len(images_of(seen))
                videos += sum(isinstance(part, VideoRef) for part in parts_of(seen))
    usable = (
        (number, row)
        for number, source in enumerate(sources)
        for row_number, row in enumerate(read_source(source))
        if isinstance(row, Example) and (number, row_number) not in barred
    )
    return Report(
        examples=used + len(refusals),
        used=used,
        images=images,
        videos=videos,
        refusals=tuple(refusals),
        doubts=tuple(_doubts(usable, groups_of(prints))),
    )


def groups_of(prints: Mapping[ImageRef, Fingerprint]) -> dict[ImageRef, str]:
    """Return what stands for each picture's looks: pictures that are the same picture have the same.

    Args:
        prints: of different pictures; only whole ones are compared, cuts are not looked for.
    """
    refs, found = list(prints), list(prints.values())
    joined = Joined(len(refs))
    for first, *others in equal_pixels(found):
        for other in others:
            joined.join(first, other)
    load = lru_cache(maxsize=64)(lambda number: _small(refs[number]))
    for pair in sorted(candidates(found, found), key=lambda each: (each.left, each.right)):
        if joined.head(pair.left) == joined.head(pair.right):
            continue
        if lay_over(load(pair.left), load(pair.right)).same:
            joined.join(pair.left, pair.right)
    return {ref: f"picture {joined.head(number)}" for number, ref in enumerate(refs)}


def _small(image: ImageRef) -> Image.Image:
    """Return a picture's pixels, few enough to keep some."""
    pixels = load_image(image)
    pixels.thumbnail((512, 512), Image.Resampling.BOX)
    return pixels


def _doubts(rows: Iterator[tuple[int, Example]], groups: Mapping[ImageRef, str]) -> Iterator[Doubt]:
    """Yield what is odd about rows, each with the number of its source, in which an id should stand once."""
    repeats = Repeats(groups)
    first: dict[str, tuple[str, ImageRef]] = {}
    ids: dict[tuple[int, str], str] = {}
    for source, example in rows:
        if (origin := ids.setdefault((source, example.id), example.origin)) != example.origin:
            said = f"its id stands at {origin} too. Give each row its own: replies and marks are told apart by it."
            yield doubt(example, "duplicate id", message=said)
        yield from doubts_of(example)
        yield from repeats.doubts(example)
        if found := _seen_elsewhere(example, groups, first):
            yield doubt(example, "near-duplicate picture", message=found[0], beside=found[1])


def _seen_elsewhere(
    example: Example, groups: Mapping[ImageRef, str], first: dict[str, tuple[str, ImageRef]]
) -> tuple[str, tuple[ImageRef, ImageRef]] | None:
    """Return which picture stands in a row before under another name, and remember the row's pictures."""
    found: tuple[str, tuple[ImageRef, ImageRef]] | None = None
    for number, image in enumerate(images_of(example), start=1):
        if image not in groups:
            continue
        where, other = first.setdefault(groups[image], (example.origin, image))
        if found is None and where != example.origin and (other.source, other.box) != (image.source, image.box):
            names = f"{name_of(image.source)!r}, is the same picture as {name_of(other.source)!r} of {where}"
            message = f"image {number}, {names}. Refer to one file, or leave a row out."
            found = message, (image, other)
    return found


class Look:
    """Looks at the rows of one source. State: files it has seen, so that each is opened once."""

    def __init__(self, prints: dict[ImageRef, Fingerprint] | None) -> None:
        """Look at headers alone, or, where there is somewhere to put their prints, at all pixels."""
        self._prints = prints
        self._sizes: dict[str, Size | ImageError] = {}
        self._torn: dict[ImageRef, ImageError] = {}
        self._videos: dict[str, ImageError | None] = {}

    def at(self, row: Example | Refused) -> Example | Refused:
        """Return the row as it can be used, or its refusal."""
        seen = measured(row, self._sizes) if isinstance(row, Example) else row
        if isinstance(seen, Refused):
            return seen
        assert isinstance(row, Example)  # Its images have no size yet: as they stand in the file, so that keys agree.
        for part in parts_of(row):
            error = self._error(part) if isinstance(part, ImageRef | VideoRef) else None
            if error is not None:
                return refusal(seen, error.reason, message=str(error))
        return seen

    def _error(self, part: ImageRef | VideoRef) -> ImageError | None:
        if isinstance(part, VideoRef):
            return self._video_error(part.source)
        if self._prints is None or part in self._prints:
            return None
        if part not in self._torn:
            try:
                self._prints[part] = fingerprint(load_image(part), crops=False)
            except ImageError as error:
                self._torn[part] = error
        return self._torn.get(part)

    def _video_error(self, source: str) -> ImageError | None:
        if source not in self._videos:
            try:
                probe(source)
                self._videos[source] = None
            except ImageError as error:
                self._videos[source] = error
        return self._videos[source]
