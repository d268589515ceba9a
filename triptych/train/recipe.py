"""A recipe: the typed tree of one training run, complete with every default, saved with the run.

Not code: a variant is another YAML file, or an override of a key. A run folder belongs to one recipe; that, with a plan
of steps that is a pure function of it, is what makes going on after a crash safe.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from triptych.core.config import NAME_PATTERN, Length, Settings, load_config
from triptych.train.elsewhere import ELSEWHERE
from triptych.train.objective import Objective, Reply
from triptych.train.setting import LogPlan, ParallelPlan
from triptych.train.sources import BudgetPlan, Source, Tokens

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Decay = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]

RECIPE = "recipe.yaml"
VALIDATION = " validation "
"""Between a stage's name, in which is no space, and the number of a validation source: the name of its rows in the
ledger."""
MOST_VALIDATION_ROWS = 20_000


class Parts(Settings):
    """What a new model is put together from; each a folder, a hub id or ``starter:NAME``."""

    vision: str
    language: str
    image_tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens an image costs, where the tower lets one choose; null: what the tower gives."""
    projector: Literal["linear", "mlp"] = "linear"
    projector_weights: str | None = None
    """A file of a projector that was trained alone (LLaVA's ``mm_projector.bin``, safetensors), or a folder or hub id
    that holds one; null: new weights."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """What a family lets one choose of the network between the parts, e.g. flamingo's ``{cross_attn_every_n_layers:
    4}``; what is left out is the family's choice."""


class ModelPlan(Settings):
    """The model a run starts from: put together from parts, opened, or a family's toy."""

    family: str | None = None
    """With ``parts`` or ``sample``: a file in ``triptych/models/families``; null: llava. An opened model says it
    itself."""
    open: str | None = None
    """A folder or hub id of a finished checkpoint, instead of ``parts``."""
    parts: Parts | None = None
    sample: str | None = None
    """Name of a toy model with random weights that the family has (``FAMILY.samples``), instead of ``parts``."""
    template: str | None = None
    """Name of the chat template; null: chatml with ``parts``, an opened model's own with ``open``."""
    image_processor: dict[str, JsonValue] = Field(default_factory=dict)
    """With ``open``: settings of its image processor that are to be others, as its preprocessor_config.json calls
    them, e.g. ``{do_image_splitting: false}``."""

    @model_validator(mode="after")
    def _one_of_two(self) -> ModelPlan:
        if sum(each is not None for each in (self.open, self.parts, self.sample)) != 1:
            raise ValueError("give exactly one of parts (a new model), open (a finished one) and sample (a toy)")
        if self.sample is not None and (self.family is None or self.template is not None):
            raise ValueError("a sample needs its family and has a template of its own: family: NAME, and no template")
        if self.open is not None and self.family:
            raise ValueError("the family is the opened model's own: leave it out beside open")
        if self.open is None and self.image_processor:
            raise ValueError("image_processor changes an opened model's: leave it out without open")
        return self


class Frozen(Settings):
    """A part that does not move."""

    train: Literal["frozen"] = "frozen"


class Moving(Settings):
    """What every part that moves has of its own."""

    rate: Rate
    """Learning rate at its highest."""
    decay: Decay | None = None
    """Weight decay of its matrices; null: the stage's."""
    warmup: Length | None = None
    """How long its rate rises; null: as the stage's."""


class Full(Moving):
    """A part of which every weight moves."""

    train: Literal["full"]
    only: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Modules that move, by the last word of their name, e.g. ``[embed_tokens]``; null: all."""


class Lora(Moving):
    """A part that moves by low-rank adapters (Hu et al. 2021, arXiv:2106.09685), merged into it at the stage's end.

    ``dora``: with a magnitude of each row beside (Liu et al. 2024, arXiv:2402.09353). ``qlora``: over weights kept in 4
    bits, nf4 with double quantisation (Dettmers et al. 2023, arXiv:2305.14314); ``qdora``: both.
    """

    train: Literal["lora", "dora", "qlora", "qdora"]
    rank: Annotated[int, Field(ge=1)]
    alpha: Annotated[int, Field(ge=1)]
    scale: Literal["rank", "root"] = "rank"
    """The adapter counts alpha / rank times, or alpha / root of rank (Kalajdzievski 2023, arXiv:2312.03732)."""
    rate_b: Rate = 1.0
    """How many times ``rate`` its second matrix learns with, and nothing else (LoRA+: Hayou et al. 2024,
    arXiv:2402.12354)."""
    targets: Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = "all-linear"
    """Names of the linear layers, e.g. ``[q_proj, v_proj]``."""
    from_layer: Annotated[int, Field(ge=0)] = 0
    """First layer of the stack that gains an adapter. Layers below it need no backward pass, which saves their share
    of a step's time."""
    dropout: Fraction = 0.0
    first_weights: Literal["kaiming", "gaussian"] = "kaiming"
    """How the adapter's first matrix is drawn; its second is zero."""

    @property
    def decomposed(self) -> bool:
        """Whether rows have magnitudes of their own (DoRA)."""
        return self.train in ("dora", "qdora")

    @property
    def quantised(self) -> bool:
        """Whether the weights beside the adapter are kept in 4 bits."""
        return self.train in ("qlora", "qdora")


