"""YAML text as recipes are written in it: read into plain values and written, so that every value comes back.

Not the settings that a recipe has (``config``). Numbers are read as in YAML 1.2: ``1e-3`` is one, ``042`` is 42 and
``1:30`` is text; ``0b1`` and ``1_000`` of 1.1 are numbers too, ``0o7`` is none. Source: https://yaml.org/spec/1.2.2,
section 10.3; PyYAML reads 1.1. Invariant: what is read is a tree of values of its own; nothing in it is one object with
something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import yaml

from triptych.core.errors import ConfigError
from triptych.core.records import Json

MOST_VALUES = 1_000_000
"""A file with more is none that somebody wrote; aliases of aliases make so many of few lines."""
MOST_LETTERS = 1_000
"""A number with more is none."""
WIDTH = 120
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_MERGE = "tag:yaml.org,2002:merge"
_NUMBERS = {
    _INT: re.compile(r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|\d[\d_]*)$"),
    _FLOAT: re.compile(
        r"[-+]?((\d[\d_]*\.[\d_]*|\.\d[\d_]*)([eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.(inf|Inf|INF))$|\.(nan|NaN|NAN)$"
    ),
}
"""How whole numbers and others are spelled."""


class _RefusedError(yaml.constructor.ConstructorError):
    """What is YAML, but has no place here."""


class _Loader(yaml.SafeLoader):
    """SafeLoader with the numbers of YAML 1.2, which refuses a key said twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                problem = "merge keys (<<) are not known here. Write the keys out"
                raise _RefusedError(None, None, problem, key_node.start_mark)
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is no text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} said twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_whole(self, node: yaml.ScalarNode) -> int:
        """Return a whole number; a zero before it means nothing."""
        text = str(self.construct_scalar(node)).replace("_", "")
        if len(text) > MOST_LETTERS:
            raise _RefusedError(None, None, f"a number of {len(text)} letters. Write a smaller one", node.start_mark)
        return int(text, {"b": 2, "x": 16}.get(text.lstrip("+-")[1:2], 10))


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes what either version of YAML takes for something else than text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in known if tag not in _NUMBERS]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor(_INT, _Loader.construct_whole)
for _tag, _form in _NUMBERS.items():
    _Loader.add_implicit_resolver(_tag, _form, list("-+.0123456789"))
    _Dumper.add_implicit_resolver(_tag, _form, list("-+.0123456789"))


def parse_yaml(text: str, *, file: str) -> Json:
    """Return the value that YAML text describes; an alias (``*name``) is a copy.

    Args:
        text: what was written.
        file: its name in messages.

    Raises:
        ConfigError: not YAML, or what cannot be a tree of values; one line with the place.
    """
    try:
        # A SafeLoader: the subclass only spells numbers otherwise and refuses keys.
        return _apart(yaml.load(text, Loader=_Loader), file, inside=(), values=count(1))
    except ConfigError:
        raise
    except RecursionError:
        raise ConfigError(f"{file}: brackets or indents within each other, too deep to be read.") from None
    except _RefusedError as error:
        raise ConfigError(f"{file}: {_where(error)}{error.problem}.") from None
    except yaml.YAMLError as error:
        problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else str(error).replace("\n", " ")
        raise ConfigError(f"{file}: {_where(error)}not YAML: {problem}") from None
    except (ValueError, KeyError, AttributeError) as error:
        # What yaml's constructors raise on a 13th month, and on a value that is not of the tag before it.
        raise ConfigError(f"{file}: not YAML: a date that is none, or a value not of its tag (!!): {error}") from None


def write_yaml(value: Json, *, one_line: bool = False) -> str:
    """Return a value as YAML with all its digits; `parse_yaml` gives an equal one back."""
    width = 10**9 if one_line else WIDTH
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width, default_flow_style=one_line
    )
    return text.strip("\n").removesuffix("\n...") if one_line else text


def _where(error: yaml.YAMLError) -> str:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


def _apart(value: Any, file: str, *, inside: tuple[int, ...], values: Iterator[int]) -> Json:
    """Return a copy in which what aliases made one object is several."""
    if next(values) > MOST_VALUES:
        raise ConfigError(f"{file}: more than {MOST_VALUES} values, aliases (*) written out. Use fewer.")
    if id(value) in inside:
        raise ConfigError(f"{file}: a value holds itself, by an alias (*). Write it out.")
    if isinstance(value, dict):
        return {key: _apart(each, file, inside=(*inside, id(value)), values=values) for key, each in value.items()}
    if isinstance(value, list):
        return [_apart(each, file, inside=(*inside, id(value)), values=values) for each in value]
    return value  # type: ignore[no-any-return]
