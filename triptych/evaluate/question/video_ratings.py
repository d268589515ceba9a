"""Ratings of long answers about videos from 0 to 5: what a judge is asked for each dimension, and how it is read.

Source: the dimensions of Video-ChatGPT (Maaz et al. 2023, arXiv:2306.05424), in words of ours, all of a reply's in one
request where the authors send one for each. The fifth dimension, consistency, is about the replies to two questions
that have one answer: either is rated with the other, so the judge sees the pair in both orders. The authors' script
shows it one order, and the first question twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from triptych.core.errors import DataError
from triptych.core.records import Example, Text, Turn
from triptych.evaluate.benchmark import fact
from triptych.evaluate.metrics.verdict import PLAIN_NUMBER, score_of
from triptych.evaluate.reading import scorers

DIMENSIONS: Mapping[str, str] = {
    "correctness": "what it says is true of the video, as far as the right answer tells; nothing is made up",
    "detail": "it has all the main points of the right answer, and says them in particulars, not in general",
    "context": "it takes the video as a whole as the right answer does: its theme, its mood, what it is about",
    "temporal": "it tells what happens in the order in which it happens",
    "consistency": "the two answers agree with each other and with the right answer; neither contradicts the other",
}
OF_KIND: Mapping[str, tuple[str, ...]] = {
    "generic": ("correctness", "detail", "context"),
    "temporal": ("temporal",),
    "description": ("detail",),
    "consistency": ("consistency",),
}
"""Kind of question -> what is rated."""
PAIR = "pair"
"""The fact that two questions share which are rated together."""
TOP = 5
RATED = 128
"""Tokens that a verdict needs."""
REQUEST = """A model was asked about a video. Below are the question, the right answer and the model's answer.
Rate the model's answer with a whole number from 0 (worst) to 5 (best) for each of these:
%s
Other words for the same thing are as good. Reply with one line like this and nothing else: %s

Question: %s
Right answer: %s
Model's answer: %s
"""
PAIR_REQUEST = """A model was asked about a video twice, in different words. Below are both questions, the one right \
answer to both, and the model's answers.
Rate the two answers together with a whole number from 0 (worst) to 5 (best) for this:
%s
Other words for the same thing are as good. Reply with one line like this and nothing else: %s

Question 1: %s
Question 2: %s
Right answer: %s
Model's answer to question 1: %s
Model's answer to question 2: %s
"""
_RATING = re.compile(rf"""['"]?\b([a-z]+)\b['"]?\s*[:=]\s*{PLAIN_NUMBER}""")


def ask_ratings(question: Example, reply: str) -> Example:
    """Return what the judge is asked. Raises DataError: of a pair, the other question's reply is not there."""
    names = OF_KIND[fact(question, "kind")]
    meant = "\n".join(f"{name}: {DIMENSIONS[name]}" for name in names)
    form, right = dict.fromkeys(names, 3), scorers.reference_of(question)
    asked = fact(question, "question")
    if fact(question, PAIR):
        other, said = _other(question)
        words = PAIR_REQUEST % (meant, form, asked, other, right, reply, said)
    else:
        words = REQUEST % (meant, form, asked, right, reply)
    return Example(question.id, (Turn("user", (Text(words),)),))


def read_ratings(question: Example, verdict: str) -> Mapping[str, float] | None:
    """Return each rating over 5 by its name, and their mean as the score; None: one is missing or beyond 0 to 5."""
    found = _RATING.findall(verdict.lower())
    said = {name: score / TOP for name, *number in found if (score := score_of(*number, top=TOP)) is not None}
    names = OF_KIND[fact(question, "kind")]
    if not said.keys() >= {*names}:
        return None
    return {"score": sum(said[name] for name in names) / len(names), **{name: said[name] for name in names}}


def _other(question: Example) -> tuple[str, str]:
    """Return the other question of a pair, and the reply to it."""
    others = question.facts.get("others")
    other = others[0] if isinstance(others, list) and len(others) == 1 else None
    if not isinstance(other, dict):
        raise DataError(f"{question.origin or question.id}: its replies are rated in pairs, and this is no pair.")
    return str(other["question"]), str(other["reply"])
