"""What a folder's ``generation_config.json`` says of replies: tokens that end one, and a penalty for repeating.

``generate`` of transformers follows both, greedily too: Llama 3 ends with either of two tokens, and folders of
Qwen2.5-VL have a penalty. Temperature and the like are not taken from there: a reply is greedy unless somebody asks
otherwise. Without that file nothing is taken: what transformers then guesses from ``config.json`` may be another
model's end.
"""

from __future__ import annotations

from triptych.data.template import stop_ids
from triptych.models.family import Model


def ends_of(model: Model) -> frozenset[int]:
    """Return the ids that end a reply: the template's stop, the tokenizer's end, and those that the folder names.

    Raises:
        ModelError: as ``stop_id``.
    """
    said = _said(model, "eos_token_id")
    named = said if isinstance(said, list) else [said]
    return stop_ids(model.template, model.tokenizer) | {each for each in named if isinstance(each, int)}


def penalty_of(model: Model) -> float:
    """Return the penalty for repeating that the folder names; 1: none."""
    said = _said(model, "repetition_penalty")
    return float(said) if isinstance(said, int | float) and said > 0 else 1.0


def _said(model: Model, name: str) -> object:
    """Return a setting of the folder's own file, None where it says nothing."""
    settings = model.network.generation_config
    if settings is None or getattr(settings, "_from_model_config", False):
        return None
    return getattr(settings, name, None)
