"""What a changed condition did to the score: paired by question, with an interval, and in words.

Not the asking (``diagnose``), not the conditions' texts (``conditions``). A question that was asked in several ways
(each image left out, each order of options) counts once, with their mean. Differences are changed less unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from triptych.core.log import counted
from triptych.core.records import Example, text_of
from triptych.evaluate.benchmark import Benchmark, fact
from triptych.evaluate.certainty.pairs import Paired, compare_scores, compare_values, holm
from triptych.evaluate.certainty.power import ALPHA
from triptych.evaluate.diagnosis.conditions import CONDITIONS, Condition
from triptych.evaluate.diagnosis.perturbations import CHANGED, of_question
from triptych.evaluate.reading import scorers
from triptych.evaluate.saved.compare import tell_p

NO_EVIDENCE = "no evidence of a difference"
SMALL = 0.1
"""A difference of at most so much is small: where the interval holds no other, it is said what that means."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, changed or not, with its reply and what that is worth."""

    question: Example
    """As it was asked, with its reference."""
    reply: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaning:
    """What the order of options does to which place is chosen."""

    place: str
    """The place of which how often it is chosen is farthest from how often it is right, as people call it: ``A``."""
    chosen: float
    right: float
    """Shares of replies, and of right options, there."""
    p: float
    """Corrected, of the test that places do not matter."""
    most: float
    """Largest share of replies by which a place may be chosen more or less than it is right, by the intervals."""
    consistent: float
    """Share of questions whose reply chooses the same option in every order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one condition found."""

    condition: Condition
    paired: Paired | None
    """Changed against unchanged, or against ``Condition.against``; None: there is no question to which it applies, or
    none that got both replies."""
    p_holm: float
    """Corrected for all conditions that were asked."""
    of: int
    """How many those are."""
    asked: int
    """Changed questions that have a score; more than pairs where one question is changed in several ways."""
    skipped: Mapping[str, int]
    """Why it does not apply to how many questions."""
    left: int
    """Questions to which it may apply that were not asked, as only a sample was."""
    failed: int
    """Changed questions that got no reply."""
    replies_changed: float | None
    """Share of changed questions whose reply says something else; None: it should, so it tells nothing."""
    held: int = 0
    """Questions that are held against ``Condition.against``."""
    confirmed: Paired | None = None
    """Against ``Condition.confirmed_by``, on the questions of both; None: there is none."""
    sight: bool | None = None
    """Whether the model was seen to use its images; None: nothing was asked that tells."""
    leaning: Leaning | None = None
    """Of the order of options."""

    @property
    def verdict(self) -> str:
        """``leans``, ``lower``, ``higher``, ``no evidence of a difference`` or ``not asked``."""
        if self.paired is None:
            return "not asked"
        if self.leaning is not None and self.leaning.p < ALPHA:
            return "leans"
        if self.p_holm >= ALPHA:
            return NO_EVIDENCE
        return "lower" if self.paired.difference < 0 else "higher"

    @property
    def means(self) -> str:
        """What that means, in a sentence. Where there is no evidence it says whether there might be with more."""
        if self.paired is None and self.failed:
            return "It was asked and got no reply that can be held against one to the question as it is."
        if self.paired is None:
            return "It applies to none of the questions."
        moved = self._moved(self.paired)
        if self.leaning is None:
            return moved or self._still(self.paired)
        consistent = f"It chooses the same option in every order in {_percent(self.leaning.consistent, 0)}%."
        if self.verdict != "leans":
            return f"{moved or self._still(self.paired)} {consistent}"
        place = f"It leans on a place: {said_of_place(self.leaning.place, self.leaning.chosen, self.leaning.right)}."
        return " ".join(filter(None, (place, moved, consistent)))

    def _moved(self, paired: Paired) -> str:
        """Return what the score's move means; empty where there is no evidence of one."""
        if self.p_holm >= ALPHA:
            return ""
        if paired.difference > 0:
            return self.condition.higher
        return self.condition.lower if self._is_confirmed else self.condition.unconfirmed

    @property
    def _is_confirmed(self) -> bool:
        """Whether the condition that must score more does so; its p counts as one of all comparisons (Bonferroni)."""
        if not self.condition.confirmed_by:
            return True
        found = self.confirmed
        return found is not None and found.difference < 0 and found.p * self.of < ALPHA

    def _still(self, paired: Paired) -> str:
        """Return what it means that there is no evidence of a move."""
        if paired.p < ALPHA:
            alone = f"alone p {tell_p(paired.p)}"
            return f"No evidence of a difference as one of {self.of} comparisons ({alone}): more questions would tell."
        widest = max(-paired.low, paired.high, 0.0 if self.leaning is None else self.leaning.most)
        if self.condition.needs_sight and self.sight is False:
            return "No evidence of a difference. That says nothing: it was not seen to use its images."
        if widest > SMALL:
            return "No evidence of a difference, and too few questions to rule one out."
        unknown = " Whether it uses its images was not asked." if self.condition.needs_sight and not self.sight else ""
        return f"No evidence of a difference. {self.condition.same}{unknown}"

    @property
    def numbers(self) -> str:
        """The numbers, in words; empty where there are none."""
        if self.paired is None:
            return ""
        pair = self.paired
        said = (
            f"{_percent(pair.first)}% instead of {_percent(pair.second)}%, {points(pair.difference)} points "
            f"(95% interval {points(pair.low)} to {points(pair.high)}, corrected p {tell_p(self.p_holm)}) "
            f"on {counted(pair.n, 'question')}: {pair.first_better} rose, {pair.second_better} fell."
        )
        if self.held:
            share = _percent(self.held / pair.n, 0)
            said += f" {share}% of them are held against {_quoted(self.condition.against)}, which has the same words."
        if self.confirmed is not None:
            said += (
                f" Against {_quoted(self.condition.confirmed_by)}: {points(self.confirmed.difference)} points "
                f"({points(self.confirmed.low)} to {points(self.confirmed.high)}) on {self.confirmed.n} of them."
            )
        if self.replies_changed is not None:
            said += f" {_percent(self.replies_changed, 0)}% of the replies changed."
        if self.verdict == NO_EVIDENCE:
            said += (
                " No score changed."
                if pair.detects is None
                else f" So many show a true difference of {_percent(pair.detects, 0)} points four times in five."
            )
        return said


