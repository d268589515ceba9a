"""The reply without a reasoning model's thinking, which some endpoints leave in front of it.

Not the reading of what was said. A draft is no reply, so all that stands before the last end of thinking goes, also
where its begin stands in the prompt and not in the reply. Invariants: thinking without an end leaves no reply, rather
than its drafts; a reply without any such mark is what was said, to the letter.
"""

from __future__ import annotations

import re

_NAMES = "think|thinking|thought|reasoning|reflection|scratchpad|seed:think"
_BEGIN = re.compile(
    rf"<(?:{_NAMES})>|\[THINK\]|◁think▷|<\|channel\|>\s*(?:analysis|commentary)\b|<unused94>\s*thought\b", re.IGNORECASE
)
_END = re.compile(
    rf"</(?:{_NAMES})>|\[/THINK\]|◁/think▷|<\|channel\|>\s*final\s*<\|message\|>|<unused95>", re.IGNORECASE
)


def spoken(reply: str) -> str | None:
    """Return what stands behind the thinking; None: there is thinking, and nothing behind it."""
    ends = [found.end() for found in _END.finditer(reply)]
    said = reply[ends[-1] :] if ends else reply
    if _BEGIN.search(said) or (ends and not said.strip()):
        return None
    return said.lstrip() if ends else said
