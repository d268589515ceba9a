"""A cold start's examples: proposed by a teacher, judged by a person, then shown to teachers; one YAML file.

Not the page on which a person judges them (``review``). A file holds proposals, each accepted, rejected or still open,
and each with the images it is about. What teachers are shown is the accepted ones, in their order.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from triptych.core.config import Settings, dump_config, load_config
from triptych.core.errors import ConfigError, NotFoundError
from triptych.core.files import write_atomically

State = Literal["open", "accepted", "rejected"]


class Picture(Settings):
    """An image that an example is about, for the person to look at."""

    source: str
    """Locator of the image, as in ``ImageRef``."""
    box: tuple[int, int, int, int] | None = None
    """The part that is meant, in pixels."""


class Proposal(Settings):
    """One example."""

    id: str
    user: str
    """What is said to the teacher: the annotation in the prompt's words."""
    reply: str
    """What a good teacher replies."""
    state: State = "open"
    pictures: tuple[Picture, ...] = ()


class Proposals(Settings):
    """All examples of one prompt."""

    prompt: str
    """Which prompt they are for."""
    prompt_hash: str = ""
    """Hash of the prompt as it was when they were proposed."""
    proposals: tuple[Proposal, ...] = ()


def read_proposals(path: Path) -> Proposals:
    """Return what the file holds. Raises NotFoundError, ConfigError."""
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file of examples. Make one: triptych generate review RUN")
    return load_config(path, model=Proposals)


def write_proposals(proposals: Proposals, path: Path) -> None:
    """Write the file, whole or not at all."""
    write_atomically(path, dump_config(proposals))


def accepted_shots(path: Path) -> tuple[tuple[str, str], ...]:
    """Return what teachers are shown: (what is said to them, what they should reply), in order.

    Raises:
        NotFoundError: no such file.
        ConfigError: it is no such file, or nothing in it was accepted.
    """
    return _accepted(path, *_stamp(path))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError:
        return 0, 0  # Reading it will say what is wrong.
    return state.st_size, state.st_mtime_ns


@lru_cache(maxsize=16)
def _accepted(path: Path, _size_bytes: int, _mtime_ns: int) -> tuple[tuple[str, str], ...]:
    accepted = [each for each in read_proposals(path).proposals if each.state == "accepted"]
    if not accepted:
        raise ConfigError(f"{path}: no example is accepted. Run: triptych generate review {path}")
    if empty := [each.id for each in accepted if not (each.user.strip() and each.reply.strip())]:
        raise ConfigError(f"{path}: the accepted example {empty[0]!r} says nothing. Fill it in or reject it.")
    return tuple((each.user.strip(), each.reply.strip()) for each in accepted)
