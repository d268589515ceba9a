"""A recipe as a page for people: complete and resolved, with units, and what differs from the defaults marked.

The page is YAML: written into a file, it is the same recipe. Two recipes are set against each other key by key.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from triptych.core.records import Json
from triptych.core.yaml_text import write_yaml
from triptych.train.recipe import Recipe, resolve

COMMENT_COLUMN = 64
UNITS = MappingProxyType(
    {
        **dict.fromkeys(("pack_tokens", "step_tokens", "forward_tokens"), "tokens"),
        **dict.fromkeys(("image_tokens", "images_tokens", "example_tokens"), "tokens"),
        "least_side_px": "pixels",
        "rate": "a step, at its highest",
        "rate_b": "times the rate",
        "floor": "share of the highest rate",
        "decay": "times the rate, a step",
        "clip": "norm of the gradient",
        "ridge": "of a feature's mean variance",
        "weight": "times an epoch",
        "limit": "rows an epoch",
        "in_memory_rows": "rows",
        "workers": "processes",
        "dropout": "share",
        "from_layer": "layer, from 0",
        "classes": "classes",
    }
)
"""Units of numbers, by the last word of their key; a length says its own."""

_ABSENT = object()


def page_of(recipe: Recipe) -> Iterator[str]:
    """Yield the lines of a recipe, as YAML.

    Args:
        recipe: as it was read, so that what depends on other keys counts as a default.
    """
    tree = resolve(recipe).model_dump(mode="json")
    for line, remark in _node(recipe, tree, depth=0):
        yield f"{line:<{COMMENT_COLUMN - 2}}  # {remark}" if remark else line


def changed(recipe: Recipe) -> list[str]:
    """Return the keys that have a default and another value, as ``stages.tune.clip``."""
    return [
        path for path, remark in _leaves(recipe, resolve(recipe).model_dump(mode="json"), "") if "default" in remark
    ]


def flat(recipe: Recipe) -> dict[str, Json]:
    """Return every key of the resolved recipe with its value: ``stages.tune.clip`` -> 1.0; the order of what goes by
    name is a value too: ``stages`` -> [align, tune]."""
    return dict(_flat(resolve(recipe).model_dump(mode="json"), ""))


def differences(first: Recipe, second: Recipe) -> list[tuple[str, str, str]]:
    """Return (key, value in the first, value in the second) wherever two recipes differ; ``-`` where one has no such
    key."""
    here, there = flat(first), flat(second)
    keys = [*here, *(key for key in there if key not in here)]
    return [
        (key, in_yaml(here[key]) if key in here else "-", in_yaml(there[key]) if key in there else "-")
        for key in keys
        if key not in here or key not in there or here[key] != there[key]
    ]


def _node(node: BaseModel, tree: Json, *, depth: int) -> Iterator[tuple[str, str]]:
    assert isinstance(tree, dict)
    pad = "  " * depth
    for name, field in type(node).model_fields.items():
        value, said = getattr(node, name), tree[name]
        if isinstance(value, BaseModel):
            yield f"{pad}{name}:", ""
            yield from _node(value, said, depth=depth + 1)
        elif _is_list(value):
            yield f"{pad}{name}:", ""
            assert isinstance(said, list)
            for each, inner in zip(value, said, strict=True):
                lines = list(_node(each, inner, depth=depth + 2))
                yield pad + "  - " + lines[0][0].lstrip(), lines[0][1]
                yield from lines[1:]
        else:
            yield f"{pad}{name}: {in_yaml(said)}", _remark(name, field, value, said)


def _leaves(node: BaseModel, tree: Json, path: str) -> Iterator[tuple[str, str]]:
    assert isinstance(tree, dict)
    for name, field in type(node).model_fields.items():
        value, said, inner = getattr(node, name), tree[name], f"{path}.{name}" if path else name
        if isinstance(value, BaseModel):
            yield from _leaves(value, said, inner)
        elif _is_list(value):
            assert isinstance(said, list)
            for index, (each, part) in enumerate(zip(value, said, strict=True)):
                yield from _leaves(each, part, f"{inner}.{_label(part, index)}")
        else:
            yield inner, _remark(name, field, value, said)


def _flat(node: Json, path: str) -> Iterator[tuple[str, Json]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _flat(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list) and any(isinstance(each, dict) for each in node):
        labels: list[Json] = [_label(each, index) for index, each in enumerate(node)]
        if any(isinstance(each, dict) and each.get("name") == label for each, label in zip(node, labels, strict=True)):
            yield path, labels
        for index, each in enumerate(node):
            yield from _flat(each, f"{path}.{_label(each, index)}")
    else:
        yield path, node


def _remark(name: str, field: FieldInfo, value: object, resolved: Json) -> str:
    number = isinstance(resolved, int | float) and not isinstance(resolved, bool)
    unit = UNITS.get(name, "") if number else ""
    default = _ABSENT if field.is_required() else field.get_default(call_default_factory=True)
    # A kind is what its keys are, not a choice among values.
    same = default is _ABSENT or default == value or name in ("kind", "train")
    return ", ".join(word for word in (unit, "" if same else f"default {in_yaml(as_json(default))}") if word)


def as_json(value: object) -> Json:
    """Return a setting's value as JSON; what JSON does not know as its text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return [as_json(each) for each in value] if isinstance(value, tuple | list) else str(value)


def _is_list(value: object) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(each, BaseModel) for each in value)


def _label(item: Json, index: int) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) else str(index)


def in_yaml(value: Json) -> str:
    """Return a value as YAML on one line, with all its digits."""
    return write_yaml(value, one_line=True)
