"""Recipes and other settings: YAML -> one strict, frozen tree of pydantic models, with ``key.path=value`` overrides.

Not a second command line and not a language: no includes, no interpolation, no class paths. Unknown keys are refused,
and every error is one line that names the file (or the override) and the key.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, RootModel, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from triptych.core.errors import ConfigError, NotFoundError, did_you_mean
from triptych.core.records import Json
from triptych.core.yaml_text import parse_yaml, write_yaml

C = TypeVar("C", bound=BaseModel)
Unit = Literal["steps", "tokens", "epochs"]
Loc = tuple[str | int, ...]
FEW_KEYS = 3
"""A file with fewer keys, none of them known, has mistyped ones rather than another purpose."""
KEYS_SHOWN = 5
"""Keys that are told of a file that has none of ours."""
LETTERS_SHOWN = 60
"""Most letters of a value that a message shows."""
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""Pattern of a name that becomes a folder's."""
KEY = re.compile(r"[A-Za-z_0-9-]+(\.[A-Za-z_0-9-]+)*")


class Settings(BaseModel):
    """Base of every node of a config tree: frozen, strict types, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    elsewhere: ClassVar[Mapping[str, str]] = {}
    """At the root of a tree: what others call a key -> what it is called here, for messages."""


@dataclass(frozen=True, slots=True)
class Length:
    """How long something lasts, with its unit: ``500 steps``, ``2e6 tokens``, ``1 epoch``, ``0.5 epochs``."""

    amount: float
    """Zero or more; whole for steps and tokens."""
    unit: Unit

    @classmethod
    def parse(cls, text: object) -> Length:
        """Return the length that ``text`` says.

        Raises:
            ValueError: no number with a unit; the message says what is expected.
        """
        words = text.split() if isinstance(text, str) else []
        unit = words[1] if len(words) == 2 else ""
        unit = unit if unit.endswith("s") else unit + "s"
        try:
            amount = float(words[0].replace("_", "")) if words else math.nan
        except ValueError:
            amount = math.nan
        if unit not in get_args(Unit) or not 0 <= amount < math.inf:
            raise ValueError(f"expected a length like '500 steps', '2e6 tokens' or '1 epoch', found {text!r}")
        if unit != "epochs" and amount != int(amount):
            raise ValueError(f"expected a whole number of {unit}, found {text!r}")
        return cls(amount, unit)  # type: ignore[arg-type]

    def __str__(self) -> str:
        number = str(int(self.amount)) if self.amount == int(self.amount) else repr(self.amount)
        return f"{number} {self.unit[:-1] if self.amount == 1 else self.unit}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a config node hold a Length: read from its text, written as its text."""
        written = core_schema.plain_serializer_function_ser_schema(str)
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, Length) else cls.parse(value), serialization=written
        )


def load_config(path: str | Path, overrides: Sequence[str] = (), *, model: type[C]) -> C:
    """Return the tree that a YAML file and overrides describe.

    Args:
        path: a YAML file, a mapping at its top.
        overrides: ``key.path=value``; values are YAML; an item of a list is addressed by its number or its ``name``.
        model: the root of the tree.

    Raises:
        NotFoundError: no such file.
        ConfigError: not YAML, an unknown key, a wrong type or value; one line with file and key.
    """
    path = Path(path)
    tree = _read_yaml(path)
    _check_kind(tree, [] if issubclass(model, RootModel) else [*model.model_fields], file=path)
    touched = [_apply(tree, override) for override in overrides]
    return _validate(tree, model=model, file=str(path), touched=touched)


def parse_config(text: str, *, model: type[C], file: str) -> C:
    """Return the tree that YAML text describes; ``file`` is its name in messages. Raises like `load_config`."""
    return _validate(parse_yaml(text, file=file), model=model, file=file, touched=[])


def parse_key_values(words: Sequence[str], *, model: type[C], example: str) -> C:
    """Return the tree that ``KEY=VALUE`` words describe; values are YAML, and of a key said twice the last counts.

    Raises:
        ConfigError: a word is not like ``example``, no such key, or no such value; one line that names it.
    """
    said: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not KEY.fullmatch(key):
            raise ConfigError(f"{word!r}: expected KEY=VALUE, e.g. {example}.")
        said[key] = value
    text = "".join(f"{key}: {value}\n" for key, value in said.items())
    return parse_config(text or "{}", model=model, file="settings")


