"""Storyboard: the drawn multi-image data set, as Examples with their pictures on disk.

Four skills (co-reference, comparison, reasoning, temporal) times four scenarios (images, frames, views, patches),
free-form and multiple-choice, 2 to 8 images in mid-sentence and in front, one to three turns. Deterministic from a
seed. Held-out questions show things that tuning never showed, in phrases that tuning never used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from random import Random
from typing import Literal

import yaml

from triptych.core.records import Example, ImageRef, Json, Text, Turn
from triptych.starter.icons import Thing, vocabulary
from triptych.starter.questions import FOLLOW_UPS, KINDS, SKILLS, Asked, Scene, join_words, list_all
from triptych.starter.scenes import SCENARIOS, SIZES, Story, draw_portrait, draw_story, name_images

Phrasing = Literal["tuned", "held_out"]

HELD_OUT_SHARE = 0.25
CHOICE_SHARE = 0.35
"""Share of the questions that can be asked as multiple choice which are."""
LATE_SHARE = 0.4
"""Share of the conversations that can have it whose question comes with images of its own, in a second turn."""
_LATE_KINDS = ("name", "where")
_LATE_SCENARIOS = ("images", "frames")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of each part to draw."""

    portraits: int = 8
    """Pictures of each thing alone, for alignment."""
    tune: int = 640
    """Conversations, of up to four questions each and a listing of all images."""
    held_in: int = 352
    """Questions with things and phrases of tuning, in new pictures."""
    held_out: int = 352
    """Questions with things and phrases that tuning never saw."""


def split_things(seed: int) -> tuple[tuple[Thing, ...], tuple[Thing, ...]]:
    """Return the things that tuning may show, and those it may not: a quarter of each category."""
    tuned: list[Thing] = []
    held_out: list[Thing] = []
    rng = Random(f"{seed}-things")
    for category in sorted({thing.category for thing in vocabulary()}):
        things = [thing for thing in vocabulary() if thing.category == category]
        rng.shuffle(things)
        cut = max(1, round(len(things) * HELD_OUT_SHARE))
        held_out += things[:cut]
        tuned += things[cut:]
    return tuple(tuned), tuple(held_out)


def describe_storyboard(*, seed: int, sizes: Sizes) -> dict[str, Json]:
    """Return what the drawn data follow from: seed, sizes, and a digest of the words, the questions and the drawing."""
    folder = resources.files("triptych.starter")
    sources = ("vocabulary.yaml", "phrases.yaml", "questions.py", "scenes.py", "storyboard.py")
    text = "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in sources)
    return {"seed": seed, "digest": hashlib.sha256(text.encode()).hexdigest()[:16], "sizes": {**asdict(sizes)}}


def draw_storyboard(folder: Path, *, seed: int, sizes: Sizes) -> dict[str, list[Example]]:
    """Draw all parts below ``folder`` and return their Examples: ``align``, ``tune``, ``held_in``, ``held_out``.

    Each part has a generator of its own, so that changing one size leaves the other parts as they were.
    """
    tuned, held_out = split_things(seed)
    return {
        "align": _portraits(folder / "align", sizes.portraits, Random(f"{seed}-align")),
        "tune": _part(folder, "tune", sizes.tune, pool=tuned, phrasing="tuned", follow_ups=3, seed=seed),
        "held_in": _part(folder, "held_in", sizes.held_in, pool=tuned, phrasing="tuned", seed=seed),
        "held_out": _part(folder, "held_out", sizes.held_out, pool=held_out, phrasing="held_out", seed=seed),
    }


def _portraits(folder: Path, count: int, rng: Random) -> list[Example]:
    examples = []
    for thing in vocabulary():
        for number in range(count):
            name = f"{thing.word}-{number}"
            image = draw_portrait(thing, folder / f"{name}.png", rng=rng)
            turns = (Turn("user", (image,)), Turn("assistant", (Text(thing.word),)))
            examples.append(Example(f"align-{name}", turns, origin="storyboard"))
    return examples


