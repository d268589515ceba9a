"""Every family computes beside matrices in 16 bits what it computes beside whole ones, to the bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.models.pictures import ask, draw_pictures, encoded, pixels_of
from triptych.core import plugins
from triptych.core.records import ImageRef
from triptych.data.batch import Batch, collate
from triptych.models.adapters import AdapterPlan, adapter_state, add_adapter, merge
from triptych.models.family import Family, Model
from triptych.models.memory.half_precision import downcast_frozen, upcast_frozen
from triptych.train.loss import supervised_loss

FAMILIES = {name: plugins.find("family", name, expected=Family) for name in plugins.names("family")}
SAMPLES = {f"{family}-{name}": make for family, found in FAMILIES.items() for name, make in found.samples.items()}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRef, ...]:
    return draw_pictures(tmp_path_factory.mktemp("pictures"), 2)


@pytest.mark.parametrize("make", SAMPLES.values(), ids=list(SAMPLES))
@pytest.mark.parametrize(
    ("kind", "decomposed"),
    [(torch.bfloat16, False), (torch.float16, False), (torch.bfloat16, True)],
    ids=["bfloat16", "float16", "bfloat16 under DoRA"],
)
def test_frozen_matrices_kept_in_16_bits_compute_the_same_bits_and_come_back(
    make: Callable[[int], Model], pictures: tuple[ImageRef, ...], kind: torch.dtype, decomposed: bool
) -> None:
    asked = [ask("middle", "Is ", pictures[0], " older than ", pictures[1], " ?", reply="yes")]
    losses, gradients = [], []
    for small in (False, True):
        model = make(0)
        with torch.no_grad():
            for weight in model.network.parameters():
                weight.copy_(weight.to(kind))
        whole = {id(weight): weight.clone() for weight in model.network.parameters()}
        model.network.requires_grad_(False)
        add_adapter(
            model, AdapterPlan(rank=2, alpha=4, targets="all-linear", dropout=0.0, seed=1, decomposed=decomposed)
        )
        draws = torch.Generator().manual_seed(5)
        for weight in adapter_state(model).values():
            weight.data = torch.randn(weight.shape, generator=draws) * 0.1
        if small:
            bytes_before = sum(weight.nbytes for weight in model.network.parameters())
            saved = downcast_frozen(model.network, model.parts()["language"])
            assert 0 < saved == bytes_before - sum(weight.nbytes for weight in model.network.parameters())
        with torch.autocast("cpu", torch.bfloat16):
            loss = _loss(model, collate([[encoded(model, each) for each in asked]], pad_id=0))
        loss.backward()
        losses.append(loss.detach())
        gradients.append({name: weight.grad for name, weight in adapter_state(model).items()})
        if small:
            upcast_frozen(model.network)
            kept = [weight for weight in model.network.parameters() if id(weight) in whole]
            assert len(kept) == len(whole)
            assert all(torch.equal(weight, whole[id(weight)]) for weight in kept)
            assert {weight.dtype for weight in merge(model).network.parameters()} == {torch.float32}
    assert torch.equal(*losses)
    assert all(torch.equal(one, gradients[1][name]) for name, one in gradients[0].items() if one is not None)


def _loss(model: Model, batch: Batch) -> Tensor:
    features = model.encode(pixels_of(model, batch.images))
    hidden_BTH = model.hidden(model.weave(batch, features))
    return supervised_loss(model, hidden_BTH, labels_BT=batch.labels_BT, step_tokens=1)
