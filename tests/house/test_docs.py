"""The pages say what is: the plan lists every file, links lead somewhere, commands exist."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

from triptych.cli.main import command_names
from triptych.core.plugins import DRAWERS

FLOORS = ("core", "data", "starter", "models", "infer", "train", "generate", "evaluate", "serve", "cli")
ROOMS = re.compile(r"<!-- rooms: .*? -->\n```\n(.*?)```\n<!-- /rooms -->", re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
COMMAND = re.compile(r"(?:^|`|\$ )(?:\.venv/bin/)?triptych ([a-z][a-z-]*)", re.MULTILINE)
TARGET = re.compile(r"`make ([a-z]+)`")


def test_the_plan_in_the_docs_is_the_plan_of_the_folders(root: Path) -> None:
    found = ROOMS.search((root / "docs" / "house.md").read_text(encoding="utf-8"))
    assert found is not None
    plan = draw_rooms(root / "triptych")
    assert found[1] == plan, f"docs/house.md: the rooms are now\n\n{plan}"


def test_every_room_has_its_tests(root: Path) -> None:
    rooms = {path.parent.name for path in (root / "triptych").glob("*/__init__.py")}
    assert rooms == set(FLOORS)
    assert [room for room in sorted(rooms) if not list((root / "tests" / room).glob("test_*.py"))] == []


def test_the_drawers_in_the_docs_are_all_there_are(root: Path) -> None:
    table = re.findall(
        r"^\| `(\w+/\w+)/` \| `\w+/\w+\.py` \| `(\w+): ", (root / "docs" / "house.md").read_text(), re.MULTILINE
    )
    folders = {drawer.removeprefix("triptych.").replace(".", "/"): kind.upper() for kind, drawer in DRAWERS.items()}
    assert dict(table) == folders


def test_links_in_the_pages_lead_somewhere(root: Path) -> None:
    broken = [
        (page.name, link)
        for page in _pages(root)
        for link in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert broken == []


def test_commands_and_targets_in_the_pages_exist(root: Path) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    for page in _pages(root):
        text = page.read_text(encoding="utf-8")
        assert set(COMMAND.findall(text)) <= set(command_names()), page.name
        assert [target for target in TARGET.findall(text) if f"\n{target}:" not in makefile] == [], page.name


def test_the_readme_begins_with_the_two_commands(root: Path) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme
    assert "docs/house.md" in readme


def test_every_page_is_in_the_list_of_pages(root: Path) -> None:
    listed = LINK.findall((root / "docs" / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(page.name for page in (root / "docs").glob("*.md") if page.name != "README.md")


def draw_rooms(package: Path) -> str:
    """Return every folder with what it says of itself and the names of its files, from the ground floor up."""
    lines: list[str] = []
    for room in FLOORS:
        for folder in (package / room, *sorted(path.parent for path in (package / room).glob("*/__init__.py"))):
            about = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
            files = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
            indent = "  " * (len(folder.relative_to(package).parts) - 1)
            inner = f"{indent}    "
            title = f"{folder.relative_to(package).as_posix()}/  {about}"
            lines += textwrap.wrap(title, 112, initial_indent=indent, subsequent_indent=inner)
            lines += textwrap.wrap("  ".join(files), 112, initial_indent=inner, subsequent_indent=inner)
    return "\n".join(lines) + "\n"


def _pages(root: Path) -> list[Path]:
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]
