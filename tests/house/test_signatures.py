"""Public functions are called by name after their second argument, so that a call says what it gives."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.house.conftest import Source

BY_PLACE = 2
"""Arguments that may be given by place, ``self`` aside."""
CALLED_BY_OTHERS = {"forward", "prepare_inputs_for_generation"}
"""What torch and transformers call, as they please."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def test_a_public_function_takes_two_arguments_by_place(package: list[Source]) -> None:
    # What is handed over (a plug-in's work, a way to attend) is called as its contract says, which has no names.
    handed = {(module, name) for source in package for module, name in _handed_over(source)}
    functions = [(source, name, function) for source in package for name, function in _public(source.tree)]
    assert len(functions) > 1000
    assert [
        f"{source.name}:{function.lineno} {name}"
        for source, name, function in functions
        if len(function.args.posonlyargs + function.args.args) - ("." in name) > BY_PLACE
        and function.name not in CALLED_BY_OTHERS
        and ("" if "." in name else _module(source), function.name) not in handed
    ] == []


def _public(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    for node in tree.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node.name, node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for method in node.body:
                if isinstance(method, Function) and not method.name.startswith("_"):
                    yield f"{node.name}.{method.name}", method


def _handed_over(source: Source) -> Iterator[tuple[str, str]]:
    """Yield the module (empty: a class) and the name of each function that a file names without calling it."""
    nodes = list(ast.walk(source.tree))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    origins = {name: (_module(source), name) for name, _ in _public(source.tree)}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            origins |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in called:
            if node.id in origins:
                yield origins[node.id]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and id(node) not in called:
            yield ".".join(origins[node.value.id]) if node.value.id in origins else "", node.attr


def _module(source: Source) -> str:
    return source.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
