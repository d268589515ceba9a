"""One's own held-out rows as questions: any source that Triptych reads, a question for each reply that is learnt.

Not a published test: prompts are the rows' own, and what stands before a reply is context, with the row's own replies.
``own`` and its sisters in ``benchmarks/`` name a rule each. A path is a source, ``FORMAT:PATH#key=value``; without a
format it is ``messages``, and a folder is its ``*.jsonl``. Facts of a question besides those of its row:

    rule, split                      how it is marked: choice, short, rouge_l or judge
    choice, options, right, chance   where its words list options (``own_options``) and the reference is one of them
    marks                            how these are marked there: letters or numbers
    answers, chance                  where the reference is yes, no, true or false, or begins with yes or no
    story                            what replies of one row share, and rows on the same images
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from pathlib import Path

from triptych.core import thinking
from triptych.core.errors import DataError
from triptych.core.plugins import names
from triptych.core.records import Example, Json, Text, Turn, text_of
from triptych.data.format import Refused, read_source, refusal
from triptych.evaluate.benchmark import chance_of, fact, story_of
from triptych.evaluate.metrics.rouge import published_rouge_l
from triptych.evaluate.question.own_options import listed_in, numbered_in, position_of
from triptych.evaluate.question.own_words import compared, reference_in, with_reference, words_of
from triptych.evaluate.reading import scorers

CHOICE, SHORT, ROUGE_L, JUDGE = "choice", "short", "rouge_l", "judge"
"""How a reply is marked: by the option that it chooses; by being the reference, in the form that ``scorers`` compares
short answers in; by the words that it shares with the reference in their order; by a judge."""
MAX_TOKENS = 512
"""The same under every rule, so that what was asked for one is not asked again for another."""
_FEW_WORDS = 5
"""Most words of a reference that a right reply says to the word."""
_OF_ONE_REPLY = ("answers", "choice", "options", "right", "chance", "question", "kind")
"""Facts of a row that are about its last reply, where ``facts["turns"]`` does not tell them of each."""
_TWO = (("yes", "no"), ("true", "false"))
_BEGINS_WITH = re.compile(r"(yes|no)(?:\s*[,;:!\u2013\u2014]|\.(?!\s*\d)|\s+(?:it|they|there|this|that|he|she)\b|$)")
"""A reference in lower case that answers yes or no and says more."""


def own_questions(path: Path, rule: Callable[[Example], str]) -> Iterator[Example | Refused]:
    """Yield a question for each reply of each row; what is none is refused, a second one of an id among it.

    Args:
        path: a source, see the file's head.
        rule: (question with its reference) -> how it is marked.

    Raises:
        DataError, ConfigError, NotFoundError: as ``read_source``.
    """
    row_of: dict[str, str] = {}
    for row in _rows(path):
        for question in [row] if isinstance(row, Refused) else _replies_of(row):
            found = question if isinstance(question, Refused) else _checked(question, rule)
            if isinstance(found, Example) and found.id in row_of:
                found = refusal(found, "id is there twice", message=_twice(found, row_of[found.id], row))
            elif isinstance(found, Example):
                row_of[found.id] = row.id if isinstance(row, Example) else found.id
            yield found


def rule_of(question: Example) -> str:
    """Return how a reply is marked where each row decides: choice, short up to five words, else ROUGE-L."""
    return ROUGE_L if exact_rule(question) == SHORT and not _is_short(question) else exact_rule(question)


def exact_rule(question: Example) -> str:
    """Return choice where a question has options, else short."""
    return CHOICE if scorers.is_choice(question) else SHORT


def score(question: Example, reply: str) -> float:
    """Return what a reply is worth by the question's rule, 0 to 1."""
    if fact(question, "rule") != ROUGE_L:
        return _right(question, reply)
    # that formula splits at every period, those of numbers too
    wanted, said = (" ".join(words_of(text)).replace(".", "\u00b7") for text in (scorers.reference_of(question), reply))
    return published_rouge_l(wanted, said).f if said else 0.0


def answered(question: Example, reply: str) -> bool:
    """Return whether there is something to score: any word, or by the other rules what ``scorers`` can read."""
    if fact(question, "rule") == CHOICE:
        return scorers.choice_of(question, reply).option is not None
    return scorers.is_answered(question, reply) if fact(question, "rule") == SHORT else bool(words_of(reply))


def label(question: Example) -> Hashable:
    """Return what one who always says the same would have to say: an option's position by that rule, else the words.

    References that one reply is right for have one label.
    """
    reference, answers = scorers.reference_of(question), question.facts.get("answers")
    if fact(question, "rule") == CHOICE:
        return scorers.reference_label(question)
    if fact(question, "rule") != SHORT:
        return " ".join(words_of(reference)) or reference.strip()
    if isinstance(answers, list):
        return next((str(each) for each in answers if scorers.correct(question, str(each))), reference)
    return compared(question, reference)


def dialogue_of(question: Example) -> str:
    """Return the words before the reference, each image as ``<image>``, without thinking: what a judge is shown."""
    return "\n".join(
        f"{turn.role}: {(thinking.spoken(_shown(turn)) or '') if turn.role == 'assistant' else _shown(turn)}"
        for turn in question.turns[:-1]
    )


def _rows(path: Path) -> Iterator[Example | Refused]:
    text = str(path)
    if path.is_dir():
        files = sorted(path.glob("*.jsonl"))
        if not files:
            raise DataError(f"{path}: no *.jsonl in it. Say which rows with --data FORMAT:PATH, e.g. swift:held.jsonl.")
        for file in files:
            yield from read_source(f"messages:{file}")
        return
    name, colon, _ = text.partition(":")
    named = colon and (name in names("format") or all(word.isidentifier() for word in name.split(".")))
    yield from read_source(text if named and not path.exists() else f"messages:{text}")


