"""What an image costs is what the published processors of transformers 5 make of it, for every size.

Each family is held twice: over a wide grid of sizes against the processor's own arithmetic, and over a few sizes
against what the processor gives when it is run on a picture (with small tiles, so that it is quick). Where a processor
cannot be made without torchvision, its methods are run on an object that has only the settings they read.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import LlavaNextProcessor, LlavaProcessor, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.fuyu.image_processing_pil_fuyu import FuyuImageProcessorPil
from transformers.models.fuyu.processing_fuyu import FuyuProcessor
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics2.image_processing_pil_idefics2 import Idefics2ImageProcessorPil
from transformers.models.idefics2.processing_idefics2 import Idefics2Processor
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.idefics3.processing_idefics3 import Idefics3Processor
from transformers.models.internvl.processing_internvl import InternVLProcessor
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_next_video.processing_llava_next_video import LlavaNextVideoProcessor
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil
from transformers.models.llava_onevision.processing_llava_onevision import LlavaOnevisionProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from tests.pictures import real_data
from tests.toys import toy_tokenizer
from triptych.data.media.images import Size
from triptych.data.plan.cost_config import cost_of_config
from triptych.data.plan.costs import CostError, Fixed, Merged, Patches
from triptych.data.plan.costs_tiled import AnyRes, Split, Tiles

SIDES = (
    1,
    2,
    3,
    13,
    27,
    28,
    29,
    56,
    57,
    100,
    199,
    200,
    201,
    335,
    336,
    337,
    383,
    384,
    385,
    448,
    449,
    600,
    672,
    768,
    999,
)
SIDES += (1000, 1008, 1080, 1456, 1457, 1920, 2000, 2304, 3000, 4095, 4096, 4097, 9999)
GRID = tuple(itertools.product(SIDES, SIDES))
"""(width, height): single pixels, extreme shapes, and both sides of each border."""
DRAWN = (
    (1, 1),
    (1, 40),
    (40, 1),
    (16, 16),
    (17, 16),
    (15, 33),
    (64, 48),
    (48, 64),
    (100, 30),
    (31, 97),
    (81, 81),
    (160, 90),
)
"""Sizes of pictures that processors with small tiles are run on."""

CLIP = {"model_type": "clip_vision_model", "image_size": 336, "patch_size": 14}
SIGLIP = {"model_type": "siglip_vision_model", "image_size": 384, "patch_size": 14}
NEXT = cost_of_config({"model_type": "llava_next", "vision_config": CLIP})
ONEVISION = cost_of_config({"model_type": "llava_onevision", "vision_config": SIGLIP})


def picture(size: Size) -> Image.Image:
    return Image.new("RGB", size, "red")


def prompt_ids(processor: Any, size: Size) -> list[int]:
    """Return the ids of a prompt that is one image."""
    said = processor(images=[picture(size)], text="<image>", add_special_tokens=False)["input_ids"]
    return list(said[0])


@pytest.mark.parametrize(
    ("image_processor", "vision", "added", "strategy", "features"),
    [
        (CLIPImageProcessorPil(size=336, crop_size=336), CLIP, 1, "default", 576),
        (CLIPImageProcessorPil(size=336, crop_size=336), CLIP, 1, "full", 577),
        (SiglipImageProcessorPil(size={"height": 384, "width": 384}), SIGLIP, 0, "full", 729),
        (SiglipImageProcessorPil(size={"height": 384, "width": 384}), SIGLIP, 0, "default", 728),
    ],
)
def test_llava_costs_what_its_processor_writes(
    image_processor: Any,
    vision: dict[str, Any],
    added: int,
    strategy: str,
    features: int,
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    config = {"model_type": "llava", "vision_config": vision, "vision_feature_select_strategy": strategy}
    cost = cost_of_config(config, json.loads(image_processor.to_json_string()))
    processor = LlavaProcessor(
        image_processor,
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=added,
    )
    assert cost == Fixed(features) == cost_of_config(config)
    for size in ((1, 1), (3, 500), (640, 480)):
        assert len(prompt_ids(processor, size)) == cost.tokens(size) == cost.span(size)


def test_llava_next_costs_what_its_processor_counts(tokenizer: PreTrainedTokenizerFast) -> None:
    image_processor = LlavaNextImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})
    processor = LlavaNextProcessor(
        image_processor,
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    counted = processor._get_num_multimodal_tokens(image_sizes=[(high, wide) for wide, high in GRID])
    assert [NEXT.tokens(size) for size in GRID] == counted["num_image_tokens"]


def test_llava_next_costs_what_its_processor_writes(tokenizer: PreTrainedTokenizerFast) -> None:
    grids = [[16, 32], [32, 16], [32, 32], [48, 16], [16, 48]]
    image_processor = LlavaNextImageProcessorPil(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}, image_grid_pinpoints=grids
    )
    processor = LlavaNextProcessor(
        image_processor,
        tokenizer,
        patch_size=2,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    vision = {"model_type": "clip_vision_model", "image_size": 16, "patch_size": 2}
    cost = cost_of_config({"model_type": "llava_next", "vision_config": vision, "image_grid_pinpoints": grids})
    for size in DRAWN:
        assert len(prompt_ids(processor, size)) == cost.tokens(size), size


def test_llava_onevision_costs_what_its_processor_counts() -> None:
    processor = LlavaOnevisionProcessor.__new__(LlavaOnevisionProcessor)
    processor.image_processor = LlavaOnevisionImageProcessorPil()
    processor.num_image_tokens, processor.vision_aspect_ratio = 729, "anyres_max_9"
    processor.vision_feature_select_strategy, processor.image_token = "full", "x"
    counted = [processor._get_number_of_features(high, wide, 384, 384) for wide, high in GRID]
    assert [ONEVISION.among(1).tokens(size) for size in GRID] == counted
    for count in (2, 7):
        written = processor.replace_image_token({"batch_num_images": [count]}, 0)
        assert ONEVISION.among(count).tokens((640, 480)) == len(written) == 730


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_frames_of_a_video_cost_what_the_processors_of_their_models_count(frames: int) -> None:
    vision = {"model_type": "siglip_vision_model", "image_size": 384, "patch_size": 14}
    cost = cost_of_config({"model_type": "llava_onevision", "vision_config": vision})
    onevision = LlavaOnevisionProcessor.__new__(LlavaOnevisionProcessor)
    onevision.num_image_tokens, onevision.video_token = 729, "x"
    pixels = {"pixel_values_videos": [np.zeros((frames, 3, 384, 384))]}
    spans = [cost.framed(last=last).tokens((640, 480)) for last in [*[False] * (frames - 1), True]]
    assert sum(spans) == len(onevision.replace_video_token(pixels, 0)) == 196 * frames + 1
    assert (
        cost_of_config({"model_type": "llava_onevision", "vision_config": vision, "video_frames": "whole"}).frame
        is None
    )

    vision = {"model_type": "clip_vision_model", "image_size": 336, "patch_size": 14}
    cost = cost_of_config({"model_type": "llava_next_video", "vision_config": vision})
    video = LlavaNextVideoProcessor.__new__(LlavaNextVideoProcessor)
    video.patch_size, video.video_token = 14, "x"
    video.vision_feature_select_strategy, video.num_additional_image_tokens = "default", 1
    pixels = {"pixel_values_videos": [np.zeros((frames, 3, 336, 336))]}
    spans = [cost.framed(last=last).tokens((640, 480)) for last in [*[False] * (frames - 1), True]]
    assert sum(spans) == len(video.replace_video_token(pixels, 0)) == 144 * frames


@pytest.mark.parametrize("most_tiles", [None, 9])
def test_anyres_gives_the_grids_and_tokens_of_llavas_own_code(most_tiles: int | None) -> None:
    golden = json.loads(real_data("golden/llava_interleave.json").read_text(encoding="utf-8"))["anyres"]
    all_grids = tuple((384 * wide, 384 * high) for wide in range(1, 7) for high in range(1, 7))
    grids = all_grids if most_tiles else tuple(map(tuple, golden["pinpoints5_wh"]))
    cost = AnyRes(tile_px=384, tile_patches=27, grids=grids, view=729, most_tiles=most_tiles, digits=None)
    assert len(golden["images"]) == 43
    for image in golden["images"]:
        size, expected = tuple(image["size_wh"]), image["anyres_max_9" if most_tiles else "pinpoints5"]
        assert cost.grid(size) == tuple(384 * tiles for tiles in expected["grid_wh"]), image["file"]
        assert cost.unpadded(size) == tuple(expected["unpad_hw"]), image["file"]
        assert cost.shape(size) == tuple(expected.get("final_hw", expected["unpad_hw"])), image["file"]
        assert cost.tokens(size) == expected["tokens"], image["file"]


def test_llavas_own_code_and_transformers_differ_only_in_rounding() -> None:
    assert isinstance(ONEVISION, AnyRes)
    own = AnyRes(tile_px=384, tile_patches=27, grids=ONEVISION.grids, view=729, most_tiles=9, digits=None)
    assert (own.unpadded((1872, 832)), ONEVISION.unpadded((1872, 832))) == ((59, 135), (61, 135))


@pytest.mark.parametrize("split", [False, True])
def test_idefics2_costs_what_its_processor_writes(split: bool) -> None:
    tokenizer = toy_tokenizer()
    image_processor = Idefics2ImageProcessorPil(do_image_splitting=split, size={"shortest_edge": 8, "longest_edge": 16})
    processor = Idefics2Processor(image_processor, tokenizer, image_seq_len=6)
    config = {"model_type": "idefics2", "perceiver_config": {"resampler_n_latents": 6}}
    cost = cost_of_config(config, json.loads(image_processor.to_json_string()))
    for size in ((2, 2), (40, 30)):
        ids = prompt_ids(processor, size)
        assert ids.count(processor.image_token_id) == cost.tokens(size)
        assert len(ids) == cost.span(size) + cost.ends


def test_idefics3_costs_what_its_processor_writes() -> None:
    tokenizer = toy_tokenizer()
    places = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>", "<global-img>", *places]})
    image_processor = Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 16})
    processor = Idefics3Processor(image_processor, tokenizer, image_seq_len=4)
    blank_line = len(tokenizer("\n\n", add_special_tokens=False)["input_ids"])
    cost = Split(longest_px=64, tile_px=16, tile_tokens=4, blank_line=blank_line)
    for size in DRAWN:
        ids = prompt_ids(processor, size)
        assert ids.count(processor.image_token_id) == cost.tokens(size), size
        assert len(ids) == cost.span(size) + cost.ends, size


@pytest.mark.parametrize("kind", [Idefics3ImageProcessorPil, SmolVLMImageProcessorPil])
@pytest.mark.parametrize(("longest", "tile"), [(64, 16), (60, 16), (16, 16), (10, 16), (5000, 4096)])
def test_idefics3_and_smolvlm_split_as_their_image_processors_do(kind: Any, longest: int, tile: int) -> None:
    processor = kind(size={"longest_edge": longest}, max_image_size={"longest_edge": tile}, do_normalize=False)
    config = {
        "model_type": "smolvlm" if kind is SmolVLMImageProcessorPil else "idefics3",
        "vision_config": {"image_size": tile, "patch_size": tile // 8},
        "scale_factor": 4,
    }
    cost = cost_of_config(config, json.loads(processor.to_json_string()))
    assert isinstance(cost, Split)
    for size in DRAWN if longest < 100 else ((3, 7),):
        seen = processor(picture(size), return_row_col_info=True)
        assert cost.tiles(size) == (seen["rows"][0][0], seen["cols"][0][0]), size
        assert cost.tokens(size) == 4 * len(seen["pixel_values"][0])


def test_idefics3_costs_the_same_for_every_size_of_a_shape_where_transformers_counts_so() -> None:
    processor = Idefics3ImageProcessorPil()
    cost = Split(longest_px=4 * 364, tile_px=364, tile_tokens=169)
    assert [cost.tiles(size) for size in GRID] == [
        processor.get_number_of_image_patches(high, wide)[1:] for wide, high in GRID
    ]
    assert cost.resized((1000, 500), 169) is None
    assert not cost.shrinks


def test_fuyu_costs_what_its_processor_counts() -> None:
    processor = FuyuProcessor.__new__(FuyuProcessor)
    processor.image_processor = FuyuImageProcessorPil(
        size={"height": 90, "width": 160}, patch_size={"height": 10, "width": 10}
    )
    cost = cost_of_config({"model_type": "fuyu"}, json.loads(processor.image_processor.to_json_string()))
    sizes = itertools.product((1, 9, 10, 11, 30, 89, 90, 91, 159, 160, 161, 500), repeat=2)
    sizes = [size for size in sizes if min(size) > 1 or (size[0] <= 160 and size[1] <= 90)]  # Else nothing is left.
    counted = processor._get_num_multimodal_tokens(image_sizes=[(high, wide) for wide, high in sizes])
    assert [cost.span(size) + cost.ends for size in sizes] == counted["num_image_tokens"]


def test_fuyu_cuts_a_picture_as_its_image_processor_does() -> None:
    processor = FuyuImageProcessorPil(size={"height": 90, "width": 160}, patch_size={"height": 10, "width": 10})
    cost = Patches(patch_px=10, limit=(160, 90))
    for size in DRAWN:
        seen = processor(picture(size))
        high, wide = seen["image_unpadded_heights"][0][0], seen["image_unpadded_widths"][0][0]
        assert cost.shape(size) == (-(-high // 10), -(-wide // 10)), size
        assert cost.tokens(size) == cost.shape(size)[0] * cost.shape(size)[1], size
        assert cost.span(size) == sum(what if isinstance(what, int) else 1 for what in cost.pattern(size)), size
    assert Patches().shape((599, 336)) == (12, 20)  # As Mantis-Fuyu cut it.
    assert Patches().pattern((599, 336)) == (20, "|NEWLINE|") * 12
    with pytest.raises(CostError, match="nothing is left of 1x5000 pixels"):
        cost.tokens((1, 5000))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"min_pixels": 4 * 28 * 28, "max_pixels": 768 * 28 * 28},
        {"patch_size": 16, "size": {"shortest_edge": 65_536, "longest_edge": 16_777_216}},
        {"patch_size": 16, "merge_size": 1, "size": {"shortest_edge": 256, "longest_edge": 65_536}},
    ],
)
def test_qwen_vl_costs_what_its_image_processor_counts(settings: dict[str, Any]) -> None:
    processor = Qwen2VLImageProcessorPil(**settings)
    saved = json.loads(processor.to_json_string())
    for model_type in ("qwen2_vl", "qwen2_5_vl", "qwen3_vl"):
        assert cost_of_config({"model_type": model_type}, settings) == cost_of_config({"model_type": model_type}, saved)
    cost = cost_of_config({"model_type": "qwen2_vl"}, {"image_processor": saved})
    for wide, high in GRID:
        if max(wide, high) > 200 * min(wide, high):
            with pytest.raises(CostError, match="200 times"):
                cost.tokens((wide, high))
        else:
            patches = processor.get_number_of_image_patches(high, wide)
            assert cost.tokens((wide, high)) == patches // processor.merge_size**2, (wide, high)


def test_qwen_vl_costs_what_its_image_processor_gives() -> None:
    processor = Qwen2VLImageProcessorPil(size={"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 12})
    cost = Merged(most_pixels=28 * 28 * 12)
    for size in DRAWN:
        _, rows, columns = processor(picture(size), return_tensors="np")["image_grid_thw"][0]
        assert cost.tokens(size) == rows * columns // 4, size


@pytest.mark.parametrize("most", [1, 6, 12])
def test_internvl_costs_what_its_processor_counts(most: int, tokenizer: PreTrainedTokenizerFast) -> None:
    settings = {"size": {"height": 448, "width": 448}, "crop_to_patches": True, "max_patches": most}
    image_processor = GotOcr2ImageProcessorPil(**settings)
    processor = InternVLProcessor.__new__(InternVLProcessor)
    processor.image_processor, processor.tokenizer, processor.image_seq_length = image_processor, tokenizer, 256
    cost = cost_of_config({"model_type": "internvl", "image_seq_length": 256}, settings)
    patches = [image_processor.get_number_of_image_patches(high, wide) for wide, high in GRID]
    assert [cost.tokens(size) for size in GRID] == [256 * count for count in patches]
    if most > 1:
        small = GotOcr2ImageProcessorPil(size={"height": 8, "width": 8}, crop_to_patches=True, max_patches=most)
        tiles = Tiles(tile=(8, 8), tile_tokens=1, most=most)
        assert [tiles.tokens(size) for size in DRAWN] == [small(picture(size))["num_patches"][0] for size in DRAWN]
