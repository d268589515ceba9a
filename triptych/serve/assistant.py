"""A model in a few lines of Python: open it, ask with words and pictures in order, stream, batch, chat, score.

    import triptych

    with triptych.load("runs/demo/model") as model:
        model.ask(["Compare", Path("a.png"), "with", Path("b.png")])

Not a responder for evaluation and not a server. What can be said is told in ``pieces``. Everything that may go wrong is
a ``TriptychError``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypedDict, Unpack

from triptych.core.errors import ConfigError, DataError, ModelError
from triptych.core.records import Example, Part, Text, Turn
from triptych.data.format import Refused
from triptych.infer.settings import EndpointSettings, address_of
from triptych.serve.conversation import Conversation
from triptych.serve.media import open_shown
from triptych.serve.owner import LocalOwner
from triptych.serve.pieces import Said, parts_of, question_of
from triptych.serve.speaking import (
    VIDEO_FRAMES,
    Talker,
    open_local,
    open_talker,
    sampling_of,
    submit_within,
    with_frames,
)

if TYPE_CHECKING:  # networks are loaded when a model is opened
    from triptych.infer.decoding.sampling import Sampling
    from triptych.infer.engine.engine import EngineSettings, Layout
    from triptych.infer.engine.ticket import Finish, Ticket
    from triptych.infer.scores import Scorer
    from triptych.models.memory.placement import Precision


class Wishes(TypedDict, total=False):
    """How a reply is chosen; see ``infer.decoding.sampling.Sampling``."""

    max_tokens: int
    """Most tokens of the reply; 512. Shorter where the conversation leaves less room."""
    temperature: float
    """0: always the likeliest token."""
    top_p: float
    top_k: int
    seed: int
    """Of the reply's random numbers."""
    stop: str | Sequence[str] | None
    """The reply ends before the first of these; None: before none."""
    repetition_penalty: float | None


def load(
    model: str | Path,
    *,
    video_frames: int = VIDEO_FRAMES,
    engine: EngineSettings | None = None,
    endpoint: EndpointSettings | None = None,
    device: str = "auto",
    precision: Precision = "auto",
) -> Assistant:
    """Open a model.

    Args:
        model: a folder, a hub id, or an endpoint as ``http://host/v1#model-name``.
        video_frames: a video is shown as so many frames, at even distances.
        engine: how much a local model holds at once.
        endpoint: how an endpoint is asked.
        device: where a local model computes, as torch calls it; auto: a GPU where there is one.
        precision: of its matrices, float32 or bfloat16; auto: bfloat16 on a GPU.

    Raises:
        ConfigError: no such device, an address without a model's name, or a key that is not in the environment.
        NotFoundError, ModelError: no such model, or one that cannot be opened.
    """
    if video_frames < 1:
        raise ConfigError(f"video_frames: expected at least 1, found {video_frames}.")
    if address_of(str(model)):
        return Assistant(open_talker(model, endpoint=endpoint, video_frames=video_frames), video_frames=video_frames)
    opened = open_local(model, device=device, precision=precision)
    return Assistant(LocalOwner(*opened, str(model), engine, video_frames), video_frames=video_frames)


class Assistant:
    """An opened model to talk to. Its state is the model; close it, or use it in a ``with`` block."""

    def __init__(self, talker: Talker, *, video_frames: int = VIDEO_FRAMES) -> None:
        """Take who speaks; ``load`` opens one."""
        self._who = talker
        self.video_frames = video_frames

    @property
    def name(self) -> str:
        """What people call the model."""
        return self._who.name

    def ask(self, said: Said, *, system: str = "", **wishes: Unpack[Wishes]) -> str:
        """Return the reply.

        Args:
            said: words and pictures, in order.
            system: what the model is told before; empty: nothing.
            wishes: how the reply is chosen.

        Raises:
            DataError: a picture cannot be read.
            ModelError: it is longer than the model takes.
            ConfigError: a wish is out of its range.
            RunError: there was no reply.
        """
        return self._submit(question_of(said, system=system), wishes).join()

    def stream(self, said: Said, *, system: str = "", **wishes: Unpack[Wishes]) -> Iterator[str]:
        """Return the reply in pieces as they come; leave the iterator to stop it. Asked at once. As ``ask`` else."""
        return _pieces_of(self._submit(question_of(said, system=system), wishes))

    def batch(self, questions: Sequence[Said], *, system: str = "", **wishes: Unpack[Wishes]) -> list[str]:
        """Return the reply to each question, in their order; a local model answers many at once.

        Raises:
            DataError: one text instead of several questions.
            TriptychError: as ``ask``, for the first question that has no reply; the others are cancelled.
        """
        if isinstance(questions, str | bytes):
            raise DataError("batch takes several questions in a list; for one there is ask().")

        from triptych.infer.engine.engine import QueueFull

        sampling = _sampling(wishes)
        asked = [question_of(said, system=system, name=f"question {n}") for n, said in enumerate(questions, start=1)]
        tickets: list[Ticket] = []
        replies: list[str] = []
        try:
            for question in asked:
                while True:
                    try:
                        tickets.append(submit_within(self._who, question, sampling=sampling))
                        break
                    except QueueFull:
                        if len(replies) == len(tickets):  # others fill the queue
                            raise
                        replies.append(tickets[len(replies)].join())
            replies += [ticket.join() for ticket in tickets[len(replies) :]]
        finally:
            for ticket in tickets:
                ticket.cancel()
        return replies

    def chat(self, file: str | Path | None = None, *, system: str = "") -> Talk:
        """Return a conversation that remembers; each turn computes only what is new.

        Args:
            file: go on from one that ``Talk.save`` or ``/save`` wrote.
            system: what the model is told before everything.

        Raises:
            DataError, NotFoundError: the file holds no conversation.
        """
        chat = Conversation(numbered_by_model=True, find=open_shown, system=system)
        if file is not None:
            chat.load(str(file), frames=self.video_frames)
        return Talk(self, chat)

    def score(self, said: Said) -> dict[str, float]:
        """Return the numbers of the model's score head, by what they are about; with classes, the likeliest.

        Args:
            said: words and pictures in order; without words, the head's usual question stands before them.

        Raises:
            ModelError: it has no score head, or is behind an address.
            DataError: a picture cannot be read.
            RunError: replies are under way.
        """
        if not isinstance(self._who, LocalOwner):
            raise ModelError(f"{self.name}: an endpoint is asked for words; open a model's folder for scores.")
        with self._who.scoring() as scorer:
            return _scores(scorer, said, self.video_frames)

    def layout(self, said: Said, *, system: str = "") -> Layout | None:
        """Return what the model would see, piece by piece with tokens; None where an endpoint does not tell."""
        return self._who.layout(question_of(said, system=system))

    def close(self) -> None:
        """Cancel what is under way and let go of the model."""
        self._who.close()

    def __enter__(self) -> Assistant:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _submit(self, question: Example, wishes: Wishes) -> Ticket:
        return submit_within(self._who, question, sampling=_sampling(wishes))


