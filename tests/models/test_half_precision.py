"""What would lose a bit in 16 bits, is shared or moves, stays as it is."""

from __future__ import annotations

import torch
from torch import nn

from triptych.models.memory.half_precision import downcast_frozen, upcast_frozen


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(8, 4)
        self.inside = nn.Linear(4, 4)
        self.head = nn.Linear(4, 8, bias=False)
        self.head.weight = self.table.weight
        self.requires_grad_(False)
        for weight in self.parameters():
            weight.data = weight.data.bfloat16().float()


def test_a_head_that_is_the_table_stays_whole() -> None:
    network = Tied()
    assert downcast_frozen(network, network) == 2 * (4 * 4 + 4)
    assert network.inside.weight.dtype == network.inside.bias.dtype == torch.bfloat16
    assert network.head.weight is network.table.weight
    assert network.table.weight.dtype == torch.float32


def test_one_value_that_would_be_rounded_keeps_its_matrix_whole() -> None:
    network = Tied()
    with torch.no_grad():
        network.inside.weight[0, 0] = 1 + 2**-20
    before = network.inside.weight.clone()
    downcast_frozen(network, network)
    assert network.inside.weight.dtype == torch.float32
    assert network.inside.bias.dtype == torch.bfloat16
    upcast_frozen(network)
    assert torch.equal(network.inside.weight, before)


def test_values_beyond_sixteen_bits_are_not_lost() -> None:
    network = Tied()
    with torch.no_grad():
        network.inside.weight[0] = torch.tensor([float("inf"), 1e38, -0.0, 2.0**-149])
    before = network.inside.weight.clone()
    downcast_frozen(network, network)
    upcast_frozen(network)
    assert torch.equal(network.inside.weight, before)
    assert torch.equal(network.inside.weight.signbit(), before.signbit())


def test_what_moves_stays_as_it_is() -> None:
    network = Tied()
    network.inside.weight.requires_grad_(True)
    assert downcast_frozen(network, network) == 0
    assert network.inside.bias.dtype == torch.float32
