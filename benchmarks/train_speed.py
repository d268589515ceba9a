"""Supervised tokens a second of Triptych's ``train``, Hugging Face's Trainer and TRL's SFTTrainer, in one run.

Three sections of ``train.py``: ``parity`` (do they learn the same thing?), ``tune`` (which batch size is each peer's
best?) and ``speed``. Each trainer is a process that does a step a turn (``train_turns.py``): same rows, same saved
folder, same optimizer and rates, same threads, same precision, about the same supervised tokens a step.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from train_turns import Run

PEERS = ("hf", "trl")
BATCHES = (1, 2, 4)
RATE = 2e-5
PARITY_STEPS = 3
MANY = 100_000
"""Steps that no run reaches: it is ended when it has been measured."""

Record = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Case:
    """What all trainers are given."""

    folder: Path
    """For what they write."""
    model: Path
    rows: Path
    lengths: Sequence[tuple[int, int]]
    """(tokens, supervised tokens) of each row."""
    pythons: Mapping[str, Path]
    """Trainer -> the interpreter of its environment."""
    threads: int
    precision: str
    step_rows: int
    """Conversations of an optimizer step; of Triptych, whose packs hold tokens, about as many."""
    tower: str = "vision_tower"
    """What the network calls the part that is frozen."""
    rank: int = 0
    """Of LoRA on the language model; 0: it moves in full."""
    projector_only: bool = False
    """Whether the projector moves alone: stage 1 of a LLaVA."""
    seed: int = 7
    workers: int = 0
    best: Mapping[str, int] = field(default_factory=dict)
    """Peer -> rows at once, where it is given."""

    @property
    def pack_tokens(self) -> int:
        """So many that two packs (of steps of one row, one) hold the rows of a step; at least the longest row."""
        longest = max(tokens for tokens, _ in self.lengths)
        return max(longest, round(self.step_rows / self.packs * self.row_tokens * 1.05))

    @property
    def packs(self) -> int:
        """Of a step."""
        return min(2, self.step_rows)

    @property
    def row_tokens(self) -> float:
        """Tokens of a row, on the average."""
        return sum(tokens for tokens, _ in self.lengths) / len(self.lengths)

    def start(self, way: str, stack: ExitStack, **settings: object) -> Run:
        """Start a trainer; it waits for its first turn."""
        name = f"{way}-{settings.get('batch', 0)}"
        told: dict[str, object] = {
            "way": way,
            "model": str(self.model),
            "rows": str(self.rows),
            "work": str(self.folder / name),
            "threads": self.threads,
            "precision": self.precision,
            "tower": self.tower,
            "rank": self.rank,
            "projector_only": self.projector_only,
            "device": "cpu",
            "seed": self.seed,
            "workers": self.workers,
            "rate": RATE,
            "steps": MANY,
            "step_rows": self.step_rows,
            "pack_tokens": self.pack_tokens,
            "step_tokens": self.packs * self.pack_tokens,
            **settings,
        }
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(told), encoding="utf-8")
        here = Path(__file__).resolve().parent
        script = here / ("train_triptych.py" if way == "triptych" else "train_peers.py")
        environment = {"OMP_NUM_THREADS": str(self.threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        if way == "triptych":
            environment["PYTHONPATH"] = str(here.parent)
        run = Run(
            [str(self.pythons[way]), str(script), str(path)], log=self.folder / f"{name}.log", environment=environment
        )
        stack.callback(run.end)
        return run


def step(run: Run) -> Record:
    """Let a trainer do a step; return what it did."""
    return {name: float(str(value)) for name, value in run.turn().items()}


def order_of(batch: int) -> str:
    """Return how a peer puts rows in order: by length where rows are padded to one another."""
    return "group_by_length" if batch > 1 else "random"


def parity(case: Case) -> dict[str, object]:
    """Train three steps on the same two rows: the first loss is that of equal weights, the next are of equal steps."""
    shortest = sorted(range(len(case.lengths)), key=lambda row: case.lengths[row][0])[:2]
    lines = case.rows.read_text(encoding="utf-8").splitlines(keepends=True)
    two = case.folder / "two.jsonl"
    two.write_text("".join(lines[row] for row in shortest), encoding="utf-8")
    lengths = [case.lengths[row] for row in shortest]
    pack_tokens = sum(tokens for tokens, _ in lengths)
    case = replace(case, rows=two, lengths=lengths)
    found: dict[str, object] = {"rows_count": 2, "supervised_tokens": sum(trained for _, trained in lengths)}
    first: dict[str, list[float]] = {}
    for way in case.pythons:
        with ExitStack() as stack:
            run = case.start(
                way, stack, batch=2, step_rows=2, order="random", pack_tokens=pack_tokens, step_tokens=pack_tokens
            )
            if way != "triptych":
                run.turn()
            records = [step(run) for _ in range(PARITY_STEPS)]
        first[way] = [record["loss_nats"] for record in records]
        found[f"{way}_loss_nats"] = [round(loss, 5) for loss in first[way]]
        found[f"{way}_supervised_tokens"] = int(records[0]["trained_tokens"])
        found[f"{way}_tokens"] = int(records[0]["tokens"])
    for way in first.keys() - {"triptych"}:
        apart = [abs(ours - theirs) for ours, theirs in zip(first["triptych"], first[way], strict=True)]
        found[f"{way}_largest_difference_nats"] = round(max(apart), 6)
    return found


def tune(case: Case, steps: int = 1) -> dict[str, object]:
    """Try each batch size of each peer for a step after one to warm up; the best is what ``speed`` gives it.

    One that ends before its time (so many rows at once do not fit the memory) is written down with what it said.

    Raises:
        RuntimeError: one row at once ends before its time.
    """
    found: dict[str, object] = {}
    best: dict[str, int] = {}
    for way in [way for way in PEERS if way in case.pythons]:
        rates: dict[int, float] = {}
        for batch in [batch for batch in BATCHES if batch <= case.step_rows]:
            try:
                with ExitStack() as stack:
                    run = case.start(way, stack, batch=batch, order=order_of(batch))
                    run.turn()
                    step(run)
                    records = [step(run) for _ in range(steps)]
            except RuntimeError as error:
                if not rates:
                    raise
                sys.stderr.write(f"  {way}, {batch} rows at once: {error}\n")
                found[f"{way}_batch_{batch}_ended"] = str(error)
                break
            rates[batch] = rate_of(records)
            sys.stderr.write(f"  {way}, {batch} rows at once: {rates[batch]:.1f} supervised tokens/s\n")
            found[f"{way}_batch_{batch}_supervised_tokens_per_s"] = round(rates[batch], 2)
            found[f"{way}_batch_{batch}_padding_share"] = round(padding_of(records), 4)
        best[way] = max(rates, key=lambda batch: rates[batch])
    return {**found, "best_batch": best}


def speed(case: Case, *, rounds: int) -> dict[str, object]:
    """Let all take turns, a step each, and return supervised tokens a second and the ratios."""
    records: dict[str, list[Record]] = {way: [] for way in case.pythons}
    with ExitStack() as stack:
        runs: dict[str, Run] = {}
        warm: dict[str, Record] = {}
        for way in case.pythons:
            batch = case.best.get(way, 1)
            runs[way] = case.start(way, stack, batch=batch, order=order_of(batch))
            if way != "triptych":
                runs[way].turn()
            warm[way] = step(runs[way])
        for number in range(rounds):
            for way, run in runs.items():
                records[way].append(step(run))
            told = ", ".join(f"{way} {rate_of(each[-1:]):.1f}" for way, each in records.items())
            sys.stderr.write(f"  round {number + 1} of {rounds}, supervised tokens/s: {told}\n")
    return {**numbers_of(case, records), **first_epoch(case, records, encode_s=warm["triptych"]["encode_s"])}


def numbers_of(case: Case, records: Mapping[str, Sequence[Record]]) -> dict[str, object]:
    """Return what was measured of each trainer, and how many times as fast Triptych is: medians of rounds."""
    found: dict[str, object] = {"rounds": len(records["triptych"])}
    for way, each in records.items():
        found |= {
            f"{way}_supervised_tokens_per_s": round(rate_of(each), 2),
            f"{way}_supervised_tokens_per_cpu_s": round(rate_of(each, per="cpu_s"), 2),
            f"{way}_step_s": round(median(record["wall_s"] for record in each), 2),
            f"{way}_supervised_tokens": int(sum(record["trained_tokens"] for record in each)),
            f"{way}_tokens": int(sum(record["tokens"] for record in each)),
            f"{way}_images": int(sum(record["images"] for record in each)),
            f"{way}_padding_share": round(padding_of(each), 4),
            f"{way}_loss_nats": [round(record["loss_nats"], 4) for record in each],
        }
        if way != "triptych":
            found[f"{way}_batch"] = case.best.get(way, 1)
            for per in ("wall_s", "cpu_s"):
                pairs = zip(records["triptych"], each, strict=True)
                ratios = [rate_of([ours], per=per) / rate_of([theirs], per=per) for ours, theirs in pairs]
                found[f"ratio_to_{way}_per_{per}"] = round(median(ratios), 3)
    return found


def first_epoch(case: Case, records: Mapping[str, Sequence[Record]], *, encode_s: float) -> dict[str, object]:
    """Return the same with the tower's one pass over all pictures counted in: it is due in the first epoch alone."""
    epoch_tokens = sum(trained for _, trained in case.lengths)
    ours = epoch_tokens / (epoch_tokens / rate_of(records["triptych"]) + encode_s)
    theirs = {way: rate_of(each) for way, each in records.items() if way != "triptych"}
    return {
        "epoch_supervised_tokens": epoch_tokens,
        "triptych_encode_s": round(encode_s, 2),
        "triptych_first_epoch_supervised_tokens_per_s": round(ours, 2),
        **{f"first_epoch_ratio_to_{way}": round(ours / rate, 3) for way, rate in theirs.items()},
    }


def rate_of(records: Sequence[Record], *, per: str = "wall_s") -> float:
    """Return supervised tokens a second."""
    return sum(record["trained_tokens"] for record in records) / sum(record[per] for record in records)


def padding_of(records: Sequence[Record]) -> float:
    """Return the share of positions that hold nothing."""
    return 1 - sum(record["tokens"] for record in records) / sum(record["positions"] for record in records)
