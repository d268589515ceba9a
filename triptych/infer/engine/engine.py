"""Many requests to one model at once: submitted from any thread, answered in one, which alone touches the network.

Not a server and no protocol. What cannot be asked is refused when it is submitted; what there is no room for waits, in
the order of coming, and where too many wait the next is told so. A request has its room, prompt and longest reply,
before it begins: none that has begun is ever put aside. So memory is bounded: by ``tokens`` of rows, ``prefix_tokens``
kept, and the length of the queue.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from dataclasses import dataclass
from types import TracebackType

import torch
from pydantic import Field

from triptych.core.config import Settings
from triptych.core.errors import ModelError, RunError, TriptychError
from triptych.core.log import say
from triptych.core.records import Example, ImageRef
from triptych.data.plan.rendering import prompt_of
from triptych.data.template import Encoded
from triptych.infer.decoding.generation_config import ends_of, penalty_of, tell_unfollowed
from triptych.infer.decoding.kv_budget import positions_that_fit
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.prefix_cache import PromptKeys
from triptych.infer.engine.scheduler import Request, Scheduler
from triptych.infer.engine.ticket import Delta, Listener, Ticket, Usage
from triptych.infer.local import check_speaks, measured
from triptych.infer.responder import as_question
from triptych.models.attention.lengths import longest_of
from triptych.models.family import Model
from triptych.models.vision.features import FeatureStore

POSITIONS = 32_768
"""Most of all requests on a CPU, where nobody says it."""


class QueueFull(TriptychError):  # noqa: N818 - what queues are
    """The queue is full: no further request may wait."""


class EngineSettings(Settings):
    """How much an engine holds at once."""

    rows: int = Field(default=64, ge=1)
    """Most requests that are answered together."""
    tokens: int | None = Field(default=None, ge=1)
    """Most positions of all of them: rows x (longest prompt + its longest reply). Bounds the memory. None: what a GPU's
    free memory holds (``kv_budget.py``), 32,768 on a CPU."""
    queue: int = Field(default=256, ge=1)
    """Most requests that wait."""
    prefix_tokens: int = Field(default=16_384, ge=0)
    """Most tokens that are kept of conversations that have been answered, for their next turns."""
    prefill_tokens: int = Field(default=2048, ge=1)
    """When so many tokens of new prompts have been computed, the replies under way get their next ones first."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """What an engine holds and has done, for people and for metrics."""

    running: int
    waiting: int
    tokens_held: int
    """Positions in the cache of the requests under way."""
    prefix_tokens: int
    """Positions kept of finished conversations, for their next turn."""
    stopped: int
    """Requests whose reply ended by itself, since the beginning."""
    cut: int
    """Requests whose reply ended at its longest."""
    cancelled: int
    failed: int
    refused: int
    """Requests that found the queue full."""
    tokens_in: int
    tokens_cached: int
    """Tokens of prompts that were kept from before, and not computed again."""
    tokens_out: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A piece of a prompt as the model sees it: words with all that the template puts around them, or an image."""

    tokens: int
    text: str = ""
    """Special tokens by their names; empty for an image."""
    image: ImageRef | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """What the model sees of a question, in reading order."""

    pieces: tuple[Shown, ...]
    first_number: int = 1
    """Number of the first image, where the template numbers images for the model."""

    @property
    def tokens(self) -> int:
        """Tokens of the prompt."""
        return sum(piece.tokens for piece in self.pieces)

    @property
    def images(self) -> tuple[int, ...]:
        """Tokens of each image, in reading order."""
        return tuple(piece.tokens for piece in self.pieces if piece.image is not None)


