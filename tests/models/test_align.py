"""The closed-form map is the regression it claims to be, whatever the order and the chunks of the data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from triptych.core.errors import ModelError
from triptych.models.align import NormalEquations, fit, target_embedding
from triptych.models.families.tiny import tiny
from triptych.models.family import Model, Seen

IMAGES, POSITIONS, CHANNELS, HIDDEN = 60, 2, 5, 4


def shape_of(model: Model) -> tuple[int, int]:
    (seen,) = model.encode([model.pixels(Image.new("RGB", (30, 40)))])
    positions, channels = seen.values.shape
    return positions, channels


def project(model: Model, features_NPC: Tensor) -> Tensor:
    return torch.stack(model.project([Seen(features_PC, (30, 40)) for features_PC in features_NPC]))


def test_without_a_noticeable_penalty_it_is_least_squares() -> None:
    features, targets = _data()
    found = _solve([(features, targets)], ridge=1e-12)
    rows = features.flatten(0, 1).double().numpy()
    design = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    expected, *_ = np.linalg.lstsq(design, targets.repeat_interleave(POSITIONS, dim=0).double().numpy(), rcond=None)
    assert np.allclose(found.weight_CH.numpy(), expected[:-1], atol=1e-8)
    assert np.allclose(found.bias_H.numpy(), expected[-1], atol=1e-8)


def test_with_a_penalty_it_is_least_squares_with_rows_added_for_it() -> None:
    features, targets = _data()
    found = _solve([(features, targets)], ridge=0.3)
    rows = features.flatten(0, 1).double().numpy()
    wanted = targets.repeat_interleave(POSITIONS, dim=0).double().numpy()
    centred = rows - rows.mean(axis=0)
    penalty = 0.3 * (centred**2).sum(axis=0).mean()
    design = np.concatenate([centred, np.sqrt(penalty) * np.eye(CHANNELS)])
    expected, *_ = np.linalg.lstsq(
        design, np.concatenate([wanted - wanted.mean(axis=0), np.zeros((CHANNELS, HIDDEN))]), rcond=None
    )
    assert np.allclose(found.weight_CH.numpy(), expected, atol=1e-9)
    assert np.allclose(found.bias_H.numpy(), wanted.mean(axis=0) - rows.mean(axis=0) @ expected, atol=1e-9)


@settings(max_examples=20)
@given(order=st.permutations(range(IMAGES)), cuts=st.sets(st.integers(1, IMAGES - 1), max_size=6))
def test_order_and_chunks_do_not_matter(order: list[int], cuts: set[int]) -> None:
    features, targets = _data()
    whole = _solve([(features, targets)], ridge=0.01)
    parts = np.split(np.array(order), sorted(cuts))
    streamed = _solve([(features[part], targets[part]) for part in parts], ridge=0.01)
    assert torch.allclose(streamed.weight_CH, whole.weight_CH, atol=1e-10)
    assert torch.allclose(streamed.bias_H, whole.bias_H, atol=1e-10)


def test_the_penalty_means_the_same_for_louder_features_and_more_of_them() -> None:
    features, targets = _data()
    found = _solve([(features, targets)], ridge=0.1)
    louder = _solve([(features * 100, targets)], ridge=0.1)
    twice = _solve([(features, targets), (features, targets)], ridge=0.1)
    assert torch.allclose(louder.weight_CH * 100, found.weight_CH, atol=1e-9)
    assert torch.allclose(twice.weight_CH, found.weight_CH, atol=1e-9)


def test_a_large_common_offset_costs_no_accuracy() -> None:
    features, targets = _data()
    found, moved = _solve([(features, targets)], ridge=0.01), _solve([(features + 1000.0, targets)], ridge=0.01)
    assert torch.allclose(moved.weight_CH, found.weight_CH, atol=1e-3)


@pytest.mark.parametrize("tower", ["vit", "convolutional"])
def test_the_projector_becomes_the_map(tower: str) -> None:
    model = tiny(0, tower=tower)
    features, targets = torch.randn(90, *shape_of(model)), torch.randn(90, 48)
    found = fit(model, [(features[:50], targets[:50]), (features[50:], targets[50:])], ridge=0.01)
    with torch.no_grad():
        expected = features.double() @ found.weight_CH + found.bias_H
        assert torch.allclose(project(model, features).double(), expected, atol=1e-4)


def test_an_aligned_tower_can_name_what_it_sees() -> None:
    model = tiny(0)
    names = ["cat", "dog", "train", "apple", "violin", "house"]
    table = torch.stack([target_embedding(model, name) for name in names])
    random = torch.Generator().manual_seed(0)
    prototypes = torch.randn(len(names), *shape_of(model), generator=random)

    def see(times: int) -> tuple[Tensor, Tensor]:
        which = torch.arange(len(names)).repeat(times)
        noise = torch.randn(len(which), *shape_of(model), generator=random)
        return prototypes[which] + 0.3 * noise, which

    features, which = see(20)
    fit(model, [(features, table[which])], ridge=0.01)
    unseen, answers = see(5)
    with torch.no_grad():
        tokens_NKH = project(model, unseen)
    nearest = torch.cdist(tokens_NKH.flatten(0, 1), table).argmin(dim=-1).view(len(unseen), -1)
    assert (nearest == answers[:, None]).float().mean() > 0.95


def test_a_target_is_the_mean_embedding_of_the_words_after_a_space() -> None:
    model = tiny(0)
    ids = model.tokenizer(" cat", add_special_tokens=False)["input_ids"]
    assert len(ids) == 4
    expected = model.network.get_input_embeddings().weight[ids].mean(dim=0)
    assert torch.allclose(target_embedding(model, "cat"), expected)
    assert not target_embedding(model, "cat").requires_grad


def test_an_mlp_cannot_be_aligned_in_closed_form() -> None:
    model = tiny(0, projector="mlp")
    features, targets = torch.randn(90, *shape_of(model)), torch.randn(90, 48)
    with pytest.raises(ModelError, match="projector is an mlp"):
        fit(model, [(features, targets)], ridge=0.01)


@pytest.mark.parametrize(
    ("chunks", "ridge", "said"),
    [
        ([], 0.1, "nothing to align on"),
        ([(torch.ones(3, POSITIONS, CHANNELS), torch.ones(3, HIDDEN))], 0.1, "do not differ enough"),
        ([(torch.randn(9, POSITIONS, CHANNELS), torch.randn(9, HIDDEN))], 0.0, "ridge must be > 0, found 0.0"),
        ([(torch.randn(9, POSITIONS, CHANNELS + 1), torch.randn(9, HIDDEN))], 0.1, "do not fit equations of 5"),
        ([(torch.randn(9, POSITIONS, CHANNELS), torch.randn(8, HIDDEN))], 0.1, "do not fit equations"),
        ([(torch.full((9, POSITIONS, CHANNELS), torch.nan), torch.randn(9, HIDDEN))], 0.1, "not a finite number"),
    ],
)
def test_what_cannot_be_solved_is_refused(chunks: list[tuple[Tensor, Tensor]], ridge: float, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        _solve(chunks, ridge=ridge)


def test_a_caption_without_words_is_refused() -> None:
    with pytest.raises(ModelError, match="without words"):
        target_embedding(tiny(0), " ")


def _data() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(IMAGES, POSITIONS, CHANNELS, generator=random) + 2.0
    return features, features.mean(dim=1)[:, :HIDDEN] ** 2 + torch.randn(IMAGES, HIDDEN, generator=random)


def _solve(chunks: list[tuple[Tensor, Tensor]], *, ridge: float):
    equations = NormalEquations(CHANNELS, HIDDEN)
    for features, targets in chunks:
        equations.add(features, targets)
    return equations.solve(ridge)
