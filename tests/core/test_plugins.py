"""A name is a file, and a name that is no file is answered with the nearest one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from triptych.core import plugins
from triptych.core.errors import NotFoundError
from triptych.core.plugins import DRAWERS, find, names

PLUGIN = '"""One."""\n\nCOLOUR = "red"\n'


@pytest.fixture
def paintbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A drawer of a kind of its own: ``colour`` with the files ``crimson`` and ``blue``."""
    package = f"paintbox_{abs(hash(request.node.name))}"
    drawer = tmp_path / package
    drawer.mkdir()
    (drawer / "__init__.py").write_text("")
    (drawer / "crimson.py").write_text(PLUGIN)
    (drawer / "blue.py").write_text("COLOUR = 7\n")
    (drawer / "broken.py").write_text("import surely_not_installed\nCOLOUR = 'x'\n")
    (drawer / "empty.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(DRAWERS, "colour", package)
    return package


def test_the_names_are_the_files_and_listing_them_imports_none(paintbox: str) -> None:
    assert names("colour") == ["blue", "broken", "crimson", "empty"]
    assert f"{paintbox}.crimson" not in sys.modules


def test_a_plugin_is_found_by_its_file_name(paintbox: str) -> None:
    assert find("colour", "crimson", expected=str) == "red"


def test_a_dotted_name_is_a_module_of_the_callers_own(paintbox: str, tmp_path: Path) -> None:
    (tmp_path / f"mine_{paintbox}").mkdir()
    (tmp_path / f"mine_{paintbox}" / "teal.py").write_text("COLOUR = 'teal'\n")
    assert find("colour", f"mine_{paintbox}.teal", expected=str) == "teal"


def test_a_wrong_name_is_answered_with_the_nearest(paintbox: str) -> None:
    with pytest.raises(NotFoundError, match=r"no colour is called 'crimsn'\. Did you mean 'crimson'\? There are: blue"):
        find("colour", "crimsn", expected=str)


def test_a_name_that_is_like_none_gets_the_list_alone(paintbox: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        find("colour", "zzz", expected=str)
    assert "Did you mean" not in str(caught.value)
    assert "There are: blue, broken, crimson, empty." in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", "..", ".crimson", "crimson.", "a b", "../crimson"])
def test_a_name_that_cannot_be_one_is_not_found(paintbox: str, name: str) -> None:
    with pytest.raises(NotFoundError, match="no colour is called"):
        find("colour", name, expected=str)


def test_a_library_that_a_plugin_lacks_is_not_mistaken_for_a_wrong_name(paintbox: str) -> None:
    with pytest.raises(ModuleNotFoundError, match="surely_not_installed"):
        find("colour", "broken", expected=str)


@pytest.mark.parametrize("name", ["blue", "empty"])
def test_a_file_without_the_typed_constant_is_no_plugin(paintbox: str, name: str) -> None:
    with pytest.raises(NotFoundError, match=rf"{paintbox}\.{name} defines no COLOUR of type str"):
        find("colour", name, expected=str)


@pytest.mark.parametrize("kind", sorted(plugins.DRAWERS))
def test_every_drawer_is_there_and_listing_it_loads_no_torch(kind: str) -> None:
    program = (
        f"import sys; from triptych.core.plugins import names; print(names({kind!r})); 'torch' in sys.modules and 1/0"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("[")
