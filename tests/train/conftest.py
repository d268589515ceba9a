"""A run that several tests of what follows a run look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.train.runs import toy_recipe
from triptych.train.trainer import train


@pytest.fixture(scope="session")
def aligned_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run whose projector moved whole and whose language model by an adapter."""
    folder = tmp_path_factory.mktemp("toy")
    recipe = toy_recipe(folder, ("length: 6 steps", "length: 3 steps"), align=True)
    train(recipe, run=folder / "toy")
    return folder / "toy"
