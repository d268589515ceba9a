"""Prompts: a Markdown file in ``prompts/``, or a project's own by path -> a Prompt; filled, a question for a teacher.

Not what becomes of the reply (``stages/``). A file has, in this order:

    # What it is for, in one line
    - skill: comparison
    - max tokens: 800
    ## System
    ## Example            as often as wanted, each with ### User and ### Assistant
    ## Ask                words with slots: {annotation}
    ## Schema             a JSON schema of the reply, in a code fence

Only ``Ask`` must be there. A slot is one lower-case word in braces; other braces are text. Invariant: the hash follows
from the words alone, so equal hashes mean equal prompts, wherever the file lies. ``NAME#examples=FILE`` is the prompt
with a cold start's accepted examples in place of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from triptych.core.errors import ConfigError, NotFoundError, TriptychError, did_you_mean
from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn, VideoRef
from triptych.data.transform import tidy
from triptych.generate.few_shot import accepted_shots

Value = str | int | float | Part | Sequence[Part]
"""What a slot is filled with: words, a number, an image, or words and images in reading order."""

SLOT = re.compile(r"\{([a-z][a-z_]*)\}")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_HEAD = re.compile(r"(#{1,3})\s+(.*?)\s*#*\s*")
_FACT = re.compile(r"[-*]\s+([a-z][a-z ]*):\s*(.*?)\s*")
_SECTIONS = ("System", "Example", "Ask", "Schema")
_FACTS = ("skill", "max tokens")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt, ready to be filled."""

    name: str
    """The name that `load` was asked for: a file of ``prompts/`` without its ending, or a path."""
    hash: str
    """SHA-256 of its words, 64 hexadecimal digits."""
    about: str
    """One line for people."""
    skills: tuple[str, ...]
    """What the pairs it asks for exercise."""
    system: str
    shots: tuple[tuple[str, str], ...]
    """In-context examples: (what is said to the teacher, what it should reply)."""
    ask: str
    """What is asked, with slots."""
    max_tokens: int
    """Most tokens of one reply."""
    schema: Mapping[str, Json] | None = None
    """JSON schema of the reply; None: the reply is words."""

    @property
    def slots(self) -> tuple[str, ...]:
        """Return the names of its slots, each once, in reading order."""
        return tuple(dict.fromkeys(SLOT.findall(f"{self.system}\n{self.ask}")))


def names() -> list[str]:
    """Return the prompts that come along, sorted."""
    return sorted(path.name.removesuffix(".md") for path in _drawer().iterdir() if path.name.endswith(".md"))


def load(reference: str) -> Prompt:
    """Return a prompt.

    Args:
        reference: a file of ``prompts/`` without its ending, or the path of a Markdown file of one's own; behind it,
            where wanted, ``#examples=FILE``.

    Raises:
        NotFoundError: no such prompt or file; the message offers the nearest names.
        ConfigError: the file is no prompt; the message names file and line. Or no example was accepted.
    """
    name, _, examples = reference.partition("#examples=")
    text = _text(name)
    prompt = replace(parse(text, name=name), name=reference)
    if not examples:
        return prompt
    shots = accepted_shots(Path(examples).expanduser())
    written = json.dumps([list(shot) for shot in shots], ensure_ascii=False)
    return replace(prompt, shots=shots, hash=_hash(f"{text}\0{written}"))


def fill(prompt: Prompt, *, id: str = "", **values: Value) -> Example:
    """Return the question: system turn, in-context examples, and what is asked with its slots filled.

    Args:
        prompt: what `load` gave.
        id: of the question.
        values: one for each slot; an image, or words and images, stand where their slot stood.

    Raises:
        ConfigError: a slot has no value, or a value no slot.
    """
    missing = [slot for slot in prompt.slots if slot not in values]
    if missing or (unknown := sorted(values.keys() - set(prompt.slots))):
        said = f"slot {{{missing[0]}}} has no value" if missing else f"it has no slot {{{unknown[0]}}}"
        raise ConfigError(f"prompt {prompt.name!r}: {said}. Its slots are: {', '.join(prompt.slots) or 'none'}.")
    system = [Turn("system", _filled(prompt.system, values))] if prompt.system else []
    shown = [turn for user, reply in prompt.shots for turn in (_said("user", user), _said("assistant", reply))]
    return Example(id=id or prompt.name, turns=(*system, *shown, Turn("user", _filled(prompt.ask, values))))


def known(reference: str) -> str:
    """Return the reference of a prompt, checked to lead to one, for settings that name it.

    Raises:
        ValueError: it does not; one line.
    """
    try:
        load(reference)
    except TriptychError as error:
        raise ValueError(str(error)) from None
    return reference


