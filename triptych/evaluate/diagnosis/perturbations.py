"""What a diagnosis changes in a question: one function for each condition, Example -> Examples, from the id and a seed.

Not the asking (``diagnose``) nor the texts (``conditions``). A changed question ends in the reference that is right for
it, except where the words are kept wrong on purpose. ``facts["changed"]`` says what was done, and of which question.
What does not apply to a question is Skipped with a reason that many questions share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Json, Part, Turn, images_of, replace_parts, text_of, videos_of
from triptych.data.media.images import ImageError
from triptych.data.text.labels import words_between
from triptych.data.text.layout import Front, to_front, to_references
from triptych.data.text.loose import loose_reply
from triptych.data.text.references import UnclearError, renumber
from triptych.data.transform import NOTES, draw, tidy
from triptych.data.transforms.shuffle_images import ShuffleImages, shuffle_images
from triptych.evaluate.benchmark import fact, story_of, without_images
from triptych.evaluate.diagnosis.image_edits import ImageEdits, half_size
from triptych.evaluate.diagnosis.option_order import orders_of, reordered
from triptych.evaluate.reading import scorers

CHANGED = "changed"
"""The fact of a changed question: ``{"of": its id, ...}``."""
MOST_LEFT_OUT = 16
"""Most images of a question that are left out, evenly spaced over more."""
_DRAWS = 40
"""Orders that are tried until one moves an image that the words name."""
_DONORS = 200
"""Other questions that are looked at for images."""
_FEW = "fewer than two different images"
_VIDEO = "a video among its images"
_SILENT = "no image named by number, so that the order may matter silently"
_ORDERED = "words about the order of its images"
_PLACED = "words that may mean an image by its place"
_BETWEEN = "words between its images that belong to one of them"
_FIXED = "options or answers that name images in a way that cannot be rewritten"
_BY_PLACE = frozenset((_ORDERED, _PLACED, _BETWEEN, _FIXED))
"""Why words cannot be rewritten for another order of images: left as they are, they are wrong in it."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A condition does not apply to a question."""

    reason: str


@dataclass(frozen=True, slots=True)
class Context:
    """What a condition draws on besides the question."""

    donors: Mapping[int, Sequence[Example]]
    """All questions of the benchmark, by how many images they have."""
    image_edits: ImageEdits
    seed: int
    """Decides, with a question's id, all that is drawn."""

    @classmethod
    def from_questions(cls, everything: Sequence[Example], image_edits: ImageEdits, *, seed: int) -> Context:
        """Return the context of a benchmark: all its questions, the folder of changed images, and the seed of draws."""
        donors: dict[int, list[Example]] = {}
        for question in everything:
            if not videos_of(question):
                donors.setdefault(len(images_of(question)), []).append(question)
        return cls(donors, image_edits, seed)


Made = Sequence[Example] | Skipped
Change = Callable[[Example, Context], Made]


def changed_by(change: Change, question: Example, *, context: Context) -> Made:
    """Return what a condition makes of a question; one with an image that cannot be read is skipped."""
    try:
        return change(question, context)
    except ImageError as error:
        return Skipped(f"a picture that cannot be used ({error.reason})")


def blind(question: Example, context: Context) -> Made:
    """Take all images and videos out, and nothing else."""
    del context
    if not images_of(question) and not videos_of(question):
        return Skipped("no images")
    return [_noted(without_images(question), question)]


def wrong_images(question: Example, context: Context) -> Made:
    """Give it the images of another question that shares none of them: as many, or the first so many of more."""
    own = images_of(question)
    if not own or videos_of(question):
        return Skipped(_VIDEO if videos_of(question) else "no images")
    mine = {image.source for image in own}
    story = fact(question, "story")
    random = draw(context.seed, "wrong_images", question.id)
    as_many = context.donors.get(len(own), ())
    more = [each for count in sorted(context.donors) if count > len(own) for each in context.donors[count]]
    drawn = [each for donors in (as_many, more) for each in random.sample(donors, min(len(donors), _DONORS))]
    for donor in drawn:
        others = images_of(donor)[: len(own)]
        if mine.isdisjoint(image.source for image in others) and not (story and story == fact(donor, "story")):
            return [_noted(_with_images(question, others), question, from_question=donor.id)]
    return Skipped("no other question with as many images or more, and other ones")


def shuffled_right(question: Example, context: Context) -> Made:
    """Put the images in another order; what the words and the options call "image 2" follows its image."""
    found = _shuffled(question, context)
    return found if isinstance(found, Skipped) else [_noted(found[0], question, order=[*found[1]])]


