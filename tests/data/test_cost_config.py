"""What an image costs is read from a model's JSON, or refused where the JSON does not tell.

That what is read is right, test_costs.py holds against the processors.
"""

from __future__ import annotations

from typing import Any

import pytest

from triptych.core.errors import ModelError
from triptych.data.plan.cost_config import cost_of_config
from triptych.data.plan.costs import Fixed
from triptych.data.plan.costs_tiled import AnyRes

CLIP = {"model_type": "clip_vision_model", "image_size": 336, "patch_size": 14}
SIGLIP = {"model_type": "siglip_vision_model", "image_size": 896, "patch_size": 14}


@pytest.mark.parametrize(
    ("config", "processor", "said"),
    [
        ({"model_type": "whisper"}, None, "no cost is known for model_type 'whisper'; there are: fuyu, gemma3"),
        ({}, None, "no cost is known for model_type None"),
        ({"model_type": "qwen2_vl"}, None, "is in its preprocessor_config.json: give that file too"),
        ({"model_type": "llava"}, None, "vision_config is None in the model's JSON"),
        ({"model_type": "llava", "vision_config": {**CLIP, "model_type": "pixtral"}}, None, "vision tower 'pixtral'"),
        ({"model_type": "llava", "vision_config": {**CLIP, "image_size": "big"}}, None, "image_size is 'big'"),
        (
            {"model_type": "llava", "vision_config": CLIP},
            {"size": {"shortest_edge": 9}},
            "without a width and a height",
        ),
        (
            {"model_type": "llava_next", "vision_config": CLIP, "image_grid_pinpoints": "(1x1)"},
            None,
            r"image_grid_pinpoints is '\(1x1\)'",
        ),
        (
            {"model_type": "llava_next", "vision_config": CLIP, "image_grid_pinpoints": [[336, 672]]},
            {"image_grid_pinpoints": [[672, 336]]},
            "of the image processor.*others than those of config.json",
        ),
        (
            {"model_type": "llava_next", "vision_config": CLIP, "vision_feature_select_strategy": "full"},
            None,
            "'full' does not fit a tower 'clip_vision_model'.*Say 'default'",
        ),
        (
            {"model_type": "llava_next", "vision_config": {**CLIP, "model_type": "siglip_vision_model"}},
            None,
            "'default' does not fit a tower 'siglip_vision_model'.*Say 'full'",
        ),
        ({"model_type": "idefics2"}, {"do_pad": False}, "do_pad: false is no way that Idefics2's"),
        ({"model_type": "fuyu"}, {"do_resize": False}, "do_resize: false is no way that Fuyu's"),
        ({"model_type": "qwen2_vl"}, {"do_resize": False}, "do_resize: false is no way that Qwen-VL's"),
        (
            {"model_type": "qwen3_vl"},
            {"size": {"min_pixels": 256, "max_pixels": 600}},
            "call them shortest_edge and longest_edge",
        ),
        (
            {"model_type": "idefics3", "vision_config": CLIP},
            {"max_image_size": {"longest_edge": 364}},
            "tiles of 364 pixels, but image_size of the tower is 336",
        ),
        (
            {"model_type": "gemma3", "vision_config": SIGLIP, "mm_tokens_per_image": 250},
            None,
            "is 250: 64 x 64 patches do not make so many squares",
        ),
        (
            {"model_type": "gemma3", "vision_config": SIGLIP},
            {"image_processor": {"do_pan_and_scan": True}},
            "do_pan_and_scan: true adds cut-outs",
        ),
        (
            {"model_type": "gemma3", "vision_config": SIGLIP},
            {"size": {"height": 224, "width": 224}},
            "pictures of 224x224 pixels, but image_size of the tower is 896",
        ),
    ],
)
def test_settings_that_do_not_tell_the_cost_are_refused(
    config: dict[str, Any], processor: dict[str, Any] | None, said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        cost_of_config(config, processor)


def test_every_picture_costs_a_gemma_the_same_as_its_settings_are_published() -> None:
    published = {"do_pan_and_scan": None, "do_resize": True, "size": {"height": 896, "width": 896}}
    for processor in (None, published, {"image_processor": published}):
        assert cost_of_config({"model_type": "gemma3", "vision_config": SIGLIP}, processor) == Fixed(256, ends=4)


@pytest.mark.parametrize(
    ("tower", "strategy", "beside"),
    [
        ("siglip_vision_model", None, 0),
        ("siglip_vision_model", "full", 0),
        ("clip_vision_model", "default", 0),
        ("clip_vision_model", None, 1),
    ],
)
def test_the_class_token_of_a_onevision_tower_is_counted(tower: str, strategy: str | None, beside: int) -> None:
    config: dict[str, Any] = {"model_type": "llava_onevision", "vision_config": {**CLIP, "model_type": tower}}
    config |= {} if strategy is None else {"vision_feature_select_strategy": strategy}
    cost = cost_of_config(config)
    assert isinstance(cost, AnyRes)
    assert cost.view == 24**2 + beside
    assert cost.among_others == 24**2 + 1 + beside
