"""A model in this process, which either talks or scores: only one of the two owns it at a time.

Not the talking (``speaking``) nor the scoring (``infer/scores``).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from triptych.core.errors import RunError
from triptych.core.records import Example
from triptych.serve.speaking import LocalTalker, numbers_images

if TYPE_CHECKING:  # networks are loaded when a model is opened
    from triptych.infer.decoding.sampling import Sampling
    from triptych.infer.engine.engine import EngineSettings, Layout
    from triptych.infer.engine.ticket import Listener, Ticket
    from triptych.infer.scores import Scorer
    from triptych.models.family import Model
    from triptych.models.vision.features import FeatureStore


class LocalOwner:
    """Hands a model to who talks and to who scores. Its state is who has it."""

    def __init__(
        self, model: Model, features: FeatureStore, name: str, engine: EngineSettings | None, video_frames: int
    ) -> None:
        """Begin with an opened model, the features of its pictures, and what people call it.

        Args:
            model: an opened one.
            features: encodes each distinct image once.
            name: for messages.
            engine: how much is held at once.
            video_frames: of each video.
        """
        self.name = name
        self._model, self._features = model, features
        self._engine, self._video_frames = engine, video_frames
        self._talker: LocalTalker | None = None
        self._tickets: weakref.WeakSet[Ticket] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def numbers_images(self) -> bool:
        """Whether the model's template numbers images."""
        return numbers_images(self._model)

    @property
    def longest(self) -> int | None:
        """Most tokens of a prompt and its reply. Raises ModelError: the model only scores."""
        with self._lock:
            return self._talking().longest

    def submit(self, question: Example, sampling: Sampling, *, listener: Listener | None = None) -> Ticket:
        """Ask (``speaking.Talker``); waits while it scores. Raises also ModelError: the model only scores."""
        with self._lock:
            ticket = self._talking().submit(question, sampling, listener=listener)
            self._tickets.add(ticket)
            return ticket

    def layout(self, question: Example) -> Layout | None:
        """Return what the model would see (``speaking.Talker``)."""
        with self._lock:
            return self._talking().layout(question)

    @contextmanager
    def scoring(self) -> Iterator[Scorer]:
        """Yield who scores; nobody talks meanwhile. Raises ModelError, RunError."""
        from triptych.infer.scores import Scorer

        with self._lock:
            self._check_open()
            if not all(ticket.done or ticket.cancelled for ticket in self._tickets):
                raise RunError(f"{self.name}: replies are under way. Ask for scores when they are done.")
            scorer = Scorer(self._model, features=self._features)
            if self._talker is not None:
                self._talker.close()
                self._talker = None
            yield scorer

    def close(self) -> None:
        """Cancel what is under way."""
        with self._lock:
            self._closed = True
            if self._talker is not None:
                self._talker.close()

    def _talking(self) -> LocalTalker:
        self._check_open()
        if self._talker is None:
            self._talker = LocalTalker(
                self._model,
                features=self._features,
                name=self.name,
                settings=self._engine,
                video_frames=self._video_frames,
            )
        return self._talker

    def _check_open(self) -> None:
        if self._closed:
            raise RunError(f"{self.name}: closed. load() opens it again.")
