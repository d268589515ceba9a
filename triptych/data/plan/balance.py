"""How much work a pack is, and which rank does which packs of a step, so that none waits long for another.

Not the order of steps (``step_plan``), and no clock: the work is estimated from token counts. A step's packs are the
same for any number of ranks; only which rank does which differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triptych.data.plan.measures import Records


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Multiply-adds of a forward pass, in billions. By default of a tower like CLIP ViT-L and a model like Llama 7B.

    Linear: one for each weight and token. Quadratic: attention, ``2 * width * layers`` a pair of tokens, half of it
    where a token sees only those before it. A backward pass does twice as much of each, which changes no ratio.
    """

    vision_linear: float = 0.30
    """Work of the image tower per image token, linear part: 0.30e9 weights."""
    vision_quadratic: float = 2 * 1024 * 24 * 1e-9
    """Work of the image tower per pair of tokens of one image, quadratic part."""
    language_linear: float = 6.6
    """Work of the language model per token, linear part: 6.6e9 weights."""
    language_quadratic: float = 4096 * 32 * 1e-9
    """Work of the language model per pair of tokens of one conversation, quadratic part."""

    def of(self, records: Records) -> NDArray[np.float64]:
        """Return the work of each row."""
        tokens = records["tokens"].astype(np.float64)
        return (
            self.vision_linear * records["image_tokens"]
            + self.vision_quadratic * records["image_squares"]
            + self.language_linear * tokens
            + self.language_quadratic * tokens**2
        )


def share(work: Sequence[float], ranks: int) -> list[list[int]]:
    """Return which packs each rank does: indexes into ``work``, ascending. Together all of them, each once.

    The heaviest goes first, to the rank that has least and still has a seat; seats differ by at most one.

    Args:
        work: of each pack of the step.
        ranks: > 0; where there are fewer packs, some ranks do none.
    """
    dealt: list[list[int]] = [[] for _ in range(ranks)]
    loads = [0.0] * ranks
    seats, spare = divmod(len(work), ranks)
    for index in sorted(range(len(work)), key=lambda index: (-work[index], index)):
        # A rank takes one more than ``seats`` only while there are spare ones.
        free = [rank for rank in range(ranks) if len(dealt[rank]) < seats + (spare > 0)]
        rank = min(free, key=lambda rank: (loads[rank], rank))
        spare -= len(dealt[rank]) == seats
        dealt[rank].append(index)
        loads[rank] += work[index]
    return [sorted(indexes) for indexes in dealt]


def balance(steps: Sequence[Sequence[float]], ranks: int) -> float:
    """Return the mean over the largest work of a rank, over steps: the share of time in which ranks do not wait.

    Args:
        steps: the work of each pack, step by step.
        ranks: that share each step.
    """
    loads = [[sum(work[index] for index in indexes) for indexes in share(work, ranks)] for work in steps]
    longest = sum(max(each) for each in loads)
    return sum(sum(each) / ranks for each in loads) / longest if longest else 1.0
