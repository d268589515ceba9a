"""Which pictures are the same picture: scaled, saved again, or cut a little at the edges.

Three looks, each only at what the one before let through: hashes (all pairs, in blocks of numpy), small copies, and at
last the pixels, one laid over the other as well as it goes. The limits were chosen on drawn scenes and one half of
some real photographs; docs/data.md tells what they find and mistake on the other half. A plain picture (one colour, an
empty page) is only ever found by its exact pixels.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triptych.data.media.fingerprint import THUMB_PX, WINDOWS, Fingerprint, Hash

LOW_BITS, ALL_BITS = 14, 104
"""Most signs that may differ of the lowest 64, and of all 256: with windows, where edges fall between two of them."""
WHOLE_LOW_BITS, WHOLE_ALL_BITS = 8, 48
"""As ``LOW_BITS`` and ``ALL_BITS``, where only whole pictures are compared."""
MEAN_LEVELS = 22.0
"""Most that small copies may differ, on average, in levels of 0 to 255."""
CORRELATION = 0.92
"""Least correlation of two pictures that lie over each other."""
WORST_LEVELS = 34.0
"""Most that the four least alike of 64 blocks may differ on average, in levels of 0 to 255."""
MOST = 8
"""Candidates of one picture that are laid over: where all pictures are alike, the nearest are enough to be sure."""
_LEFT, _RIGHT = 64, 1 << 14
"""Hashes compared at once: 8 MiB, which stay in the processor's cache."""
_LAID_PX, _FROM_PX = 48, 192
_BLOCKS = 8
_FURTHEST_CUT = 0.25
_STEPS = (0.04, 0.02, 0.01)
Cut = tuple[float, float, float, float]
"""(left, top, right, bottom): shares of the sides that are left out."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Two pictures whose hashes and small copies are alike."""

    left: int
    right: int
    window: int
    """Which of ``WINDOWS`` of the right one looks like the whole left one."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """How alike two pictures are where one is laid over a part of the other."""

    correlation: float
    """Correlation of all pixels, -1 to 1."""
    worst: float
    """Mean difference of the four least alike of 64 blocks, in levels of 0 to 255."""
    cut: Cut
    """What the first leaves out of the second."""

    @property
    def same(self) -> bool:
        """Return whether they are one picture."""
        return self.correlation >= CORRELATION and self.worst <= WORST_LEVELS


def equal_pixels(prints: Sequence[Fingerprint]) -> list[tuple[int, ...]]:
    """Return the groups of two and more whose pixels are all equal, in order of their first."""
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    for number, each in enumerate(prints):
        groups[each.pixels].append(number)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def candidates(left: Sequence[Fingerprint], right: Sequence[Fingerprint]) -> Iterator[Candidate]:
    """Yield the pairs worth laying over each other, each once: the nearest ``MOST`` of each left picture.

    Plain pictures are left out, and so is a picture beside itself where both lists are one. A cut is looked for where
    ``right`` has windows; those of ``left`` are not used: to find cuts both ways, ask both ways. All pairs are
    compared, at about 1.5 billion hashes a second and core.
    """
    from_left = [number for number, each in enumerate(left) if not each.plain]
    from_right = [number for number, each in enumerate(right) if not each.plain]
    if not (from_left and from_right):
        return
    others = np.stack([right[number].hashes for number in from_right], axis=1)
    other_thumbs = np.stack([right[number].thumb for number in from_right])
    for start in range(0, len(from_left), _LEFT):
        block = from_left[start : start + _LEFT]
        wholes = np.stack([left[number].hashes[0] for number in block])
        thumbs = np.stack([left[number].thumb for number in block])
        best: dict[tuple[int, int], tuple[int, int]] = {}
        for window, hashes in enumerate(others):
            for one, other, bits in _alike(wholes, hashes, crops=len(others) > 1):
                near = _mean_difference(thumbs[one], other_thumbs[other], WINDOWS[window]) <= MEAN_LEVELS
                for at, other_at, apart in zip(*(it[near].tolist() for it in (one, other, bits)), strict=True):
                    pair = (block[at], from_right[other_at])
                    best[pair] = min(best.get(pair, (apart, window)), (apart, window))
        if left is right:
            best = {pair: found for pair, found in best.items() if pair[0] != pair[1]}
        yield from _nearest(best)


def lay_over(one: Image.Image, other: Image.Image, *, window: int | None = None) -> Overlay:
    """Return how alike two RGB pictures are when the first lies over the part of the second that suits it best.

    Args:
        one: perhaps a copy or a cut.
        other: perhaps what it comes from.
        window: of ``WINDOWS``, where to begin; the edges then move while that helps. None: it lies over the whole.
    """
    whole = other.copy()
    whole.thumbnail((_FROM_PX, _FROM_PX), Image.Resampling.BOX)
    pixels = _laid(one, (0.0, 0.0, 0.0, 0.0))
    cut: Cut = WINDOWS[window or 0]
    best = _correlation(pixels, _laid(whole, cut))
    for step in _STEPS if window is not None else ():
        moved = True
        while moved:
            moved = False
            for next_cut in _moves(cut, step):
                score = _correlation(pixels, _laid(whole, next_cut))
                if score > best:
                    best, cut, moved = score, next_cut, True
    side = _LAID_PX // _BLOCKS
    apart = np.abs(pixels - _laid(whole, cut)).reshape(_BLOCKS, side, _BLOCKS, side, 3).mean((1, 3)).max(-1)
    return Overlay(best, float(np.sort(apart, axis=None)[-4:].mean()), cut)


def _nearest(best: Mapping[tuple[int, int], tuple[int, int]]) -> Iterator[Candidate]:
    taken: Counter[int] = Counter()
    for (one, other), (_, window) in sorted(best.items(), key=lambda item: (item[1], item[0])):
        taken[one] += 1
        if taken[one] <= MOST:
            yield Candidate(one, other, window)


def _alike(
    left: Hash, right: Hash, *, crops: bool
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]]:
    """Yield (left, right, bits that differ) of pairs whose hashes are near each other, a block at a time."""
    most_low, most = (LOW_BITS, ALL_BITS) if crops else (WHOLE_LOW_BITS, WHOLE_ALL_BITS)
    low_left, low_right = left[:, 0], np.ascontiguousarray(right[:, 0])
    for begin in range(0, len(right), _RIGHT):
        apart = low_left[:, None] ^ low_right[None, begin : begin + _RIGHT]
        one, other = np.nonzero(np.bitwise_count(apart) <= most_low)
        if len(one):
            other += begin
            bits = np.bitwise_count(left[one] ^ right[other]).sum(-1, dtype=np.int64)
            near = bits <= most
            yield one[near], other[near], bits[near]


def _mean_difference(one: NDArray[np.uint8], other: NDArray[np.uint8], cut: Cut) -> NDArray[np.float32]:
    """Return the mean difference in levels of small copies (n, side, side, 3), the second without what is cut."""
    left, top, right, bottom = cut
    steps = (np.arange(THUMB_PX) + 0.5) / THUMB_PX
    rows = ((top + steps * (1 - top - bottom)) * THUMB_PX).astype(int)
    columns = ((left + steps * (1 - left - right)) * THUMB_PX).astype(int)
    apart = np.abs(_sums(one) - _sums(other[:, rows][:, :, columns]))
    mean: NDArray[np.float32] = apart.mean(1, dtype=np.float32) / (THUMB_PX // _BLOCKS) ** 2
    return mean


def _sums(thumbs: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return (n, 64 * 3): the sum of levels in each of 64 blocks of small copies."""
    side = THUMB_PX // _BLOCKS
    sums = np.zeros((len(thumbs), _BLOCKS, _BLOCKS, 3), dtype=np.int32)
    for row, column in np.ndindex(side, side):
        sums += thumbs[:, row::side, column::side]
    return sums.reshape(len(thumbs), _BLOCKS * _BLOCKS * 3)


def _moves(cut: Cut, step: float) -> Iterator[Cut]:
    for edge in range(4):
        for move in (step, -step):
            moved = min(_FURTHEST_CUT, max(0.0, cut[edge] + move))
            if moved != cut[edge]:
                yield (*cut[:edge], moved, *cut[edge + 1 :])  # type: ignore[misc]


def _laid(picture: Image.Image, cut: Cut) -> NDArray[np.float32]:
    left, top, right, bottom = cut
    width, height = picture.size
    box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
    size = (_LAID_PX, _LAID_PX)
    return np.asarray(picture.resize(size, Image.Resampling.BOX, box=box), dtype=np.float32)


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    one, other = one - one.mean(), other - other.mean()
    spread = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / spread if spread > 0 else 0.0
