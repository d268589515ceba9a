"""GPUs: how much memory they have and how many products a second, by their makers' data sheets.

Dense bfloat16 products with float32 sums on tensor cores, without sparsity; the clock is the sheet's boost clock.

Not measured here, and not copied off the sheets: the products were set down from memory and compared with public tables
that cite the sheets, which agree for all but the B200, for which none was found. Memory is what CUDA tells a program on
such cards, likewise from memory, to half a GiB; nvidia-smi shows up to that much more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Gpu:
    """One kind of GPU."""

    memory_gib: float
    tflops: float
    """10^12 operations a second in bfloat16."""
    sheet: str
    """The maker's document that gives ``tflops``."""


GPUS: Mapping[str, Gpu] = MappingProxyType(
    {
        "a100-40g": Gpu(39.6, 312, "NVIDIA A100 Tensor Core GPU data sheet"),
        "a100-80g": Gpu(79.3, 312, "NVIDIA A100 Tensor Core GPU data sheet"),
        "h100-80g": Gpu(79.1, 989, "NVIDIA H100 Tensor Core GPU data sheet, SXM"),
        "h200": Gpu(139.8, 989, "NVIDIA H200 Tensor Core GPU data sheet, SXM"),
        "b200": Gpu(178.0, 2250, "NVIDIA DGX B200 data sheet, an eighth of 18 PFLOPS"),
        "l40s": Gpu(44.4, 362, "NVIDIA L40S data sheet"),
        "l4": Gpu(22.0, 121, "NVIDIA L4 data sheet, half of the number with sparsity"),
        "a10": Gpu(22.0, 125, "NVIDIA A10 data sheet"),
        "rtx4090": Gpu(23.6, 165, "NVIDIA Ada GPU architecture white paper, GeForce RTX 4090"),
        "rtx3090": Gpu(23.7, 71, "NVIDIA Ampere GA102 architecture white paper, GeForce RTX 3090"),
    }
)
