"""Kill a run again and again, at random moments, while its endpoint does its worst; tell whether anything was lost.

    python -m tests.generate.storm --kills 25 --items 300

Not a test itself (``test_killed``). The program is a process of its own, killed with SIGKILL; the endpoint is a real
HTTP server that refuses, fails, hangs up, stalls, sends broken JSON, cut bodies and cut texts, counts what it is asked
by content, and bills whatever it has worked on, also where nobody got to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.generate.runs import COUNTING, GATHERING, WONDERING
from tests.infer.endpoint import Said, completion, serving, trouble, words_of
from triptych.generate.pipeline import generate
from triptych.generate.recipe import load_recipe

ROOT = Path(__file__).parents[2]
STALL_S, TIMEOUT_S = 0.8, 0.4
WELL_AFTER = 2
"""Times that a question is asked after which its endpoint does no more harm."""


@dataclass
class Storm:
    """The endpoint's side of it. Its state is what it was asked, what it has billed, and whom it is to kill."""

    seed: int
    calm: bool = False
    billed: int = 0
    life: list[str] = field(default_factory=list)
    """Words of the requests since the program was last started."""
    child: subprocess.Popen[bytes] | None = None
    deadline: int | None = None
    """The program is killed when it has asked so much in this life."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reply(self, request: dict[str, Any], before: int) -> Said:
        """Answer, or do not."""
        words = words_of(request)
        with self.lock:
            self.life.append(words)
            if self.child is not None and self.deadline is not None and len(self.life) >= self.deadline:
                self.child.send_signal(signal.SIGKILL)
                self.child = None
        said = self._said(words, before)
        if said.status == 200:  # worked on, and so billed
            good = _good(words)
            usage = json.loads(good.body)["usage"]
            with self.lock:
                self.billed += usage["prompt_tokens"] + usage["completion_tokens"]
        return said

    def _said(self, words: str, before: int) -> Said:
        good = _good(words)
        random = Random(f"{self.seed}/{words}/{before}")
        if self.calm or before >= WELL_AFTER or random.random() < 0.5:
            return good
        return random.choice(
            [
                trouble(429, headers={"Retry-After": "0"}),
                trouble(500),
                Said(good.body, drop=True),
                Said(good.body, after_s=STALL_S),
                Said('{"choices": [{"message": {"cont'),
                Said(good.body, cut=25),
            ]
        )


@dataclass(frozen=True)
class Told:
    """How it went."""

    kills: int
    starts: int
    requests: int
    distinct: int
    asked_again_though_kept: tuple[str, ...]
    """Must be empty."""
    same_bytes: bool
    """Whether the export is that of a run that nobody killed."""
    same_refusals: bool
    billed: int
    booked: int
    overrun: tuple[str, ...]
    """Budgets that were overrun; must be empty."""
    ended: Counter[str]
    """Exit codes of the starts."""
    wall_s: float


def storm(folder: Path, *, kills: int, items: int, seed: int, budget_step: int | None = None) -> Told:
    """Kill a run so many times, let it end, and compare it with a calm one.

    Args:
        folder: for the runs.
        kills: how often.
        items: of the run.
        seed: of the moments and the troubles.
        budget_step: tokens by which the budget grows with each start; None: no budget.
    """
    begin, random, found = time.monotonic(), Random(seed), Storm(seed)
    distinct: set[str] = set()
    again: list[str] = []
    overrun: list[str] = []
    ended: Counter[str] = Counter()
    starts = killed = requests = 0
    with serving(found.reply) as endpoint:
        while True:
            final = killed >= kills
            budget = None if budget_step is None or final else budget_step * (starts + 1)
            file = _recipe(folder / "recipe.json", str(endpoint.address), items, budget)
            kept = kept_words(folder / "run")
            found.life, found.deadline = [], None if final else random.randrange(1, 3 + items // 4)
            starts += 1
            found.child = child = _start(file, folder / "run")
            _wait_or_kill(child, 120.0 if final else random.uniform(0.8, 3.0))
            found.child = None
            killed += child.returncode == -signal.SIGKILL
            requests += len(found.life)
            distinct |= set(found.life)
            again += [words for words in found.life if words in kept]
            if budget is not None and found.billed > budget:
                overrun.append(f"{found.billed} of {budget} tokens after start {starts}")
            ended[str(child.returncode)] += 1
            if final and child.returncode == 0 and not _failed(folder / "run"):
                break
            if starts > 3 * kills + 20:
                break
        billed, found.calm = found.billed, True
        generate(
            load_recipe(_recipe(folder / "recipe.json", str(endpoint.address), items, None)), folder=folder / "calm"
        )
    return Told(
        kills=killed,
        starts=starts,
        requests=requests,
        distinct=len(distinct),
        asked_again_though_kept=tuple(again),
        same_bytes=_bytes(folder, "run", "train.jsonl") == _bytes(folder, "calm", "train.jsonl"),
        same_refusals=_ids(folder / "run") == _ids(folder / "calm"),
        billed=billed,
        booked=json.loads((folder / "run" / "spend.json").read_text())["tokens"],
        overrun=tuple(overrun),
        ended=ended,
        wall_s=round(time.monotonic() - begin, 1),
    )


def kept_words(run: Path) -> set[str]:
    """Return what was asked of all replies on disk, which say it; a torn last line is none."""
    found = set()
    for path in (run / "replies").glob("*.jsonl"):
        for line in path.read_bytes().split(b"\n")[:-1]:
            record = json.loads(line)
            if "key" in record:
                found.add(record["reply"].removeprefix("you said ").partition(" and")[0])
    return found


def _good(words: str) -> Said:
    """Return the reply to a question: the same each time; every fifth one is cut, as where it grew too long."""
    number = int(words.split()[-1].rstrip("."))
    text = f"you said {words} and that is all"
    return completion(text[:-4] if number % 5 == 0 else text, ended="length" if number % 5 == 0 else "stop")


def _recipe(path: Path, model: str, items: int, budget: int | None) -> Path:
    teacher = {"model": model, "concurrency": 8, "timeout_s": TIMEOUT_S, "price_in": 1.0, "price_out": 4.0}
    tree = {
        "name": "storm",
        "teachers": {"writer": teacher},
        "budget": {} if budget is None else {"tokens": budget},
        "stages": [
            {"kind": COUNTING, "count": items},
            {"kind": WONDERING, "alike": 2},
            {"kind": WONDERING, "words": "And what of"},
            {"kind": GATHERING},
            {"kind": "export", "to": "messages:train.jsonl", "history": False},
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree))
    return path


def _start(file: Path, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "triptych", "generate", "run", str(file), "--run", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _wait_or_kill(child: subprocess.Popen[bytes], limit_s: float) -> None:
    try:
        child.wait(limit_s)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        child.wait(60)


def _failed(run: Path) -> int:
    """Return how many requests have failed, and wait for the next start."""
    return sum(json.loads(path.read_text())["failed"] for path in (run / "stages").glob("[0-9]*.json"))


def _bytes(folder: Path, run: str, name: str) -> bytes:
    return (folder / run / name).read_bytes()


def _ids(run: Path) -> list[tuple[str, str]]:
    lines = (run / "refusals.jsonl").read_text().splitlines()
    return [(record["item"]["id"], record["reason"]) for record in map(json.loads, lines)]


def main() -> None:
    """Do it, and print how it went as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget-step", type=int, default=None, help="tokens that the budget grows by with each start")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = storm(Path(folder), kills=said.kills, items=said.items, seed=said.seed, budget_step=said.budget_step)
    sys.stdout.write(json.dumps({**vars(told)}, indent=2) + "\n")


if __name__ == "__main__":
    main()
