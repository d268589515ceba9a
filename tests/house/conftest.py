"""The house as the tests of its laws see it: its files, parsed."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Source:
    """One Python file of the project."""

    name: str
    """Path from the project's root, with slashes."""
    text: str
    tree: ast.Module


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def package() -> list[Source]:
    """Every Python file of the package."""
    return _sources("triptych")


@pytest.fixture(scope="session")
def tests() -> list[Source]:
    """Every Python file of the test suite."""
    return _sources("tests")


def _sources(folder: str) -> list[Source]:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files, f"no Python file under {ROOT / folder}"
    texts = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}
    return [Source(name, text, ast.parse(text, filename=name)) for name, text in texts.items()]
