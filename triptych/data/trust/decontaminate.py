"""Rows that a benchmark holds too: its pictures, also scaled, saved again or cut a little; its videos; its words.

Not a judge of what a benchmark is: any source can be one. A row is *shared* when a picture of it is a benchmark's, in
either direction (``near``; a cut may be theirs or ours), or a video (``videos``; a picture is not looked for in a
video), or when a turn has a run of 13 words of a benchmark's turn; a
shorter turn, of at least 8 words, must be theirs whole. Runs that more than ``COMMON`` of their turns have are their
instructions ("answer with the letter of..."), and say nothing. A question of fewer words, asked alike, is told and not
taken for shared: too many people ask "What is in the picture?". Of a benchmark's row whose pictures cannot be read the
words are compared still where they can be (``unseen``). Invariant: clean + shared + refused = examples.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Literal, TypeVar

from PIL import Image

from triptych.core.records import Example, ImageRef, Json, VideoRef, images_of, videos_of
from triptych.data.format import Refused, read_source, refusal
from triptych.data.media.fingerprint import Fingerprint, fingerprint
from triptych.data.media.images import ImageError, load_image
from triptych.data.media.locate import name_of
from triptych.data.media.near import candidates, lay_over
from triptych.data.text.wording import RUN, runs_of, words_of
from triptych.data.trust.unseen import unseen_rows
from triptych.data.trust.videos import VideoPrint, same_videos, video_print

M = TypeVar("M", ImageRef, VideoRef)

COMMON = 10
"""Turns of benchmarks that may have a run of words in common before it is taken for an instruction."""
SHORT = 8
"""Words of the shortest turn that can be shared as a whole."""
_SMALL_PX = 512

Kind = Literal["picture", "video", "words", "question"]


@dataclass(frozen=True, slots=True)
class Match:
    """Something that a row has in common with a row of a benchmark."""

    where: str
    """The row."""
    theirs: str
    """The benchmark's row."""
    kind: Kind
    """``question`` alone does not make a row shared."""
    message: str
    """One full line: where, what, with which row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What sources share with benchmarks."""

    examples: int
    clean: tuple[tuple[int, int], ...]
    """(source, row), both from 0, of each row that shares nothing."""
    shared: int
    refused: tuple[Refused, ...]
    """Rows of the sources that cannot be used, so nothing is said of them."""
    benchmark_rows: int
    benchmark_refused: tuple[Refused, ...]
    """Rows of the benchmarks that cannot be read, so no picture is compared with theirs."""
    benchmark_words: int
    """Of those, the rows whose words are compared."""
    unread: tuple[str, ...]
    """Benchmarks that have rows, of which not one can be read whole: what shares a picture with them is not found."""
    unread_first: tuple[Refused, ...]
    """The first refusal of each of those."""
    matches: tuple[Match, ...]

    @property
    def kinds(self) -> Mapping[str, int]:
        """Return how many rows have a match of each kind."""
        return dict(Counter(kind for kind, _ in {(match.kind, match.where) for match in self.matches}).most_common())

    def as_json(self) -> dict[str, Json]:
        """Return the counts: what ``data decontaminate --json`` prints in front of the lists."""
        return {
            "examples": self.examples,
            "clean": len(self.clean),
            "shared": self.shared,
            "refused": len(self.refused),
            "benchmark_rows": self.benchmark_rows,
            "benchmark_refused": len(self.benchmark_refused),
            "benchmark_words": self.benchmark_words,
            "unread": list(self.unread),
            "kinds": dict(self.kinds),
        }


@dataclass(frozen=True, slots=True)
class _Read:
    """Rows of several sources, without their words."""

    rows: dict[tuple[int, int], str]
    """(source, row) -> where."""
    refused: dict[tuple[int, int], Refused]
    pictures: dict[ImageRef, Fingerprint]
    videos: dict[VideoRef, VideoPrint]
    torn: set[tuple[int, int]]
    """Of the refused rows those that a reader understands."""
    holders: dict[ImageRef | VideoRef, list[tuple[int, int]]]
    """Picture or video -> rows that show it."""