class Engine:
    """Answers with an opened model. Its state: a thread, who waits, and who is being answered. Close it at the end."""

    def __init__(
        self, model: Model, *, features: FeatureStore, settings: EngineSettings | None = None, name: str = "model"
    ) -> None:
        """Take the model over: nobody else may use it, or its features, until the engine is closed.

        Args:
            model: an opened model; it is switched to evaluation.
            features: encodes each distinct image once.
            settings: how much is held at once.
            name: what messages call it.

        Raises:
            ModelError: it was published for scores alone, without a head for words.
        """
        check_speaks(model, name)
        model.network.train(False)
        model.network.requires_grad_(False)
        self.model = model
        self.name = name
        self.settings = settings or EngineSettings()
        self.longest = longest_of(model.network.config)
        """Most tokens of a prompt and its reply that the model takes."""
        self.tokens = self.settings.tokens or positions_that_fit(model, otherwise=POSITIONS)
        """Most positions of all requests."""
        self._rendering = model.rendering
        self._scheduler = Scheduler(
            model,
            features=features,
            tokenizer=copy.deepcopy(model.tokenizer),  # which takes no two threads at once
            stops=ends_of(model),
            tokens=self.tokens,
            prefix_tokens=self.settings.prefix_tokens,
        )
        self._penalty = penalty_of(model)
        tell_unfollowed(model, name)
        self._pictures = PromptKeys()
        self._detokenizing = threading.Lock()
        self._wake = threading.Condition()
        self._waiting: deque[Request] = deque()
        self._closed = False
        self._refused = 0
        self._threads = torch.get_num_threads()
        self._thread = threading.Thread(target=self._work, name=f"engine of {name}", daemon=True)
        self._thread.start()

    @property
    def joins(self) -> bool:
        """Whether requests are computed together and share beginnings; with some networks each is by itself."""
        return self._scheduler.joins

    def submit(self, question: Example, sampling: Sampling, *, listener: Listener | None = None) -> Ticket:
        """Ask, and return at once; the reply comes by the ticket.

        Args:
            question: ends in a user turn.
            sampling: how the reply is chosen.
            listener: gets the pieces instead, in the engine's thread: for those who must not wait in theirs.

        Raises:
            DataError: no question, or an image that is not there.
            ModelError: it is longer than the model, or this engine, takes.
            QueueFull: too many wait.
            RunError: the engine is closed.
        """
        self._check_open()
        prompt, key = self._prompt(question)
        self._check_length(question, prompt, sampling)
        image_tokens = sum(slot.stop - slot.start for slot in prompt.slots)
        heard = None if listener is None else _sparing_others(listener, question.id)
        ticket = Ticket(question.id, Usage(len(prompt.ids), 0, image_tokens, 0), listener=heard)
        with self._wake:
            self._check_open()
            self._waiting.append(Request(prompt, key, sampling.settled(penalty=self._penalty), ticket))
            self._wake.notify()
        return ticket

    def count(self, question: Example) -> Layout:
        """Return what the model would see, without asking it. Raises DataError as ``submit``."""
        prompt, _ = self._prompt(question)
        pieces, at = [], 0
        for slot in prompt.slots:
            pieces += self._words(prompt.ids[at : slot.start])
            pieces.append(Shown(slot.stop - slot.start, image=slot.image))
            at = slot.stop
        return Layout((*pieces, *self._words(prompt.ids[at:])), self.model.template.first_number)

    def state(self) -> EngineState:
        """Return what is going on."""
        scheduler, counts = self._scheduler, self._scheduler.counts
        with self._wake:
            waiting, refused = len(self._waiting), self._refused
        return EngineState(
            running=scheduler.running,
            waiting=waiting,
            tokens_held=scheduler.tokens_held,
            prefix_tokens=scheduler.prefix_tokens,
            stopped=counts["stop"],
            cut=counts["length"],
            cancelled=counts["cancelled"],
            failed=counts["failed"],
            refused=refused,
            tokens_in=counts["tokens_in"],
            tokens_cached=counts["tokens_cached"],
            tokens_out=counts["tokens_out"],
        )

    def close(self) -> None:
        """Cancel what waits and what is under way, and end the thread. The model is the caller's again."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        """Refuse a request where it is plain that it cannot wait; under the lock this is certain."""
        if self._closed:
            raise RunError(f"{self.name}: the engine is closed, it answers no more.")
        if len(self._waiting) >= self.settings.queue:
            self._refused += 1
            raise QueueFull(f"{self.name}: {len(self._waiting)} requests wait already. Ask again in a moment.")

    def _prompt(self, question: Example) -> tuple[Encoded, tuple[int, ...]]:
        seen = measured(as_question(question))
        with self._detokenizing:
            prompt = prompt_of(seen, self._rendering)
            return prompt, self._pictures.key(prompt)

    def _check_length(self, question: Example, prompt: Encoded, sampling: Sampling) -> None:
        whole = len(prompt.ids) + sampling.max_tokens
        for most, whose in ((self.longest, "the model's"), (self.tokens, "the engine's")):
            if whole > most:
                raise ModelError(
                    f"{question.origin or question.id}: {len(prompt.ids)} tokens and a reply of {sampling.max_tokens} "
                    f"are more than {whose} {most}. Ask with fewer images or turns, or for a shorter reply."
                )

    def _words(self, ids: tuple[int, ...]) -> list[Shown]:
        if not ids:
            return []
        with self._detokenizing:
            text = self.model.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return [Shown(len(ids), text=str(text))]

    # What follows runs in the engine's thread.

    def _work(self) -> None:
        torch.set_num_threads(self._threads)  # which OpenMP counts for each thread
        failure: TriptychError | None = None
        try:
            while self._wait():
                self._admit()
                self._scheduler.step()
        except Exception as error:
            failure = RunError(f"{self.name}: the engine has failed: {type(error).__name__}: {error}")
            raise
        finally:
            self._end(failure)

    def _wait(self) -> bool:
        """Wait until there is something to do; return False when the engine is to end."""
        with self._wake:
            self._wake.wait_for(lambda: self._closed or self._waiting or self._scheduler.running)
            return not self._closed

    def _admit(self) -> None:
        """Begin as many requests as there is room for, in the order of coming; those nobody wants any more first."""
        with self._wake:
            unwanted = [each for each in self._waiting if each.ticket.cancelled]
            self._waiting = deque(each for each in self._waiting if not each.ticket.cancelled)
        for request in unwanted:
            self._scheduler.begin(request)
        computed = 0
        while computed < self.settings.prefill_tokens and self._scheduler.running < self.settings.rows:
            with self._wake:
                if self._closed or not self._waiting or not self._scheduler.fits(self._waiting[0]):
                    return
                request = self._waiting.popleft()
            computed += self._scheduler.begin(request)

    def _end(self, failure: TriptychError | None) -> None:
        with self._wake:
            self._closed = True
            waiting, self._waiting = self._waiting, deque()
        for request in waiting:
            if failure is None:
                request.ticket.tell(Delta("", finish="cancelled"))
            else:
                request.ticket.fail(failure)
        if failure is None:
            self._scheduler.cancel()
        else:
            self._scheduler.fail(failure)


def _sparing_others(listener: Listener, name: str) -> Listener:
    """Return the listener, whose breaking on a request's last word harms nobody else: people are told instead."""

    def hear(piece: Delta | TriptychError) -> None:
        try:
            listener(piece)
        except Exception as error:
            if isinstance(piece, Delta) and piece.finish != "cancelled":
                raise  # it is told so by its ticket
            say(f"{name}: who listened has failed ({type(error).__name__}: {error})")

    return hear
