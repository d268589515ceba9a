"""Who speaks, to those who show a conversation: a model in this process or behind an address, asked alike.

Not a chat and not a server: those talk to a ``Talker``. What is asked is an Example that ends in a user turn, videos
included, which are cut into frames here; what comes back is a ``Ticket``. What cannot be asked is told at once, what
goes wrong later is told by the ticket. ``open_talker`` opens what a user calls a model.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import Field

from triptych.core.config import Settings, parse_config
from triptych.core.errors import ConfigError, ModelError
from triptych.core.log import say
from triptych.core.records import Example, ImageRef, Part, VideoRef, replace_parts, videos_of
from triptych.data.media.video import frame_refs, pick_uniform, probe
from triptych.infer.settings import EndpointSettings, address_of

if TYPE_CHECKING:  # networks and clients are loaded only where they are asked
    from triptych.infer.decoding.sampling import Sampling
    from triptych.infer.engine.engine import Engine, EngineSettings, EngineState, Layout
    from triptych.infer.engine.ticket import Listener, Ticket
    from triptych.models.family import Model
    from triptych.models.memory.placement import Precision
    from triptych.models.vision.features import FeatureStore
    from triptych.serve.endpoint import EndpointTalker

LEAST_REPLY = 16
"""Tokens that a reply has at least, where a conversation leaves no room for a whole one."""
VIDEO_FRAMES = 8
"""Frames of a video that a question shows, where nobody says otherwise."""


class Params(Settings):
    """How a reply is chosen, as people say it: what may be said of a ``Sampling``."""

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: list[str] = Field(default_factory=list)
    repetition_penalty: float | None = None


class Talker(Protocol):
    """Anything that answers a conversation, many at once, from any thread."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def numbers_images(self) -> bool:
        """Whether its template tells the model a number before each image, counted as they are shown."""

    @property
    def longest(self) -> int | None:
        """Most tokens of a prompt and its reply; None: nobody knows."""

    def submit(self, question: Example, sampling: Sampling, *, listener: Listener | None = None) -> Ticket:
        """Ask, and return at once; the reply comes by the ticket.

        Args:
            question: ends in a user turn; its videos are shown as frames.
            sampling: how the reply is chosen.
            listener: gets the pieces instead, in a thread of the talker: for those who must not wait in theirs.

        Raises:
            DataError: no question, or a picture that cannot be read.
            ModelError: it is longer than the model takes.
            QueueFull: too many wait.
            RunError: the talker is closed.
        """

    def layout(self, question: Example) -> Layout | None:
        """Return what the model would see, or None where that is not known. Raises DataError as ``submit``."""

    def close(self) -> None:
        """Cancel what is under way. Nothing is answered afterwards."""


class LocalTalker:
    """A model in this process. Its state is the engine that owns it."""

    numbers_images: bool

    def __init__(
        self,
        model: Model,
        *,
        features: FeatureStore,
        name: str,
        settings: EngineSettings | None = None,
        video_frames: int = VIDEO_FRAMES,
    ) -> None:
        """Take the model over until it is closed.

        Args:
            model: an opened model with words.
            features: encodes each distinct image once.
            name: what people call it.
            settings: how much is held at once.
            video_frames: a video is shown as so many frames, at even distances.

        Raises:
            ModelError: it was published for scores alone.
        """
        from triptych.infer.engine.engine import Engine

        self.engine: Engine = Engine(model, features=features, settings=settings, name=name)
        self.model = model
        self.features = features
        self.name = name
        self.numbers_images = numbers_images(model)
        self.video_frames = video_frames

    @property
    def longest(self) -> int | None:
        """Most tokens of a prompt and its reply."""
        return min(self.engine.longest, self.engine.tokens)

    def submit(self, question: Example, sampling: Sampling, *, listener: Listener | None = None) -> Ticket:
        """Ask, and return at once (``Talker.submit``)."""
        return self.engine.submit(with_frames(question, self.video_frames), sampling, listener=listener)

    def layout(self, question: Example) -> Layout | None:
        """Return what the model would see (``Talker.layout``)."""
        return self.engine.count(with_frames(question, self.video_frames))

    def state(self) -> EngineState:
        """Return what is going on."""
        return self.engine.state()

    def close(self) -> None:
        """Cancel what is under way, and let go of the model."""
        self.engine.close()


