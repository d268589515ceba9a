"""Where images stand in a conversation: all in front of the first user's words, or at the words that name them.

Not which images, and not their order: that never changes here, nor does the number that an image has. ``transforms/``
choose between the layouts. Source: arXiv:2407.07895 section 3.2 trains on both; in front, words that refer to each
image stay in the text. Its code was not published, so the rules for words (``gaps``) are ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Literal

from triptych.core.records import Example, ImageRef, Part, Text, Turn, VideoRef, images_of, text_of
from triptych.data.text.gaps import words_left
from triptych.data.text.labels import labelled
from triptych.data.text.loose import find_hidden
from triptych.data.text.naming import name_last
from triptych.data.text.references import find_references, find_unsure, is_from_end
from triptych.data.text.turns import NOISE_MARKER, images_shown
from triptych.data.transform import NOTES, tidy

_MARK = re.compile(r"<\|?(?:image|img)[ _-]*(\d{1,3})\|?>", re.IGNORECASE)
_POSSESSIVE = re.compile(r"['’]s\b")


@dataclass(frozen=True, slots=True)
class Front:
    """How images are put in front."""

    separator: str = "\n"
    """What stands between the images and the words."""
    leave: str = "image {k}"
    """Said where an image stood inside a sentence; ``{k}`` is its number. Of several side by side: "images 1 to 10"; of
    a video: "the video", or "video 2" where there are more. Empty: nothing."""
    labels: Literal["keep", "drop"] = "drop"
    """What becomes of "Image 1:" once its image is gone: it names a place where nothing is any more. One that heads
    words of its own ("Image 1: <image> a cat") or stands inside a sentence always stays, as a name."""


def images_before(example: Example) -> list[int]:
    """Return how many images the words of each demonstration, and then of the conversation, count before their own:
    none, unless ``in_context`` made their numbers run through the prompt."""
    notes = example.facts.get(NOTES)
    through = isinstance(notes, list) and any(
        isinstance(note, dict)
        and note.get("kind") == "in_context"
        and "left" not in note
        and note.get("renumber", True) is True
        for note in notes
    )
    return [0, *accumulate(len(images_of(each)) * through for each in example.demonstrations)]


def counts_shown(example: Example) -> str | None:
    """Return words of a conversation that counts its own images and yet mean more than it has, as "the last two images"
    behind a demonstration, before which the system showed one; None: there are none."""
    own = _own_images(example)
    told = sum(isinstance(part, ImageRef) for turn in example.turns if turn.role == "system" for part in turn.parts)
    count = len(images_of(example))
    for turn, shown in zip(example.turns, images_shown(example.turns), strict=True):
        text = text_of(turn)
        for reference in find_references(text, count=count, shown=count):
            said = text[reference.start : reference.stop]
            behind = shown if turn.role == "system" else shown - told
            if len(reference.numbers) > behind if is_from_end(said) else max(reference.numbers) > own:
                return said
        for said, numbers in find_unsure(text, count=count):
            if max(numbers, default=0) > own:
                return said
    return None


def hidden_number(shorter: Example, example: Example) -> str | None:
    """Return a number by itself in what stays of an example that may mean an image whose number is another now that
    what stood in front is gone; None: there is none."""
    if images_before(example)[-1]:
        gone, kept = len(images_of(example)) - len(images_of(shorter)), (*shorter.demonstrations, shorter)
    else:
        gone, kept = _own_images(example) - _own_images(shorter), (shorter,)
    if not gone:
        return None
    ends = accumulate(map(_own_images, kept), initial=gone)
    found = (find_hidden(each.turns, count=end) for each, end in zip(kept, list(ends)[1:], strict=True))
    return next(filter(None, found), None)


def _own_images(example: Example) -> int:
    return sum(isinstance(part, ImageRef) for turn in example.turns for part in turn.parts)


def to_front(example: Example, front: Front, *, before: int = 0) -> Example:
    """Return the conversation with all images that its users give in front of the first user's words.

    Images that the assistant gives stay. Where one of those comes before a user's, the order would change: then the
    conversation stays as it is, and so it does where its images are in front already. Demonstrations likewise.

    Args:
        example: any.
        front: how.
        before: images that its words count before its own, in a prompt that it is a demonstration of.

    Raises:
        UnclearError: words like "the last one", which would mean another image.
    """
    *offsets, own = [before + each for each in images_before(example)]
    shown = tuple(to_front(each, front, before=at) for each, at in zip(example.demonstrations, offsets, strict=True))
    turns = example.turns
    visuals = [part for turn in turns if turn.role != "assistant" for part in turn.parts if not isinstance(part, Text)]
    first = next((index for index, turn in enumerate(turns) if turn.role == "user"), None)
    if first is None or not visuals or _is_in_front(turns, first, len(visuals)) or _replies_between(turns):
        return replace(example, demonstrations=shown)
    count = own + images_shown(turns)[-1]
    holds = [turn.role != "assistant" and any(not isinstance(part, Text) for part in turn.parts) for turn in turns]
    moved: list[Turn] = []
    several = sum(isinstance(part, VideoRef) for turn in turns for part in turn.parts) > 1
    number, video = own + 1, 1
    for turn, has_some in zip(turns, holds, strict=True):
        keep, parts, spread = front.labels == "keep", turn.parts, sum(holds) > 1
        if has_some:
            which = video if several else 0
            left = words_left(
                parts, number, count=count, video=which, leave=front.leave, keep_labels=keep, spread=spread
            )
            parts = tidy([Text(left)])
        moved.append(replace(turn, parts=parts))
        number += sum(isinstance(part, ImageRef) for part in turn.parts)
        video += sum(isinstance(part, VideoRef) for part in turn.parts)
    words = text_of(moved[first]).lstrip("\r\n")
    apart = [Text(front.separator + words)] if words.strip() else []
    moved[first] = replace(moved[first], parts=tidy([*visuals, *apart]))
    return replace(example, turns=tuple(_last_named(turns, moved, own)), demonstrations=shown)


def to_published_front(example: Example) -> Example:
    """Return the conversation as LLaVA's training makes it: where a turn has exactly one image (or video) and does not
    start with it, that one goes to the front of its turn, a line end after it; turns with more stay as they are.
    ``NOISE_MARKER`` is deleted. Source: ``preprocess_multimodal`` of LLaVA-NeXT.
    """
    shown = tuple(map(to_published_front, example.demonstrations))
    return replace(example, turns=tuple(map(_published_turn, example.turns)), demonstrations=shown)


def to_references(example: Example) -> Example | None:
    """Return the conversation with images at the words that name them, or None where no image can be moved so.

    A user's turn whose images stand together at its start or end gets each right after its first mention there
    ("image 2", "the second image"), or instead of its mark "<image 2>". Only a turn that mentions all of its images,
    in their order, is changed: an image's number is its place.
    """
    number = images_before(example)[-1] + 1
    count = number - 1 + sum(isinstance(part, ImageRef) for turn in example.turns for part in turn.parts)
    turns: list[Turn] = []
    for turn in example.turns:
        images = [part for part in turn.parts if isinstance(part, ImageRef)]
        placed = _placed(turn.parts, images, number, count) if turn.role == "user" and images else None
        turns.append(turn if placed is None else replace(turn, parts=placed))
        number += len(images)
    return None if tuple(turns) == example.turns else replace(example, turns=tuple(turns))


def _is_in_front(turns: Sequence[Turn], first: int, count: int) -> bool:
    parts = turns[first].parts
    return len(parts) >= count and not any(isinstance(part, Text) for part in parts[:count])


def _last_named(turns: Sequence[Turn], moved: Sequence[Turn], before: int) -> list[Turn]:
    """Return the moved turns with "the last image" as "the second image" where others stand behind it now. Raises
    UnclearError."""
    named: list[Turn] = []
    # Of a video, "the last frame" is one of its own.
    frames = not any(isinstance(part, VideoRef) for turn in turns for part in turn.parts)
    for turn, shown, now in zip(moved, images_shown(turns), images_shown(moved), strict=True):
        last, end = (before + shown, before + now) if shown else (0, 0)
        said = (
            Text(name_last(part.text, shown=last, now=end, frames=frames)) if isinstance(part, Text) else part
            for part in turn.parts
        )
        named.append(replace(turn, parts=tuple(said)))
    return named


def _replies_between(turns: Sequence[Turn]) -> bool:
    """Return whether an image of the assistant stands before one of a user."""
    given = [turn.role for turn in turns for part in turn.parts if not isinstance(part, Text)]
    return "assistant" in given and given[given.index("assistant") :] != ["assistant"] * given.count("assistant")


def _published_turn(turn: Turn) -> Turn:
    visuals = [part for part in turn.parts if not isinstance(part, Text)]
    parts = turn.parts
    if len(visuals) == 1 and isinstance(parts[0], Text):
        # As the published rule sees it, an image after words of no letter is an image that does not stand first.
        parts = (visuals[0], Text(f"\n{text_of(turn).strip()}".rstrip()))
    cleaned = [Text(part.text.replace(NOISE_MARKER, "")) if isinstance(part, Text) else part for part in parts]
    return replace(turn, parts=tidy(cleaned))


def _placed(parts: Sequence[Part], images: Sequence[ImageRef], number: int, count: int) -> tuple[Part, ...] | None:
    words = "".join(part.text for part in parts if isinstance(part, Text))
    if any(isinstance(part, VideoRef) for part in parts) or not _stand_together(parts):
        return None
    if labelled(parts, number, count=count):
        return None
    points: list[tuple[int, int]] = []
    for wanted in range(number, number + len(images)):
        point = _point(words, wanted, count, number + len(images) - 1)
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


def _point(words: str, wanted: int, count: int, shown: int) -> tuple[int, int] | None:
    """Return the span of words that an image's pixels take: of its mark, or an empty one after its first mention."""
    for mark in _MARK.finditer(words):
        if int(mark[1]) == wanted:
            return mark.span()
    for reference in find_references(words, count=count, shown=shown):
        if reference.numbers == (wanted,):
            stop = reference.stop
            if reference.form in ("ordinal", "nth", "last"):
                noun = re.compile(r"(?:(?:,|\s{1,8}and|\s{1,8}or)\s{1,8}\w+){0,8}\s{1,8}[A-Za-z]+").match(words, stop)
                stop = stop if noun is None else noun.end()
            owned = _POSSESSIVE.match(words, stop)
            return (stop, stop) if owned is None else (owned.end(), owned.end())
    return None
