"""How a responder is asked: the strict trees behind ``triptych eval MODEL BENCHMARK KEY=VALUE ...``.

Not which benchmark nor where results go. A model in this process and one behind an address have trees of their own;
both begin with ``Asking``. No key is ever in a tree: it comes from the environment (``remote.py``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field

from triptych.core.config import Settings, parse_key_values
from triptych.core.errors import ConfigError

S = TypeVar("S", bound="Asking")


class Asking(Settings):
    """What holds for every responder."""

    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of a reply; None: what the benchmark says."""
    cache: bool = True
    """Take replies that were given before, in any run, and keep new ones."""


class LocalSettings(Asking):
    """Settings of a model in this process."""

    device: str = "auto"
    """Device, as torch calls it: cpu, cuda, cuda:1. auto: a GPU where there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type of matrix products. auto: bfloat16 on a GPU, float32 on a CPU."""
    batch_tokens: int | None = Field(default=None, ge=1)
    """Most positions of a batch, padding and replies included; bounds the memory. None: what a GPU's free memory holds
    (``decoding/kv_budget.py``), 4,096 on a CPU."""
    share: bool = True
    """Compute once what questions begin with alike."""
    temperature: float = Field(default=0.0, ge=0, le=100)
    """0: always the likeliest token."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Only of the likeliest tokens that together have this probability."""
    seed: int = 0
    """Seed of sampled replies: equal seeds and prompts, equal replies."""
    scores: bool = False
    """Answer with the numbers of the model's score head, a line for each target, not with words."""


class EndpointSettings(Asking):
    """Settings of a model behind an address that speaks OpenAI's chat completions."""

    temperature: float | None = Field(default=0.0, ge=0)
    """None: not sent, for models that refuse one."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = None
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the endpoint calls the most tokens of a reply."""
    concurrency: int = Field(default=32, ge=1)
    """Most requests in flight; it begins with fewer and halves when the endpoint is overrun."""
    attempts: int = Field(default=6, ge=1)
    """Times that a question is sent before it has failed."""
    timeout_s: float = Field(default=120.0, gt=0)
    """Time limit of one attempt, to the last byte."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    budget_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of all questions and replies together; what is left then has failed, and is asked next time."""
    budget_usd: float | None = Field(default=None, gt=0)
    """Most money; needs the two prices."""
    price_in: float = Field(default=0.0, ge=0)
    """US dollars for a million tokens of questions."""
    price_out: float = Field(default=0.0, ge=0)
    """US dollars for a million tokens of replies."""
    image_side_px: int = Field(default=2048, ge=16)
    """Longest side of an image that is sent; a larger one is scaled down."""
    image_bytes: int = Field(default=5_000_000, ge=1000)
    """Most bytes of one image file that is sent, before base64."""
    video_frames: int = Field(default=8, ge=1)
    """A video is sent as this many frames, at even distances."""


@dataclass(frozen=True, slots=True)
class Address:
    """An endpoint's URL, and which of its models is asked."""

    url: str
    """Up to and with the version: ``http://localhost:8000/v1``."""
    model: str

    def __str__(self) -> str:
        return f"{self.url}#{self.model}"


def address_of(model: str) -> Address | None:
    """Return what ``http://host/v1#model-name`` says; None: it is no address, but a folder or a hub id.

    Raises:
        ConfigError: an address without a model's name, or with a key in it.
    """
    if not model.startswith(("http://", "https://")):
        return None
    url, _, name = model.partition("#")
    try:
        parts = urlsplit(url)
        _ = parts.port  # which is read only now
    except ValueError as error:
        raise ConfigError(
            f"{_without_key(url)}: no address ({error}). Expected http://localhost:8000/v1#NAME."
        ) from None
    if not name or not parts.hostname:
        raise ConfigError(f"{model}: an address needs the model's name behind a '#': http://localhost:8000/v1#NAME.")
    if parts.username or parts.password:
        host = parts.hostname
        raise ConfigError(f"{parts.scheme}://{host}: no name or key in an address, it would be written down with it.")
    if parts.query or re.search(r"\s", url):
        raise ConfigError(f"{parts.scheme}://{parts.netloc}{parts.path}: no spaces and no '?' in an address, please.")
    return Address(url.rstrip("/"), name)


def _without_key(url: str) -> str:
    """Return an address that cannot be parsed, without what may be a key in it."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def parse_settings(overrides: Sequence[str], *, model: type[S]) -> S:
    """Return the settings with ``KEY=VALUE`` overrides; values are YAML.

    Raises:
        ConfigError: no such key, or no such value; one line that names it.
    """
    settings = parse_key_values(overrides, model=model, example="max_tokens=64")
    if isinstance(settings, EndpointSettings) and settings.budget_usd and not settings.price_in + settings.price_out:
        raise ConfigError("budget_usd needs price_in and price_out, in dollars for a million tokens.")
    return settings