def numbers_images(model: Model) -> bool:
    """Tell whether a model's template tells it a number before each image."""
    return "{k}" in model.template.image_before


def open_talker(
    model: str | Path,
    *,
    engine: EngineSettings | None = None,
    endpoint: EndpointSettings | None = None,
    video_frames: int | None = None,
) -> LocalTalker | EndpointTalker:
    """Open what a user calls a model.

    Args:
        model: a folder, a hub id, or an address with a model's name, ``http://host/v1#name``.
        engine: how much a local model holds at once.
        endpoint: how an address is asked.
        video_frames: a video is shown as so many frames; None: 8, or as ``endpoint`` says.

    Raises:
        ConfigError: the address is none, or a key is not in the environment.
        NotFoundError, ModelError: as ``models.family.open_model``; or the model has no words.
    """
    if video_frames is not None and video_frames < 1:
        raise ConfigError(f"video_frames: expected at least 1, found {video_frames}.")
    if address := address_of(str(model)):
        from triptych.serve.endpoint import EndpointTalker

        settings = endpoint or EndpointSettings()
        chosen = settings if video_frames is None else settings.model_copy(update={"video_frames": video_frames})
        return EndpointTalker(address, chosen)
    opened, features = open_local(model)
    return LocalTalker(
        opened, features=features, name=str(model), settings=engine, video_frames=video_frames or VIDEO_FRAMES
    )


def open_local(model: str | Path, *, device: str = "auto", precision: Precision = "auto") -> tuple[Model, FeatureStore]:
    """Open a folder or a hub id, and the features of images it has seen; says so. Raises as ``open_to_answer``."""
    from triptych.models.memory.placement import open_to_answer
    from triptych.models.vision.features import cached_features

    say(f"opening {model}")
    opened = open_to_answer(str(model), device=device, precision=precision)
    return opened, cached_features(opened)


def sampling_of(text: str, *, where: str, before: Sampling | None = None) -> Sampling:
    """Return the sampling with what a YAML text of ``Params`` says.

    Args:
        text: keys and values.
        where: what messages call it.
        before: what holds where it says nothing.

    Raises:
        ConfigError: no such key, or no such value.
    """
    from triptych.infer.decoding.sampling import Sampling

    said = parse_config(text or "{}", model=Params, file=where)
    changes = {name: getattr(said, name) for name in said.model_fields_set}
    if "stop" in changes:
        changes["stop"] = tuple(said.stop)
    return replace(before or Sampling(), **changes)


def submit_within(talker: Talker, question: Example, *, sampling: Sampling) -> Ticket:
    """Ask; where the model takes no reply of that length any more, for one of what is left. Raises as ``submit``."""
    try:
        return talker.submit(question, sampling)
    except ModelError:
        layout = talker.layout(question)
        left = 0 if layout is None or talker.longest is None else talker.longest - layout.tokens
        if not LEAST_REPLY <= left < sampling.max_tokens:
            raise
        return talker.submit(question, replace(sampling, max_tokens=left))


def with_frames(question: Example, count: int) -> Example:
    """Return the question with ``count`` frames in the place of each video, at even distances.

    Raises:
        ImageError: a video cannot be read; a DataError.
    """

    def shown(part: Part) -> tuple[Part, ...]:
        return video_frames_of(part, count) if isinstance(part, VideoRef) else (part,)

    return replace_parts(question, shown) if videos_of(question) else question


def video_frames_of(video: VideoRef, count: int) -> tuple[ImageRef, ...]:
    """Return ``count`` frames of a video from its first to its last; all, if there are no more. Raises ImageError."""
    return frame_refs(video, pick_uniform(probe(video.source).frames, count))