class Talk:
    """A conversation with a model. Its state is what was said."""

    def __init__(self, assistant: Assistant, chat: Conversation) -> None:
        """Begin; ``Assistant.chat`` does."""
        self._assistant = assistant
        self._chat = chat

    @property
    def example(self) -> Example:
        """What was said so far, as data."""
        return self._chat.now.said

    def ask(self, said: Said, **wishes: Unpack[Wishes]) -> str:
        """Return the reply, and remember both. What fails is not remembered. Raises as ``Assistant.ask``."""
        return "".join(self.stream(said, **wishes))

    def stream(self, said: Said, **wishes: Unpack[Wishes]) -> Iterator[str]:
        """Return the reply in pieces; both are remembered at its end, or as far as it came where it is left."""
        question = self._chat.ask_parts(parts_of(said))
        return self._heard(question, self._assistant._submit(question, wishes))

    def undo(self) -> bool:
        """Forget the last message and its reply; False when there is none."""
        return self._chat.undo()

    def save(self, path: str | Path) -> None:
        """Write it as a row of training data (``messages:``). Raises DataError."""
        self._chat.save(Path(path))

    def _heard(self, question: Example, ticket: Ticket) -> Iterator[str]:
        said = ""
        finish: Finish | None = None
        try:
            for piece in ticket:
                said += piece.text
                finish = piece.finish
                if piece.text:
                    yield piece.text
        except GeneratorExit:
            if said.strip():
                self._chat.keep(question, said, cut=finish != "stop")
            raise
        else:
            self._chat.keep(question, said, cut=finish != "stop")
        finally:
            ticket.cancel()


def _sampling(wishes: Wishes) -> Sampling:
    stop = wishes.get("stop")
    stop = () if stop is None else stop
    if not isinstance(stop, str | Collection):
        raise ConfigError(f"this question: stop: expected a text or several, found {stop!r}.")
    values = {**wishes, "stop": [stop] if isinstance(stop, str) else list(stop)}
    # JSON is YAML too: so a wish is checked as everything that people type is.
    return sampling_of(json.dumps(values, default=repr), where="this question")


def _scores(scorer: Scorer, said: Said, video_frames: int) -> dict[str, float]:
    from triptych.infer.responder import Failed
    from triptych.infer.score_questions import question_of_files, question_words

    scoring = scorer.head.scoring
    parts = parts_of(said)
    if any(isinstance(part, Text) for part in parts):
        shown: Example | Refused = with_frames(_question(parts), video_frames)
    else:
        bare = _question((Text(question_words(scoring)), *parts))
        shown = question_of_files(bare, scoring=scoring, frames=video_frames)
    if isinstance(shown, Refused):
        raise DataError(shown.message)
    (found,) = scorer.score([shown])
    if isinstance(found, Failed):
        raise DataError(found.reason)
    return dict(zip(scoring.targets, found.scores, strict=True))


def _question(parts: Sequence[Part]) -> Example:
    return Example("question", (Turn("user", tuple(parts)),), origin="question")


def _pieces_of(ticket: Ticket) -> Iterator[str]:
    try:
        for piece in ticket:
            if piece.text:
                yield piece.text
    finally:
        ticket.cancel()
