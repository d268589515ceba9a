"""What the hub's client raises when a model does not come, told as one line that says what to do.

Not the download (``hub``), nor what putting a model there raises (``train/export/push.py``).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import cast

from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    XetDownloadError,
)

from triptych.core.errors import NotFoundError, RunError

HTTP_ERROR = cast(type[Exception], HfHubHTTPError.__bases__[0])
"""Base of the errors of the HTTP client that huggingface_hub uses: a network that is not there, or ends."""
HUB_ERRORS: tuple[type[Exception], ...] = (OSError, ValueError, XetDownloadError, HTTP_ERROR)
"""What a download raises."""
_AGAIN = "the same command goes on where it was."
_BY_STATUS = {
    401: "the hub does not know who asks (401). HF_TOKEN or the login of `hf auth login` may have ended: renew it.",
    403: "the hub does not let you (403). Accept its terms at https://huggingface.co/{hub_id} if it has any, and say"
    " who you are with `hf auth login` or HF_TOKEN.",
    404: "the hub lists what it does not have (404). Is HF_ENDPOINT right?",
    416: "what is here of a file does not fit what the hub has (416). Delete the *.incomplete files in the folder's"
    " .cache/huggingface, or in the hub's cache; the same command fetches the rest.",
    429: f"the hub is asked too often (429). Wait a while; {_AGAIN}",
}


def told(error: BaseException, hub_id: str, *, revision: str | None = None, before: str = "") -> Exception:
    """Return an error of the hub's client as one line that says what to do.

    Args:
        error: one of ``HUB_ERRORS``.
        hub_id: what was asked for.
        revision: of it; None: main.
        before: words in front of what is wrong.
    """
    for each in _causes(error):
        if isinstance(each, OSError) and each.errno == errno.ENOSPC:
            return RunError(f"{hub_id}: {before}the disk is full. Make room; {_AGAIN}")
        if (why := _answer(each, hub_id, revision)) is not None:
            return NotFoundError(f"{hub_id}: {before}{why}")
    said = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return NotFoundError(
        f"{hub_id}: {before}the hub cannot be reached ({said}). Is there a network, is HF_ENDPOINT right? T{_AGAIN[1:]}"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came of: the client wraps an answer of the hub in errors on its cache."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _answer(error: BaseException, hub_id: str, revision: str | None) -> str | None:
    """Return what the hub answered, in words; None: the error is no answer of it."""
    if isinstance(error, GatedRepoError):
        return (
            f"it is gated: accept its terms at https://huggingface.co/{hub_id}, then say who you are with `hf auth"
            " login` or HF_TOKEN."
        )
    if isinstance(error, RevisionNotFoundError):
        return f"it has no revision {revision or 'main'!r}. Leave --revision out for its main branch."
    if isinstance(error, RepositoryNotFoundError):
        return "the hub has no such model, or it is private and HF_TOKEN names nobody who may see it."
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so the hub is not asked. Unset it."
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None:
        return None
    return _BY_STATUS.get(status, f"the hub answers {status}. Try again; {_AGAIN}").replace("{hub_id}", hub_id)
