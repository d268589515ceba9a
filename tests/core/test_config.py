"""Strict configs: what is refused, and that the refusal names file, key and remedy in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from triptych.core.config import Length, Settings, dump_config, first_difference, load_config, parse_config
from triptych.core.errors import ConfigError, NotFoundError


class Walk(Settings):
    kind: Literal["walk"]
    name: str
    length: Length = Length(1, "epochs")
    pace: float = 1.0


class Swim(Settings):
    kind: Literal["swim"]
    name: str
    depth_m: int
    lanes: tuple[int, ...] = ()


class Trip(Settings):
    name: str
    seed: int = 0
    legs: Annotated[
        tuple[Annotated[Walk | Swim, Field(discriminator="kind")], ...],
        Field(min_length=1),
    ]

    @model_validator(mode="after")
    def check(self) -> Trip:
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, found {self.seed}")
        return self


TRIP = """
name: alps
legs:
  - {kind: walk, name: up, pace: 1e-3}
  - {kind: swim, name: across, depth_m: 3, lanes: [1, 2]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "trip.yaml"
    path.write_text(TRIP)
    return path


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides, model=Trip)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_tree_is_complete_and_typed(file: Path) -> None:
    trip = load_config(file, model=Trip)
    assert trip.seed == 0
    walk, swim = trip.legs
    assert isinstance(walk, Walk)
    assert walk.pace == 0.001
    assert walk.length == Length(1, "epochs")
    assert isinstance(swim, Swim)
    assert swim.lanes == (1, 2)


def test_what_is_dumped_reads_back_equal(file: Path) -> None:
    trip = load_config(file, ["legs.up.length=2e6 tokens"], model=Trip)
    assert parse_config(dump_config(trip), model=Trip, file="dumped") == trip
    assert "length: 2000000 tokens" in dump_config(trip)


def test_a_list_item_is_addressed_by_name_or_by_number(file: Path) -> None:
    by_name = load_config(file, ['legs.up.length="200 steps"', "legs.across.lanes.1=7"], model=Trip)
    by_number = load_config(file, ["legs.0.length=200 steps", "legs.1.lanes.1=7"], model=Trip)
    assert by_name == by_number
    assert by_name.legs[0].length == Length(200, "steps")  # type: ignore[union-attr]
    assert by_name.legs[1].lanes == (1, 7)  # type: ignore[union-attr]


def test_an_unknown_key_is_refused_with_the_nearest_one(file: Path) -> None:
    file.write_text(TRIP.replace("depth_m", "dept_m"))
    message = refusal(file)
    assert message.startswith(f"{file}: legs.across.d")
    file.write_text(TRIP + "sede: 3\n")
    assert refusal(file) == f"{file}: sede: unknown key. Did you mean 'seed'? There are: legs, name, seed."


def test_an_unknown_key_offers_only_the_keys_of_its_own_kind(file: Path) -> None:
    message = refusal(file, "legs.up.lenght=3 steps")
    assert message == (
        "override legs.up.lenght: unknown key. Did you mean 'length'? There are: kind, length, name, pace."
    )


def test_an_error_in_an_override_names_the_override_not_the_file(file: Path) -> None:
    assert refusal(file, "seed=soon").startswith("override seed: should be a valid integer")
    assert refusal(file, "legs.up={kind: walk, name: up, paec: 1}").startswith(
        "override legs.up: legs.up.paec: unknown key."
    )
    file.write_text(TRIP.replace("depth_m: 3", "depth_m: deep"))
    assert refusal(file, "seed=1").startswith(f"{file}: legs.across.depth_m: ")


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("seed=1.5", "override seed: should be a valid integer, found 1.5"),
        ("seed=-1", "seed must be 0 or more, found -1"),
        ("legs=[]", "legs: "),
        ("legs.up.kind=fly", "override legs.up.kind: nothing is called 'fly'. There are: swim, walk."),
        ("legs.up.kind=swin", "nothing is called 'swin'. Did you mean 'swim'? There are: swim, walk."),
        ("legs.up={name: up}", 'legs.up.kind: is missing, found {"name": "up"}. There are: swim, walk.'),
        ("legs.up.length=3", "override legs.up.length: expected a length like '500 steps'"),
        ("legs.up.length=1.5 steps", "expected a whole number of steps"),
        ("legs.up.length=-1 steps", "expected a length"),
        ("legs.upp.pace=2", "legs has no item 'upp'. Did you mean 'up'? There are: up, across."),
        ("legs.2.pace=2", "legs has no item '2'"),
        ("name.first=2", 'name is "alps" and has no keys inside'),
        ("name=[1", "not YAML"),
        ("name", "expected key.path=value"),
        ("na me=1", "expected key.path=value"),
        ("name=2024-01-01", "quote dates"),
    ],
)
def test_a_wrong_override_is_refused_in_one_line(file: Path, override: str, part: str) -> None:
    assert part in refusal(file, override)


