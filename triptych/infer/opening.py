"""What a user calls a model, opened as a responder: a folder, a hub id, or ``http://host/v1#model-name``.

The one place where local models and endpoints meet; everything above asks a Responder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import lexists
from pathlib import Path

from triptych.core.errors import ConfigError, NotFoundError
from triptych.core.files import cache_folder
from triptych.core.log import say
from triptych.infer.answer_cache import AnswerCache
from triptych.infer.responder import Responder
from triptych.infer.settings import Asking, EndpointSettings, LocalSettings, address_of, parse_settings
from triptych.models.disk.locate import STARTER, on_disk

ANSWERS = "answers"
"""Folder of kept replies, in the cache folder."""
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_NAMED = rf"(?:(?:{_PART}\.)+[A-Za-z]{{2,}}|(?:[0-9]{{1,3}}\.){{3}}[0-9]{{1,3}})"
"""A host with a dot: a name, or an IPv4 address."""
_HOST = rf"(?:localhost|{_NAMED}|\[[0-9a-fA-F:]+\])"
_PATH = r"(?:/[^\s?@#]*)"
_NO_SCHEME = re.compile(
    rf"localhost(?::[0-9]{{1,5}})?{_PATH}?#.+|{_HOST}:[0-9]{{1,5}}{_PATH}?(?:#.+)?|{_HOST}{_PATH}#.+"
    rf"|(?!starter:)[A-Za-z0-9][\w.-]+:[0-9]{{1,5}}{_PATH}?#.+"
)
"""An address but for its scheme: a host (``localhost``, an IP address, a name with a dot) and its port; a path and a
model's name behind a ``#`` may follow. With a model's name, a path in place of the port is enough, any name is a host
that has a port, and ``localhost`` is one without."""
_MAYBE_HOST = re.compile(rf"(?!{STARTER})[A-Za-z0-9][\w.-]+:[0-9]{{1,5}}{_PATH}?#?")
"""What may be a host and its port, without a model's name, and may be a slip in a folder's."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A responder, and how it is asked."""

    responder: Responder
    asking: Asking

    def cache(self) -> AnswerCache | None:
        """Return the replies that it gave in other runs, or None where they are not to be used."""
        return AnswerCache(cache_folder() / ANSWERS, self.responder.fingerprint) if self.asking.cache else None


def check_scheme(model: str) -> None:
    """Refuse an address that does not say http:// or https://, which would be looked for as a folder. ConfigError."""
    # Not Path.exists, which raises for a name that is too long.
    if _NO_SCHEME.fullmatch(model) and not lexists(model):
        raise ConfigError(
            f"{model}: no such folder, and an address begins with http:// or https://: write {_whole(model)}."
        )


def _check_host(model: str) -> None:
    """Refuse what may be a host and its port, and tell of folders and of endpoints. NotFoundError."""
    if _MAYBE_HOST.fullmatch(model) and not lexists(model):
        raise NotFoundError(
            f"{model}: no such folder. Give a folder, a hub id (OWNER/NAME) or {STARTER}NAME; an endpoint is written "
            f"{_whole(model)}, NAME being its model's."
        )


def _whole(model: str) -> str:
    """Return an address with its scheme, its path and a name."""
    host, _, name = model.partition("#")
    scheme = "https" if re.fullmatch(rf"{_NAMED}{_PATH}", host) and not host[0].isdigit() else "http"
    host = host.rstrip("/")
    return f"{scheme}://{host if '/' in host else f'{host}/v1'}#{name or 'NAME'}"


def check_name(model: str) -> None:
    """Refuse what is neither an address nor a model here nor a hub id, before networks take seconds to load.

    Raises:
        ConfigError: the address is wrong, or does not say http://.
        NotFoundError: there is no such folder, or no model in it.
    """
    check_scheme(model)
    _check_host(model)
    if address_of(model) is None:
        on_disk(model)


def open_responder(model: str, overrides: Sequence[str] = ()) -> Opened:
    """Open a model.

    Args:
        model: a folder, a hub id, or an address with a model's name.
        overrides: ``KEY=VALUE`` of ``LocalSettings`` or of ``EndpointSettings``.

    Raises:
        ConfigError: a setting or an address is wrong, or a key is not in the environment.
        NotFoundError, ModelError: as `open_model`.
    """
    if address := address_of(model):
        endpoint = parse_settings(overrides, model=EndpointSettings)
        from triptych.infer.endpoint.remote import RemoteResponder  # which loads the client only where one is asked

        return Opened(RemoteResponder(address, endpoint), endpoint)
    check_scheme(model)
    _check_host(model)
    local = parse_settings(overrides, model=LocalSettings)
    check_name(model)
    from triptych.infer.decoding.sampling import Sampling
    from triptych.infer.local import GREEDY, LocalResponder  # which loads torch, after what may be wrong above
    from triptych.models.memory.placement import open_to_answer
    from triptych.models.vision.features import cached_features

    say(f"opening {model}")
    opened = open_to_answer(model, device=local.device, precision=local.precision)
    store = cached_features(opened)
    if local.scores:
        from triptych.infer.scores import BATCH_TOKENS, Scorer, ScoreResponder

        scorer = Scorer(opened, features=store, batch_tokens=local.batch_tokens or BATCH_TOKENS)
        return Opened(ScoreResponder(scorer, name=_name(model)), local)
    drawn = Sampling(temperature=local.temperature, top_p=local.top_p, seed=local.seed)
    responder = LocalResponder(
        opened,
        features=store,
        batch_tokens=local.batch_tokens,
        share=local.share,
        sampling=drawn if local.temperature else GREEDY,
        name=_name(model),
    )
    return Opened(responder, local)


def _name(model: str) -> str:
    return str(Path(model)) if Path(model).exists() else model
