"""What a request is told that is not answered: OpenAI's error object, with a status that says whose fault it is.

Not for a stream's middle, where the status is gone: there the same object is one event (``replies.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.responses import JSONResponse

from triptych.core.errors import RunError, TriptychError
from triptych.core.records import Json
from triptych.infer.engine.engine import QueueFull

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    408: "timeout_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
    504: "timeout_error",
    507: "server_error",
}
"""``error.type`` by status; others are the request's fault."""
MOST_LETTERS = 600
"""Of a message."""


class ApiError(Exception):
    """A request that is refused, as it is told over HTTP."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Refuse.

        Args:
            status: of HTTP.
            message: what is wrong and what to do, in one line.
            param: the field that is wrong, ``messages.0.content``.
            code: for programs, ``model_not_found``.
            headers: that go with it.
        """
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    @property
    def message(self) -> str:
        """One line, cut where it is long."""
        line = " ".join(str(self).encode("utf-8", "replace").decode().split())
        return line if len(line) <= MOST_LETTERS else line[: MOST_LETTERS - 3] + "..."

    def as_json(self) -> dict[str, Json]:
        """Return ``{"error": {...}}``."""
        kind = TYPES.get(self.status, "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """Return it as a response."""
        return JSONResponse(self.as_json(), status_code=self.status, headers=self.headers)


def api_error_of(error: TriptychError) -> ApiError:
    """Return the HTTP error that a request gets for an error of ours."""
    if isinstance(error, QueueFull):
        return ApiError(429, str(error), code="queue_full", headers={"Retry-After": "1"})
    if isinstance(error, RunError):
        return ApiError(500, str(error), code="failed")
    message = str(error)
    code = "context_length_exceeded" if "tokens and a reply of" in message else None
    return ApiError(400, message, param="messages", code=code)


def as_line(tree: Json) -> str:
    """Return JSON in one line, as it is sent; what JSON cannot say is replaced."""
    return json.dumps(tree, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
