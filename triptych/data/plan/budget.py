"""The image budget: a conversation is made to fit a number of tokens, or refused; every act is told.

Not truncation: an image is never cut, and never parted from its words. In this order: images over their own limit are
shrunk; then all images of the conversation, by one factor (``shrink``); then whole early turns go with their images,
demonstrations first, then a question with its reply (what the system says stays, and the last question with its reply);
then it is refused. As little is dropped as does, and what stays is shrunk anew from its full size.

When early images go, the others have new numbers, and words that name them follow or the row is refused (``forms``).

Invariant: whatever the budget, what is returned costs no more, by the very sizes that its images will have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

from triptych.core.records import (
    Example,
    ImageRef,
    Json,
    Part,
    Text,
    ends_video,
    images_of,
    replace_parts,
    videos_of,
)
from triptych.data.format import Refused, refusal
from triptych.data.media.images import Size
from triptych.data.plan.costs import Cost, CostError, Fixed
from triptych.data.plan.forms import Forms
from triptych.data.plan.shrink import shrink
from triptych.data.text.layout import hidden_number
from triptych.data.text.references import UnclearError

OVER_BUDGET = "over the token budget"
WORDS_REFER = "words refer to images by number"
UNCUT_VIDEO = "video not cut into frames"
NO_COST = "image too thin"

NOTHING = Fixed(0)
"""The cost of an image that shares the tokens of the one before it."""
FEW_UNITS = 16
"""Up to so many early turns that may go, each form is tried."""
FRONT_TOKENS = 8
"""By how many tokens the same words may differ, as others or none stand in front of them."""
FLOOR_PX = 56
"""Two patches of CLIP and SigLIP towers and more: below it a picture shows a tower nothing."""

Outcome = Literal["used", "shrunk", "shortened"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits in tokens, as the language model counts them. None: no limit."""

    image_tokens: int | None = None
    """Most tokens of one image."""
    images_tokens: int | None = None
    """Most tokens of all images of an example together."""
    example_tokens: int | None = None
    """Most tokens of an example, words and images."""
    least_side_px: int | None = None
    """No image is shrunk until its shorter side has fewer pixels; one that has fewer stays as it is. None: 56."""

    def within(self, other: Budget) -> Budget:
        """Return the budget that keeps both: a data set's own, within the run's."""
        limits: dict[str, int] = {}
        for field in fields(self):
            given = [value for value in (getattr(self, field.name), getattr(other, field.name)) if value is not None]
            if given:
                limits[field.name] = max(given) if field.name == "least_side_px" else min(given)
        return Budget(**limits)


@dataclass(frozen=True, slots=True)
class Fitted:
    """An example that keeps its budget."""

    example: Example
    acts: tuple[dict[str, Json], ...] = ()
    """What was done, for the ledger: {id, act: ``shrunk`` or ``shortened``, message}. Empty: it fitted as it was."""

    @property
    def outcome(self) -> Outcome:
        """Its one place in used + shrunk + shortened + refused = all; both shortened and shrunk is shortened."""
        acts = {act["act"] for act in self.acts}
        return "shortened" if "shortened" in acts else "shrunk" if "shrunk" in acts else "used"


