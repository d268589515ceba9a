"""Data parallel: every process holds all weights, and the gradients of a step are added up over all processes.

Not torch's DistributedDataParallel, which wants every process to run the same forward pass as often as the others and
divides by their number. Here the sum is taken once a step, when all have done their packs: who had fewer, or none, or
no image among them, adds nothing. The loss is divided by the step's supervised tokens over all processes, so the sum
is the gradient of one big batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

BUCKET_BYTES = 64 << 20
"""Most bytes of gradients that are added up at once."""


class Sharing(Protocol):
    """How processes share the gradients of a step; each calls all of these, in this order."""

    weights: Mapping[str, nn.Parameter]
    """Trained weights by part and name: what the optimizer moves in this process."""
    in_step: bool
    """Whether all processes must go through the network equally often."""

    def begin(self, *, sees: bool) -> None:
        """Make ready for a step; ``sees``: whether any process has an image in it."""

    def settle_pass(self) -> None:
        """Take the gradients of one pass through the network."""

    def finish(self) -> None:
        """Leave the step's gradient, over all processes, in the weights."""

    def looking(self, *, sees: bool) -> AbstractContextManager[None]:
        """Make ready for passes of which nothing is learnt, between steps; ``sees`` as in ``begin``."""


class Alone:
    """One process: its gradients are the step's."""

    in_step = False

    def __init__(self, weights: Mapping[str, nn.Parameter]) -> None:
        """Take the weights that may move."""
        self.weights = weights

    def begin(self, *, sees: bool) -> None:
        """Do nothing."""

    def settle_pass(self) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""

    def looking(self, *, sees: bool) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()


class Replicas(Alone):
    """Equal weights in every process."""

    def __init__(self, weights: Mapping[str, nn.Parameter]) -> None:
        """Give every process the leading one's weights."""
        super().__init__(weights)
        with torch.no_grad():
            for weight in weights.values():
                dist.broadcast(weight.data, src=0)

    def finish(self) -> None:
        """Add up; a weight that no process used keeps no gradient, as in one process."""
        used = anybody([weight.grad is not None for weight in self.weights.values()], like=self.weights)
        here = [weight for weight, any_use in zip(self.weights.values(), used, strict=True) if any_use]
        for weight in here:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        for bucket in _buckets([weight.grad for weight in here if weight.grad is not None]):
            joint = torch.cat([gradient.flatten() for gradient in bucket])
            dist.all_reduce(joint)
            for gradient, total in zip(bucket, joint.split([each.numel() for each in bucket]), strict=True):
                gradient.copy_(total.view_as(gradient))


def anybody(here: list[bool], *, like: Mapping[str, Tensor]) -> list[bool]:
    """Return of each whether it holds in any process; on the device of the weights ``like``."""
    flags = torch.tensor(here, dtype=torch.uint8, device=next(iter(like.values())).device)
    dist.all_reduce(flags, op=dist.ReduceOp.MAX)
    return [bool(flag) for flag in flags.tolist()]


def _buckets(gradients: list[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for gradient in gradients:
        if bucket and (
            gradient.dtype != bucket[0].dtype or sum(each.nbytes for each in (*bucket, gradient)) > BUCKET_BYTES
        ):
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket
