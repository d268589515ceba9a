"""The conversations of a running engine one by one, each with the cache that its network makes: always right, and slow.

For networks whose rows cannot be joined (``slots``): sliding windows, recurrent layers. Their beginnings are computed
for each anew.

Shapes: A axes of positions, B rows, T tokens, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import Cache

from triptych.infer.decoding.decode import DecodingModel
from triptych.infer.engine.slots import PrefixKV
from triptych.models.family import Woven
from triptych.models.memory.placement import computing


class OneByOne:
    """Rows that are computed one after the other. Their state: a cache and a length for each."""

    joins = False

    def __init__(self, model: DecodingModel) -> None:
        """Begin without rows."""
        self._model = model
        self._caches: list[Cache] = []
        self.lengths: list[int] = []

    def positions(self, lengths: Sequence[int]) -> int:
        """Return what rows that will be so long take of an engine's tokens."""
        return sum(lengths)

    @torch.inference_mode()
    def begin(self, woven: Woven, *, source: PrefixKV | int | None = None, common: int = 0) -> Tensor:
        """Add a row and return logits_V of what follows it; nothing is ever in common."""
        assert source is None
        assert common == 0
        length = woven.embeds_BTH.shape[1]
        mask_BT = torch.ones(1, length, dtype=torch.long, device=woven.embeds_BTH.device)
        with computing(self._model):
            logits_BV, cache = self._model.run(woven, mask=mask_BT, cache=None)
        self._caches.append(cache)
        self.lengths.append(length)
        return logits_BV[0]

    @torch.inference_mode()
    def step(self, ids: Sequence[int], nexts: Sequence[int], *, axes: int) -> Tensor:
        """Give every row one more token, and return logits_BV of what follows."""
        found = []
        for row, (token, at) in enumerate(zip(ids, nexts, strict=True)):
            table = self._model.network.get_input_embeddings()
            device = next(table.parameters()).device
            ids_BT = torch.tensor([[token]], device=device)
            at_ABT = torch.full((axes, 1, 1), at, device=device)
            words = Woven(table(ids_BT), at_ABT, torch.zeros_like(ids_BT))
            mask_BT = torch.ones(1, self.lengths[row] + 1, dtype=torch.long, device=device)
            with computing(self._model):
                logits_BV, self._caches[row] = self._model.run(words, mask=mask_BT, cache=self._caches[row])
            self.lengths[row] += 1
            found.append(logits_BV[0])
        return torch.stack(found)

    def leave(self, row: int) -> None:
        """Take a row out; the last one gets its number."""
        cache, length = self._caches.pop(), self.lengths.pop()
        if row < len(self.lengths):
            self._caches[row], self.lengths[row] = cache, length

    def clear(self) -> None:
        """Give all rows up."""
        self._caches, self.lengths = [], []
