"""The conditions of a diagnosis: what each does, and what it means when the score falls, stays or rises.

Not the changes themselves (``perturbations``) nor the evidence (``findings``). The words are for somebody who did not
run it, and are said beside numbers, never instead of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from triptych.core.errors import NotFoundError
from triptych.evaluate.diagnosis import perturbations
from triptych.evaluate.diagnosis.perturbations import Change

UNCHANGED = "unchanged"
LEFT_OUT = "left_out"
OPTION_ORDER = "option_order"
BLIND = "blind"
WRONG_IMAGES = "wrong_images"
IN_FRONT = "in_front"
SIGHT = (BLIND, WRONG_IMAGES)
"""Conditions that tell whether a model uses its images: each of them that is asked must cost it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One way to ask the same questions."""

    name: str
    title: str
    change: Change
    does: str
    """What is done, in a sentence."""
    asks: str
    """What it finds out, as a question."""
    lower: str
    """What a lower score means."""
    same: str
    """What it means that there is no evidence of a difference."""
    higher: str
    """What a higher score means."""
    against: str = ""
    """A condition that changes the words as this one does: where it was asked, this one is held against it and not
    against the question as it is."""
    confirmed_by: str = ""
    """A condition that must score more on the same questions before ``lower`` is said."""
    unconfirmed: str = ""
    """What a lower score means where that one does not."""
    needs_sight: bool = False
    """Whether ``same`` says nothing of a model that was not seen to use its images."""
    renumbers: bool = False
    """Whether a right reply may be another one than before: replies are then not compared, only scores."""
    sample: int | None = None
    """Most questions that it is asked of (``running/sample``); None: all that were chosen."""


CONDITIONS: tuple[Condition, ...] = (
    Condition(
        name=BLIND,
        title="Blind",
        change=perturbations.blind,
        does="All images are taken out; the words stay as they are.",
        asks="Does it need the images?",
        lower="It uses the images: without them it scores less.",
        same="What it scores may come from the words alone.",
        higher="The images mislead it: without them it scores more.",
    ),
    Condition(
        name=WRONG_IMAGES,
        title="Wrong images",
        change=perturbations.wrong_images,
        does="Images of another question, as many, stand in the place of its own.",
        asks="Does it look at what the images show?",
        lower="It looks at what the images show: with others it scores less.",
        same="What the images show may not matter to it.",
        higher="It scores more with other questions' images.",
    ),
    Condition(
        name="shuffled_right",
        title="Other order, words kept right",
        change=perturbations.shuffled_right,
        does="The images change places, and “image 2” in the words goes with its image: the same question in another "
        "order.",
        asks="Does it find an image wherever it stands?",
        lower="It leans on the published order: the same question is harder in another one.",
        same="As far as this sees, it finds images wherever they stand.",
        higher="The published order is harder for it than another.",
        needs_sight=True,
        renumbers=True,
    ),
    Condition(
        name="shuffled_wrong",
        title="Other order, words kept wrong",
        change=perturbations.shuffled_wrong,
        does="The images change places, but the words stay: they name the wrong image, or tell of an order that is "
        "gone. The old answer is mostly wrong then, and a model that attends to the order scores less.",
        asks="Does it know which image is which?",
        lower="It goes by which image the words name: named wrongly, it scores less than named right.",
        confirmed_by="shuffled_right",
        unconfirmed="Another order changes its answers; whether it follows the words is not seen.",
        same="It may not know which image is which: another order under the same words changes nothing that this sees.",
        higher="It scores more when the words name the wrong images.",
    ),
    Condition(
        name=LEFT_OUT,
        title="One image left out",
        change=perturbations.left_out,
        does="One image at a time becomes an empty grey one; the others keep their places and numbers. Of more than "
        "16 images, 16 take their turn. The score is the mean over them.",
        asks="Which image matters?",
        lower="Single images matter: with one of them empty it scores less.",
        same="No single image is seen to matter.",
        higher="It scores more with one image empty.",
        sample=48,
    ),
    Condition(
        name=IN_FRONT,
        title="All images in front",
        change=perturbations.in_front,
        does="All images stand before the first word instead of at their places in the text. The words change with "
        "them: “image 2” stands where one stood inside a sentence, and a label that would name an empty place goes.",
        asks="Does it need images at their places?",
        lower="It needs the images at their places among the words, or the words as they were around them.",
        same="It reads images in front as well as at their places, as far as this sees.",
        higher="It reads images in front better than at their places.",
        needs_sight=True,
    ),
    Condition(
        name="interleaved",
        title="Images among the words",
        change=perturbations.interleaved,
        does="Each image stands at the words that name it instead of in front or behind.",
        asks="Does it gain from images at their places?",
        lower="It reads images in a row better than among the words.",
        same="It reads images among the words as well as in a row, as far as this sees.",
        higher="It gains from images among the words.",
        needs_sight=True,
    ),
    Condition(
        name="merged",
        title="Merged into one picture",
        change=perturbations.merged,
        does="All images are scaled to one height and stand side by side in one picture before the words, as for "
        "models that take a single image. Where they stood among the words, the words change as with all images in "
        "front, and it is held against that.",
        asks="Is a sequence of images more to it than one wide picture?",
        lower="It needs the images one by one: side by side in one picture it scores less.",
        same="One wide picture serves it as well as a sequence, as far as this sees.",
        higher="One wide picture serves it better than a sequence: it may not have learnt to take several.",
        against=IN_FRONT,
        needs_sight=True,
    ),
    Condition(
        name=OPTION_ORDER,
        title="Options in other orders",
        change=perturbations.option_order,
        does="The options of multiple-choice questions rotate through the places. The score is the mean over the "
        "other orders; what place is chosen is counted over all of them.",
        asks="Does it choose an option, or a place?",
        lower="It leans on the published order of options.",
        same="It is not seen to prefer a place, and the published order is no easier or harder for it than others.",
        higher="The published order of options is harder for it than others.",
    ),
    Condition(
        name="jpeg",
        title="Coded anew",
        change=perturbations.jpeg,
        does="Every image is saved as a JPEG of quality 50.",
        asks="Does it stand a worse coding?",
        lower="It leans on fine traces of the picture files: a worse coding costs it.",
        same="A worse coding costs it nothing that this sees.",
        higher="It scores more with a worse coding.",
        needs_sight=True,
    ),
    Condition(
        name="half_size",
        title="Half the size",
        change=perturbations.half,
        does="Every image is given at half its width and height.",
        asks="Does it need the detail?",
        lower="It needs the detail: at half the size it scores less.",
        same="Half the size costs it nothing that this sees.",
        higher="It scores more at half the size.",
        needs_sight=True,
    ),
)


def choose_conditions(names: Sequence[str]) -> tuple[Condition, ...]:
    """Return the conditions of these names, all where there are none, in the order of the page.

    With a condition comes the one that it is held against or confirmed by.

    Raises:
        NotFoundError: no such condition.
    """
    known = [condition.name for condition in CONDITIONS]
    if unknown := [name for name in names if name not in known]:
        raise NotFoundError(f"no condition {unknown[0]!r}. There are: {', '.join(known)}.")
    chosen = [condition for condition in CONDITIONS if not names or condition.name in names]
    wanted = {name for each in chosen for name in (each.name, each.against, each.confirmed_by)}
    return tuple(condition for condition in CONDITIONS if condition.name in wanted)
