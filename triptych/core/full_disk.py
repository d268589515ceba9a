"""A disk that takes no more: what says so, and the file that was not written, which such an error seldom names.

Not how files are written (``files.py``), nor how much room a disk has (``machine.py``).
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What writing fails with where a disk, a quota or a limit is used up."""
_RUST = re.compile(r"\(os error (\d+)\)")
"""How safetensors ends the message of an error of the system."""


def system_error(error: OSError | SafetensorError) -> int | None:
    """Return the system's number of an error; None: it is none of the system's."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    said = _RUST.search(str(error))
    return int(said[1]) if said else None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let the error of a full disk name the file or folder that is written in the block, where it names none.

    Raises:
        OSError: there is no room; also where safetensors says so.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = system_error(error)
        if number not in NO_ROOM:
            raise
        if isinstance(error, OSError) and error.errno is not None:
            error.filename = error.filename or str(path)
            raise
        raise OSError(number, os.strerror(number), str(path)) from error
