"""``data stats``: what is in a source: turns, words, pictures, skills and scenarios of the rows that can be used.

Not a verdict: ``check`` gives that. Reading refuses rows here too, and they are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from triptych.core.records import Example, ImageRef, Json, Text, images_of, parts_of
from triptych.data.format import Refused, measured, read_source
from triptych.data.media.images import ImageError, Size


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
