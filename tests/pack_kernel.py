"""What a GPU's kernel for packs computes (torch's ``varlen_attn``), written out for a GPU that is pretended.

Not fast and not a kernel: the rules of one. It takes what FlashAttention takes and refuses what that refuses; a piece
that is longer than it is told is left unwritten. ``FAULTS`` are ways to be wrong, which must be noticed.

Shapes: T tokens of all pieces end to end, A heads, K heads of keys and values, D size of a head, N pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

FORTH, BACK = "torch_attn::_varlen_attn", "torch_attn::_varlen_attn_backward"
FAULTS = ("no edges", "not causal", "window too wide", "longest too short", "slopes of others")
_PLANTED: list[str] = []
_CALLS: list[str] = []


@contextmanager
def planted(fault: str) -> Iterator[None]:
    """Let the kernel be wrong while the block runs."""
    _PLANTED.append(fault)
    try:
        yield
    finally:
        _PLANTED.remove(fault)


@contextmanager
def counted() -> Iterator[list[str]]:
    """Yield each call while the block runs: forth, and back, in one order or in any."""
    _CALLS.clear()
    yield _CALLS


def forth(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Compute what the kernel computes: attended [T, A, D], and two tensors for the way back."""
    edges_N, _, longest, _, causal, scale, window, gqa, *unused = rest
    _CALLS.append("forth")
    if query.dtype not in (torch.float16, torch.bfloat16):
        raise RuntimeError("FlashAttention only support fp16 and bf16 data type")
    if query.shape[-1] % 8 or query.shape[-1] > 256:
        raise RuntimeError("FlashAttention forward only supports head dimension that is a multiple of 8, at most 256")
    if edges_N.dtype != torch.int32:
        raise RuntimeError("cu_seqlens_q must have dtype int32")
    assert not any(each is not None for each in unused)
    assert gqa == (query.shape[1] != key.shape[1])
    assert causal == (list(window) == [-1, 0])
    attended = _attend(query.float(), key.float(), value.float(), edges_N.tolist(), longest, scale, window[0])
    sums = torch.zeros(query.shape[1], query.shape[0])
    return attended.to(query.dtype), sums, torch.zeros(2, dtype=torch.uint64)


def back(slopes: Tensor, query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the slopes of queries, keys and values, by hand: there is no autograd below a kernel."""
    demanded = (
        torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()
    )
    _CALLS.append("back in one order" if demanded else "back in any order")
    _, _, edges_N, _, longest, _, _, _, scale, window = rest
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    found = [torch.zeros_like(each, dtype=torch.float32) for each in (query, key, value)]
    for here, chances_AQT, written_Q in _pieces(
        query.float(), key.float(), edges_N.tolist(), longest, scale, window[0]
    ):
        given = slopes[here].float() * written_Q[:, None, None]
        own, other = (_for_all_heads(each[here].float(), like=query) for each in (key, value))
        changes = torch.einsum("qad,tad->aqt", given, other)
        changes = chances_AQT * (changes - (changes * chances_AQT).sum(-1, keepdim=True)) * scale
        found[0][here] = torch.einsum("aqt,tad->qad", changes, own)
        found[1][here] = _by_shared(torch.einsum("aqt,qad->tad", changes, query[here].float()), like=key)
        found[2][here] = _by_shared(torch.einsum("aqt,qad->tad", chances_AQT, given), like=value)
    if "slopes of others" in _PLANTED:
        found[1] = found[1].roll(1, 0)
    return found[0].to(query.dtype), found[1].to(key.dtype), found[2].to(value.dtype)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, edges: Sequence[int], longest: int, scale: float | None, left: int
) -> Tensor:
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    attended = torch.zeros_like(query)
    for here, chances_AQT, written_Q in _pieces(query, key, edges, longest, scale, left):
        found = torch.einsum("aqt,tad->qad", chances_AQT, _for_all_heads(value[here], like=query))
        attended[here] = found * written_Q[:, None, None]
    return attended


def _pieces(
    query: Tensor, key: Tensor, edges: Sequence[int], longest: int, scale: float, left: int
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield where each piece is, how much each of its positions sees of each [A, Q, T], and which are written."""
    if "no edges" in _PLANTED:
        edges, longest = [edges[0], edges[-1]], edges[-1]
    longest -= 3 * ("longest too short" in _PLANTED)
    for start, stop in pairwise(edges):
        here = slice(start, stop)
        scores_AQT = torch.einsum("qad,tad->aqt", query[here], _for_all_heads(key[here], like=query)) * scale
        seen_QT = torch.ones(scores_AQT.shape[1:], dtype=torch.bool)
        if "not causal" not in _PLANTED:
            seen_QT = seen_QT.tril()
        if left >= 0:
            seen_QT &= ~seen_QT.tril(-left - 1 - ("window too wide" in _PLANTED))
        yield here, scores_AQT.masked_fill(~seen_QT, -torch.inf).softmax(-1), torch.arange(stop - start) < longest


def _for_all_heads(shared_TKD: Tensor, *, like: Tensor) -> Tensor:
    return shared_TKD.repeat_interleave(like.shape[1] // shared_TKD.shape[1], 1)


def _by_shared(slopes_TAD: Tensor, *, like: Tensor) -> Tensor:
    return slopes_TAD.unflatten(1, (like.shape[1], -1)).sum(2)


KERNELS = {FORTH: forth, BACK: back}
