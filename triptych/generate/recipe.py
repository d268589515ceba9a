"""A generate recipe: the typed tree of one run that makes data: teachers, a budget, stages in order.

Not code, and not a training recipe (``train/recipe.py``). What each key of a stage means, its file in ``stages/`` says.
Invariant: `identity` changes exactly when something is said that may change what a stage makes; budgets, prices and how
hard a teacher is asked do not.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema

from triptych.core.config import Settings, dump_config, load_config, parse_config
from triptych.core.errors import ConfigError, NotFoundError, did_you_mean
from triptych.core.log import say
from triptych.core.plugins import find, names
from triptych.core.records import Json
from triptych.data.transform import plan_schema, settings_text
from triptych.generate.stage import Stage
from triptych.infer.settings import Asking, EndpointSettings, LocalSettings, address_of

RECIPE = "recipe.yaml"
CANNED = "canned:"
OWN_FILES = {"stages", "replies", "batches", "lock", "log.txt", "part.json", "spend.json", "report.html"} | {
    *(RECIPE, "refusals.jsonl"),
}
"""What a run's folder holds besides what its stages write."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
ELSEWHERE = {
    "budget_tokens": "say it for all teachers together: budget: {tokens: N}",
    "budget_usd": "say it for all teachers together: budget: {usd: N}",
    "cache": "a run keeps every reply in its own folder",
    "scores": "a teacher says words",
}
"""Keys of other askings, and what to do instead."""
NO_MATTER = {"concurrency", "attempts", "timeout_s", "requests_per_minute", "price_in", "price_out"} | {
    *("batch", "poll_s", "batch_tokens", "share", "limit_name", "device"),
    *ELSEWHERE,
}
"""Keys of a teacher that change no reply."""


READING = 3
"""Version of how replies are read. Where it changes, stages are run again over the replies that are kept."""


class EndpointTeacher(EndpointSettings):
    """A teacher behind an address."""

    batch: bool = False
    """Ask through the endpoint's batch API (``/v1/batches``): cheaper, and hours later."""
    poll_s: float = Field(default=30.0, gt=0)
    """How often a batch is asked whether it is done, in seconds."""


class LocalTeacher(LocalSettings):
    """A teacher in this process."""

    price_in: float = Field(default=0.0, ge=0)
    """US dollars for a million tokens of questions: what the machine costs, if one likes."""
    price_out: float = Field(default=0.0, ge=0)


class CannedTeacher(Asking):
    """A teacher whose replies are written down, or a function: for tests and dry runs."""

    price_in: float = Field(default=0.0, ge=0)
    """US dollars for a million words of questions: a dry run shows what a real one may cost."""
    price_out: float = Field(default=0.0, ge=0)


TeacherSetting = EndpointTeacher | LocalTeacher | CannedTeacher


