"""What is asked for in images: a sort of thing, such as "black squares", "dogs" or "large objects".

Not what is asked about it (``kinds``). A sort knows which things of an annotation it means, and how it is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from triptych.core.records import Json
from triptych.generate.item import Thing, View

THING = "object"
"""What a thing is called whose name does not matter."""
_SAME = frozenset(
    ("deer", "fish", "sheep", "squid", "shrimp", "scissors", "trousers", "jeans", "glasses", "people", "sushi")
)
_ODD = {
    "man": "men",
    "woman": "women",
    "person": "people",
    "child": "children",
    "mouse": "mice",
    "foot": "feet",
    "knife": "knives",
    "leaf": "leaves",
    "loaf": "loaves",
    "wolf": "wolves",
    "goose": "geese",
    "tooth": "teeth",
    "ox": "oxen",
    "calf": "calves",
    "shelf": "shelves",
    "potato": "potatoes",
    "tomato": "tomatoes",
}
_SOUNDS_LIKE_YOU = re.compile(r"uni|eu|use|u[^aeiou]i")


@dataclass(frozen=True, slots=True, order=True)
class Sort:
    """Things with an attribute, with a name, or both."""

    attribute: str = ""
    """The attribute in the annotation's words, e.g. ``black``; empty: any."""
    name: str = ""
    """The name in the annotation's words, e.g. ``dog``; empty: any."""

    @property
    def one(self) -> str:
        """Return what one of them is called, without an article: ``black square``."""
        return " ".join(filter(None, (self.attribute, self.name or THING)))

    @property
    def many(self) -> str:
        """Return what several are called: ``black squares``."""
        return " ".join(filter(None, (self.attribute, plural(self.name or THING))))

    @property
    def a(self) -> str:
        """Return one of them with its article: ``an apple``."""
        return with_article(self.one)

    def means(self, thing: Thing) -> bool:
        """Return whether a thing is of this sort."""
        return self.name in ("", thing.name) and (not self.attribute or self.attribute in thing.attributes)

    def count(self, view: View) -> int:
        """Return how many of them are in an image."""
        return sum(map(self.means, view.things))

    def as_json(self) -> list[Json]:
        """Return it as facts."""
        return [self.attribute, self.name]


def sort_of(said: Json) -> Sort:
    """Return the sort that ``Sort.as_json`` wrote."""
    attribute, name = said if isinstance(said, list) and len(said) == 2 else ("", "")
    return Sort(str(attribute), str(name))


def sorts_in(views: Iterable[View], *, whole: bool = True) -> tuple[Sort, ...]:
    """Return every sort that a thing in the images is of, sorted; with ``whole`` that of all things too."""
    found: set[Sort] = {Sort()} if whole else set()
    for view in views:
        for thing in view.things:
            found.add(Sort(name=thing.name))
            for attribute in thing.attributes:
                found |= {Sort(attribute), Sort(attribute, thing.name)}
    return tuple(sorted(found))


def plural(noun: str) -> str:
    """Return the plural of an English noun; of several words, that of the last one."""
    *before, last = noun.split(" ")
    return " ".join([*before, _plural(last)])


def with_article(words: str) -> str:
    """Return English words with "a" or "an" in front."""
    vowel = words[:1].lower() in "aeiou" and not _SOUNDS_LIKE_YOU.match(words.lower())
    return f"{'an' if vowel else 'a'} {words}"


def join_words(words: Sequence[str], last: str = "and") -> str:
    """Return ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def _plural(word: str) -> str:
    low = word.lower()
    if low in _SAME:
        return word
    if low in _ODD:
        return _ODD[low]
    if low.endswith(("s", "x", "z", "ch", "sh")):
        return f"{word}es"
    if low.endswith("y") and low[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"