def _part(
    folder: Path, part: str, count: int, *, pool: Sequence[Thing], phrasing: Phrasing, seed: int, follow_ups: int = 0
) -> list[Example]:
    """Draw ``count`` conversations; skills, kinds and scenarios take turns, so that all are equally frequent."""
    rng = Random(f"{seed}-{part}")
    by_skill = {skill: [name for name, kind in KINDS.items() if kind.skill == skill] for skill in SKILLS}
    examples = []
    for number in range(count):
        skill = SKILLS[number % len(SKILLS)]
        scenario = SCENARIOS[number // len(SKILLS) % len(SCENARIOS)]
        kinds = by_skill[skill]
        kind = kinds[number // (len(SKILLS) * len(SCENARIOS)) % len(kinds)]
        writer = _Writer(f"{part}-{number:05d}", tuple(pool), phrasing, rng)
        examples.append(writer.write(folder / part, kind=kind, scenario=scenario, follow_ups=follow_ups))
    return examples


class _Writer:
    """Puts one story and its questions into words."""

    def __init__(self, name: str, pool: tuple[Thing, ...], phrasing: Phrasing, rng: Random) -> None:
        self.name = name
        self.pool = pool
        self.phrasing: Phrasing = phrasing
        self.rng = rng

    def write(self, folder: Path, *, kind: str, scenario: str, follow_ups: int) -> Example:
        """Draw the story and return its conversation; ``facts`` are about the question of ``kind``."""
        count = self.rng.choice([size for size in SIZES[scenario] if size >= KINDS[kind].smallest])
        names = name_images(scenario, count)
        early = self._images_of_first_turn(kind, scenario, count)
        story = Story(self.name, scenario, KINDS[kind].arrange(self.pool, count, self.rng), names)
        images = draw_story(story, folder, rng=self.rng)
        turns: list[Turn] = []
        opening = self._opening(scenario, names[:early], images[:early])
        if early < count:
            asked, text, _ = self._question("name", Scene(story.things[:early], names[:early], self.pool))
            turns += [_user(opening, text), _assistant(asked)]
            opening = self._more(names[early:], images[early:])
        start = early if early < count else 0
        asked, text, options = self._question(kind, Scene(story.things, names, self.pool, start=start))
        turns += [_user(opening, text), _assistant(asked)]
        whole = Scene(story.things, names, self.pool)
        for follow_up in self._follow_ups(kind, follow_ups):
            later, text, _ = self._question(follow_up, whole)
            turns += [_user([], text), _assistant(later)]
        if follow_ups:
            text = self.rng.choice(_phrases().questions["list"][self.phrasing])
            turns += [_user([], text), Turn("assistant", (Text(list_all(whole)),))]
        facts: dict[str, Json] = {
            "scenario": scenario,
            "kind": kind,
            "options": list(options),
            "choice": bool(options),
            "chance": 1 / len(options) if options else asked.chance,
        }
        if not options and not follow_ups:
            facts["answers"] = list(asked.possible)
        return Example(self.name, tuple(turns), origin="storyboard", skills=(KINDS[kind].skill,), facts=facts)

    def _images_of_first_turn(self, kind: str, scenario: str, count: int) -> int:
        """Return how many images come at once; the others come with the question, in a second turn."""
        if kind in _LATE_KINDS and scenario in _LATE_SCENARIOS and count >= 4 and self.rng.random() < LATE_SHARE:
            return count - 2
        return count

    def _follow_ups(self, kind: str, count: int) -> list[str]:
        possible = [name for name in FOLLOW_UPS[KINDS[kind].arrange] if name != kind]
        return self.rng.sample(possible, min(count, len(possible)))

    def _opening(self, scenario: str, names: Sequence[str], images: Sequence[ImageRef]) -> list[Text | ImageRef]:
        opening = self.rng.choice(_phrases().openings[scenario][self.phrasing])
        parts: list[Text | ImageRef] = [Text(opening["start"])] if opening["start"] else []
        for number, (name, image) in enumerate(zip(names, images, strict=True), start=1):
            before, after = opening["each"].split("{image}")
            words = {"n": number, "name": name, "Name": name[0].upper() + name[1:]}
            parts += [Text(before.format(**words)), image, Text(after.format(**words))]
        return [*parts, Text(opening["end"])] if "end" in opening else parts

    def _more(self, names: Sequence[str], images: Sequence[ImageRef]) -> list[Text | ImageRef]:
        parts: list[Text | ImageRef] = []
        for name, image in zip(names, images, strict=True):
            phrase = self.rng.choice(_phrases().more[self.phrasing])
            before, after = phrase.format(name=name, Name=name[0].upper() + name[1:], image="{image}").split("{image}")
            parts += [Text(before), image, Text(after + " ")]
        return parts

    def _question(self, kind: str, scene: Scene) -> tuple[Asked, str, tuple[str, ...]]:
        """Return what is asked, its words, and the options if it is multiple choice."""
        asked = KINDS[kind].ask(scene, self.rng)
        text = self.rng.choice(_phrases().questions[kind][self.phrasing]).format(**asked.words)
        if not (KINDS[kind].choosable and asked.rivals and self.rng.random() < CHOICE_SHARE):
            return asked, text, ()
        options = [asked.answer, *asked.rivals[:3]]
        self.rng.shuffle(options)
        choice = self.rng.choice(_phrases().choices[self.phrasing])
        return asked, text + choice.format(list=join_words(options, "or")), tuple(options)


def _user(opening: Sequence[Text | ImageRef], question: str) -> Turn:
    """Return a user turn; neighbouring texts become one, so that a round trip through any format keeps it."""
    parts: list[Text | ImageRef] = []
    last = opening[-1] if opening else Text(" ")
    space = "" if isinstance(last, Text) and last.text.endswith(("\n", " ")) else " "
    for part in (*opening, Text(space + question)):
        if isinstance(part, Text) and parts and isinstance(parts[-1], Text):
            parts[-1] = Text(parts[-1].text + part.text)
        elif not (isinstance(part, Text) and not part.text):
            parts.append(part)
    return Turn("user", tuple(parts))


def _assistant(asked: Asked) -> Turn:
    return Turn("assistant", (Text(asked.answer),))


@dataclass(frozen=True, slots=True)
class _Phrases:
    """What ``phrases.yaml`` holds."""

    openings: dict[str, dict[str, list[dict[str, str]]]]
    more: dict[str, list[str]]
    questions: dict[str, dict[str, list[str]]]
    choices: dict[str, list[str]]


@cache
def _phrases() -> _Phrases:
    return _Phrases(**yaml.safe_load(resources.files("triptych.starter").joinpath("phrases.yaml").read_text("utf-8")))
