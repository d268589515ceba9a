"""``data check`` and ``data stats``: how much of a source can be used, why the rest cannot, and what is in it.

Not reading itself: ``format`` does. Stricter than reading in one thing: a row whose id was seen before in its source
is refused here, as answers and resumed runs are told apart by id. Invariant: used + refused = examples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from triptych.core.records import Example, ImageRef, Json, Text, VideoRef, images_of, parts_of
from triptych.data.format import Refused, measured, read_source, refusal
from triptych.data.images import ImageError, Size, load_image


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

    @property
    def refused(self) -> int:
        """Return the number of refused rows."""
        return len(self.refusals)

    @property
    def reasons(self) -> Mapping[str, int]:
        """Return how many rows were refused for each reason, the most frequent first."""
        return dict(Counter(refused.reason for refused in self.refusals).most_common())

    def as_json(self) -> dict[str, Json]:
        """Return the counts: what ``data check --json`` prints."""
        return {
            "examples": self.examples,
            "used": self.used,
            "refused": self.refused,
            "images": self.images,
            "videos": self.videos,
            "reasons": dict(self.reasons),
        }


@dataclass(frozen=True, slots=True)
class Spread:
    """How a number is spread over examples."""

    least: float
    median: float
    most: float

    def as_json(self) -> dict[str, Json]:
        """Return least, median and most."""
        return {"least": self.least, "median": self.median, "most": self.most}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What is in the usable rows of a source."""

    examples: int
    refused: int
    turns: Mapping[str, int]
    """Turns by role."""
    words: Mapping[str, int]
    """Words by role, split at white space."""
    images: int
    """References, repeats counted."""
    distinct_images: int
    """Different pictures, or boxes of pictures."""
    images_per_example: Mapping[int, int]
    """Number of images -> examples that have so many, in order."""
    skills: Mapping[str, int]
    """Skill -> examples; an example may have several."""
    scenarios: Mapping[str, int]
    """The fact ``scenario`` -> examples."""
    characters: Spread
    """Length of an example's text."""
    pixels: Spread
    """Width times height of an image."""

    def as_json(self) -> dict[str, Json]:
        """Return all of it as JSON; keys of ``images_per_example`` become text."""
        return {
            "examples": self.examples,
            "refused": self.refused,
            "turns": dict(self.turns),
            "words": dict(self.words),
            "images": self.images,
            "distinct_images": self.distinct_images,
            "images_per_example": {str(count): examples for count, examples in self.images_per_example.items()},
            "skills": dict(self.skills),
            "scenarios": dict(self.scenarios),
            "characters": self.characters.as_json(),
            "pixels": self.pixels.as_json(),
        }


def check(sources: Sequence[str], *, decode: bool = False) -> Report:
    """Read every row of every source and look at every image.

    Args:
        sources: each ``FORMAT:PATH``.
        decode: decode all pixels; otherwise only headers are read, which finds missing and foreign files but not
            those that end early.

    Raises:
        DataError: a file as a whole cannot be read.
    """
    refusals: list[Refused] = []
    used = images = videos = 0
    for source in sources:
        look = _Look(decode)
        for row in read_source(source):
            seen = look.at(row)
            if isinstance(seen, Refused):
                refusals.append(seen)
            else:
                used += 1
                images += len(images_of(seen))
                videos += sum(isinstance(part, VideoRef) for part in parts_of(seen))
    return Report(examples=used + len(refusals), used=used, images=images, videos=videos, refusals=tuple(refusals))


def stats(source: str) -> Stats:
    """Count what is in the rows of a source that reading does not refuse. Raises DataError as ``check``."""
    turns: Counter[str] = Counter()
    words: Counter[str] = Counter()
    skills: Counter[str] = Counter()
    scenarios: Counter[str] = Counter()
    counts: Counter[int] = Counter()
    characters: list[int] = []
    seen: dict[ImageRef, int] = {}
    sizes: dict[str, Size | ImageError] = {}
    refused = 0
    for row in read_source(source):
        example = measured(row, sizes) if isinstance(row, Example) else row
        if isinstance(example, Refused):
            refused += 1
            continue
        characters.append(sum(len(part.text) for part in parts_of(example) if isinstance(part, Text)))
        images = images_of(example)
        counts[len(images)] += 1
        seen.update((image, image.size[0] * image.size[1]) for image in images if image.size)
        skills.update(example.skills)
        if "scenario" in example.facts:
            scenarios[str(example.facts["scenario"])] += 1
        _count_turns(example, turns, words)
    return Stats(
        examples=len(characters),
        refused=refused,
        turns=turns,
        words=words,
        images=sum(count * examples for count, examples in counts.items()),
        distinct_images=len(seen),
        images_per_example=dict(sorted(counts.items())),
        skills=skills,
        scenarios=scenarios,
        characters=_spread(characters),
        pixels=_spread(seen.values()),
    )


def _count_turns(example: Example, turns: Counter[str], words: Counter[str]) -> None:
    for shown in example.demonstrations:
        _count_turns(shown, turns, words)
    for turn in example.turns:
        turns[turn.role] += 1
        words[turn.role] += sum(len(part.text.split()) for part in turn.parts if isinstance(part, Text))


def _spread(values: Iterable[int]) -> Spread:
    numbers = list(values)
    return Spread(min(numbers), median(numbers), max(numbers)) if numbers else Spread(0, 0, 0)


class _Look:
    """Looks at the rows of one source. State: ids and files it has seen, so that each file is opened once."""

    def __init__(self, decode: bool) -> None:
        self._decode = decode
        self._first: dict[str, str] = {}
        self._sizes: dict[str, Size | ImageError] = {}
        self._pixels: dict[str, ImageError | None] = {}

    def at(self, row: Example | Refused) -> Example | Refused:
        """Return the row as it can be used, or its refusal."""
        seen = measured(row, self._sizes) if isinstance(row, Example) else row
        if isinstance(seen, Refused):
            return seen
        if self._decode:
            for image in images_of(seen):
                if error := self._pixel_error(image.source):
                    return refusal(seen, error.reason, str(error))
        if seen.id in self._first:
            first = self._first[seen.id]
            return refusal(seen, "duplicate id", f"{first} has this id too. Give each row its own.")
        self._first[seen.id] = seen.origin
        return seen

    def _pixel_error(self, source: str) -> ImageError | None:
        if source not in self._pixels:
            try:
                load_image(ImageRef(source))
                self._pixels[source] = None
            except ImageError as error:
                self._pixels[source] = error
        return self._pixels[source]
