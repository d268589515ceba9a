"""Questions about stories, each with one checkable answer: the four skills of the Mantis paper, kind by kind.

A kind first arranges the things so that its question has an answer, then asks. Answers are balanced by
construction: places, things, yes/no and counts are drawn uniformly, so nothing can be guessed from the words alone.
The phrases stand in ``phrases.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from triptych.starter.icons import Thing
from triptych.starter.scenes import pick_things

CATEGORY_WORDS = {
    "animal": "an animal",
    "food": "food",
    "vehicle": "a vehicle",
    "tool": "a tool",
    "clothing": "something to wear",
}

ALSO = {
    "food": {"chicken", "cow", "crab", "deer", "duck", "fish", "goat", "lobster", "octopus", "pig", "rabbit", "shark"}
    | {"sheep", "snail", "squid", "turkey", "turtle"},
    "clothing": {"umbrella", "watch"},
    "tool": {"anchor", "battery", "camera", "computer", "mirror", "pencil", "phone", "printer", "umbrella", "watch"},
    "vehicle": {"balloon", "parachute", "wheel"},
}
"""Things of other categories that somebody might count too: a question about a category never shows them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question before it is put into words."""

    words: dict[str, str]
    """Values of the phrase's placeholders."""
    answer: str
    """What is to be said: ``the dog``, ``image 2``, ``yes``, ``3``."""
    rivals: tuple[str, ...]
    """Wrong answers of the same sort that the words make as likely as the right one; offered as choices."""
    possible: tuple[str, ...]
    """Every answer that the words allow, the right one included, all equally likely to somebody who cannot see."""

    @property
    def chance(self) -> float:
        """Return the probability that a guess which knows the question but not the images is right."""
        return 1 / len(self.possible)


Arrange = Callable[[Sequence[Thing], int, Random], tuple[Thing, ...]]
Ask = Callable[["Scene", Random], Asked]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a question may look at."""

    things: tuple[Thing, ...]
    names: tuple[str, ...]
    pool: tuple[Thing, ...]
    """All things that this part of the data may show."""
    start: int = 0
    """First image that a question may ask about: those before it belong to earlier turns."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of question."""

    skill: str
    arrange: Arrange
    ask: Ask
    smallest: int = 2
    """Fewest images that it makes sense with."""
    choosable: bool = False
    """Whether it is also asked as multiple choice."""


def said(thing: Thing) -> str:
    """Return how an answer names a thing."""
    return f"the {thing.word}"


def _all_said(things: Iterable[Thing]) -> tuple[str, ...]:
    return tuple(said(thing) for thing in things)


def _distinct(pool: Sequence[Thing], count: int, rng: Random) -> tuple[Thing, ...]:
    return pick_things(pool, count, rng=rng)


def _with_pair(pool: Sequence[Thing], count: int, rng: Random) -> tuple[Thing, ...]:
    things = list(pick_things(pool, count - 1, rng=rng))
    things.append(things[0])
    rng.shuffle(things)
    return tuple(things)


def _one_of_category(pool: Sequence[Thing], count: int, rng: Random) -> tuple[Thing, ...]:
    category = rng.choice(sorted(CATEGORY_WORDS))
    others = [thing for thing in pool if thing.category != category and thing.word not in ALSO.get(category, ())]
    things = [
        *pick_things(others, count - 1, rng=rng),
        rng.choice([thing for thing in pool if thing.category == category]),
    ]
    rng.shuffle(things)
    return tuple(things)


def _repeated(pool: Sequence[Thing], count: int, rng: Random) -> tuple[Thing, ...]:
    times = rng.randint(1, min(count, 4))
    first, *others = pick_things(pool, count - times + 1, rng=rng)
    things = [first] * times + others
    rng.shuffle(things)
    return tuple(things)


def _ask_name(scene: Scene, rng: Random) -> Asked:
    place = rng.randrange(scene.start, len(scene.things))
    rivals = _rivals_of_name(scene, place, rng)
    return Asked({"a": scene.names[place]}, said(scene.things[place]), rivals, _all_said(scene.pool))


def _rivals_of_name(scene: Scene, place: int, rng: Random) -> tuple[str, ...]:
    """Return the other things of the question's own images.

    Things of earlier turns would be no rivals, as the talk about them tells where they are; others stand in for them.
    """
    rivals = {said(thing): None for thing in scene.things[scene.start :] if thing != scene.things[place]}
    if scene.start:
        unseen = [thing for thing in scene.pool if thing not in scene.things]
        rivals |= {said(thing): None for thing in rng.sample(unseen, 2)}
    return tuple(rivals)


def _ask_where(scene: Scene, rng: Random) -> Asked:
    once = [i for i in range(scene.start, len(scene.things)) if scene.things.count(scene.things[i]) == 1]
    place = rng.choice(once)
    return Asked({"x": scene.things[place].word}, scene.names[place], (), scene.names[scene.start :])


def _ask_match(scene: Scene, rng: Random) -> Asked:
    pair = [i for i, thing in enumerate(scene.things) if scene.things.count(thing) == 2]
    rng.shuffle(pair)
    others = tuple(name for name in scene.names if name != scene.names[pair[0]])
    return Asked({"a": scene.names[pair[0]]}, scene.names[pair[1]], (), others)


def _ask_twice(scene: Scene, rng: Random) -> Asked:
    twin = next(thing for thing in scene.things if scene.things.count(thing) == 2)
    rivals = tuple({said(thing): None for thing in scene.things if thing != twin})
    return Asked({}, said(twin), rivals, _all_said(scene.pool))