def test_a_wrong_item_is_one_problem_and_not_a_list_that_is_too_short_too(file: Path) -> None:
    assert "more after this" not in refusal(file, "legs=[{kind: swim, name: up, depth_m: deep}]")


def test_an_item_that_a_pair_lacks_is_missing(file: Path) -> None:
    class Paired(Settings):
        pair: tuple[float, float]

    file.write_text("pair: [0.9]")
    with pytest.raises(ConfigError, match=r"pair\.1: is missing"):
        load_config(file, (), model=Paired)


def test_a_missing_key_is_named(file: Path) -> None:
    file.write_text(TRIP.replace("depth_m: 3, ", ""))
    assert refusal(file) == f"{file}: legs.across.depth_m: is missing and has no default"


def test_a_mistyped_key_is_told_before_the_one_that_is_missing_for_it(file: Path) -> None:
    file.write_text(TRIP.replace("depth_m", "dephth_m"))
    assert "legs.across.dephth_m: unknown key. Did you mean 'depth_m'?" in refusal(file)
    file.write_text(TRIP.replace("name: alps", "nmae: alps"))
    assert refusal(file).startswith(f"{file}: nmae: unknown key. Did you mean 'name'?")


def test_the_file_of_another_tool_is_recognised_by_its_keys(file: Path) -> None:
    file.write_text("model_name_or_path: a/b\nstage: sft\nlora_rank: 8\ntemplate: c\ncutoff_len: 9\nlr: 1e-4\n")
    assert refusal(file) == (
        f"{file}: none of its keys is known here: model_name_or_path, stage, lora_rank, template, cutoff_len and"
        " 1 more. There are: legs, name, seed. Is it another tool's file?"
    )


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read (Is a directory). Give the path of a .yaml file."


def test_all_problems_are_counted_and_the_first_is_told(file: Path) -> None:
    assert refusal(file, "legs.up.pace=fast", "seed=soon").endswith("(1 more after this)")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name: a\nname: b\n", "line 2, column 1: not YAML: key 'name' said twice"),
        ("name: [\n", "not YAML"),
        ("- a\n", "expected 'key: value' lines"),
        ("", "expected 'key: value' lines, found none: the file is empty"),
        ("1: b\n", "key 1 is no text"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    message = refusal(path)
    assert message.startswith(f"{path}: ")
    assert part in message


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read as UTF-8" in refusal(path)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such recipe file"):
        load_config(tmp_path / "none.yaml", model=Trip)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("500 steps", Length(500, "steps")),
        ("1 step", Length(1, "steps")),
        ("2e6 tokens", Length(2_000_000, "tokens")),
        ("1_000 tokens", Length(1000, "tokens")),
        ("0.5 epochs", Length(0.5, "epochs")),
        ("0 steps", Length(0, "steps")),
    ],
)
def test_a_length_carries_its_unit(text: str, length: Length) -> None:
    assert Length.parse(text) == length


@pytest.mark.parametrize(
    "text", ["5", "steps", "5 miles", "many steps", "inf tokens", "nan steps", 5, None, "1 2 steps"]
)
def test_a_length_without_a_number_or_a_unit_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected a length like"):
        Length.parse(text)


@given(st.integers(0, 10**12), st.sampled_from(["steps", "tokens", "epochs"]))
def test_a_length_is_written_as_it_is_read(amount: int, unit: Literal["steps", "tokens", "epochs"]) -> None:
    assert Length.parse(str(Length(amount, unit))) == Length(amount, unit)


def test_the_first_difference_of_two_trees_is_named_by_its_key() -> None:
    here = {"name": "a", "stages": [{"name": "tune", "clip": 1.0}]}
    assert first_difference(here, here) is None
    there = {"name": "a", "stages": [{"name": "tune", "clip": 0.5}]}
    assert first_difference(here, there) == "stages.tune.clip is 0.5 there, 1.0 here"
    assert first_difference({"a": 1}, {"a": 1, "b": 2}) == "b is only there"
    assert first_difference({"a": [1]}, {"a": [1, 2]}) == "a is [1, 2] there, [1] here"
    assert first_difference({"a": 1}, {"a": True}) == "a is true there, 1 here"
