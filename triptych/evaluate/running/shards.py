"""One part of a benchmark's questions, ``k/n``, for several processes or machines.

Pure functions of the questions: every machine cuts the same way. Questions of one story, or on the same images, are in
one part, so that what they share is computed once; the parts are as equal as that allows.
"""

from __future__ import annotations

from collections.abc import Sequence

from triptych.core.records import Example
from triptych.core.shard import Shard
from triptych.evaluate.benchmark import story_of


def part_of(questions: Sequence[Example], shard: Shard) -> list[Example]:
    """Return the questions of one part, in their order. All parts together are all questions, each once."""
    groups: dict[str, list[int]] = {}
    for at, question in enumerate(questions):
        groups.setdefault(story_of(question), []).append(at)
    sizes = [0] * shard.count
    chosen: list[int] = []
    for group in groups.values():
        part = sizes.index(min(sizes))
        sizes[part] += len(group)
        if part == shard.number - 1:
            chosen += group
    return [questions[at] for at in sorted(chosen)]
