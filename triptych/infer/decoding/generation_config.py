"""What a folder's ``generation_config.json`` says of replies: tokens that end one, and a penalty for repeating.

``generate`` of transformers follows both, greedily too: Llama 3 ends with either of two tokens, and folders of
Qwen2.5-VL have a penalty. Temperature and the like are not taken from there: a reply is greedy unless somebody asks
otherwise. What else changes greedy replies there (``UNFOLLOWED``: beams, forbidden words, ...) is told, not followed.
Without that file nothing is taken: what transformers then guesses from ``config.json`` may be another
model's end.
"""

from __future__ import annotations

from transformers import GenerationConfig

from triptych.core.log import say
from triptych.data.template import stop_ids
from triptych.models.disk.check import unfollowed
from triptych.models.family import Model


def ends_of(model: Model) -> frozenset[int]:
    """Return the ids that end a reply: the template's stop, the tokenizer's end, and those that the folder names.

    Raises:
        ModelError: as ``stop_id``.
    """
    said = _said(model, "eos_token_id")
    named = said if isinstance(said, list) else [said]
    return stop_ids(model.template, model.tokenizer) | {each for each in named if isinstance(each, int)}


def named_ends_of(model: Model) -> frozenset[int]:
    """Return the ids that end a reply because the folder says so and nothing else: no word of them is the reply's.

    Raises:
        ModelError: as ``stop_id``.
    """
    return ends_of(model) - stop_ids(model.template, model.tokenizer)


def penalty_of(model: Model) -> float:
    """Return the penalty for repeating that the folder names; 1: none."""
    said = _said(model, "repetition_penalty")
    return float(said) if isinstance(said, int | float) and said > 0 else 1.0


def tell_unfollowed(model: Model, name: str) -> None:
    """Say in one line what the folder names that changes greedy replies and is not followed; mostly there is nothing.

    Args:
        model: an opened one.
        name: what the line calls it.
    """
    settings = _settings(model)
    if settings is not None and (ignored := unfollowed(settings)):
        named = f"generation_config.json's {', '.join(ignored)} {'are' if len(ignored) > 1 else 'is'} not followed here"
        say(f"{name}: {named}: greedy replies may not be those of generate")


def _said(model: Model, name: str) -> object:
    """Return a setting of the folder's own file, None where it says nothing."""
    return getattr(_settings(model), name, None)


def _settings(model: Model) -> GenerationConfig | None:
    """Return the settings of the folder's own file, None where there is none."""
    settings = model.network.generation_config
    return None if getattr(settings, "_from_model_config", False) else settings
