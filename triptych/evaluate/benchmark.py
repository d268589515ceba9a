"""The contract of ``benchmarks/``: where questions come from, what a reply is worth, what a guess is worth.

A file in that drawer defines one ``BENCHMARK``. It holds no asking, no statistics and no model: ``run.py`` does that
for every benchmark alike. Facts of a question that the other files of this room know:

    kind        its task: ``by_task`` groups by it unless ``Benchmark.tasks`` names another fact
    choice      true: one of ``options`` is right, and the reference names it. They are the options' words, in order,
                without letters; empty words where an option is a picture: then only its letter names it
    right       position of the right option, from 0: needed where an option's words look like a letter
    answers     accepted answers, for free replies
    question    the published words, before anything was put around them
    story       what questions have in common that are not independent: intervals are clustered by it; where there
                is none, by the images and videos that a question shows
    chance      expected score of a guess, where it is not one over the options
    scenario, split   what else results are grouped by
    rule        how its reply is marked, where rows tell that; results by two rules are not compared
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Literal

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Json, Text, Turn, VideoRef
from triptych.data.format import Refused
from triptych.evaluate.reading import scorers
from triptych.evaluate.reading.judge import Judge


@dataclass(frozen=True, slots=True)
class MarkedReply:
    """A question, and what its reply is worth."""

    question: Example
    score: float
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers that papers print beside the total or instead of it, where they are no mean of scores: MME's sums, F1."""

    count: Callable[[Sequence[MarkedReply]], Sequence[float]]
    """(the questions of one story, see ``story_of``) -> numbers that are added up over stories: as many for each."""
    values: Callable[[Sequence[float]], Mapping[str, float]]
    """(the sums) -> each figure by its name; one that they do not give, as a part of the test is missing, is left
    out."""
    best: Callable[[str], float]
    """(name) -> the figure's best value; the worst is 0."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark as a value."""

    questions: Callable[[Path], Iterable[Example | Refused]]
    """Read the questions of a file or folder, in order, with distinct ids; a row that is none is Refused and counts
    as failed. Each Example's last turn is the reference reply; the turns before it are the prompt as published, each
    image at its place. ``facts`` are those of the file's head."""
    score: Callable[[Example, str], float]
    """(question with its reference, reply) -> 0 to 1."""
    chance: Callable[[Example], float]
    """Expected score of a guess by somebody who cannot see."""
    cite: str
    """Who made it, and under which licence."""
    about: str
    """One line for lists."""
    answered: Callable[[Example, str], bool] = scorers.is_answered
    """Whether the reply says anything that can be scored; if not it is counted as unanswered."""
    label: Callable[[Example], Hashable] = scorers.reference_label
    """What the reference is, for the majority baseline."""
    items: int | None = None
    """Questions that the published test has, as they are asked here; None: not published, or not known to us."""
    task_count: int | None = None
    """Its tasks; None: not published, or not known to us."""
    images: str = "unknown"
    """Images of a question, for lists: ``2``, ``1 to 5``, ``8 frames``."""
    guess: float | None = None
    """Score of guessing on the whole published test; None: it has free answers, or the data alone tells."""
    source: str = ""
    """Where the data is: a hub id or an address, with the split."""
    licence: str = "unknown"
    """Of the data."""
    metric: str = "accuracy"
    """One word: accuracy, rouge_l, cider, anls, vqa, wups, spearman, judge..."""
    aggregate: Literal["micro", "macro"] = "micro"
    """How the total is made: the mean over questions, or the unweighted mean over groups of them."""
    group: str = "kind"
    """The fact that macro's groups share."""
    tasks: str = "kind"
    """The fact by which ``by_task`` is grouped."""
    max_tokens: int = 32
    """Most tokens of a reply, unless the user says otherwise."""
    together: Mapping[str, str] = field(default_factory=dict)
    """Name -> fact: the share of groups with one value of that fact in which every question is answered right.
    Consistency of NLVR, the group score of Winoground. Questions without the fact do not count."""
    published: Callable[[Example, str], float | None] | None = None
    """(question with its reference, reply) -> 0 to 1, as the authors' own code reads replies, where that differs from
    ``score``: told beside the total, to compare with printed numbers. It gives None where that code leaves the question
    out, and the expected score where it draws an option. None: no difference, or not known."""
    judge: Judge | None = None
    """What a judge is asked, where the benchmark defines one. ``score`` is then the rule without it, or
    ``judge.needs_judge`` where there is none."""
    corpus: Callable[[Sequence[tuple[Example, str]]], Sequence[float]] | None = None
    """All (question, reply) at once -> their scores from 0 to 1, in order, where a score depends on the other
    questions' references (CIDEr). It then stands for ``score``, which stays right for one reply alone if it can."""
    question_of: Callable[[str, str], Example] | None = None
    """(id, answer) -> the question without its words and images, where ids tell the options: replies can then be marked
    with a key alone. Raises DataError."""
    figures: Figures | None = None
    """What papers print beside the total, or instead of it; None: nothing that is no mean of scores."""
    statistic: Callable[[Sequence[tuple[Example, float]]], float] | None = None
    """What a group of (question, score) is worth, -1 to 1, where that is not the mean of the scores (Spearman). NaN:
    they make no total, as of pairs that are compared none is whole."""
    mean_of_means: bool = False
    """Whether ``statistic`` is one of the scores: then chance and majority are added up by it too."""
    pairs: Callable[[Sequence[Example]], Sequence[tuple[int, int]]] | None = None
    """(questions) -> the positions of every two that ``statistic`` compares with each other; None: it compares none."""

    def in_total(self, questions: Sequence[Example]) -> Sequence[int]:
        """Return the positions of the questions that the total is made of: all, or those of some whole pair."""
        if self.pairs is None:
            return range(len(questions))
        return sorted({at for pair in self.pairs(questions) for at in pair})

    def guessed(self, questions: Sequence[Example], values: Iterable[float]) -> float:
        """Return what the scores of a guesser come to: added up as the total is, where that is a mean."""
        marked = [(question, float(value)) for question, value in zip(questions, values, strict=True)]
        if not marked:
            return 0.0
        if self.statistic is not None and self.mean_of_means:
            return self.statistic(marked)
        groups: dict[str, list[float]] = {}
        for question, value in marked:
            groups.setdefault("" if self.aggregate == "micro" else fact(question, self.group), []).append(value)
        return fmean(map(fmean, groups.values()))

    @property
    def least(self) -> float:
        """Return the least that the total can be: -1 of a rank correlation, 0 of a share; the most is 1."""
        return -1.0 if self.metric == "spearman" else 0.0


