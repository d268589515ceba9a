"""The blocks of Flamingo against the published formulas, written out one word, one head and one medium at a time."""

from __future__ import annotations

from math import sqrt
from typing import TypeVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm

from triptych.core.errors import ModelError
from triptych.models.flamingo.blocks import GatedCrossAttention, PerceiverResampler
from triptych.models.flamingo.media import Mark, lay_out, media_of, sight

M = TypeVar("M", bound=nn.Module)

CHANNELS, HIDDEN, HEADS, HEAD_DIM, LATENTS = 12, 20, 2, 8, 3


def resampler(**known: int | None) -> PerceiverResampler:
    torch.manual_seed(0)
    known = {"max_frames": None, "max_media": None} | known
    made = PerceiverResampler(CHANNELS, depth=2, latents=LATENTS, heads=HEADS, head_dim=HEAD_DIM, times=4, **known)
    return unlike_new(made)


def gated(attention: float = 0.7, forward: float = -0.4) -> GatedCrossAttention:
    torch.manual_seed(1)
    made = unlike_new(GatedCrossAttention(HIDDEN, CHANNELS, heads=HEADS, head_dim=HEAD_DIM, times=4))
    with torch.no_grad():
        made.attn_gate.fill_(attention)
        made.ff_gate.fill_(forward)
    return made


def unlike_new(module: M) -> M:
    """Norms of ones and zeros would hide a norm left out."""
    with torch.no_grad():
        for each in module.modules():
            if isinstance(each, nn.LayerNorm):
                each.weight.uniform_(0.5, 1.5)
                each.bias.uniform_(-0.5, 0.5)
    return module


