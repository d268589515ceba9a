"""``triptych list`` tells what there is without importing it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Triptych
from triptych.core.plugins import names


@pytest.mark.parametrize(
    ("kind", "drawer"), [("formats", "format"), ("families", "family"), ("benchmarks", "benchmark")]
)
def test_each_plugin_is_listed_with_what_it_says_of_itself(triptych: Triptych, kind: str, drawer: str) -> None:
    heading, *lines = triptych("list", kind).stdout.splitlines()
    assert heading == f"{kind}:"
    listed = dict(line.split(maxsplit=1) for line in lines)
    assert sorted(listed) == names(drawer)
    assert all(about.endswith((".", "?")) for about in listed.values())


def test_recipes_of_the_working_folder_are_listed_with_their_first_comment(triptych: Triptych, tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "small.yaml").write_text("# A small one.\nname: small\n")
    (tmp_path / "recipes" / "bare.yaml").write_text("name: bare\n")
    assert triptych("list", "recipes").stdout.splitlines() == [
        "recipes:",
        "  recipes/bare.yaml",
        "  recipes/small.yaml  A small one.",
    ]


def test_all_kinds_are_listed_when_none_is_named(triptych: Triptych) -> None:
    shown = triptych("list").stdout
    headings = [line.partition(":")[0] for line in shown.splitlines() if not line.startswith(" ")]
    assert headings == ["formats", "families", "benchmarks", "recipes"]
    assert "recipes: none here" in shown


def test_a_kind_that_there_is_not_is_answered_with_those_there_are(triptych: Triptych) -> None:
    refused = triptych("list", "formts")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: no kind is called 'formts'. Did you mean 'formats'? There are: formats, ")
