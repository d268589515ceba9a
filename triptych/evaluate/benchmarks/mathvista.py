"""MathVista: mathematics about figures, charts and photographs. testmini: 1,000 questions; accuracy.

Source: Lu et al. 2024 (arXiv:2310.02255), the layout of AI4Math/MathVista. The prompt is the row's ``query``: a hint on
the form of the answer, the question, and the choices. The authors let GPT pull the answer out of a reply, and take the
choice that is nearest to it in letters, whatever it is; here a rule does: of a choice, the option that the reply names;
else the number in a box or behind the last "the answer is" and its like; else the last number, or the last list in
brackets, as the hint asks for it at the end. Exponents and the whole of "5 out of 8" are no number, nor is the digit of
a unit ("m2"), nor what a count is held against ("3 bars higher than 9"), nor what a clause holds that refuses. A plain
number in words is read where the reply has no digits. Numbers are compared after rounding to the row's precision, as
published.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterator
from dataclasses import replace
from pathlib import Path

from triptych.core.records import Example, Json, Text
from triptych.data.disk.rows import bad, keyed
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of, fact
from triptych.evaluate.question.question_rows import Source, choice, fact_of, free, option_at, read_questions
from triptych.evaluate.reading import choices, scorers
from triptych.evaluate.reading.phrases import DECLINES, NUMBERS, RETRACTS

_NUMBER = re.compile(r"(?:(?<![\w)])-)?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,2}(?!\d))?")
"""A minus is one where nothing stands before it: "12-15" holds 15."""
_RAISED = re.compile("[⁺⁻]?[⁰¹²³⁴-⁹]+")
_POWER_OF_TEN = re.compile(
    r"(?<=\d) ?(?:[×*·x]|\\times\b|\\cdot\b) ?10 ?"
    r"(?:\^ ?\{? ?(?P<power>[-+]?\d{1,2})(?!\d) ?\}?|(?P<raised>[⁺⁻]?[⁰¹²³⁴-⁹]{1,2}))"
)
"""What stands in "1.5 × 10^3" behind the 1.5."""
_PLAIN_POWER = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_NO_ANSWER = re.compile(
    r"\^ ?(?:\{[^{}\n]*\}|\([^()\n]*\)|[-+]?\d+(?:\.\d+)?)"
    r"|(?<![A-Za-z])([kdcmµμ]?m|in|ft|yd|mi|s)[23](?!\w|[.,]\d)"
    r"|\b(?:out of (?:the |a total of )?)\d+(?:[.,]\d+)*"
)
"""Digits that are passed over: an exponent, a unit's ("m2", "m/s2"), what a share is of ("5 out of 8")."""
_STATED = re.compile(r"\banswer(?: to (?:this|the) question)?(?: is|\s*:)", re.I)
_STATED_ENDS = re.compile(r",\s|[;(\n]|\.\s|\b(?:because|since|as|so|which|where|when|if|with)\b")
"""What a stated number stands before: the next clause may hold others."""
_BOUND = re.compile(
    rf"(\b(?:is|are|was|were) (?:{_NUMBER.pattern}|(?:{'|'.join(NUMBERS)})\b)"
    r"(?: (?!(?:and|or|but|is|are|was|were|has|have|no|not)\b)[a-z]+){1,6} than) (?:or equal to )?\W{0,3}"
    rf"{_NUMBER.pattern}",
    re.IGNORECASE,
)
"""A number against which those that are counted are held: the 9 of "there are 3 bars higher than 9"."""
_IN_WORDS = re.compile(
    r"(?<!\bthe )(?<!\bof )(?<!\ball )(?<!\bthese )(?<!\bthose )(?<!\bother )(?<![\w-])"
    rf"(?:{'|'.join(word for word in NUMBERS if word != 'one')}"
    r"|(?:(?<=\bis )|\A)one(?! of\b)(?=(?: \w+){0,2}\W*\Z))\b(?!-)",
    re.IGNORECASE,
)
"""A number in words that counts; "the two lines" and "the one on the left" count nothing."""
_NOT_PLAIN = re.compile(
    r"\b(?:(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty"
    r"|(?:hundred|thousand|[mb]illion|trillion|dozen)s?|half|halves|thirds?|quarters?|(?:four|fif|six|seven|eigh|nin|ten)ths?"
    r"|point|plus|minus|times|squared|cubed|divided)\b",
    re.IGNORECASE,
)
"""What makes another number of a number in words."""
_ANY_IN_WORDS = re.compile(rf"\b(?:{'|'.join(NUMBERS)})\b", re.IGNORECASE)
_THERE_ARE = re.compile(
    r"\bthere(?:'s| (?:is|are|was|were|will be|would be))(?: (?:only|just|exactly|still))?(?: a total of)?"
    rf" ({'|'.join(word for word in NUMBERS if word != 'one')}|(?:(?<=only )|(?<=just )|(?<=exactly ))one)"
    r"(?! of\b)\b(?!-)",
    re.IGNORECASE,
)
"""What says how many there are, in words; "one" may stand for a thing."""
_REFUSES = re.compile(
    r"\b(?:can ?not|can't|could not|couldn't|unable to|not able to|(?:not possible|impossible|difficult|hard) to)"
    r"(?: \w+ly)? (?:be (?:\w+ly )?(?:told|said|certain|determined|answered|calculated|computed|solved|found|known)"
    r"|tell|say|determine|answer|know|calculate|compute|solve|provide|give)\b"
    r"|\b(?:not (?:sure|certain)|no idea|no clue|do not know|don't know|please provide)\b"
    r"|(?:\bnot|n't) (?:provide|contain|include|give|have|offer)(?: \w+)? (?:information|details)\b"
    r"|\b(?:more|further|additional) (?:information|details) (?:is|are|would be) (?:needed|required|necessary)\b",
    re.IGNORECASE,
)
"""A clause that does not answer: a number in it is the question's."""
_CLAUSE = re.compile(
    r",\s|[;:(—–\n]| - |(?=\b(?:I|we|but|because|since|as|so|although|though|while|whereas|if|approximately|roughly"
    r"|maybe|perhaps|probably)\b)|(?=\babout \W{0,2}\d)|(?=\band (?:I|we|it|the|there|they|he|she|its)\b)",
    re.IGNORECASE,
)
"""Where a sentence may go on to an answer, or from one to a refusal."""
_REASON = re.compile(r"\W*(?:since|as|because|although|though|while)\b", re.IGNORECASE)
"""A clause that says why may hold the answer too."""
_SUPPOSED = re.compile(r"\W*(?:if|say (?:that|an?|the|we|there)|suppose|assume|assuming|supposing)\b", re.IGNORECASE)
_SHORT = 6
"""Words of a reply that is itself the answer."""
_LIST = re.compile(r"\[([^\[\]]*)\]")
_HUGE = 1e300
"""What more digits than a float has room for are taken for."""
FILES = ("data/testmini-*.parquet", "testmini-*.parquet", "testmini.jsonl")
FORMS = ("integer", "float", "list", "text")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of the testmini split."""
    return read_questions(path, _build, files=FILES)


def score(question: Example, reply: str) -> float:
    """Return whether the option, the number or the list is right."""
    if scorers.is_choice(question):
        chosen, right = scorers.choice_of(question, reply).option, scorers.reference_position(question)
        options = scorers.options_of(question)
        same = chosen is not None and right is not None and options[chosen] == options[right]
        return 1.0 if same else scorers.correct(question, reply)
    return float(_value(question, reply) == _value(question, scorers.reference_of(question)) is not None)


def answered(question: Example, reply: str) -> bool:
    """Return whether an option is named, or a number or list is there."""
    return scorers.is_answered(question, reply) if scorers.is_choice(question) else _value(question, reply) is not None


def label(question: Example) -> Hashable:
    """Return the right option, or the answer as it is compared."""
    if scorers.is_choice(question):
        return scorers.reference_label(question)
    return _value(question, scorers.reference_of(question))


def _build(source: Source) -> Iterator[Example]:
    name, answer, form = source.name("pid"), source.text("answer"), source.row.get("answer_type")
    if form not in FORMS:
        raise bad(f"answer_type is {form!r}. Known are {', '.join(FORMS)}.")
    facts: dict[str, Json] = {
        "question": source.text("question"),
        "kind": fact_of(keyed(source.row.get("metadata") or {}, "metadata"), "task"),
        "form": form,
        "precision": _places(source.row.get("precision")),
    }
    shown = source.image("image" if source.row.get("decoded_image") is None else "decoded_image")
    prompt = (shown, Text(source.text("query")))
    if source.row.get("question_type") == "multi_choice":
        options = source.texts("choices")
        # One question has the same option twice.
        right = options.index(answer) if answer in options else option_at(answer, options)
        question = choice(source, prompt, name=name, options=options, right=right)
        yield replace(question, facts={**question.facts, **facts})
        return
    question = free(source, prompt, name=name, reply=answer, **facts)
    if _value(question, answer) is None:
        raise bad(f"the answer {answer[:40]!r} is no {form}. Mend the row or leave it out.")
    yield question


def _places(value: object) -> int:
    return int(value) if isinstance(value, int | float) and 0 <= value < 10 else 0


def _value(question: Example, text: str) -> tuple[float, ...] | str | None:
    """Return the number, or list of numbers, that a text gives, as it is compared; of an answer in words, its words."""
    form, places = fact(question, "form"), int(fact(question, "precision") or 0)
    if form == "text":
        return scorers.normalise(choices.spoken(text)) or None
    text = _POWER_OF_TEN.sub(lambda found: f"e{found['power'] or found['raised'].translate(_PLAIN_POWER)}", text)
    text = _NO_ANSWER.sub(r"\1_", choices.spoken(_RAISED.sub("", text)))
    if form == "list":
        lists = _LIST.findall(text)
        return tuple(map(_number, _NUMBER.findall(lists[-1]))) or None if lists else None
    text = _BOUND.sub(r"\1 _", text)
    after = RETRACTS.split(text)[-1]
    found = _said(after) or _said(text) or _in_words(after)
    if not found:
        return None
    return (float(math.trunc(_number(found))) if form == "integer" else round(_number(found), places),)


def _said(text: str) -> str:
    """Return the last number behind the last words that announce an answer, else the last one; empty: there is none."""
    tried = (*reversed(_clauses(text)), _without_refusals(text))
    return next((numbers[-1] for said in tried if (numbers := _NUMBER.findall(said))), "")


def _without_refusals(text: str) -> str:
    """Return a text without the clauses that refuse, and without what was supposed before them."""
    if not _REFUSES.search(text):
        return text
    kept: list[str] = []
    refused = False
    for sentence in reversed(choices.sentences_of(text)):
        clauses = _CLAUSE.split(sentence)
        answering = [said for said in clauses if _REASON.match(said) or not _REFUSES.search(said)]
        if not (refused and _SUPPOSED.match(sentence)):
            kept.append(" , ".join(answering))
        refused = refused or len(answering) < len(clauses)
    return "\n".join(reversed(kept))


def _clauses(text: str) -> list[str]:
    """Return what stands behind each announcement of an answer, up to the clause's end."""
    return [_STATED_ENDS.split(said.lstrip(" :*"), maxsplit=1)[0] for said in _STATED.split(text)[1:]]


