"""What an image costs: how many positions of the language model it takes, exactly, as a function of its size alone.

Not a model and not a processor: no pixel is looked at and nothing is imported from transformers. Each scheme is one
small value of settings that computes what the published image processor would give; ``cost_config`` reads it from a
model's JSON. Three numbers, so that nothing is counted twice: ``tokens`` are the image's features, the positions that
hold the image token; ``span`` adds the marks that the family writes between them (line ends, row and column marks),
which ``pattern`` spells out; ``ends`` is what it writes before the first and after the last, which a template says.

Sources: the image processors and processors of transformers 5 (their PIL classes), which ``tests/data/test_costs.py``
runs over a grid of sizes. Floats are rounded where they round, in their order: a token more or less is a crash.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import ceil, floor, sqrt
from typing import ClassVar

from triptych.core.errors import DataError
from triptych.data.media.images import Size

AROUND = "<fake_token_around_image>"
"""Mark before and after an image's features: Idefics2, Idefics3."""
LINE_END = "|NEWLINE|"
"""Mark behind each row of patches: Fuyu."""
THINNEST = 200
"""Largest ratio of an image's longer side to its shorter that Qwen-VL accepts."""


class CostError(DataError):
    """A size that the family's processor refuses; the message says why. Who knows the file adds its name."""


class Cost(ABC):
    """What images cost a model. Values; all sizes are (width, height) in pixels, both > 0."""

    __slots__ = ()
    shrinks: ClassVar[bool] = True
    """Whether a smaller picture of the same shape may cost less."""

    @property
    def ends(self) -> int:
        """Tokens that the published processor writes before an image's first feature and after its last."""
        return 0

    @abstractmethod
    def tokens(self, size: Size) -> int:
        """Return the image's features, > 0: positions that hold the image token. Raises CostError."""

    def span(self, size: Size) -> int:
        """Return the positions from the first feature to the last: ``tokens`` and the marks between them."""
        return self.tokens(size)

    def pattern(self, size: Size) -> tuple[int | str, ...]:
        """Return what stands in the span: numbers of image tokens, and between them the marks as a tokenizer has them.

        A mark that is an added token of the tokenizer is that token; any other is words.
        """
        return (self.tokens(size),)

    def resized(self, size: Size, max_tokens: int, *, least_side: int = 1) -> Size | None:
        """Return the largest size of this shape whose span is within ``max_tokens``; None: there is none.

        It is never larger than ``size``, and its shorter side is at least ``least_side`` pixels, or as it was. Largest:
        one pixel more of the longer side costs too much. (Costs may fall here and there as a picture grows.)

        Raises:
            CostError: the family refuses ``size``.
        """
        if self.span(size) <= max_tokens:
            return size
        low, high = least_longer(size, least_side), max(size)
        if not self.shrinks or low == high or not self._fits(scaled(size, low), max_tokens):
            return None
        while high - low > 1:  # ``low`` fits, ``high`` does not.
            middle = (low + high) // 2
            low, high = (middle, high) if self._fits(scaled(size, middle), max_tokens) else (low, middle)
        return scaled(size, low)

    def among(self, count: int) -> Cost:
        """Return what images cost in a conversation that has ``count`` of them; for most families the same."""
        return self

    @property
    def frame(self) -> int | None:
        """Tokens of a frame of a video, whatever its size. None: the family sees frames as images, which most do."""
        return None

    @property
    def video_end(self) -> int:
        """Tokens that the last frame of a video has besides, where frames are told from images."""
        return 0

    @property
    def joins(self) -> bool:
        """Whether images with nothing between them share the tokens of the first: they are frames of one medium."""
        return False

    def framed(self, *, last: bool) -> Cost:
        """Return what a frame of a video costs, where frames are told from images."""
        assert self.frame is not None, "frames are images"
        return Fixed(self.frame + (self.video_end if last else 0))

    def _fits(self, size: Size, max_tokens: int) -> bool:
        try:
            return self.span(size) <= max_tokens
        except CostError:
            return False


