"""What the process's allocators keep: large blocks that were given back, so that the next step reuses them.

A step on a CPU takes and gives back blocks of 10 to 100 MB. glibc asks the kernel for each anew, which clears every
page of it again (mallopt(3): ``M_MMAP_THRESHOLD``, ``M_TRIM_THRESHOLD``). It holds for a whole process, so commands
that train ask for it and no library does. Answering gains nothing by it. What it is worth: docs/speed.md.
"""

from __future__ import annotations

import ctypes
import os
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Names of glibc's settings (malloc.h)."""
KEPT_BYTES = 1 << 30
"""Blocks up to this size come from the heap, and so much of its free end is kept."""
GPU, GPU_TOO = "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"
"""Variables that torch reads when a GPU is first used; the second is the newer name."""
OWN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES", "LD_PRELOAD")
"""Variables by which somebody has chosen already."""


def keep_large_blocks() -> bool:
    """Let the allocator keep large blocks; return whether it does: with glibc, where nobody has chosen."""
    if not sys.platform.startswith("linux") or any(os.environ.get(name) for name in OWN):
        return False
    try:
        set_one = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    set_one.argtypes, set_one.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    # Where the first is refused (older glibc takes 32 MiB at most), the second alone would do harm: it ends glibc's own
    # adjustment of the first.
    return bool(set_one(MMAP_THRESHOLD, KEPT_BYTES) and set_one(TRIM_THRESHOLD, KEPT_BYTES))


def let_gpu_blocks_grow() -> None:
    """Let torch's blocks on a GPU grow in place, where nobody has chosen; before a GPU is first used.

    Packs differ in length: blocks of fixed sizes fit the next step's tensors badly, and what is held unused grows.
    """
    if not any(os.environ.get(name) for name in (GPU, GPU_TOO)):
        os.environ[GPU] = "expandable_segments:True"
