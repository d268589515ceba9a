"""The allocator keeps large blocks where it is told to, and is left alone where somebody has chosen for it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from tests.cli.conftest import ROOT
from triptych.core import allocators
from triptych.core.allocators import OWN

PROGRAM = """
import resource, sys
from triptych.core.allocators import keep_large_blocks

if sys.argv[1] == "kept" and not keep_large_blocks():
    sys.exit(print("refused"))
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(64 * 2**20)[:: resource.getpagesize()] = b"x" * (64 * 2**20 // resource.getpagesize())
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is a setting of glibc's")


def test_a_block_that_was_given_back_is_used_again() -> None:
    if (kept := said(PROGRAM, "kept")) == "refused":
        pytest.skip(f"glibc {platform.libc_ver()[1]} takes no threshold of this size")
    assert int(kept) < 1000
    assert int(said(PROGRAM, "left")) > 10_000, "the measure notices when it is not"


@pytest.mark.parametrize("variable", OWN)
def test_who_has_chosen_is_not_overruled(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    harmless = {"GLIBC_TUNABLES": "glibc.malloc.check=0", "LD_PRELOAD": " "}
    monkeypatch.setenv(variable, harmless.get(variable, "131072"))
    program = "from triptych.core.allocators import keep_large_blocks; print(keep_large_blocks())"
    assert said(program) == "False"


def said(program: str, *arguments: str) -> str:
    """Return what a process of its own prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("name", ["PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"])
def test_blocks_on_a_gpu_grow_where_nobody_has_chosen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in (allocators.GPU, allocators.GPU_TOO):
        monkeypatch.setenv(other, "")
    monkeypatch.setenv(name, "backend:native")
    allocators.let_gpu_blocks_grow()
    assert os.environ[name] == "backend:native"
    monkeypatch.setenv(name, "")
    allocators.let_gpu_blocks_grow()
    assert os.environ[allocators.GPU] == "expandable_segments:True"
