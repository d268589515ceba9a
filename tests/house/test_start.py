"""Help and ``import triptych`` are instant: they load neither torch nor transformers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LONGEST_S = 0.5
HEAVY = ("torch", "transformers", "peft", "scipy", "matplotlib", "pyarrow")
HELP = """
import sys
sys.argv = ["triptych", *{arguments!r}]
from triptych.cli.main import main
try:
    main()
except SystemExit as left:
    assert left.code in (0, None), left.code
"""
REPORT = """
import sys, time
spent_s = time.process_time()
sys.stderr.write(f"{spent_s} " + " ".join(name for name in %r if name in sys.modules))
"""


@pytest.mark.parametrize(
    "program",
    [
        "import triptych",
        "import triptych; dir(triptych); triptych.Example; triptych.__version__",
        HELP.format(arguments=["--help"]),
        HELP.format(arguments=["data", "--help"]),
        HELP.format(arguments=["train", "--help"]),
        HELP.format(arguments=["list"]),
    ],
    ids=["import", "records", "help", "help of a group", "help of a command", "list"],
)
def test_a_start_takes_under_half_a_second_and_loads_nothing_heavy(root: Path, program: str) -> None:
    spent_s = []
    for _ in range(5):
        ran = subprocess.run(
            [sys.executable, "-c", program + REPORT % (HEAVY,)], cwd=root, capture_output=True, text=True, check=True
        )
        seconds, *heavy = ran.stderr.split()
        assert heavy == []
        spent_s.append(float(seconds))
    assert min(spent_s) < LONGEST_S, spent_s


def test_the_measure_of_a_start_would_notice_a_heavy_import(root: Path) -> None:
    program = "import scipy" + REPORT % (HEAVY,)
    ran = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stderr.split()[1:] == ["scipy"]
