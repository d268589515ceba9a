"""Canned replies: a responder without a model, for tests, for dry runs, and for scoring replies that exist already."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from triptych.core.errors import DataError
from triptych.core.records import Answer, Example
from triptych.infer.responder import Failed, as_question


@dataclass(frozen=True, slots=True)
class CannedResponder:
    """Gives the reply that was written down for a question's id, or that a function says."""

    replies: Mapping[str, str] | Callable[[Example], str]
    """A reply for each id, or a function of the question. An id without a reply, like a DataError, is a failed item."""
    name: str = "canned"
    by_id: bool = True
    """Whether a reply may depend on the question's id. False: equal prompts have equal replies, and one is asked."""

    @property
    def fingerprint(self) -> str:
        """Of the replies when they are written down; of a function, only its name."""
        if callable(self.replies):
            return f"function {self.name}"
        return hashlib.sha256(json.dumps(dict(self.replies), sort_keys=True).encode()).hexdigest()[:16]

    def answer(self, questions: Sequence[Example], *, max_tokens: int = 32) -> Iterator[Answer | Failed]:
        """Yield the replies in the order of the questions, cut after ``max_tokens`` words."""
        for question in questions:
            try:
                pieces = list(self.stream(question, max_tokens=max_tokens))
            except DataError as error:
                yield Failed(question.id, str(error))
            else:
                yield Answer(id=question.id, text="".join(pieces), tokens_out=len(pieces))

    def stream(self, question: Example, *, max_tokens: int) -> Iterator[str]:
        """Yield the reply word by word."""
        reply = self._reply(as_question(question))
        yield from re.findall(r"\s*\S+|\s+$", reply)[:max_tokens]

    def _reply(self, question: Example) -> str:
        if callable(self.replies):
            return self.replies(question)
        if question.id not in self.replies:
            raise DataError(f"no canned reply for the id {question.id!r}; {len(self.replies)} ids have one.")
        return self.replies[question.id]
