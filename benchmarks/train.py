"""Speed of training, measured here and now against Hugging Face's Trainer and TRL's SFTTrainer: one JSON object.

    python benchmarks/train.py --peers DIR --out result.json             all sections; environments are made in DIR
    python benchmarks/train.py tune speed --peers DIR --out result.json  these; the file keeps its other sections
    python benchmarks/train.py memory encoders profile                   without peers

Rows: the Mantis chat examples (``--data FORMAT:PATH``, or a folder ``shared`` beside the repository or in
``TRIPTYCH_SHARED``); where nobody has them, conversations of the same lengths and numbers of images are drawn, and the
result says so. Sections: ``parity``, ``tune`` and ``speed`` are in ``train_speed.py``, ``memory``, ``encoders`` and
``profile`` in ``train_parts.py``. Not a test: nothing fails for being slow.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from train_models import MODELS, make_model
from train_parts import encoders, memory, profile
from train_setup import (
    draw_rows,
    peers_python,
    read_rows,
    row_lengths,
    shared_rows,
    versions,
    write_rows,
)
from train_speed import PEERS, Case, parity, speed, tune

from triptych.core.errors import TriptychError
from triptych.core.records import images_of

SECTIONS = ("parity", "tune", "speed", "memory", "encoders", "profile")
SHOWN = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "pillow")


def machine() -> dict[str, str | int | float]:
    """Return where the numbers come from."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else "",
        "cores_count": os.cpu_count() or 1,
        "load_1_min": round(os.getloadavg()[0], 2),
        "date": datetime.now(UTC).date().isoformat(),
    }


def prepare(said: argparse.Namespace, folder: Path) -> tuple[Case, dict[str, object]]:
    """Return what all trainers are given, and a description of it."""
    cache = said.cache or folder
    cache.mkdir(parents=True, exist_ok=True)
    model, source = make_model(cache, said.model), shared_rows(said.data)
    rows = read_rows(source, said.rows) if source else draw_rows(folder / "drawn", said.rows)
    path = write_rows(rows, folder / "rows.jsonl")
    pythons = {"triptych": Path(sys.executable)}
    given = {"hf": said.hf_python, "trl": said.trl_python}
    for name in PEERS:
        if given[name] is not None or said.peers is not None:
            pythons[name] = given[name] or peers_python(said.peers, name)
    case = Case(
        folder=folder,
        model=model,
        rows=path,
        lengths=row_lengths(path, model),
        pythons=pythons,
        threads=said.threads,
        precision=said.precision,
        step_rows=said.step_rows,
        tower=MODELS[said.model].tower,
        rank=said.rank,
        projector_only=said.projector_only,
    )
    language = "language model by LoRA on all its linear layers" if said.rank else "language model in full"
    trained = "projector alone, as in stage 1" if said.projector_only else f"projector in full, {language}"
    about = {
        "rows": source
        if said.data
        else "Mantis chat examples"
        if source
        else "drawn, of the Mantis chat examples' lengths",
        "rows_count": len(rows),
        "images_count": sum(len(images_of(row)) for row in rows),
        "tokens": sum(tokens for tokens, _ in case.lengths),
        "supervised_tokens": sum(trained for _, trained in case.lengths),
        "model": f"{MODELS[said.model].about}, {MODELS[said.model].tokens} tokens an image",
        "trained": f"{trained}, AdamW; the tower is frozen",
        "rank": said.rank,
        "precision": said.precision,
        "threads_count": said.threads,
        "step_rows": said.step_rows,
        "pack_tokens": case.pack_tokens,
        "versions": {
            "triptych": {name: version(name) for name in ("torch", "transformers")},
            **{way: shown(python) for way, python in pythons.items() if way != "triptych"},
        },
    }
    return case, about


def shown(python: Path) -> dict[str, str]:
    """Return the versions of a peer's environment that matter."""
    installed = versions(python)
    return {name: installed[name] for name in SHOWN if name in installed}


