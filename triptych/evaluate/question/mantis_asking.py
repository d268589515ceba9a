"""How Mantis asks and reads: the prompt, the order of images and the answer parser of its evaluation code.

Not a benchmark: NLVR2, Q-Bench2, Mantis-Eval and Birds-to-Words stand in ``benchmarks/``. Source: TIGER-AI-Lab/Mantis
(arXiv:2405.01483), ``mantis/benchmark``, sequence mode: each image at its ``<image>`` mark, missing marks in front,
and pieces of nothing but spaces and line ends left out. An option gets a letter unless its own is somewhere in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

from triptych.core.records import Example, ImageRef, Json, Text, text_of
from triptych.data.disk.marks import MARK, count_marks, refuse_surplus_marks
from triptych.data.disk.rows import bad
from triptych.evaluate.question.question_rows import Source, choice, free, letter_at, marked
from triptych.evaluate.reading import scorers

ENDING = "Answer with the option's letter from the given choices directly."
_SHORT = (
    "Given the images, answer the following short answer vqa question:\nQ: {}\n"
    'You can first give your analysis, and then give your final answer as "Final Answer:"'
)
_CONCLUSIONS = ("final answer:", "the answer is", "answer:")
_AGAIN = "Answer: "
"""What a conclusion may begin with once more."""


def question(
    source: Source, *, text: str, images: Sequence[ImageRef], options: Sequence[str], answer: str, **facts: Json
) -> Example:
    """Return a question with options as Mantis asks it. Raises RowError."""
    lines = [text]
    for letter, option in zip(ascii_uppercase, options, strict=False):
        bears = any(f"{letter}{mark}" in option.upper() for mark in ").:")
        lines.append(f" {option}" if bears else f" ({letter}) {option}")
    return choice(
        source,
        _asked("\n".join([*lines, ENDING]), images),
        name=source.name(),
        options=[_without(letter, option) for letter, option in zip(ascii_uppercase, options, strict=False)],
        right=letter_at(answer, len(options)),
        reply="",
        **{"question": text, **facts},
    )


def short_question(source: Source, *, text: str, images: Sequence[ImageRef], answer: str, **facts: Json) -> Example:
    """Return a question with a short answer as Mantis asks it. Raises RowError."""
    asked = _asked(_SHORT.replace("{}", text, 1), images)
    return free(source, asked, name=source.name(), reply=answer, **{"question": text, **facts})


def row_question(source: Source, **facts: Json) -> Example:
    """Return the question of a row in Mantis's evaluation layout. Raises RowError or ImageError."""
    text, images, answer = source.text("question"), source.images("images"), source.text("answer")
    match source.row.get("question_type"):
        case "multi-choice":
            return question(source, text=text, images=images, options=source.texts("options"), answer=answer, **facts)
        case "short-answer":
            return short_question(source, text=text, images=images, answer=answer, **facts)
    raise bad(f"question_type is {source.row.get('question_type')!r}. Known are multi-choice and short-answer.")


def score(question: Example, reply: str) -> float:
    """Score a reply; of a short answer that is what stands after "Final Answer:", if that stands there."""
    return scorers.correct(question, reply if scorers.is_choice(question) else concluded(reply))


def answered(question: Example, reply: str) -> bool:
    """Return whether there is something to score."""
    return scorers.is_answered(question, reply if scorers.is_choice(question) else concluded(reply))


def concluded(reply: str) -> str:
    """Return what a reply concludes: what stands after the first mark of a conclusion, most certain mark first."""
    for mark in _CONCLUSIONS:
        if (at := reply.lower().find(mark)) >= 0:
            return reply[at + len(mark) :].strip()
    return reply


def published(question: Example, reply: str) -> float:
    """Score a reply as Mantis's own parser does: the first letter of the alphabet in what it concludes.

    So "A cat, so B" is A, and "I think it is B" is I, which is no option; then only the option's very words count,
    or, of NLVR2, that just one of true and false is said. An option that bears its letter as "A)" keeps it there, so
    its words are never said. Not as published: that code breaks off at a letter that is two as a capital ("ß").
    """
    said, reference = concluded(reply), scorers.reference_of(question)
    if not scorers.is_choice(question):
        return float(said.lower() == reference.strip("()\n ").lower())
    options = [str(option) for option in scorers.options_of(question)]
    right = letter_at(reference, len(options))
    said = said[len(_AGAIN) :] if re.match(rf"{_AGAIN}[A-Z]", said) else said
    first = next((letter.upper() for letter in said if letter.isalpha()), "")
    if len(first) == 1 and 0 <= ord(first) - ord("A") < len(options):
        return float(first == ascii_uppercase[right])
    if question.facts.get("kind") == "true_or_false":
        wanted = options[right].lower()
        named = [word for word in ("true", "false") if word in reply.lower()]
        return float(len(named) == 1 and named[0] in wanted)
    bears = any(f"\n {ascii_uppercase[right]})" in text_of(turn) for turn in question.turns if turn.role == "user")
    return float(not bears and reply.strip() == options[right].strip())


def _asked(prompt: str, images: Sequence[ImageRef]) -> list[Text | ImageRef]:
    """Return the prompt with its images; missing marks are put in front of all of it."""
    marks = count_marks([prompt])
    refuse_surplus_marks(marks=marks, images=len(images))
    parts = marked(MARK * (len(images) - marks) + prompt, images)
    return [part for part in parts if isinstance(part, ImageRef) or part.text.strip("\n ")]


def _without(letter: str, option: str) -> str:
    """Return an option's words without its own letter."""
    return re.sub(rf"^\(?{letter}[).:]\s*", "", option)
