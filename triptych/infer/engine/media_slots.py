"""Rows of a network whose words see media beside them: what a row's last word saw goes along with the row.

Keys and values are joined as everywhere (``slots``). A word that is said sees what the word before it saw, so of a
row's media only those are kept; rows that see fewer than others are filled up with media that nobody sees.

Shapes: B rows, T tokens, M media a row, L latents a medium, C channels, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from triptych.infer.decoding.decode import DecodingModel
from triptych.infer.engine.slots import LayerShape, PrefixKV, Slots
from triptych.models.family import Woven
from triptych.models.flamingo.cache import MediaCache
from triptych.models.memory.placement import computing


class MediaSlots(Slots):
    """Rows that are computed together, each with its media. Their state: as of slots, and what each row sees."""

    def __init__(self, model: DecodingModel, layers: Sequence[LayerShape], *, tokens: int) -> None:
        """Begin without rows."""
        super().__init__(model, layers, tokens=tokens)
        self._media = MediaCache.over(self._cache, model.network.config.get_text_config())
        self._seen: list[Tensor | None] = []
        """media_MLC that each row sees; None: none."""

    @torch.inference_mode()
    def begin(self, woven: Woven, *, source: PrefixKV | int | None = None, common: int = 0) -> Tensor:
        """Add a row and return logits_V of what follows it; beside what is woven stand all media of the whole."""
        self._show(None, None)
        logits_V = super().begin(woven, source=source, common=common)
        media_BMLC, sees_BTM = self._media.media_BMLC, self._media.sees_BTM
        seen = None if media_BMLC is None or sees_BTM is None else media_BMLC[0, sees_BTM[0, -1].to(media_BMLC.device)]
        self._seen.append(None if seen is None or not len(seen) else seen.clone())
        return logits_V

    @torch.inference_mode()
    def step(self, ids: Sequence[int], nexts: Sequence[int], *, axes: int) -> Tensor:
        """Give every row one more token, and return logits_BV of what follows."""
        self._show(*_laid(self._seen))
        return super().step(ids, nexts, axes=axes)

    def leave(self, row: int) -> None:
        """Take a row out; the last one gets its number."""
        super().leave(row)
        last = self._seen.pop()
        if row < len(self._seen):
            self._seen[row] = last

    def clear(self) -> None:
        """Give all rows up."""
        super().clear()
        self._seen = []
        self._show(None, None)

    def _show(self, media_BMLC: Tensor | None, sees_BTM: Tensor | None) -> None:
        """Set what stands beside the pass that follows, from before."""
        self._media.media_BMLC, self._media.sees_BTM = media_BMLC, sees_BTM

    def _run(self, woven: Woven, mask_BT: Tensor) -> Tensor:
        with computing(self._model):
            return self._model.run(woven, mask=mask_BT, cache=self._media)[0]


def _laid(seen: Sequence[Tensor | None]) -> tuple[Tensor | None, Tensor | None]:
    """Return media_BMLC of all rows, and sees_BTM of the last token of each; nothing where no row sees any."""
    some = next((media_MLC for media_MLC in seen if media_MLC is not None), None)
    if some is None:
        return None, None
    counts = [0 if media_MLC is None else len(media_MLC) for media_MLC in seen]
    media_BMLC = some.new_zeros(len(seen), max(counts), *some.shape[1:])
    for row, media_MLC in enumerate(seen):
        if media_MLC is not None:
            media_BMLC[row, : len(media_MLC)] = media_MLC
    counts_B = torch.tensor(counts, device=some.device)
    sees_BM = torch.arange(max(counts), device=some.device) < counts_B[:, None]
    return media_BMLC, sees_BM[:, None]
