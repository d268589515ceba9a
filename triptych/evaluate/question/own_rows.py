"""One's own held-out rows as questions: any source that Triptych reads, a question for each reply that is learnt.

Not a published test: prompts are the rows' own, and what stands before a reply is context, with the row's own replies.
``own`` and its sisters in ``benchmarks/`` name a rule each. A path is a source, ``FORMAT:PATH#key=value``; without a
format it is ``messages``, and a folder is its ``*.jsonl``. Facts of a question besides those of its row:

    rule, split                      how it is marked: choice, short, rouge_l or judge
    choice, options, right, chance   where its words list options with letters and the reference is one of them
    answers, chance                  where the reference is yes, no, true or false
    story                            what replies of one row share, and rows on the same images
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from pathlib import Path
from string import ascii_uppercase

from triptych.core.errors import DataError
from triptych.core.plugins import names
from triptych.core.records import Example, Json, Text, Turn, text_of
from triptych.data.format import Refused, read_source, refusal
from triptych.evaluate.benchmark import chance_of, fact, story_of
from triptych.evaluate.metrics.rouge import published_rouge_l
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
_LISTINGS = tuple(
    re.compile(rf"(?:(?<=\s)|^){letter}\s*")
    for letter in (r"\(([A-Z])\)", r"([A-Z])\)", r"([A-Z])\.(?=\s|$)", r"([A-Z]):(?=\s|$)")
)
"""How options bear their letters, one way in one listing."""
_REFERENCE_LETTER = re.compile(r"\(?([A-Z])(?:[).:].*)?", re.DOTALL)
_UNSPACED = re.compile(r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff])")
"""A letter of a script without spaces between words."""


def own_questions(path: Path, rule: Callable[[Example], str]) -> Iterator[Example | Refused]:
    """Yield a question for each reply of each row; what is none is refused, a second one of an id among it.

    Args:
        path: a source, see the file's head.
        rule: (question with its reference) -> how it is marked.

    Raises:
        DataError, ConfigError, NotFoundError: as ``read_source``.
    """
    seen: set[str] = set()
    for row in _rows(path):
        for question in [row] if isinstance(row, Refused) else _replies_of(row):
            found = question if isinstance(question, Refused) else _checked(question, rule)
            if isinstance(found, Example) and found.id in seen:
                found = refusal(found, "id is there twice", message="an earlier row has that id. Give each its own.")
            if isinstance(found, Example):
                seen.add(found.id)
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
        return scorers.correct(question, reply)
    wanted, said = (" ".join(_words(text)) for text in (scorers.reference_of(question), reply))
    return published_rouge_l(wanted, said).f if said else 0.0


def answered(question: Example, reply: str) -> bool:
    """Return whether there is something to score: any word, or by the other rules what ``scorers`` can read."""
    if fact(question, "rule") in (CHOICE, SHORT):
        return scorers.is_answered(question, reply)
    return bool(_words(reply))


def label(question: Example) -> Hashable:
    """Return what one who always says the same would have to say: an option's position by that rule, else the words."""
    if fact(question, "rule") == CHOICE:
        return scorers.reference_label(question)
    return " ".join(_words(scorers.reference_of(question))) or scorers.reference_of(question).strip()


def dialogue_of(question: Example) -> str:
    """Return the words before the reference, each image as ``<image>``: what a judge is shown of the conversation."""
    return "\n".join(f"{turn.role}: {_shown(turn)}" for turn in question.turns[:-1])


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
        if not scorers.reference_of(question).strip():
            return refusal(
                question, "no reply", message="the reply has no words, so there is nothing to score against."
            )
        asked = [turn for turn in question.turns[:-1] if turn.role == "user"]
        if not asked:
            return refusal(question, "no question", message="nothing is asked before the reply. Leave the row out.")
        told: dict[str, Json] = {"question": text_of(asked[-1]), **question.facts}
        made = _with_answers(replace(question, facts=told), asked[-1])
        marked = rule(made)
        if marked == ROUGE_L and not _words(scorers.reference_of(made)):
            return refusal(question, "no reply", message="the reply has no words that ROUGE-L counts.")
        chance = {} if "chance" in made.facts or scorers.is_choice(made) else {"chance": 0.0}
        made = replace(made, facts={"kind": marked, **made.facts, **chance, "rule": marked, "split": marked})
        chance_of(made)
        if marked in (CHOICE, SHORT) and not scorers.correct(made, scorers.reference_of(made)):
            return refusal(question, "bad facts", message="by its facts its own reply is not right. Mend them.")
    except DataError as error:
        return Refused(question.origin or question.id, "bad facts", str(error))
    return made


def _with_answers(question: Example, asked: Turn) -> Example:
    """Return the question with its options, or with yes and no, where it bears no such facts and its words tell."""
    if any(key in question.facts for key in ("choice", "answers")):
        return question
    reference = scorers.reference_of(question).strip()
    found = _REFERENCE_LETTER.fullmatch(reference)
    options = _options_in(_shown(asked, image=" "))
    letters = ascii_uppercase[: len(options)]
    at = letters.find(found[1]) if found else next(iter(_named(options, reference)), -1)
    if at >= 0:
        facts: dict[str, Json] = {"choice": True, "options": [*options], "right": at}
        made = replace(question, facts={**question.facts, **facts})
        if scorers.correct(made, reference):
            return made
    said = scorers.normalise(reference)
    for pair in _TWO:
        if said in pair:
            return replace(question, facts={"chance": 0.5, **question.facts, "answers": [*pair]})
    return question


def _options_in(text: str) -> list[str]:
    """Return the options that the words list last, A, B and so on, without letters; none where they list none."""
    best: list[re.Match[str]] = []
    for form in _LISTINGS:
        run: list[re.Match[str]] = []
        for mark in form.finditer(text):
            run = [*run, mark] if len(run) < 26 and mark[1] == ascii_uppercase[len(run)] else [mark] * (mark[1] == "A")
            best = run if len(run) >= 2 and (not best or run[0].start() >= best[0].start()) else best
    ends = [*(mark.start() for mark in best[1:]), len(text)]
    words = [text[mark.end() : end].strip() for mark, end in zip(best, ends, strict=False)]
    return [option.split("\n")[0].strip(" ,;") for option in words]


def _named(options: list[str], reference: str) -> list[int]:
    """Return the one option of these words; nothing where there are several, or none."""
    said = scorers.normalise(reference)
    found = [at for at, option in enumerate(options) if said and scorers.normalise(option) == said]
    return found if len(found) == 1 else []


def _is_short(question: Example) -> bool:
    return "answers" in question.facts or len(_words(scorers.reference_of(question))) <= _FEW_WORDS


def _words(text: str) -> list[str]:
    """Return the words of a text in lower case; where a script has no spaces, its letters."""
    return re.findall(r"\w+", _UNSPACED.sub(r" \1 ", text.casefold()))


def _shown(turn: Turn, *, image: str = "<image>") -> str:
    return "".join(part.text if isinstance(part, Text) else image for part in turn.parts)
