"""Names of images in sentences: "image 2", "the second picture"; and questions about "the image" put to one of several.

Not finding names in words: ``references`` does. Invariant: a question that is put to image k says so once, and keeps
its other words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Literal

from triptych.data.text.references import spell

Style = Literal["number", "ordinal"]
STYLES: tuple[Style, ...] = ("number", "ordinal")


@dataclass(frozen=True, slots=True)
class Namer:
    """How one conversation calls its images; the same way throughout."""

    style: Style = "number"
    noun: str = "image"

    def name(self, number: int) -> str:
        """Return what an image is called inside a sentence."""
        if self.style == "number":
            return f"{self.noun} {number}"
        return f"the {spell(number, 'ordinal')} {self.noun}"

    def opening(self, number: int) -> str:
        """Return what it is called where a sentence starts."""
        name = self.name(number)
        return name[0].upper() + name[1:]


_NOUN = r"(?:images?|pictures?|photos?|photographs?)"
_LONE = re.compile(
    r"\b(?P<start>the|this)\s{1,8}(?:(?:given|provided|following|above|attached)\s{1,8})?(?:image|picture|photo|photograph)"
    r"(?=['’]s\b|\s{0,8}(?:[.,;:?!)]|$)|\s{1,8}(?:is|are|was|were|does|do|shows?|depicts?|contains?|has|have|and|or|in|at|"
    r"from|as|that|you|look|looks|appears?|seems?|might|may|could|can|would|should|suggests?|convey|conveys|give|gives|"
    r"make|makes|likely|taken|showing|depicting|be|been|to|for|about|using|by|if|based|when|including)\b)",
    re.IGNORECASE,
)
_ANY = re.compile(rf"\b{_NOUN}\b", re.IGNORECASE)
_OPENERS = frozenset(
    [
        "are",
        "can",
        "could",
        "describe",
        "did",
        "do",
        "does",
        "explain",
        "give",
        "has",
        "have",
        "how",
        "identify",
        "if",
        "in",
        "is",
        "list",
        "might",
        "name",
        "please",
        "provide",
        "should",
        "summarize",
        "tell",
        "was",
        "were",
        "what",
        "what's",
        "when",
        "where",
        "which",
        "who",
        "who's",
        "whom",
        "whose",
        "why",
        "will",
        "would",
        "write",
    ]
)
_FRONTS = ("For {name}, {question}", "In {name}, {question}", "Looking at {name}, {question}")
_BEFORE_ANY = ("Look at {name}. {question}", "Now consider {name}. {question}", "About {name}: {question}")


def put_to(question: str, number: int, *, namer: Namer, random: Random) -> str:
    """Return a question about one image as a question about image ``number`` of several.

    "What is in the image?" becomes "What is in image 2?"; "What colour is the bus?" becomes "In image 2, what colour is
    the bus?"; what is no question of that kind gets a sentence in front. White space around the question is dropped.
    """
    question = question.strip()
    lone = _LONE.search(question)
    if lone and len(_ANY.findall(question)) == 1:
        name = namer.opening(number) if _starts_sentence(question, lone.start()) else namer.name(number)
        return question[: lone.start()] + name + question[lone.end() :]
    first = question.split(maxsplit=1)[0].strip(",.:;?!").lower() if question else ""
    if first in _OPENERS and not question[:2].isupper():
        front = random.choice(_FRONTS)
        return front.format(name=namer.name(number), question=question[0].lower() + question[1:])
    return random.choice(_BEFORE_ANY).format(name=namer.name(number), question=question)


def _starts_sentence(text: str, at: int) -> bool:
    before = text[:at].rstrip()
    return not before or before[-1] in ".?!:\n"