def decontaminate(sources: Sequence[str], against: Sequence[str]) -> Found:
    """Compare every row of sources with every row of benchmarks.

    Args:
        sources: each ``FORMAT:PATH``.
        against: benchmarks, each ``FORMAT:PATH``.

    Raises:
        DataError: a file as a whole cannot be read.
    """
    ours, theirs = _read(sources), _read(against)
    unseen = [row for number, source in enumerate(against) for row in _unseen(source, number, theirs)]
    read = {number for number, _ in theirs.rows}
    first = {number: row for (number, _), row in reversed(theirs.refused.items()) if number not in read}
    said, asked = _index(chain((example for _, example in _examples(against, theirs)), unseen))
    matches = [*_shared_media(ours, theirs), *_shared_words(_examples(sources, ours), said, asked)]
    taken = {where for where, match in matches if match.kind != "question"}
    clean = tuple(row for row in ours.rows if row not in taken)
    return Found(
        examples=len(ours.rows) + len(ours.refused),
        clean=clean,
        shared=len(ours.rows) - len(clean),
        refused=tuple(ours.refused.values()),
        benchmark_rows=len(theirs.rows),
        benchmark_refused=tuple(theirs.refused.values()),
        benchmark_words=len(unseen),
        unread=tuple(each for number, each in enumerate(against) if number in first),
        unread_first=tuple(first[number] for number in sorted(first)),
        matches=tuple(match for _, match in sorted(matches, key=lambda each: each[0])),
    )


def clean_rows(sources: Sequence[str], found: Found) -> Iterator[Example]:
    """Yield the rows of the sources that share nothing, in order."""
    keep = set(found.clean)
    for number, source in enumerate(sources):
        for row_number, row in enumerate(read_source(source)):
            if isinstance(row, Example) and (number, row_number) in keep:
                yield row


def _read(sources: Sequence[str]) -> _Read:
    read = _Read({}, {}, {}, {}, set(), defaultdict(list))
    broken: dict[ImageRef | VideoRef, ImageError] = {}
    for number, source in enumerate(sources):
        for row_number, row in enumerate(read_source(source)):
            seen = _looked_at(row, read, broken)
            if isinstance(seen, Refused):
                read.refused[number, row_number] = seen
                if isinstance(row, Example):
                    read.torn.add((number, row_number))
                continue
            read.rows[number, row_number] = _where(seen)
            for medium in dict.fromkeys(_media_of(seen)):
                read.holders[medium].append((number, row_number))
    return read


def _looked_at(row: Example | Refused, read: _Read, broken: dict[ImageRef | VideoRef, ImageError]) -> Example | Refused:
    """Return a row whose pictures and videos have prints now, or its refusal."""
    if isinstance(row, Refused):
        return row
    for medium in _media_of(row):
        if medium not in read.pictures and medium not in read.videos and medium not in broken:
            try:
                if isinstance(medium, VideoRef):
                    read.videos[medium] = video_print(medium)
                else:
                    read.pictures[medium] = fingerprint(load_image(medium), crops=True)
            except ImageError as error:
                broken[medium] = error
        if medium in broken:
            return refusal(row, broken[medium].reason, message=str(broken[medium]))
    return row


def _media_of(example: Example) -> list[ImageRef | VideoRef]:
    return [*images_of(example), *videos_of(example)]


def _shared_media(ours: _Read, theirs: _Read) -> Iterator[tuple[tuple[int, int], Match]]:
    yield from _shared("picture", _same_pictures(ours.pictures, theirs.pictures), ours, theirs)
    yield from _shared("video", same_videos(ours.videos, theirs.videos, load=_small), ours, theirs)


def _shared(
    kind: Kind, pairs: Mapping[tuple[M, M], str], ours: _Read, theirs: _Read
) -> Iterator[tuple[tuple[int, int], Match]]:
    for (mine, other), how in pairs.items():
        (their_row, *more) = theirs.holders[other]
        also = f" and {len(more)} more" if more else ""
        for row in ours.holders[mine]:
            where, their_where = ours.rows[row], theirs.rows[their_row]
            said = f"{kind} {name_of(mine.source)!r} {how} {name_of(other.source)!r} of {their_where}{also}."
            yield row, Match(where, their_where, kind, f"{where}: {said}")


