"""task_prompt: what a task asks for, said before or after the user's words: "Answer with one word." for short replies.

No sentence of ours or of anybody's is built in: they are settings. Which turns a rule is for is found by a fact, by a
skill or by how long the reply is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Literal

from pydantic import Field

from triptych.core.config import Settings
from triptych.core.records import Example, Json, Part, Text, Turn, text_of
from triptych.data.text.wording import count_words
from triptych.data.transform import Transform, noted, tidy


class Rule(Settings):
    """One task: which turns belong to it, and what is said there. All conditions that are given must hold."""

    fact: str | None = None
    """A fact of the row; dots lead inwards: metadata.question_type."""
    values: tuple[str, ...] = ()
    """What the fact may be. Empty: anything, as long as it is there."""
    skill: str | None = None
    """One of the row's skills."""
    longest_reply: int | None = Field(default=None, ge=1)
    """The rule fits where the reply to the turn has at most so many words (``count_words``); None: any length."""
    prefix: tuple[str, ...] = ()
    """Said before the user's first words; one is drawn where there are several."""
    suffix: tuple[str, ...] = ()
    """Said after the user's last words; one is drawn."""


class TaskPrompt(Settings):
    """The rules: for each turn the first that fits is taken. A prompt that stands there already is not said twice."""

    rules: tuple[Rule, ...] = Field(min_length=1)
    turns: Literal["all", "first", "last"] = "all"
    """Which of the user's turns are looked at."""


def add_prompts(example: Example, settings: TaskPrompt, random: Random) -> Sequence[Example]:
    """Return the example with the prompts of its tasks; the note has the number of each turn's rule, from 0."""
    asked = [index for index, turn in enumerate(example.turns) if turn.role == "user"]
    asked = {"all": asked, "first": asked[:1], "last": asked[-1:]}[settings.turns]
    turns = list(example.turns)
    used: list[Json] = []
    for index in asked:
        reply = turns[index + 1] if index + 1 < len(turns) else None
        number = next((it for it, rule in enumerate(settings.rules) if _fits(rule, example, reply)), None)
        if number is not None:
            turns[index] = _prompted(turns[index], settings.rules[number], random)
            used.append(number)
    if not used:
        return [example]
    return [noted(replace(example, turns=tuple(turns)), "task_prompt", rules=used)]


def _fits(rule: Rule, example: Example, reply: Turn | None) -> bool:
    if rule.skill is not None and rule.skill not in example.skills:
        return False
    if rule.fact is not None:
        found: Json | object = example.facts
        for key in rule.fact.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        if found is None or (rule.values and str(found) not in rule.values):
            return False
    words = count_words(text_of(reply)) if reply is not None else 0
    return rule.longest_reply is None or 0 < words <= rule.longest_reply


def _prompted(turn: Turn, rule: Rule, random: Random) -> Turn:
    said = text_of(turn)
    parts: list[Part] = list(turn.parts)
    prefix = random.choice(rule.prefix) if rule.prefix else ""
    suffix = random.choice(rule.suffix) if rule.suffix else ""
    if prefix and not said.lstrip().startswith(prefix.strip()):
        first = next((index for index, part in enumerate(parts) if isinstance(part, Text)), len(parts))
        parts.insert(first, Text(prefix))
    if suffix and not said.rstrip().endswith(suffix.strip()):
        parts.append(Text(suffix))
    return replace(turn, parts=tidy(parts))


TRANSFORM = Transform(
    settings=TaskPrompt,
    about="prompts of tasks around the user's words",
    each=add_prompts,
    samples=(
        {"rules": [{"longest_reply": 3, "suffix": ["\nAnswer shortly.", "\nIn a few words."]}, {"prefix": ["Look. "]}]},
    ),
)
