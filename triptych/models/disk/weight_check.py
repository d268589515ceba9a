"""Are a model's weights there, whole, and of the names and shapes that its network wants; and its score head.

Not its words and pictures (``check.py``). No weight is read but those of a score head: only names and shapes are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText, PreTrainedModel

from triptych.core.errors import TriptychError
from triptych.models import parts
from triptych.models.disk.folder import read_note
from triptych.models.disk.llava_checkpoint import NAMES, SECOND, config_of
from triptych.models.disk.llava_kind import has_weights, is_original, is_stage_one, said_by
from triptych.models.disk.missing_files import whole_numbers_in
from triptych.models.heads import BIAS, UnreadableWeightsError, head_in
from triptych.models.parts import SCORE, quiet

NAMED = 3
"""Weights that a line names."""

Verdict = Literal["ok", "wrong", "not tried"]


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found."""

    name: str
    verdict: Verdict
    said: str


class WrongError(Exception):
    """A check found that something is wrong; the message says what."""


class NotTriedError(Exception):
    """A check cannot be made here; the message says why."""


def checked(name: str, check: Callable[[], str]) -> Check:
    """Return what a check found that says something, or raises WrongError, NotTriedError or an error of ours."""
    try:
        return Check(name, "ok", check())
    except NotTriedError as error:
        return Check(name, "not tried", str(error))
    except (WrongError, TriptychError) as error:
        return Check(name, "wrong", str(error))


def check_weights(folder: Path, *, strict: bool = True) -> Check:
    """Return whether the weights of a whole model are those that its network wants.

    Args:
        folder: the model's.
        strict: weights that the network does not want are wrong; else they are told, as opening the model takes none.
    """
    return checked("weights", partial(_weights, folder, strict=strict))


def check_whole(folder: Path) -> Iterator[Check]:
    """Yield what a run will find of the weights of a whole model, and of its score head where it has one."""
    weights = check_weights(folder, strict=False)
    yield weights
    yield from check_score(folder, weights)


def check_part(folder: Path, *, sees: bool) -> Check:
    """Return whether the weights of a vision tower (it ``sees``) or of a language model are there."""
    return checked("weights", partial(_part, folder, sees=sees))


def check_score(folder: Path, weights: Check) -> Iterator[Check]:
    """Yield what is found of a score head; nothing where there is none.

    Args:
        folder: the model's.
        weights: what was found of its weights: those that cannot be read are told of there.
    """
    try:
        head = head_in(folder, read_note(folder).score)
    except TriptychError as error:
        if not (isinstance(error, UnreadableWeightsError) and weights.verdict == "wrong"):
            yield Check("score", "wrong", str(error))
        return
    if head is not None:
        named = ", ".join(head.scoring.targets)
        yield Check("score", "ok", f"a score model: {len(head.scoring.targets)} outputs ({named}), {head.scoring.loss}")


def _weights(folder: Path, *, strict: bool) -> str:
    """Compare the names and shapes of the weights with the network's, without reading them."""
    with parts.clear_errors(folder, "a model"):
        config = config_of(folder)
    names: dict[str, object] = {"key_mapping": dict(NAMES)} if is_original(folder) else {}
    if not has_weights(folder):
        if is_stage_one(folder):
            return "a projector alone (stage 1); tower and language model are those that config.json names"
        raise WrongError("there are none: neither *.safetensors nor pytorch_model*.bin.")
    try:
        with quiet():
            opened = AutoModelForImageTextToText.from_pretrained(
                folder,
                config=config,
                device_map="meta",
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **names,
            )
    except (*parts.OPENING_ERRORS, *parts.WEIGHT_FILE_ERRORS) as error:
        raise WrongError(f"they cannot be read: {parts.why(folder, error)}") from error
    network, report = cast(tuple[PreTrainedModel, Mapping[str, set[Any]]], opened)
    unexpected = {name for name in report["unexpected_keys"] if not name.endswith("inv_freq")}
    scores = SCORE in unexpected
    spare = {name for name in report["missing_keys"] if scores and "lm_head" in name}
    missing = set(report["missing_keys"]) - spare
    tower = {name for name in missing if "vision_tower" in name} if is_original(folder) else set()
    linear = is_original(folder) and said_by(folder).get("mm_projector_type", "linear") == "linear"
    identity = {name for name in missing if linear and SECOND in name}
    unexpected -= {SCORE, BIAS} if scores else set()
    spared = set() if strict or any("lora_" in name for name in unexpected) else unexpected
    faults = [
        whole_numbers_in(folder, parts.float_shapes(network)),
        _told("missing", missing - tower - identity),
        _told("of another shape", {str(name) for name, *_ in report["mismatched_keys"]}),
        _told("unexpected", unexpected - spared),
    ]
    if found := [fault for fault in faults if fault]:
        raise WrongError("; ".join(found))
    own = {name: weight for name, weight in network.state_dict().items() if name not in spare}
    numbers = sum(weight.numel() for name, weight in network.named_parameters() if name not in spare)
    beside = f"; the tower is that of {said_by(folder).get('mm_vision_tower')}" if tower else ""
    beside += "; a head for scores and none for words" if spare else ""
    beside += f"; {_told('not used', spared)}" if spared else ""
    return f"all {len(own)} are there, {numbers / 1e6:,.1f} million numbers{beside}"


def _part(folder: Path, *, sees: bool) -> str:
    """Compare the weights with the network's, as ``parts.load_vision`` and ``load_language`` will want them."""
    with parts.clear_errors(folder, "a vision tower" if sees else "a causal language model"):
        config = AutoConfig.from_pretrained(folder)
        config = getattr(config, "vision_config", config) if sees else config
        kind, spare = (AutoModel, ["pooler"]) if sees else (AutoModelForCausalLM, [])
        network = parts.load_network(
            partial(kind.from_pretrained, config=config, device_map="meta"), folder, spare=spare
        )
    numbers = sum(weight.numel() for weight in network.parameters())
    return f"all {len(network.state_dict())} are there, {numbers / 1e6:,.1f} million numbers"


def _told(what: str, names: set[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)} {what}: {', '.join(sorted(names)[:NAMED])}{more}"