@dataclass(frozen=True, slots=True)
class TeacherPlan:
    """Who is asked, and how. In a recipe: ``{model: NAME, ...settings}``."""

    model: str
    settings: TeacherSetting

    @classmethod
    def parse(cls, value: object) -> TeacherPlan:
        """Return the teacher that ``{"model": NAME, ...settings}`` describes.

        Raises:
            ValueError: it has no such setting; one line that says which are known.
            ConfigError: its address is wrong.
        """
        if not isinstance(value, dict) or not isinstance(model := value.get("model"), str):
            raise ValueError("expected a teacher {model: NAME, ...settings}; a model is a folder, a hub id, an address")
        for key, instead in ELSEWHERE.items():
            if key in value:
                raise ValueError(f"a teacher has no {key}: {instead}")
        kind: type[TeacherSetting] = LocalTeacher
        without = {"model"}
        if model.startswith(CANNED):
            kind = CannedTeacher  # in place of a real one, whose settings may stand there
            real = EndpointTeacher.model_fields.keys() | LocalTeacher.model_fields.keys()
            without |= real - CannedTeacher.model_fields.keys()
        elif address_of(model):
            kind = EndpointTeacher
        return cls(
            model,
            parse_config(settings_text(value, without=without, what="teacher"), model=kind, file=f"teacher {model}"),
        )

    def as_json(self) -> dict[str, Json]:
        """Return the teacher as it is written, defaults included."""
        return {"model": self.model, **self.settings.model_dump(mode="json", exclude=set(ELSEWHERE))}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a config node hold a teacher."""
        return plan_schema(cls)


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One step: which stage, with which settings. In a recipe: ``{kind: NAME, ...settings}``."""

    kind: str
    settings: Settings

    @classmethod
    def parse(cls, value: object) -> StagePlan:
        """Return the step that ``{"kind": NAME, ...settings}`` describes.

        Raises:
            ValueError: no such stage, or it has no such setting; one line that says which are known.
        """
        if not isinstance(value, dict) or not isinstance(kind := value.get("kind"), str):
            raise ValueError("expected a stage {kind: NAME, ...settings}")
        try:
            stage = find("stage", kind, expected=Stage)
        except NotFoundError as error:
            raise ValueError(str(error)) from None
        return cls(
            kind,
            parse_config(
                settings_text(value, without={"kind"}, what=kind), model=stage.settings, file=f"stage {kind!r}"
            ),
        )

    def as_json(self) -> dict[str, Json]:
        """Return the step as it is written, defaults included."""
        return {"kind": self.kind, **self.settings.model_dump(mode="json")}

    @property
    def stage(self) -> Stage:
        """The plug-in."""
        return find("stage", self.kind, expected=Stage)

    @property
    def teacher(self) -> str | None:
        """Which teacher it asks; None: it asks nobody."""
        name = getattr(self.settings, "teacher", None)
        return name if isinstance(name, str) and self.stage.ask is not None else None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a config node hold a step."""
        return plan_schema(cls)


class BudgetPlan(Settings):
    """What a run may cost, over all teachers and all its starts. Never overrun; a run goes on with a higher one."""

    usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    tokens: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    """Most tokens of questions and replies together, e.g. ``2e6``."""


class Recipe(Settings):
    """One run."""

    name: Name
    """Name of the run; its folder is ``runs/NAME``."""
    seed: int = 0
    teachers: dict[Name, TeacherPlan] = Field(default_factory=dict)
    budget: BudgetPlan = BudgetPlan()
    stages: Annotated[tuple[StagePlan, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        for number, plan in enumerate(self.stages):
            begins = plan.stage.begin is not None
            if begins != (number == 0):
                why = "makes items from files, so it stands first" if begins else "needs items: begin with annotate"
                raise ValueError(f"stages.{number}: {plan.kind} {why}")
            if plan.teacher is not None and plan.teacher not in self.teachers:
                known = ", ".join(self.teachers) or "none"
                raise ValueError(f"stages.{number}: {plan.kind} asks {plan.teacher!r}; teachers there are: {known}")
        self._check_written()
        for name, teacher in self.teachers.items():
            settings = teacher.settings
            free = isinstance(settings, EndpointTeacher) and not settings.price_in + settings.price_out
            if self.budget.usd is not None and free:
                raise ValueError(f"teachers.{name}: budget.usd needs its price_in and price_out, dollars for 1M tokens")
        return self

    def _check_written(self) -> None:
        """Refuse two steps that write one file, and one that writes where the run keeps its own."""
        written: set[str] = set()
        for number, plan in enumerate(self.stages):
            if plan.stage.write is None or not isinstance(to := getattr(plan.settings, "to", None), str):
                continue
            path = os.path.normpath(to.partition(":")[2])
            if path in written:
                raise ValueError(f"stages.{number}: {plan.kind} writes {path}, as an earlier stage does: give another")
            if path.partition(os.sep)[0] in OWN_FILES:
                raise ValueError(f"stages.{number}: {plan.kind} writes {path}, where a run keeps its own: give another")
            written.add(path)

    def check_order(self) -> None:
        """See that every step can do its work where it stands; tell whom no step asks. Not part of reading a recipe.

        Raises:
            ConfigError: one cannot; the message says why. Or the address of a teacher that is asked does not say http://.
        """
        from triptych.infer.opening import check_scheme  # which loads the hub's client

        kinds = [plan.kind for plan in self.stages]
        for number, plan in enumerate(self.stages):
            check = plan.stage.misplaced
            if check is not None and (why := check(plan.settings, kinds[:number])):
                raise ConfigError(f"stages.{number}: {why}")
        asked = sorted({plan.teacher for plan in self.stages if plan.teacher is not None})
        for name in sorted(self.teachers.keys() - {*asked}):
            if name not in (usual := _usual_teachers()):
                hint = did_you_mean(name, [*asked, *usual])
                there = ", ".join(asked) or "none"
                say(f"teachers.{name}: no stage asks it.{hint} Teachers that are asked: {there}.")
        for name in asked:
            if not (model := self.teachers[name].model).startswith(CANNED):
                check_scheme(model)

    def label(self, number: int) -> str:
        """Return what a step is called in files and messages: ``03-parse``, counted from 1."""
        return f"{number + 1:02d}-{self.stages[number].kind.rpartition('.')[2]}"

    def salt(self, number: int) -> str:
        """Return what a step's draws follow from: its number among those of its kind, so that others move nothing."""
        kind = self.stages[number].kind
        return f"{self.seed}/{kind}/{sum(plan.kind == kind for plan in self.stages[:number])}"


def _usual_teachers() -> list[str]:
    """Return whom the stages ask where a recipe says nothing: recipes keep one though they leave out who asks it."""
    fields = (find("stage", name, expected=Stage).settings.model_fields.get("teacher") for name in names("stage"))
    return sorted({field.default for field in fields if field is not None})


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a file with ``key.path=value`` overrides; a stage is addressed by its number, from 0.

    Raises:
        NotFoundError, ConfigError: as `load_config`; one line.
    """
    return load_config(path, overrides, model=Recipe)


def write_recipe(recipe: Recipe) -> str:
    """Return the complete recipe as YAML."""
    return dump_config(recipe)


def read_recipe(folder: Path) -> Recipe:
    """Return the recipe of a run.

    Raises:
        NotFoundError: the folder holds no run.
    """
    path = folder / RECIPE
    if not path.is_file():
        raise NotFoundError(f"{folder}: no run of triptych generate: it holds no {RECIPE}.")
    return load_config(path, model=Recipe)


def identity(recipe: Recipe, number: int, *, shard: str = "") -> str:
    """Return what tells a step with all that may change what it makes of its items, as 16 hexadecimal digits."""
    plan = recipe.stages[number]
    said: list[Json] = [plan.as_json(), recipe.salt(number), shard if number == 0 else ""]
    if plan.teacher is not None:
        said += [lasting(recipe.teachers[plan.teacher]), READING]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def lasting(teacher: TeacherPlan) -> dict[str, Json]:
    """Return what a teacher's replies may follow from."""
    return {key: value for key, value in teacher.as_json().items() if key not in NO_MATTER}
