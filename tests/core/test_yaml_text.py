"""YAML as recipes are written in it: what is read, what is refused in one line, and that all text comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from triptych.core.config import Settings, dump_config, load_config, parse_config
from triptych.core.errors import ConfigError
from triptych.core.records import Json
from triptych.core.yaml_text import parse_yaml, write_yaml

texts = st.text(st.characters(exclude_categories=["Cs"])) | st.from_regex(r"[-+.0-9eE_:x]{1,8}", fullmatch=True)
values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


class Named(Settings):
    name: str


def problem(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, file="a.yaml")
    message = str(caught.value)
    assert "\n" not in message
    return message


@given(texts)
@example("1e-5")
@example("1e5")
@example("09")
@example("012")
@example("1:30")
@example("<<")
def test_any_text_comes_back_as_it_was(name: str) -> None:
    assert parse_config(dump_config(Named(name=name)), model=Named, file="dumped") == Named(name=name)


@given(values)
def test_any_value_comes_back_as_it_was_on_one_line_too(value: Json) -> None:
    for written in (write_yaml(value), write_yaml(value, one_line=True)):
        read = parse_yaml(written, file="written")
        assert (read, repr(read)) == (value, repr(value))
    assert "\n" not in write_yaml(value, one_line=True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("042", 42),
        ("-010", -10),
        ("09", 9),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("1e-3", 0.001),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0b11", 3),
        ("0", 0),
        ("0.5", 0.5),
        ("1_0.5", 10.5),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("1.5e3", 1500.0),
        ("1", 1),
    ],
)
def test_numbers_are_those_of_yaml_1_2(text: str, value: Json) -> None:
    found = parse_yaml(text, file="a.yaml")
    assert (found, type(found)) == (value, type(value))


def test_a_value_that_stands_twice_by_an_alias_is_changed_in_one_place(tmp_path: Path) -> None:
    class Part(Settings):
        rate: float

    class Stage(Settings):
        name: str
        part: Part

    class Run(Settings):
        stages: tuple[Stage, ...]

    path = tmp_path / "run.yaml"
    path.write_text("stages:\n  - {name: one, part: &p {rate: 1.0e-3}}\n  - {name: two, part: *p}\n")
    run = load_config(path, ["stages.two.part.rate=5e-5"], model=Run)
    assert [stage.part.rate for stage in run.stages] == [1e-3, 5e-5]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("log: &a {tensorboard: *a}", "a.yaml: a value holds itself, by an alias (*). Write it out."),
        ("a: &x [1, *x]", "a.yaml: a value holds itself"),
        ("[" * 3_000, "a.yaml: brackets or indents within each other, too deep to be read"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "a.yaml: line 3, column 3: merge keys (<<) are not known here."),
        ("seed: " + "7" * 5_000, "a.yaml: line 1, column 7: a number of 5000 letters"),
        ("seed: 0x" + "f" * 5_000, "a number of 5002 letters"),
        ("when: 2020-13-45", "a.yaml: not YAML: "),
        ("seed: !!int many", "a.yaml: not YAML: "),
        ("seed: !!bool many", "a.yaml: not YAML: "),
        ("seed: !!timestamp many", "a.yaml: not YAML: "),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(text: str, part: str) -> None:
    found = problem(text)
    assert part in found
    assert found.count("a.yaml") == 1


def test_a_long_override_is_told_in_short(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: a\n")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "a.yaml", [f"name={'[' * 3_000}"], model=Named)
    assert len(str(caught.value)) < 200


def test_aliases_that_would_fill_the_memory_are_refused() -> None:
    lines = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "more than 1000000 values" in problem("\n".join(lines))


def test_an_override_whose_key_is_too_deep_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: a\n")
    with pytest.raises(ConfigError, match="too deep"):
        load_config(tmp_path / "a.yaml", [".".join("a" * 3_000) + "=1"], model=Named)
