"""Attention within the conversations of a pack: one after the other, or under one mask; the same numbers either way.

A mask over a whole pack computes what it then throws away, and keeps torch from its causal kernel. On a CPU each
conversation is attended by itself (``SEGMENTS``), which took two thirds of the time of a masked row of 512 tokens in
three conversations (SmolLM2's sizes, forward and backward, 2 cores). Elsewhere the mask is used.

Which networks can do so is not guessed from their names: ``agrees`` computes a small pack in both ways once.

Shapes: B rows, T tokens a row, H hidden size, A heads, D size of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import PreTrainedConfig
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from triptych.core.errors import ModelError
from triptych.data.batch import PADDING, block_mask

SEGMENTS = "triptych_segments"
"""Name of this attention among those of transformers."""
_UNKNOWN = ("softcap", "s_aux", "position_bias", "head_mask")
"""What some networks hand to their attention and this one does not compute."""
CLOSE = 1e-4
"""Largest difference of hidden states, relative to the largest of them, in float32."""


class Segment(NamedTuple):
    """Where a conversation stands: positions [start, stop) of a row."""

    row: int
    start: int
    stop: int


def segments_of(segments_BT: Tensor) -> tuple[Segment, ...]:
    """Return where each conversation of ``Batch.segments_BT`` stands; padding is in none."""
    found = []
    for row, numbers in enumerate(segments_BT.tolist()):
        start = 0
        for at in range(1, len(numbers) + 1):
            if at == len(numbers) or numbers[at] != numbers[start]:
                if numbers[start] != PADDING:
                    found.append(Segment(row, start, at))
                start = at
    return tuple(found)


def attend(
    module: nn.Module,
    query_BATD: Tensor,
    key_BATD: Tensor,
    value_BATD: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    segments: Sequence[Segment] | None = None,
    sliding_window: int | None = None,
    **rest: object,
) -> tuple[Tensor, None]:
    """Return attended_BTAD of each segment by itself, zero in padding: an attention function of transformers.

    Raises:
        ModelError: the network does not hand the segments on, or asks for what this attention does not compute.
    """
    strange = [name for name in _UNKNOWN if rest.get(name) is not None]
    if segments is None or attention_mask is not None or strange:
        raise ModelError(f"the network's attention asks for more than segments: {strange or 'no segments'}.")
    if sliding_window is not None and any(each.stop - each.start > sliding_window for each in segments):
        raise ModelError(f"a conversation is longer than the model's window, {sliding_window}.")
    rows: list[list[Tensor]] = [[] for _ in range(len(query_BATD))]
    ends = [0] * len(rows)
    for row, start, stop in segments:
        here = (slice(row, row + 1), slice(None), slice(start, stop))
        attended = scaled_dot_product_attention(
            query_BATD[here],
            key_BATD[here],
            value_BATD[here],
            dropout_p=dropout if module.training else 0.0,
            is_causal=True,
            scale=scaling,
            enable_gqa=query_BATD.shape[1] != key_BATD.shape[1],
        )
        rows[row].append(pad(attended, (0, 0, start - ends[row], 0)))
        ends[row] = stop
    width = query_BATD.shape[2]
    empty = query_BATD.new_zeros(1, query_BATD.shape[1], 0, value_BATD.shape[3])
    filled = [pad(torch.cat([empty, *row], dim=2), (0, 0, 0, width - end)) for row, end in zip(rows, ends, strict=True)]
    return torch.cat(filled).transpose(1, 2).contiguous(), None


def _no_mask(*_args: object, **_kwargs: object) -> None:
    """Make no mask: the segments say it."""


ALL_ATTENTION_FUNCTIONS.register(SEGMENTS, attend)
ALL_MASK_ATTENTION_FUNCTIONS.register(SEGMENTS, _no_mask)


@contextmanager
def attending_segments(text: PreTrainedConfig) -> Iterator[None]:
    """Let a language model attend by ``SEGMENTS`` while the block runs; it is handed ``segments``."""
    before = text._attn_implementation
    text._attn_implementation = SEGMENTS
    try:
        yield
    finally:
        text._attn_implementation = before


Body = Callable[..., Tensor]
"""(embeds_BTH, positions_BT, attention_mask, **more) -> hidden_BTH."""


@torch.no_grad()
def agrees(body: Body, text: PreTrainedConfig, *, like: Tensor) -> bool:
    """Return whether a network computes the same by segments as under the mask, on one small pack.

    Args:
        body: the language model without its head.
        text: its configuration.
        like: embeds_BTH whose hidden size, type and device the small pack takes.
    """
    segments_BT = torch.tensor([[0, 0, 0, 1, 1, PADDING], [0, 0, 1, 1, 1, 2]])
    positions_BT = torch.tensor([[0, 1, 2, 0, 1, 0], [0, 1, 0, 1, 2, 0]], device=like.device)
    generator = torch.Generator().manual_seed(0)
    embeds_BTH = torch.randn(2, 6, like.shape[-1], generator=generator).to(like)
    mask = block_mask(segments_BT).to(like.device)
    real_BT = (segments_BT != PADDING).to(like.device)
    try:
        with attending_segments(text):
            ours = body(embeds_BTH, positions_BT, None, segments=segments_of(segments_BT))[real_BT]
    except (ModelError, TypeError, ValueError, KeyError, RuntimeError):
        return False  # it does not take what it does not know: then the mask is right
    wanted = body(embeds_BTH, positions_BT, mask)[real_BT]
    return bool((ours - wanted).abs().max() <= CLOSE * wanted.abs().max())


class PackAttention:
    """How one language model attends within packs. State: whether it computes the same by segments, once known."""

    def __init__(self, body: nn.Module, text: PreTrainedConfig) -> None:
        """Take a language model without its head, and its configuration."""
        self._body = body
        self._text = text
        self._agrees: bool | None = None

    def hidden(self, embeds_BTH: Tensor, segments_BT: Tensor, positions_ABT: Tensor, **more: object) -> Tensor:
        """Return hidden_BTH: ``Model.hidden``, for any body of transformers.

        Args:
            embeds_BTH: of whole packs.
            segments_BT: number of each token's conversation, beyond which nobody looks.
            positions_ABT: int64; one axis, or as many as the body's rotary positions have.
            more: what else the body is given.

        Raises:
            ModelError: rows are longer than the model's window, which no mask here respects.
        """
        window = getattr(self._text, "sliding_window", None)
        if window is not None and embeds_BTH.shape[1] > window:
            raise ModelError(f"rows of {embeds_BTH.shape[1]} tokens are longer than the model's window, {window}.")
        positions = positions_ABT[0] if len(positions_ABT) == 1 else positions_ABT
        if self._by_segments(embeds_BTH):
            with attending_segments(self._text):
                return self._run(embeds_BTH, positions, None, segments=segments_of(segments_BT), **more)
        mask = block_mask(segments_BT).to(embeds_BTH.device)
        if self._text._attn_implementation == "eager":
            # There the mask is added to the scores instead of asked.
            lowest = torch.finfo(embeds_BTH.dtype).min
            mask = torch.zeros(mask.shape, dtype=embeds_BTH.dtype, device=mask.device).masked_fill(~mask, lowest)
        return self._run(embeds_BTH, positions, mask, **more)

    def _run(self, embeds_BTH: Tensor, positions: Tensor, attention_mask: Tensor | None, **more: object) -> Tensor:
        hidden_BTH: Tensor = self._body(
            inputs_embeds=embeds_BTH, attention_mask=attention_mask, position_ids=positions, use_cache=False, **more
        ).last_hidden_state
        return hidden_BTH

    def _by_segments(self, embeds_BTH: Tensor) -> bool:
        """Return whether conversations are attended one by one: on a CPU, where that computes the same."""
        if embeds_BTH.device.type != "cpu" or self._text._attn_implementation != "sdpa":
            return False
        if self._agrees is None:
            training = self._body.training
            self._body.eval()  # dropout would differ
            self._agrees = agrees(self._run, self._text, like=embeds_BTH)
            self._body.train(training)
        return self._agrees