AnyPlan = Annotated[Frozen | Full | Lora, Field(discriminator="train")]


class PartPlans(Settings):
    """What each part does in a stage."""

    vision: AnyPlan = Frozen()
    projector: AnyPlan = Frozen()
    """All of what connects: an MLP, a resampler, gated cross-attention."""
    language: AnyPlan = Frozen()
    head: Annotated[Frozen | Full, Field(discriminator="train")] = Frozen()
    """The score head, where the objective has one."""

    @model_validator(mode="after")
    def _towers_have_no_dropout(self) -> PartPlans:
        if isinstance(self.vision, Lora) and self.vision.dropout:
            raise ValueError("vision.dropout: a tower is always in evaluation mode, where nothing drops out: leave it")
        return self

    def items(self) -> tuple[tuple[str, Frozen | Full | Lora], ...]:
        """Return (part, plan) pairs, in the order of the forward pass."""
        shared = (("vision", self.vision), ("projector", self.projector), ("language", self.language))
        return (*shared, ("head", self.head))


class Stage(Settings):
    """What every stage has."""

    name: Name
    """Name of its checkpoints and its records in metrics.jsonl."""
    data: Annotated[tuple[Source, ...], Field(min_length=1)]
    mixing: Literal["weights", "sqrt", "mantis"] | Annotated[float, Field(ge=1, allow_inf_nan=False)] = "weights"
    """Shares of the sources in an epoch: by their sizes, the roots of these, as Mantis had it, or at a temperature T by
    size^(1/T). Weights count on top."""
    on_bad: Literal["raise", "refuse"] = "raise"
    """What to do with a row that cannot be used: stop, or leave it out, count it and write it to ledger.jsonl."""


class ClosedForm(Stage):
    """Align the projector with the words of captions in one pass: ridge regression, no gradient."""

    kind: Literal["closed_form"]
    ridge: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.01
    """Strength of the ridge, relative to the mean variance of a feature."""

    @model_validator(mode="after")
    def _counts_no_tokens(self) -> ClosedForm:
        if any(entry.budget is not None for entry in self.data):
            raise ValueError("data: a closed_form stage counts no tokens, so its sources have no budget; leave it out")
        return self


class Validation(Settings):
    """Rows that are not learnt: their loss tells how a stage goes on what it has not seen. No step learns from it."""

    data: Annotated[tuple[Source, ...], Field(min_length=1)]
    """Each has a loss of its own beside that of all. ``limit`` takes some rows of a source, the same each time."""
    every: Length = Length(100, "steps")
    """How often, beside before the first step and after the last."""
    keep: Literal["last", "lowest"] = "last"
    """Which step's weights the stage leaves: the last one's, or of those that were looked at the one's with the lowest
    loss over all sources, the earliest of several."""

    @model_validator(mode="after")
    def _looks_at_each_row_once(self) -> Validation:
        if any(entry.weight != 1 for entry in self.data):
            raise ValueError("data: each row is looked at once, so its sources have no weight; take some by limit")
        if self.every.amount == 0:
            raise ValueError(f"every must be more than zero, found '{self.every}'")
        return self


