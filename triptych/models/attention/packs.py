"""How a language model attends within packs: by segments, or under one mask; the same numbers either way.

A mask over a whole pack computes what it then throws away, and keeps torch from its causal kernels: by segments
(``segments.py``) a row of 512 tokens in three conversations took two thirds of the time (SmolLM2's sizes, forward and
backward, 2 CPU cores).

Which networks can do without the mask is not guessed from their names: ``agrees`` computes a small pack in both ways
once. Nor which of them keep conversations separate at all: ``leaks`` measures whether one conversation of a small pack
changes the other, ``strays`` whether it comes out as it does alone. What shows only where conversations are long, no
such trial can find (``lengths``).

Shapes: B rows, T tokens a row, A axes of positions, H hidden size.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from triptych.core.errors import ModelError
from triptych.data.batch import PADDING, block_mask
from triptych.models.attention.blocks import block_masks, near_mask, same_block
from triptych.models.attention.lengths import (
    CHUNKED,
    check_columns,
    check_lengths,
    check_table,
    chunk_of,
    forget_lengths,
    table_of,
)
from triptych.models.attention.segments import (
    KINDS,
    SEGMENTS,
    SLIDING,
    Segment,
    attending,
    segments_of,
    segments_on,
    try_kernel,
    window_of,
)
from triptych.models.memory.transfer import send

NOT_FINITE = "the language model answers a small trial with what is no number"
LEAK = 1e-6
"""Largest slope of a conversation in its neighbour's words, relative to that in its own."""
CLOSE = 1e-4
"""Largest difference of hidden states, relative to the largest of them, in float32."""
CLOSE_IN_16_BITS = 3e-2
"""Mean difference of hidden states, relative to their mean size, where something is computed in 16 bits."""
STRAY = 1e-3
"""Largest difference of a conversation's hidden states in a pack and alone, relative to the largest, in float32."""

Body = Callable[..., Tensor]
"""(embeds_BTH, positions_BT, attention_mask, **more) -> hidden_BTH."""


@torch.no_grad()
def agrees(body: Body, text: PreTrainedConfig, *, like: Tensor, exact: bool = True) -> bool:
    """Return whether a network computes the same by segments as under the mask, on one small pack.

    Args:
        body: the language model without its head.
        text: its configuration.
        like: embeds_BTH whose hidden size, type and device the small pack takes.
        exact: whether all is computed in float32.
    """
    if not set(getattr(text, "layer_types", None) or []) <= KINDS:
        return False  # what their layers do besides shows only where conversations are long
    segments_BT = torch.tensor([[0, 0, 0, 1, 1, PADDING], [0, 0, 1, 1, 1, 2]])
    positions_BT = torch.tensor([[0, 1, 2, 0, 1, 0], [0, 1, 0, 1, 2, 0]], device=like.device)
    generator = torch.Generator().manual_seed(0)
    embeds_BTH = torch.randn(2, 6, like.shape[-1], generator=generator).to(like)
    mask = block_mask(segments_BT).to(like.device)
    real_BT = (segments_BT != PADDING).to(like.device)
    windows: list[int | None] = []
    segments = replace(segments_on(segments_BT, like.device), windows=windows)
    try:
        with attending(text, SEGMENTS):
            ours = body(embeds_BTH, positions_BT, None, segments=segments)[real_BT]
    except (ModelError, TypeError, ValueError, KeyError, RuntimeError):
        return False  # it does not take what it does not know: then the mask is right
    if not _told(text, windows):
        return False
    wanted = body(embeds_BTH, positions_BT, mask)[real_BT]
    difference, size = (ours - wanted).abs().float(), wanted.abs().float()
    if exact:
        return bool(difference.max() <= CLOSE * size.max())
    return bool(difference.mean() <= CLOSE_IN_16_BITS * size.mean())


def _told(text: PreTrainedConfig, windows: list[int | None]) -> bool:
    """Tell whether as many layers said their window as look through one: of others only the mask knows of it."""
    told = [each for each in windows if each is not None]
    if (window := window_of(text)) is None:
        return not told
    layers = text.num_hidden_layers
    kinds = (getattr(text, "layer_types", None) or [SLIDING] * layers)[:layers]
    return told == [window] * kinds.count(SLIDING)