def _in_words(text: str) -> str:
    """Return the number that a reply without digits gives in words.

    It stands behind an announcement, in a few words at all, or behind "there are" in a sentence without another.
    """
    clauses = _clauses(text)
    said = clauses[-1] if clauses else text
    if _NOT_PLAIN.search(said) or DECLINES.search(said):
        return ""
    if not clauses and len(said.split()) > _SHORT:
        there = {word.lower() for word in _THERE_ARE.findall(said)}
        alone = len(choices.sentences_of(said)) == 1 and there == {each.lower() for each in _ANY_IN_WORDS.findall(said)}
        found = there if alone else set()
    else:
        found = {word.lower() for word in _IN_WORDS.findall(said)}  # In any case "ı" is an "i", and "fıve" no number.
    return str(NUMBERS.index(word)) if len(found) == 1 and (word := found.pop()) in NUMBERS else ""


def _number(text: str) -> float:
    return max(-_HUGE, min(_HUGE, float(text.replace(",", ""))))


BENCHMARK = Benchmark(
    questions=questions,
    score=score,
    chance=chance_of,
    cite="Lu et al. 2024 (ICLR, arXiv:2310.02255), CC-BY-SA-4.0",
    about="mathematics about figures, charts and photographs",
    answered=answered,
    label=label,
    images="1",
    items=1000,
    source="hub: AI4Math/MathVista, testmini",
    licence="CC-BY-SA-4.0",
    max_tokens=512,
)
