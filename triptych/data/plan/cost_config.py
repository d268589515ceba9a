"""Which cost a model has: read from its config.json and preprocessor_config.json, never from its path or its name.

Not the costs themselves: ``costs`` computes them. A key that a file leaves out has the value that the class of
transformers gives it; what cannot be told from the files is refused, never guessed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isqrt

from triptych.core.errors import ModelError
from triptych.data.plan.costs import AROUND, Cost, Fixed, Merged, Patches
from triptych.data.plan.costs_tiled import AnyRes, Split, Tiles

Settings = Mapping[str, object]
"""An object of JSON."""

_CLASS_TOKENS = {"clip_vision_model": 1, "siglip_vision_model": 0, "siglip2_vision_model": 0, "dinov2": 1, "vit": 1}
"""Features that a tower gives beside those of its patches, by its ``model_type``."""
_NEXT_GRIDS = ((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008))
_ONEVISION_GRIDS = tuple((384 * rows, 384 * columns) for rows in range(1, 7) for columns in range(1, 7))


def cost_of_config(config: Settings, processor: Settings | None = None) -> Cost:
    """Return what images cost a model.

    Args:
        config: what its config.json says.
        processor: what its preprocessor_config.json or processor_config.json says; None where there is none, which is
            well for families whose images all cost the same.

    Raises:
        ModelError: the family is unknown, or its settings do not tell the cost.
    """
    model_type = config.get("model_type")
    read = _READERS.get(str(model_type))
    if read is None:
        raise ModelError(f"no cost is known for model_type {model_type!r}; there are: {', '.join(sorted(_READERS))}.")
    if processor is not None and isinstance(inner := processor.get("image_processor"), Mapping):
        processor = inner
    return read(config, processor)


def _llava(config: Settings, processor: Settings | None) -> Cost:
    vision = _inner(config, "vision_config")
    patch = _whole(vision, "patch_size")
    wide, high = (_whole(vision, "image_size"),) * 2
    if processor is not None:
        cropped = processor.get("do_center_crop", True) and "crop_size" in processor
        wide, high = _sides(processor, "crop_size" if cropped else "size", (wide, high))
    return Fixed((wide // patch) * (high // patch) + _beside(config, vision))


def _llava_next(config: Settings, processor: Settings | None) -> Cost:
    vision = _inner(config, "vision_config")
    side = _whole(vision, "image_size")
    patches = side // _whole(vision, "patch_size")
    if beside := _beside(config, vision):
        fits = "full" if beside < 0 else "default"
        raise ModelError(
            f"vision_feature_select_strategy {config.get('vision_feature_select_strategy', 'default')!r} does not fit "
            f"a tower {str(vision.get('model_type'))!r}: with it tiles are no squares of patches. Say {fits!r}."
        )
    return AnyRes(
        tile_px=side,
        tile_patches=patches,
        grids=_grids(config, _NEXT_GRIDS, processor=processor),
        view=patches**2,
    )


def _llava_onevision(config: Settings, processor: Settings | None) -> Cost:
    vision = _inner(config, "vision_config")
    side = _whole(vision, "image_size")
    patches = side // _whole(vision, "patch_size")
    shape = str(config.get("vision_aspect_ratio", "anyres_max_9"))
    if not shape.removeprefix("anyres_max_").isdecimal():
        raise ModelError(f"vision_aspect_ratio {shape!r} is unknown: it should be 'anyres_max_' and a number.")
    beside = _beside({"vision_feature_select_strategy": "full", **config}, vision)
    return AnyRes(
        tile_px=side,
        tile_patches=patches,
        grids=_grids(config, _ONEVISION_GRIDS, processor=processor),
        view=patches**2 + beside,
        most_tiles=int(shape.removeprefix("anyres_max_")),
        among_others=patches**2 + 1 + beside,
        # As in checkpoints of LLaVA-NeXT-Interleave (``models/disk/llava_checkpoint.py``): each frame is an image.
        frame=None if config.get("video_frames") == "whole" else ((patches + 1) // 2) ** 2,
        video_end=1,
    )


def _llava_next_video(config: Settings, processor: Settings | None) -> Cost:
    cost = _llava_next(config, processor)
    assert isinstance(cost, AnyRes)
    stride = _whole(config, "spatial_pool_stride", 2)
    return replace(cost, frame=(cost.tile_patches // stride) ** 2)


def _idefics2(config: Settings, processor: Settings | None) -> Cost:
    features = _whole(_inner(config, "perceiver_config", {}), "resampler_n_latents", 64)
    settings = _given(processor, "idefics2")
    _check_on(settings, "do_pad", family="Idefics2")  # by the padding it is told where an image is
    if not settings.get("do_image_splitting", False):
        return Fixed(features, ends=2)
    return Fixed(features * 5, marks=4, ends=2, mark=AROUND)


def _idefics3(config: Settings, processor: Settings | None) -> Cost:
    vision, settings = _inner(config, "vision_config"), _given(processor, "idefics3")
    scale = _whole(config, "scale_factor", 2)
    _check_on(settings, "do_resize", family="Idefics3")
    seen, tile = _whole(vision, "image_size"), _whole(_inner(settings, "max_image_size", {}), "longest_edge", 364)
    if seen != tile:
        raise ModelError(
            f"max_image_size cuts tiles of {tile} pixels, but image_size of the tower is {seen}: they should be equal."
        )
    return Split(
        longest_px=_whole(_inner(settings, "size", {}), "longest_edge", 4 * 364),
        tile_px=tile,
        tile_tokens=(seen // _whole(vision, "patch_size")) ** 2 // scale**2,
        split=settings.get("do_image_splitting", True) is True,
    )


def _fuyu(config: Settings, processor: Settings | None) -> Cost:
    settings = _given(processor, "fuyu")
    _check_on(settings, "do_resize", family="Fuyu")
    wide, high = _sides(settings, "size", (1920, 1080))
    patch = _sides(settings, "patch_size", (30, 30))
    if patch[0] != patch[1] or wide % patch[0] or high % patch[0]:
        raise ModelError(
            f"patches of {patch[0]}x{patch[1]} pixels do not fill {wide}x{high}; give square ones that do."
        )
    return Patches(patch_px=patch[0], limit=(wide, high))


def _gemma3(config: Settings, processor: Settings | None) -> Cost:
    vision, tokens = _inner(config, "vision_config"), _whole(config, "mm_tokens_per_image", 256)
    side, across = _whole(vision, "image_size"), isqrt(tokens)
    patches = side // _whole(vision, "patch_size")
    if across**2 != tokens or patches % across:
        raise ModelError(
            f"mm_tokens_per_image is {tokens}: {patches} x {patches} patches do not make so many squares of one size."
        )
    settings = processor or {}
    _check_on(settings, "do_resize", family="Gemma 3")
    if settings.get("do_pan_and_scan"):
        raise ModelError(
            "do_pan_and_scan: true adds cut-outs of long pictures, which are not shown here, nor by transformers' "
            "processor unless each call asks for them: write false where the folder's JSON says so."
        )
    if (seen := _sides(settings, "size", (side, side))) != (side, side):
        raise ModelError(
            f"the image processor makes pictures of {seen[0]}x{seen[1]} pixels, but image_size of the tower is {side}: "
            "they should be equal."
        )
    return Fixed(tokens, ends=4)


def _qwen(config: Settings, processor: Settings | None) -> Cost:
    settings = _given(processor, "qwen2_vl")
    _check_on(settings, "do_resize", family="Qwen-VL")
    size, limits = _inner(settings, "size", {}), ("min_pixels", "max_pixels")
    if any(name in size and settings.get(name) is None for name in limits):
        raise ModelError(
            f"size is {dict(size)} in the image processor's JSON, which transformers does not take: "
            "call them shortest_edge and longest_edge."
        )
    return Merged(
        patch_px=_whole(settings, "patch_size", 14),
        merge=_whole(settings, "merge_size", 2),
        least_pixels=_whole(settings, "min_pixels", _whole(size, "shortest_edge", 56 * 56)),
        most_pixels=_whole(settings, "max_pixels", _whole(size, "longest_edge", 28 * 28 * 1280)),
    )


def _internvl(config: Settings, processor: Settings | None) -> Cost:
    vision, settings = _inner(config, "vision_config", {}), _given(processor, "internvl")
    _check_on(settings, "do_resize", family="InternVL")
    side, patch = _side(vision, "image_size", 448), _side(vision, "patch_size", 14)
    if (tile := _sides(settings, "size", (384, 384))) != (side, side):
        raise ModelError(
            f"the image processor cuts tiles of {tile[0]}x{tile[1]} pixels, but image_size of the tower is {side}: "
            "they should be equal."
        )
    ratio = config.get("downsample_ratio", 0.5)
    across = side // patch * ratio if isinstance(ratio, int | float) else 0
    if across**2 != (tokens := _whole(config, "image_seq_length", 256)):
        raise ModelError(
            f"image_seq_length is {tokens}, but {side // patch} x {side // patch} patches with downsample_ratio "
            f"{ratio!r} make {across**2:g} tokens of a tile."
        )
    # Not asked: crop_to_patches, which is false in published folders. InternVL's processor always cuts.
    return Tiles(
        tile=tile,
        tile_tokens=tokens,
        least=_whole(settings, "min_patches", 1),
        most=_whole(settings, "max_patches", 12),
    )


_READERS: Mapping[str, Callable[[Settings, Settings | None], Cost]] = {
    "fuyu": _fuyu,
    "gemma3": _gemma3,
    "idefics2": _idefics2,
    "idefics3": _idefics3,
    "internvl": _internvl,
    "llava": _llava,
    "llava_next": _llava_next,
    "llava_next_video": _llava_next_video,
    "llava_onevision": _llava_onevision,
    "qwen2_5_vl": _qwen,
    "qwen2_vl": _qwen,
    "qwen3_vl": _qwen,
    "qwen3_vl_moe": _qwen,
    "smolvlm": _idefics3,
    "vipllava": _llava,
}


def _beside(config: Settings, vision: Settings) -> int:
    """Return the features beside the patches: those that the tower adds, less the one that ``default`` leaves out."""
    tower = str(vision.get("model_type"))
    if tower not in _CLASS_TOKENS:
        known = ", ".join(sorted(_CLASS_TOKENS))
        raise ModelError(f"vision tower {tower!r}: how many features it gives is unknown; known are {known}.")
    strategy = config.get("vision_feature_select_strategy", "default")
    if strategy not in ("default", "full"):
        raise ModelError(f"vision_feature_select_strategy {strategy!r} is unknown; there are: default, full.")
    return _CLASS_TOKENS[tower] - (strategy == "default")


def _grids(
    config: Settings, otherwise: tuple[tuple[int, int], ...], *, processor: Settings | None
) -> tuple[tuple[int, int], ...]:
    """Return the grids as (width, height); transformers writes (height, width). The processor's are to be the same."""
    grids = _written_grids(config.get("image_grid_pinpoints") or otherwise)
    cut = (processor or {}).get("image_grid_pinpoints")
    if cut and set(_written_grids(cut)) != set(grids):
        raise ModelError(
            f"image_grid_pinpoints of the image processor, {cut!r}, are others than those of config.json: "
            "give both files the same."
        )
    return grids


