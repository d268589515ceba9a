"""The closed-form stage: one pass over captioned images, one solve, and the projector speaks the words' language.

Not the mathematics (``models/align.py``): here are the data, the features, what is reported and what is kept.

Shapes: N captions, P feature positions an image, C channels of the tower, H hidden size, M distinct captions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from triptych.core.errors import DataError, ModelError
from triptych.core.files import append_json_line
from triptych.core.log import say
from triptych.core.records import Example, ImageRef, images_of, text_of
from triptych.data.format import Refused, refusal
from triptych.models.align import fit, target_embedding
from triptych.models.family import Model
from triptych.models.vision.feature_limit import WHATEVER_IS_FREE
from triptych.models.vision.features import FeatureStore
from triptych.train.checkpoint import Outcome, Position
from triptych.train.feature_cache import FEATURES
from triptych.train.ledger import LEDGER
from triptych.train.measuring.meters import METRICS, VALIDATIONS, rewind_records
from triptych.train.prepare import image_key, prepare
from triptych.train.recipe import ClosedForm
from triptych.train.signals import Stop
from triptych.train.torn_images import read_ahead

CHUNK = 64
"""Images at once."""
CHECKED = 10_000
"""Captions on which the fit is reported: the first of them."""


@dataclass(frozen=True, slots=True)
class Caption:
    """One image and the words that its features are to become."""

    id: str
    image: ImageRef
    text: str
    origin: str = ""

    @property
    def images(self) -> tuple[ImageRef]:
        """Its one image."""
        return (self.image,)


def align(model: Model, stage: ClosedForm, *, run: Path, seed: int, later: Sequence[str], stop: Stop) -> Outcome:
    """Set the model's projector to the ridge regression of captions' embeddings on images' features.

    Args:
        model: its projector is overwritten.
        stage: captioned images, and the strength of the ridge.
        run: the run's folder.
        seed: of this stage.
        later: stages after this one, whose records are dropped.
        stop: is asked after each chunk of images.

    Raises:
        DataError: the data cannot be used.
        ModelError: the projector is not linear.
        RunError: a stop was asked for.
    """
    for records in (METRICS, VALIDATIONS):
        rewind_records(run / records, stage.name, step=0, later=later)
    model.network.requires_grad_(False)
    numbered = prepare(stage, caption_of, run=run, seed=seed, stop=stop)
    store = FeatureStore(model, run / FEATURES, most_bytes=WHATEVER_IS_FREE)
    torn = read_ahead([caption for _, caption in numbered], store.features, label=stage.name, stop=stop)
    captions = [caption for _, caption in torn.keep(numbered, stage, run=run)]
    if not captions:
        raise DataError(f"stage {stage.name!r}: no picture of its data can be read; see {run / LEDGER}.")
    words = {text: target_embedding(model, text) for text in dict.fromkeys(caption.text for caption in captions)}

    def chunks() -> Iterator[tuple[Tensor, Tensor]]:
        for chunk in _chunks(captions):
            targets_NH = torch.stack([words[caption.text] for caption in chunk])
            yield _features(store, chunk), targets_NH

    fit(model, chunks(), ridge=stage.ridge)
    explained, nearest = _quality(model, captions[:CHECKED], store, words)
    say(
        f"{stage.name}: {len(captions)} pictures, {len(words)} distinct captions; explained variance {explained:.3f},"
        f" nearest name right for {nearest:.1%}"
    )
    record = {"images": len(captions), "captions": len(words), "explained_variance": explained}
    append_json_line(run / METRICS, {"stage": stage.name, "step": 1, **record, "nearest_name_accuracy": nearest})
    weights = {f"projector.{name}": weight for name, weight in model.parts()["projector"].named_parameters()}
    return Outcome(Position(stage.name, 1, finished=True, plan=_digest(captions)), weights, {})


def caption_of(example: Example) -> Caption | Refused:
    """Return the one image and the one reply of an example, or its refusal."""
    images = images_of(example)
    replies = [text_of(turn).strip() for turn in example.turns if turn.role == "assistant" and turn.learnt]
    if len(images) != 1 or len(replies) != 1:
        found = f"found {len(images)} images and {len(replies)} replies"
        return refusal(
            example, "not one image and one reply", message=f"alignment needs one of each, {found}: leave it out."
        )
    if not replies[0]:
        return refusal(example, "empty reply", message="its reply has no words: give the caption.")
    return Caption(example.id, images[0], replies[0], example.origin)


def _quality(
    model: Model, captions: Sequence[Caption], store: FeatureStore, words: dict[str, Tensor]
) -> tuple[float, float]:
    """Return the share of the targets' variance that is explained, and how often the nearest caption is the right one.

    Nearest by cosine, around the mean of the captions; an image's tokens are averaged.
    """
    number = {text: at for at, text in enumerate(dict.fromkeys(caption.text for caption in captions))}
    names_MH = torch.stack([words[text] for text in number])
    mean_H = names_MH.mean(dim=0)
    directions_MH = normalize(names_MH - mean_H, dim=-1)
    targets_N = torch.tensor([number[caption.text] for caption in captions], device=names_MH.device)
    center_H = names_MH[targets_N].mean(dim=0)
    residual = total = right = 0.0
    for start, chunk in zip(range(0, len(captions), CHUNK), _chunks(captions), strict=True):
        with torch.no_grad():
            seen = store.features([caption.image for caption in chunk])
            tokens_NPH = torch.stack(model.project(seen)).to(names_MH.device)
        wanted_N = targets_N[start : start + len(chunk)]
        residual += float((names_MH[wanted_N][:, None] - tokens_NPH).double().square().sum())
        total += float((names_MH[wanted_N] - center_H).double().square().sum()) * tokens_NPH.shape[1]
        found_N = (normalize(tokens_NPH.mean(dim=1) - mean_H, dim=-1) @ directions_MH.T).argmax(dim=-1)
        right += float((found_N == wanted_N).sum())
    return 1 - residual / total if total else 0.0, right / len(captions)


def _features(store: FeatureStore, captions: Sequence[Caption]) -> Tensor:
    """Return features_NPC.

    Raises:
        ModelError: images have features of differing numbers, among which none stands for the whole.
    """
    features = [seen.values for seen in store.features([caption.image for caption in captions])]
    if any(each.shape != features[0].shape for each in features):
        raise ModelError("pictures of differing sizes have differing numbers of features: align a tower of one size.")
    return torch.stack(features)


def _chunks(captions: Sequence[Caption]) -> Iterator[Sequence[Caption]]:
    for start in range(0, len(captions), CHUNK):
        yield captions[start : start + CHUNK]


def _digest(captions: Sequence[Caption]) -> str:
    rows = [(caption.text, *image_key(caption.image)) for caption in captions]
    return hashlib.sha256(repr(rows).encode("utf-8")).hexdigest()
