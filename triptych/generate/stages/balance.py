"""balance: right options stand at each place equally often, and no answer is so frequent that guessing it pays.

Not about what is asked. Options are put in another order, for which nothing is lost. Answers of one kind (yes or no,
true or false, counts) are balanced by leaving some out: what is too frequent waits for its counterpart, and is refused
when none comes; of opposites, within a kind and over all. Streams: at most ``hold`` items wait. The same items in the
same order give the same choice.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pydantic import Field

from triptych.data.transform import draw
from triptych.generate.item import Item, Refusal
from triptych.generate.kit.checking import OPPOSITES, noted
from triptych.generate.question import Question, question_of, reorder
from triptych.generate.stage import Made, Stage, StageSettings


class Balance(StageSettings):
    """What is balanced, and how strictly."""

    options: bool = True
    """Whether options are put in another order, so that each place is right equally often."""
    answers: bool = True
    """Whether answers that are too frequent are left out."""
    by_kind: bool = True
    """Whether that is done for each kind of question on its own too, not only over all."""
    lean: float = Field(default=1.25, ge=1.0)
    """How many times as frequent as its opposite a yes, no, true or false may be."""
    most: float = Field(default=0.5, gt=0.0, le=1.0)
    """Largest share of any other answer among those of its kind."""
    free: int = Field(default=4, ge=1)
    """How many items of each answer pass before shares are looked at."""
    hold: int = Field(default=1024, ge=0)
    """Most items that wait for a counterpart; the oldest is refused when there are more."""


@dataclass
class _Group:
    """Answers of one kind. State: how often each was let through, and who waits, by answer, the oldest first."""

    passed: Counter[str] = field(default_factory=Counter)
    waiting: dict[str, deque[Item]] = field(default_factory=dict)

    @property
    def held(self) -> int:
        """How many wait."""
        return sum(map(len, self.waiting.values()))


@dataclass
class _Answers:
    """All kinds. State: as theirs, and how often each answer was let through."""

    settings: Balance
    groups: dict[str, _Group] = field(default_factory=lambda: defaultdict(_Group))
    passed: Counter[str] = field(default_factory=Counter)

    def add(self, item: Item, question: Question) -> Iterator[Item | Refusal]:
        """Yield what may pass now that one more waits, and who has waited too long."""
        kind = question.kind if self.settings.by_kind else ""
        group = self.groups[f"{kind}/{_family(question)}"]
        group.waiting.setdefault(_answer(question), deque()).append(item)
        yield from self._released()
        while sum(each.held for each in self.groups.values()) > self.settings.hold:
            fullest = max(self.groups.values(), key=lambda each: each.held)
            longest = max(fullest.waiting.values(), key=len)
            yield _surplus(longest.popleft())

    def rest(self) -> Iterator[Refusal]:
        """Yield those for whom nothing has come."""
        for group in self.groups.values():
            yield from (_surplus(item) for items in group.waiting.values() for item in items)

    def _released(self) -> Iterator[Item]:
        """Yield those that may pass now, until none may. One lets others pass: its opposites."""
        moved = True
        while moved:
            moved = False
            for group in self.groups.values():
                for answer, items in group.waiting.items():
                    while items and self._may_pass(answer, group):
                        group.passed[answer] += 1
                        self.passed[answer] += 1
                        moved = True
                        yield items.popleft()

    def _may_pass(self, answer: str, group: _Group) -> bool:
        settings = self.settings
        for pair in OPPOSITES:
            if answer in pair:
                other = pair[1 - pair.index(answer)]
                counts = (group.passed, self.passed)
                return all(passed[answer] + 1 <= settings.lean * (passed[other] + 1) for passed in counts)
        return group.passed[answer] < max(settings.free, settings.most * (group.passed.total() + 1))


def whole(items: Iterable[Item], settings: Balance, seed: int) -> Iterator[Made]:
    """Yield the items, some later than they came, with options in their new order; then what is left over."""
    places: Counter[tuple[int, int]] = Counter()
    answers = _Answers(settings)
    for item in items:
        question = question_of(item)
        if question is None:
            yield item
        elif len(question.options) > 2 or _is_plain_choice(question):
            yield _placed(item, question, places, seed) if settings.options else item
        elif settings.answers:
            yield from answers.add(item, question)
        else:
            yield item
    yield from answers.rest()


def _placed(item: Item, question: Question, places: Counter[tuple[int, int]], seed: int) -> Item:
    """Return the item with its right option at the place that was right least often so far."""
    count = len(question.options)
    random = draw("balance", seed, item.id)
    least = min(places[count, at] for at in range(count))
    place = random.choice([at for at in range(count) if places[count, at] == least])
    places[count, place] += 1
    others = [option for option in question.options if option != question.answer]
    others.insert(place, question.answer)
    changed = reorder(item, others)
    return noted(changed, "balance", place=place, of=count)


def _is_plain_choice(question: Question) -> bool:
    """Return whether two options stand there that are no opposites: their places are balanced, and nothing else."""
    return len(question.options) == 2 and not any(set(question.options) == set(pair) for pair in OPPOSITES)


def _surplus(item: Item) -> Refusal:
    question = question_of(item)
    said = question.answer if question is not None else ""
    return Refusal(item, f"too often {said!r}"[:60], f"its kind of question is answered {said!r} too often.")


def _family(question: Question) -> str:
    answer = _answer(question)
    for pair in OPPOSITES:
        if answer in pair:
            return "/".join(pair)
    return "number" if answer.isdecimal() else "words"


def _answer(question: Question) -> str:
    return " ".join(question.answer.lower().strip(" .!").split())


STAGE = Stage(
    settings=Balance,
    about="put right options at each place equally often, and leave out answers that are too frequent",
    whole=whole,
    samples=({}, {"by_kind": False, "hold": 4}),
)
