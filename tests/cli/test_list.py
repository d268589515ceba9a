"""``triptych list`` tells what there is without importing it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Triptych
from triptych.cli.list import SINGULAR
from triptych.core.plugins import DRAWERS, names
from triptych.data.hub.catalogue import select


@pytest.mark.parametrize(
    ("kind", "drawer"),
    [
        ("formats", "format"),
        ("templates", "template"),
        ("transforms", "transform"),
        ("families", "family"),
        ("stages", "stage"),
        ("annotations", "annotation"),
    ],
)
def test_each_plugin_is_listed_with_what_it_says_of_itself(triptych: Triptych, kind: str, drawer: str) -> None:
    heading, *lines = triptych("list", kind).stdout.splitlines()
    assert heading == f"{kind}:"
    listed = dict(line.split(maxsplit=1) for line in lines)
    assert sorted(listed) == names(drawer)
    assert all(about.endswith((".", "?")) for about in listed.values())


def test_benchmarks_are_a_table_of_what_is_known_of_each(triptych: Triptych) -> None:
    assert triptych("list", "benchmarks").stdout.splitlines()[-1].startswith(f"{len(names('benchmark'))} benchmarks;")
    told = json.loads(triptych("list", "benchmarks", "--json").stdout)
    assert sorted(each["name"] for each in told) == names("benchmark")


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
    assert headings == [*SINGULAR, "datasets", "recipes"]
    assert sorted(SINGULAR.values()) == sorted(DRAWERS)
    assert "recipes: none here" in shown


def test_a_kind_that_there_is_not_is_answered_with_those_there_are(triptych: Triptych) -> None:
    refused = triptych("list", "formts")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: no kind is called 'formts'. Did you mean 'formats'? There are: formats, ")


def test_data_sets_are_a_table_of_those_that_are_asked_for(triptych: Triptych) -> None:
    lines = triptych("list", "datasets", "--suite", "mantis", "--skill", "temporal").stdout.splitlines()
    assert lines[0].split()[:2] == ["name", "examples"]
    rows = {line.split()[0]: line.split()[1] for line in lines if line.startswith(" mantis-")}
    assert rows == {"mantis-vist": "6,661", "mantis-nextqa": "3,870", "mantis-star": "3,032"}
    assert lines[-1] == "3 data sets, of which triptych data get NAME fetches 3; --json tells all."


def test_every_data_set_is_in_the_table_and_unknown_is_written(triptych: Triptych) -> None:
    shown = triptych("list", "datasets").stdout
    names_shown = [line.split()[0] for line in shown.splitlines() if line.startswith(" ")]
    assert [each.name for each in select() if each.name not in names_shown] == []
    (row,) = [line for line in shown.splitlines() if line.startswith(" mimicit-lacr-i2i ")]
    assert row.split()[1] == "unknown"


@pytest.mark.parametrize(
    ("kind", "known"),
    [("benchmarks", names("benchmark")), ("datasets", [each.name for each in select()])],
)
def test_a_narrow_terminal_loses_columns_and_never_a_part_of_a_name(
    triptych: Triptych, kind: str, known: list[str]
) -> None:
    wide, narrow = (triptych("list", kind, COLUMNS=columns).stdout.splitlines() for columns in ("200", "80"))
    assert "…" not in "".join(narrow)
    assert all(len(line) <= 80 for line in narrow[:-1])
    assert set(known) <= {line.split()[0] for line in narrow[2:-1]}
    assert narrow[-1].endswith("licence; --json tells all.")
    assert "too narrow" not in wide[-1]


def test_tasks_are_found_by_their_words(triptych: Triptych) -> None:
    shown = triptych("list", "datasets", "--task", "puzzle").stdout
    assert [line.split()[0] for line in shown.splitlines() if line.startswith(" m")] == ["m4-raven"]
    assert triptych("list", "datasets", "--task", "nonesuch").stdout.startswith("0 data sets")


def test_json_tells_every_fact_with_its_source(triptych: Triptych) -> None:
    (suite,) = json.loads(triptych("list", "datasets", "--suite", "m4", "--task", "Puzzle", "--json").stdout)
    (raven,) = suite["datasets"]
    (count,) = raven["examples"]
    assert (raven["name"], count["count"], suite["sources"][count["by"]][:16]) == (
        "m4-raven",
        35_000,
        "arXiv:2407.07895",
    )
    assert raven["licence"]["is"] == "CC-BY-4.0"


def test_json_tells_plugins_too(triptych: Triptych) -> None:
    assert sorted(json.loads(triptych("list", "formats", "--json").stdout)["formats"]) == names("format")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["datasets", "--skill", "swimming"], "error: no data set here has the skill 'swimming'. There are: "),
        (["datasets", "--suite", "m5"], "error: no suite is called 'm5'. There are: benchmarks, "),
        (["formats", "--skill", "temporal"], "error: --skill chooses data sets. Write: triptych list datasets --skill"),
    ],
)
def test_a_filter_that_fits_nothing_says_what_would(triptych: Triptych, arguments: list[str], told: str) -> None:
    refused = triptych("list", *arguments)
    assert refused.returncode == 2
    assert refused.stderr.startswith(told)