@dataclass(frozen=True, slots=True)
class Fixed(Cost):
    """Every picture costs the same: CLIP and SigLIP towers of LLaVA (576, 728, 729), the resampler of Idefics2."""

    shrinks: ClassVar[bool] = False
    features: int
    marks: int = 0
    """Number of marks between the features, where an image is cut into parts of equally many features."""
    ends: int = 0
    mark: str = ""
    """The text of such a mark."""
    frame: int | None = None
    joins: bool = False

    def tokens(self, size: Size) -> int:
        """Return the same for every size."""
        return self.features

    def span(self, size: Size) -> int:
        """Return the same for every size."""
        return self.features + self.marks

    def pattern(self, size: Size) -> tuple[int | str, ...]:
        """Return the same for every size: parts, with a mark between two."""
        each = self.features // (self.marks + 1)
        return (each, *((self.mark, each) * self.marks))


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches(Cost):
    """Patches of the picture as it is, no larger than a limit, and a new line after each row: Fuyu.

    The published processors write the last row's new line with the others, so it is within the span too, and whatever
    else stands around a picture is a template's.
    """

    patch_px: int = 30
    limit: Size = (1920, 1080)

    def shape(self, size: Size) -> tuple[int, int]:
        """Return (rows, columns)."""
        (width, height), (most_wide, most_high) = size, self.limit
        if width > most_wide or height > most_high:
            scale = min(most_high / height, most_wide / width)
            width, height = int(width * scale), int(height * scale)
        if not (width and height):
            raise CostError(f"nothing is left of {size[0]}x{size[1]} pixels within {most_wide}x{most_high}")
        patch = self.patch_px
        return min(ceil(height / patch), most_high // patch), min(ceil(width / patch), most_wide // patch)

    def tokens(self, size: Size) -> int:
        """Return the patches."""
        rows, columns = self.shape(size)
        return rows * columns

    def span(self, size: Size) -> int:
        """Return the patches, and a new line after each row."""
        rows, columns = self.shape(size)
        return rows * columns + rows

    def pattern(self, size: Size) -> tuple[int | str, ...]:
        """Return the rows, each with its new line."""
        rows, columns = self.shape(size)
        return (columns, LINE_END) * rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged(Cost):
    """Patches merged in squares, as many as the picture's pixels ask for between two limits: Qwen2-VL, 2.5-VL, 3-VL."""

    patch_px: int = 14
    merge: int = 2
    """Patches along the side of a square."""
    least_pixels: int = 56 * 56
    most_pixels: int = 28 * 28 * 1280
    ends: int = 2

    def target(self, size: Size) -> Size:
        """Return the size in pixels that the picture is brought to (``smart_resize``). Raises CostError."""
        width, height = size
        if max(size) / min(size) > THINNEST:
            raise CostError(f"one side of {width}x{height} pixels is more than {THINNEST} times the other")
        step = self.patch_px * self.merge
        high, wide = round(height / step) * step, round(width / step) * step
        if high * wide > self.most_pixels:
            times = sqrt((height * width) / self.most_pixels)
            high, wide = (max(step, floor(side / times / step) * step) for side in (height, width))
        elif high * wide < self.least_pixels:
            times = sqrt(self.least_pixels / (height * width))
            high, wide = (ceil(side * times / step) * step for side in (height, width))
        return wide, high

    def tokens(self, size: Size) -> int:
        """Return the squares."""
        wide, high = self.target(size)
        step = self.patch_px * self.merge
        return (wide // step) * (high // step)


def scaled(size: Size, longer: int) -> Size:
    """Return the size of the same shape with this longer side, to the nearest pixel, at least 1."""
    width, height = size
    if width >= height:
        return longer, max(1, (2 * height * longer + width) // (2 * width))
    return max(1, (2 * width * longer + height) // (2 * height)), longer


def least_longer(size: Size, least_side: int) -> int:
    """Return the least longer side whose shorter one is ``least_side``; its own where that is shorter already."""
    shorter, longer = min(size), max(size)
    return longer if shorter <= least_side else max(1, -(-longer * (2 * least_side - 1) // (2 * shorter)))
