"""What the data room's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from transformers import PreTrainedTokenizerFast

from tests.pictures import draw
from tests.toys import toy_tokenizer

settings.register_profile("unhurried", deadline=None)  # the first call of torch or a tokenizer takes its time
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return toy_tokenizer()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "abc":
        draw(tmp_path / "data" / "pictures" / f"{name}.png")
    return tmp_path / "data"