def fit(
    example: Example,
    budget: Budget,
    *,
    cost: Cost,
    count_text: Callable[[Example], int | None],
    numbered: bool = False,
    keeps_words: bool = False,
) -> Fitted | Refused:
    """Return the example with its images shrunk and its early turns left out as far as the budget asks; or a refusal.

    Args:
        example: its images' sizes are known (``measured``).
        budget: the limits.
        cost: of images, for the model.
        count_text: tokens of an example without its images' spans: its words and all that the template writes; None: it
            cannot be rendered. Called only under ``example_tokens``, and again for each shorter form that is tried.
        numbered: whether the template writes each image's number beside it.
        keeps_words: whether a longer form has all words, as the template writes it, that a shorter one has. Of a long
            conversation few forms are counted then; else each is.
    """
    if videos := videos_of(example):
        return refusal(example, UNCUT_VIDEO, message=f"{videos[0].source}: cut it into frames first.")
    reason = message = ""
    forms = Forms(example, numbered=numbered)
    worth_trying = _worth_trying(forms, budget, cost, count_text) if keeps_words else range(forms.units + 1)
    for left_out in worth_trying:
        plain = forms.without(left_out)
        shorter, unclear = forms.renumbered(plain)
        if reason == WORDS_REFER and unclear is not None:
            continue
        text = 0 if budget.example_tokens is None else count_text(shorter)
        if text is None:
            if left_out:  # perhaps one that is shorter can
                continue
            text = 0  # the row as it is: who renders it says why
        sizes = None
        try:
            sizes = _fit_images(shorter, budget, cost, text)
            failed = (OVER_BUDGET, "" if sizes is not None else _over(shorter, budget, cost, text))
        except CostError as error:
            failed = (NO_COST, f"{_costless(shorter, cost)}: {error}. Crop it, or leave the row out.")
        if sizes is not None and unclear is None and (said := hidden_number(plain, example)):
            unclear = UnclearError(f"the words {said!r} by themselves may mean an image by its number")
        if sizes is not None and unclear is None:
            fitted = _resized(shorter, sizes)
            return Fitted(fitted, tuple(_acts(example, plain, shorter, fitted, cost)))
        if sizes is not None:
            failed = (
                WORDS_REFER,
                f"it fits once early turns are left out, but {unclear}. Raise the budget or cut the row.",
            )
        if reason != WORDS_REFER:  # Of all that stands in the way, what a person may mend.
            reason, message = failed
    return refusal(example, reason, message=message)


def _worth_trying(
    forms: Forms, budget: Budget, cost: Cost, count_text: Callable[[Example], int | None]
) -> Iterator[int]:
    """Yield how many units to leave out, from none to all; of many, without those that cannot do by any count."""
    yield 0
    few = forms.units <= FEW_UNITS
    floors = {} if few or budget.example_tokens is None else _floors(forms, budget, cost, count_text)
    for left_out in range(1, forms.units):
        floor = max((tokens for more, tokens in floors.items() if more >= left_out), default=0)
        if few or not _is_over(forms.without(left_out), budget, cost, floor):
            yield left_out
    if forms.units:
        yield forms.units


def _floors(forms: Forms, budget: Budget, cost: Cost, count_text: Callable[[Example], int | None]) -> dict[int, int]:
    """Return for some numbers of units how many tokens the words have at least when so many, or fewer, are left out.

    Looked for by halves, where the budget begins to be kept. A longer form has all words of a shorter one, and the same
    but for the numbers in them; so it has their tokens, and what stands before the first of them counts as few.
    """
    floors: dict[int, int] = {}
    over, kept = 0, forms.units
    while kept - over > 1:
        left_out = (over + kept) // 2
        plain = forms.without(left_out)
        floors[left_out] = (count_text(plain) or 0) - forms.bytes_with_numbers(plain) - FRONT_TOKENS
        if _is_over(plain, budget, cost, floors[left_out]):
            over = left_out
        else:
            kept = left_out
    return floors


def _is_over(example: Example, budget: Budget, cost: Cost, text: int) -> bool:
    """Return whether the images, beside so much text, cannot keep the budget."""
    try:
        return _fit_images(example, budget, cost, max(0, text)) is None
    except CostError:
        return True


def costs_of(example: Example, cost: Cost) -> list[Cost]:
    """Return what each image of a conversation costs, in reading order, demonstrations first.

    Frames that the family tells from images cost what they cost, and do not count among the images. Of images that
    share their tokens the first has them all.
    """
    among = cost.among(sum(not _is_frame(image, cost) for image in images_of(example)))
    return [
        NOTHING
        if cost.joins and at and isinstance(parts[at - 1], ImageRef)
        else cost.framed(last=ends_video(parts, at))
        if _is_frame(part, cost)
        else among
        for parts in _said(example)
        for at, part in enumerate(parts)
        if isinstance(part, ImageRef)
    ]


def _said(example: Example) -> Iterator[list[Part]]:
    """Yield the parts of each turn, demonstrations first."""
    for shown in example.demonstrations:
        yield from _said(shown)
    for turn in example.turns:
        yield [part for part in turn.parts if part != Text("")]


def _is_frame(image: ImageRef, cost: Cost) -> bool:
    """Return whether an image is a frame that the family tells from images: its cost does not follow its size."""
    return cost.joins or (image.video != "" and cost.frame is not None)