@lru_cache(maxsize=64)
def parse(text: str, *, name: str) -> Prompt:
    """Return the prompt that Markdown text describes; ``name`` is for messages. Raises ConfigError."""
    sections = list(_sections(text, name))
    top = sections[0]
    if not top.title:
        raise ConfigError(f"prompt {name!r}: it begins with no '# What it is for'. Add that line.")
    facts = dict(_facts(top.body, name))
    of = {section.title: section.body for section in sections[1:] if section.level == 2}
    if not of.get("Ask"):
        raise ConfigError(f"prompt {name!r}: it has no '## Ask', or nothing under it. Say there what is asked.")
    return Prompt(
        name=name,
        hash=_hash(text),
        about=top.title,
        skills=tuple(skill.strip() for skill in facts.get("skill", "").split(",") if skill.strip()),
        system=of.get("System", ""),
        shots=tuple(_shots(sections, name)),
        ask=of["Ask"],
        max_tokens=_count(facts.get("max tokens", "512"), name),
        schema=_schema(of["Schema"], name) if "Schema" in of else None,
    )


@dataclass(frozen=True, slots=True)
class _Section:
    level: int
    title: str
    body: str
    line: int


def _sections(text: str, name: str) -> Iterator[_Section]:
    """Yield the sections; headings in code fences are text, and so are those of no section's name below the top."""
    level, title, start = 1, "", 1
    body: list[str] = []
    fence = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if mark := _FENCE.match(line):
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]
        head = None if fence else _HEAD.fullmatch(line)
        if head is None or not ((len(head[1]) == 1 and number == 1) or _is_section(head, level, name, number)):
            body.append(line)
            continue
        if number > 1:
            yield _Section(level, title, "\n".join(body).strip(), start)
        level, title, start, body = len(head[1]), head[2], number, []
    yield _Section(level, title, "\n".join(body).strip(), start)


def _is_section(head: re.Match[str], level: int, name: str, number: int) -> bool:
    depth, title = len(head[1]), head[2]
    if depth == 2 and title not in _SECTIONS:
        hint = did_you_mean(title, _SECTIONS)
        known = ", ".join(_SECTIONS)
        raise ConfigError(f"prompt {name!r}: line {number}: no section is called {title!r}.{hint} There are: {known}.")
    return depth == 2 or (depth == 3 and title in ("User", "Assistant"))


def _facts(body: str, name: str) -> Iterator[tuple[str, str]]:
    for line in body.splitlines():
        if found := _FACT.fullmatch(line):
            if found[1] not in _FACTS:
                raise ConfigError(f"prompt {name!r}: no fact is called {found[1]!r}. There are: {', '.join(_FACTS)}.")
            yield found[1], found[2]


def _shots(sections: Sequence[_Section], name: str) -> Iterator[tuple[str, str]]:
    for at, section in enumerate(sections):
        if (section.level, section.title) != (2, "Example"):
            continue
        inner = [(each.title, each.body) for each in sections[at + 1 : at + 3] if each.level == 3]
        match inner:
            case [("User", user), ("Assistant", reply)] if user and reply:
                yield user, reply
            case _:
                where = f"prompt {name!r}: line {section.line}"
                raise ConfigError(f"{where}: an example is '### User', then '### Assistant', with words under both.")


def _schema(body: str, name: str) -> dict[str, Json]:
    inside = re.sub(r"^\s*(```|~~~)\w*\n|\n\s*(```|~~~)\s*$", "", body)
    try:
        schema = json.loads(inside)
    except ValueError as error:
        raise ConfigError(f"prompt {name!r}: what stands under '## Schema' is not JSON ({error}).") from None
    if not isinstance(schema, dict):
        raise ConfigError(f"prompt {name!r}: the schema is no object {{...}}.")
    return schema


def _count(said: str, name: str) -> int:
    if not (said.isdecimal() and int(said) > 0):
        raise ConfigError(f"prompt {name!r}: max tokens is a number, found {said!r}.")
    return int(said)


def _filled(text: str, values: Mapping[str, Value]) -> tuple[Part, ...]:
    parts: list[Part] = []
    # Split at the slots of the file alone: braces in a value are text.
    for at, piece in enumerate(SLOT.split(text)):
        parts += [Text(piece)] if at % 2 == 0 else _parts(values[piece])
    return tidy(parts)


def _parts(value: Value) -> list[Part]:
    if isinstance(value, str):
        return [Text(value)]
    if isinstance(value, int | float):
        return [Text(str(value))]
    return [value] if isinstance(value, Text | ImageRef | VideoRef) else list(value)


def _said(role: str, words: str) -> Turn:
    return Turn("user" if role == "user" else "assistant", (Text(words),))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _drawer() -> Traversable:
    return resources.files("triptych.generate").joinpath("prompts")


def _text(name: str) -> str:
    if name.endswith(".md"):
        try:
            return Path(name).expanduser().read_text(encoding="utf-8").replace("\r\n", "\n")
        except FileNotFoundError:
            raise NotFoundError(f"{name}: no such prompt file. Give the path of a .md file.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{name}: cannot be read as UTF-8 text: {error}") from None
    return _text_here(name)


@lru_cache(maxsize=64)
def _text_here(name: str) -> str:
    """Return the words of a prompt that comes along; looked up once, as every item asks for them."""
    there = names()
    if name not in there:
        raise NotFoundError(
            f"no prompt is called {name!r}.{did_you_mean(name, there)} There are: {', '.join(there)};"
            " or give the path of your own .md file."
        )
    return _drawer().joinpath(f"{name}.md").read_text(encoding="utf-8")
