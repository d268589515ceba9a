"""On a GPU that is pretended, packs go through the kernel for packs where it is right, and learn what a CPU learns."""

from __future__ import annotations

import pytest
import torch

from tests.apart import Apart
from tests.every import placed_packs
from tests.pack_kernel import FAULTS


@pytest.mark.parametrize("windowed", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_kernel_that_is_right_is_believed(windowed: bool, dtype: torch.dtype, apart: Apart) -> None:
    assert apart.run(placed_packs.believes, "", windowed=windowed, dtype=dtype)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_kernel_that_is_wrong_is_not_believed(fault: str, apart: Apart) -> None:
    assert not apart.run(placed_packs.believes, fault, windowed=True)


def test_a_kernel_that_refuses_is_not_used(apart: Apart) -> None:
    assert not apart.run(placed_packs.believes, "", size=6)
    assert not apart.run(placed_packs.believes, "", dtype=torch.float32)


@pytest.mark.parametrize("window", [None, 4])
def test_packs_learn_by_the_kernel_what_they_learn_on_a_cpu(window: int | None, apart: Apart) -> None:
    wanted, wanted_slopes, *_ = apart.run(placed_packs.learn, "cpu", window=window, bfloat16=False)
    found, slopes, calls, heard = apart.run(placed_packs.learn, "cuda", window=window, bfloat16=True)
    assert calls == ["forth"] * 2 + ["back in one order"] * 2, "one call a layer, however many conversations"
    assert (found - wanted).abs().mean() < 2e-2 * wanted.abs().mean()
    assert (slopes - wanted_slopes).abs().mean() < 4e-2 * wanted_slopes.abs().mean()
    assert heard == [], "no position is asked for"


def test_packs_learn_the_same_where_activations_are_computed_again(apart: Apart) -> None:
    wanted, wanted_slopes, *_ = apart.run(placed_packs.learn, "cuda", window=None, bfloat16=True)
    apart.run(placed_packs.believes, "")  # forgets what was tried: it is tried anew, inside of a layer
    found, slopes, calls, heard = apart.run(placed_packs.learn, "cuda", window=None, bfloat16=True, again=True)
    assert sorted(calls) == ["back in one order"] * 2 + ["forth"] * 4
    assert torch.equal(found, wanted)
    assert torch.equal(slopes, wanted_slopes)
    assert heard == []


@pytest.mark.parametrize(("size", "bfloat16"), [(8, False), (6, True)])
def test_without_the_kernel_conversations_go_one_by_one(size: int, bfloat16: bool, apart: Apart) -> None:
    wanted, wanted_slopes, *_ = apart.run(placed_packs.learn, "cpu", window=None, bfloat16=bfloat16, size=size)
    found, slopes, calls, heard = apart.run(placed_packs.learn, "cuda", window=None, bfloat16=bfloat16, size=size)
    assert calls == []
    near = 3e-2 if bfloat16 else 1e-5
    assert (found - wanted).abs().mean() < near * wanted.abs().mean()
    assert (slopes - wanted_slopes).abs().mean() < near * wanted_slopes.abs().mean()
    assert heard == []
