"""The requests that are being answered: they join and leave between two steps, and none notices the others.

Not the thread nor the queue (``engine``): one thread calls this. A request's prompt is computed by itself, but for the
beginning that it shares with another conversation, running or kept (``prefix_cache``); then it is one of the rows that
a step gives a token each (``slots``, ``one_by_one``). An error in one request fails it; one in a step, all in it.

Shapes: A axes of positions, B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from triptych.core.errors import RunError, TriptychError
from triptych.data.batch import collate
from triptych.data.template import Encoded
from triptych.infer.decoding.batches import Key, common_prefix
from triptych.infer.decoding.detokenize import Detokenizer, bytes_of_token
from triptych.infer.decoding.sampling import Chooser, Chosen, Sampling, choose
from triptych.infer.engine.one_by_one import OneByOne
from triptych.infer.engine.prefix_cache import CachedPrefix, PrefixCache, rest_of, usable
from triptych.infer.engine.rows import Rows
from triptych.infer.engine.slots import PrefixKV, Slots, rest_of_woven
from triptych.infer.engine.ticket import Delta, Finish, Ticket, TokenLogprob
from triptych.models.family import Model
from triptych.models.memory.placement import computing
from triptych.models.vision.features import FeatureStore

NO_MEMORY = "the device's memory does not hold it. Ask with fewer images or turns, or on a larger device."


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What is asked, ready to be computed."""

    prompt: Encoded
    key: Key
    """The prompt's key, from ``prefix_cache.PromptKeys``."""
    sampling: Sampling
    ticket: Ticket

    @property
    def longest(self) -> int:
        """Tokens of prompt and reply, if it is as long as allowed."""
        return len(self.prompt.ids) + self.sampling.max_tokens


@dataclass(slots=True, eq=False)
class _Running:
    """A request that has a row: its number is the place in the list."""

    request: Request
    key: list[int]
    """Key of the tokens that are computed."""
    nexts: list[int]
    """Per computed token, the position id of the token after it."""
    axes: int
    """Number of position axes."""
    chooser: Chooser
    detokenizer: Detokenizer
    token: int = -1
    """Last token of the reply, which is not computed yet."""
    said: int = 0
    """Tokens of the reply so far."""
    waiting: list[tuple[int, TokenLogprob]] = field(default_factory=list)
    """Log-probabilities that were not handed over yet, each with the character at which its token begins."""
    finish: Finish | None = None
    failed: bool = False


