"""What the tests of the page share: a browser, where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from tests.serve.browser import chromium  # without playwright it skips who imports it: the page's tests alone

    with chromium() as found:
        yield found
