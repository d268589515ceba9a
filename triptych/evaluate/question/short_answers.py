"""Questions answered in a word or a phrase, with several accepted answers: what VQA's and DocVQA's relatives share.

Not a metric (``metrics/vqa``, ``metrics/anls``) and not a layout: a file in ``benchmarks/`` names its columns.
"""

from __future__ import annotations

from triptych.core.records import Example, Json, Text
from triptych.data.disk.rows import bad, listed, words
from triptych.evaluate.question.question_rows import Source, free
from triptych.evaluate.reading.scorers import reference_of

ASKS = "\nAnswer the question using a single word or phrase."
"""What LLaVA-1.5 and the kits after it put behind a question."""

UNANSWERABLE = "\nWhen the provided information is insufficient, respond with 'Unanswerable'."
"""What lmms-eval puts before that, where a picture may not tell."""


def short_answer(source: Source, asked: str, *, name: str, reply: str, answers: list[str], **facts: Json) -> Example:
    """Return a question about the row's one picture, which stands in front. Raises RowError or ImageError.

    Args:
        source: its row, with ``question`` and ``image``.
        asked: the words, as published.
        name: its id.
        reply: the reference.
        answers: all accepted ones, repeats kept.
        **facts: others of the question.
    """
    prompt = (source.image("image"), Text(asked))
    own: dict[str, Json] = {"question": source.text("question"), "answers": [*answers]}
    return free(source, prompt, name=name, reply=reply, **{**own, **facts})


def answers_in(source: Source, key: str = "answers") -> list[str]:
    """Return a row's answers, texts or objects with ``answer``. Raises RowError: there are none (a secret split)."""
    found = [entry.get("answer") if isinstance(entry, dict) else entry for entry in listed(source.row.get(key), key)]
    if not found:
        raise bad(f"{key} is empty: a split whose answers are secret? Read the one that has them.")
    return [words(text, f"an entry of {key}") for text in found]


def answers_of(question: Example) -> list[str]:
    """Return the accepted answers in a question's facts."""
    answers = question.facts.get("answers")
    return [str(answer) for answer in answers] if isinstance(answers, list) else []


def says_something(question: Example, reply: str) -> bool:
    """Return whether a free reply says anything; signs do: "$" answers "which sign is on the 4 key?"."""
    return bool(reply.strip())


def same_words(question: Example) -> str:
    """Return the reference in lower case, for the majority baseline."""
    return " ".join(reference_of(question).lower().split())
