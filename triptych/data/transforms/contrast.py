"""contrast: captioned images become one conversation that asks which image a caption fits, and which caption an image.

Source: Contrast-Caption of Mantis-Instruct (arXiv:2405.01483). Better here: the label is the image's place in the row
that is written, never that of a loop; no two captions of a row are equal or one a part of the other; and right places
and letters are dealt so that each is right equally often.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from pydantic import Field, model_validator

from triptych.core.config import Settings
from triptych.core.records import Example, Json, Part, Text, Turn, text_of
from triptych.data.format import Refused, refusal
from triptych.data.text.grouping import Grouping, group_rows, in_place, joined, one_image_of, same_image
from triptych.data.text.naming import STYLES, Namer, Style
from triptych.data.text.references import LETTERS, find_doubt, find_references
from triptych.data.text.wording import count_words, words_in
from triptych.data.transform import Transform, draw, tidy


class Kinds(Settings):
    """How often each kind of question is asked, as weights."""

    select: float = Field(default=1.0, ge=0.0)
    """A caption is given; the reply is the image."""
    describe: float = Field(default=1.0, ge=0.0)
    """An image is named; the reply is its caption."""
    choose: float = Field(default=0.0, ge=0.0)
    """An image is named and captions are given as options; the reply is a letter."""

    @model_validator(mode="after")
    def _check_weights(self) -> Kinds:
        if not self.select + self.describe + self.choose:
            raise ValueError("at least one kind needs a weight above 0")
        return self


class Contrast(Grouping):
    """Which captioned images meet, and what is asked.

    In a row with one image and one reply, the reply is the caption; not one that is context alone (``loss: false``).
    """

    images: tuple[int, int] = (2, 8)
    kinds: Kinds = Kinds()
    questions: int | None = Field(default=None, ge=1)
    """Number of questions in a conversation, never two about one image. None: one about each image."""
    options: int = Field(default=4, ge=2, le=26)
    """Most options of a question that is asked as a choice (``choose``)."""
    longest_caption: int | None = Field(default=None, ge=1)
    """Rows with a caption of more words are not used; a character of Chinese or Japanese is a word."""
    p_end: float = Field(default=0.5, ge=0.0, le=1.0)
    """Probability that the images stand after the first question and not before it."""
    select: tuple[str, ...] = Field(
        default=(
            "Which image does this caption describe?\n{caption}",
            "One of the images fits these words. Which one?\n{caption}",
            "Find the image that this is about.\n{caption}",
        ),
        min_length=1,
    )
    describe: tuple[str, ...] = Field(
        default=("What do you see in {name}?", "Describe {name}.", "What does {name} show?"), min_length=1
    )
    choose: tuple[str, ...] = Field(
        default=("Which caption fits {name}?\n{options}", "Which of these describes {name}?\n{options}"), min_length=1
    )
    styles: tuple[Style, ...] = Field(default=STYLES, min_length=1)
    """How images are called, drawn for each conversation: number ("image 2") or ordinal ("the second image")."""
    nouns: tuple[str, ...] = Field(default=("image",), min_length=1)
    """What an image is called. The sentences of ``select`` say it themselves."""


_LITTLE = frozenset(("a", "an", "the", "is", "are", "of"))


def contrast(examples: Sequence[Example], settings: Contrast, seed: int) -> Iterator[Example | Refused]:
    """Yield the examples, a new one in the place of the first of its parents."""
    usable = [at for at, example in enumerate(examples) if _is_usable(example, settings)]

    def fits(members: Sequence[Example], candidate: Example) -> bool:
        image, key = one_image_of(candidate), _key(caption_of(candidate))
        for member in members:
            taken, other = one_image_of(member), _key(caption_of(member))
            if image is None or taken is None or same_image(taken, image) or key <= other or other <= key:
                return False
        return True

    def refused(example: Example) -> Refused:
        message = "contrast: it is not one image with one reply that describes it and is learnt."
        return refusal(example, "no caption", message=message)

    groups = group_rows(examples, usable, settings=settings, seed=seed, fits=fits)
    dealer = _Dealer()
    made = {
        min(group): _Writer([examples[at] for at in group], settings, dealer, seed).write()
        for group in groups
        if len(group) > 1
    }
    yield from in_place(
        examples, usable, groups=groups, made=made, refused=refused if settings.others == "refuse" else None
    )


def caption_of(example: Example) -> str:
    """Return the caption of a row of one image and one reply."""
    return text_of(example.turns[1]).strip()


def _is_usable(example: Example, settings: Contrast) -> bool:
    if one_image_of(example) is None or len(example.turns) != 2 or example.labels or not example.turns[1].learnt:
        return False
    caption = caption_of(example)
    short = settings.longest_caption is None or count_words(caption) <= settings.longest_caption
    # A caption that speaks of "the second image" would be taken for a reference here.
    named = find_references(caption, count=0) or find_doubt(caption, count=0)
    return bool(_key(caption)) and short and not named


def _key(caption: str) -> frozenset[str]:
    """Return a caption's words; one caption whose words are all in another's may fit that one's image too."""
    return frozenset(words_in(caption)) - _LITTLE


