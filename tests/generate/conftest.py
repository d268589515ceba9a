"""What the tests of making data share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _alone(alone: None) -> None:
    """No key and no proxy from outside."""
