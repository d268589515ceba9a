"""Flamingo in training: where gradients come, activations that are computed again, adapters, the names of parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from tests.models.flamingos import batch_of, sample
from tests.models.pictures import ask, draw_pictures, logits_of, pixels_of
from triptych.core.errors import ModelError
from triptych.core.records import ImageRef
from triptych.models.adapters import AdapterPlan, adapter_state, add_adapter, merge
from triptych.models.families.flamingo import FlamingoModel
from triptych.models.flamingo.language import STACKS
from triptych.train.loss import supervised_loss


@pytest.fixture(scope="module", params=["llama", "mpt", "films"])
def model(request: pytest.FixtureRequest) -> FlamingoModel:
    return sample(request.param)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRef, ...]:
    return draw_pictures(tmp_path_factory.mktemp("pictures"), 4)


@pytest.fixture
def learning(pictures: tuple[ImageRef, ...]) -> Callable[[FlamingoModel], None]:
    """Add the gradients of a small pack."""

    def learn(model: FlamingoModel) -> None:
        rows = [
            [ask("a", "Is ", pictures[0], " like ", pictures[1], "?", reply="yes"), ask("b", "Two?", reply="four")],
            [ask("c", pictures[2], " What?", reply="a cat")],
        ]
        batch = batch_of(model, rows)
        hidden_BTH = model.hidden(model.weave(batch, model.encode(pixels_of(model, batch.images))))
        supervised_loss(model, hidden_BTH, labels_BT=batch.labels_BT, step_tokens=batch.trained_tokens).backward()

    return learn


@pytest.mark.parametrize("trained", ["vision", "projector", "language"])
def test_gradients_come_where_a_part_is_trained_and_nowhere_else(
    trained: str, learning: Callable[[FlamingoModel], None]
) -> None:
    model = sample("mpt")
    parts = model.parts()
    model.network.requires_grad_(False)
    parts[trained].requires_grad_(True)
    learning(model)
    given = {id(weight) for weight in model.network.parameters() if weight.grad is not None}
    assert given <= {id(weight) for weight in parts[trained].parameters()}
    assert len(given) >= 0.8 * len(list(parts[trained].parameters()))


@pytest.mark.parametrize("name", ["llama", "mpt"])
@pytest.mark.parametrize("outside", [False, True])
def test_layers_that_compute_their_activations_again_give_the_same_gradients(
    name: str, outside: bool, learning: Callable[[FlamingoModel], None]
) -> None:
    plain, again = sample(name), sample(name)
    for each in (plain, again):
        # Attention by segments is chosen while the forward pass runs; whoever computes again must choose it again.
        each.network.config.text_config._attn_implementation = "eager"
    if outside:
        for layer in again.body.get_submodule(STACKS[name]).children():
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    else:
        again.network.activation_checkpointing_enable()
    for each in (plain, again):
        each.network.train()
        learning(each)
    wanted = dict(plain.network.named_parameters())
    for own, weight in again.network.named_parameters():
        assert (weight.grad is None) == (wanted[own].grad is None), own
        assert weight.grad is None or torch.allclose(weight.grad, wanted[own].grad, atol=1e-6), own


def test_an_adapter_of_the_language_model_learns_and_merges(
    tmp_path: Path, pictures: tuple[ImageRef, ...], learning: Callable[[FlamingoModel], None]
) -> None:
    model = sample("mpt")
    model.network.requires_grad_(False)
    add_adapter(model, AdapterPlan(rank=2, alpha=4, targets=["Wqkv", "up_proj"], dropout=0.0, seed=0))
    with pytest.raises(ModelError, match="an adapter is not merged yet"):
        model.save(tmp_path / "early")
    learning(model)
    with torch.no_grad():
        for weight in adapter_state(model).values():
            assert weight.grad is not None
            weight.sub_(weight.grad, alpha=10.0)
    batch = batch_of(model, [[ask("a", "Is ", pictures[0], " old?", reply="yes")]])
    with torch.no_grad():
        adapted = logits_of(model, batch)
        assert not torch.allclose(adapted, logits_of(sample("mpt"), batch), atol=1e-2)
        assert torch.allclose(logits_of(sample_of(merge(model)), batch), adapted, atol=1e-4)
    model.save(tmp_path / "merged")


def sample_of(model: object) -> FlamingoModel:
    assert isinstance(model, FlamingoModel)
    return model


def test_language_has_the_names_of_the_language_model_it_was_made_from(model: FlamingoModel) -> None:
    language = model.parts()["language"]
    plain = type(model.network.lang_encoder)(model.network.config.text_config)
    assert set(language.state_dict()) == set(plain.state_dict())