def dump_config(config: BaseModel) -> str:
    """Return the complete tree as YAML, defaults included; `parse_config` gives an equal tree back."""
    tree = config.model_dump(mode="json")
    return write_yaml(tree)


def first_difference(here: Json, there: Json, *, path: str = "") -> str | None:
    """Return ``key.path is A there, B here`` for the first place where two trees differ, or None."""
    if isinstance(here, dict) and isinstance(there, dict):
        for key in [*there, *(key for key in here if key not in there)]:
            inner = f"{path}.{key}" if path else key
            if key not in here or key not in there:
                return f"{inner} is only {'there' if key in there else 'here'}"
            if found := first_difference(here[key], there[key], path=inner):
                return found
        return None
    if isinstance(here, list) and isinstance(there, list) and len(here) == len(there):
        for index, (ours, theirs) in enumerate(zip(here, there, strict=True)):
            if found := first_difference(ours, theirs, path=f"{path}.{_item_label(theirs, index)}"):
                return found
        return None
    # Exact, as 1 and True and 1.0 are not the same setting.
    same = type(here) is type(there) and here == there
    return None if same else f"{path} is {_shown(there)} there, {_shown(here)} here"


def _read_yaml(path: Path) -> dict[str, Json]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such recipe file. Give the path of a .yaml file.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Give the path of a .yaml file.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    tree = parse_yaml(text, file=str(path))
    if not isinstance(tree, dict):
        found = "none: the file is empty" if tree is None else _shown(tree)
        raise ConfigError(f"{path}: expected 'key: value' lines, found {found}")
    return tree


def _check_kind(tree: dict[str, Json], known: Sequence[str], *, file: Path) -> None:
    """Refuse a file that is about something else: it has several keys, and none of them is known, where some are."""
    if not known or len(tree) < FEW_KEYS or any(key in known for key in tree):
        return
    rest = f" and {len(tree) - KEYS_SHOWN} more" if len(tree) > KEYS_SHOWN else ""
    raise ConfigError(
        f"{file}: none of its keys is known here: {', '.join([*tree][:KEYS_SHOWN])}{rest}."
        f" There are: {', '.join(sorted(known))}. Is it another tool's file?"
    )


def _apply(tree: dict[str, Json], override: str) -> str:
    """Set one override in the tree; return its key path."""
    key, equals, value = override.partition("=")
    key = key.strip()
    if not equals or not KEY.fullmatch(key):
        raise ConfigError(f"override {override!r}: expected key.path=value, e.g. stages.tune.length='200 steps'")
    *parents, last = key.split(".")
    node: Json = tree
    for depth, name in enumerate(parents):
        here = ".".join(parents[:depth])
        if isinstance(node, dict):
            if node.get(name) is None:
                node[name] = {}
            node = node[name]
        elif isinstance(node, list):
            node = node[_index_of(node, name, override=override, path=here)]
        else:
            raise ConfigError(f"override {override!r}: {here} is {_shown(node)} and has no keys inside")
    said = override if len(override) <= LETTERS_SHOWN else f"{override[: LETTERS_SHOWN - 3]}..."
    parsed = parse_yaml(value, file=f"override {said!r}")
    if isinstance(node, dict):
        node[last] = parsed
    elif isinstance(node, list):
        node[_index_of(node, last, override=override, path=".".join(parents))] = parsed
    else:
        raise ConfigError(f"override {override!r}: {'.'.join(parents)} is {_shown(node)} and has no keys inside")
    return key


def _index_of(items: list[Json], name: str, *, override: str, path: str) -> int:
    labels = [_item_label(item, index) for index, item in enumerate(items)]
    if name in labels:
        return labels.index(name)
    if name.isdecimal() and int(name) < len(items):
        return int(name)
    hint = did_you_mean(name, labels)
    raise ConfigError(f"override {override!r}: {path} has no item {name!r}.{hint} There are: {', '.join(labels)}.")


def _item_label(item: Json, index: int) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) else str(index)


