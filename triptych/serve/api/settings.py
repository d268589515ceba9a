"""What ``triptych serve`` can be told: the strict tree behind ``triptych serve MODEL KEY=VALUE ...``.

No key is in it: keys come from the environment or from a file (``keys.py``), so that no list of processes shows one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from triptych.core.config import KEY, Settings, parse_config
from triptych.core.errors import ConfigError
from triptych.core.machine import MIB


class ServeSettings(Settings):
    """Where the server listens, and how much it takes."""

    host: str = "127.0.0.1"
    """Address to listen on. Another one than this machine's own needs a key, or ``open=true``."""
    port: int = Field(default=8000, ge=0, le=65535)
    """0: any that is free."""
    open: bool = False
    """Listen on an address that others reach, without a key. Whoever finds it may use it."""
    names: tuple[str, ...] = ()
    """Names under which browsers and programs may ask, besides localhost and plain addresses (the Host header)."""
    keys: str | None = None
    """A file with API keys, one a line. They may also stand in the environment: TRIPTYCH_SERVE_KEYS."""

    body_bytes: int = Field(default=64 * MIB, ge=1024)
    """Most bytes of one request."""
    held_bytes: int = Field(default=256 * MIB, ge=1024)
    """Most bytes of all requests that are being received and read."""
    media_bytes: int = Field(default=1024 * MIB, ge=1024)
    """Most bytes of pictures on the disk, in a folder that ends with the server."""
    feature_bytes: int = Field(default=4096 * MIB, ge=0)
    """Most bytes of what a model's tower made of pictures, on the disk, in a folder that ends with the server."""
    body_seconds: float = Field(default=60.0, gt=0)
    """For a request to arrive."""
    images: int = Field(default=64, ge=0)
    """Most pictures of a request, frames of videos among them."""
    image_pixels: int = Field(default=50_000_000, ge=1)
    """Most pixels of a picture or a frame, as its header says: nothing larger is decoded."""
    request_pixels: int = Field(default=200_000_000, ge=1)
    """Most pixels of all pictures of a request."""
    video_frames: int = Field(default=8, ge=1)
    """Frames of a video, at even distances, where the request does not say."""
    video_bytes: int = Field(default=32 * MIB, ge=1024)
    """Most bytes of a video file."""
    text_bytes: int = Field(default=MIB, ge=1)
    """Most bytes of a request's words."""
    messages: int = Field(default=512, ge=1)
    """Most messages of a request."""

    max_tokens: int = Field(default=512, ge=1)
    """Tokens of a reply where the request does not say."""
    reply_tokens: int = Field(default=4096, ge=1)
    """Most that a request may ask for."""
    choices: int = Field(default=8, ge=1)
    """Most replies to one request (``n``)."""
    seconds: float = Field(default=300.0, gt=0)
    """For a reply, waiting in the queue included."""
    connections: int = Field(default=1024, ge=1)
    """Most requests at once, whatever they ask for."""

    device: str = "auto"
    """Where models compute, as torch calls it: cpu, cuda, cuda:1. auto: a GPU where there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of matrices. auto: bfloat16 on a GPU, float32 on a CPU."""
    rows: int = Field(default=64, ge=1)
    """Most requests that a model answers together."""
    tokens: int | None = Field(default=None, ge=1)
    """Most positions of all of them. Bounds the memory. None: what a GPU's free memory holds, 32,768 on a CPU."""
    queue: int = Field(default=256, ge=1)
    """Most replies that wait for their turn; who comes then is told to come again (429)."""
    prefix_tokens: int = Field(default=16_384, ge=0)
    """Most tokens that are kept of conversations that have been answered, for their next turns."""

    fetch_hosts: tuple[str, ...] = ()
    """Hosts from which pictures and videos are fetched for a request; .example.org: and all below it. None: nothing
    is fetched, pictures come as data URIs."""
    fetch_private: bool = False
    """Fetch from those hosts also where their addresses are of one's own network."""
    fetch_seconds: float = Field(default=20.0, gt=0)
    """For all that is fetched for one request."""

    votes: str = "votes.jsonl"
    """Where votes of the page go."""
    votes_bytes: int = Field(default=64 * MIB, ge=0)
    """Most bytes of that file and of the replies beside it, each."""

    @property
    def votes_path(self) -> Path:
        """The file of votes."""
        return Path(self.votes)


def read_settings(overrides: Sequence[str]) -> ServeSettings:
    """Return the settings with ``KEY=VALUE`` overrides; values are YAML, and a list may be one word.

    Raises:
        ConfigError: no such key, or no such value; one line that names it.
    """
    lines = []
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not KEY.fullmatch(key):
            raise ConfigError(f"{override!r}: expected KEY=VALUE, e.g. port=8080.")
        listed = key in LISTS and not value.lstrip().startswith("[")
        lines.append(f"{key}: [{value}]\n" if listed else f"{key}: {value}\n")
    return parse_config("".join(lines) or "{}", model=ServeSettings, file="settings")


LISTS = frozenset({"names", "fetch_hosts"})
