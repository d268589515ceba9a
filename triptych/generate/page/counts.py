"""What is in a run's kept items and refusals, counted in one pass over their files, with a few of each to show.

Not the page (``page``). Memory does not grow with the run: counts, and the samples, which are drawn by the digest of
their ids, so that the same run shows the same ones.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from triptych.core.errors import NotFoundError
from triptych.core.log import progress
from triptych.core.records import Json, Text, Turn
from triptych.generate.item import Item, Refusal
from triptych.generate.kit.planted import planted_in
from triptych.generate.recipe import Recipe, read_recipe
from triptych.generate.running.files import Note, StageFiles
from triptych.generate.stage import Made

SAMPLES = 64
"""Number of kept items that the page chooses its samples from."""
REFUSED_EACH = 2
"""Number of samples for each reason of a stage."""
WORDED = 4000
"""Rounds whose words are looked at one by one."""
UNTOLD = "not told"
MANY, SHOW_EVERY = 50_000, 5_000
"""Items and refusals from which on their reading is shown, and how often."""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
"""A word; a letter where a script puts no spaces."""

T = TypeVar("T")


class Drawn(Generic[T]):
    """Keeps the ``most`` whose names have the smallest digests. State: these."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[tuple[int, int, T]] = []
        self._count = 0

    def offer(self, name: str, value: T) -> None:
        """Take one, or not."""
        digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest()
        self._count += 1
        entry = (-int.from_bytes(digest, "big"), -self._count, value)
        if len(self._kept) < self._most:
            heapq.heappush(self._kept, entry)
        elif entry[:2] > self._kept[0][:2]:
            heapq.heapreplace(self._kept, entry)

    def __iter__(self) -> Iterator[T]:
        return (value for *_, value in sorted(self._kept, key=lambda entry: entry[:2], reverse=True))


@dataclass
class Kept:
    """What the kept items hold. State: the counts."""

    items: int = 0
    pairs: int = 0
    skills: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    """Language -> how many pairs are in it."""
    images: Counter[int] = field(default_factory=Counter)
    """Items by how many images and videos stand in them, demonstrations included."""
    rounds: Counter[int] = field(default_factory=Counter)
    """Items by how many questions they hold."""
    question_words: Counter[int] = field(default_factory=Counter)
    answer_words: Counter[int] = field(default_factory=Counter)
    samples: Drawn[Item] = field(default_factory=partial(Drawn, SAMPLES))
    worded: Drawn[tuple[str, str]] = field(default_factory=partial(Drawn, WORDED))
    """(question, answer) of some rounds in English, or in a language that nobody told."""
    planted: Counter[str] = field(default_factory=Counter)
    """Controls that no check has caught, by fault."""

    def take(self, item: Item) -> None:
        """Count one more item."""
        self.items += 1
        self.samples.offer(item.id, item)
        if (fault := planted_in(item)) is not None:
            self.planted[fault] += 1
        example = item.example
        if example is None:
            return
        self.skills.update(example.skills or (UNTOLD,))
        shown = [*(turn for each in example.demonstrations for turn in each.turns), *example.turns]
        self.images[sum(not isinstance(part, Text) for turn in shown for part in turn.parts)] += 1
        rounds = list(rounds_of(example.turns))
        self.rounds[len(rounds)] += 1
        self.pairs += len(rounds)
        language = language_of(item)
        self.languages[language] += len(rounds)
        for number, (question, answer) in enumerate(rounds):
            self.question_words[len(_WORD.findall(question))] += 1
            self.answer_words[len(_WORD.findall(answer))] += 1
            if language in ("en", UNTOLD):
                self.worded.offer(f"{item.id}/{number}", (question, answer))


@dataclass
class Refused:
    """What was refused, by stage and reason. State: the counts."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(stage, reason) -> how many."""
    samples: dict[tuple[str, str], Drawn[Refusal]] = field(default_factory=dict)
    planted: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)
    """Fault -> (stage, reason) that caught its controls."""

    def take(self, refusal: Refusal) -> None:
        """Count one more refusal."""
        key = (refusal.stage, refusal.reason)
        self.counts[key] += 1
        self.samples.setdefault(key, Drawn(REFUSED_EACH)).offer(refusal.item.id, refusal)
        if (fault := planted_in(refusal.item)) is not None:
            self.planted.setdefault(fault, Counter())[key] += 1


@dataclass(frozen=True, slots=True)
class Found:
    """All that the page tells of a run."""

    folder: Path
    recipe: Recipe
    notes: tuple[Note, ...]
    """The notes of the finished stages, in order."""
    kept: Kept
    refused: Refused

    @property
    def finished(self) -> bool:
        """Whether all stages are."""
        return len(self.notes) == len(self.recipe.stages)


def count_run(folder: Path) -> Found:
    """Return what a run's folder holds so far.

    Raises:
        NotFoundError: it is no run, or no stage of it is finished.
        DataError: a line is none of ours.
    """
    recipe = read_recipe(folder)
    notes: list[Note] = []
    for number in range(len(recipe.stages)):
        note = StageFiles(folder, recipe.label(number)).read_note()
        if note is None:
            break
        notes.append(note)
    if not notes:
        raise NotFoundError(f"{folder}: no stage is finished yet, so there is nothing to report. Run it first.")
    kept, refused = Kept(), Refused()
    total = notes[-1].items_out + sum(sum(note.refused.values()) for note in notes)
    with progress("report", total) if total >= MANY else nullcontext() as advance:
        for number, made in enumerate(_all_made(folder, notes), start=1):
            if isinstance(made, Item):
                kept.take(made)
            else:
                refused.take(made)
            if advance is not None and number % SHOW_EVERY == 0:
                advance(SHOW_EVERY)
    return Found(folder, recipe, tuple(notes), kept, refused)


def _all_made(folder: Path, notes: Iterable[Note]) -> Iterator[Made]:
    """Yield all refusals, and then what the last stage has kept."""
    label = ""
    for note in notes:
        label = note.label
        if note.refused:
            yield from (placed.made for placed in StageFiles(folder, label).read_refusals())
    yield from (placed.made for placed in StageFiles(folder, label).read_items())


def rounds_of(turns: Iterable[Turn]) -> Iterator[tuple[str, str]]:
    """Yield each question with its answer, in words."""
    asked: list[str] = []
    for turn in turns:
        words = " ".join(part.text for part in turn.parts if isinstance(part, Text)).strip()
        if turn.role == "assistant":
            yield "\n".join(asked), words
            asked = []
        elif turn.role == "user":
            asked.append(words)


def language_of(item: Item) -> str:
    """Return an item's language: as stages have found it, or said it."""
    checked = item.facts.get("languages")
    found: Json = checked.get("found") if isinstance(checked, Mapping) else None
    names = [name for name in found if isinstance(name, str) and name] if isinstance(found, list) else []
    said = item.facts.get("language")
    if isinstance(said, str) and said:
        return said
    return Counter(names).most_common(1)[0][0] if names else UNTOLD


def median(counts: Mapping[int, int]) -> int:
    """Return the middle of counted numbers, the smaller one of two; 0 of none."""
    left = (sum(counts.values()) + 1) // 2
    for number in sorted(counts):
        left -= counts[number]
        if left <= 0:
            return number
    return 0