def leaks(hidden: Callable[[Tensor, Tensor, Tensor], Tensor], *, like: Tensor) -> str:
    """Return why a network's conversations would change their neighbours in a pack; empty: they do not.

    By slopes and not by differences: those of what is masked are 0, and experts that round otherwise have none.

    Args:
        hidden: (embeds_BTH, segments_BT, positions_BT) -> hidden_BTH.
        like: embeds_BTH whose hidden size, type and device the small pack takes.
    """
    try:
        with torch.inference_mode(False), torch.enable_grad():  # those who only ask have no slopes
            segments_BT = torch.tensor([[0, 0, 0, 1, 1]])
            positions_BT = torch.tensor([[0, 1, 2, 0, 1]], device=like.device)
            generator = torch.Generator().manual_seed(0)
            embeds_BTH = torch.randn(1, 5, like.shape[-1], generator=generator).to(like.device, like.dtype)
            second_TH = hidden(embeds_BTH.requires_grad_(), segments_BT, positions_BT)[0, 3:]
            (slopes_BTH,) = torch.autograd.grad(second_TH.float().square().sum(), embeds_BTH)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        return f"it takes no mask of packs ({str(error).splitlines()[0]})"
    if not (torch.isfinite(second_TH).all() and torch.isfinite(slopes_BTH).all()):
        return NOT_FINITE
    sizes_T = slopes_BTH[0].float().abs().mean(dim=-1)
    if sizes_T[:3].max() <= LEAK * sizes_T[3:].max():
        return ""
    return "its layers do more than attend, and carry one conversation into the next"


def strays(
    body: Body, hidden: Callable[[Tensor, Tensor, Tensor], Tensor], *, like: Tensor, exact: bool = True
) -> tuple[bool, bool]:
    """Return whether words of a conversation see those behind them, and whether it is another one in a pack than alone.

    Args:
        body: the language model without its head, whose own mask is asked for the first.
        hidden: (embeds_BTH, segments_BT, positions_BT) -> hidden_BTH, which can be given packs.
        like: embeds_BTH whose hidden size, type and device the small pack takes.
        exact: whether it can be given packs and all is computed in float32; else the second is not asked, as experts
            round otherwise.
    """
    segments_BT = torch.tensor([[0, 0, 0, 1, 1]])
    positions_BT = torch.tensor([[0, 1, 2, 0, 1]], device=like.device)
    generator = torch.Generator().manual_seed(0)
    embeds_BTH = torch.randn(1, 5, like.shape[-1], generator=generator).to(like.device, like.dtype)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            alone_BTH = embeds_BTH[:, 3:].clone().requires_grad_()
            own_TH = body(alone_BTH, positions_BT[:, 3:].clone(), None)[0]
            (slopes_BTH,) = torch.autograd.grad(own_TH[0].float().square().sum(), alone_BTH)
    except (TypeError, ValueError, KeyError, AttributeError):
        return False, False  # it is asked in another way than by words and places: nothing is known
    sizes_T = slopes_BTH[0].float().abs().mean(dim=-1)
    if sizes_T[1] > LEAK * sizes_T[0]:
        return True, False
    if not exact:
        return False, False
    with torch.no_grad():
        there_TH = hidden(embeds_BTH, segments_BT, positions_BT)[0, 3:]
    return False, bool((there_TH - own_TH).abs().max() > STRAY * own_TH.abs().max())


