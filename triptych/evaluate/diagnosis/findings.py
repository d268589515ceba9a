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
from triptych.core.thinking import spoken
from triptych.evaluate.benchmark import Benchmark, fact, story_of
from triptych.evaluate.certainty.formatting import format_p, percent, points
from triptych.evaluate.certainty.pairs import Paired, compare_scores, compare_values, holm
from triptych.evaluate.certainty.power import ALPHA
from triptych.evaluate.diagnosis.conditions import CONDITIONS, Condition
from triptych.evaluate.diagnosis.perturbations import CHANGED, of_question
from triptych.evaluate.reading import scorers

NO_EVIDENCE = "no evidence of a difference"
SMALL = 0.1
"""Largest difference of shares that counts as small. Only where the whole interval is within it does "no evidence of a
difference" come with what that means."""


@dataclass(frozen=True, slots=True)
class ScoredReply:
    """A question, changed or not, with its reply and the reply's score."""

    question: Example
    """As it was asked, with its reference."""
    reply: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaning:
    """Which place of the options is chosen more or less often than it is right."""

    place: str
    """The place whose share of choices is farthest from its share of right options, as people call it: ``A``."""
    chosen: float
    right: float
    """Share of replies that choose this place, and of questions whose right option stands there."""
    p: float
    """Corrected p of the test that what is chosen does not depend on its place."""
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
    """p, corrected for all conditions that were asked (Holm)."""
    comparisons: int
    """How many conditions those are."""
    asked: int
    """Changed questions that have a score; more than pairs where one question is changed in several ways."""
    skipped: Mapping[str, int]
    """Reason why the condition does not apply to a question -> how many questions that is."""
    not_sampled: int
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
    """Whether the model was seen to use its images; None: no condition was asked that shows it."""
    leaning: Leaning | None = None
    """Of the condition that reorders options: the places that are chosen. None for the others."""

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
        """What the finding means, in a sentence; without evidence, also whether more questions might give some."""
        if self.paired is None and self.failed:
            return "It was asked and got no reply that can be held against one to the question as it is."
        if self.paired is None:
            return "It applies to none of the questions."
        moved = self._moved(self.paired)
        if self.leaning is None:
            return moved or self._still(self.paired)
        consistent = f"It chooses the same option in every order in {percent(self.leaning.consistent)}%."
        if self.verdict != "leans":
            return f"{moved or self._still(self.paired)} {consistent}"
        place = (
            f"It leans on a place: {describe_place(self.leaning.place, self.leaning.chosen, right=self.leaning.right)}."
        )
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
        return found is not None and found.difference < 0 and found.p * self.comparisons < ALPHA

    def _still(self, paired: Paired) -> str:
        """Return what it means that there is no evidence of a move."""
        if paired.p < ALPHA:
            alone = f"alone p {format_p(paired.p)}"
            many = f"one of {self.comparisons} comparisons ({alone})"
            return f"No evidence of a difference as {many}: more questions would tell."
        widest = max(-paired.low, paired.high, 0.0 if self.leaning is None else self.leaning.most)
        if self.condition.needs_sight and self.sight is False:
            return "No evidence of a difference. That says nothing: it was not seen to use its images."
        if widest > SMALL:
            return "No evidence of a difference, and too few questions to rule one out."
        unknown = " Whether it uses its images was not asked." if self.condition.needs_sight and not self.sight else ""
        return f"No evidence of a difference. {self.condition.same}{unknown}"

    @property
    def numbers(self) -> str:
        """The numbers of the comparison in sentences; empty where nothing was compared."""
        if self.paired is None:
            return ""
        pair = self.paired
        text = (
            f"{percent(pair.first, 1)}% instead of {percent(pair.second, 1)}%, {points(pair.difference)} points "
            f"(95% interval {points(pair.low)} to {points(pair.high)}, corrected p {format_p(self.p_holm)}) "
            f"on {counted(pair.n, 'question')}: {pair.first_better} rose, {pair.second_better} fell."
        )
        if self.held:
            share = percent(self.held / pair.n)
            text += f" {share}% of them are held against {_quoted(self.condition.against)}, which has the same words."
        if self.confirmed is not None:
            text += (
                f" Against {_quoted(self.condition.confirmed_by)}: {points(self.confirmed.difference)} points "
                f"({points(self.confirmed.low)} to {points(self.confirmed.high)}) on {self.confirmed.n} of them."
            )
        if self.replies_changed is not None:
            text += f" {percent(self.replies_changed)}% of the replies changed."
        if self.verdict == NO_EVIDENCE:
            text += (
                " No score changed."
                if pair.detects is None
                else f" So many show a true difference of {percent(pair.detects)} points four times in five."
            )
        return text