def _ask_same(scene: Scene, rng: Random) -> Asked:
    pair = [i for i, thing in enumerate(scene.things) if scene.things.count(thing) == 2]
    alike = rng.random() < 0.5
    if not alike:
        pair[1] = rng.choice([i for i, thing in enumerate(scene.things) if thing != scene.things[pair[0]]])
    rng.shuffle(pair)
    words = {"a": scene.names[pair[0]], "b": scene.names[pair[1]]}
    return Asked(words, "yes" if alike else "no", (), ("yes", "no"))


def _lone(scene: Scene, rng: Random) -> int:
    """Return the place of a thing that is alone in its category."""
    categories = [thing.category for thing in scene.things]
    lone = [
        i
        for i, name in enumerate(categories)
        if name in CATEGORY_WORDS
        and categories.count(name) == 1
        and not any(thing.word in ALSO.get(name, ()) for thing in scene.things)
    ]
    return rng.choice(lone)


def _ask_category(scene: Scene, rng: Random) -> Asked:
    place = _lone(scene, rng)
    category = scene.things[place].category
    alike = [thing for thing in scene.pool if thing.category == category]
    rivals = [said(thing) for thing in alike if thing != scene.things[place]]
    rng.shuffle(rivals)
    words = {"c": CATEGORY_WORDS[category]}
    return Asked(words, said(scene.things[place]), tuple(rivals), _all_said(alike))


def _ask_category_where(scene: Scene, rng: Random) -> Asked:
    place = _lone(scene, rng)
    words = {"c": CATEGORY_WORDS[scene.things[place].category]}
    return Asked(words, scene.names[place], (), scene.names)


def _ask_missing(scene: Scene, rng: Random) -> Asked:
    absent = rng.choice([thing for thing in scene.pool if thing not in scene.things])
    shown = rng.sample(scene.things, min(len(scene.things), 3))
    expected = [said(thing) for thing in (*shown, absent)]
    rng.shuffle(expected)
    return Asked({"list": join_words(expected, "and")}, said(absent), (), tuple(expected))


def _ask_count(scene: Scene, rng: Random) -> Asked:
    often = max(scene.things, key=scene.things.count)
    times = scene.things.count(often)
    return Asked({"x": often.word}, str(times), (), tuple(map(str, range(1, min(len(scene.things), 4) + 1))))


def _ask_after(scene: Scene, rng: Random) -> Asked:
    place = rng.randrange(len(scene.things) - 1)
    return _neighbour(scene, place, place + 1)


def _ask_before(scene: Scene, rng: Random) -> Asked:
    place = rng.randrange(1, len(scene.things))
    return _neighbour(scene, place, place - 1)


def _neighbour(scene: Scene, place: int, other: int) -> Asked:
    rivals = tuple(said(thing) for i, thing in enumerate(scene.things) if i not in (place, other))
    return Asked({"x": scene.things[place].word}, said(scene.things[other]), rivals, _all_said(scene.pool))


def _ask_first(scene: Scene, rng: Random) -> Asked:
    one, other = rng.sample(range(len(scene.things)), 2)
    words = {"x": scene.things[one].word, "y": scene.things[other].word}
    both = (said(scene.things[one]), said(scene.things[other]))
    return Asked(words, said(scene.things[min(one, other)]), (), both)


def _ask_last(scene: Scene, rng: Random) -> Asked:
    rivals = tuple(said(thing) for thing in scene.things[:-1])
    return Asked({}, said(scene.things[-1]), rivals, _all_said(scene.pool))


KINDS: dict[str, Kind] = {
    "name": Kind("co-reference", _distinct, _ask_name, choosable=True),
    "where": Kind("co-reference", _distinct, _ask_where),
    "match": Kind("comparison", _with_pair, _ask_match, smallest=3),
    "twice": Kind("comparison", _with_pair, _ask_twice, smallest=3, choosable=True),
    "same": Kind("comparison", _with_pair, _ask_same, smallest=3),
    "category": Kind("reasoning", _one_of_category, _ask_category, choosable=True),
    "category_where": Kind("reasoning", _one_of_category, _ask_category_where),
    "missing": Kind("reasoning", _distinct, _ask_missing),
    "count": Kind("reasoning", _repeated, _ask_count),
    "after": Kind("temporal", _distinct, _ask_after, smallest=3, choosable=True),
    "before": Kind("temporal", _distinct, _ask_before, smallest=3, choosable=True),
    "first": Kind("temporal", _distinct, _ask_first),
    "last": Kind("temporal", _distinct, _ask_last, choosable=True),
}
SKILLS = ("co-reference", "comparison", "reasoning", "temporal")


FOLLOW_UPS: dict[Arrange, tuple[str, ...]] = {
    _distinct: ("name", "where", "after", "before", "first", "last", "missing"),
    _with_pair: ("match", "twice", "same", "name"),
    _one_of_category: ("category", "category_where", "name", "where"),
    _repeated: ("count", "name"),
}
"""What else can be asked of a story, by how it was arranged."""


def list_all(scene: Scene) -> str:
    """Return what each image shows, in order: the densest thing to learn from a story, and it binds names to places."""
    return ", ".join(f"{name}: {said(thing)}" for name, thing in zip(scene.names, scene.things, strict=True))


def join_words(words: Sequence[str], last: str) -> str:
    """Return ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
