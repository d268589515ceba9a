"""Verified questions: a kind with its details put into words, as a free question, a choice, or a statement to judge.

Not a language model: the words are phrases of ``phrases.yaml``. Invariant: the answer is what ``kinds`` settles from
the annotation, the rivals are not, and what becomes of it when images change places is worked out and never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from random import Random
from typing import Literal

import yaml

from triptych.core.records import Json
from triptych.data.text.naming import Namer
from triptych.data.text.references import CARDINALS
from triptych.generate.item import View
from triptych.generate.kit.combine import Details
from triptych.generate.kit.kinds import KINDS, Kind, exchanged, propose, telling_pair
from triptych.generate.kit.sorts import plural, sort_of, with_article
from triptych.generate.question import Question

Form = Literal["question", "choice", "statement"]


@dataclass(frozen=True, slots=True)
class Wording:
    """How verified questions are put into words."""

    namer: Namer = field(default_factory=Namer)
    statement: str = "Is this statement about the {nouns} true or false? {statement}"
    """The words that ask about a statement."""
    choices: int = 4
    """Most options of a choice."""
    spelled: float = 0.5
    """Probability that a small number is written as a word."""


def ask_about(
    name: str, views: Sequence[View], *, random: Random, form: Form, wording: Wording, whole: bool, tries: int = 16
) -> Question | None:
    """Return a drawn question of a kind about these images, with its truth; None where none offers itself.

    Yes and no, true and false are wanted equally often; a count of none is rarely asked for.
    """
    kind = KINDS[name]
    want = random.choice(("yes", "no"))
    for _ in range(tries):
        details = propose(kind, views, random=random, whole=whole)
        answer = kind.settle(views, details) if details is not None else None
        if details is None or answer is None:
            continue
        if (kind.form == "yes_no" and answer != want) or (answer == "0" and random.random() < 0.8):
            continue
        rivals = _rivals(kind, views, details, answer)
        if form != "question" and kind.form != "yes_no" and not rivals:
            continue
        return _worded(name, views, details, answer, rivals, form, wording, random)
    return None


def answer_of(name: str, views: Sequence[View], *, details: Details) -> str | None:
    """Return the answer that a kind's question about images has, as ``kinds`` says it: ``image 2``, ``3``, ``yes``."""
    return KINDS[name].settle(views, details)


def told(
    question: Question, views: Sequence[View], *, noun: str = "image", seen: frozenset[int] | None = None
) -> str | None:
    """Return the answer to a verified question about other images, in its own words; None: they settle none.

    Args:
        question: with its kind and details.
        views: the images that are there now.
        noun: what the question calls an image.
        seen: numbers, from 1, of the images that alone must settle it, whatever the others hold; None: all.
    """
    if question.kind not in KINDS or question.details is None:
        return None
    kind, details = KINDS[question.kind], question.details
    found = kind.settle(views, details) if seen is None else kind.settled_by(views, details, seen=seen)
    if found is None:
        return None
    claimed = details.get("claimed")
    if claimed is not None:
        return "true" if found == claimed else "false"
    return _said(found, details, noun)


def _worded(
    name: str,
    views: Sequence[View],
    details: Details,
    answer: str,
    rivals: Sequence[str],
    form: Form,
    wording: Wording,
    random: Random,
) -> Question:
    """Return the question in words, with what becomes of its answer when its two images are exchanged."""
    kind = KINDS[name]
    kept: dict[str, Json] = {**details, "style": wording.namer.style, "noun": wording.namer.noun}
    options: tuple[str, ...] = ()
    if form == "statement":
        text, right, kept["claimed"] = _as_statement(name, len(views), details, answer, rivals, wording, random)
    else:
        phrase = random.choice(_phrases()[name]["questions"])
        text = phrase.format(**_words(kind, details, len(views), wording, random, ""))
        right = _said(answer, kept, wording.namer.noun)
        drawn = random.sample(list(rivals), min(len(rivals), wording.choices - 1))
        options = tuple(_said(each, kept, wording.namer.noun) for each in (answer, *drawn)) if form == "choice" else ()
    if options:
        options = tuple(random.sample(options, len(options)))
    pair, swapped = telling_pair(kind, views, details=details)
    question = Question(
        text[0].upper() + text[1:],
        right,
        options=options,
        needs=kind.needs(len(views), details),
        skill=kind.skill,
        kind=name,
        pair=pair,
        details=kept,
    )
    if pair is None or swapped is None:
        return question
    after = told(question, exchanged(views, pair), noun=wording.namer.noun) or ""
    if options and after not in options:
        return question
    return replace(question, swap="changes" if after != question.answer else "stays", swapped=after)


