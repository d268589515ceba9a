"""A model in this process as a responder: replies in batches for evaluation, piece by piece for a chat.

Greedy ones, unless a sampling says otherwise; then a reply's random numbers come from the seed and its prompt alone.
Not a server. Questions that begin alike, on the same images, compute that beginning once (``batches``, ``decode``); the
others are sorted by length, so that a batch pads little. A reply depends neither on what else is in its batch nor on
what it shares (tests/infer/test_local.py).

Shapes: B rows, V vocabulary.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from triptych.core.errors import DataError, ModelError
from triptych.core.records import Answer, Example, ImageRef
from triptych.data.batch import collate, pad_left
from triptych.data.media.images import measure
from triptych.data.plan.rendering import Rendering, prompt_of
from triptych.data.template import Encoded, parse_reply
from triptych.infer.decoding.batches import MOST_TOKENS, Group, alone, group_by_beginning, plan_batches
from triptych.infer.decoding.decode import DecodeStep, SharedPrefix, can_share, decode
from triptych.infer.decoding.generation_config import ends_of, named_ends_of, penalty_of, tell_unfollowed
from triptych.infer.decoding.kv_budget import BATCH, positions_that_fit
from triptych.infer.decoding.sampling import Chooser, Sampling, choose
from triptych.infer.responder import Failed, as_question
from triptych.models.attention.lengths import longest_of
from triptych.models.attention.segments import window_of
from triptych.models.digest import add_weights
from triptych.models.family import Model
from triptych.models.memory.placement import computing
from triptych.models.vision.features import FeatureStore

_NO_MEMORY = "the device's memory does not hold this question alone. Ask with fewer images, or on a larger device."
GREEDY = Sampling()
_PASSING = {"_name_or_path", "architectures", "dtype", "transformers_version"}


class LocalResponder:
    """Answers with an opened model. Its state is the model and the features of images it has seen."""

    def __init__(
        self,
        model: Model,
        *,
        features: FeatureStore,
        batch_tokens: int | None = None,
        share: bool = True,
        sampling: Sampling = GREEDY,
        name: str,
    ) -> None:
        """Take the model over: it is switched to evaluation, and nothing of it is trained from here on.

        Args:
            model: an opened model.
            features: encodes each distinct image once.
            batch_tokens: most positions, padding and replies included, of one batch; bounds the memory. A question
                that is longer is asked alone. None: as many as a GPU holds, ``BATCH`` on a CPU.
            share: compute what questions begin with alike only once, where the network's cache lets one.
            sampling: temperature, ``top_p``, ``top_k``, ``repetition_penalty`` and the seed, 0 where there is none.
            name: what reports call it.

        Raises:
            ModelError: it was published for scores alone, without a head for words.
        """
        check_speaks(model, name)
        self.model = model
        self.features = features
        self.batch_tokens = batch_tokens or positions_that_fit(model, otherwise=BATCH)
        self.sampling = sampling.settled(penalty=penalty_of(model))
        self.name = name
        self._stops, self._named_ends = ends_of(model), named_ends_of(model)
        tell_unfollowed(model, name)
        self._longest = longest_of(model.network.config)
        model.network.train(False)
        model.network.requires_grad_(False)
        self._share = share

    @cached_property
    def shares(self) -> bool:
        """Whether beginnings are shared."""
        return self._share and can_share(self.model)

    @cached_property
    def _rendering(self) -> Rendering:
        return self.model.rendering

    @cached_property
    def fingerprint(self) -> str:
        """Digest of weights, the network's settings, preprocessing, tokenizer and template: 16 hexadecimal digits."""
        digest = hashlib.sha256(f"{self.model.fingerprint()} {self.model.template!r}".encode())
        digest.update(json.dumps(_lasting(self.model.network.config.to_dict()), sort_keys=True, default=str).encode())
        digest.update(_tokenizer_as_text(self.model.tokenizer).encode())
        digest.update(str(self.model.precision).encode())
        add_weights(digest, self.model.network.state_dict())
        if not self.sampling.plain:
            drawn = self.sampling
            asked = (drawn.temperature, drawn.top_p, drawn.top_k, drawn.seed or 0, drawn.penalty)
            digest.update(repr(asked).encode())
        return digest.hexdigest()[:16]

    def answer(self, questions: Sequence[Example], *, max_tokens: int = 32) -> Iterator[Answer | Failed]:
        """Yield the answers batch by batch, of each kind the longest first: too little memory shows soon."""
        prompts: list[Encoded] = []
        for question in questions:
            try:
                prompts.append(self._prompt(question, max_tokens))
            except (DataError, ModelError) as error:
                yield Failed(question.id, str(error))
        groups = group_by_beginning(prompts) if self.shares else [alone(prompt) for prompt in prompts]
        # Layers that look through a window keep no more than its width.
        window = window_of(self.model.network.config.get_text_config())
        most = MOST_TOKENS if window is None else min(MOST_TOKENS, window - 1)
        for batch in plan_batches(groups, budget=self.batch_tokens, reply=max_tokens, most=most):
            yield from self._answer_batch(batch, max_tokens)

    def _prompt(self, question: Example, max_tokens: int) -> Encoded:
        encoded = prompt_of(measured(as_question(question)), self._rendering)
        if len(encoded.ids) + max_tokens > self._longest:
            raise ModelError(
                f"{question.origin or question.id}: {len(encoded.ids)} tokens and a reply of {max_tokens} are more than"
                f" the model's {self._longest}. Ask with fewer images or fewer turns."
            )
        return encoded

    def _answer_batch(self, batch: Sequence[Group], max_tokens: int) -> Iterator[Answer | Failed]:
        prompts = [prompt for group in batch for prompt in group.prompts]
        replies: list[list[int]] = [[] for _ in prompts]
        lost = ""
        try:
            for step in self._speak(batch, max_tokens):
                for row, token in zip(step.rows, step.ids, strict=True):
                    replies[row].append(token)
        except DataError as error:
            lost = str(error)
        except torch.OutOfMemoryError:
            lost = _NO_MEMORY
        if lost and len(prompts) == 1:
            yield Failed(prompts[0].id, lost)
            return
        if lost:  # an image cannot be read: one by one shows whose it is; or all are too many: half of them may not be
            part = len(prompts) // 2 if lost == _NO_MEMORY else 1
            for start in range(0, len(prompts), part):
                yield from self._answer_batch([alone(each) for each in prompts[start : start + part]], max_tokens)
            return
        for prompt, ids in zip(prompts, replies, strict=True):
            cut = len(ids) >= max_tokens and ids[-1] not in self._stops
            yield Answer(prompt.id, self._words(ids), tokens_in=len(prompt.ids), tokens_out=len(ids), cut=cut)

    def _words(self, ids: Sequence[int]) -> str:
        said = ids[:-1] if ids and ids[-1] in self._named_ends else ids  # which may be a word elsewhere
        return parse_reply(said, self.model.template, tokenizer=self.model.tokenizer)

    def _speak(self, batch: Sequence[Group], max_tokens: int) -> Iterator[DecodeStep]:
        prompts = [prompt for group in batch for prompt in group.prompts]
        batch_left = pad_left(collate([[prompt] for prompt in prompts], pad_id=0))
        # Outside of inference mode: the store keeps features, and others may train on them.
        features = self.features.features(batch_left.images, spans=batch_left.spans)
        with torch.inference_mode(), computing(self.model):
            woven = self.model.weave(batch_left, features)
        choosers = [Chooser(replace(self.sampling, seed=self._seed(prompt)), prompt.ids) for prompt in prompts]

        def choose_rows(logits_BV: Tensor, rows: Sequence[int]) -> list[int]:
            return [chosen.id for chosen in choose(logits_BV, [choosers[row] for row in rows])]

        chosen = None if self.sampling.plain else choose_rows
        return decode(
            self.model, woven, stops=self._stops, max_tokens=max_tokens, shared=_rows_of(batch), choose_rows=chosen
        )

    def _seed(self, prompt: Encoded) -> int:
        """Return the seed of a reply: equal prompts get equal replies, whatever else is asked."""
        said = f"{self.sampling.seed or 0} {prompt.ids}".encode()
        return int.from_bytes(hashlib.sha256(said).digest()[:8], "big")