def _fit_images(example: Example, budget: Budget, cost: Cost, text: int) -> list[Size] | None:
    """Return the sizes at which the images, beside so much text, keep the budget; None: there are none."""
    total = budget.images_tokens
    if budget.example_tokens is not None:
        room = budget.example_tokens - text
        if room < 0:
            return None
        total = room if total is None else min(total, room)
    images, each, least = images_of(example), budget.image_tokens, budget.least_side_px or FLOOR_PX
    framed = [(what, _size(image)) for image, what in _frames(example, cost)]
    # What stands between two frames is neither's, as what stands around a picture is not the picture's.
    if each is not None and any(what.tokens(size) > each for what, size in framed):
        return None
    if total is not None and (total := total - sum(what.span(size) for what, size in framed)) < 0:
        return None
    pictures = [_size(image) for image in images if not _is_frame(image, cost)]
    fitting = shrink(pictures, cost=cost.among(len(pictures)), each=each, total=total, floor_px=least)
    if fitting is None:
        return None
    waiting = iter(fitting)
    return [_size(image) if _is_frame(image, cost) else next(waiting) for image in images]


def _frames(example: Example, cost: Cost) -> Iterator[tuple[ImageRef, Cost]]:
    pairs = zip(images_of(example), costs_of(example, cost), strict=True)
    return ((image, what) for image, what in pairs if _is_frame(image, cost))


def _size(image: ImageRef) -> Size:
    assert image.size is not None, f"{image.source} is not measured"
    return image.size


def _resized(example: Example, sizes: Sequence[Size]) -> Example:
    """Return the example with its images at these sizes, in reading order; those that have theirs are left alone."""
    waiting = iter(sizes)

    def change(part: Part) -> Sequence[Part]:
        if not isinstance(part, ImageRef):
            return (part,)
        size = next(waiting)
        return (part if size == part.size else replace(part, size=size, resize=size),)

    return replace_parts(example, change)


def _acts(example: Example, plain: Example, shorter: Example, fitted: Example, cost: Cost) -> Iterator[dict[str, Json]]:
    """Yield what was done: ``example`` -> ``plain`` by leaving out, -> ``shorter`` by renumbering, -> ``fitted``."""
    if plain != example:
        turns = len(example.turns) - len(plain.turns)
        shown = len(example.demonstrations) - len(plain.demonstrations)
        gone = len(images_of(example)) - len(images_of(plain))
        said = f"left out in front: {shown} demonstrations, {turns} turns, {gone} images"
        said += "; the words' image numbers follow" if shorter != plain else ""
        yield {"id": example.id, "act": "shortened", "message": said}
    old, new = ([_size(image) for image in images_of(each)] for each in (shorter, fitted))
    if changed := sum(before != after for before, after in zip(old, new, strict=True)):
        costs = [_image_tokens(each, cost) for each in (shorter, fitted)]
        said = f"{changed} of {len(old)} images made smaller: {costs[0]} image tokens before, {costs[1]} after"
        yield {"id": example.id, "act": "shrunk", "message": said}


def _over(example: Example, budget: Budget, cost: Cost, text: int) -> str:
    """Return what is over the budget in the shortest form that was tried."""
    costs = costs_of(example, cost)
    limits = ", ".join(
        f"{field.name} {value}" for field in fields(budget) if (value := getattr(budget, field.name)) is not None
    )
    words = "" if budget.example_tokens is None else f" and {text} of words"
    can = "" if any(each.shrinks for each in costs) else ", which this model's images cannot do"
    return (
        f"cut and shrunk as far as may be{can}, it is over the budget ({limits}): its {len(costs)} images at full size"
        f" have {_image_tokens(example, cost)} tokens{words}. Raise the budget, cut the row or leave it out."
    )


def _costless(example: Example, cost: Cost) -> str:
    """Return which image the family refuses."""
    for image, what in zip(images_of(example), costs_of(example, cost), strict=True):
        try:
            what.span(_size(image))
        except CostError:
            return image.source
    raise AssertionError("every image has a cost")


def _image_tokens(example: Example, cost: Cost) -> int:
    costs = costs_of(example, cost)
    return sum(what.span(_size(image)) for image, what in zip(images_of(example), costs, strict=True))
