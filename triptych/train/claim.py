"""Whose a run's folder is: its recipe's, or nobody's; what somebody else has put there is not touched.

Not what a recipe says (``recipe.py``), nor whether its base model is still the one it began with (``origin.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from triptych.core.config import dump_config, first_difference, parse_config
from triptych.core.errors import ConfigError, RunError
from triptych.core.files import write_atomically
from triptych.core.log import say
from triptych.core.records import Json
from triptych.data.plan.budget import FLOOR_PX
from triptych.data.plan.measures import LENGTHS
from triptych.train.recipe import RECIPE, Recipe, Tune, resolve

LEARNT = ("checkpoints", "model", "metrics.jsonl")
"""What a run's folder holds when its recipe has learnt something."""
RECORDS = (*LEARNT, "validation.jsonl", "ledger.jsonl", "sessions.jsonl", "trackers.jsonl", "origin.json", LENGTHS)
"""What a run writes beside its recipe, and would write over."""
FREE = frozenset({"workers", "checkpoint_activations", "forward_tokens", "on_bad", "validation"}) | {
    "checkpoint_every",
    "keep_checkpoints",
}
"""Keys of a stage that may change while its run is under way."""


def claim_run(recipe: Recipe, run: Path) -> bool:
    """Make ``run`` this recipe's folder: write recipe.yaml there, or find the same one. Return whether it is new.

    A folder in which nothing was learnt yet is nobody's: a recipe that was mended after its first start goes there too.
    A run that is under way goes on with what may change as it is given now, and recipe.yaml says that from then on.

    Raises:
        RunError: the folder belongs to another recipe, and the message names the first key that differs; or it holds
            what no run of this recipe has put there.
    """
    refuse_foreign(run)
    path = run / RECIPE
    if not path.exists():
        write_atomically(path, dump_config(recipe))
        return True
    anew = f"Use another name, or move {run} away to begin anew."
    try:
        there = resolve(parse_config(path.read_text(encoding="utf-8"), model=Recipe, file=str(path)))
    except (ConfigError, UnicodeDecodeError) as error:
        raise RunError(f"{run} belongs to another recipe: its recipe cannot be read ({error}). {anew}") from None
    difference = first_difference(_binding(recipe), _binding(there))
    if difference is None:
        changed = first_difference(_free(recipe), _free(there))
        if changed is not None and not (run / "model").exists():
            say(f"{path}: {changed}. It says what is here from now on.")
            write_atomically(path, dump_config(recipe))
        return False
    if any((run / name).exists() for name in LEARNT):
        raise RunError(f"{run} belongs to another recipe: {difference}. {anew}")
    say(f"{run} held a recipe of which nothing was learnt: {difference}. It is this one's now.")
    write_atomically(path, dump_config(recipe))
    return True


def refuse_foreign(run: Path) -> None:
    """Refuse a folder that holds what no run has put there, and a run would write over.

    Raises:
        RunError: there is such a thing; nothing was touched.
    """
    if not (run / RECIPE).exists():
        if there := [name for name in RECORDS if (run / name).exists()]:
            raise RunError(
                f"{run} holds {there[0]} but no {RECIPE}, so it is nobody's run, and nothing in it is touched. Use"
                " another name, or move it away."
            )
    elif (run / "model").exists() and not any((run / name).exists() for name in LEARNT if name != "model"):
        raise RunError(
            f"{run / 'model'} is none of this run's, which has learnt nothing yet, and it is not touched. Use another"
            " name, or move it away."
        )


def _binding(recipe: Recipe) -> Json:
    """Return what makes a run what it is: not on how many processes it runs, in how many passes, who is told of it.

    A validation is that where its loss chooses the weights.
    """
    tree: dict[str, Json] = recipe.model_dump(
        mode="json", exclude={"parallel": True, "log": True, "stages": {"__all__": set(FREE)}}
    )
    for plan, stage in zip(recipe.stages, cast("list[dict[str, Any]]", tree["stages"]), strict=True):
        if isinstance(plan, Tune) and plan.validation is not None and plan.validation.keep == "lowest":
            stage["validation"] = plan.validation.model_dump(mode="json")
        for source in stage.get("data") or ():
            if own := source.get("budget"):  # what is meant: runs of before wrote a floor that nobody had given
                said = (own["least_side_px"], (stage.get("budget") or {}).get("least_side_px"))
                own["least_side_px"] = max((each for each in said if each is not None), default=FLOOR_PX)
    return tree


def _free(recipe: Recipe) -> Json:
    """Return what may change while a run is under way."""
    tree: dict[str, Json] = recipe.model_dump(mode="json", include={"parallel", "log"})
    return {**tree, "stages": [stage.model_dump(mode="json", include={"name", *FREE}) for stage in recipe.stages]}