def finding_of(
    condition: Condition,
    benchmark: Benchmark,
    *,
    unchanged: Mapping[str, ScoredReply],
    changed: Sequence[ScoredReply],
    skipped: Mapping[str, int],
    not_sampled: int,
    failed: int,
    seed: int,
    confirming: Sequence[ScoredReply] = (),
) -> Finding:
    """Return what a condition found, not yet corrected for the others.

    Args:
        condition: which one.
        benchmark: how its total is made.
        unchanged: what it is held against, by question id (``base_of``).
        changed: what was asked instead; of a question any number.
        skipped: to how many questions it does not apply, by reason.
        not_sampled: questions left out of its sample.
        failed: changed questions without a score.
        seed: of flips and bootstrap.
        confirming: what ``condition.confirmed_by`` asked.
    """
    by_question: dict[str, list[ScoredReply]] = {}
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
        comparisons=1,
        asked=len(same),
        skipped=skipped,
        not_sampled=not_sampled,
        failed=failed,
        replies_changed=None if condition.renumbers or not same else 1 - sum(same) / len(same),
        held=sum(CHANGED in unchanged[name].question.facts for name in by_question),
        confirmed=_paired(benchmark, both, seed),
    )


def base_of(
    condition: Condition, unchanged: Mapping[str, ScoredReply], *, changed: Mapping[str, Sequence[ScoredReply]]
) -> dict[str, ScoredReply]:
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
        each if each.paired is None else replace(each, p_holm=next(p_values), comparisons=len(tested))
        for each in findings
    )


def same_reply(one: ScoredReply, other: ScoredReply) -> bool:
    """Return whether two replies say the same: the same option by its words, or the same words."""
    if scorers.is_choice(one.question) and scorers.is_choice(other.question):
        chosen = [chosen_words(each) for each in (one, other)]
        if any(chosen):
            return chosen[0] == chosen[1]
    return scorers.normalise(spoken(one.reply) or "") == scorers.normalise(spoken(other.reply) or "")


def chosen_words(each: ScoredReply) -> str | None:
    """Return the words of the option that a reply chooses, or its place where it is a picture; None: it chooses
    none."""
    option = scorers.choice_of(each.question, each.reply).option
    if option is None:
        return None
    return scorers.options_of(each.question)[option] or f"option {option + 1}"


def describe_place(name: str, chosen: float, *, right: float) -> str:
    """Return how often a place of the options is chosen and right, in words."""
    return f"{name} is chosen {percent(chosen)}% of the time, and right {percent(right)}%"


def _paired(
    benchmark: Benchmark, pairs: Sequence[tuple[ScoredReply, Sequence[ScoredReply]]], seed: int
) -> Paired | None:
    """Compare changed with unchanged scores; None where there are no pairs.

    Args:
        benchmark: how its total is made.
        pairs: an unchanged question with all its changed ones.
        seed: of flips and bootstrap.
    """
    pairs = [pairs[at] for at in benchmark.in_total([one.question for one, _ in pairs])]
    if not pairs:
        return None
    questions = [one.question for one, _ in pairs]
    changed = [float(np.mean([each.score for each in group])) for _, group in pairs]
    before = [one.score for one, _ in pairs]
    clusters = [story_of(question) for question in questions]
    if (statistic := benchmark.statistic) is not None:
        return compare_values(
            changed,
            before,
            value=lambda scores: statistic([(questions[at], score) for at, score in scores]),
            clusters=clusters,
            seed=seed,
            least=benchmark.least,
        )
    macro = benchmark.aggregate == "macro"
    strata = [fact(question, benchmark.group) for question in questions] if macro else None
    return compare_scores(changed, before, clusters=clusters, strata=strata, seed=seed)


def _words(each: ScoredReply) -> list[list[str]]:
    return [text_of(turn).split() for turn in each.question.turns]


def _quoted(condition: str) -> str:
    return next(f'"{each.title}"' for each in CONDITIONS if each.name == condition)