def _as_statement(
    name: str,
    count: int,
    details: Details,
    answer: str,
    rivals: Sequence[str],
    wording: Wording,
    random: Random,
) -> tuple[str, str, str]:
    """Return the words that ask about a statement, ``true`` or ``false``, and the answer that it claims."""
    kind, noun = KINDS[name], wording.namer.noun
    claimed = "yes" if kind.form == "yes_no" else answer if random.random() < 0.5 else random.choice(rivals)
    phrase = random.choice(_phrases()[name]["statements"])
    statement = phrase.format(**_words(kind, details, count, wording, random, claimed))
    text = wording.statement.format(statement=statement, nouns=plural(noun), count=str(count))
    return text, "true" if claimed == answer else "false", claimed


def _words(
    kind: Kind, details: Details, count: int, wording: Wording, random: Random, claimed: str
) -> Mapping[str, str]:
    """Return the value of every placeholder that a phrase of the kind may have."""
    namer, sort = wording.namer, sort_of(details.get("sort"))
    noun, nouns = namer.noun, plural(namer.noun)
    words = {"noun": noun, "nouns": nouns, "anoun": with_article(noun), "all": _all(count, nouns, wording, random)}
    words |= {"x": sort.one, "ax": sort.a, "Ax": sort.a[0].upper() + sort.a[1:], "xs": sort.many}
    for key in ("a", "b"):
        if isinstance(number := details.get(key), int):
            words[key] = namer.name(number)
            words[key.upper()] = namer.opening(number)
    if kind.relation:
        other = sort_of(details.get("other"))
        words |= {"relation": str(details.get("relation")), "y": other.one, "ay": other.a}
    if isinstance(number := details.get("number"), int):
        words["number_xs"] = f"{_spell(number, wording, random)} {sort.one if number == 1 else sort.many}"
    if kind.form == "number" and claimed:
        one = claimed == "1"
        said = _spell(int(claimed), wording, random)
        words |= {"is": "is" if one else "are", "has": "has" if one else "have", "claim": said}
        words["claimed_xs"] = f"{said} {sort.one if one else sort.many}"
        words["claimed_nouns"] = f"{said} {noun if one else nouns}"
    elif kind.form == "image" and claimed:
        number = int(claimed.split()[-1])
        words |= {"claim": namer.name(number), "Claim": namer.opening(number)}
        if kind.pair:
            both = {details.get("a"), details.get("b")}
            words["loser"] = namer.name(next(each for each in both if isinstance(each, int) and each != number))
    elif claimed:
        words["claim"] = claimed
    return words


def _rivals(kind: Kind, views: Sequence[View], details: Details, answer: str) -> list[str]:
    """Return wrong answers of the same sort."""
    match kind.form:
        case "yes_no":
            return ["no" if answer == "yes" else "yes"]
        case "number":
            number = int(answer)
            return [str(each) for each in range(max(0, number - 2), number + 3) if each != number]
        case "image":
            numbers = range(1, len(views) + 1)
            among = [details.get("a"), details.get("b")] if kind.pair else list(numbers)
            return [f"image {each}" for each in numbers if each in among and f"image {each}" != answer]
        case "thing":
            names = sorted({thing.name for view in views for thing in view.things})
            return [name for name in names if name != answer]


def _said(answer: str, details: Details, noun: str) -> str:
    """Return an answer of ``kinds`` as the question says it: ``image 2`` becomes ``the second picture``."""
    if not answer.startswith("image "):
        return answer
    style = "ordinal" if details.get("style") == "ordinal" else "number"
    return Namer(style, str(details.get("noun") or noun)).name(int(answer.split()[-1]))  # type: ignore[arg-type]


def _all(count: int, nouns: str, wording: Wording, random: Random) -> str:
    return f"both {nouns}" if count == 2 else f"all {_spell(count, wording, random)} {nouns}"


def _spell(number: int, wording: Wording, random: Random) -> str:
    if 0 < number <= len(CARDINALS) and random.random() < wording.spelled:
        return CARDINALS[number - 1]
    return str(number)


@cache
def _phrases() -> dict[str, dict[str, list[str]]]:
    text = resources.files("triptych.generate.kit").joinpath("phrases.yaml").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, list[str]]] = yaml.safe_load(text)
    return loaded
