"""The reply without a reasoning model's thinking, which some endpoints leave in it, before the answer or behind it.

Not the reading of what was said. A draft is no reply: thinking that is marked at both ends goes wherever it stands;
before an end whose begin stands in the prompt, all goes; behind a begin without an end, all goes. What stands before
thinking is said only where nothing is said behind it. Invariants: no draft is left; where nothing else is said there is
no reply; a reply without any such mark is what was said, to the letter. The time grows as the reply does.
"""

from __future__ import annotations

import re

_CHANNEL = r"<\|channel\|>\s*"
_KINDS = (  # where each begins and ends
    *(
        (f"<{name}>", f"</{name}>")
        for name in ("think", "thinking", "thought", "reasoning", "reflection", "scratchpad", "seed:think")
    ),
    (r"\[THINK\]", r"\[/THINK\]"),
    ("◁think▷", "◁/think▷"),
    (
        rf"{_CHANNEL}(?:analysis|commentary)\b",
        rf"{_CHANNEL}final\b\s*(?:<\|constrain\|>\s*[^<\s]*\s*)?(?:<\|message\|>)?",
    ),
    (r"<unused94>\s*thought\b", "<unused95>"),
)
_MARK = re.compile("|".join(f"{begin}()|{end}()" for begin, end in _KINDS), re.IGNORECASE)
"""The group tells the kind, and which of the two it is."""
_CODE = re.compile(r"(?<!`)(`{1,2})(?!`)([^`\n]*)\1(?!`)")
"""A code span on one line."""
_BETWEEN = re.compile(r"[A-Za-z0-9.;)\]}]`{1,2}[^`\n]*`{1,2}[A-Za-z0-9]")
"""What an odd back-tick makes look like one: it stands between two."""


def spoken(reply: str) -> str | None:
    """Return what is said beside the thinking; None: there is thinking, and nothing else."""
    return _read(reply)[0]


def unfinished(reply: str) -> bool:
    """Return whether thinking has begun that has no end: what is said so far may be only its beginning."""
    return _read(reply)[1]


def _read(reply: str) -> tuple[str | None, bool]:
    """Return what is said, or None, and whether the reply ends in thinking."""
    named = {span.start() + span[0].index(span[2].strip()) for span in _CODE.finditer(reply) if _names_mark(span)}
    found = [mark for mark in _MARK.finditer(reply) if mark.start() not in named]
    marks = [(*divmod((mark.lastindex or 1) - 1, 2), mark) for mark in found]
    if not marks:
        return reply, False
    next_end: dict[int, re.Match[str]] = {}
    end_of: dict[re.Match[str], re.Match[str]] = {}
    for kind, is_end, mark in reversed(marks):
        if is_end:
            next_end[kind] = mark
        elif kind in next_end:
            end_of[mark] = next_end[kind]
    said, at, within, paired = "", 0, False, False
    for _, is_end, mark in marks:
        if mark.start() < at:
            continue  # between a begin and its end
        here = "" if within else reply[at : mark.start()]
        said = here if here.strip() else said
        if is_end and not paired:
            said = ""  # was thinking; behind a pair it is an end too many, where nothing follows
        paired = paired or (mark in end_of and not within)
        within = not is_end and (within or mark not in end_of)
        at = end_of.get(mark, mark).end()
    here = "" if within else reply[at:]
    said = here if here.strip() else said
    return said.lstrip() or None, within


def _names_mark(span: re.Match[str]) -> bool:
    """Return whether a code span is a mark and nothing else; "`A`</think>`B`" has two others, and none between."""
    between = span.start() > 0 and _BETWEEN.match(span.string, span.start() - 1)
    return not between and _MARK.fullmatch(span[2].strip()) is not None