def finding_of(
    condition: Condition,
    benchmark: Benchmark,
    unchanged: Mapping[str, Asked],
    changed: Sequence[Asked],
    *,
    skipped: Mapping[str, int],
    left: int,
    failed: int,
    seed: int,
    confirming: Sequence[Asked] = (),
) -> Finding:
    """Return what a condition found, not yet corrected for the others.

    Args:
        condition: which one.
        benchmark: how its total is made.
        unchanged: what it is held against, by question id (``base_of``).
        changed: what was asked instead; of a question any number.
        skipped: why it does not apply to how many questions.
        left: questions left out of its sample.
        failed: changed questions without a score.
        seed: of flips and bootstrap.
        confirming: what ``condition.confirmed_by`` asked.
    """
    by_question: dict[str, list[Asked]] = {}
    for each in changed:
        if of_question(each.question) in unchanged:
            by_question.setdefault(of_question(each.question), []).append(each)
    confirmed = {of_question(each.question): each for each in confirming}
    both = [(confirmed[name], group) for name, group in by_question.items() if name in confirmed]
    same = [same_reply(unchanged[name], each) for name, group in by_question.items() for each in group]
    paired = _paired(benchmark, [(unchanged[name], group) for name, group in by_question.items()], seed)
    return Finding(
        condition=condition,
        paired=paired,
        p_holm=1.0 if paired is None else paired.p,
        of=1,
        asked=len(same),
        skipped=skipped,
        left=left,
        failed=failed,
        replies_changed=None if condition.renumbers or not same else 1 - sum(same) / len(same),
        held=sum(CHANGED in unchanged[name].question.facts for name in by_question),
        confirmed=_paired(benchmark, both, seed),
    )


def base_of(
    condition: Condition, unchanged: Mapping[str, Asked], changed: Mapping[str, Sequence[Asked]]
) -> dict[str, Asked]:
    """Return what a condition is held against, by question id.

    That is the question as it is. Of a condition with ``against`` it is that one's where it applies, and a question is
    left out whose words are the same in neither.
    """
    if not condition.against:
        return dict(unchanged)
    instead = {of_question(each.question): each for each in changed.get(condition.against, ())}
    asked = {of_question(each.question): each for each in changed.get(condition.name, ())}
    base = {name: instead.get(name, each) for name, each in unchanged.items()}
    return {name: each for name, each in base.items() if name not in asked or _words(each) == _words(asked[name])}


def corrected(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings with p-values corrected for how many comparisons there are (Holm)."""
    tested = [each.paired.p for each in findings if each.paired is not None]
    p_values = iter(holm(tested))
    return tuple(
        each if each.paired is None else replace(each, p_holm=next(p_values), of=len(tested)) for each in findings
    )


def same_reply(one: Asked, other: Asked) -> bool:
    """Return whether two replies say the same: the same option by its words, or the same words."""
    if scorers.is_choice(one.question) and scorers.is_choice(other.question):
        chosen = [chosen_words(each) for each in (one, other)]
        if any(chosen):
            return chosen[0] == chosen[1]
    return scorers.normalise(one.reply) == scorers.normalise(other.reply)


def chosen_words(each: Asked) -> str | None:
    """Return the words of the option that a reply chooses, or its place where it is a picture; None: it chooses
    none."""
    option = scorers.choice_of(each.question, each.reply).option
    if option is None:
        return None
    return scorers.options_of(each.question)[option] or f"option {option + 1}"


def cluster_of(question: Example) -> str:
    """Return what a question shares with others: its story, or nothing but itself."""
    return fact(question, "story") or f"alone {of_question(question)}"


def said_of_place(name: str, chosen: float, right: float) -> str:
    """Return how often a place of the options is chosen and right, in words."""
    return f"{name} is chosen {_percent(chosen, 0)}% of the time, and right {_percent(right, 0)}%"


def points(share: float) -> str:
    """Return a difference in points, with its sign."""
    said = f"{100 * share:+.1f}"
    return "0.0" if said in ("+0.0", "-0.0") else said.replace("-", "−")


def _paired(benchmark: Benchmark, pairs: Sequence[tuple[Asked, Sequence[Asked]]], seed: int) -> Paired | None:
    if not pairs:
        return None
    questions = [one.question for one, _ in pairs]
    changed = [float(np.mean([each.score for each in group])) for _, group in pairs]
    before = [one.score for one, _ in pairs]
    clusters = [cluster_of(question) for question in questions]
    if (statistic := benchmark.statistic) is not None:
        return compare_values(
            changed,
            before,
            lambda scores: statistic([(questions[at], score) for at, score in scores]),
            clusters=clusters,
            seed=seed,
            least=benchmark.least,
        )
    macro = benchmark.aggregate == "macro"
    strata = [fact(question, benchmark.group) for question in questions] if macro else None
    return compare_scores(changed, before, clusters=clusters, strata=strata, seed=seed)


def _words(each: Asked) -> list[list[str]]:
    return [text_of(turn).split() for turn in each.question.turns]


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}"


def _quoted(condition: str) -> str:
    return next(f'"{each.title}"' for each in CONDITIONS if each.name == condition)