def _written_grids(pairs: object) -> tuple[tuple[int, int], ...]:
    if not isinstance(pairs, list | tuple):
        raise ModelError(f"image_grid_pinpoints is {pairs!r}: give a list of [height, width].")
    grids: list[tuple[int, int]] = []
    for pair in pairs:
        match pair:
            case [int(height), int(width)]:
                grids.append((width, height))
            case _:
                raise ModelError(f"image_grid_pinpoints holds {pair!r}: give a list of [height, width].")
    return tuple(grids)


def _check_on(settings: Settings, key: str, *, family: str) -> None:
    """Refuse an image processor of this family that leaves a step out without which its images are not countable."""
    if not settings.get(key, True):
        raise ModelError(
            f"{key}: {json.dumps(settings[key])} is no way that {family}'s images can be counted; leave it on."
        )


def _given(processor: Settings | None, family: str) -> Settings:
    if processor is None:
        raise ModelError(f"what an image costs a {family} is in its preprocessor_config.json: give that file too.")
    return processor


def _inner(settings: Settings, key: str, otherwise: Settings | None = None) -> Settings:
    value = settings.get(key, otherwise)
    if not isinstance(value, Mapping):
        raise ModelError(f"{key} is {value!r} in the model's JSON: an object {{...}} should be there.")
    return value


def _whole(settings: Settings, key: str, otherwise: int | None = None) -> int:
    value = settings.get(key)
    value = otherwise if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelError(f"{key} is {value!r} in the model's JSON: a whole number above 0 should be there.")
    return value


def _side(settings: Settings, key: str, otherwise: int) -> int:
    """Return the side of a square in a tower's JSON, where it may stand as a pair."""
    value = settings.get(key, otherwise)
    if isinstance(value, list | tuple) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    return _whole({key: value}, key)


def _sides(settings: Settings, key: str, otherwise: tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) of a size in a processor's JSON."""
    value = settings.get(key)
    if value is None:
        return otherwise
    if isinstance(value, int):
        return value, value
    if isinstance(value, Mapping) and {"width", "height"} <= value.keys():
        return _whole(value, "width"), _whole(value, "height")
    raise ModelError(f"{key} is {value!r}: without a width and a height, what an image costs cannot be told.")
