"""Names of images in sentences: "image 2", "the second picture"; "the image" put to one of several.

"The last image" is named by its number where others come behind it. Not finding names in words: ``references`` does.
Invariant: a question that is put to image k says so once, and keeps its other words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Literal

from triptych.data.text.references import UnclearError, find_doubts, find_references, is_from_end, spell

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


_FRAME = re.compile(r"\bframes?\b", re.IGNORECASE)
_NOUN_ENDS = len(" frames")
"""Characters behind "last" that its noun stands in."""
_FROM_END = re.compile(r"\b(?:last|final|latter)\b", re.IGNORECASE)
_THE = re.compile(r"\bthe\s{1,8}$", re.IGNORECASE)
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


def name_last(text: str, *, shown: int, now: int, frames: bool = True) -> str:
    """Return the text with "the last image", the last of ``shown``, as "the second image" where ``now`` are shown, and
    "the last two images" as "the first two images" or "images 2 and 3".

    Args:
        text: words of a turn.
        shown: images up to the turn's end when it was written.
        now: images up to its end now.
        frames: whether a frame is an image, too, and none of a video.

    Raises:
        UnclearError: "the last one", which may mean an image too.
    """
    if shown in (0, now):
        return text
    if doubt := next(filter(_FROM_END.search, find_doubts(text, count=shown)), None):
        raise UnclearError(f"the words {doubt!r} may mean an image by its place, and others come behind it")
    said = ""
    end = 0
    for reference in find_references(text, count=shown):
        words = text[reference.start : reference.stop]
        of_a_video = not frames and _FRAME.search(text, reference.start, reference.stop + _NOUN_ENDS)
        if of_a_video or not is_from_end(words):
            continue
        said += text[end : reference.start]
        if reference.form == "set":
            said = _run_named(said, words, reference.numbers)
        else:
            said += spell(shown, reference.form, like=words, count=now)
        end = reference.stop
    return said + text[end:]


def _run_named(before: str, words: str, numbers: tuple[int, ...]) -> str:
    """Return the words up to "last two images", and these by what they are from the start."""
    if numbers[0] == 1:
        return before + spell(1, "ordinal", like=words) + words[len(words.split()[0]) :]
    noun = words.split()[-1]
    if the := _THE.search(before):
        before = before[: the.start()]
        noun = noun[0].upper() + noun[1:] if the.group()[0].isupper() else noun
    link = " and " if len(numbers) == 2 else " to "
    return f"{before}{noun} {link.join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))}"
