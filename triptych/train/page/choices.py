"""What somebody chose in a recipe: keys without a default, and those whose value is another than theirs.

Not the whole recipe (``shown.py``), which is mostly defaults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from triptych.core.records import Json
from triptych.train.inspection.shown import as_json, in_yaml
from triptych.train.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Choice:
    """One key of a recipe."""

    key: str
    """Key path as in overrides, stages by their names: ``stages.tune.clip``."""
    value: str
    default: str | None
    """None: it has none."""


def choices_of(recipe: Recipe) -> list[Choice]:
    """Return a recipe's choices, in its order.

    Args:
        recipe: resolved or not.
    """
    return list(_choices(recipe, recipe.model_dump(mode="json"), ""))


def _choices(node: BaseModel, tree: Json, path: str) -> Iterator[Choice]:
    assert isinstance(tree, dict)
    for name, field in type(node).model_fields.items():
        value, said, key = getattr(node, name), tree[name], f"{path}{name}"
        if isinstance(value, BaseModel):
            yield from _choices(value, said, f"{key}.")
        elif isinstance(value, tuple) and value and all(isinstance(each, BaseModel) for each in value):
            assert isinstance(said, list)
            for index, (each, inner) in enumerate(zip(value, said, strict=True)):
                yield from _choices(each, inner, f"{key}.{getattr(each, 'name', index)}.")
        elif field.is_required():
            yield Choice(key, in_yaml(said), None)
        elif value != field.get_default(call_default_factory=True) and not _follows(name, node):
            yield Choice(key, in_yaml(said), in_yaml(as_json(field.get_default(call_default_factory=True))))


def _follows(name: str, node: BaseModel) -> bool:
    """Return whether a value is the one that a resolved recipe takes from another key."""
    return name == "forward_tokens" and getattr(node, "forward_tokens", None) == getattr(node, "step_tokens", None)
