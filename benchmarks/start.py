"""How long a command takes to start, against a bare typer command with pydantic and rich. JSON.

    python benchmarks/start.py [--rounds 15] [--out FILE]

Each start is a process of its own; the programs take turns, so that what else the machine does falls on all of them.
Measured is the processor's time of the process from its first line to its last, in seconds, and how many modules it
had loaded. ``ratio`` is the median against the bare command's.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BARE = """
import sys
sys.argv = ["bare", "--help"]
import pydantic, rich.console, rich.progress, typer
app = typer.Typer()
app.command()(lambda: None)
ends(app)
"""
OURS = """
import sys
sys.argv = ["triptych", *{arguments!r}]
from triptych.cli.main import main
ends(main)
"""
AROUND = """
import sys, time
def ends(run):
    try:
        run()
    except SystemExit as left:
        assert left.code in (0, None), left.code
%s
sys.stderr.write(f"{time.process_time()} {len(sys.modules)}")
"""
PROGRAMS = {
    "bare typer": BARE,
    "import triptych": "import triptych",
    **{
        " ".join(["triptych", *arguments]): OURS.format(arguments=arguments)
        for arguments in (["--help"], ["train", "--help"], ["list"])
    },
}


def main() -> None:
    """Start every program in turns and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    spent_s: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    modules: dict[str, int] = {}
    for _ in range(asked.rounds):
        for name, program in PROGRAMS.items():
            seconds, modules[name] = start(program)
            spent_s[name].append(seconds)
    bare_s = statistics.median(spent_s["bare typer"])
    told = {
        "machine": {"processor": platform.machine(), "python": platform.python_version()},
        "rounds": asked.rounds,
        "starts": {
            name: {
                "median_s": round(statistics.median(spent_s[name]), 3),
                "ratio": round(statistics.median(spent_s[name]) / bare_s, 2),
                "modules": modules[name],
            }
            for name in PROGRAMS
        },
    }
    text = json.dumps(told, indent=2) + "\n"
    if asked.out is not None:
        asked.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def start(program: str) -> tuple[float, int]:
    """Run a program in a process of its own; return the processor's time in seconds and the count of its modules."""
    ran = subprocess.run([sys.executable, "-c", AROUND % program], cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, modules = ran.stderr.split()[-2:]
    return float(seconds), int(modules)


if __name__ == "__main__":
    main()
