"""Otter beside the code of its papers' time (``otter_paper.json``, by ``make_otter_paper.py``): rows, labels, loss."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
import torch

from tests.released.flamingo_folders import (
    Said,
    batch_of,
    loss_of,
    otters,
    pixels,
    rows_of,
    same_logits,
    same_rows,
    write_rows,
)
from tests.released.making import made_of
from triptych.data.plan.rendering import tokens_of
from triptych.models.families.flamingo import FlamingoModel

SAID = made_of("otter_paper")
NETWORKS: dict[str, Said] = SAID["networks"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FlamingoModel]:
    return otters(tmp_path_factory.mktemp("otters"), SAID)


@pytest.fixture(scope="module")
def instructions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("rows") / "X", SAID)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", ["one", "rounds", "shown", "text"])
@torch.no_grad()
def test_rows_labels_and_loss(models: dict[str, FlamingoModel], instructions: Path, kind: str, name: str) -> None:
    """Rounds of a dialogue show its image once; what is shown in context has its own."""
    said = NETWORKS[kind]["trained"][name]
    rows = [tokens_of(row, models[kind].rendering) for row in rows_of(instructions, name)]
    same_rows(rows, said)
    for packed in (False, True):
        assert loss_of(models[kind], batch_of(rows, packed=packed)) == pytest.approx(said["loss"], abs=2e-5)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", SAID["groups"])
@torch.no_grad()
def test_loss_and_logits_of_a_released_batch(models: dict[str, FlamingoModel], kind: str, name: str) -> None:
    said, network = NETWORKS[kind]["trained"][name], models[kind].network
    ids_BT, mask_BT, labels_BT = (torch.tensor(said[key]) for key in ("ids", "mask", "labels"))
    rows, media, frames, *_ = said["shape"]
    names = [[*SAID["rows"][row][3], row] if media > 1 else [row] for row in SAID["groups"][name][1]]
    seen = pixels(models[kind], SAID, [*chain(*(SAID["rows"][row][2] for row in chain(*names)))])
    films = None if seen is None else seen.unflatten(0, (rows * media, frames))
    found = network(ids_BT, films, attention_mask=mask_BT, labels=labels_BT)
    assert found.loss.item() == pytest.approx(said["loss"], abs=2e-5)
    if said["logits"]:
        same_logits(found.logits, said["logits"], mask_BT)
