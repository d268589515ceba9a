"""Canned replies: a responder without a model, for tests, for dry runs, and for scoring replies that exist already.

Not a cache (``answer_cache``). ``open_canned`` opens what a recipe names: a function, ``package.module.function``, of
the question; or a file of lines, of which the first that fits says the reply:

    {"id": "coco-12/03-ask/ask", "reply": "..."}     the question of this id
    {"contains": "two dogs", "reply": "..."}         a question whose last turn has these words
    {"reply": "..."}                                 every other one
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from triptych.core.errors import ConfigError, DataError
from triptych.core.files import read_json_lines, sha256_of
from triptych.core.records import Answer, Example, text_of
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
        """Digest of the replies when they are written down; of a function, only its name."""
        if callable(self.replies):
            return f"function {self.name}"
        return hashlib.sha256(json.dumps(dict(self.replies), sort_keys=True).encode()).hexdigest()[:16]

    def answer(self, questions: Iterable[Example], *, max_tokens: int = 32) -> Iterator[Answer | Failed]:
        """Yield the replies in the order of the questions, cut after ``max_tokens`` words."""
        for question in questions:
            try:
                pieces = self._words(question)[:max_tokens]
            except DataError as error:
                yield Failed(question.id, str(error))
            else:
                cut = len(pieces) >= max_tokens
                yield Answer(id=question.id, text="".join(pieces), tokens_out=len(pieces), cut=cut)

    def _words(self, question: Example) -> list[str]:
        """Return the reply word by word, each with the space before it."""
        return re.findall(r"\s*\S+|\s+$", self._reply(as_question(question)))

    def _reply(self, question: Example) -> str:
        if callable(self.replies):
            return self.replies(question)
        if question.id not in self.replies:
            raise DataError(f"no canned reply for the id {question.id!r}; {len(self.replies)} ids have one.")
        return self.replies[question.id]


def open_canned(source: str) -> CannedResponder:
    """Return the replies of a file, or of a function.

    Args:
        source: a path that ends in ``.jsonl``, or ``package.module.function``.

    Raises:
        NotFoundError: no such file.
        ConfigError: no such function.
        DataError: a line is no canned reply; the message names it.
    """
    if source.endswith(".jsonl"):
        path = Path(source).expanduser()
        lines = _CannedLines.read(path)
        return CannedResponder(lines.reply, name=f"canned {path.name} {sha256_of(path)[:16]}")
    module, _, name = source.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), name, None) if module and name.isidentifier() else None
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        function = None
    if not callable(function):
        raise ConfigError(f"canned:{source}: neither a file that ends in .jsonl nor a function package.module.name.")
    return CannedResponder(function, name=f"canned {source}", by_id=False)


@dataclass(frozen=True, slots=True)
class _CannedLines:
    """The lines of a file of canned replies."""

    by_id: Mapping[str, str]
    by_words: tuple[tuple[str, str], ...]
    path: Path

    @classmethod
    def read(cls, path: Path) -> _CannedLines:
        by_id: dict[str, str] = {}
        by_words: list[tuple[str, str]] = []
        for number, record in enumerate(read_json_lines(path, ours=False), start=1):
            match record:
                case {"id": str(name), "reply": str(reply), **rest} if not rest:
                    by_id.setdefault(name, reply)
                case {"contains": str(words), "reply": str(reply), **rest} if not rest:
                    by_words.append((words, reply))
                case {"reply": str(reply), **rest} if not rest:
                    by_words.append(("", reply))
                case _:
                    raise DataError(f"{path}: line {number}: expected reply, and id or contains, all texts.")
        return cls(by_id, tuple(by_words), path)

    def reply(self, question: Example) -> str:
        if question.id in self.by_id:
            return self.by_id[question.id]
        said = text_of(question.turns[-1])
        for words, reply in self.by_words:
            if words in said:
                return reply
        raise DataError(
            f"{self.path}: no canned reply for {question.id}. Add a line with its id, or words it contains."
        )
