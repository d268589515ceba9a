"""What an endpoint's response means: words, or trouble, and whether asking again may help.

Not the asking (``remote``). Nothing that is no reply becomes one: a refusal, an empty reply that was cut before its
first word (a model that thinks longer than it may speak) and a response that is no JSON are trouble with a reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import cast

import openai

from triptych.core.records import Json
from triptych.infer.endpoint.limits import Cost
from triptych.infer.responder import writable

OVERRUN = {408, 429, 503, 529}
"""Statuses that say: asked too hard."""
FOR_ALL = {401, 402, 404, 405}
"""Statuses that every question would meet."""
BAD_REQUEST = {400, 422}
"""Statuses of a request that is not taken as it is."""
FORBIDDEN = 403
"""The status of a key that may not, and at some endpoints of a question that moderation refuses."""
SPENT = "insufficient_quota"
"""What a 429 is called that no waiting mends."""
NOBODY = "ConnectError"
"""What the client's library, whichever it is, calls that nobody listens."""
WHOLE = {"", "stop", "eos", "eos_token", "end", "end_turn", "stop_sequence", "complete", "completed", "normal"} | {
    "tool_calls",
    "tool_use",
    "function_call",
    "finished",
    "done",
    "end_of_turn",
    "null",
    "none",
}
"""Why a reply ended that the model ended itself, as servers call it. What else they say (length, max_tokens, abort,
error, ...) ends a torn one: a reply is never taken for whole on an unknown word."""
OUT_OF_TOKENS = {"length", "max_tokens", "model_length"}
"""Why a reply ended that was as long as it might be."""
REFUSED = {"content_filter", "content_filtered", "guardrail_intervened", "refusal", "safety", "sensitive"}
"""Why a reply ended that a filter stopped."""
FILTERED = {"content_filter", "content_policy_violation", "data_inspection_failed"}
"""What an error is called where a filter refused the question. It may be paid for: Azure charges such a status 400."""
TOO_LONG = {"context_length_exceeded", "exceed_context_size_error"}
"""What an error is called where a question is too long, with a schema or without."""
_OF_SCHEMA = re.compile(r"response.?format|schema|grammar|guided|structured", re.IGNORECASE)
"""What an endpoint speaks of that does not take a reply's schema."""
LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Completion:
    """A reply's text; also an empty one, where the model ended it by itself."""

    text: str
    cost: Cost | None
    """None: the endpoint does not say."""
    cut: bool = False
    """Whether it did not come to its end: it ran into its token limit, or the endpoint broke it off."""


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
    maybe_for_all: bool = False
    """Whether every question may meet it: so it is where many do, and none gets a reply."""
    asked_s: float = 0.0
    """How long the endpoint asks to wait, in seconds."""
    cost: Cost | None = None
    paid: bool = False
    """Whether the endpoint worked on it, so that it costs something also where it does not say what."""
    down: bool = False
    """Whether nobody listens at the address."""
    broke: bool = False
    """Whether it was not sent, as the budget does not pay for it."""
    remedy: str = ""
    """What to do about it, to stand behind the reason and how often it was tried; empty: the reason tells."""
    bad_request: bool = False
    """Whether the endpoint does not take the request as it is (status 400 or 422), and another form may do."""
    of_schema: bool = False
    """Whether that speaks of the reply's schema."""


def read_reply(content: str) -> Completion | Trouble:
    """Return what a response of status 200 says."""
    try:
        body = json.loads(content)
        choice = body["choices"][0]
        message = choice["message"]
        words, refusal, ended = message.get("content"), message.get("refusal"), choice.get("finish_reason")
        cost = _cost(body.get("usage"))
    except (ValueError, LookupError, TypeError, AttributeError):
        return Trouble(reason=f"no chat completion: {_short(content)!r}", again=True)
    words, ended = _joined(words), "" if ended is None else str(ended).casefold()
    if refusal or ended in REFUSED:
        why = _short(str(refusal or "by the content filter"))
        return Trouble(reason=f"refused: {why}", overrun=False, cost=cost, paid=True)
    if not words and ended in OUT_OF_TOKENS:
        reason = "cut before its first word; raise max_tokens"
        return Trouble(reason=reason, overrun=False, cost=cost, paid=True)
    if not words and ended not in WHOLE:
        return Trouble(reason=f"broken off before its first word ({_short(ended)})", again=True, cost=cost, paid=True)
    if not isinstance(words, str):
        reason = f"a reply without words: {_short(json.dumps(message))}"
        return Trouble(reason=reason, overrun=False, cost=cost, paid=True)
    return Completion(writable(words), cost, cut=ended not in WHOLE)


