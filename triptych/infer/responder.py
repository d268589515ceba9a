"""The contract of everything that answers: a local model, an endpoint, canned replies.

Evaluation, a generator's teacher, a judge, the chat and a server take a Responder and know nothing of networks.
A question is an Example that ends in a user turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from triptych.core.errors import DataError
from triptych.core.records import Answer, Example, Json

_HALF = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, as JSON may spell one that was cut."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A question that got no answer: an image that cannot be read, a prompt that is too long. Never a wrong answer."""

    id: str
    """The Example's id."""
    reason: str
    """One line for people: what is wrong, where, what to do."""
    cause: Cause = "question"
    """Whose fault it is, for those who would go on asking."""


Cause = Literal["question", "refused", "trouble", "down", "endpoint", "budget"]
"""``question``: its own; others may get a reply. ``refused``: it was worked on, and paid, and got no reply, as where a
content filter ends it; asked again it would cost again. ``trouble``: the endpoint's, after all attempts. ``down``:
nobody listens there. ``endpoint``: every question would meet it, as with a wrong key. ``budget``: it cannot be paid."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question with how it is asked, where each is asked in its own way."""

    question: Example
    """Ends in a user turn; its id is distinct among those in flight."""
    max_tokens: int = 32
    schema: Mapping[str, Json] | None = None
    """JSON schema of the reply, for those who can hold to one."""
    sample: int = 0
    """Number of the draw; it moves the seed of those who draw."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a `Query` got, and what that took."""

    said: Answer | Failed
    tokens_in: int = 0
    tokens_out: int = 0
    """What is booked for it; more than the answer says where the endpoint does not tell."""
    seconds: float = 0.0
    """Seconds from sending to the last byte, of the attempt that got the reply."""


class EachResponder(Protocol):
    """A responder that takes each question with its own wishes, as a stream."""

    def answer_each(self, queries: Iterable[Query | None]) -> Iterator[Told]:
        """Answer every query exactly once, in any order, as soon as each is known.

        Args:
            queries: read as far ahead as is needed to keep everything busy, in the caller's thread. None: nothing to
                ask just now; what has come by then is yielded before the next is read.
        """


class Responder(Protocol):
    """Anything that answers questions."""

    @property
    def name(self) -> str:
        """What people call it, in reports."""

    @property
    def fingerprint(self) -> str:
        """What its answers depend on besides the question: weights, template, settings. Equal means: same answers."""

    def answer(self, questions: Sequence[Example], *, max_tokens: int = 32) -> Iterator[Answer | Failed]:
        """Answer every question exactly once, in any order, as soon as each is known.

        Args:
            questions: Examples that end in a user turn, with distinct ids.
            max_tokens: most tokens of one reply.
        """


def knows_ids(responder: Responder) -> bool:
    """Tell whether replies depend on what a question is called, as canned ones do; it says so by ``by_id``.

    All others give equal prompts equal replies, so that one of them is asked for all.
    """
    return getattr(responder, "by_id", False) is True


def writable(text: str) -> str:
    """Return the text with a replacement character for each half of a letter, which no file can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _HALF.search(text) else text


def as_question(example: Example) -> Example:
    """Return the example itself.

    Raises:
        DataError: it does not end in a user turn, so there is nothing to answer.
    """
    if not example.turns or example.turns[-1].role != "user":
        raise DataError(f"{example.origin or example.id}: a question must end in a user turn; drop the turns after it.")
    return example
