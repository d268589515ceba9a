"""``data split``: rows that are held out, and the others, such that no picture of the first stands among the second.

Rows belong together where they show one picture or parts of it, or a copy of it that was resized or saved again, or one
video, a frame of it or a copy; rows without either where they say the same. Such groups are held out whole or not at
all, in an order that follows from a seed and the rows' ids: rows that are added move few of the others. A cut of a
picture in a file of its own is not found.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from triptych.core.errors import ConfigError, DataError
from triptych.core.records import Example, ImageRef, Part, VideoRef, images_of, replace_parts, videos_of
from triptych.data.format import Refused, read_source
from triptych.data.media.fingerprint import Fingerprint
from triptych.data.media.images import ImageError
from triptych.data.text.wording import all_words
from triptych.data.trust.check import Look, groups_of
from triptych.data.trust.joined import Joined
from triptych.data.trust.videos import VideoPrint, same_videos, video_print


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Which rows of a source are held out, by their places among all of its rows."""

    held: frozenset[int]
    rest: frozenset[int]
    refused: tuple[Refused, ...]
    groups: int
    """Sets of rows that belong together, most of them of one row."""
    largest: int
    """Rows of the largest of them."""


@dataclass(frozen=True, slots=True)
class _Row:
    drawn: bytes
    """Decides when it is its turn to be held out."""
    media: tuple[ImageRef | VideoRef, ...]
    words: str
    """All of them, where it has no media."""


def split(source: str, *, share: float, seed: int = 0) -> Split:
    """Choose rows to be held out; all pixels are looked at.

    Args:
        source: ``FORMAT:PATH``.
        share: of the rows that can be used, above 0 and below 1: at most so many are held out, but one at least.
        seed: another one is another choice.

    Raises:
        ConfigError: no such share.
        DataError: the file as a whole cannot be read, or no group is as small as what is to be held out.
    """
    if not 0 < share < 1:
        raise ConfigError(f"--share: {share:g} leaves one side empty: say a number between 0 and 1, e.g. 0.02.")
    prints: dict[ImageRef, Fingerprint] = {}
    look, rows, refused = Look(prints), dict[int, _Row](), []
    for number, row in enumerate(read_source(source)):
        seen = look.at(row)
        if isinstance(seen, Refused):
            refused.append(seen)
        else:
            assert isinstance(row, Example)
            whole = replace_parts(row, _whole)
            look.at(whole)
            media: tuple[ImageRef | VideoRef, ...] = (*images_of(whole), *videos_of(whole))
            drawn = hashlib.sha256(f"{seed} {row.id}".encode()).digest()
            rows[number] = _Row(drawn, media, "" if media else " ".join(all_words(row)))
    if not rows:
        why = f": {refused[0].message}" if refused else ""
        raise DataError(f"{source} has no row that can be used{why}")
    copies = groups_of(prints)
    videos = _videos_of({each for row in rows.values() for each in row.media if isinstance(each, VideoRef)})
    together = _together({number: _signs(row, copies, videos) for number, row in rows.items()})
    order = sorted(together, key=lambda group: min(rows[number].drawn for number in group))
    most = max(1, round(share * len(rows)))
    held: set[int] = set()
    for group in order:
        if len(held) + len(group) <= most:
            held.update(group)
    if not held:
        least = min(len(group) for group in together)
        raise DataError(
            f"{source}: each row belongs to a group of {least} or more that share pictures or words, and {most} are to"
            " be held out. Ask for a larger share."
        )
    return Split(
        held=frozenset(held),
        rest=frozenset(rows.keys() - held),
        refused=tuple(refused),
        groups=len(together),
        largest=max(len(group) for group in together),
    )


def rows_at(source: str, places: frozenset[int]) -> Iterator[Example]:
    """Yield the rows at these places, in order."""
    for number, row in enumerate(read_source(source)):
        if number in places and isinstance(row, Example):
            yield row


def _whole(part: Part) -> list[Part]:
    """Return a picture for a part of it or another size: what is on one side, and on the other, are its pixels."""
    return [ImageRef(part.source, video=part.video) if isinstance(part, ImageRef) else part]


def _videos_of(videos: set[VideoRef]) -> dict[str, list[str]]:
    """Return the signs of each video, by its source: of its name, and of each other that is the same video."""
    prints: dict[VideoRef, VideoPrint] = {}
    for video in sorted(videos, key=lambda each: each.source):
        with suppress(ImageError):  # its frames are read when they are shown; its name binds it
            prints[video] = video_print(video)
    signs = {video.source: [f"video {video.source}"] for video in videos}
    for pair in same_videos(prints, prints):
        for video in pair:
            signs[video.source].append(f"videos {' '.join(sorted(each.source for each in pair))}")
    return signs


def _signs(row: _Row, copies: dict[ImageRef, str], videos: dict[str, list[str]]) -> list[str]:
    """Return what of a row binds it to others."""
    signs = [] if row.media else [f"words {row.words}"]
    for each in row.media:
        if isinstance(each, VideoRef):
            signs += videos[each.source]
            continue
        signs += [f"file {each.source}", *([copies[each]] if each in copies else [])]
        signs += [f"video {each.video}"] if each.video else []
        signs += videos.get(each.source.rpartition("/")[0], [])  # of a video that is a folder of frames
    return signs


def _together(signs: dict[int, Sequence[str]]) -> list[list[int]]:
    """Return the rows in groups that have no sign in common."""
    places, joined = {number: place for place, number in enumerate(signs)}, Joined(len(signs))
    first: dict[str, int] = {}
    for number, own in signs.items():
        for sign in own:
            joined.join(first.setdefault(sign, places[number]), places[number])
    groups = defaultdict(list)
    for number, place in places.items():
        groups[joined.head(place)].append(number)
    return list(groups.values())
