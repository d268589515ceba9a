"""The rows of several sources under one numbering: those of the first source come first.

Not their order in an epoch (``mixture``, ``step_plan``) and not tokens (``reader``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from triptych.core.records import Example, images_of
from triptych.data.format import Refused, measured, split_source
from triptych.data.media.images import ImageError, Size
from triptych.data.media.index import index_of
from triptych.data.plan.corpus import Corpus

NeedsSizes = Callable[[Example], bool]
"""Example -> whether the sizes of its images have to be known."""


class Corpora:
    """Sources, and which row is whose."""

    def __init__(self, sources: Sequence[Corpus]) -> None:
        """Take the sources, in order."""
        self.sources = tuple(sources)
        self.starts = tuple(accumulate(map(len, self.sources), initial=0))
        """The number of each source's first row; at the end, the number of all rows."""

    def __len__(self) -> int:
        """Return the number of rows of all sources."""
        return self.starts[-1]

    def place(self, row: int) -> tuple[int, int]:
        """Return (source, row within it)."""
        source = bisect_right(self.starts, row) - 1
        return source, row - self.starts[source]

    def example(self, row: int, asks: NeedsSizes) -> Example | Refused:
        """Return a row, with the sizes of its images where they are asked for; refused where one cannot be read."""
        example = self._row(row)
        return measured(example, {}) if isinstance(example, Example) and asks(example) else example

    def examples(self, rows: Sequence[int], asks: NeedsSizes) -> list[Example | Refused]:
        """Return ``example`` of each row; headers are read together, and their sizes remembered."""
        found = [self._row(row) for row in rows]
        asking = [isinstance(each, Example) and asks(each) for each in found]
        images: list[dict[str, None]] = [{} for _ in self.sources]
        for row, each, asked in zip(rows, found, asking, strict=True):
            if asked and isinstance(each, Example):
                images[self.place(row)[0]].update((image.source, None) for image in images_of(each))
        sizes: dict[str, Size | ImageError] = {}
        for corpus, wanted in zip(self.sources, images, strict=True):
            if wanted:
                known = index_of(split_source(corpus.source)[1]).sizes(list(wanted))
                sizes.update(zip(wanted, known, strict=True))
        return [
            measured(each, sizes) if asked and isinstance(each, Example) else each
            for each, asked in zip(found, asking, strict=True)
        ]

    def _row(self, row: int) -> Example | Refused:
        source, number = self.place(row)
        return self.sources[source].row(number)


def always_needs_sizes(_example: Example) -> bool:
    """Return True: the sizes of all images are looked up, so that one that is missing is noticed at once."""
    return True


def needs_sizes_where_cut(example: Example) -> bool:
    """Return whether the example refers to a part or another size of an image, which only its size can settle."""
    return any(image.box or image.resize for image in images_of(example))