def _same_pictures(
    ours: Mapping[ImageRef, Fingerprint], theirs: Mapping[ImageRef, Fingerprint]
) -> dict[tuple[ImageRef, ImageRef], str]:
    """Return the pairs of pictures that are one picture, with what the first is of the second."""
    mine, others = list(ours), list(theirs)
    my_prints, their_prints = list(ours.values()), list(theirs.values())
    by_pixels = defaultdict(list)
    for image, seen in theirs.items():
        by_pixels[seen.pixels].append(image)
    found = {(image, other): "is" for image, seen in ours.items() for other in by_pixels.get(seen.pixels, ())}
    load = lru_cache(maxsize=256)(_small)
    for each in candidates(my_prints, their_prints):
        pair = (mine[each.left], others[each.right])
        if pair not in found and lay_over(load(pair[0]), load(pair[1]), window=each.window).same:
            found[pair] = "looks like" if each.window == 0 else "looks like a part of"
    for each in candidates(their_prints, my_prints):
        pair = (mine[each.right], others[each.left])
        if pair not in found and lay_over(load(pair[1]), load(pair[0]), window=each.window).same:
            found[pair] = "looks like" if each.window == 0 else "holds what looks like"
    return found


def _small(image: ImageRef) -> Image.Image:
    """Return a picture's pixels, few enough to keep some."""
    pixels = load_image(image)
    pixels.thumbnail((_SMALL_PX, _SMALL_PX), Image.Resampling.BOX)
    return pixels


def _shared_words(
    rows: Iterable[tuple[tuple[int, int], Example]], said: Mapping[str, str], asked: Mapping[str, str]
) -> Iterator[tuple[tuple[int, int], Match]]:
    for row, example in rows:
        where = _where(example)
        for kind, key, their_where in _words_in_common(example, said, asked):
            verb = "asks like" if kind == "question" else "has words of"
            yield row, Match(where, their_where, kind, f"{where}: {verb} {their_where}: {key!r}.")


def _words_in_common(
    example: Example, said: Mapping[str, str], asked: Mapping[str, str]
) -> Iterator[tuple[Kind, str, str]]:
    """Yield the first words that a row shares, and the first short question."""
    keys = [key for words in _turns(example) for key in _keys(words)]
    if (shared := next((key for key in keys if key in said), None)) is not None:
        yield "words", shared, said[shared]
    short = [" ".join(words_of(turn)) for turn in example.turns if turn.role == "user"]
    if (question := next((key for key in short if key in asked), None)) is not None:
        yield "question", question, asked[question]


def _index(rows: Iterable[Example]) -> tuple[dict[str, str], dict[str, str]]:
    """Return runs of words -> where of a benchmark's row, but for common ones; and short questions -> where."""
    runs: dict[str, str] = {}
    turns: Counter[str] = Counter()
    asked: dict[str, str] = {}
    seen: set[str] = set()
    for example in rows:
        where = _where(example)
        for words in _turns(example):
            text = " ".join(words)
            if text in seen:
                continue
            seen.add(text)
            for key in set(_keys(words)):
                turns[key] += 1
                runs.setdefault(key, where)
        for turn in example.turns:
            words = words_of(turn)
            if turn.role == "user" and 0 < len(words) < SHORT:
                asked.setdefault(" ".join(words), where)
    return {key: where for key, where in runs.items() if turns[key] <= COMMON}, asked


def _unseen(source: str, number: int, read: _Read) -> Iterator[Example]:
    """Yield the refused rows of a source whose words can be read still."""
    refused = [row for each, row in read.refused if each == number]
    return unseen_rows(source, refused, torn=[row for each, row in read.torn if each == number])


def _examples(sources: Sequence[str], read: _Read) -> Iterator[tuple[tuple[int, int], Example]]:
    for number, source in enumerate(sources):
        for row_number, row in enumerate(read_source(source)):
            if isinstance(row, Example) and (number, row_number) in read.rows:
                yield (number, row_number), row


def _where(example: Example) -> str:
    return f"{example.origin} (id {example.id!r})"


def _turns(example: Example) -> Iterator[list[str]]:
    for shown in example.demonstrations:
        yield from _turns(shown)
    yield from (words_of(turn) for turn in example.turns if turn.role != "system")


def _keys(words: Sequence[str]) -> list[str]:
    """Return what of a turn can be shared: its runs, or the whole of a shorter one."""
    if len(words) >= RUN:
        return runs_of(words)
    return [" ".join(words)] if len(words) >= SHORT else []