def _validate(tree: Json, *, model: type[C], file: str, touched: Sequence[str]) -> C:
    try:
        # As JSON: there pydantic's strict mode lets a list be a tuple, which a YAML file cannot say otherwise.
        return model.model_validate_json(json.dumps(tree))
    except TypeError as error:
        raise ConfigError(f"{file}: a value is neither text, number, list nor mapping (quote dates): {error}") from None
    except RecursionError:
        raise ConfigError(f"{file}: keys within each other, too deep to be read.") from None
    except ValidationError as error:
        problems = error.errors(include_url=False)
        path, message = _describe(_telling(problems), tree=tree, model=model)
        said = next((key for key in touched if path == key or path.startswith(f"{key}.")), None)
        others = len(problems) - 1 - sum(_echoes(each, problems) for each in problems)
        more = f" ({others} more after this)" if others > 0 else ""
        where = [f"override {said}", *([path] if path != said else [])] if said else [file, *([path] if path else [])]
        raise ConfigError(": ".join([*where, message]) + more) from None


def _echoes(problem: ErrorDetails, problems: Sequence[ErrorDetails]) -> bool:
    """Tell whether a list is called too short only because one of its items is wrong."""
    place = problem["loc"]
    return problem["type"] == "too_short" and any(
        len(each["loc"]) > len(place) and each["loc"][: len(place)] == place for each in problems
    )


def _telling(problems: Sequence[ErrorDetails]) -> ErrorDetails:
    """Return the problem to be told: the first; but where a key is missing and its node has an unknown one, that."""
    first = problems[0]
    beside = [each for each in problems if each["type"] == "extra_forbidden" and each["loc"][:-1] == first["loc"][:-1]]
    return beside[0] if beside and first["type"] == "missing" else first


def _describe(problem: ErrorDetails, *, tree: Json, model: type[BaseModel]) -> tuple[str, str]:
    """Return the key path as a person would write it, and what is wrong there."""
    loc, names = problem["loc"], []
    node = tree
    for depth, step in enumerate(loc):
        if isinstance(step, int) and isinstance(node, list) and step < len(node):
            node = node[step]
            names.append(_item_label(node, step))
        elif isinstance(node, dict) and step in node:
            node = node[str(step)]
            names.append(str(step))
        elif depth == len(loc) - 1 and problem["type"] == "missing":
            names.append(str(step))
        # Anything else is the tag of a union: not a key.
    path = ".".join(names)
    found = "" if problem["type"] in ("missing", "extra_forbidden", "value_error") else f", found {_shown(node)}"
    if problem["type"] == "extra_forbidden":
        known, last = sorted(_known_keys(model, loc[:-1])), str(loc[-1])
        if issubclass(model, Settings) and last in model.elsewhere:
            return path, f"unknown key. Here it is {model.elsewhere[last]}."
        return path, f"unknown key.{did_you_mean(last, known)} There are: {', '.join(known)}."
    if problem["type"] == "missing":
        return path, "is missing and has no default"
    if problem["type"].startswith("union_tag_"):
        key = str(problem["ctx"]["discriminator"]).strip("'")
        tag = problem["ctx"].get("tag")
        kinds = [each.model_fields[key].annotation for each in _nodes_at(model, loc) if key in each.model_fields]
        tags = sorted({str(tag) for kind in kinds for tag in get_args(kind)})
        said = f"is missing{found}." if tag is None else f"nothing is called {tag!r}.{did_you_mean(str(tag), tags)}"
        return f"{path}.{key}", f"{said} There are: {', '.join(tags)}."
    if problem["type"] == "string_pattern_mismatch" and problem["ctx"]["pattern"] == NAME_PATTERN:
        return path, f"write it with letters of English, digits, '.', '_' and '-', without spaces{found}"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    return path, message.replace("\n", " ") + found


def _known_keys(model: type[BaseModel], loc: Loc) -> set[str]:
    """Return the keys that the node at ``loc`` knows."""
    return {key for node in _nodes_at(model, loc) for key in node.model_fields}


def _nodes_at(model: type[BaseModel], loc: Loc) -> list[type[BaseModel]]:
    """Return what may stand at ``loc``, which may hold item numbers and tags of unions."""
    nodes = [model]
    for step in loc:
        inner = [
            found
            for node in nodes
            if step in node.model_fields
            for found in _models_in(node.model_fields[str(step)].annotation)
        ]
        tagged = [node for node in nodes if any(step in get_args(f.annotation) for f in node.model_fields.values())]
        nodes = inner or tagged or nodes
    return nodes


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _shown(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LETTERS_SHOWN else text[: LETTERS_SHOWN - 3] + "..."
