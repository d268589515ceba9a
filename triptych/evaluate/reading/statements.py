"""Where a reply says outright what the answer is: "the answer is B", "Answer: B", "I would choose B", "答案是B".

Not what else a reply argues (``choices``), nor where an option is named (``mentions``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from triptych.evaluate.reading.mentions import Reader
from triptych.evaluate.reading.phrases import (
    CONDITION,
    DECLINES,
    DENIES,
    NOT_ABLE,
    OTHER_CASE,
    SAYS,
    TURNS,
    UNREAL,
    WRONGLY,
)

_NEAR = 200
"""Characters around a statement that are looked at: a model that repeats itself without end must not cost minutes."""


@dataclass(frozen=True, slots=True)
class Said:
    """The option that is stated last."""

    option: int
    sure: bool
    """Whether no other option is stated anywhere."""


@dataclass(frozen=True, slots=True)
class _Stated:
    """What a sentence states."""

    option: int
    at: int
    supposes: bool
    """Whether it holds in one case only: "if it is so", "otherwise"."""


def stated_in(sentences: Sequence[str], reader: Reader) -> Said | None:
    """Return the last plain statement of an answer; nothing where there is none that names an option."""
    found = [each for at in range(len(sentences)) for each in _stated(sentences, at, reader)]
    kept = found if _is_said(found, sentences, reader) else [each for each in found if not each.supposes]
    return Said(kept[-1].option, len({each.option for each in found}) == 1) if kept else None


def _is_said(found: Sequence[_Stated], sentences: Sequence[str], reader: Reader) -> bool:
    """Tell whether what is stated for a case ("if it is so, the answer is A") says what the answer is.

    It does not where another case has another answer, where the case is known not to be, or where it is not known which
    case it is.
    """
    supposed = [each for each in found if each.supposes]
    if not supposed:
        return True
    unreal = any(UNREAL.search(sentences[at]) for at in {each.at for each in supposed})
    if len({each.option for each in supposed}) > 1 or (unreal and len(supposed) < len(found)):
        return False
    after = sentences[supposed[-1].at + 1 :]
    return not any(DECLINES.search(NOT_ABLE.sub(" ", said)) and not reader.mentions(said) for said in after)


def _stated(sentences: Sequence[str], at: int, reader: Reader) -> Iterator[_Stated]:
    sentence = sentences[at]
    told, end = None, 0  # the option stated before in this sentence, and where its words begin
    for match in SAYS.finditer(sentence):
        before = sentence[max(0, match.start() - _NEAR) : match.start()]
        if WRONGLY.search(before) or (DENIES.search(before) and not re.search(r"[,;:]", before)):
            continue
        rest = sentence[match.end() : match.end() + _NEAR]
        if not re.search(r"\w", rest) and at + 1 < len(sentences):
            rest = sentences[at + 1]
        option = reader.stated(rest)
        if option is None:
            continue
        # "If it were so, the answer would be A, but the answer is B": the condition ends with A.
        turns = told not in (None, option) and TURNS.search(sentence, end, match.start())
        ended = turns and not OTHER_CASE.search(sentence, end, match.start()) and not OTHER_CASE.search(rest)
        yield _Stated(option, at, not ended and CONDITION.search(before) is not None)
        told, end = option, match.end()
