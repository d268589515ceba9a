"""Layers in 4 bits give back all that the bits do not stand for: biases, and layers that have no place in them."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch
from torch import nn

from triptych.models.memory.quantise import dequantise, quantise, quantised, weight_of

pytest.importorskip("bitsandbytes", reason="an optional package: pip install bitsandbytes")


def network(*sizes: tuple[int, int]) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(*size) for size in sizes)).requires_grad_(False)


def test_a_layer_in_4_bits_is_the_layer_of_what_they_stand_for() -> None:
    net = network((64, 32), (32, 16))
    whole = net[0].get_parameter("weight").clone()
    assert quantise(net, net) == 2
    (_, first), _ = quantised(net)
    weight = weight_of(first)
    assert 0.05 < float((weight - whole).norm() / whole.norm()) < 0.12
    values = torch.randn(3, 5, 64, requires_grad=True)
    found = net(values)
    found.square().sum().backward()
    slope, values.grad = values.grad, None
    dequantise(net)
    assert not list(quantised(net))
    wanted = net(values)
    wanted.square().sum().backward()
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(slope, values.grad)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_a_bias_is_rounded_for_a_pass_under_autocast_and_not_for_good(kind: torch.dtype) -> None:
    net = network((16, 16))
    values, bias = torch.randn(2, 16), net[0].get_parameter("bias").clone()
    assert not torch.equal(bias.to(kind).float(), bias)
    quantise(net, net)
    before = net(values)
    with torch.autocast("cpu", kind):
        assert net(values).dtype == kind
    assert torch.equal(net(values), before)
    dequantise(net)
    assert torch.equal(net[0].get_parameter("bias"), bias)


def test_a_layer_whose_weights_fill_no_whole_words_stays_as_it_is() -> None:
    net = network((10, 13), (13, 8))
    assert quantise(net, net) == 1
    assert [name for name, _ in quantised(net)] == ["1"]
    assert torch.isfinite(net(torch.randn(2, 10))).all()


def test_a_layer_that_was_opened_in_4_bits_keeps_its_bias() -> None:
    layer = import_module("bitsandbytes.nn").Linear4bit(16, 8, quant_type="nf4")
    net = nn.Sequential(layer).to("cpu")
    bias = net[0].get_parameter("bias").detach().clone()
    dequantise(net)
    assert type(net[0]) is nn.Linear
    assert torch.equal(net[0].get_parameter("bias"), bias)
