"""A scripted responder that knows the truth of drawn albums: it looks at the images that it is shown, and at no others.

Not a model. It errs as often as it is told to, the same way for equal prompts. What the shown images do not settle it
guesses; what everybody knows it answers without looking, as often as it is told to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from triptych.core.records import Example, ImageRef, Text, text_of
from triptych.data.text.references import LETTERS
from triptych.generate.item import Item, View
from triptych.generate.kit.checking import HIDDEN, OPPOSITES
from triptych.generate.kit.kinds import KINDS
from triptych.generate.kit.planted import KNOWN_ANYWAY, planted_in
from triptych.generate.kit.truth import told
from triptych.generate.kit.verdicts import is_right
from triptych.generate.question import Question, question_of

_OPTION = re.compile(r"^\(([A-Z])\) (.+)$", re.MULTILINE)
_EMPTY = View(ImageRef("not shown"))


@dataclass(frozen=True, slots=True)
class Errors:
    """How often it errs, as probabilities."""

    seeing: float = 0.1
    """A wrong answer though the images settle it."""
    knowing: float = 0.1
    """A guess at what everybody knows."""


@dataclass
class Oracle:
    """Answers what it was told about. State: questions by their words, images by where they are."""

    errors: Errors
    seed: int = 0
    _asked: dict[str, Question] = field(default_factory=dict)
    _views: dict[ImageRef, View] = field(default_factory=dict)

    def learn(self, items: Iterable[Item], *, good: Mapping[str, Question]) -> None:
        """Take the truth of items: their images, and what their words ask; ``good`` is the record of each good one."""
        for item in items:
            for view in item.annotation.views:
                if isinstance(view.media, ImageRef):
                    self._views[view.media] = view
            question = question_of(item)
            if question is None:
                continue
            record = good.get(item.parents[-1] if item.parents else "") if question.details is None else question
            if planted_in(item) != "blind" and record is not None:
                self._asked.setdefault(_key(question.text), record)

    def __call__(self, example: Example) -> str:
        """Return the reply to a question."""
        words = "\n".join(part.text for part in example.turns[-1].parts if isinstance(part, Text))
        shown = [Path(part.source).name for part in _images(example)]  # where the albums lie changes no reply
        random = Random(f"{self.seed}/{words}/{shown}/{example.facts.get('sample')}")
        options = tuple(option for _, option in _OPTION.findall(words))
        known = next((answer for text, answer, _ in KNOWN_ANYWAY if text in words), None)
        if known is not None:
            wrong = random.random() < self.errors.knowing
            return _reply(_guess(options, "", random) if wrong else known, options)
        answer = self._settled(example, words)
        if answer is not None and random.random() < self.errors.seeing:
            answer = _guess(options, answer, random)
        return _reply(answer if answer is not None else _guess(options, "", random), options)

    def _settled(self, example: Example, words: str) -> str | None:
        """Return the answer that the shown images settle, or None."""
        question = next((self._asked[key] for key in map(_key, words.splitlines()) if key in self._asked), None)
        if question is None or question.kind not in KINDS:
            return None
        shown: list[View | None] = []
        for part in example.turns[-1].parts:
            if isinstance(part, ImageRef):
                shown.append(self._views[part])
            elif isinstance(part, Text):
                shown += [None] * part.text.count(HIDDEN.text)
        views = [view or _EMPTY for view in shown]
        if all(view is not None for view in shown):
            return told(question, views)
        seen = frozenset(at for at, view in enumerate(shown, start=1) if view is not None)
        return told(question, views, seen=seen) if seen else None


def habit(example: Example) -> str:
    """Say "yes", "true", "2" or "image 1" whatever is asked and shown, as small models do: the worst of checkers."""
    words = "\n".join(part.text for part in example.turns[-1].parts if isinstance(part, Text))
    options = tuple(option for _, option in _OPTION.findall(words))
    for liked in ("yes", "true", "2", "image 1", "the first image"):
        if liked in options:
            return _reply(liked, options)
    return "image 1" if re.search(r"(?i)\bwhich image\b|\bwhere\b", words) else _reply((options or ("2",))[0], options)


class Judge:
    """A judge that answers the question itself, with the oracle's errors, and scores 5 where it agrees, else 1."""

    def __init__(self, oracle: Oracle, items: Sequence[Item]) -> None:
        self._oracle = oracle
        self._items = {}
        for item in items:
            question = _record(item)
            self._items[item.annotation.views[0].media, question.text, question.answer] = item

    def __call__(self, example: Example) -> str:
        """Return a score."""
        words = text_of(example.turns[-1])
        asked, _, answer = words.rpartition("\nAnswer: ")
        text = asked.rpartition("Question: ")[2].splitlines()[0]
        shown = next(part for part in example.turns[-1].parts if not hasattr(part, "text"))
        item = self._items[shown, text, answer.strip()]
        question = _record(item)
        assert item.example is not None, "good and bad items have a conversation"
        own = self._oracle(replace(item.example, turns=item.example.turns[:-1]))
        score = 5 if is_right(own, question) else 1
        return json.dumps({"score": score, "reason": "scripted"})


def _record(item: Item) -> Question:
    question = question_of(item)
    assert question is not None, "planted and verified items carry their question"
    return question


def _images(example: Example) -> list[ImageRef]:
    return [part for part in example.turns[-1].parts if isinstance(part, ImageRef)]


def _key(text: str) -> str:
    return " ".join(text.lower().split())


def _guess(options: tuple[str, ...], wrong: str, random: Random) -> str:
    """Return a guess; where ``wrong`` is the right answer, another one than that."""
    pool = options or next(
        (pair for pair in OPPOSITES if wrong in pair), ("1", "2", "3", "image 1", "image 2", "image 3")
    )
    return random.choice([each for each in pool if each != wrong] or ["nothing"])


def _reply(answer: str, options: tuple[str, ...]) -> str:
    return f"({LETTERS[options.index(answer)]})" if answer in options else answer
