"""The image budget: a conversation is made to fit a number of tokens, or refused; every act is told.

Not truncation: an image is never cut, and never parted from its words. In this order: images over their own limit are
shrunk; then all images of the conversation, by one factor (``shrink``); then whole early turns go with their images,
demonstrations first, then a question with its reply (what the system says stays, and the last question with its reply);
then it is refused. As little is dropped as does, and what stays is shrunk anew from its full size.

When early images go, the others have new numbers. Words that name an image which is gone, or that may mean one by its
place ("the previous image"), are not mended: the row is refused. Words that name an image which stays, by its number,
are renumbered where the template writes numbers too, so that words and template count alike; where it writes none,
"image 2" may as well count from its own turn, and the row is refused. A sense that no words show ("that cat") is not
seen.

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
    Turn,
    ends_video,
    images_of,
    replace_parts,
    videos_of,
)
from triptych.data.format import Refused, refusal
from triptych.data.media.images import Size
from triptych.data.plan.costs import Cost, CostError, Fixed
from triptych.data.plan.shrink import shrink
from triptych.data.text.layout import counts_shown, hidden_number, images_before
from triptych.data.text.references import UnclearError, find_references, renumber
from triptych.data.text.turns import images_shown, replace_words, turns_in_order

OVER_BUDGET = "over the token budget"
WORDS_REFER = "words refer to images by number"
UNCUT_VIDEO = "video not cut into frames"
NO_COST = "image too thin"

NOTHING = Fixed(0)
"""The cost of an image that shares the tokens of the one before it."""
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
    example: Example, budget: Budget, *, cost: Cost, count_text: Callable[[Example], int], numbered: bool = False
) -> Fitted | Refused:
    """Return the example with its images shrunk and its early turns left out as far as the budget asks; or a refusal.

    Args:
        example: its images' sizes are known (``measured``).
        budget: the limits.
        cost: of images, for the model.
        count_text: tokens of an example without its images' spans: its words and all that the template writes. Called
            only under ``example_tokens``, and again for each shorter form that is tried.
        numbered: whether the template writes each image's number beside it.
    """
    if videos := videos_of(example):
        return refusal(example, UNCUT_VIDEO, message=f"{videos[0].source}: cut it into frames first.")
    reason = message = ""
    for left_out in range(_units(example) + 1):
        plain = _without(example, left_out)
        shorter, unclear = _renumbered(plain, example, numbered=numbered)
        text = 0 if budget.example_tokens is None else count_text(shorter)
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
    in_frames = [what.span(_size(image)) for image, what in _frames(example, cost)]
    if in_frames and each is not None and max(in_frames) > each:
        return None
    if total is not None and (total := total - sum(in_frames)) < 0:
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


def _split(example: Example) -> tuple[tuple[Turn, ...], list[tuple[Turn, ...]]]:
    """Return what the system says, and the questions with their replies."""
    start = 0
    while start < len(example.turns) and example.turns[start].role == "system":
        start += 1
    pairs: list[tuple[Turn, ...]] = []
    for turn in example.turns[start:]:
        if turn.role == "user" or not pairs:
            pairs.append((turn,))
        else:
            pairs[-1] += (turn,)
    return example.turns[:start], pairs


def _units(example: Example) -> int:
    """Return how many demonstrations and early pairs may be left out: all but the last pair."""
    return len(example.demonstrations) + max(0, len(_split(example)[1]) - 1)


def _without(example: Example, left_out: int) -> Example:
    """Return the example without its first demonstrations and pairs, so many of them together."""
    if not left_out:
        return example
    system, pairs = _split(example)
    early = max(0, left_out - len(example.demonstrations))
    kept = tuple(turn for pair in pairs[early:] for turn in pair)
    return replace(example, demonstrations=example.demonstrations[left_out:], turns=system + kept)


def _renumbered(shorter: Example, example: Example, *, numbered: bool) -> tuple[Example, UnclearError | None]:
    """Return the shorter example with the numbers that its images have now; or as it is, and why it stays so."""
    if images_before(example)[-1]:
        return _counted_through(shorter, example, numbered=numbered)
    # Its words count its own images: which demonstrations stand before them does not matter.
    if len(shorter.demonstrations) < len(example.demonstrations) and (said := counts_shown(example)):
        return shorter, UnclearError(f"the words {said!r} may mean an image of a demonstration that goes")
    rest, unclear = _counted_through(
        replace(shorter, demonstrations=()), replace(example, demonstrations=()), numbered=numbered
    )
    return replace(rest, demonstrations=shorter.demonstrations), unclear


def _counted_through(shorter: Example, example: Example, *, numbered: bool) -> tuple[Example, UnclearError | None]:
    """Return the same of a prompt whose words count all of its images."""
    count = len(images_of(example))
    gone = count - len(images_of(shorter))
    if not gone:
        return shorter, None
    # What the system shows stands first and keeps its numbers.
    before = sum(isinstance(part, ImageRef) for turn in _split(example)[0] for part in turn.parts)

    shown = _shown(shorter, gone)

    def change(text: str, at: int) -> str:
        return _mended(text, count, shown[at] or count, before, gone, numbered)

    try:
        return replace_words(shorter, change), None
    except UnclearError as error:
        return shorter, error


def _shown(shorter: Example, gone: int) -> list[int]:
    """Return how many images were shown up to the end of each turn, in ``turns_in_order``, when the ``gone`` ones were
    there: behind what the system shows."""
    system = _split(shorter)[0]
    told = [turn for each in shorter.demonstrations for turn in turns_in_order(each)]
    front, end = len(system), len(system) + len(told)
    counts = images_shown([*system, *told, *shorter.turns[front:]])
    rest = [number + gone for number in counts[front:]]
    return [*rest[: end - front], *counts[:front], *rest[end - front :]]


def _mended(text: str, count: int, shown: int, before: int, gone: int, numbered: bool) -> str:
    """Return words with the numbers that images have now. Raises UnclearError."""
    last: set[int] = set()
    for reference in find_references(text, count=count, shown=shown):
        said = repr(text[reference.start : reference.stop])
        if any(before < number <= before + gone for number in reference.numbers):
            raise UnclearError(f"the words {said} in what stays mean an image that goes")
        if reference.form == "last":
            last.add(reference.start)
        elif not numbered:
            raise UnclearError(f"the words {said} in what stays count images, and the template writes no numbers")

    def new(number: int) -> int:
        return number - gone * (number > before)

    return renumber(text, new, count=count, shown=shown, now=new(shown), keep=frozenset(last))


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
