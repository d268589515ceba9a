"""The catalogue: complete, with a source for every fact, and as much in agreement with itself as what was published."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Literal

import pytest
from pydantic import ValidationError

from tests.pictures import real_data
from triptych.core.config import parse_config
from triptych.core.errors import ConfigError, NotFoundError
from triptych.core.plugins import names
from triptych.core.records import Json
from triptych.data.format import load_examples
from triptych.data.hub import catalogue
from triptych.data.hub.catalogue import DataSet, Suite, Total, find_dataset, select, size_of, suites

SUITES = suites()
DATASETS = [each for suite in SUITES.values() for each in suite.datasets]


def test_the_module_and_the_folder_of_one_name_live_side_by_side() -> None:
    folder = files("triptych.data").joinpath("catalogue")
    assert {entry.name for entry in folder.iterdir() if entry.is_file()} == {f"{name}.yaml" for name in SUITES}
    assert importlib.import_module("triptych.data.hub.catalogue") is catalogue
    assert Path(str(catalogue.__file__)).name == "catalogue.py"


def test_names_are_unique() -> None:
    assert [name for name, count in Counter(each.name for each in DATASETS).items() if count > 1] == []
    assert set(SUITES).isdisjoint(each.name for each in DATASETS)


def test_every_fact_names_a_source_of_its_suite_and_every_source_is_used() -> None:
    for name, suite in SUITES.items():
        cited = set(sources_in(suite.model_dump(mode="json", by_alias=True)))
        assert cited <= suite.sources.keys(), name
        assert suite.sources.keys() <= cited, name


def test_no_fact_is_left_empty() -> None:
    def texts(value: Json) -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key != "note":
                    yield from texts(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from texts(inner)
        elif isinstance(value, str):
            yield value

    for each in DATASETS:
        assert all(text.strip() for text in texts(each.model_dump(mode="json", by_alias=True))), each.name


def added_up(suite: Suite, total: Total) -> tuple[int, int]:
    """Return what the data sets of a published total make, and how far rounding can have moved the two apart."""
    counts = [
        count
        for each in suite.datasets
        if all(said_of(each, key) == value for key, value in total.over.items())
        for count in (*(each.examples if isinstance(each.examples, tuple) else ()), *each.more)
        if count.of == total.of and count.by in (total.counts_by or (total.by,))
    ]
    halves = sum(count.to / 2 for count in counts if count.to > 1) + (total.to / 2 if total.to > 1 else 0)
    return sum(count.count for count in counts), int(halves)


def said_of(dataset: DataSet, key: Literal["scenario", "task", "origin"]) -> str:
    return dataset.origin.is_ if key == "origin" else str(getattr(dataset, key))


TOTALS = [(suite, total) for suite in SUITES.values() for total in suite.totals]


@pytest.mark.parametrize(("suite", "total"), TOTALS, ids=[f"{suite.suite}: {total.what}" for suite, total in TOTALS])
def test_published_totals_add_up_or_are_said_not_to(suite: Suite, total: Total) -> None:
    made, rounding = added_up(suite, total)
    assert made > 0
    assert (abs(made - total.is_) <= rounding) == total.adds_up
    assert total.adds_up or total.note


def test_a_wrong_count_would_be_noticed() -> None:
    suite = SUITES["m4"]
    one = suite.datasets[0]
    assert isinstance(one.examples, tuple)
    wrong = one.model_copy(update={"examples": (one.examples[0].model_copy(update={"count": 9_700}),)})
    made, rounding = added_up(suite.model_copy(update={"datasets": (wrong, *suite.datasets[1:])}), suite.totals[0])
    assert abs(made - suite.totals[0].is_) > rounding


def test_mantis_has_fourteen_sets_for_four_skills_and_three_single_ones() -> None:
    scenarios = Counter(each.scenario for each in SUITES["mantis"].datasets)
    assert scenarios == {"multi-image": 14, "single-image": 3}
    many = [each for each in SUITES["mantis"].datasets if each.scenario == "multi-image"]
    assert Counter(each.skill for each in many) == {
        ("co-reference",): 2, ("comparison",): 4, ("reasoning",): 5, ("temporal",): 3,
    }  # fmt: skip
    assert sum(size_of(each) or 0 for each in many) == 720_548


def test_the_published_recipe_of_mantis_has_as_many_rows_as_its_sets_and_limits_make() -> None:
    limits = {"mantis-coinstruct": 100_000, "mantis-dvqa": 30_000}
    sizes = {each.name: size_of(each) or 0 for each in SUITES["mantis"].datasets}
    assert sum(min(size, limits.get(name, size)) for name, size in sizes.items()) == 767_392


def test_m4_has_41_sets_of_14_tasks_in_four_scenarios() -> None:
    sets = SUITES["m4"].datasets
    assert len(sets) == 41
    tasks = Counter(scenario for scenario, _ in {(each.scenario, each.task) for each in sets})
    assert tasks == {"multi-image": 9, "video": 2, "3d": 2, "single-image": 1}
    over = {total.over["task"] for total in SUITES["m4"].totals if "task" in total.over}
    assert over == {each.task for each in sets}


def test_what_does_not_add_up_is_this() -> None:
    wrong = {(suite.suite, total.what): added_up(suite, total)[0] for suite, total in TOTALS if not total.adds_up}
    assert wrong == {
        ("mantis", "all 17"): 988_310,
        ("mimicit", "instances"): 2_953_000,
        ("mimicit", "rows published"): 1_272_714,
    }


@pytest.mark.parametrize("dataset", [each for each in DATASETS if each.read], ids=lambda each: each.name)
def test_what_reads_a_data_set_is_a_format_and_its_places_are_files_that_are_fetched(dataset: DataSet) -> None:
    assert dataset.read is not None
    assert dataset.read.partition(":")[0] in names("format")
    holes = {part.partition("}")[0] for part in dataset.read.split("{")[1:]}
    assert holes <= {"folder", *dataset.files}


def test_what_a_suite_says_for_all_is_filled_in() -> None:
    assert all(each.licence is not None for each in DATASETS)
    assert all(each.where is not None for each in DATASETS if each.files)
    assert find_dataset("nlvr-dev").licence != SUITES["benchmarks"].licence


def test_data_sets_are_chosen_by_suite_skill_and_task() -> None:
    assert {each.name for each in select(suite="mantis", skill="temporal")} == {
        "mantis-vist", "mantis-nextqa", "mantis-star",
    }  # fmt: skip
    assert {each.name for each in select(task="STORY TELLING", suite="m4")} == {
        "m4-aesop", "m4-flintstones-sv", "m4-pororo-sv", "m4-vist",
    }  # fmt: skip
    assert select() == DATASETS
    assert select(task="nothing of the kind") == []


def test_names_that_there_are_not_are_answered_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="Did you mean 'mantis-nlvr2'"):
        find_dataset("mantis-nlvr")
    with pytest.raises(NotFoundError, match=r"no suite is called 'm5'. There are: benchmarks, m4, mantis, mimicit"):
        select(suite="m5")
    with pytest.raises(NotFoundError, match=r"skill 'swimming'. There are: co-reference, comparison, document, "):
        select(suite="mantis", skill="swimming")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("files: [a]\n    absent: gone", "either files or absent"),
        ("part_of: nothing\n    absent: gone", "part of 'nothing', which is not there"),
        ("files: [a]", "has files, and neither it nor the suite says where"),
        ("absent: gone\n    hub: x", "unknown key"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(wrong: str, told: str) -> None:
    text = (
        "suite: x\nabout: x\ncite: x\nskill_by: us\nlicence: unknown\nsources: {us: x}\ndatasets:\n  - name: one\n"
        "    skill: unknown\n    scenario: x\n    task: x\n    examples: unknown\n    images: unknown\n"
        f"    origin: {{is: x, by: us}}\n    made: unknown\n    {wrong}\n"
    )
    with pytest.raises(ConfigError, match=told):
        parse_config(text, model=Suite, file="x.yaml")


def test_facts_are_frozen() -> None:
    with pytest.raises(ValidationError):
        DATASETS[0].name = "another"


def test_the_size_of_nlvr_is_that_of_the_real_files() -> None:
    folder = real_data("nlvr_dev")
    assert size_of(find_dataset("nlvr-dev")) == len(load_examples(f"nlvr:{folder}", on_bad="raise").examples)


def sources_in(value: Json) -> Iterator[str]:
    """Yield every source that facts name, and the suite's own."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"by", "skill_by"} and isinstance(inner, str):
                yield inner
            elif key == "counts_by" and isinstance(inner, list):
                yield from (each for each in inner if isinstance(each, str))
            else:
                yield from sources_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from sources_in(inner)