def total_of(benchmark: Benchmark | None) -> str:
    """Return in a few words what a total is; None: of scores of which no benchmark is known."""
    if benchmark is not None and benchmark.statistic is not None:
        return "the benchmark's own formula"
    if benchmark is not None and benchmark.aggregate == "macro":
        return f"mean over {'task' if benchmark.group == 'kind' else benchmark.group}s"
    return "mean over questions"


def asked(example: Example) -> Example:
    """Return the question as it is asked: without its reference."""
    return replace(example, turns=example.turns[:-1])


def without_images(example: Example) -> Example:
    """Return the same conversation with every picture and video taken out, and nothing else changed.

    Its story stays what it was, as questions that shared images are no more independent without them.
    """
    turns = tuple(_words_only(turn) for turn in example.turns)
    facts = example.facts if turns == example.turns else {**example.facts, "story": story_of(example)}
    return replace(example, turns=turns, demonstrations=tuple(map(without_images, example.demonstrations)), facts=facts)


def each_reply(conversation: Example) -> Iterator[Example]:
    """Yield a question for each reply that has facts; what comes before it is context, with reference replies.

    ``facts["turns"]`` lists one mapping for each assistant turn; it is laid over the conversation's own facts, and
    ``skills`` in it over the conversation's. Without it the facts are about the last reply only, and so is the one
    question. Of several, ids get ``/1``, ``/2``..., and all share a story, as they share images.

    Raises:
        DataError: no assistant turn, or ``facts["turns"]`` has another length.
    """
    ends = [number for number, turn in enumerate(conversation.turns) if turn.role == "assistant"]
    where = conversation.origin or conversation.id
    if not ends:
        raise DataError(f"{where}: no assistant turn, so there is no reference reply to score against.")
    own = conversation.facts.get("turns")
    if own is None:
        yield replace(conversation, turns=conversation.turns[: ends[-1] + 1])
        return
    if not isinstance(own, list) or len(own) != len(ends):
        raise DataError(f"{where}: facts.turns must list one mapping for each of the {len(ends)} replies.")
    shared = {"story": conversation.id, **{key: value for key, value in conversation.facts.items() if key != "turns"}}
    for number, (end, particular) in enumerate(zip(ends, own, strict=True), start=1):
        if not isinstance(particular, dict):
            raise DataError(f"{where}: facts.turns: expected a mapping for reply {number}, found {particular!r}.")
        skills = particular.get("skills")
        yield replace(
            conversation,
            id=conversation.id if len(ends) == 1 else f"{conversation.id}/{number}",
            turns=conversation.turns[: end + 1],
            skills=tuple(map(str, skills)) if isinstance(skills, list) else conversation.skills,
            facts={**shared, **particular},
        )


def fact(question: Example, key: str) -> str:
    """Return a fact as text, or an empty text where the question has none."""
    value: Json = question.facts.get(key)
    return "" if value is None else str(value)


def story_of(question: Example) -> str:
    """Return what a question shares with others: its story, else the images and videos that it shows, else nothing."""
    if story := question.facts.get("story"):
        return str(story)
    shown = [part.source for turn in question.turns for part in turn.parts if not isinstance(part, Text)]
    if not shown:
        return str(("alone", question.id))
    return f"media {hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:16]}"  # paths stay out of saved facts


def chance_of(question: Example) -> float:
    """Return ``facts["chance"]``, or one over the number of options.

    Raises:
        DataError: neither is there, or chance is not a number from 0 to 1.
    """
    chance = question.facts.get("chance")
    if chance is None and scorers.is_choice(question):
        return 1 / len(scorers.options_of(question))
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance <= 1:
        raise DataError(f"{question.origin or question.id}: facts.chance must be a number from 0 to 1: {chance!r}.")
    return float(chance)


def _words_only(turn: Turn) -> Turn:
    return replace(turn, parts=tuple(part for part in turn.parts if not isinstance(part, ImageRef | VideoRef)))
