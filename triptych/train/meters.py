"""What is measured of a step, and the records of a run that is taken up again: one record a step, never two.

Units are in the names: ``loss_nats`` per supervised token, ``memory_gib`` resident (or reserved on the GPU).
"""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from triptych.core.files import read_json_lines, write_atomically
from triptych.core.records import Json

METRICS = "metrics.jsonl"
GIB = 1 << 30
STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What one optimizer step did and cost."""

    stage: str
    step: int
    """From 1: steps that are done."""
    total_steps: int
    epoch: int
    """From 0."""
    loss_nats: float
    """Mean over the step's supervised tokens, before the step's change."""
    gradient_norm: float
    """Over all parts, before clipping."""
    rates: Mapping[str, float]
    """Learning rate of each trained part."""
    tokens: int
    """Without padding."""
    trained_tokens: int
    images: int
    """Distinct ones."""
    packing_fill: float
    """Share of the step's packs that is no padding."""
    wall_s: float
    memory_gib: float

    def record(self) -> dict[str, Json]:
        """Return the line of metrics.jsonl."""
        return {
            "stage": self.stage,
            "step": self.step,
            "epoch": self.epoch,
            "loss_nats": self.loss_nats,
            "gradient_norm": self.gradient_norm,
            **{f"rate_{part}": rate for part, rate in self.rates.items()},
            "tokens": self.tokens,
            "trained_tokens": self.trained_tokens,
            "tokens_per_s": round(self.tokens / self.wall_s, 1),
            "images": self.images,
            "packing_fill": round(self.packing_fill, 4),
            "memory_gib": round(self.memory_gib, 3),
            "wall_s": round(self.wall_s, 4),
        }


def memory_gib(device: torch.device) -> float:
    """Return the memory that training holds now: of the GPU, else resident; without ``/proc``, the peak so far."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device) / GIB
    try:
        return int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / GIB
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIB  # bytes: only macOS comes here


def rewind_records(path: Path, stage: str, *, step: int, later: Collection[str] = ()) -> None:
    """Drop what a killed run wrote after its checkpoint: steps beyond ``step``, and all of the stages after it.

    A record without ``step`` is the stage's last word, so it goes as well. Records of others stay. The file is
    replaced as a whole.
    """
    if not path.exists():
        return
    records = list(read_json_lines(path))
    kept = [record for record in records if _stays(record, stage, step=step, later=later)]
    if len(kept) < len(records):
        lines = (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in kept)
        write_atomically(path, "".join(lines))


def _stays(record: Mapping[str, Json], stage: str, *, step: int, later: Collection[str]) -> bool:
    if record.get("stage") != stage:
        return record.get("stage") not in later
    done = record.get("step")
    return isinstance(done, int) and done <= step