class Scheduler:
    """The requests under way. Its state: their rows, the beginnings that are kept, and counts of what was done."""

    def __init__(
        self,
        model: Model,
        *,
        features: FeatureStore,
        tokenizer: PreTrainedTokenizerBase,
        stops: frozenset[int],
        tokens: int,
        prefix_tokens: int,
    ) -> None:
        """Begin with nothing to do.

        Args:
            model: in evaluation mode.
            features: of images.
            tokenizer: the model's, or a copy where another thread uses that one.
            stops: the tokens that end a reply.
            tokens: most positions of all rows, padding included.
            prefix_tokens: most tokens of beginnings that are kept.
        """
        self._model = model
        self._features = features
        self._tokenizer = tokenizer
        self._stops = stops
        self._kinds = Rows(model, tokens=tokens)
        self._prefixes = PrefixCache(prefix_tokens if self._kinds.joins else 0)
        self._running: list[_Running] = []
        self.counts: Counter[str] = Counter()

    @property
    def joins(self) -> bool:
        """Whether all rows take a step together and share beginnings; else each is computed by itself."""
        return self._kinds.joins

    @property
    def _rows(self) -> Slots | OneByOne:
        return self._kinds.now

    @property
    def running(self) -> int:
        """Requests under way."""
        return len(self._running)

    @property
    def tokens_held(self) -> int:
        """Tokens of all rows."""
        return sum(len(each.key) for each in self._running)

    @property
    def prefix_tokens(self) -> int:
        """Tokens of beginnings that are kept."""
        return self._prefixes.tokens

    def fits(self, request: Request) -> bool:
        """Tell whether there is room for it now, however long all replies become."""
        return self._kinds.fit(request.longest, [each.request.longest for each in self._running])

    def begin(self, request: Request) -> int:
        """Compute a prompt and say the reply's first token; return how many tokens were computed."""
        if request.ticket.cancelled:
            self._tell_end(request.ticket)
            return 0
        try:
            running, logits_V = self._compute(request)
        except torch.OutOfMemoryError:
            request.ticket.fail(RunError(f"{request.ticket.name}: {NO_MEMORY}"))
        except TriptychError as error:
            request.ticket.fail(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are answered
            request.ticket.fail(_told(error, f"{request.ticket.name}: the model failed on this prompt"))
        else:
            self._running.append(running)
            self._hear([running], logits_V[None])
            self._sweep()
            return len(request.prompt.ids) - running.request.ticket.usage.cached_tokens
        self.counts["failed"] += 1
        return 0

    def step(self) -> None:
        """Give every request a token; those that end leave."""
        self._sweep()
        if not self._running:
            return
        try:
            logits_BV = self._go_on()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next ones are answered
            lack = isinstance(error, torch.OutOfMemoryError)
            failure = RunError(NO_MEMORY) if lack else _told(error, "the model failed in the middle of the reply")
            self.fail(failure)
            return
        for running in self._running:
            running.key.append(running.token)
            running.nexts.append(running.nexts[-1] + 1)
        self._hear(self._running, logits_BV)
        self._sweep()

    def fail(self, error: TriptychError) -> None:
        """End all requests under way with an error."""
        for running in self._running:
            running.request.ticket.fail(error)
        self.counts["failed"] += len(self._running)
        self._running = []
        self._rows.clear()

    def cancel(self) -> None:
        """End all requests under way as cancelled."""
        for running in self._running:
            running.request.ticket.cancel()
        self._sweep()

    def _compute(self, request: Request) -> tuple[_Running, Tensor]:
        try:
            return self._prefill(request)
        except torch.OutOfMemoryError:
            self._prefixes.clear()
        return self._prefill(request)

    def _prefill(self, request: Request) -> tuple[_Running, Tensor]:
        """Return a request with its row, and logits_V of the reply's first token."""
        prompt = request.prompt
        self._kinds.turn(request.longest)
        source, known, nexts = self._beginning(request)
        alone = self._model.splices  # media beside the words are laid out for the whole
        batch = collate([[rest_of(prompt, known) if alone else prompt]], pad_id=0)
        # Outside of inference mode: the store keeps features, and others may train on them.
        features = self._features.features(batch.images, spans=batch.spans)
        with torch.inference_mode():
            with computing(self._model):
                woven = self._model.weave(batch, features)
            # A later position counts on from the largest before it: so the rest can be laid out by itself.
            before = nexts[-1] if nexts and alone else 0
            woven = woven if alone else rest_of_woven(woven, known)
            woven = replace(woven, positions_ABT=woven.positions_ABT + before)
            new = woven.positions_ABT.amax(0)[0].cummax(0).values + 1
            nexts = [*nexts, *new.tolist()]
            chooser = Chooser(request.sampling, prompt.ids)
            detokenizer = Detokenizer(self._model.template, self._tokenizer, stop=request.sampling.stop)
            running = _Running(request, list(request.key), nexts, len(woven.positions_ABT), chooser, detokenizer)
            logits_V = self._rows.begin(woven, source=source, common=known)  # last: nothing may fail behind it
        request.ticket.take(cached=known)
        self.counts["tokens_in"] += len(prompt.ids)
        self.counts["tokens_cached"] += known
        return running, logits_V

    def _beginning(self, request: Request) -> tuple[PrefixKV | int | None, int, list[int]]:
        """Return where a prompt's beginning is, how many tokens it has, and the positions after each of them."""
        if not self._rows.joins:
            return None, 0, []
        row, most = None, 0
        for number, running in enumerate(self._running):
            found = common_prefix(request.key, running.key)
            if found > most:
                row, most = number, found
        kept, longer = self._prefixes.find(request.key, over=most)
        tokens = usable(request.prompt, longer if kept is not None else most, cross_attends=not self._model.splices)
        if tokens and kept is not None:
            return kept.kept, tokens, list(kept.nexts[:tokens])
        if tokens and row is not None:
            return row, tokens, self._running[row].nexts[:tokens]
        return None, 0, []

    def _go_on(self) -> Tensor:
        ids = [running.token for running in self._running]
        nexts = [running.nexts[-1] for running in self._running]
        try:
            return self._rows.step(ids, nexts, axes=self._running[0].axes)
        except torch.OutOfMemoryError:
            if not self._prefixes.tokens:
                raise
            self._prefixes.clear()
        return self._rows.step(ids, nexts, axes=self._running[0].axes)

    def _hear(self, running: list[_Running], logits_BV: Tensor) -> None:
        """Choose a token for each, and hand over what it says."""
        try:
            found = choose(logits_BV, [each.chooser for each in running])
        except Exception as error:  # noqa: BLE001 - whatever it is, the next ones are answered
            for each in running:
                self._lose(each, _told(error, "no token could be chosen"))
            return
        for each, chosen in zip(running, found, strict=True):
            try:
                self._say(each, chosen)
            except Exception as error:  # noqa: BLE001 - a listener, or words that cannot be made: the others go on
                self._lose(each, _told(error, f"{each.request.ticket.name}: its words cannot be told"))

    def _lose(self, running: _Running, error: TriptychError) -> None:
        running.failed = True
        running.request.ticket.fail(error)

    def _say(self, running: _Running, chosen: Chosen) -> None:
        running.token = chosen.id
        running.said += 1
        self.counts["tokens_out"] += 1
        detokenizer, text = running.detokenizer, ""
        if chosen.id in self._stops and not running.request.sampling.ignore_stop:
            running.finish, text = "stop", detokenizer.end(chosen.id)
        else:
            if chosen.logprob is not None:
                running.waiting.append((detokenizer.characters, self._logprob(chosen, chosen.logprob)))
            text = detokenizer.add(chosen.id)
            if detokenizer.stopped:
                running.finish = "stop"
            elif running.said == running.request.sampling.max_tokens:
                running.finish = "length"
        if running.finish is not None:
            text += detokenizer.finish()
        self._deliver(running, text)

    def _deliver(self, running: _Running, text: str) -> None:
        ticket, detokenizer, finish = running.request.ticket, running.detokenizer, running.finish
        ticket.take(said=running.said)
        if not text and finish is None:
            return
        ready = [each for at, each in running.waiting if at < detokenizer.said or (finish and not detokenizer.stopped)]
        running.waiting = [(at, each) for at, each in running.waiting if at >= detokenizer.said]
        ticket.tell(Delta(text, tuple(ready), finish))

    def _logprob(self, chosen: Chosen, logprob: float) -> TokenLogprob:
        own, *others = (bytes_of_token(token, self._tokenizer) for token in (chosen.id, *(id for id, _ in chosen.top)))
        texts = [each.decode(errors="replace") for each in others]
        top = tuple((text, value) for text, (_, value) in zip(texts, chosen.top, strict=True))
        return TokenLogprob(own.decode(errors="replace"), logprob, own, top, tuple(others))

    def _sweep(self) -> None:
        """Let those leave that have ended, failed, or are not wanted any more."""
        for row in reversed(range(len(self._running))):
            running = self._running[row]
            if running.finish is None and not running.failed:
                if not running.request.ticket.cancelled:
                    continue
                self._tell_end(running.request.ticket)
            elif running.failed:
                self.counts["failed"] += 1
            else:
                self.counts[running.finish or ""] += 1
            self._keep(row, running)
            self._rows.leave(row)
            last = self._running.pop()
            if row < len(self._running):
                self._running[row] = last
        if not self._running:
            self._rows.clear()

    def _keep(self, row: int, running: _Running) -> None:
        """Keep what was computed, for the next turn of this conversation."""
        if isinstance(self._rows, OneByOne):
            return  # the cache of such a network cannot be divided
        key = tuple(running.key)
        tokens = self._prefixes.tokens_to_keep(key)
        if not tokens:
            return
        try:
            kept = self._rows.keep(row, tokens)
        except torch.OutOfMemoryError:
            self._prefixes.clear()
            return
        self._prefixes.add(CachedPrefix(key[:tokens], tuple(running.nexts[:tokens]), kept))

    def _tell_end(self, ticket: Ticket) -> None:
        self.counts["cancelled"] += 1
        ticket.tell(Delta("", finish="cancelled"))


def _told(error: Exception, what: str) -> TriptychError:
    """Return an error that people can read, in one line."""
    if isinstance(error, TriptychError):
        return error
    said = " ".join(str(error).split())
    failure = RunError(f"{what}: {type(error).__name__}: {said[:300]}")
    failure.__cause__ = error
    return failure