def check_speaks(model: Model, name: str) -> None:
    """Refuse a model without words.

    Args:
        model: an opened one.
        name: what the message calls it.

    Raises:
        ModelError: it was published for scores alone, without a head for words.
    """
    if model.score_head is not None and not any(map(torch.any, model.network.get_output_embeddings().parameters())):
        raise ModelError(f"{name} has a head for scores and none for words: triptych score, or eval ... scores=true.")


def _rows_of(batch: Sequence[Group]) -> list[SharedPrefix]:
    """Return which rows share what; nothing, where no row shares anything."""
    if not any(len(group.prompts) > 1 for group in batch):
        return []
    ends = accumulate(len(group.prompts) for group in batch)
    return [
        SharedPrefix(tuple(range(end - len(group.prompts), end)), group.common)
        for group, end in zip(batch, ends, strict=True)
    ]


def _lasting(settings: object) -> object:
    """Return a network's settings without what says where and how they were read; the weights say their type."""
    if isinstance(settings, dict):
        return {str(key): _lasting(value) for key, value in settings.items() if key not in _PASSING}
    return settings


def _tokenizer_as_text(tokenizer: PreTrainedTokenizerBase) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return str(backend.to_str()) if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)


def measured(question: Example) -> Example:
    """Return the question with the size of every image, which some models count tokens by. Raises ImageError."""
    turns = tuple(
        replace(turn, parts=tuple(measure(part) if isinstance(part, ImageRef) else part for part in turn.parts))
        for turn in question.turns
    )
    shown = tuple(measured(demonstration) for demonstration in question.demonstrations)
    return replace(question, turns=turns, demonstrations=shown)
