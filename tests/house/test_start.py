"""Help and ``import triptych`` are instant: they load neither torch nor transformers, and few modules in all.

Modules are counted, not seconds: ``benchmarks/start.py`` measures those.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MOST_MODULES = 550
"""A bare typer command with pydantic and rich loads about 350; torch alone brings over a thousand."""
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
import sys
sys.stderr.write(f"{len(sys.modules)} " + " ".join(name for name in %r if name in sys.modules))
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
def test_a_start_loads_few_modules_and_nothing_heavy(root: Path, program: str) -> None:
    modules, *heavy = loaded(program, root)
    assert heavy == []
    assert int(modules) < MOST_MODULES


def test_the_measure_of_a_start_would_notice_a_heavy_import(root: Path) -> None:
    assert loaded("import scipy", root)[1:] == ["scipy"]


def loaded(program: str, root: Path) -> list[str]:
    """Run a program in a process of its own; return how many modules it loaded, and the names of heavy ones."""
    command = [sys.executable, "-c", program + REPORT % (HEAVY,)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stderr.split()