class _Dealer:
    """Deals right answers. State: how often each place was right, for each kind and number of places."""

    def __init__(self) -> None:
        self._dealt: Counter[tuple[str, int, int]] = Counter()

    def deal(self, kind: str, places: Sequence[int], among: int, random: Random) -> int:
        """Return one of ``places`` that was right least often; drawn among equals."""
        least = min(self._dealt[kind, among, place] for place in places)
        place = random.choice([place for place in places if self._dealt[kind, among, place] == least])
        self._dealt[kind, among, place] += 1
        return place


class _Writer:
    """Writes one conversation about captioned images."""

    def __init__(self, parents: Sequence[Example], settings: Contrast, dealer: _Dealer, seed: int) -> None:
        self.settings = settings
        self.dealer = dealer
        self.random = draw(seed, "contrast", *(parent.id for parent in parents))
        self.parents = self.random.sample(list(parents), len(parents))
        self.captions = [caption_of(parent) for parent in self.parents]
        self.namer = Namer(self.random.choice(settings.styles), self.random.choice(settings.nouns))

    def write(self) -> Example:
        """Return the conversation; its note has kind and image of each question."""
        kinds = self.settings.kinds
        weights = {"select": kinds.select, "describe": kinds.describe, "choose": kinds.choose}
        left = list(range(1, len(self.parents) + 1))
        turns: list[Turn] = []
        asked: list[Json] = []
        for _ in range(min(self.settings.questions or len(left), len(left))):
            kind = self.random.choices(list(weights), list(weights.values()))[0]
            number = self.dealer.deal(kind, left, len(self.parents), self.random)
            left.remove(number)
            question, reply = self._ask(kind, number)
            turns += [Turn("user", (Text(question),)), Turn("assistant", (Text(reply),))]
            asked.append({"kind": kind, "image": number})
        images = [image for parent in self.parents if (image := one_image_of(parent)) is not None]
        words = turns[0].parts
        at_end = self.random.random() < self.settings.p_end
        opening: list[Part] = [*words, Text("\n"), *images] if at_end else [*images, Text("\n"), *words]
        turns[0] = replace(turns[0], parts=tidy(opening))
        return replace(joined(self.parents, "contrast", questions=asked), turns=tuple(turns))

    def _ask(self, kind: str, number: int) -> tuple[str, str]:
        caption = self.captions[number - 1]
        name = self.namer.name(number)
        if kind == "select":
            return self._say(self.settings.select, caption=caption), f"{self.namer.opening(number)}."
        if kind == "describe":
            return self._say(self.settings.describe, name=name), caption
        rivals = [other for other in self.captions if other != caption]
        options = self.random.sample(rivals, min(len(rivals), self.settings.options - 1))
        places = list(range(len(options) + 1))
        place = self.dealer.deal("letter", places, len(places), self.random)
        options.insert(place, caption)
        listed = "\n".join(f"({LETTERS[at]}) {option}" for at, option in enumerate(options))
        return self._say(self.settings.choose, name=name, options=listed), LETTERS[place]

    def _say(self, phrases: Sequence[str], **words: str) -> str:
        """Return a drawn phrase with its placeholders filled, in one go: what is filled in is never looked at."""
        phrase = self.random.choice(phrases)
        return re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], found[0]), phrase)


TRANSFORM = Transform(
    settings=Contrast,
    about="captioned images become questions which image fits which caption",
    whole=contrast,
    keeps=frozenset(("images",)),
    samples=({}, {"kinds": {"choose": 2.0}, "images": [2, 4], "questions": 2, "others": "refuse"}),
)
