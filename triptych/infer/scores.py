"""Scores of conversations by a model's score head: several in a pack, each as it would be alone.

Not replies in words (``local.py``) and not how good the scores are (``evaluate``). What a score head reads is made
exactly as in training. ``ScoreResponder`` says the same numbers as a reply, a line for each, so that benchmarks which
ask for ratings can ask a score head.

Shapes: B rows, T tokens a row, H hidden size, N conversations, S targets, C outputs for each target.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from triptych.core.errors import DataError, ModelError
from triptych.core.records import Answer, Example
from triptych.data.batch import Batch, collate
from triptych.data.format import Refused, measured
from triptych.data.plan.rendering import Rendering, scored_prompt_of
from triptych.data.template import Encoded
from triptych.infer.responder import Failed
from triptych.models.attention.lengths import longest_of
from triptych.models.digest import add_weights
from triptych.models.family import Model
from triptych.models.heads import ScoreHead
from triptych.models.memory.placement import computing
from triptych.models.vision.features import FeatureStore

BATCH_TOKENS = 4096
NO_MEMORY = "the device's memory does not hold this conversation alone. Ask with fewer images, or on a larger device."


@dataclass(frozen=True, slots=True)
class Scored:
    """What a score head says of one conversation."""

    id: str
    """The Example's id."""
    scores: tuple[float, ...]
    """One for each of ``Scoring.targets``: a number, a share from 0 to 1, or the likeliest class."""
    shares: tuple[tuple[float, ...], ...] = ()
    """Probability of each class, target by target; empty where there are no classes."""
    tokens: int = 0
    """Tokens of the prompt, images included."""


class Scorer:
    """Scores with an opened model. Its state is the model and the features of images it has seen."""

    def __init__(self, model: Model, *, features: FeatureStore, batch_tokens: int = BATCH_TOKENS) -> None:
        """Take the model over: it is switched to evaluation, and nothing of it is trained from here on.

        Args:
            model: with a score head.
            features: encodes each distinct image once.
            batch_tokens: most tokens of a pack; a longer conversation is scored alone.

        Raises:
            ModelError: it has no score head.
        """
        if model.score_head is None:
            raise ModelError(
                "this model has no score head, it only talks: train one (objective: {kind: regression, ...})."
            )
        self.model = model
        self.head: ScoreHead = model.score_head.to(model.device)
        self.features = features
        self.batch_tokens = batch_tokens
        self._longest = longest_of(model.network.config)
        for each in (model.network, self.head):
            each.train(False)
            each.requires_grad_(False)

    @cached_property
    def rendering(self) -> Rendering:
        """How conversations become what the head reads."""
        return replace(self.model.rendering, scored=self.head.scoring)

    def score(self, examples: Sequence[Example]) -> Iterator[Scored | Failed]:
        """Yield the scores of each conversation once, the longest first."""
        prompts: list[Encoded] = []
        for example in examples:
            try:
                prompts.append(self._prompt(example))
            except (DataError, ModelError) as error:
                yield Failed(example.id, str(error))
        for pack in packs_of(prompts, most=self.batch_tokens):
            yield from self._pack(pack)

    def _prompt(self, example: Example) -> Encoded:
        seen = measured(example, {})
        if isinstance(seen, Refused):
            raise DataError(seen.message)
        encoded = scored_prompt_of(seen, self.rendering)
        if len(encoded.ids) > self._longest:
            raise ModelError(
                f"{example.origin or example.id}: {len(encoded.ids)} tokens are more than the model's {self._longest}."
                " Ask with fewer images."
            )
        return encoded

    def _pack(self, pack: Sequence[Encoded]) -> Iterator[Scored | Failed]:
        lost = ""
        try:
            outputs_NSC = self.outputs(collate([pack], pad_id=0))
            lost = _no_number(outputs_NSC, self.head.scoring.targets, row=pack[0].id)
        except (DataError, ModelError) as error:
            lost = str(error)
        except torch.OutOfMemoryError:
            lost = NO_MEMORY
        if lost and len(pack) == 1:
            yield Failed(pack[0].id, lost)
            return
        if lost:  # an image cannot be read, they cannot stand together, no number: one by one shows whose it is
            for prompt in pack:
                yield from self._pack([prompt])
            return
        scores_NS = self.head.scores(outputs_NSC)
        for number, prompt in enumerate(pack):
            shares = outputs_NSC[number].softmax(-1).tolist() if self.head.scoring.loss == "ce" else []
            scores = tuple(scores_NS[number].tolist())
            yield Scored(prompt.id, scores, tuple(map(tuple, shares)), tokens=len(prompt.ids))

    def outputs(self, batch: Batch) -> Tensor:
        """Return outputs_NSC of a batch's conversations, on the CPU: before they are made scores.

        Raises:
            DataError: an image cannot be read.
        """
        features = self.features.features(batch.images, spans=batch.spans)
        with torch.inference_mode(), computing(self.model):
            hidden_BTH = self.model.hidden(self.model.weave(batch, features))
            return self.head.read(hidden_BTH, batch.reads_NS2).cpu()


def _no_number(outputs_NSC: Tensor, targets: Sequence[str], *, row: str) -> str:
    """Return what is wrong with the first output that is no finite number, empty: all are. ``row`` is an id."""
    odd = (~outputs_NSC.isfinite()).nonzero()
    if not len(odd):
        return ""
    number, target, output = odd[0].tolist()
    return (
        f"{row}: the score head gives {outputs_NSC[number, target, output].item()} for {targets[target]!r}, which is no"
        " number. The weights of the model or of its head are broken or too large: copy the folder again, or train it"
        " with a lower rate."
    )


def packs_of(prompts: Sequence[Encoded], *, most: int) -> Iterator[list[Encoded]]:
    """Yield every prompt once, the longest first, in packs of at most so many tokens; a longer one is alone."""
    pack: list[Encoded] = []
    tokens = 0
    for prompt in sorted(prompts, key=lambda prompt: -len(prompt.ids)):
        if pack and tokens + len(prompt.ids) > most:
            yield pack
            pack, tokens = [], 0
        pack.append(prompt)
        tokens += len(prompt.ids)
    if pack:
        yield pack


class ScoreResponder:
    """Says a score head's numbers as a reply: ``visual quality: 2.31`` and so on, a line for each target."""

    def __init__(self, scorer: Scorer, *, name: str) -> None:
        """Take who scores, and what reports call it."""
        self.scorer = scorer
        self.name = name

    @cached_property
    def fingerprint(self) -> str:
        """Digest of every weight, the head's too, the preprocessing and the template: 16 hexadecimal digits."""
        model, head = self.scorer.model, self.scorer.head
        digest = hashlib.sha256(f"{model.fingerprint()} {model.template!r} {head.scoring!r} {model.precision}".encode())
        for part in (model.network, head):
            add_weights(digest, part.state_dict())
        return digest.hexdigest()[:16]

    def answer(self, questions: Sequence[Example], *, max_tokens: int = 32) -> Iterator[Answer | Failed]:
        """Yield the numbers for each question; ``max_tokens`` is of no effect, a number is never cut."""
        del max_tokens
        for found in self.scorer.score(questions):
            if isinstance(found, Failed):
                yield found
                continue
            pairs = zip(self.scorer.head.scoring.targets, found.scores, strict=True)
            yield Answer(found.id, "\n".join(f"{name}: {score:.3f}" for name, score in pairs), tokens_in=found.tokens)
