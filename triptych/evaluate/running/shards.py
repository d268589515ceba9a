"""One part of a benchmark's questions, ``k/n``, for several processes or machines.

Pure functions of the questions: every machine cuts the same way. Questions of one story, or on the same images, are in
one part, so that what they share is computed once; the parts are as equal as that allows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from triptych.core.errors import ConfigError
from triptych.core.records import Example, images_of, videos_of

_FORM = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number`` of ``count``, from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def folder(self) -> str:
        """Name of the folder that it writes into, within the evaluation's."""
        return f"shard-{self.number}-of-{self.count}"


def parse_shard(text: str) -> Shard:
    """Return what ``2/8`` says.

    Raises:
        ConfigError: it says no such thing.
    """
    found = _FORM.fullmatch(text)
    if not found or int(found[1]) > int(found[2]):
        raise ConfigError(f"--shard {text}: expected k/n with k from 1 to n, e.g. 2/8.")
    return Shard(int(found[1]), int(found[2]))


def part_of(questions: Sequence[Example], shard: Shard) -> list[Example]:
    """Return the questions of one part, in their order. All parts together are all questions, each once."""
    groups: dict[object, list[int]] = {}
    for at, question in enumerate(questions):
        groups.setdefault(_shared(question), []).append(at)
    sizes = [0] * shard.count
    chosen: list[int] = []
    for group in groups.values():
        part = sizes.index(min(sizes))
        sizes[part] += len(group)
        if part == shard.number - 1:
            chosen += group
    return [questions[at] for at in sorted(chosen)]


def _shared(question: Example) -> object:
    if story := question.facts.get("story"):
        return ("story", str(story))
    sources = [image.source for image in images_of(question)] + [video.source for video in videos_of(question)]
    return ("media", *sources) if sources else ("alone", question.id)
