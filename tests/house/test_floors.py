"""A room imports only rooms below it. The contracts are in pyproject.toml; docs/house.md draws them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"


def test_the_floor_plan_holds(root: Path) -> None:
    verdict = _lint(root)
    assert verdict.returncode == 0, verdict.stdout
    assert "6 kept, 0 broken" in verdict.stdout


@pytest.mark.parametrize(
    ("room", "line", "broken"),
    [
        ("core", "import torch", "core knows neither torch nor transformers"),
        ("core", "import triptych.data.format", "A room imports only rooms below it"),
        ("data", "import triptych.models.family", "A room imports only rooms below it"),
        ("data", "import triptych.starter", "A room imports only rooms below it"),
        ("train", "import triptych.evaluate.benchmark", "A room imports only rooms below it"),
        ("infer", "import triptych.serve", "A room imports only rooms below it"),
        ("models", "import timm", "nobody imports torchvision or timm"),
    ],
)
def test_a_wall_that_is_broken_through_is_noticed(
    root: Path, tmp_path: Path, room: str, line: str, broken: str
) -> None:
    shutil.copytree(root / "triptych", tmp_path / "triptych", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", tmp_path)
    (tmp_path / "triptych" / room / "hole.py").write_text(f'"""A hole."""\n\n{line}\n')
    verdict = _lint(tmp_path)
    assert verdict.returncode == 1
    assert "1 broken" in verdict.stdout
    assert f"{broken}" in verdict.stdout
    assert f"triptych.{room}.hole" in verdict.stdout


def test_a_new_room_must_be_given_a_floor(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "triptych", tmp_path / "triptych", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", tmp_path)
    (tmp_path / "triptych" / "cellar").mkdir()
    (tmp_path / "triptych" / "cellar" / "__init__.py").write_text('"""A cellar."""\n')
    assert _lint(tmp_path).returncode == 1


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", LINT], cwd=folder, capture_output=True, text=True, check=False)
