"""The shape of a model from its configuration: a config.json on the disk, or as the list of released models has it.

Not the table of the published recipes' models (``shapes.py``), and no weights. What a configuration leaves out has the
value that the class of transformers gives it. What an image takes is told for one of `USUAL_PX`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from huggingface_hub.errors import StrictDataclassError
from transformers import CONFIG_MAPPING

from triptych.core.errors import ModelError
from triptych.data.media.images import Size
from triptych.data.plan.cost_config import cost_of_config
from triptych.data.plan.costs_tiled import AnyRes, Split
from triptych.models.vision.anyres import tiles_of
from triptych.train.forecast.shapes import Shape, Stack, joined, stack_of, tower_of

JsonObject = Mapping[str, object]
"""An object of JSON."""

USUAL_PX: Size = (640, 480)
"""(width, height) of a usual image: that of COCO's photographs, on which most instruction data stand."""
SEVERAL = 2
"""Images of a conversation, where what one costs depends on that."""
RESAMPLED = ("idefics2",)
TILED = ("idefics3", "smolvlm")
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads")
MERGED = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
AVERAGED = ("gemma3",)
"""Kinds whose patches are averaged to as many as an image has tokens, and whose projector is one matrix."""


def shape_of_config(name: str, config: JsonObject, *, processor: JsonObject | None = None) -> Shape:
    """Return the shape of a multi-image model.

    Args:
        name: of the model, for messages.
        config: as config.json has it.
        processor: settings of its image processor; what is left out is as published models of the kind have it.

    Raises:
        ModelError: it does not say enough, or its kind is not known.
    """
    try:
        filled = _filled(config)
        return _shape(filled, processor or {})
    except (StrictDataclassError, KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ModelError(f"{name}: its configuration does not tell its size ({why[:200]}).") from error


def _shape(config: JsonObject, processor: JsonObject) -> Shape:
    kind = str(config["model_type"])
    text, vision = _inner(config, "text_config"), config.get("vision_config")
    # In a composed model the outer tie_word_embeddings decides; a published InternVL says the inner one alone.
    tied = text if kind == "internvl" else {**text, **config}
    language = replace(stack_of(text), tied=bool(tied.get("tie_word_embeddings")))
    if not isinstance(vision, Mapping):  # patches straight into the decoder, each of 30 x 30 pixels of 3 colours
        return Shape(None, 0, _tokens(config, {"size": None, **processor}), 2700 * language.hidden, language)
    if kind in MERGED:
        return _merged(kind, config, vision, processor, language)
    if kind == "internvl":
        return _tiles(config, vision, processor, language)
    tower, patches = tower_of(vision)
    if "patch_size" not in vision:
        two = config.get("projector_hidden_act") != "linear"
        return joined((tower, patches), language, image_tokens=_whole(config, "image_seq_length"), two_layers=two)
    side = _whole(vision, "image_size")
    if kind in RESAMPLED:
        split = {"do_image_splitting": False, **processor}
        tokens = _tokens(config, split)
        seen = min(USUAL_PX[0], side) * min(USUAL_PX[1], side) // _whole(vision, "patch_size") ** 2
        parts = 5 if split["do_image_splitting"] else 1
        return Shape(tower, seen * parts, tokens, _resampler(config, tower, language), language)
    if kind in TILED:
        edges = {"size": {"longest_edge": 4 * side}, "max_image_size": {"longest_edge": side}}
        cost = cost_of_config(config, {**edges, **processor}).among(SEVERAL)
        assert isinstance(cost, Split)
        tokens = cost.tokens(USUAL_PX)
        scale = _whole(config, "scale_factor")
        connector = tower.hidden * scale**2 * language.hidden
        return Shape(tower, tokens // cost.tile_tokens * patches, tokens, connector, language)
    cost = cost_of_config(config).among(SEVERAL)
    views = 1 + tiles_of(cost, USUAL_PX) if isinstance(cost, AnyRes) and cost.among_others is None else 1
    tokens = cost.tokens(USUAL_PX)
    found = joined((tower, patches), language, image_tokens=tokens, two_layers=kind not in AVERAGED)
    return replace(found, patches=views * patches, averaged=tokens if kind in AVERAGED else 0)


def _merged(kind: str, config: JsonObject, vision: JsonObject, processor: JsonObject, language: Stack) -> Shape:
    """Return the shape of a Qwen-VL: squares of 2 x 2 patches, merged by two layers of their joint width."""
    sides = {"patch_size": vision["patch_size"], "merge_size": vision["spatial_merge_size"]}
    tokens = _tokens(config, {**sides, **processor})
    if kind == "qwen2_vl":
        hidden = _whole(vision, "embed_dim")
        inner, out = int(hidden * cast(float, vision["mlp_ratio"])), _whole(vision, "hidden_size")
    else:
        hidden, inner, out = (_whole(vision, key) for key in ("hidden_size", "intermediate_size", "out_hidden_size"))
    tower = Stack(_whole(vision, "depth"), hidden, inner, gated=kind == "qwen2_5_vl")
    square = hidden * _whole(vision, "spatial_merge_size") ** 2
    levels = vision.get("deepstack_visual_indexes")
    mergers = 1 + len(levels) if isinstance(levels, list | tuple) else 1
    patches = tokens * _whole(vision, "spatial_merge_size") ** 2
    return Shape(tower, patches, tokens, mergers * (square * square + square * out), language)


def _tiles(config: JsonObject, vision: JsonObject, processor: JsonObject, language: Stack) -> Shape:
    """Return the shape of an InternVL: square tiles, whose patches are gathered before two layers."""
    sides = [vision[key] for key in ("image_size", "patch_size")]
    side, patch = (each[0] if isinstance(each, list | tuple) else each for each in sides)
    tower, patches = tower_of({**vision, "image_size": side, "patch_size": patch})
    tokens = _tokens(config, {"size": {"height": side, "width": side}, **processor})
    each = _whole(config, "image_seq_length")
    gathered = tower.hidden * (patches // each)
    return Shape(tower, tokens // each * patches, tokens, (gathered + language.hidden) * language.hidden, language)


def _resampler(config: JsonObject, tower: Stack, language: Stack) -> int:
    """Return the weights of Idefics2's connector: a gated projection, then blocks that attend from the latents."""
    inside = _inner(config, "perceiver_config")
    depth, size = _whole(inside, "resampler_depth"), _whole(inside, "resampler_head_dim")
    queries = size * _whole(inside, "resampler_n_heads")
    keys = size * _whole(inside, "num_key_value_heads")
    width = language.hidden
    block = width * (2 * queries + 2 * keys) + 3 * width * 4 * width
    return depth * block + tower.hidden * language.inner * 2 + language.inner * width


def _tokens(config: JsonObject, processor: JsonObject) -> int:
    given = {key: value for key, value in processor.items() if value is not None}
    return cost_of_config(config, given).among(SEVERAL).tokens(USUAL_PX)


def _filled(config: JsonObject) -> JsonObject:
    """Return the configuration with what it leaves out.

    Raises:
        KeyError: transformers knows no such kind, or nothing is said of the language model.
    """
    said = dict(config)
    filled: JsonObject = CONFIG_MAPPING[str(said["model_type"])].from_dict(said).to_dict()
    # Some kinds have the language model's settings at the top; of others the class would make up a whole one.
    text = filled.get("text_config")
    if said.get("text_config") is None and isinstance(text, Mapping):
        sizes = {key: said[key] for key in SIZES if said.get(key) is not None}
        if not sizes or any(text.get(key) != size for key, size in sizes.items()):
            raise KeyError("text_config")
    return filled


def _inner(settings: JsonObject, key: str) -> JsonObject:
    found = settings[key]
    if not isinstance(found, Mapping):
        raise TypeError(f"{key} is {found!r}")
    return found


def _whole(settings: JsonObject, key: str) -> int:
    found = settings[key]
    if not isinstance(found, int):
        raise TypeError(f"{key} is {found!r}")
    return found
