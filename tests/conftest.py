"""What holds for all tests: the same cases in each run, so that a change is judged by itself; ``seek`` finds others.

``make test ARGS="--hypothesis-profile=seek"`` draws new cases, and many more.
"""

import shutil
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("seek", deadline=None, max_examples=500)
settings.load_profile("house")


@pytest.fixture(autouse=True, scope="session")
def roomy_disk() -> Iterator[None]:
    """A disk that is half full, whatever this machine's is: on a nearly full one little is kept."""
    usage = type(shutil.disk_usage("."))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _path: usage(1 << 40, 1 << 39, 1 << 39))
        yield


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no proxy from outside."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("TRIPTYCH_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