class PackAttention:
    """How one language model attends within packs. State: what it was found to be able to, once known."""

    def __init__(self, body: nn.Module, text: PreTrainedConfig) -> None:
        """Take a language model without its head, and its configuration."""
        self._body = body
        self._text = text
        self._agrees = False
        self._leak: str | None = None
        self._looks_ahead = False
        self._table = table_of(body, text)
        forget_lengths(body, text)

    def hidden(
        self,
        embeds_BTH: Tensor,
        segments_BT: Tensor,
        *,
        positions_ABT: Tensor,
        blocks_BT: Tensor | None = None,
        **more: object,
    ) -> Tensor:
        """Return hidden_BTH: ``Model.hidden``, for any body of transformers.

        Args:
            embeds_BTH: of whole packs.
            segments_BT: number of each token's conversation, beyond which nobody looks.
            positions_ABT: int64; one axis, or as many as the body's rotary positions have.
            blocks_BT: whose tokens see each other both ways (``blocks.py``), in the host's memory; None: no token
                sees one behind it.
            more: what else the body is given.

        Raises:
            ModelError: the body cannot keep conversations of these lengths separate, knows no positions so far, or has
                words see those behind them.
        """
        if self._leak is None:
            self._try_out(embeds_BTH)
        if self._looks_ahead:
            raise ModelError(
                f"a language model of type {self._text.model_type!r} as this one is set has words see those behind "
                "them: it is not one that speaks. Take a causal one (is_decoder, no use_bidirectional_attention)."
            )
        segments = segments_of(segments_BT)
        if self._leak and len(segments) > len({each.row for each in segments}):
            raise ModelError(
                f"a language model of type {self._text.model_type!r} cannot be given packs: {self._leak}. "
                "Take one that attends in all of its layers, and counts positions within each conversation."
            )
        check_table(self._table, segments)
        check_columns(self._text, segments, width=segments_BT.shape[1])
        check_lengths(self._text, segments, positions_ABT=positions_ABT)
        positions = positions_ABT[0] if len(positions_ABT) == 1 else positions_ABT
        return self._hidden(embeds_BTH, segments_BT, positions, blocks_BT=blocks_BT, **more)

    def _hidden(
        self,
        embeds_BTH: Tensor,
        segments_BT: Tensor,
        positions: Tensor,
        *,
        blocks_BT: Tensor | None = None,
        **more: object,
    ) -> Tensor:
        if self._agrees:
            try_kernel(self._text, embeds_BTH)
            with attending(self._text, SEGMENTS):
                segments = segments_on(segments_BT, embeds_BTH.device)
                if blocks_BT is not None:
                    windows = list({None, window_of(self._text)})
                    masks = block_masks(segments.each, blocks_BT, windows=windows, device=embeds_BTH.device)
                    segments = replace(segments, masks=masks)
                return self._run(embeds_BTH, positions, None, segments=segments, **more)
        return self._run(embeds_BTH, positions, self._masks(segments_BT, blocks_BT, like=embeds_BTH), **more)

    def _masks(self, segments_BT: Tensor, blocks_BT: Tensor | None, *, like: Tensor) -> Tensor | dict[str, Tensor]:
        """Return the mask of all layers, or that of each kind where some look through a window that matters."""
        whole = block_mask(segments_BT)
        if blocks_BT is not None:
            whole = whole | same_block(blocks_BT)[:, None]
        kinds = set(getattr(self._text, "layer_types", None) or [SLIDING])
        segments = segments_of(segments_BT)
        longest = max((each.stop - each.start for each in segments), default=0)
        limited = {}
        if (window := window_of(self._text)) is not None and longest > window:
            limited[SLIDING] = self._asked(whole & near_mask(segments_BT.shape[1], window), like=like)
        if (chunk := chunk_of(self._text)) is not None and longest > chunk:
            limited[CHUNKED] = self._asked(whole & chunk_mask(segments_BT, segments, chunk=chunk), like=like)
        if kinds == set(limited) and len(kinds) == 1:
            return limited[kinds.pop()]
        seen = self._asked(whole, like=like)
        return {kind: limited.get(kind, seen) for kind in sorted(kinds)} if limited else seen

    def _asked(self, mask: Tensor, *, like: Tensor) -> Tensor:
        mask = send(mask, like.device)
        if self._text._attn_implementation == "eager":
            # There the mask is added to the scores instead of asked.
            lowest = torch.finfo(like.dtype).min
            mask = torch.zeros(mask.shape, dtype=like.dtype, device=mask.device).masked_fill(~mask, lowest)
        return mask

    def _run(self, embeds_BTH: Tensor, positions: Tensor, attention_mask: object, **more: object) -> Tensor:
        hidden_BTH: Tensor = self._body(
            inputs_embeds=embeds_BTH, attention_mask=attention_mask, position_ids=positions, use_cache=False, **more
        ).last_hidden_state
        return hidden_BTH

    def _try_out(self, like: Tensor) -> None:
        """Find out whether conversations are attended without a mask, where that is the same; and kept apart."""
        # In the weights' own bits, else what is found would depend on what the model was asked first. Where some are in
        # 16 bits (``half_precision.py``), every pass is under autocast.
        whole = all(weight.dtype == torch.float32 for weight in self._body.parameters() if weight.is_floating_point())
        autocast = torch.autocast(like.device.type, enabled=False) if whole else nullcontext()
        with _as_written(), autocast, _without_dropout(self._body):
            if like.device.type in ("cpu", "cuda") and self._text._attn_implementation == "sdpa":
                self._agrees = agrees(self._run, self._text, like=like, exact=whole)
            self._leak = leaks(self._hidden, like=like)
            if self._leak == NOT_FINITE:
                self._leak = None  # what is mended is tried again
                raise ModelError(f"{NOT_FINITE}: {_damaged(self._body)}")
            packs = whole and not self._leak
            self._looks_ahead, stray = strays(self._run, self._hidden, like=like, exact=packs)
            self._leak = "a conversation behind another is not what it is alone" if stray else self._leak


@contextmanager
def _without_dropout(body: nn.Module) -> Iterator[None]:
    training = {module: module.training for module in body.modules()}
    body.eval()
    try:
        yield
    finally:
        for module, was in training.items():
            module.training = was


def _damaged(body: nn.Module) -> str:
    """Return what to do with a network whose small trial gave what is no number."""
    for name, weight in body.named_parameters():
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            return f"weight {name.replace('.base_layer.', '.')!r} is not finite. Get or make the model anew."
    return "its weights are all finite, but too large for what is computed of them."


def _as_written() -> AbstractContextManager[object]:
    """Let layers that are compiled compute as they are written: a small trial is not worth a compilation."""
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


def chunk_mask(segments_BT: Tensor, segments: Sequence[Segment], *, chunk: int) -> Tensor:
    """Return who is in whose chunk, bool [B, 1, T, T]; the chunks of each conversation begin with it."""
    chunks_BT = torch.zeros_like(segments_BT)
    for row, start, stop in segments:
        chunks_BT[row, start:stop] = torch.arange(stop - start) // chunk
    return (chunks_BT[:, :, None] == chunks_BT[:, None, :])[:, None]