def shuffled_wrong(question: Example, context: Context) -> Made:
    """Put the images in another order, and leave the words as they were: they name the wrong images, by number or by
    place, or the wrong order where they are about one."""
    found = _shuffled(question, context)
    if not isinstance(found, Skipped):
        order = found[1]
        if [text_of(turn) for turn in found[0].turns] == [text_of(turn) for turn in question.turns]:
            return Skipped("no image named but at its own place")
    elif found.reason in _BY_PLACE or (found.reason == _SILENT and _names_between(question)):
        order = _other_order(question, context)
    else:
        return found
    images = _own_images(question)
    moved = _with_images(replace(question, demonstrations=()), [images[number - 1] for number in order])
    return [_noted(replace(moved, demonstrations=question.demonstrations), question, order=[*order])]


def left_out(question: Example, context: Context) -> Made:
    """Blank one image at a time: it becomes grey, and the others keep their numbers."""
    images = _own_images(question)
    if len(images) < 2 or videos_of(question):
        return Skipped(_VIDEO if videos_of(question) else "fewer than two images")
    count = min(len(images), MOST_LEFT_OUT)
    numbers = [1 + at * len(images) // count for at in range(count)]
    made = []
    for number in numbers:
        grey = context.image_edits.blanked(images[number - 1])
        shown = [*images_of(question)]
        shown[len(shown) - len(images) + number - 1] = grey
        made.append(_noted(_with_images(question, shown), question, suffix=f"#{number}", image=number))
    return made


def in_front(question: Example, context: Context) -> Made:
    """Put all images before the first words; a number stands where one stood inside a sentence."""
    del context
    if not images_of(question):
        return Skipped("no images")
    try:
        made = to_front(question, Front())
    except UnclearError:
        return Skipped(_PLACED)
    if made.turns == question.turns:
        return Skipped("images in front already")
    return [_noted(made, question)]


def interleaved(question: Example, context: Context) -> Made:
    """Put each image at the words that name it."""
    del context
    if not images_of(question):
        return Skipped("no images")
    made = to_references(question)
    if made is None:
        return Skipped("images among the words already, or words that do not name them all in order")
    return [_noted(made, question)]


def merged(question: Example, context: Context) -> Made:
    """Put all images into one, side by side, before the words; "image 2" is then the second from the left."""
    images = _own_images(question)
    if len(images) < 2 or videos_of(question):
        return Skipped(_VIDEO if videos_of(question) else "fewer than two images")
    try:
        front = to_front(question, Front())
    except UnclearError:
        return Skipped(_PLACED)
    at = next(number for number, turn in enumerate(question.turns) if turn.role == "user")
    parts = front.turns[at].parts
    if not all(isinstance(part, ImageRef) for part in parts[: len(images)]):
        return Skipped("images of a reply between its own")
    turns = list(front.turns)
    turns[at] = Turn("user", tidy([context.image_edits.side_by_side(images), *parts[len(images) :]]))
    return [_noted(replace(front, turns=tuple(turns)), question)]


def option_order(question: Example, context: Context) -> Made:
    """Rotate the options, so that the right one stands in other places."""
    if not scorers.is_choice(question):
        return Skipped("not multiple choice")
    orders = orders_of(len(scorers.options_of(question)), seed=context.seed, name=question.id)
    try:
        made = [reordered(question, order) for order in orders]
    except DataError as error:
        return Skipped(str(error))
    return [
        _noted(each, question, suffix=f"#{number}", order=[*order])
        for number, (each, order) in enumerate(zip(made, orders, strict=True), start=1)
    ]


def jpeg(question: Example, context: Context) -> Made:
    """Compress every image as a JPEG of quality 50."""
    return _each_image(question, context.image_edits.as_jpeg)


def half(question: Example, context: Context) -> Made:
    """Give every image at half its width and height."""
    del context
    return _each_image(question, half_size)


def of_question(example: Example) -> str:
    """Return the id of the question that a changed one was made of; its own where it was not changed."""
    changed = example.facts.get(CHANGED)
    return str(changed["of"]) if isinstance(changed, dict) and "of" in changed else example.id


def changed_image(example: Example) -> int | None:
    """Return the number of the image that was left out; None: none was."""
    changed = example.facts.get(CHANGED)
    number = changed.get("image") if isinstance(changed, dict) else None
    return number if isinstance(number, int) else None


def _each_image(question: Example, change: Callable[[ImageRef], ImageRef]) -> Made:
    if not images_of(question):
        return Skipped("no images")

    def coded(part: Part) -> Sequence[Part]:
        return [replace(change(part), video=part.video) if isinstance(part, ImageRef) else part]

    return [_noted(replace_parts(question, coded), question)]


def _shuffled(question: Example, context: Context) -> tuple[Example, tuple[int, ...]] | Skipped:
    """Return the question with its images in another order and its words right, and that order; the same for both
    conditions. Of the orders that are drawn, the first that moves an image that is named, if one does."""
    if videos_of(question) or any(image.video for image in _own_images(question)):
        return Skipped(_VIDEO)
    if len(set(_own_images(question))) < 2:
        return Skipped(_FEW)
    plain = list(range(1, len(_own_images(question)) + 1))
    best: tuple[Example, tuple[int, ...]] | None = None
    for number in range(_DRAWS):
        random = draw(context.seed, "shuffled", question.id, number)
        made = shuffle_images(replace(question, facts={}), ShuffleImages(), random)[0]
        note = _note(made)
        order = note.get("order")
        if not isinstance(order, list):
            return Skipped(_reason(str(note.get("left", _FEW))))
        places = [place for place in order if isinstance(place, int)]
        if places == plain:
            continue
        try:
            found = replace(made, facts=_renumbered(question, places))
        except DataError:
            return Skipped(_FIXED)
        best = best or (found, tuple(places))
        if [text_of(turn) for turn in made.turns] != [text_of(turn) for turn in question.turns]:
            return found, tuple(places)
    return best or Skipped(_FEW)


def _note(example: Example) -> Mapping[str, Json]:
    notes = example.facts.get(NOTES)
    last = notes[-1] if isinstance(notes, list) and notes else {}
    return last if isinstance(last, dict) else {}


def _reason(left: str) -> str:
    """Return why images cannot change places, without the question's own words: equal reasons are counted."""
    if left.endswith("name no image by number"):
        return _SILENT
    if left.endswith(("are about an order", "skill is temporal")):
        return _ORDERED
    if left.startswith("its demonstrations"):
        return "demonstrations with images, so that numbers may mean theirs"
    return _BETWEEN if left.endswith("belong to one of them") else _PLACED


def _names_between(question: Example) -> bool:
    """Return whether words between images belong to one of them: "Left: <image> Right: <image>"."""
    count, number = len(_own_images(question)), 1
    for turn in question.turns:
        if words_between(turn.parts, number, count=count) is not None:
            return True
        number += sum(isinstance(part, ImageRef) for part in turn.parts)
    return False


def _renumbered(question: Example, order: Sequence[int]) -> dict[str, Json]:
    """Return the facts of a question with what they say of images made right for a new order. Raises UnclearError."""
    new = {old: place for place, old in enumerate(order, start=1)}
    asked = [text_of(turn) for turn in question.turns[:-1]]

    def rewritten(value: Json) -> Json:
        if isinstance(value, str):
            if loose_reply(asked, value, count=len(order)):
                raise UnclearError(value)
            return renumber(value, lambda number: new[number], count=len(order))
        return [rewritten(each) for each in value] if isinstance(value, list) else value

    made = dict(question.facts)
    for key in ("options", "answers"):
        if key in made:
            made[key] = rewritten(made[key])
    position = made.get("position")
    if isinstance(position, int) and not isinstance(position, bool) and 0 <= position < len(order):
        made["position"] = new[position + 1] - 1
    return made


def _other_order(question: Example, context: Context) -> tuple[int, ...]:
    """Return the images of each turn in another order."""
    random: Random = draw(context.seed, "shuffled", question.id)
    order: list[int] = []
    for turn in question.turns:
        images = [part for part in turn.parts if isinstance(part, ImageRef)]
        numbers = list(range(len(order) + 1, len(order) + len(images) + 1))
        drawn = numbers
        while turn.role == "user" and len(set(images)) > 1 and drawn == numbers:
            drawn = random.sample(numbers, len(numbers))
        order += drawn
    return tuple(order)


def _own_images(question: Example) -> list[ImageRef]:
    """Return the images of the conversation itself, not of its demonstrations."""
    return [part for turn in question.turns for part in turn.parts if isinstance(part, ImageRef)]


def _with_images(question: Example, images: Sequence[ImageRef]) -> Example:
    """Return the question with these images in the places of its own, demonstrations first; a frame stays one."""
    given = iter(images)
    return replace_parts(
        question, lambda part: [replace(next(given), video=part.video) if isinstance(part, ImageRef) else part]
    )


def _noted(made: Example, question: Example, suffix: str = "", **what: Json) -> Example:
    note: dict[str, Json] = {"of": question.id, **what}
    return replace(made, id=question.id + suffix, facts={**made.facts, "story": story_of(question), CHANGED: note})
