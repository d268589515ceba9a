"""Teachers that are functions, for the tests of runs: what they say follows from the question."""

from __future__ import annotations

import hashlib

from triptych.core.errors import DataError, ModelError
from triptych.core.records import Example, text_of


def pairs(question: Example) -> str:
    """Say one question and its answer, which tell the question that was asked."""
    number = hashlib.sha256(text_of(question.turns[-1]).encode()).hexdigest()[:6]
    return f"Question: What does sign {number} say?\nAnswer: It says {number}, and no more."


def echo(question: Example) -> str:
    """Say the question again."""
    return f"you said {text_of(question.turns[-1])}"


def draws(question: Example) -> str:
    """Say which draw it is."""
    return f"draw {question.facts['sample']}"


def not_seven(question: Example) -> str:
    """Say the question again, but for the one that has a seven."""
    if " 7." in text_of(question.turns[-1]):
        raise DataError("seven is not said")
    return echo(question)


def refuses(_question: Example) -> str:
    """Say nothing, and end the run."""
    raise ModelError("no words today")