def read_error(error: openai.OpenAIError | TimeoutError) -> Trouble:
    """Return what it means that there was no response of status 200."""
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return Trouble(reason="no reply in time (timeout_s)", again=True, overrun=True, paid=True)
    if isinstance(error, openai.APIStatusError):
        trouble = read_status(error.status_code, str(error), names=(error.code, error.type, error.param))
        return replace(trouble, asked_s=_seconds(error.response.headers)) if trouble.again else trouble
    lost = isinstance(error, openai.APIConnectionError)
    down = _is_down(error)
    # A connection that was lost on the way may have been lost after the work.
    return Trouble(reason=_said(error), again=lost, down=down, paid=lost and not down, remedy=_remedy(error))


def read_status(status: int, said: str, *, names: Iterable[object] = ()) -> Trouble:
    """Return what a status other than 200 means.

    Args:
        status: the number.
        said: the endpoint's words.
        names: code, type and parameter of the error, as far as the endpoint gives them.
    """
    reason, called = f"status {status}: {_short(said)}", {str(name).casefold() for name in names}
    if SPENT in called or status in FOR_ALL:
        return Trouble(reason=reason, for_all=True)
    if called & FILTERED:
        return Trouble(reason=reason, overrun=False, paid=True)
    if status == FORBIDDEN:
        return Trouble(reason=reason, maybe_for_all=True)
    bad = status in BAD_REQUEST and not called & TOO_LONG
    return Trouble(
        reason=reason,
        again=status in OVERRUN or status in {409, 425} or status >= 500,
        overrun=True if status in OVERRUN else None,
        bad_request=bad,
        of_schema=bad and _OF_SCHEMA.search(" ".join((said, *called))) is not None,
    )


def one_line(error: Exception) -> str:
    """Return what an error says, short and in one line; of a lost connection also where, why, and what to do."""
    return _said(error) + _remedy(error)


def _said(error: Exception) -> str:
    """Return what an error says; of a connection what was sent where, and why that failed."""
    said = str(error) or type(error).__name__
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__
        why = "" if cause is None else f" ({str(cause) or type(cause).__name__})"
        said = f"{said.rstrip('.')}: {error.request.method} {error.request.url}{why}"
    return _short(said)


def _remedy(error: Exception) -> str:
    """Return what to do about a connection, to stand behind what is said of it; empty: it was no connection."""
    if not isinstance(error, openai.APIConnectionError) or isinstance(error, openai.APITimeoutError):
        return ""
    if _is_down(error):
        return "; see that the server is up, and that scheme, host and port of the address are right"
    return "; the server broke it off: see in its log why"


def _is_down(error: Exception) -> bool:
    return type(error.__cause__).__name__ == NOBODY


def _joined(words: Json) -> Json:
    """Return the text of a reply that came as a list of parts, as some endpoints send it; all else as it is."""
    if not isinstance(words, list):
        return words
    texts = [part.get("text") for part in words if isinstance(part, dict) and part.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str)) if texts else None


def _cost(usage: Json) -> Cost | None:
    if not isinstance(usage, dict):
        return None
    counts = [usage.get(key) for key in ("prompt_tokens", "completion_tokens")]
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        return None
    return Cost(*cast("list[int]", counts))


def _seconds(headers: Mapping[str, str]) -> float:
    """Return how long an endpoint asks to wait: in milliseconds as some say it, in seconds, or until a date."""
    said = headers.get("retry-after", "0")
    with suppress(ValueError):
        return max(0.0, float(headers.get("retry-after-ms", "")) / 1000)
    with suppress(ValueError):
        return max(0.0, float(said))
    with suppress(ValueError, TypeError):  # TypeError: one has a time zone, and one has none
        now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
        return max(0.0, (parsedate_to_datetime(said) - now).total_seconds())  # by the endpoint's own clock
    return 0.0


def _short(text: str) -> str:
    line = " ".join(writable(text).split())
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 3] + "..."