def measure(name: str, case: Case, said: argparse.Namespace) -> dict[str, object]:
    """Return the numbers of a section."""
    sections: Mapping[str, Callable[[], dict[str, object]]] = {
        "parity": lambda: parity(case),
        "tune": lambda: tune(case),
        "speed": lambda: speed(case, rounds=said.rounds),
        "memory": lambda: memory(case.model, case.rows, case.lengths),
        "encoders": lambda: encoders(case.rows, case.folder / "encoders"),
        "profile": lambda: profile(case, steps=said.profile_steps),
    }
    return sections[name]()


def best_batches(said: argparse.Namespace, result: Mapping[str, object]) -> dict[str, int]:
    """Return the rows at once that each peer gets: what is asked for, else what ``tune`` found best, else 1."""
    tuned = result.get("tune")
    best = dict(tuned["best_batch"]) if isinstance(tuned, dict) else {}
    asked = {"hf": said.hf_batch, "trl": said.trl_batch}
    return best | {name: batch for name, batch in asked.items() if batch is not None}


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; none: all of them")
    parser.add_argument("--peers", type=Path, metavar="DIR", help="where the peers' environments are, or are made")
    parser.add_argument("--hf-python", type=Path, metavar="PATH", help="interpreter with transformers, instead")
    parser.add_argument("--trl-python", type=Path, metavar="PATH", help="interpreter with TRL, instead")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keeps the model; default: made anew each time")
    parser.add_argument("--data", metavar="FORMAT:PATH", help="conversations instead of the Mantis chat examples")
    parser.add_argument("--rows", type=int, default=100, help="conversations at most")
    parser.add_argument("--model", choices=tuple(MODELS), default="clip-b-32-256", help="what is trained")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of all trainers")
    parser.add_argument("--rank", type=int, default=0, help="of LoRA on the language model; 0: it moves in full")
    parser.add_argument("--projector-only", action="store_true", help="stage 1: the language model does not move")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of each trainer")
    parser.add_argument("--step-rows", type=int, default=4, help="conversations of an optimizer step")
    parser.add_argument("--rounds", type=int, default=5, help="measured steps of each trainer")
    parser.add_argument("--hf-batch", type=int, metavar="ROWS", help="instead of what tune found best")
    parser.add_argument("--trl-batch", type=int, metavar="ROWS", help="instead of what tune found best")
    parser.add_argument("--profile-steps", type=int, default=2, help="steps that are taken apart")
    parser.add_argument("--out", type=Path, help="a file for the JSON, instead of stdout")
    return parser


def main() -> None:
    """Measure what the command line asks for and write it as JSON."""
    parser = options()
    said = parser.parse_args()
    if said.rank and said.projector_only:
        parser.error("--rank is of LoRA on the language model, which --projector-only leaves as it is: give one")
    if unknown := sorted(set(said.sections) - set(SECTIONS)):
        parser.error(f"no section is called {unknown[0]!r}; there are: {', '.join(SECTIONS)}")
    result: dict[str, object] = {}
    if said.out is not None and said.out.is_file():
        result = json.loads(said.out.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="triptych-benchmark-") as temporary:
        try:
            case, about = prepare(said, Path(temporary))
            result |= {"machine": machine(), **about}
            for name in said.sections or SECTIONS:
                sys.stderr.write(f"{name}...\n")
                begin = time.perf_counter()
                numbers = measure(name, replace(case, best=best_batches(said, result)), said)
                result[name] = {**numbers, "section_s": round(time.perf_counter() - begin, 1)}
                write(result, said.out)
        except TriptychError as error:
            sys.stderr.write(f"skipped: {error}\n")
            sys.exit(3)
    if said.out is None:
        sys.stdout.write(json.dumps(result, indent=2) + "\n")


def write(result: Mapping[str, object], path: Path | None) -> None:
    """Write what there is so far."""
    if path is not None:
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
