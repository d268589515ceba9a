"""Attention within the conversations of a pack, without a mask: by a kernel for packs, or one after the other.

Not when it is used (``packs.py``). On a GPU, in 16 bits, all conversations go through one kernel that knows where
each begins (torch's ``varlen_attn``, the FlashAttention that torch carries); it is believed once it has computed a
small pack as the other way does, gradients too. Everywhere else each conversation goes through torch's causal attention
by itself. Layers that look through a window do so within each conversation.

Shapes: B rows, T tokens a row, A heads, K heads of keys and values, D size of a head, N pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import PreTrainedConfig
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from triptych.core.errors import ModelError
from triptych.data.batch import PADDING
from triptych.models.memory.transfer import send

SEGMENTS = "triptych_segments"
"""Name of this attention among those of transformers."""
_UNKNOWN = ("softcap", "s_aux", "position_bias", "head_mask")
"""What some networks hand to their attention and this one does not compute."""
SLIDING = "sliding_attention"
"""What transformers calls a layer that looks through a window."""
KINDS = {SLIDING, "full_attention", "linear_attention", "conv", "moe", "hybrid"}
"""Kinds of layers that attend to all before them or through a window, or do not attend."""
NEAR = 3e-2
"""Largest difference of the kernel's numbers and slopes, relative to the largest of them; 16 bits round to 4e-3."""


class Segment(NamedTuple):
    """One conversation's positions [start, stop) in a row."""

    row: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """The conversations of packs, as attention is told of them."""

    each: tuple[Segment, ...]
    edges_N: Tensor | None = None
    """int32, on the device: where pieces of the rows laid end to end begin, and where the last ends. A run of padding
    is a piece. None: no kernel asks."""
    longest: int = 0
    """Tokens of the longest piece."""
    windows: list[int | None] | None = None
    """Filled during a trial: the sliding window that each layer asked for, in layer order. None: not recorded."""
    masks: Mapping[int | None, tuple[Tensor | None, ...]] | None = None
    """By window: who sees whom in each conversation, where some look ahead (``blocks.py``). None: nobody does."""


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


def segments_on(segments_BT: Tensor, device: torch.device) -> Segments:
    """Return the conversations of ``Batch.segments_BT`` for attention on a device."""
    each = segments_of(segments_BT)
    if device.type != "cuda":
        return Segments(each)
    rows, width = segments_BT.shape
    inner = {row * width + edge for row, *edges in each for edge in edges}
    edges = sorted(inner | {row * width for row in range(rows + 1)})
    longest = max(stop - start for start, stop in pairwise(edges))
    return Segments(each, send(torch.tensor(edges, dtype=torch.int32), device), longest)


def attend(
    module: nn.Module,
    query_BATD: Tensor,
    key_BKTD: Tensor,
    value_BKTD: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    segments: Segments | None = None,
    sliding_window: int | None = None,
    **rest: object,
) -> tuple[Tensor, None]:
    """Return attended_BTAD of each segment by itself: an attention function of transformers. Of padding: anything.

    Raises:
        ModelError: the network does not hand the segments on, or asks for what this attention does not compute.
    """
    strange = [name for name in _UNKNOWN if rest.get(name) is not None]
    if segments is None or attention_mask is not None or strange:
        raise ModelError(f"the network's attention asks for more than segments: {strange or 'no segments'}.")
    if segments.windows is not None:
        segments.windows.append(sliding_window)
    dropout = dropout if module.training else 0.0
    dtype = _computed_in(query_BATD)
    if (
        segments.edges_N is not None
        and segments.masks is None
        and not dropout
        and _has_kernel(query_BATD, key_BKTD, value_BKTD, dtype=dtype, window=sliding_window)
    ):
        query, key, value = query_BATD.to(dtype), key_BKTD.to(dtype), value_BKTD.to(dtype)
        return attend_packed(
            query, key, value_BKTD=value, segments=segments, scaling=scaling, window=sliding_window
        ), None
    one_by_one = segments.each
    return attend_each(
        query_BATD,
        key_BKTD,
        value_BKTD=value_BKTD,
        segments=one_by_one,
        scaling=scaling,
        window=sliding_window,
        dropout=dropout,
        masks=None if segments.masks is None else segments.masks[sliding_window],
    ), None


