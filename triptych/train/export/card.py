"""A model card: README.md with the metadata that the hub reads, filled from the run alone.

Not an advertisement: what the run does not say is listed as not known. Layout: huggingface_hub's ``ModelCardData``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from triptych.models.disk.locate import HUB_ID, Provenance
from triptych.train.export.facts import Measured, RunFacts
from triptych.train.export.written import without_places
from triptych.train.recipe import Frozen, Full, Lora, Tune

CARD = "README.md"
TASK = "image-text-to-text"
NOT_NAMED = "not named"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a card is of."""

    name: str
    family: str
    template: str
    classes: str
    """Class of transformers that opens it."""
    parameters: int
    sources: Mapping[str, Provenance]
    """Where its parts come from, by name."""
    licence: str | None
    use: Sequence[str]
    """Lines of Python that open it."""
    notes: Sequence[str] = ()
    """Paragraphs on this kind of export."""
    adapter_of: str | None = None
    """Base model of an adapter; None: it is a whole model."""
    base_is_published: bool = False
    """Whether others find that base on the hub."""


def card(subject: Subject, run: RunFacts | None) -> str:
    """Return the card of an exported folder; None: it is of no run that is known."""
    own = [] if run is None else [each for each in run.measured if each.own and not each.blind]
    data = ModelCardData(
        license=subject.licence,
        library_name="transformers" if subject.adapter_of is None else "peft",
        pipeline_tag=TASK,
        tags=["triptych", "multi-image", subject.family],
        base_model=_bases(subject) or None,
        model_name=subject.name if own else None,
        eval_results=[_result(each) for each in own] or None,
        ignore_metadata_errors=False,
    )
    blocks = [
        f"---\n{data.to_yaml()}\n---",
        f"# {subject.name}",
        _what(subject),
        "## How to open it\n\n```python\n" + "\n".join(subject.use) + "\n```",
        *subject.notes,
        *([] if run is None else [_data(run), _recipe(run), _scores(run)]),
        _missing(subject, run),
    ]
    return "\n\n".join(blocks) + "\n"


def _bases(subject: Subject) -> list[str]:
    names = [source.name for source in subject.sources.values()] if subject.adapter_of is None else [subject.adapter_of]
    if subject.adapter_of is not None and not subject.base_is_published:
        return []
    return sorted({name for name in names if HUB_ID.fullmatch(name) and not Path(name).exists()})


def _result(each: Measured) -> EvalResult:
    return EvalResult(
        task_type=TASK,
        dataset_type=each.name,
        dataset_name=each.name,
        metric_type="score",
        metric_name=f"score, 95% interval {each.low:.3f} to {each.high:.3f}, n = {each.n}",
        metric_value=round(each.score, 4),
    )


def _what(subject: Subject) -> str:
    adapter = "" if subject.adapter_of is None else f"\n- an adapter of: {without_places(subject.adapter_of)}"
    parts = "".join(
        f"\n- {part}: {without_places(source.name)}"
        + (f" ({without_places(source.origin)})" if source.origin else "")
        + f", licence: {source.licence}"
        for part, source in subject.sources.items()
    )
    return (
        "A model for conversations in which several pictures stand among the words, tuned with Triptych.\n\n"
        f"- family: {subject.family}; class: {subject.classes}; {subject.parameters:,} parameters\n"
        f"- template: {subject.template}; ask it as its chat template writes{adapter}{parts}"
    )


def _data(run: RunFacts) -> str:
    rows = [
        (each.stage, without_places(each.source), _number(each.rows), _number(each.used), _number(each.refused))
        for each in run.data
    ]
    return "## Data\n\n" + _table(("stage", "source", "rows", "used", "refused"), rows)


def _recipe(run: RunFacts) -> str:
    told = [
        f"- {each.stage}: {each.steps:,} {'step' if each.steps == 1 else 'steps'}"
        + (f", {each.tokens:,} tokens" if each.tokens else "")
        + ("" if each.last_loss_nats is None else f", loss of the last step {each.last_loss_nats:.3f} nats")
        for each in run.steps
    ]
    moved = [
        f"- {stage.name}: {part} {plan.train}{_size(plan)}"
        for stage in run.recipe.stages
        if isinstance(stage, Tune)
        for part, plan in stage.parts.items()
        if not isinstance(plan, Frozen)
    ]
    versions = ", ".join(f"{key} {said}" for key, said in run.environment.items() if isinstance(said, str | int))
    lines = [*told, *moved, *([f"- made with: {without_places(versions)}"] if versions else [])]
    return (
        "## Recipe\n\n"
        + "\n".join(lines)
        + "\n\n<details><summary>complete</summary>\n\n```yaml\n"
        + without_places(run.recipe_text).rstrip()
        + "\n```\n\n</details>"
    )


def _size(plan: Full | Lora) -> str:
    if not isinstance(plan, Lora):
        return ""
    rooted = " over the root of the rank" if plan.scale == "root" else ""
    faster = f", its second matrix at {plan.rate_b:g} times the rate" if plan.rate_b != 1 else ""
    return f", rank {plan.rank}, alpha {plan.alpha}{rooted}{faster}"


def _scores(run: RunFacts) -> str:
    if not run.measured:
        return "## Scores\n\nNone were measured in this run's folder."
    head = ("benchmark", "who was asked", "score", "95% interval", "questions", "chance")
    rows = [
        (
            each.name,
            ("this model" if each.own else without_places(each.responder) or NOT_NAMED)
            + (", without its pictures" if each.blind else ""),
            f"{each.score:.3f}",
            f"{each.low:.3f} to {each.high:.3f}",
            str(each.n),
            "not known" if each.chance is None else f"{each.chance:.3f}",
        )
        for each in sorted(run.measured, key=lambda each: (not each.own, each.blind, each.name))
    ]
    return "## Scores\n\n" + _table(head, rows) + "\n\nShares from 0 to 1, as each benchmark counts."


def _missing(subject: Subject, run: RunFacts | None) -> str:
    unknown = [part for part, source in subject.sources.items() if source.licence == "unknown"]
    lacks = {
        "the licence of this model: nobody named one (`licence=...` at the export)": subject.licence is None,
        "whence its parts are": not subject.sources,
        f"the licence of: {', '.join(unknown)}": bool(unknown),
        "data, recipe and scores: the export was told of no run": run is None,
        "how many rows of some sources were used": run is not None and any(each.used is None for each in run.data),
        "steps and losses": run is not None and not run.steps,
        "scores of this model": run is not None and not any(each.own and not each.blind for each in run.measured),
        "how it does without its pictures": run is not None
        and not any(each.own and each.blind for each in run.measured),
        "on what machine and with which versions it was trained": run is not None and not run.environment,
        "what it was not measured on: other tasks, other languages, harm": True,
    }
    return "## Not known\n\n" + "\n".join(f"- {what}" for what, holds in lacks.items() if holds)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _number(value: int | None) -> str:
    return "not known" if value is None else f"{value:,}"
