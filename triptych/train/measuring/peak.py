"""How many operations a second a device could do at most: what MFU is a share of.

Not what training reaches. A GPU's number is its maker's (``gpus.py``), known by the name that CUDA tells; a CPU's is
measured by multiplying two matrices for a moment, where the recipe asks for it.
"""

from __future__ import annotations

import re
import time

import torch

from triptych.train.forecast.gpus import GPUS

NAMES = (
    (r"\bA100\b", "a100-80g"),
    (r"\bH100 80GB HBM3\b", "h100-80g"),
    (r"\bH200\b(?! NVL)", "h200"),
    (r"\bB200\b", "b200"),
    (r"\bL40S\b", "l40s"),
    (r"\bL4\b", "l4"),
    (r"\bA10\b", "a10"),
    (r"\bRTX 4090\b(?! [DL])", "rtx4090"),
    (r"\bRTX 3090\b(?! (?:Ti|L))", "rtx3090"),
)
"""What CUDA calls a GPU, as a pattern, and its row of the table. Variants with other clocks are not it."""
SIDE = 1024
"""Rows and columns of the matrices that a CPU multiplies."""
MEASURED_S = 0.4


def peak_of(device: torch.device, *, precision: str, measure: bool) -> float | None:
    """Return operations a second of one device; None: nobody knows.

    Args:
        device: where training computes.
        precision: of the matrices: ``bfloat16``, or ``float32``, for which data sheets of GPUs tell no one number.
        measure: take under half a second to measure a CPU.
    """
    if device.type == "cuda":
        return gpu_peak(torch.cuda.get_device_name(device)) if precision == "bfloat16" else None
    return _measured(torch.bfloat16 if precision == "bfloat16" else torch.float32) if measure else None


def gpu_peak(name: str) -> float | None:
    """Return operations a second, in bfloat16, of the GPU that CUDA calls so; None: it is not in the table."""
    if "MIG" in name:  # a slice of one
        return None
    row = next((row for pattern, row in NAMES if re.search(pattern, name)), None)
    return None if row is None else GPUS[row].tflops * 1e12


def _measured(kind: torch.dtype) -> float:
    left, right = torch.ones(SIDE, SIDE, dtype=kind), torch.ones(SIDE, SIDE, dtype=kind)
    best_s, until = float("inf"), time.perf_counter() + MEASURED_S
    torch.mm(left, right)  # the first one makes room
    while time.perf_counter() < until:
        begin = time.perf_counter()
        torch.mm(left, right)
        best_s = min(best_s, time.perf_counter() - begin)
    return 2 * SIDE**3 / best_s
