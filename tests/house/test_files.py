"""One file, one subject; no junk drawers; nothing that prints or swallows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.house.conftest import Source

LONGEST_LINES = 350
JUNK_DRAWERS = {"base", "common", "helper", "helpers", "misc", "util", "utils"}
TEXTS = {".cfg", ".css", ".html", ".j2", ".jinja", ".js", ".json", ".md", ".py", ".toml", ".yaml", ".yml", ""}
MACHINE_PATH = re.compile(r"(?<![\w.~}])/(?:home|mnt|root|tmp|Users|work)/\w")

ONE_FOR_MANY = {"triptych/infer/engine/scheduler.py", "triptych/infer/engine/engine.py"}
"""They answer many at once: whatever goes wrong with one is told to that one, and the others go on."""


def test_a_file_is_at_most_350_lines(package: list[Source], tests: list[Source]) -> None:
    lengths = {source.name: source.text.count("\n") for source in [*package, *tests]}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_LINES} == {}


def test_a_file_says_what_it_is_in_its_first_line(package: list[Source], tests: list[Source]) -> None:
    silent = [source.name for source in [*package, *tests] if source.text.strip() and not _first_line(source)]
    assert silent == []


def test_a_first_line_is_a_sentence_that_fits_a_list(package: list[Source]) -> None:
    firsts = {source.name: _first_line(source) for source in package}
    odd = {name: first for name, first in firsts.items() if not first.endswith((".", "?", "!")) or len(first) > 130}
    assert odd == {}


def test_no_file_is_a_junk_drawer(package: list[Source], tests: list[Source]) -> None:
    # Templates and benchmarks bear the names that their authors published: llava_v1, vqav2.
    published = ("triptych/data/templates/", "triptych/evaluate/benchmarks/")
    files = [source for source in [*package, *tests] if not source.name.startswith(published)]
    stems = {source.name: Path(source.name).stem.removeprefix("test_") for source in files}
    numbered = re.compile(r"_?v\d+$")
    assert [name for name, stem in stems.items() if stem in JUNK_DRAWERS or numbered.search(stem)] == []


def test_an_init_holds_a_docstring_and_no_code(package: list[Source]) -> None:
    rooms = [source for source in package if source.name.endswith("/__init__.py") and source.name.count("/") > 1]
    assert len(rooms) > 8
    assert [source.name for source in rooms if len(source.tree.body) != 1] == []


def test_the_shop_window_only_looks_names_up(package: list[Source]) -> None:
    (window,) = [source for source in package if source.name == "triptych/__init__.py"]
    imported = [node for node in window.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [name.name for node in imported for name in node.names] == ["annotations", "importlib", "TYPE_CHECKING"]
    defined = [node.name for node in window.tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert defined == ["__getattr__", "__dir__"]


def test_nobody_inside_buys_at_the_shop_window(package: list[Source]) -> None:
    bought = [
        (source.name, name.name)
        for source in package
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and node.module == "triptych"
        for name in node.names
    ]
    rooms = {source.name.split("/")[1] for source in package if source.name.count("/") > 1}
    assert [(file, name) for file, name in bought if name != "__version__" and name not in rooms] == []


def test_nothing_prints_but_through_the_command_line(package: list[Source]) -> None:
    calls = [(source.name, node) for source in package for node in ast.walk(source.tree) if isinstance(node, ast.Call)]
    printing = [(name, call.lineno) for name, call in calls if _named(call.func, "print")]
    assert printing == []


def test_an_except_names_what_it_catches(package: list[Source]) -> None:
    broad = [
        (source.name, node.lineno)
        for source in package
        for node in ast.walk(source.tree)
        if source.name not in ONE_FOR_MANY and isinstance(node, ast.ExceptHandler) and _is_broad(node.type)
    ]
    assert broad == []


def test_a_plugin_defines_the_constant_of_its_drawer(package: list[Source]) -> None:
    drawers = {
        "triptych/data/formats/": "FORMAT",
        "triptych/data/templates/": "TEMPLATE",
        "triptych/data/transforms/": "TRANSFORM",
        "triptych/models/families/": "FAMILY",
        "triptych/evaluate/benchmarks/": "BENCHMARK",
        "triptych/generate/annotations/": "ANNOTATION",
        "triptych/generate/stages/": "STAGE",
    }
    for drawer, constant in drawers.items():
        files = [s for s in package if s.name.startswith(drawer) and not s.name.endswith("/__init__.py")]
        assert files, f"{drawer} is empty"
        assert [source.name for source in files if constant not in _assigned(source.tree)] == []


def test_no_file_names_a_folder_of_somebodys_machine(root: Path) -> None:
    files = [path for name in ("triptych", "recipes", "docs", ".ci") for path in (root / name).rglob("*")]
    files += [root / name for name in ("Makefile", "README.md", "pyproject.toml", ".gitignore")]
    texts = {path: path.read_text(encoding="utf-8") for path in files if path.is_file() and path.suffix in TEXTS}
    assert len(texts) > 30
    leaks = [
        (str(path.relative_to(root)), found) for path, text in texts.items() for found in MACHINE_PATH.findall(text)
    ]
    assert leaks == []


def _first_line(source: Source) -> str:
    return (ast.get_docstring(source.tree) or "").partition("\n")[0]


def _named(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_broad(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(_named(kind, "Exception") or _named(kind, "BaseException") for kind in kinds)


def _assigned(tree: ast.Module) -> set[str]:
    targets: list[ast.expr] = []
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets += node.targets
        elif isinstance(node, ast.AnnAssign):
            targets.append(node.target)
    return {target.id for target in targets if isinstance(target, ast.Name)}
