"""The cache of generation, which carries the media too: what comes after a prompt sees what the prompt's end saw.

Not the keys and values of words: those are kept as transformers keeps them. OpenFlamingo's own code keeps media too;
Otter's forgets them with the first word that comes from a cache. Here cached and uncached logits are the same
(tests/models/test_flamingo_cache.py), and so are the replies of Otter's code without a cache (tests/released).

Shapes: B rows, T tokens, M media a row, L latents a medium, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import Cache, DynamicCache, PreTrainedConfig


class MediaCache(DynamicCache):
    """Keys and values of words, the media of each row, and which of them each word saw."""

    media_BMLC: Tensor | None = None
    sees_BTM: Tensor | None = None

    @classmethod
    def over(cls, cache: Cache | None, text: PreTrainedConfig) -> MediaCache:
        """Return the cache itself where it is one, else one that carries on with its keys and values."""
        if isinstance(cache, cls):
            return cache
        new = cls(config=text)
        if cache is not None:
            new.__dict__.update(cache.__dict__)
        return new

    def look(
        self, media_BMLC: Tensor | None, sees_BTM: Tensor | None, *, shape: tuple[int, int], immediate: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Take in new tokens, and return the media they see and which of them.

        Args:
            media_BMLC: that stand among the new tokens; None: there are none.
            sees_BTM: which of these each new token sees.
            shape: (B, T) of the new tokens.
            immediate: a word sees the last medium before it; False: all before it.
        """
        carried_BTM = self._carried(shape)
        if media_BMLC is not None and sees_BTM is not None:
            if carried_BTM is not None and immediate:
                carried_BTM = carried_BTM & ~sees_BTM.any(dim=-1, keepdim=True)
            old = self.media_BMLC
            self.media_BMLC = media_BMLC if old is None else torch.cat([old, media_BMLC.to(old)], dim=1)
            sees_BTM = sees_BTM if carried_BTM is None else torch.cat([carried_BTM, sees_BTM], dim=-1)
        else:
            sees_BTM = carried_BTM
        self._remember(sees_BTM, shape)
        if self.media_BMLC is None or sees_BTM is None:
            return None, None
        if immediate and shape[1] == 1 and self.media_BMLC.shape[1] > 1:
            # Of many media a word sees one: the others need not be computed with.
            seen_B = sees_BTM[:, 0].long().argmax(dim=-1)
            rows_B = torch.arange(len(seen_B), device=seen_B.device)
            return self.media_BMLC[rows_B, seen_B][:, None], sees_BTM.any(dim=-1, keepdim=True)
        return self.media_BMLC, sees_BTM

    def _carried(self, shape: tuple[int, int]) -> Tensor | None:
        """Return what the last known token saw, for each new one."""
        if self.media_BMLC is None or self.sees_BTM is None:
            return None
        return self.sees_BTM[:, -1:].expand(-1, shape[1], -1)

    def _remember(self, sees_BTM: Tensor | None, shape: tuple[int, int]) -> None:
        known = self.sees_BTM
        if sees_BTM is None:
            device = "cpu" if known is None else known.device
            sees_BTM = torch.zeros(*shape, 0, dtype=torch.bool, device=device)
        if known is not None:
            known = pad(known.to(sees_BTM.device), (0, sees_BTM.shape[-1] - known.shape[-1]))
            sees_BTM = torch.cat([known, sees_BTM], dim=1)
        self.sees_BTM = sees_BTM

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows alone."""
        super().batch_select_indices(indices)
        self._take(indices)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Take rows over from others: beams."""
        super().reorder_cache(beam_idx.long())  # type: ignore[arg-type]
        self._take(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Have each row several times."""
        rows = 0 if self.sees_BTM is None else len(self.sees_BTM)
        super().batch_repeat_interleave(repeats)
        self._take(torch.arange(rows).repeat_interleave(repeats))

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens: so many, as a negative number. Media that they brought are seen by nobody then."""
        super().crop(tokens_to_remove)
        if tokens_to_remove and self.sees_BTM is not None:
            self.sees_BTM = self.sees_BTM[:, : -abs(tokens_to_remove)]

    def reset(self) -> None:
        """Forget everything."""
        super().reset()  # type: ignore[no-untyped-call]
        self.media_BMLC = self.sees_BTM = None

    def _take(self, rows: Tensor) -> None:
        if self.media_BMLC is not None:
            self.media_BMLC = self.media_BMLC[rows.to(self.media_BMLC.device)]
        if self.sees_BTM is not None:
            self.sees_BTM = self.sees_BTM[rows.to(self.sees_BTM.device)]
