"""Facts on public data sets: ``catalogue/*.yaml``, one file = one suite. What they are, how many, where, made how.

Not a downloader: ``get`` fetches what an entry says. Invariants: every fact names one of its suite's sources; what no
source says is the word ``unknown``; where two sources disagree both are there; whether a suite's published totals add
up is said with them (``Total.adds_up``) and held by a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import Field, model_validator

from triptych.core.config import Settings, parse_config
from triptych.core.errors import NotFoundError, did_you_mean

Unknown = Literal["unknown"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Source = str
"""A key of the suite's ``sources``."""


class Said(Settings):
    """A fact in words."""

    is_: str = Field(alias="is")
    by: Source
    note: str = ""


class Count(Settings):
    """How many, as published."""

    count: Annotated[int, Field(ge=0)]
    to: Annotated[int, Field(ge=1)] = 1
    """What it is rounded to: 100 where thousands are given to a tenth."""
    of: str = "examples"
    by: Source
    note: str = ""


class Mean(Settings):
    """How many an example has."""

    mean: float | Unknown
    most: int | Unknown = "unknown"
    by: Source
    note: str = ""


class Hub(Settings):
    """A data set's repository on the Hugging Face hub."""

    kind: Literal["hub"]
    repo: str
    revision: str
    folder: str
    """Where its files are put, under the folder that ``get`` is given."""
    by: Source


class GitHub(Settings):
    """A folder of a repository on GitHub."""

    kind: Literal["github"]
    repo: str
    revision: str
    under: str
    """The folder; files keep their path from it."""
    folder: str
    by: Source


class Url(Settings):
    """One file at an address."""

    kind: Literal["url"]
    url: str
    size_bytes: int | Unknown = "unknown"
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | Unknown = "unknown"
    folder: str
    by: Source


Where = Annotated[Hub | GitHub | Url, Field(discriminator="kind")]


class DataSet(Settings):
    """One data set. What its suite says for all is filled in where it says nothing itself."""

    name: Name
    part_of: Name | None = None
    skill: tuple[str, ...] | Unknown
    scenario: str
    task: str
    examples: tuple[Count, ...] | Unknown
    more: tuple[Count, ...] = ()
    """Other things that were counted: clips, images, unique instructions."""
    images: Mean | Unknown
    turns: Mean | Unknown = "unknown"
    origin: Said
    made: Said | Unknown
    licence: Said | Unknown | None = None
    recipes: tuple[Said, ...] | Unknown = "unknown"
    """Where it stands in published recipes."""
    notes: tuple[Said, ...] = ()
    where: Where | None = None
    files: tuple[str, ...] = ()
    """Patterns of what is fetched: a path, or, without a slash, a name wherever it lies. ``*`` matches slashes too."""
    absent: str | None = None
    """Why it cannot be fetched."""
    read: str | None = None
    """The source to read it by once it is fetched: ``{folder}`` stands for its folder, ``{PATTERN}`` for the file
    that this one of ``files`` found. None: no format reads it as it is."""

    @model_validator(mode="after")
    def _fetched_or_absent(self) -> DataSet:
        if (self.absent is None) != bool(self.files):
            raise ValueError("either files or absent: what is fetched, or why nothing is")
        return self


class Total(Settings):
    """A total that a source prints."""

    what: str
    of: str
    is_: int = Field(alias="is")
    to: Annotated[int, Field(ge=1)] = 1
    by: Source
    counts_by: tuple[Source, ...] = ()
    """Whose counts it sums; otherwise those of ``by``."""
    over: dict[Literal["scenario", "task", "origin"], str] = Field(default_factory=dict)
    """Which data sets it sums: all, or those that say this."""
    adds_up: bool = True
    note: str = ""


class Suite(Settings):
    """One file of the catalogue."""

    suite: Name
    about: str
    cite: str
    skill_by: Source
    licence: Said | Unknown
    where: Where | None = None
    recipes: tuple[Said, ...] | Unknown = "unknown"
    sources: dict[str, str]
    notes: tuple[Said, ...] = ()
    totals: tuple[Total, ...] = ()
    datasets: tuple[DataSet, ...]

    @model_validator(mode="after")
    def _complete(self) -> Suite:
        known = {each.name for each in self.datasets}
        for each in self.datasets:
            if each.files and each.where is None and self.where is None:
                raise ValueError(f"{each.name} has files, and neither it nor the suite says where")
            if each.part_of is not None and each.part_of not in known:
                raise ValueError(f"{each.name} is part of {each.part_of!r}, which is not there")
        return self


def suites() -> dict[str, Suite]:
    """Return the catalogue by suite, in order of name; data sets with what their suite says for all filled in."""
    return {name: _suite(name) for name in suite_names()}


def suite_names() -> list[str]:
    """Return the names of the suites: the files. Reads none of them."""
    here = files("triptych.data").joinpath("catalogue")
    return sorted(entry.name.removesuffix(".yaml") for entry in here.iterdir() if entry.name.endswith(".yaml"))


def first_lines() -> Iterator[tuple[str, str]]:
    """Yield each suite's name with the first comment of its file. Parses none of them."""
    for name in suite_names():
        yield name, _text(name).partition("\n")[0].removeprefix("#").strip()


def find_dataset(name: str) -> DataSet:
    """Return a data set by its name.

    Raises:
        NotFoundError: there is none of that name; the message offers the nearest.
    """
    known = {each.name: each for suite in suites().values() for each in suite.datasets}
    if name not in known:
        hint = did_you_mean(name, known, most=3)
        raise NotFoundError(f"no data set is called {name!r}.{hint} triptych list datasets tells all {len(known)}.")
    return known[name]


def select(*, suite: str | None = None, skill: str | None = None, task: str | None = None) -> list[DataSet]:
    """Return the data sets of a suite, with a skill, and with words in their task; all of them where None.

    Raises:
        NotFoundError: no data set has that suite or that skill.
    """
    shown = [each for name, held in suites().items() if suite in (None, name) for each in held.datasets]
    if not shown:
        raise NotFoundError(f"no suite is called {suite!r}. There are: {', '.join(suite_names())}.")
    skills = sorted({word for each in shown for word in _skills(each)})
    if skill is not None and skill not in skills:
        raise NotFoundError(f"no data set here has the skill {skill!r}. There are: {', '.join(skills)}.")
    return [
        each
        for each in shown
        if (skill is None or skill in _skills(each)) and (task is None or task.lower() in each.task.lower())
    ]


def size_of(dataset: DataSet) -> int | None:
    """Return how many examples the first source that counted them gives; None where none did."""
    if isinstance(dataset.examples, str):
        return None
    first = dataset.examples[0].by
    return sum(each.count for each in dataset.examples if each.by == first)


@cache
def _suite(name: str) -> Suite:
    suite = parse_config(_text(name), model=Suite, file=f"catalogue/{name}.yaml")
    return suite.model_copy(update={"datasets": tuple(_filled(each, suite) for each in suite.datasets)})


def _filled(dataset: DataSet, suite: Suite) -> DataSet:
    return dataset.model_copy(
        update={
            "licence": suite.licence if dataset.licence is None else dataset.licence,
            "where": dataset.where or suite.where,
            "recipes": suite.recipes if dataset.recipes == "unknown" else dataset.recipes,
        }
    )


def _text(name: str) -> str:
    return files("triptych.data").joinpath("catalogue", f"{name}.yaml").read_text(encoding="utf-8")


def _skills(dataset: DataSet) -> Sequence[str]:
    return ("unknown",) if isinstance(dataset.skill, str) else dataset.skill
