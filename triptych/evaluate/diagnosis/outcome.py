"""What a diagnosis found, as one record, with the conclusions from its parts; its lines and its JSON.

Not the asking (``diagnose``) nor the page (``diagnose_page``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from triptych.core.files import write_atomically
from triptych.core.log import counted
from triptych.core.records import Json
from triptych.evaluate.certainty.pairs import holm
from triptych.evaluate.certainty.statistics import Score
from triptych.evaluate.diagnosis.conditions import OPTION_ORDER, SIGHT
from triptych.evaluate.diagnosis.descriptions import (
    BY_IMAGES,
    BY_PLACE,
    IMPORTANCE,
    OPTIONS,
    describe_by_images,
    describe_by_place,
    describe_importance,
    describe_options,
)
from triptych.evaluate.diagnosis.findings import Finding, ScoredReply, base_of
from triptych.evaluate.diagnosis.option_bias import OptionBias
from triptych.evaluate.diagnosis.perturbations import of_question
from triptych.evaluate.diagnosis.places import Groups, Importance

DIAGNOSIS = "diagnosis.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What a model leans on when it answers a benchmark."""

    benchmark: str
    about: str
    responder: str
    total: Score
    """Unchanged, over the questions that were asked."""
    failed: int
    available: int
    """Questions of the benchmark, asked or not."""
    findings: tuple[Finding, ...]
    by_images: Groups
    by_place: Groups
    """By the place of the deciding image, from 1."""
    place_known: str
    """How the deciding image is known."""
    importance: Importance | None
    option_bias: OptionBias | None
    unchanged: Mapping[str, ScoredReply]
    """By id, in the benchmark's order."""
    changed: Mapping[str, tuple[ScoredReply, ...]]
    """By condition."""


def concluded(found: Diagnosis) -> Diagnosis:
    """Return the diagnosis with the conclusions that need several of its parts.

    The tests of numbers and places are corrected among themselves (Holm). Which place is chosen is a verdict of the
    options in other orders, and a score that stays says something only of a model that was seen to use its images.
    """
    images, places, bias = found.by_images, found.by_place, found.option_bias
    tests = [groups.p for groups in (images, places) if len(groups.scores) > 1]
    tests += [] if bias is None else [bias.p, bias.by_place.p]
    p_values = iter(holm(tests))
    images, places = (
        replace(groups, p_holm=next(p_values)) if len(groups.scores) > 1 else groups for groups in (images, places)
    )
    if bias is not None:
        bias = replace(bias, p_holm=next(p_values), by_place=replace(bias.by_place, p_holm=next(p_values)))
    sight = _sight(found)
    findings = [replace(each, sight=sight) for each in found.findings]
    if bias is not None:
        lean = bias.leaning
        findings = [replace(it, leaning=lean) if it.condition.name == OPTION_ORDER else it for it in findings]
    return replace(found, by_images=images, by_place=places, option_bias=bias, findings=tuple(findings))


def _sight(found: Diagnosis) -> bool | None:
    """Return whether the model was seen to use its images: it is above chance, and scores less without its images.

    None: it is above chance, and neither blind nor with other questions' images was it asked.
    """
    used = [each.verdict == "lower" for each in found.findings if each.condition.name in SIGHT and each.paired]
    if found.total.low <= found.total.chance:
        return False
    return all(used) if used else None


def diagnosis_to_json(found: Diagnosis) -> dict[str, Json]:
    """Return all numbers, from 0 to 1, for programs; ids of the questions whose score a condition changed."""
    return {
        "benchmark": found.benchmark,
        "responder": found.responder,
        "unchanged": _plain(asdict(found.total)),
        "failed": found.failed,
        "available": found.available,
        "conditions": {each.condition.name: _finding(each, found) for each in found.findings},
        "by_images": _groups(found.by_images),
        "by_place": {**_groups(found.by_place), "known": found.place_known},
        "left_out": None if found.importance is None else _plain(asdict(found.importance)),
        "option_order": None if found.option_bias is None else _plain(asdict(found.option_bias)),
    }


def write_diagnosis(folder: Path, found: Diagnosis) -> Path:
    """Write ``diagnosis.json`` into the diagnosis' folder and return its path."""
    path = folder / found.benchmark / DIAGNOSIS
    write_atomically(path, json.dumps(diagnosis_to_json(found), indent=1, ensure_ascii=False) + "\n")
    return path


def lines_of(found: Diagnosis) -> list[str]:
    """Return what ``triptych diagnose`` says: a line a condition, then what it means."""
    width = max(len(each.condition.title) for each in found.findings) if found.findings else 0
    total = found.total
    lines = [
        f"{found.benchmark}: {100 * total.score:.1f}% unchanged (95% interval {100 * total.low:.1f} to "
        f"{100 * total.high:.1f}), chance {100 * total.chance:.1f}%, {total.n} questions, {found.failed} failed"
    ]
    for each in found.findings:
        lines.append(f"  {each.condition.title:<{width}}  {each.means}")
        lines += [f"  {'':<{width}}  {each.numbers}"] if each.paired else []
        lines += [
            f"  {'':<{width}}  {counted(count, 'question')} not asked: {why}" for why, count in each.skipped.items()
        ]
    return [*lines, *(f"  {title}. {text}" for title, text in descriptions_of(found).items())]


def descriptions_of(found: Diagnosis) -> dict[str, str]:
    """Return a description of the effect of image counts, places and options, by title."""
    texts = {
        BY_IMAGES: describe_by_images(found.by_images),
        BY_PLACE: describe_by_place(found.by_place, found.place_known),
    }
    if found.importance is not None:
        texts[IMPORTANCE] = describe_importance(found.importance)
    if found.option_bias is not None:
        texts[OPTIONS] = describe_options(found.option_bias)
    return texts


def _finding(each: Finding, found: Diagnosis) -> dict[str, Json]:
    moved: dict[str, Json] = {"fell": [], "rose": []}
    base = base_of(each.condition, found.unchanged, changed=found.changed)
    for asked in found.changed.get(each.condition.name, ()):
        before = base.get(of_question(asked.question))
        if before is not None and asked.score != before.score:
            names = moved["fell" if asked.score < before.score else "rose"]
            assert isinstance(names, list)
            names.append(asked.question.id)
    return {
        "verdict": each.verdict,
        "means": each.means,
        **({} if each.paired is None else {"paired": _plain(asdict(each.paired))}),
        **({"held_against": each.condition.against, "held": each.held} if each.condition.against else {}),
        **({each.condition.confirmed_by: _plain(asdict(each.confirmed))} if each.confirmed is not None else {}),
        "p_holm": each.p_holm,
        "comparisons": each.comparisons,
        "asked": each.asked,
        "replies_changed": each.replies_changed,
        "skipped": dict(each.skipped),
        "not_in_sample": each.not_sampled,
        "failed": each.failed,
        **moved,
    }


def _groups(groups: Groups) -> dict[str, Json]:
    return {
        "p": groups.p,
        "p_holm": groups.p_holm,
        "scores": {str(key): _plain(asdict(score)) for key, score in groups.scores.items()},
    }


def _plain(value: object) -> Json:
    """Return a record as JSON: keys as texts, intervals as lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    assert value is None or isinstance(value, bool | int | float | str), value
    return value
