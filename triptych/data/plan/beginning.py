"""How a file begins: whether rows that were found in it still stand there, where others were added behind them."""

from __future__ import annotations

import hashlib
from pathlib import Path

CHUNK_BYTES = 1 << 20


def sha256_of_first(path: Path, size: int) -> str:
    """Return the SHA-256 of a file's first bytes, so many or all it has, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(min(CHUNK_BYTES, size)):
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()