def published_attention(asking: Tensor, seen: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Each row of ``asking`` attends to all rows of ``seen``, head by head."""
    keys_and_values = seen @ weights["to_kv.weight"].T
    inner = HEADS * HEAD_DIM
    keys, values = keys_and_values[:, :inner], keys_and_values[:, inner:]
    out = []
    for row in asking @ weights["to_q.weight"].T:
        found = []
        for head in range(HEADS):
            here = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
            scores = torch.stack([(row[here] * key[here]).sum() / sqrt(HEAD_DIM) for key in keys])
            shares = scores.exp() / scores.exp().sum()
            found.append(sum(share * value[here] for share, value in zip(shares, values, strict=True)))
        out.append(torch.cat(found) @ weights["to_out.weight"].T)
    return torch.stack(out)


def normed(values: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    return layer_norm(values, values.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])


def published_feed_forward(values: Tensor, weights: dict[str, Tensor]) -> Tensor:
    up = normed(values, weights, "feed_forward.0") @ weights["feed_forward.1.weight"].T
    return gelu(up) @ weights["feed_forward.3.weight"].T


def published_resampler(features_FPC: Tensor, weights: dict[str, Tensor], *, number: int) -> Tensor:
    frames = []
    for at, frame in enumerate(features_FPC):
        frame = frame + weights["frame_embs"][at] if "frame_embs" in weights else frame
        frames.append(frame + weights["media_time_embs"][number] if "media_time_embs" in weights else frame)
    seen, latents = torch.cat(frames), weights["latents"]
    for depth in range(2):
        own = {name.removeprefix(f"layers.{depth}."): weight for name, weight in weights.items()}
        asking = normed(latents, own, "norm_latents")
        both = torch.cat([normed(seen, own, "norm_media"), asking])
        latents = latents + published_attention(asking, both, own)
        latents = latents + published_feed_forward(latents, own)
    return normed(latents, weights, "norm")


def published_gated(words: Tensor, media: list[Tensor], times: list[int], weights: dict[str, Tensor]) -> Tensor:
    """``times``: number of the medium that a word sees, from 1; 0: none."""
    own = {name.removeprefix("attn."): weight for name, weight in weights.items()}
    out = []
    for word, time in zip(words, times, strict=True):
        if time:
            asked = normed(word, own, "norm")[None]
            word = word + torch.tanh(weights["attn_gate"]) * published_attention(asked, media[time - 1], own)[0]
        out.append(word + torch.tanh(weights["ff_gate"]) * published_feed_forward(word, weights))
    return torch.stack(out)


@pytest.mark.parametrize("known", [{}, {"max_frames": 4}, {"max_media": 5}, {"max_frames": 4, "max_media": 5}])
@pytest.mark.parametrize("frames", [1, 3])
def test_the_resampler_is_the_published_formula(known: dict[str, int | None], frames: int) -> None:
    own = resampler(**known)
    features_NFPC = torch.randn(2, frames, 5, CHANNELS)
    found = own(features_NFPC, torch.tensor([3, 0]))
    weights = dict(own.state_dict())
    for latents, features_FPC, number in zip(found, features_NFPC, (3, 0), strict=True):
        assert torch.allclose(latents, published_resampler(features_FPC, weights, number=number), atol=1e-5)


def test_frames_differ_by_their_order_where_they_have_embeddings_and_not_elsewhere() -> None:
    features_NFPC, numbers = torch.randn(1, 3, 5, CHANNELS), torch.zeros(1, dtype=torch.int64)
    plain, knowing = resampler(), resampler(max_frames=3)
    assert torch.allclose(plain(features_NFPC, numbers), plain(features_NFPC.flip(1), numbers), atol=1e-5)
    assert not torch.allclose(knowing(features_NFPC, numbers), knowing(features_NFPC.flip(1), numbers), atol=1e-2)


def test_more_frames_or_media_than_are_known_are_refused() -> None:
    one = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ModelError, match="a medium of 3 frames: this model knows at most 2"):
        resampler(max_frames=2)(torch.randn(1, 3, 5, CHANNELS), one)
    with pytest.raises(ModelError, match="a conversation of 3 media: this model knows at most 2"):
        resampler(max_media=2)(torch.randn(1, 1, 5, CHANNELS), one + 2)


def test_gated_cross_attention_is_the_published_formula() -> None:
    own = gated()
    words_BTH, times = torch.randn(2, 6, HIDDEN), [[0, 0, 1, 1, 2, 3], [1, 1, 1, 2, 2, 2]]
    media = [[torch.randn(LATENTS, CHANNELS) for _ in range(3)], [torch.randn(LATENTS, CHANNELS) for _ in range(2)]]
    marks = [Mark(0, 2, 0), Mark(0, 4, 1), Mark(0, 5, 2), Mark(1, 0, 3), Mark(1, 3, 4)]
    placed = media_of(marks, torch.zeros(2, 6, dtype=torch.int64), join_adjacent=False)
    media_BMLC = lay_out(placed, [*media[0], *media[1]], rows=2)
    found = own(words_BTH, media_BMLC, sight(placed, (2, 6), immediate=True))
    weights = dict(own.state_dict())
    for row in (0, 1):
        wanted = published_gated(words_BTH[row], media[row], times[row], weights)
        assert torch.allclose(found[row], wanted, atol=1e-5)


def test_closed_gates_change_nothing_and_are_how_it_begins() -> None:
    words_BTH, media = torch.randn(1, 4, HIDDEN), torch.randn(1, 1, LATENTS, CHANNELS)
    sees = torch.ones(1, 4, 1, dtype=torch.bool)
    new = GatedCrossAttention(HIDDEN, CHANNELS, heads=HEADS, head_dim=HEAD_DIM, times=4)
    assert torch.equal(new(words_BTH, media, sees), words_BTH)
    assert not torch.allclose(gated()(words_BTH, media, sees), words_BTH, atol=1e-2)


def test_a_word_that_sees_nothing_gets_nothing_and_gives_no_gradient() -> None:
    own, words_BTH = gated(), torch.randn(1, 4, HIDDEN)
    media = torch.randn(1, 1, LATENTS, CHANNELS, requires_grad=True)
    blind = torch.zeros(1, 4, 1, dtype=torch.bool)
    assert torch.equal(own(words_BTH, media, blind), own(words_BTH, None, None))
    own(words_BTH, media, blind).sum().backward()
    assert media.grad is not None
    assert torch.equal(media.grad, torch.zeros_like(media))


@st.composite
def marked(draw: st.DrawFn) -> tuple[Tensor, list[Mark]]:
    """Rows of conversations, with padding on either side, and images at any of their places."""
    lengths = draw(st.lists(st.lists(st.integers(1, 6), max_size=3), min_size=1, max_size=3))
    width = max(1, *(sum(row) for row in lengths)) + draw(st.integers(0, 2))
    segments_BT = torch.full((len(lengths), width), -1)
    marks = []
    for row, each in enumerate(lengths):
        before = draw(st.integers(0, width - sum(each)))
        numbers = [number for number, length in enumerate(each) for _ in range(length)]
        segments_BT[row, before : before + len(numbers)] = torch.tensor(numbers, dtype=torch.int64)
        for column in sorted(draw(st.sets(st.integers(0, max(0, len(numbers) - 1)), max_size=4)) if numbers else ()):
            marks.append(Mark(row, before + column, len(marks)))
    return segments_BT, marks


@settings(max_examples=200, deadline=None)
@given(marked(), st.booleans(), st.booleans())
def test_a_word_sees_the_media_before_it_in_its_own_conversation(
    drawn: tuple[Tensor, list[Mark]], immediate: bool, join_adjacent: bool
) -> None:
    segments_BT, marks = drawn
    media = media_of(marks, segments_BT, join_adjacent=join_adjacent)
    assert [image for medium in media for image in medium.images] == [mark.image for mark in marks]
    assert join_adjacent or all(len(medium.images) == 1 for medium in media)
    sees_BTM = sight(media, (segments_BT.shape[0], segments_BT.shape[1]), immediate=immediate)
    at = {(mark.row, mark.column): mark.image for mark in marks}
    medium_of = {image: number for number, medium in enumerate(media) for image in medium.images}
    for row, segments in enumerate(segments_BT.tolist()):
        own = [medium for medium in media if medium.row == row]
        for column, segment in enumerate(segments):
            before = [
                medium_of[at[row, there]]
                for there in range(column + 1)
                if (row, there) in at and segments[there] == segment and segment != -1
            ]
            wanted = {media[number].start for number in (before[-1:] if immediate else before)}
            assert {own[place].start for place in sees_BTM[row, column].nonzero()[:, 0].tolist()} == wanted


@settings(max_examples=50, deadline=None)
@given(marked())
def test_media_are_numbered_within_their_conversation(drawn: tuple[Tensor, list[Mark]]) -> None:
    segments_BT, marks = drawn
    counted: dict[tuple[int, int], int] = {}
    for medium in media_of(marks, segments_BT, join_adjacent=False):
        where = (medium.row, int(segments_BT[medium.row, medium.start]))
        assert medium.number == counted.get(where, 0)
        counted[where] = medium.number + 1
