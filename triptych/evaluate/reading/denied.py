"""Words that name an option, and whether the sentence around them denies it.

Not what names an option (``mentions``), nor the patterns of denial (``phrases``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from triptych.evaluate.reading.phrases import CLAUSE_ENDS, DENIES, IS_DENIED, JUST_DENIED, LIKEWISE, NAMES_IT

_NEAR = 300
"""Characters before a mention that may deny it."""


@dataclass(frozen=True, slots=True)
class Mention:
    """Words that name an option, and where they stand."""

    option: int
    start: int
    stop: int
    by_words: bool = False
    as_written: bool = False
    """By words and signs, of an option that signs tell from others."""


def blanked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Return a text in which some parts are spaces."""
    chars = list(text)
    for start, stop in spans:
        chars[start:stop] = " " * (stop - start)
    return "".join(chars)


def denied(sentence: str, mention: Mention, *, found: Sequence[Mention]) -> bool:
    """Tell whether a mention is denied, before it ("not A", "rather than A") or after it ("A is not")."""
    if IS_DENIED.match(sentence, mention.stop):
        return True
    near = max(0, mention.start - _NEAR)
    before = [each for each in found if near <= each.start < each.stop <= mention.start]
    # The dash of an option "x - y" ends no clause.
    signs = ((each.start - near, each.stop - near) for each in before if each.as_written)
    ends = CLAUSE_ENDS.finditer(blanked(sentence[near : mention.stop], signs))
    starts = [near + match.end() for match in ends if not mention.as_written or near + match.start() <= mention.start]
    start = starts[-1] if starts else near
    head = blanked(sentence[near : mention.start], ((each.start - near, each.stop - near) for each in before))
    lead = head + "".join(NAMES_IT.findall(sentence[mention.start : mention.stop]))
    if any(map(JUST_DENIED.search, (head, lead))):
        return True
    if before and LIKEWISE.search(lead):
        return denied(sentence, before[-1], found=found)
    denial = DENIES.search(head, start - near)
    if denial is None:
        return False
    opens = not re.search(r"\w", head[start - near : denial.start()])
    between = any(each.start >= near + denial.end() for each in before)
    return not ("," in head[denial.end() :] and (opens or not between))


def longest(found: Sequence[Mention]) -> int | None:
    """Return the option of the longest words; None: of several options, or there are none."""
    length = max((each.stop - each.start for each in found), default=0)
    kept = [each.option for each in found if each.stop - each.start == length]
    return kept[0] if len(kept) == 1 else None