def _replies_of(row: Example) -> Iterator[Example | Refused]:
    """Yield a question for each reply of a row that is learnt."""
    ends = [at for at, turn in enumerate(row.turns) if turn.role == "assistant"]
    told = row.facts.get("turns", [{}] * len(ends))
    learnt = [(number, at) for number, at in enumerate(ends) if row.turns[at].learnt]
    if not learnt:
        yield refusal(row, "no reply", message="no reply that is learnt, so there is nothing to score against.")
        return
    if not isinstance(told, list) or len(told) != len(ends) or not all(isinstance(each, dict) for each in told):
        yield refusal(row, "bad row", message=f"facts.turns must list one mapping for each of its {len(ends)} replies.")
        return
    shared = {key: value for key, value in row.facts.items() if key != "turns"}
    story: dict[str, Json] = {"story": story_of(row)} if len(learnt) > 1 else {}
    for count, (number, at) in enumerate(learnt, start=1):
        last = at == ends[-1] or "turns" in row.facts
        own = {key: value for key, value in shared.items() if last or key not in _OF_ONE_REPLY}
        particular = told[number]
        assert isinstance(particular, dict)
        yield replace(
            row,
            id=row.id if len(learnt) == 1 else f"{row.id}/{count}",
            turns=row.turns[: at + 1],
            facts={**story, **own, **particular},
        )


def _checked(question: Example, rule: Callable[[Example], str]) -> Example | Refused:
    """Return a question with its facts, or its refusal where nothing could be scored by them."""
    try:
        reference = reference_in(given := scorers.reference_of(question))
        if reference is None:
            return refusal(
                question, "no reply", message="the reference is thinking alone, so there is nothing to score against."
            )
        question = question if reference == given else with_reference(question, reference)
        if not reference.strip():
            return refusal(
                question, "no reply", message="the reply has no words, so there is nothing to score against."
            )
        asked = [turn for turn in question.turns[:-1] if turn.role == "user"]
        if not asked:
            return refusal(question, "no question", message="nothing is asked before the reply. Leave the row out.")
        told: dict[str, Json] = {"question": text_of(asked[-1]), **question.facts}
        made = _with_answers(replace(question, facts=told), asked[-1])
        marked = rule(made)
        if marked == ROUGE_L and not words_of(reference):
            return refusal(question, "no reply", message="the reply has no words that ROUGE-L counts.")
        chance = {} if "chance" in made.facts or scorers.is_choice(made) else {"chance": 0.0}
        made = replace(made, facts={"kind": marked, **made.facts, **chance, "rule": marked, "split": marked})
        chance_of(made)
        if marked in (CHOICE, SHORT) and not _right(made, reference):
            if any(key in question.facts for key in ("choice", "answers")):
                return refusal(question, "bad facts", message="by its facts its own reply is not right. Mend them.")
            return refusal(question, "no reply", message="nothing of the reply can be compared. Leave the row out.")
    except DataError as error:
        return Refused(question.origin or question.id, "bad facts", str(error))
    return made


def _with_answers(question: Example, asked: Turn) -> Example:
    """Return the question with its options, or with yes and no, where it bears no such facts and its words tell."""
    if any(key in question.facts for key in ("choice", "answers")):
        return question
    reference, shown = scorers.reference_of(question).strip(), _shown(asked, image=" ")
    listed, numbered = listed_in(shown), numbered_in(shown)
    for marks, options, at in (
        ("letters", listed, position_of(listed, reference)),
        ("numbers", numbered, scorers.numbered_position(numbered, reference)),
    ):
        if at is not None:
            facts: dict[str, Json] = {"choice": True, "options": [*options], "right": at, "marks": marks}
            made = replace(question, facts={**question.facts, **facts})
            if _right(made, reference):
                return made
    said = scorers.normalise(reference)
    begins = _BEGINS_WITH.match(reference.casefold()) if len(words_of(reference)) <= _FEW_WORDS else None
    for pair in _TWO:
        if said in pair or (begins and begins[1] in pair):
            made = replace(question, facts={"chance": 0.5, **question.facts, "answers": [*pair]})
            if scorers.correct(made, reference):
                return made
    return question


def _right(question: Example, reply: str) -> float:
    """Return 1.0 where a reply chooses the right option or is the short reference, else 0.0."""
    if scorers.is_choice(question):
        chosen = scorers.choice_of(question, reply).option
        return float(chosen is not None and chosen == scorers.reference_position(question))
    if "answers" in question.facts or not scorers.is_answered(question, reply):
        return scorers.correct(question, reply)
    return float(compared(question, reply) == compared(question, scorers.reference_of(question)))


def _twice(question: Example, earlier: str, row: Example | Refused) -> str:
    """Return why a question's id is taken: by another row, or by a reply of one."""
    if earlier == question.id and isinstance(row, Example) and row.id == question.id:
        return "an earlier row has that id. Give each its own."
    return f"a reply of the row {earlier!r} has that id: replies of a row are called ROW/1, ROW/2. Name one otherwise."


def _is_short(question: Example) -> bool:
    return "answers" in question.facts or len(words_of(scorers.reference_of(question))) <= _FEW_WORDS


def _shown(turn: Turn, *, image: str = "<image>") -> str:
    return "".join(part.text if isinstance(part, Text) else image for part in turn.parts)