class Tune(Stage):
    """Learn by gradient."""

    kind: Literal["tune"]
    objective: Objective = Reply()
    length: Length
    """``N steps``, ``N tokens`` or ``N epochs``."""
    pack_tokens: Tokens
    """Tokens of a row, into which whole examples are packed; a longer example is refused."""
    step_tokens: Tokens
    """Tokens of an optimizer step: a multiple of pack_tokens."""
    forward_tokens: Tokens | None = None
    """Tokens that go through the network at once: a multiple of pack_tokens; null: all of the step. Lower it when
    memory runs out: the result is the same."""
    parts: PartPlans
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    floor: Fraction = 0.0
    """Share of the highest rate at which a cosine or linear schedule ends."""
    warmup: Length = Length(0, "steps")
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of a step's gradient, over all parts."""
    decay: Decay = 0.0
    """Weight decay of matrices; vectors (biases, norms) never decay."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.98)
    """(beta1, beta2) of AdamW. 0.98 averages the squared gradient over about 50 steps: runs here are short."""
    checkpoint_every: Length = Length(100, "steps")
    keep_checkpoints: Literal["all"] | Annotated[int, Field(ge=1)] = 2
    """How many of the latest stay while the stage runs. Of more than the default, as many stay when it is done, else
    its last one. A run that has begun may change it."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Type of the arithmetic; the weights that move and the optimizer's state are float32 in both."""
    checkpoint_activations: bool = False
    """Compute a layer's inner values again on the way back, instead of keeping them: about a third more work for a
    fraction of the memory. The result is the same."""
    compile: bool = False
    """Let torch.compile make one kernel of what it can, block by block."""
    liger: bool = False
    """Fused kernels of the package liger-kernel, on a GPU."""
    budget: BudgetPlan | None = None
    """Bring examples that are too long within it; null: they are refused."""
    in_memory_rows: Annotated[int, Field(ge=0)] = 20_000
    """Sources with so many rows in all are read and rendered before the first step. Of more, rows are read as steps
    need them: the run starts at once, and a length in epochs is counted in rows."""
    balance: bool = False
    """Put packs of like work into the same step, so that many GPUs wait little for each other. Steps stay in random
    order; another setting is another order."""
    workers: Annotated[int, Field(ge=0)] | None = None
    """Processes that read, render and decode ahead. null: none where a CPU computes; for a GPU up to 4, as cores are
    left. A run may go on with another number: the stream is the same."""

    validation: Validation | None = None
    """Rows whose loss is measured now and then; null: none. A run that has begun may change it."""

    def validating(self, number: int) -> Tune:
        """Return a stage of the rows of a validation source, by its number, made tokens as this one's rows are."""
        assert self.validation is not None, "the stage has no validation"
        changes = {
            "name": f"{self.name}{VALIDATION}{number}",
            "data": (self.validation.data[number],),
            "mixing": "weights",
            "length": Length(1, "epochs"),
            "in_memory_rows": max(self.in_memory_rows, MOST_VALIDATION_ROWS),
            "balance": False,
            "workers": 0,
            "validation": None,
        }
        return self.model_copy(update=changes)

    @property
    def packs_a_pass(self) -> int:
        """How many packs go through the network at once."""
        return (self.forward_tokens or self.step_tokens) // self.pack_tokens

    @model_validator(mode="after")
    def _fits_together(self) -> Tune:
        if all(isinstance(plan, Frozen) for _, plan in self.parts.items()):
            raise ValueError(
                "parts: every part is frozen, nothing would be learnt; give one train: full or train: lora"
            )
        if isinstance(self.objective, Reply) and not isinstance(self.parts.head, Frozen):
            raise ValueError("parts.head: objective reply has no score head; leave the key out, or name an objective")
        if self.floor and self.schedule == "constant":
            raise ValueError("floor: a constant schedule never falls; leave floor out, or say schedule: cosine")
        for key in ("step_tokens", "forward_tokens"):
            tokens = getattr(self, key)
            if tokens is not None and tokens % self.pack_tokens:
                raise ValueError(f"{key} must be a multiple of pack_tokens ({self.pack_tokens}), found {tokens}")
        if self.forward_tokens is not None and self.forward_tokens > self.step_tokens:
            raise ValueError(f"forward_tokens must be at most step_tokens ({self.step_tokens})")
        for key in ("length", "checkpoint_every"):
            if getattr(self, key).amount == 0:
                raise ValueError(f"{key} must be more than zero, found '{getattr(self, key)}'")
        return self


StagePlan = Annotated[ClosedForm | Tune, Field(discriminator="kind")]


class Recipe(Settings):
    """One training run."""

    elsewhere = ELSEWHERE
    name: Name
    seed: Annotated[int, Field(ge=0)] = 0
    model: ModelPlan
    stages: Annotated[tuple[StagePlan, ...], Field(min_length=1)]
    parallel: ParallelPlan = ParallelPlan()
    log: LogPlan = LogPlan()

    @model_validator(mode="after")
    def _stages_have_names_of_their_own(self) -> Recipe:
        names = [stage.name for stage in self.stages]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two stages are called {twice!r}: give each its own name")
        return self


def load_recipe(path: str | Path, overrides: tuple[str, ...] | list[str] = ()) -> Recipe:
    """Return the complete recipe of a YAML file and ``key.path=value`` overrides.

    Raises:
        NotFoundError, ConfigError: as `core.config.load_config`.
    """
    return resolve(load_config(path, overrides, model=Recipe))


def resolve(recipe: Recipe) -> Recipe:
    """Return the recipe with the defaults that depend on other keys filled in."""
    model, stages = recipe.model, []
    if model.parts is not None:
        model = model.model_copy(update={"family": model.family or "llava", "template": model.template or "chatml"})
    for stage in recipe.stages:
        missing = isinstance(stage, Tune) and stage.forward_tokens is None
        stages.append(stage.model_copy(update={"forward_tokens": stage.step_tokens}) if missing else stage)  # type: ignore[union-attr]
    return recipe.model_copy(update={"model": model, "stages": tuple(stages)})
