"""The reply without a reasoning model's thinking, which some endpoints leave in it, before the answer or behind it.

Not the reading of what was said. A draft is no reply: thinking that is marked at both ends goes wherever it stands;
before an end whose begin stands in the prompt, all goes; behind a begin without an end, all goes. Invariants: no draft
is left; where nothing else is said there is no reply; a reply without any such mark is what was said, to the letter.
"""

from __future__ import annotations

import re

_NAMES = "think|thinking|thought|reasoning|reflection|scratchpad|seed:think"
_CHANNEL = r"<\|channel\|>\s*"
_BESIDE_TAGS = (  # where each begins and ends
    (r"\[THINK\]", r"\[/THINK\]"),
    ("◁think▷", "◁/think▷"),
    (rf"{_CHANNEL}(?:analysis|commentary)\b", rf"{_CHANNEL}final\b\s*(?:<\|message\|>)?"),
    (r"<unused94>\s*thought\b", "<unused95>"),
)
_PAIRED = re.compile(
    "|".join((rf"<(?P<name>{_NAMES})>.*?</(?P=name)>", *(f"{begin}.*?{end}" for begin, end in _BESIDE_TAGS))),
    re.IGNORECASE | re.DOTALL,
)
_BEGIN = re.compile("|".join((f"<(?:{_NAMES})>", *(begin for begin, _ in _BESIDE_TAGS))), re.IGNORECASE)
_END = re.compile("|".join((f"</(?:{_NAMES})>", *(end for _, end in _BESIDE_TAGS))), re.IGNORECASE)


def spoken(reply: str) -> str | None:
    """Return what is said beside the thinking; None: there is thinking, and nothing else."""
    said = _PAIRED.sub(" ", reply)
    if ends := [found.end() for found in _END.finditer(said)]:
        said = said[ends[-1] :]
    if begin := _BEGIN.search(said):
        said = said[: begin.start()]
    if said == reply:
        return reply
    return said.lstrip() or None
