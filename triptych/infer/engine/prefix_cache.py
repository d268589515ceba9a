"""Beginnings of conversations that need not be computed again: which are known, and what a prompt shares with them.

Not the computing (``slots``). A conversation is known by its tokens, an image's replaced by a number that stands for
what the image holds and how many tokens it takes; so the same image from another file is the same. Keys and values
of at most so many tokens are kept, those used longest ago are forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from triptych.core.records import ImageRef
from triptych.data.media.locate import digest_of, stamp_of
from triptych.data.template import Encoded
from triptych.infer.decoding.batches import Key, common_prefix
from triptych.infer.engine.slots import PrefixKV

LEAST_TOKENS = 8
"""What is less than this in common is computed."""
MOST_IMAGES = 65_536
"""Most images with a number, and most files with a known digest; those used longest ago are forgotten."""


class PromptKeys:
    """Makes the keys of prompts, in which numbers stand for images. State: the numbers given, and digests of files.

    Invariant: no number is given to two images, even where the first has been forgotten.
    """

    def __init__(self, most: int = MOST_IMAGES) -> None:
        """Begin without any, to know at most so many."""
        self._most = most
        self._given = 0
        self._digests: OrderedDict[tuple[str, str, int, int], str] = OrderedDict()
        self._numbers: OrderedDict[tuple[object, ...], int] = OrderedDict()

    def __len__(self) -> int:
        return max(len(self._digests), len(self._numbers))

    def key(self, prompt: Encoded) -> Key:
        """Return a prompt's tokens, with a number for each image that tells its content, its cut and its length.

        Images that share their tokens have one number for all of them.

        Raises:
            ImageError: an image cannot be read; a DataError.
        """
        key = list(prompt.ids)
        for place in prompt.places:
            length = place.stop - place.start
            what = *((self._digest(image), image.box, image.resize) for image in place.images), length
            key[place.start : place.stop] = [self._number(what)] * length
        return tuple(key)

    def _number(self, what: tuple[object, ...]) -> int:
        if what not in self._numbers:
            self._given += 1
            self._numbers[what] = -self._given
        self._numbers.move_to_end(what)
        if len(self._numbers) > self._most:
            self._numbers.popitem(last=False)
        return self._numbers[what]

    def _digest(self, image: ImageRef) -> str:
        seen = (image.source, *stamp_of(image.source))
        if seen not in self._digests:
            self._digests[seen] = digest_of(image.source)
        self._digests.move_to_end(seen)
        if len(self._digests) > self._most:
            self._digests.popitem(last=False)
        return self._digests[seen]


@dataclass(frozen=True, slots=True, eq=False)
class CachedPrefix:
    """The beginning of a conversation, with its keys and values."""

    key: Key
    nexts: tuple[int, ...]
    """Per token, the position id of the token after it."""
    kept: PrefixKV


class PrefixCache:
    """Beginnings that were computed. Its state: they, the one used longest ago first."""

    def __init__(self, tokens: int) -> None:
        """Begin without any; at most so many tokens are kept, none for 0."""
        self._most = tokens
        self._known: OrderedDict[Key, CachedPrefix] = OrderedDict()
        self.tokens = 0
        """How many are kept."""

    def find(self, key: Key, *, over: int = 0) -> tuple[CachedPrefix | None, int]:
        """Return what has most in common with a prompt and how many tokens that is, where it is more than ``over``."""
        best, most = None, over
        for known in self._known.values():
            found = common_prefix(key, known.key)
            if found > most:
                best, most = known, found
        if best is not None and 2 * most >= len(best.key):  # a common greeting keeps nobody alive
            self._known.move_to_end(best.key)
        return best, most if best is not None else 0

    def tokens_to_keep(self, key: Key) -> int:
        """Return how many of these tokens are worth keeping: 0 where they are known already, or nothing is kept."""
        if any(known[: len(key)] == key for known in self._known):
            return 0
        return min(len(key), self._most)

    def add(self, known: CachedPrefix) -> None:
        """Keep a beginning in place of those that it begins with, and forget others where it is too much."""
        for shorter in [each for each in self._known if known.key[: len(each)] == each]:
            self._forget(shorter)
        while self._known and self.tokens + len(known.key) > self._most:
            self._forget(next(iter(self._known)))
        self._known[known.key] = known
        self.tokens += len(known.key)

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()
        self.tokens = 0

    def _forget(self, key: Key) -> None:
        self.tokens -= len(self._known.pop(key).key)


def usable(prompt: Encoded, found: int, *, cross_attends: bool = False) -> int:
    """Return how many of the found tokens can be taken over: no image is cut, and one token is left to be computed.

    Args:
        prompt: what is asked.
        found: how many tokens it has in common with what is known.
        cross_attends: words see images by cross-attention, and images with nothing between them may be one medium:
            then no cut is right behind an image either.
    """
    most = min(found, len(prompt.ids) - 1)
    for slot in reversed(prompt.slots):
        if slot.start < most < slot.stop or (cross_attends and most == slot.stop):
            most = slot.start
    return most if most >= LEAST_TOKENS else 0


def rest_of(prompt: Encoded, start: int) -> Encoded:
    """Return a prompt without its first tokens, none of which is within an image that goes on."""
    slots = tuple(
        replace(slot, start=slot.start - start, stop=slot.stop - start) for slot in prompt.slots if slot.start >= start
    )
    return replace(prompt, ids=prompt.ids[start:], trained=prompt.trained[start:], slots=slots)
