"""Features of pictures, on the disk, up to a limit: what a server shall not keep for ever.

Not the encoding (``models/vision/features.py``). When the limit is passed all of them go at once, and what is asked
then is encoded anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from triptych.core.records import ImageRef
from triptych.models.family import Model, Seen
from triptych.models.vision.features import FeatureStore

MOST_PICTURES = 65_536
"""Of one store: each takes a place in memory, and mostly a file of its own."""


class BoundedFeatures(FeatureStore):
    """A store that begins anew when it is full. Its state: the store it has now, and which that is."""

    def __init__(self, model: Model, folder: Path, *, most_bytes: int, most_pictures: int = MOST_PICTURES) -> None:
        """Begin with an empty folder of one's own."""
        super().__init__(model)
        self._of = model
        self._root = folder
        self._most = most_bytes
        self._most_pictures = most_pictures
        self._number = 0
        self._bytes = 0
        self._known: set[tuple[ImageRef, int | None]] = set()
        self._store = FeatureStore(model, self._place)

    def features(
        self,
        images: Sequence[ImageRef],
        *,
        spans: Sequence[int] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Seen]:
        """Return features of each (``FeatureStore.features``)."""
        found = self._store.features(images, spans=spans, progress=progress)
        wanted = zip(images, [None] * len(images) if spans is None else spans, found, strict=True)
        for image, span, seen in wanted:
            if (image, span) not in self._known:
                self._known.add((image, span))
                self._bytes += seen.values.nbytes
        if self._bytes > self._most or len(self._known) > self._most_pictures:
            self._begin_anew()
        return found

    def _begin_anew(self) -> None:
        shutil.rmtree(self._place, ignore_errors=True)
        self._known.clear()
        self._bytes = 0
        self._number += 1
        self._store = FeatureStore(self._of, self._place)

    @property
    def _place(self) -> Path:
        return self._root / str(self._number)
