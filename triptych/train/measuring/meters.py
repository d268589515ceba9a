"""What is measured of a step, and the records of a run that is taken up again: one record a step, never two.

Units are in the names: ``loss_nats`` per supervised token (or class), ``loss_squared`` per target of a regression, in
squares of its unit, ``memory_gib`` resident (or reserved on the GPU).
"""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch

from triptych.core.files import read_json_lines, write_atomically
from triptych.core.machine import GIB
from triptych.core.records import Json
from triptych.data.plan.scoring import Loss

METRICS = "metrics.jsonl"
VALIDATIONS = "validation.jsonl"
"""Losses of rows that are not learnt, a record each time they were measured."""
STATM = Path("/proc/self/statm")


class Learnt(NamedTuple):
    """What a step learnt of one source."""

    loss: float
    """Mean over its supervised tokens or targets."""
    supervised: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What one optimizer step did and cost."""

    stage: str
    scores: Loss | None = None
    """What kind of loss a score head learns by; None: replies are learnt."""
    step: int
    """Steps that are done, from 1."""
    total_steps: int
    epoch: int
    """Epoch of the step, from 0."""
    loss: float
    """Mean over the step's supervised tokens or targets, before the step's change; in nats, with mse in squares."""
    gradient_norm: float
    """Over all parts, before clipping."""
    rates: Mapping[str, float]
    """Learning rate of each trained part."""
    tokens: int
    """Tokens of the step, without padding."""
    supervised: int
    """Trained tokens; with a score head, its targets."""
    images: int
    """Distinct images of the step."""
    packing_fill: float
    """Share of the step's packs that is no padding."""
    wall_s: float
    """Seconds of the step itself, its data at hand."""
    wait_s: float = 0.0
    """Seconds before it, waiting for its data: reading, rendering, decoding, where nothing is read ahead."""
    memory_gib: float
    mfu: float | None = None
    """Model operations a second over the devices' peak (``operations.py``); None: the peak is not known."""
    sources: Mapping[int, Learnt] = field(default_factory=dict)
    """Of a stage with several sources, those that the step learnt something of, by their number in the stage."""

    @property
    def loss_nats(self) -> float:
        """The loss, where it is in nats."""
        assert self.scores != "mse", "a mean squared error is not in nats"
        return self.loss

    @property
    def trained_tokens(self) -> int:
        """Supervised tokens."""
        return self.supervised if self.scores is None else 0

    @property
    def said_loss(self) -> str:
        """The loss with its unit, for people."""
        return say_loss(self.loss, self.scores)

    def told(self) -> str:
        """Return the step for people, in a line."""
        all_s = self.wall_s + self.wait_s
        said = [
            f"loss {self.said_loss}" if self.supervised else "nothing to learn from",
            f"{self.tokens / all_s:,.0f} tokens/s",
        ]
        if self.images:
            said.append(f"{self.images / all_s:.3g} images/s")
        if self.wait_s > all_s / 20:
            said.append(f"waiting for data {self.wait_s / all_s:.0%}")
        said += [f"{self.memory_gib:.2f} GiB"] + ([] if self.mfu is None else [f"MFU {self.mfu:.1%}"])
        return ", ".join([*said, f"epoch {self.epoch + 1}"])

    def record(self) -> dict[str, Json]:
        """Return the line of metrics.jsonl. A step whose rows could not be read has no loss."""
        supervised = "targets" if self.scores else "trained_tokens"
        loss = "loss_squared" if self.scores == "mse" else "loss_nats"
        return {
            "stage": self.stage,
            "step": self.step,
            "epoch": self.epoch,
            **({loss: self.loss} if self.supervised else {}),
            **({"sources": self._by_source(loss, supervised)} if self.sources else {}),
            "gradient_norm": self.gradient_norm,
            **{f"rate_{part}": rate for part, rate in self.rates.items()},
            "tokens": self.tokens,
            supervised: self.supervised,
            "tokens_per_s": round(self.tokens / self.wall_s, 1),
            f"{supervised}_per_s": round(self.supervised / self.wall_s, 1),
            "images": self.images,
            "images_per_s": round(self.images / self.wall_s, 2),
            "packing_fill": round(self.packing_fill, 4),
            "padding_share": round(1 - self.packing_fill, 4),
            **({} if self.mfu is None else {"mfu": round(self.mfu, 4)}),
            "memory_gib": round(self.memory_gib, 3),
            "wall_s": round(self.wall_s, 4),
            "wait_s": round(self.wait_s, 4),
        }

    def _by_source(self, loss: str, supervised: str) -> dict[str, Json]:
        return {str(number): {loss: each.loss, supervised: each.supervised} for number, each in self.sources.items()}


def say_loss(loss: float, scores: Loss | None) -> str:
    """Return a loss with its unit, for people; ``scores`` as in ``StepReport``."""
    units: dict[Loss | None, str] = {None: "nats a token", "mse": "squared"}
    return f"{loss:.3f} {units.get(scores, 'nats a target')}"


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
