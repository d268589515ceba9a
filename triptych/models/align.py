"""Closed-form alignment: the linear map under which an image's features fall on the embedding of its caption.

Not learning by gradients: one pass over the data adds up the normal equations of ridge regression, one solve gives the
best map there is. Any tower, any language model, several tokens an image: each is to become the caption's mean input
embedding. All sums are float64, so order and chunks of the data do not matter.

Shapes: N images, P feature positions an image, C channels of the tower, H hidden size of the language model, R = N * P
rows of the regression, T tokens of a caption.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from triptych.core.errors import ModelError
from triptych.models.family import Model


class LinearMap(NamedTuple):
    """``features @ weight_CH + bias_H``, float64."""

    weight_CH: Tensor
    bias_H: Tensor


class NormalEquations:
    """Sums from which the ridge regression of targets on features is solved. Memory: C * (C + H) numbers."""

    def __init__(self, channels: int, hidden_size: int) -> None:
        self.rows = 0
        self._features_C = torch.zeros(channels, dtype=torch.float64)
        self._targets_H = torch.zeros(hidden_size, dtype=torch.float64)
        self._squares_CC = torch.zeros(channels, channels, dtype=torch.float64)
        self._products_CH = torch.zeros(channels, hidden_size, dtype=torch.float64)

    def add(self, features_NPC: Tensor, targets_NH: Tensor) -> None:
        """Add a chunk of images, any number of them.

        Raises:
            ModelError: shapes that do not fit, or a number that is not finite.
        """
        images, positions, channels = features_NPC.shape
        if channels != len(self._features_C) or targets_NH.shape != (images, len(self._targets_H)):
            raise ModelError(
                f"features {tuple(features_NPC.shape)} and targets {tuple(targets_NH.shape)} do not fit equations of "
                f"{len(self._features_C)} channels and hidden size {len(self._targets_H)}."
            )
        features_RC = features_NPC.detach().cpu().double().flatten(0, 1)
        targets_NH = targets_NH.detach().cpu().double()
        if not bool(features_RC.isfinite().all()) or not bool(targets_NH.isfinite().all()):
            raise ModelError("a feature or a target is not a finite number; the tower or the embeddings are broken.")
        self.rows += images * positions
        self._features_C += features_RC.sum(dim=0)
        self._targets_H += positions * targets_NH.sum(dim=0)
        self._squares_CC += features_RC.T @ features_RC
        # All positions of an image have one target: sum them first.
        self._products_CH += features_NPC.detach().cpu().double().sum(dim=1).T @ targets_NH

    def solve(self, ridge: float) -> LinearMap:
        """Return the map that minimises the squared error plus the penalty; the bias is not penalised.

        Args:
            ridge: > 0; the penalty in units of the features' mean sum of squares, so that it means the same for every
                tower and every number of images.

        Raises:
            ModelError: no rows yet, ``ridge`` is not positive, or all features are the same.
        """
        if ridge <= 0:
            raise ModelError(f"ridge must be > 0, found {ridge}: without it the map of rare directions is not defined.")
        if self.rows == 0:
            raise ModelError("there is nothing to align on: no picture with a caption was given.")
        mean_C, mean_H = self._features_C / self.rows, self._targets_H / self.rows
        squares_CC = self._squares_CC - self.rows * torch.outer(mean_C, mean_C)
        products_CH = self._products_CH - self.rows * torch.outer(mean_C, mean_H)
        penalty = ridge * squares_CC.diagonal().mean()
        penalised_CC = squares_CC + penalty * torch.eye(len(mean_C), dtype=torch.float64)
        factor_CC, failed = torch.linalg.cholesky_ex(penalised_CC)
        if bool(failed):
            raise ModelError(f"{self.rows} features do not differ enough to be aligned; give more pictures.")
        weight_CH = torch.cholesky_solve(products_CH, factor_CC)
        return LinearMap(weight_CH, mean_H - mean_C @ weight_CH)


def fit(model: Model, chunks: Iterable[tuple[Tensor, Tensor]], *, ridge: float) -> LinearMap:
    """Align the model's projector in place, in one pass over ``chunks`` of (features_NPC, targets_NH); return the map.

    Raises:
        ModelError: the projector is not linear, or the equations cannot be solved.
    """
    table = model.network.get_input_embeddings()
    assert isinstance(table, nn.Embedding)
    equations: NormalEquations | None = None
    for features_NPC, targets_NH in chunks:
        equations = equations or NormalEquations(features_NPC.shape[-1], table.embedding_dim)
        equations.add(features_NPC, targets_NH)
    if equations is None:
        raise ModelError("there is nothing to align on: no picture with a caption was given.")
    found = equations.solve(ridge)
    model.set_linear_projection(*found)
    return found


def target_embedding(model: Model, text: str) -> Tensor:
    """Return the mean input embedding [H] of the tokens of `` text``, as it would stand within a sentence.

    Raises:
        ModelError: no words.
    """
    if not text.strip():
        raise ModelError("a caption without words has no embedding; leave the picture out.")
    ids = model.tokenizer(" " + text.strip(), add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        table_TH: Tensor = model.network.get_input_embeddings()(torch.tensor(ids, device=model.device))
    return table_TH.mean(dim=0)