def attend_each(
    query_BATD: Tensor,
    key_BKTD: Tensor,
    *,
    value_BKTD: Tensor,
    segments: Sequence[Segment],
    scaling: float | None,
    window: int | None,
    dropout: float = 0.0,
    masks: Sequence[Tensor | None] | None = None,
) -> Tensor:
    """Return attended_BTAD, one conversation after the other; zero in padding."""
    rows: list[list[Tensor]] = [[] for _ in range(len(query_BATD))]
    ends = [0] * len(rows)
    for number, (row, start, stop) in enumerate(segments):
        here = (slice(row, row + 1), slice(None), slice(start, stop))
        mask = None if masks is None else masks[number]
        if masks is None and window is not None and stop - start > window:
            mask = send(window_mask(stop - start, window), query_BATD.device)
        key, value, times = key_BKTD[here], value_BKTD[here], query_BATD.shape[1] // key_BKTD.shape[1]
        if mask is not None and query_BATD.is_cuda and times > 1:
            # With a mask torch has no fused kernel there for shared heads: it would keep the scores of all of them.
            key, value, times = key.repeat_interleave(times, dim=1), value.repeat_interleave(times, dim=1), 1
        attended = scaled_dot_product_attention(
            query_BATD[here],
            key,
            value,
            attn_mask=mask,
            dropout_p=dropout,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=times > 1,
        )
        rows[row].append(pad(attended, (0, 0, start - ends[row], 0)))
        ends[row] = stop
    width = query_BATD.shape[2]
    empty = query_BATD.new_zeros(1, query_BATD.shape[1], 0, value_BKTD.shape[3])
    filled = [pad(torch.cat([empty, *row], dim=2), (0, 0, 0, width - end)) for row, end in zip(rows, ends, strict=True)]
    return torch.cat(filled).transpose(1, 2).contiguous()


