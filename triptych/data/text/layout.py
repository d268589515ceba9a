"""Where images stand in a conversation: all in front of the first user's words, or at the words that name them.

Not which images, and not their order: that never changes here, nor does the number that an image has. ``transforms/``
choose between the layouts. Source: arXiv:2407.07895 section 3.2 trains on both; in front, words that refer to each
image stay in the text. Its code was not published, so the rules for words are ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from triptych.core.records import Example, ImageRef, Part, Text, Turn, VideoRef, text_of
from triptych.data.text.labels import labelled, labels_in, without_labels, words_between
from triptych.data.text.references import find_references
from triptych.data.transform import tidy

NOISE = "QA_GT_caption_based_noisy"
"""A marker in published LLaVA data that is deleted before training."""

_PREPOSITIONS = frozenset(
    [
        "about",
        "above",
        "after",
        "and",
        "at",
        "before",
        "below",
        "between",
        "by",
        "compare",
        "compared",
        "describe",
        "for",
        "from",
        "in",
        "inside",
        "into",
        "is",
        "like",
        "match",
        "matches",
        "of",
        "on",
        "or",
        "resemble",
        "show",
        "shows",
        "than",
        "that",
        "to",
        "toward",
        "towards",
        "under",
        "versus",
        "vs",
        "with",
    ]
)
_VERBS = frozenset(
    [
        "and",
        "are",
        "contains",
        "depicts",
        "has",
        "is",
        "looks",
        "matches",
        "or",
        "resembles",
        "shows",
        "versus",
        "vs",
        "was",
    ]
)
_ASKING = frozenset(["a", "an", "any", "he", "it", "she", "that", "the", "there", "these", "they", "this", "those"])
_MARK = re.compile(r"<\|?(?:image|img)[ _-]*(\d{1,3})\|?>", re.IGNORECASE)
_POSSESSIVE = re.compile(r"['’]s\b")


@dataclass(frozen=True, slots=True)
class Front:
    """How images are put in front."""

    separator: str = "\n"
    """Between the images and the words."""
    leave: str = "image {k}"
    """Said where an image stood inside a sentence; ``{k}`` is its number. Empty: nothing."""
    labels: Literal["keep", "drop"] = "drop"
    """What becomes of "Image 1:" once its image is gone: it names a place where nothing is any more."""


def to_front(example: Example, front: Front) -> Example:
    """Return the conversation with all images that its users give in front of the first user's words.

    Images that the assistant gives stay. Where one of those comes before a user's, the order would change: then the
    conversation stays as it is, and so it does where its images are in front already. Demonstrations likewise.
    """
    shown = tuple(to_front(each, front) for each in example.demonstrations)
    turns = example.turns
    visuals = [part for turn in turns if turn.role != "assistant" for part in turn.parts if not isinstance(part, Text)]
    first = next((index for index, turn in enumerate(turns) if turn.role == "user"), None)
    if first is None or not visuals or _is_in_front(turns, first, len(visuals)) or _replies_between(turns):
        return replace(example, demonstrations=shown)
    count = sum(isinstance(part, ImageRef) for turn in turns for part in turn.parts)
    moved: list[Turn] = []
    number = 1
    for turn in turns:
        images = sum(isinstance(part, ImageRef) for part in turn.parts)
        parts = turn.parts if turn.role == "assistant" else _words_left(turn.parts, number, count, front)
        moved.append(Turn(turn.role, parts))
        number += images
    words = text_of(moved[first]).lstrip()
    said = [Text(front.separator + words)] if words else []
    moved[first] = Turn("user", tidy([*visuals, *said]))
    return replace(example, turns=tuple(moved), demonstrations=shown)


def to_published_front(example: Example) -> Example:
    """Return the conversation as LLaVA's training makes it: where a turn has exactly one image (or video) and does not
    start with it, that one goes to the front of its turn, a line end after it; turns with more stay as they are.
    A marker of noisy captions is deleted. Source: ``preprocess_multimodal`` of LLaVA-NeXT.
    """
    shown = tuple(map(to_published_front, example.demonstrations))
    return replace(example, turns=tuple(map(_published_turn, example.turns)), demonstrations=shown)


def to_references(example: Example) -> Example | None:
    """Return the conversation with images at the words that name them, or None where no image can be moved so.

    A user's turn whose images stand together at its start or end gets each right after its first mention there
    ("image 2", "the second image"), or instead of its mark "<image 2>". Only a turn that mentions all of its images,
    in their order, is changed: an image's number is its place.
    """
    count = sum(isinstance(part, ImageRef) for turn in example.turns for part in turn.parts)
    turns: list[Turn] = []
    number = 1
    for turn in example.turns:
        images = [part for part in turn.parts if isinstance(part, ImageRef)]
        placed = _placed(turn.parts, images, number, count) if turn.role == "user" and images else None
        turns.append(turn if placed is None else Turn(turn.role, placed))
        number += len(images)
    return None if tuple(turns) == example.turns else replace(example, turns=tuple(turns))


def _is_in_front(turns: Sequence[Turn], first: int, count: int) -> bool:
    parts = turns[first].parts
    return len(parts) >= count and not any(isinstance(part, Text) for part in parts[:count])


def _replies_between(turns: Sequence[Turn]) -> bool:
    """Return whether an image of the assistant stands before one of a user."""
    given = [turn.role for turn in turns for part in turn.parts if not isinstance(part, Text)]
    return "assistant" in given and given[given.index("assistant") :] != ["assistant"] * given.count("assistant")


def _words_left(parts: Sequence[Part], number: int, count: int, front: Front) -> tuple[Part, ...]:
    """Return a turn's words without its images, with their names where they are missed: inside a sentence, or where
    words between images belong to one of them ("The front view: <image> The right view: <image>")."""
    labels, named = labels_in(parts, number, count=count), labelled(parts, number, count=count)
    apart = words_between(parts, number, count=count) is not None
    dropped = labels if front.labels == "drop" else {}
    words = [part.text if isinstance(part, Text) else "" for part in parts]
    alone = not "".join(words).strip()
    said = ""
    inside = False
    for index, part in enumerate(parts):
        if isinstance(part, Text):
            text = without_labels(part.text, dropped.get(index, []))
            if index > 1 and index - 2 in dropped:
                # What followed "Image 1 is <image>" closes nothing any more.
                text = re.sub(r"^[ \t]*[.,;)]", "", text)
                text = text.lstrip() if not said[-1:].strip() else text
            said += text.lstrip(" ") if said[-1:] in ("", " ", "\n") else text
            continue
        before = words[index - 1] if index else ""
        after = words[index + 1] if index + 1 < len(words) else ""
        inside = number not in named and _is_inside(before, after, chained=inside)
        if isinstance(part, ImageRef):
            if inside or alone or (apart and number not in named):
                said = _insert(said, front.leave.replace("{k}", str(number)), after, inside=inside)
            number += 1
    return tidy([Text(said if parts and isinstance(parts[-1], Text) else said.rstrip())])


def _is_inside(before: str, after: str, *, chained: bool) -> bool:
    """Return whether an image stands inside a sentence, and would be missed there."""
    left, right = before.rstrip(" \t"), after.lstrip(" \t")
    last = left.split()[-1].lower() if left[-1:].isalnum() else ""
    following = right[:80].lower().split()
    if last in _PREPOSITIONS or (chained and left.endswith(",")):
        return True
    if left and not left.endswith((",", "\n")) and not last:
        return False
    if following[:1] and following[0].strip(",.?") in _VERBS and not right[:1].isupper():
        return not left.strip() and (len(following) < 2 or following[1] not in _ASKING)
    return bool(last) and right[:1].islower()


def _insert(said: str, name: str, after: str, *, inside: bool) -> str:
    if not name:
        return said
    opens = not said.strip() or said.rstrip(" \t").endswith((".", "?", "!", "\n"))
    name = name[0].upper() + name[1:] if opens else name
    gap = " " if said and not said[-1].isspace() and said[-1] not in "([\"'“‘" else ""
    colon = ":" if not inside and after.lstrip(" ")[:1].isupper() else ""
    return said + gap + name + colon + (" " if after[:1].isalnum() else "")


def _published_turn(turn: Turn) -> Turn:
    visuals = [part for part in turn.parts if not isinstance(part, Text)]
    parts = turn.parts
    if len(visuals) == 1 and isinstance(parts[0], Text):
        # As the published rule sees it, an image after words of no letter is an image that does not stand first.
        parts = (visuals[0], Text(f"\n{text_of(turn).strip()}".rstrip()))
    cleaned = [Text(part.text.replace(NOISE, "")) if isinstance(part, Text) else part for part in parts]
    return Turn(turn.role, tidy(cleaned))


def _placed(parts: Sequence[Part], images: Sequence[ImageRef], number: int, count: int) -> tuple[Part, ...] | None:
    words = "".join(part.text for part in parts if isinstance(part, Text))
    if any(isinstance(part, VideoRef) for part in parts) or not _stand_together(parts):
        return None
    if labelled(parts, number, count=count):
        return None
    points: list[tuple[int, int]] = []
    for wanted in range(number, number + len(images)):
        point = _point(words, wanted, count)
        if point is None or (points and point[0] < points[-1][1]):
            return None
        points.append(point)
    said: list[Part] = []
    end = 0
    for (start, stop), image in zip(points, images, strict=True):
        gap = " " if start == stop and start else ""
        said += [Text(words[end:start] + gap), image]
        end = stop
    rest = words[end:].rstrip() if not isinstance(parts[-1], Text) else words[end:]
    placed = tidy([*said, Text(rest)])
    return (Text(placed[0].text.lstrip()), *placed[1:]) if isinstance(placed[0], Text) else placed


def _stand_together(parts: Sequence[Part]) -> bool:
    """Return whether the images come one after the other, at the start or the end of the turn."""
    kinds = ["word" if isinstance(part, Text) else "image" for part in parts if _says(part)]
    changes = sum(a != b for a, b in pairwise(kinds))
    return "word" in kinds and changes == 1


def _says(part: Part) -> bool:
    return not isinstance(part, Text) or bool(part.text.strip())


def _point(words: str, wanted: int, count: int) -> tuple[int, int] | None:
    """Return the span of words that an image's pixels take: of its mark, or an empty one after its first mention."""
    for mark in _MARK.finditer(words):
        if int(mark[1]) == wanted:
            return mark.span()
    for reference in find_references(words, count=count):
        if reference.numbers == (wanted,):
            stop = reference.stop
            if reference.form in ("ordinal", "nth", "last"):
                noun = re.compile(r"(?:(?:,|\s{1,8}and|\s{1,8}or)\s{1,8}\w+){0,8}\s{1,8}[A-Za-z]+").match(words, stop)
                stop = stop if noun is None else noun.end()
            owned = _POSSESSIVE.match(words, stop)
            return (stop, stop) if owned is None else (owned.end(), owned.end())
    return None
