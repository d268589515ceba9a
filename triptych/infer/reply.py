"""What an endpoint's response means: words, or trouble, and whether asking again may help.

Not the asking (``remote``). Nothing that is no reply becomes one: a refusal, an empty reply that was cut before its
first word (a model that thinks longer than it may speak) and a response that is no JSON are trouble with a reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import openai

from triptych.core.records import Json
from triptych.infer.limits import Cost

OVERRUN = {408, 429, 503, 529}
"""Statuses that say: asked too hard."""
FOR_ALL = {401, 403, 404, 405}
"""Statuses that every question would meet."""
SPENT = "insufficient_quota"
"""What a 429 is called that no waiting mends."""
LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Spoken:
    """A reply in words; also an empty one, where the model ended it by itself."""

    text: str
    cost: Cost | None
    """None: the endpoint does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why there is no reply."""

    reason: str
    again: bool = False
    """Whether the same question may get a reply another time."""
    overrun: bool | None = None
    """Whether the endpoint is asked too hard; None: unknown."""
    for_all: bool = False
    """Whether every question would meet it."""
    asked_s: float = 0.0
    """How long the endpoint asks to wait, in seconds."""
    cost: Cost | None = None


def read_reply(content: str) -> Spoken | Trouble:
    """Return what a response of status 200 says."""
    try:
        body = json.loads(content)
        choice = body["choices"][0]
        message = choice["message"]
        words, refusal, ended = message.get("content"), message.get("refusal"), choice.get("finish_reason")
        cost = _cost(body.get("usage"))
    except (ValueError, LookupError, TypeError, AttributeError):
        return Trouble(reason=f"no chat completion: {_short(content)!r}", again=True)
    if refusal or ended == "content_filter":
        return Trouble(reason=f"refused: {_short(str(refusal or 'by the content filter'))}", overrun=False, cost=cost)
    if not words and ended == "length":
        reason = "cut before its first word; raise max_tokens"
        return Trouble(reason=reason, overrun=False, cost=cost)
    if not isinstance(words, str):
        return Trouble(reason=f"a reply without words: {_short(json.dumps(message))}", overrun=False, cost=cost)
    return Spoken(words, cost)


def read_error(error: openai.OpenAIError | TimeoutError) -> Trouble:
    """Return what it means that there was no response of status 200."""
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return Trouble(reason="no reply in time (timeout_s)", again=True, overrun=True)
    if isinstance(error, openai.APIStatusError):
        status, reason = error.status_code, f"status {error.status_code}: {one_line(error)}"
        if error.code == SPENT or status in FOR_ALL:
            return Trouble(reason=reason, for_all=True)
        again = status in OVERRUN or status in {409, 425} or status >= 500
        asked_s = _seconds(error.response.headers)
        return Trouble(reason=reason, again=again, overrun=True if status in OVERRUN else None, asked_s=asked_s)
    return Trouble(reason=one_line(error), again=isinstance(error, openai.APIConnectionError))


def one_line(error: Exception) -> str:
    """Return what an error says, short and in one line."""
    return _short(str(error) or type(error).__name__)


def _cost(usage: Json) -> Cost | None:
    if not isinstance(usage, dict):
        return None
    counts = [usage.get(key) for key in ("prompt_tokens", "completion_tokens")]
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        return None
    return Cost(*cast("list[int]", counts))


def _seconds(headers: Mapping[str, str]) -> float:
    try:
        return max(0.0, float(headers.get("retry-after", "0")))
    except ValueError:
        return 0.0  # a date, which few send


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 3] + "..."