def attend_packed(
    query_BATD: Tensor,
    key_BKTD: Tensor,
    *,
    value_BKTD: Tensor,
    segments: Segments,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    """Return attended_BTAD by torch's kernel for packs; each run of padding attends to itself."""
    from torch.nn.attention.varlen import varlen_attn

    assert segments.edges_N is not None
    rows, heads, width, _ = query_BATD.shape
    # The rows end to end: [B * T, heads, D].
    query, key, value = (each.transpose(1, 2).flatten(0, 1) for each in (query_BATD, key_BKTD, value_BKTD))
    attended = varlen_attn(
        query,
        key,
        value,
        cu_seq_q=segments.edges_N,
        cu_seq_k=segments.edges_N,
        max_q=segments.longest,
        max_k=segments.longest,
        scale=scaling,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=heads != key_BKTD.shape[1],
    )
    assert isinstance(attended, Tensor)
    if attended.grad_fn is not None and torch.is_deterministic_algorithms_warn_only_enabled():
        # Asked to warn only, its way back adds up in any order; it has an order, and takes it where one is demanded.
        attended.grad_fn.register_prehook(_demand_one_order)
        attended.grad_fn.register_hook(_ask_for_one_order)
    return attended.view(rows, width, heads, -1)


def _demand_one_order(*_slopes: object) -> None:
    torch._C._set_deterministic_algorithms(True, warn_only=False)


def _ask_for_one_order(*_slopes: object) -> None:
    torch._C._set_deterministic_algorithms(True, warn_only=True)


def _computed_in(query_BATD: Tensor) -> torch.dtype:
    """Return the type that torch's own attention would compute in: autocast does not know the kernel for packs."""
    kind = query_BATD.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else query_BATD.dtype


def _has_kernel(
    query_BATD: Tensor, key_BKTD: Tensor, value_BKTD: Tensor, *, dtype: torch.dtype, window: int | None
) -> bool:
    heads, shared, size, values = query_BATD.shape[1], key_BKTD.shape[1], query_BATD.shape[3], value_BKTD.shape[3]
    if dtype.itemsize != 2:
        return False
    other = None if values == size else values
    return kernel_agrees(
        query_BATD.device, dtype, heads=heads, shared=shared, size=size, windowed=window is not None, values=other
    )


def try_kernel(text: PreTrainedConfig, like: Tensor) -> None:
    """Try the kernel for a language model before its layers ask: inside of one a trial may be kept, or come twice.

    Args:
        text: its configuration.
        like: what it is given, under what it computes under.
    """
    heads, dtype = getattr(text, "num_attention_heads", None), _computed_in(like)
    if like.device.type != "cuda" or dtype.itemsize != 2 or not heads:
        return
    shared = getattr(text, "num_key_value_heads", None) or heads
    size, values = getattr(text, "head_dim", None) or text.hidden_size // heads, None
    if getattr(text, "qk_rope_head_dim", None):  # keys and values are unfolded from one latent, to widths of their own
        size, values = text.qk_nope_head_dim + text.qk_rope_head_dim, text.v_head_dim
    other = None if values == size else values
    for windowed in {False, window_of(text) is not None}:
        kernel_agrees(like.device, dtype, heads=heads, shared=shared, size=size, windowed=windowed, values=other)


@cache
def kernel_agrees(
    device: torch.device,
    dtype: torch.dtype,
    *,
    heads: int,
    shared: int,
    size: int,
    windowed: bool,
    values: int | None = None,
) -> bool:
    """Return whether torch's kernel for packs computes what it should, there and in these sizes: it is tried once.

    Args:
        device: with a kernel, or without.
        dtype: of queries, keys and values.
        heads: of queries.
        shared: heads of keys and values.
        size: of a head.
        windowed: also through a window.
        values: size of a head of values, where it is another.
    """
    draws = torch.Generator().manual_seed(0)
    segments_BT = torch.tensor([[0] * 5 + [1] * 9 + [PADDING] * 2, [0] + [1] * 15])
    segments = segments_on(segments_BT, device)
    real_BT = segments_BT != PADDING
    shapes = ((heads, size), (shared, size), (shared, values or size))
    drawn = [torch.randn(2, number, 16, wide, generator=draws) for number, wide in shapes]
    weights = torch.randn(2, 16, heads, values or size, generator=draws)
    window = 4 if windowed else None
    # The first to ask may be a layer whose activations are computed again: what is kept here is none of them.
    kept = torch.autograd.graph.saved_tensors_hooks(_as_it_is, _as_it_is)
    try:
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False), kept:
            given = [each.to(device, dtype).requires_grad_() for each in drawn]
            ours = attend_packed(
                given[0], given[1], value_BKTD=given[2], segments=segments, scaling=None, window=window
            ).cpu()[real_BT]
            ours.backward(weights[real_BT].to(dtype))
            wanted_by = [each.to(dtype).float().requires_grad_() for each in drawn]
            wanted = attend_each(
                wanted_by[0], wanted_by[1], value_BKTD=wanted_by[2], segments=segments.each, scaling=None, window=window
            )[real_BT]
            wanted.backward(weights[real_BT])
    except (ImportError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return False  # no such kernel on this device, in this torch, or for these sizes
    slopes = [(own.grad, other.grad) for own, other in zip(given, wanted_by, strict=True)]
    return all(one is not None and _near(one.cpu(), other) for one, other in [(ours, wanted), *slopes])


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


def _near(found: Tensor, wanted: Tensor | None) -> bool:
    assert wanted is not None
    return bool((found.detach().float() - wanted).abs().max() <= NEAR * wanted.abs().max())


def window_of(text: PreTrainedConfig) -> int | None:
    """Return through how many positions some layers look back, themselves included; None: all layers see all."""
    kinds = set(getattr(text, "layer_types", None) or [SLIDING])
    window: int | None = getattr(text, "sliding_window", None) if SLIDING in kinds else None
    return window


def window_mask(length: int, window: int | None) -> Tensor:
    """Return who may look at whom, bool [T, T]: each at itself and ``window - 1`` before it; None: at all before."""
    causal_TT = torch.ones(length, length, dtype=torch.bool).tril()
    return causal_TT if window is None else causal_TT & ~causal_TT.tril(-window)


# Among its masks transformers finds none of this name, and makes none: one that is made asks the device for positions.
ALL_ATTENTION_FUNCTIONS.register(SEGMENTS, attend)


@contextmanager
def attending(config: PreTrainedConfig, by: str) -> Iterator[None]:
    """Let the network of a configuration attend by a function that transformers knows by name, while the block runs."""
    before = config._attn_implementation
    config._attn_implementation = by
    try:
        yield
    finally:
        config._attn_implementation = before
