"""Flamingo's own blocks: the perceiver resampler, and gated cross-attention between the layers of a language model.

Not the language model, nor who sees which medium (``media.py``). Names and formulas are those of the published
checkpoints. Source: Alayrac et al. 2022, arXiv:2204.14198, as OpenFlamingo and Otter compute it.
``tests/models/test_flamingo_blocks.py`` compares both blocks with the formulas written out, one word and one head at a
time. Beside Otter's own code (its last commit, with frame and media embeddings, several media a row) the largest
difference was 7e-7 of the resampler and 2e-7 of cross-attention, in float32.

Not as published, where a word may see all media before it (``only_attend_immediate_media: false``, which no released
model has): there words before the first medium got the mean of all that were still to come; here they see nothing.

Shapes: N media, F frames of a medium, P feature positions of a frame, C channels of the tower, L latents a medium,
B rows, T tokens a row, M media a row, H hidden size of the language model, A heads, D size of a head, E = A * D, S
positions of keys and values.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_layers import GradientCheckpointingLayer

from triptych.core.errors import ModelError
from triptych.models.memory.transfer import send


def feed_forward(size: int, times: int) -> nn.ModuleList:
    """Return norm, up, GELU, down; a list, as the published names number them."""
    inner = size * times
    up, down = nn.Linear(size, inner, bias=False), nn.Linear(inner, size, bias=False)
    return nn.ModuleList([nn.LayerNorm(size), up, nn.GELU(), down])


def _through(layers: nn.ModuleList, values: Tensor) -> Tensor:
    for layer in layers:
        values = layer(values)
    return values


def _heads(values_BTE: Tensor, heads: int) -> Tensor:
    """Return values_BATD of values_BT(A*D)."""
    rows, width, _ = values_BTE.shape
    return values_BTE.view(rows, width, heads, -1).transpose(1, 2)


class PerceiverBlock(nn.Module):
    """Latents that attend to a medium and to each other, then a feed-forward layer; both added to what was there."""

    def __init__(self, channels: int, *, heads: int, head_dim: int, times: int) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * head_dim
        self.norm_media = nn.LayerNorm(channels)
        self.norm_latents = nn.LayerNorm(channels)
        self.to_q = nn.Linear(channels, inner, bias=False)
        self.to_kv = nn.Linear(channels, inner * 2, bias=False)
        self.to_out = nn.Linear(inner, channels, bias=False)
        self.feed_forward = feed_forward(channels, times)

    def forward(self, features_NPC: Tensor, latents_NLC: Tensor) -> Tensor:
        """Return latents_NLC."""
        asked_NLC = self.norm_latents(latents_NLC)
        query = _heads(self.to_q(asked_NLC), self.heads)
        both_NSC = torch.cat([self.norm_media(features_NPC), asked_NLC], dim=1)
        key, value = (_heads(each, self.heads) for each in self.to_kv(both_NSC).chunk(2, dim=-1))
        found = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        latents_NLC = self.to_out(found) + latents_NLC
        return _through(self.feed_forward, latents_NLC) + latents_NLC


class PerceiverResampler(nn.Module):
    """Media of any number of frames and positions -> a fixed number of latents each."""

    def __init__(
        self,
        channels: int,
        *,
        depth: int,
        latents: int,
        heads: int,
        head_dim: int,
        times: int,
        max_frames: int | None,
        max_media: int | None,
    ) -> None:
        """Build it, its embeddings drawn from a normal distribution.

        Args:
            channels: C.
            depth: blocks.
            latents: L.
            heads: of each block.
            head_dim: of each head.
            times: inner size of feed-forward layers, in C.
            max_frames: embeddings for so many frames of a medium; None: for none.
            max_media: embeddings for so many media of a conversation; None: for none.
        """
        super().__init__()
        self.latents = nn.Parameter(torch.randn(latents, channels))
        self.frame_embs = None if max_frames is None else nn.Parameter(torch.randn(max_frames, channels))
        self.media_time_embs = None if max_media is None else nn.Parameter(torch.randn(max_media, 1, channels))
        self.layers = nn.ModuleList(
            PerceiverBlock(channels, heads=heads, head_dim=head_dim, times=times) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(channels)

    def forward(self, features_NFPC: Tensor, numbers_N: Tensor) -> Tensor:
        """Return latents_NLC.

        Args:
            features_NFPC: of media with the same number of frames.
            numbers_N: number of each medium in its conversation, from 0; of the host.

        Raises:
            ModelError: more frames or media than there are embeddings for.
        """
        features_NFPC = self._with_times(features_NFPC, numbers_N)
        latents_NLC = self.latents.expand(len(features_NFPC), -1, -1)
        for layer in self.layers:
            latents_NLC = layer(features_NFPC.flatten(1, 2), latents_NLC)
        normed_NLC: Tensor = self.norm(latents_NLC)
        return normed_NLC

    def _with_times(self, features_NFPC: Tensor, numbers_N: Tensor) -> Tensor:
        if self.frame_embs is not None:
            frames, most = features_NFPC.shape[1], len(self.frame_embs)
            if frames > most:
                raise ModelError(f"a medium of {frames} frames: this model knows at most {most}; take fewer frames.")
            features_NFPC = features_NFPC + self.frame_embs[:frames, None]
        if self.media_time_embs is not None:
            media, most = int(numbers_N.max()) + 1, len(self.media_time_embs)
            if media > most:
                raise ModelError(f"a conversation of {media} media: this model knows at most {most}; show fewer.")
            features_NFPC = features_NFPC + self.media_time_embs[send(numbers_N, features_NFPC.device)][:, None]
        return features_NFPC


class MaskedCrossAttention(nn.Module):
    """Words that attend to the latents of the media that they see."""

    def __init__(self, hidden_size: int, channels: int, *, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * head_dim
        self.norm = nn.LayerNorm(hidden_size)
        self.to_q = nn.Linear(hidden_size, inner, bias=False)
        self.to_kv = nn.Linear(channels, inner * 2, bias=False)
        self.to_out = nn.Linear(inner, hidden_size, bias=False)

    def forward(self, hidden_BTH: Tensor, media_BMLC: Tensor, sees_BTM: Tensor) -> Tensor:
        """Return what words found, [B, T, H]: zero where a word sees no medium."""
        query = _heads(self.to_q(self.norm(hidden_BTH)), self.heads)
        media_BSC = media_BMLC.flatten(1, 2).to(hidden_BTH.dtype)
        key, value = (_heads(each, self.heads) for each in self.to_kv(media_BSC).chunk(2, dim=-1))
        blind_BT1 = ~sees_BTM.any(dim=-1, keepdim=True)
        # A word that sees nothing is let see everything, so that its softmax is defined, and then finds nothing.
        mask = (sees_BTM | blind_BT1).repeat_interleave(media_BMLC.shape[2], dim=2)[:, None]
        found = scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)
        words_BTH: Tensor = self.to_out(found.masked_fill(blind_BT1, 0.0))
        return words_BTH


class GatedCrossAttention(GradientCheckpointingLayer):
    """Cross-attention and a feed-forward layer, each behind a gate that is closed at first."""

    def __init__(self, hidden_size: int, channels: int, *, heads: int, head_dim: int, times: int) -> None:
        super().__init__()
        self.attn = MaskedCrossAttention(hidden_size, channels, heads=heads, head_dim=head_dim)
        self.attn_gate = nn.Parameter(torch.zeros(1))
        self.feed_forward = feed_forward(hidden_size, times)
        self.ff_gate = nn.Parameter(torch.zeros(1))

    def forward(self, hidden_BTH: Tensor, media_BMLC: Tensor | None, sees_BTM: Tensor | None) -> Tensor:
        """Return hidden_BTH.

        Args:
            hidden_BTH: before the language model's next layer.
            media_BMLC: latents of each row's media, filled up where a row has fewer; None: no row has any.
            sees_BTM: bool, which media a word sees.
        """
        if media_BMLC is not None:
            assert sees_BTM is not None
            hidden_BTH = self.attn(hidden_BTH, media_BMLC, sees_BTM) * self.attn_gate.tanh() + hidden_BTH
        return _through(self.feed_forward, hidden_BTH) * self.ff_gate.tanh() + hidden_BTH
