"""Checkpoints of LLaVA's own code, which transformers does not know: their settings and weight names, translated.

Not a network: each becomes a class of transformers, which a family adapts. Sources: the repositories LLaVA and
LLaVA-NeXT (``LlavaLlamaForCausalLM``, ``LlavaMistralForCausalLM``, ``LlavaQwenForCausalLM``). Which class is read from
config.json: one view an image makes a LLaVA; views and tiles (anyres, ``spatial_unpad``) a LLaVA-NeXT where the tower
has a class token, a LLaVA-OneVision where it has none. A folder that holds a projector alone (stage 1) takes tower and
language model from where its config.json says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from shlex import quote
from typing import cast

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    LlavaConfig,
    LlavaImageProcessorPil,
    LlavaNextConfig,
    LlavaNextImageProcessorPil,
    LlavaOnevisionConfig,
    LlavaOnevisionImageProcessorPil,
    PreTrainedConfig,
    PreTrainedModel,
)

from triptych.core.errors import ModelError
from triptych.models import parts
from triptych.models.disk.llava_kind import (
    PROJECTOR_ALONE,
    is_adapter,
    is_original,
    is_stage_one,
    language_of,
    part_name,
    said_by,
)
from triptych.models.disk.locate import ADAPTER, locate
from triptych.models.disk.projector_file import PROJECTOR, load_projector
from triptych.models.parts import ImageProcessor
from triptych.models.vision.anyres import NEWLINES, POOLS

NAMES = {
    r"^model\.vision_tower\.vision_tower\.vision_model\.": "model.vision_tower.",
    r"^model\.mm_projector\.0\.": "model.multi_modal_projector.linear_1.",
    r"^model\.mm_projector\.2\.": "model.multi_modal_projector.linear_2.",
    r"^model\.mm_projector\.weight$": "model.multi_modal_projector.linear_1.weight",
    r"^model\.mm_projector\.bias$": "model.multi_modal_projector.linear_1.bias",
    r"^model\.embed_tokens\.": "model.language_model.embed_tokens.",
    r"^model\.layers\.": "model.language_model.layers.",
    r"^model\.norm\.": "model.language_model.norm.",
}
"""Their weight names -> those of transformers. ``lm_head.weight`` and ``model.image_newline`` are called the same."""
SECOND = "multi_modal_projector.linear_2"
"""What a linear projector of the original code does not have."""
GRIDS = re.compile(r"\((\d+)x(\d+)\)")


def config_of(folder: Path) -> PreTrainedConfig:
    """Return a folder's configuration as transformers has it, translated where it is an original one.

    Raises:
        NotFoundError: the tower that it names is not there.
        ModelError: it is none that is known.
        OSError, ValueError, KeyError: as ``AutoConfig``.
    """
    return translated(folder) if is_original(folder) else AutoConfig.from_pretrained(folder)


def model_type_of(folder: Path) -> str:
    """Return what transformers calls a folder's model, whether or not it knows it yet: families bring their own.

    Raises:
        NotFoundError, ModelError: as ``config_of``.
    """
    if not is_original(folder):
        return _model_type_said(folder)
    with parts.clear_errors(folder, "a model of LLaVA's own code"):
        return str(translated(folder).model_type)


def _model_type_said(folder: Path) -> str:
    said = said_by(folder).get("model_type")
    if said is None:
        raise ModelError(
            f"{folder}: config.json says no model_type, so nothing tells which family opens it: bring the published "
            "model's config.json, or write its model_type there."
        )
    if not isinstance(said, str):
        raise ModelError(f"{folder}: config.json: model_type is {said!r}, and a name is wanted.")
    return said


def translated(folder: Path) -> PreTrainedConfig:
    """Return an original folder's configuration. The image token is the tokenizer's next one: nothing names it yet.

    Raises:
        NotFoundError, ModelError: as ``config_of``.
    """
    said = said_by(folder)
    kind = str(language_of(said))
    if is_adapter(folder):
        raise ModelError(
            f"{folder} is an adapter of LLaVA's own trainer ({ADAPTER}), no whole model: `triptych merge "
            f"{quote(str(folder))} --base MODEL --out DIR` makes one of it and of the model it was learnt on."
        )
    known = AutoConfig.for_model(kind).to_dict().keys() | {"rope_theta", "rope_scaling"}
    text = {name: value for name, value in said.items() if name in known - {"architectures", "model_type", "dtype"}}
    vision = _vision(said, folder)
    has_class = vision.model_type == "clip_vision_model"
    whole = str(said.get("mm_vision_select_feature", "patch")) == "cls_patch" or not has_class
    shared: dict[str, object] = {
        "text_config": {"model_type": kind, **text},
        "vision_config": vision.to_dict(),
        "vision_feature_layer": _layer(said, folder, vision) if has_class else -1,
        "vision_feature_select_strategy": "full" if whole else "default",
        "projector_hidden_act": PROJECTOR[_projector(said, folder)],
        "image_token_index": said.get("vocab_size"),
        "tie_word_embeddings": said.get("tie_word_embeddings", False),
    }
    if said.get("mm_use_im_start_end"):
        raise ModelError(f"{folder}: mm_use_im_start_end is true: marks around images, which no template here writes.")
    shape, merge = str(said.get("image_aspect_ratio", "square")), str(said.get("mm_patch_merge_type", "flat"))
    if shape.startswith("anyres"):
        return _tiled(said, folder, shared, vision, shape=shape, merge=merge)
    if merge == "spatial_unpad":
        raise ModelError(
            f"{folder}: mm_patch_merge_type 'spatial_unpad' with image_aspect_ratio {shape!r}: LLaVA-NeXT's code "
            "puts a new line behind each picture, LLaVA's does not, nor does Triptych. If yours was trained "
            "without, write mm_patch_merge_type 'flat' into config.json."
        )
    if merge != "flat":
        raise ModelError(f"{folder}: image_aspect_ratio {shape!r} with mm_patch_merge_type {merge!r} is not known.")
    return LlavaConfig.from_dict(shared)


def _tiled(
    said: Mapping[str, object],
    folder: Path,
    shared: Mapping[str, object],
    vision: PreTrainedConfig,
    *,
    shape: str,
    merge: str,
) -> PreTrainedConfig:
    """Return the configuration of a model that is shown tiles: LLaVA-NeXT with a CLIP, else LLaVA-OneVision.

    Args:
        said: the folder's config.json.
        folder: of the original code.
        shared: settings that any LLaVA of transformers has.
        vision: the tower's configuration.
        shape: ``image_aspect_ratio``.
        merge: ``mm_patch_merge_type``.

    Raises:
        ModelError: the tiles are merged, cut or brought down in a way that is not known.
    """
    if merge != "spatial_unpad":
        raise ModelError(f"{folder}: mm_patch_merge_type {merge!r} is not known with tiles: only 'spatial_unpad' is.")
    grids = _grids(said, tile_px=int(vision.image_size))
    if vision.model_type == "clip_vision_model":
        if shape != "anyres":
            raise ModelError(
                f"{folder}: image_aspect_ratio {shape!r} with a tower that has a class token: with such a tower tiles "
                "are never brought down here, and only 'anyres' opens."
            )
        return LlavaNextConfig.from_dict({**shared, "image_grid_pinpoints": grids})
    most = shape.removeprefix("anyres").removeprefix("_max_") or max(
        (high // vision.image_size) * (wide // vision.image_size) for high, wide in grids
    )
    return LlavaOnevisionConfig.from_dict(
        {**shared, "image_grid_pinpoints": grids, "vision_aspect_ratio": f"anyres_max_{most}"}
        # LLaVA-NeXT-Interleave shows each frame of a video as an image; OneVision (anyres_max_N) pools it.
        | ({"video_frames": "whole"} if shape == "anyres" else {"video_frames": "pooled"} | _video(said, folder))
    )


def open_network(folder: Path, *, weights: bool = True) -> PreTrainedModel:
    """Open an original folder's weights in the class of transformers, with the dtype they were saved in.

    Args:
        folder: of the original code; a whole model, or a stage 1's projector.
        weights: False: shapes alone.

    Raises:
        NotFoundError: tower or language model are elsewhere, and not there.
        ModelError: weights are missing.
    """
    config = translated(folder)
    if not weights:
        with torch.device("meta"):
            return cast(PreTrainedModel, AutoModelForImageTextToText.from_config(config))
    if is_stage_one(folder):
        return _of_stage_one(folder, config)
    opening = partial(AutoModelForImageTextToText.from_pretrained, config=config, key_mapping=dict(NAMES), dtype="auto")
    missing: set[str] = set()
    linear = _projector(said_by(folder), folder) == "linear"
    spare = ["vision_tower", *([SECOND] if linear else [])]
    network = parts.load_network(opening, folder, spare=spare, missing=missing)
    if any("vision_tower" in name for name in missing):
        _take_tower(network, folder)
    if linear:  # a linear map is the first of two layers, and the second the identity
        second = cast(nn.Linear, network.get_submodule(f"model.{SECOND}"))
        nn.init.eye_(second.weight)
        nn.init.zeros_(second.bias)
    # Else it would be saved under the original names, which plain transformers does not open.
    vars(network)["_weight_conversions"] = None
    return network


def image_processor_of(folder: Path) -> ImageProcessor:
    """Return how the original code prepares images for this folder's class: the tower's own way, padded, or in tiles.

    Raises:
        NotFoundError, ModelError: the tower that it names is not there.
    """
    said, config = said_by(folder), config_of(folder)
    own = parts.load_image_processor(_tower_folder(said, folder))
    if config.model_type == "llava" and said.get("image_aspect_ratio") != "pad":
        return own
    settings = own.to_dict()
    kept = ("image_mean", "image_std", "resample", "do_rescale", "rescale_factor", "do_normalize")
    same = {name: settings[name] for name in kept if name in settings}
    side = int(config.vision_config.image_size)
    square = {"height": side, "width": side}
    if config.model_type == "llava_onevision":
        tiled = same | {"size": square, "image_grid_pinpoints": config.image_grid_pinpoints}
        return cast(ImageProcessor, LlavaOnevisionImageProcessorPil.from_dict(tiled))
    near = same | {"size": {"shortest_edge": side}, "crop_size": square, "do_center_crop": True}
    if config.model_type == "llava_next":
        tiled = near | {"image_grid_pinpoints": config.image_grid_pinpoints}
        return cast(ImageProcessor, LlavaNextImageProcessorPil.from_dict(tiled))
    return cast(ImageProcessor, LlavaImageProcessorPil.from_dict(near | {"do_pad": True}))


def _of_stage_one(folder: Path, config: PreTrainedConfig) -> PreTrainedModel:
    """Return the network of a projector, and of the tower and the language model it was trained between."""
    said = said_by(folder)
    spoken = locate(part_name(said, "_name_or_path", folder=folder))
    with torch.device("meta"):
        network = cast(PreTrainedModel, AutoModelForImageTextToText.from_config(config))
    with parts.clear_errors(spoken, "a causal language model"):
        language = parts.load_network(partial(AutoModelForCausalLM.from_pretrained, dtype=torch.float32), spoken)
    network.set_submodule("model.language_model", language.base_model)
    network.set_submodule("lm_head", language.get_output_embeddings())
    with torch.random.fork_rng(devices=[]):  # its own weights are overwritten
        tower = AutoModel.from_config(config.vision_config, dtype=torch.float32)
    network.set_submodule("model.vision_tower", tower)
    _take_tower(network, folder)
    connects = network.get_submodule("model.multi_modal_projector").to_empty(device="cpu")
    network.set_submodule("model.multi_modal_projector", connects)
    rest = load_projector(connects, folder / PROJECTOR_ALONE)
    if "image_newline" in dict(network.get_submodule("model").named_parameters(recurse=False)):
        width = int(config.get_text_config().hidden_size)
        network.get_submodule("model").register_parameter(
            "image_newline", nn.Parameter(rest.get("image_newline", torch.zeros(width)).float())
        )
    network.eval()
    return network


def _take_tower(network: PreTrainedModel, folder: Path) -> None:
    """Give the network the tower that config.json names, where the checkpoint has none of its own."""
    tower = parts.load_vision(_tower_folder(said_by(folder), folder)).tower.state_dict()
    own = network.get_submodule("model.vision_tower")
    if lost := own.state_dict().keys() - tower.keys():
        raise ModelError(f"{folder}: its tower lacks {len(lost)} weights, the first is {min(lost)!r}.")
    own.load_state_dict({name: tower[name] for name in own.state_dict()})


def _vision(said: Mapping[str, object], folder: Path) -> PreTrainedConfig:
    """Return the tower's configuration; of a SigLIP without its last layer and its pooler, as the original code has it.

    The original code takes CLIP's hidden state by ``mm_vision_select_layer``, and SigLIP's last but one whatever that
    says.
    """
    tower = _tower_folder(said, folder)
    with parts.clear_errors(tower, "a vision tower"):
        config = AutoConfig.from_pretrained(tower)
    config = getattr(config, "vision_config", config)
    if config.model_type not in ("clip_vision_model", "siglip_vision_model"):
        raise ModelError(f"{folder}: its tower is a {config.model_type!r}; known are CLIP and SigLIP.")
    if config.model_type == "siglip_vision_model":
        config.num_hidden_layers -= 1
        config.vision_use_head = False
    return cast(PreTrainedConfig, config)


def _tower_folder(said: Mapping[str, object], folder: Path) -> Path:
    return locate(part_name(said, "mm_vision_tower", folder=folder))


def _layer(said: Mapping[str, object], folder: Path, vision: PreTrainedConfig) -> int:
    """Return which hidden state of a CLIP is taken: of its layers, not what these begin with."""
    layer, layers = said.get("mm_vision_select_layer", -2), int(vision.num_hidden_layers)
    if not isinstance(layer, int) or not 0 < abs(layer) <= layers:
        raise ModelError(
            f"{folder}: mm_vision_select_layer is {layer!r}: its tower has the layers 1 to {layers}, from behind -1 to "
            f"-{layers}. Write one of them into config.json."
        )
    return layer


def _projector(said: Mapping[str, object], folder: Path) -> str:
    kind = str(said.get("mm_projector_type", "linear"))
    if kind not in PROJECTOR:
        raise ModelError(f"{folder}: mm_projector_type {kind!r} is not known; there are: {', '.join(PROJECTOR)}.")
    return kind


def _video(said: Mapping[str, object], folder: Path) -> dict[str, str]:
    """Return how a video's frames are pooled and where its new lines stand, under the original names."""
    known = {"mm_spatial_pool_mode": POOLS, "mm_newline_position": NEWLINES}
    found = {key: str(said.get(key) or ways[0]) for key, ways in known.items()}
    for key, way in found.items():
        if way not in known[key]:
            raise ModelError(f"{folder}: {key} {way!r} is not known; there are: {', '.join(known[key])}.")
    if said.get("add_faster_video"):
        raise ModelError(f"{folder}: add_faster_video is true: videos at two paces, which are not shown here.")
    return found


def _grids(said: Mapping[str, object], *, tile_px: int) -> list[list[int]]:
    """Return the grids as [height, width] in pixels; the original code writes [width, height], or "(1x1),...,(6x6)"."""
    pairs = said.get("image_grid_pinpoints")
    if isinstance(pairs, str):
        ends = [(int(wide), int(high)) for wide, high in GRIDS.findall(pairs)]
        if len(ends) < 2:
            raise ModelError(f"image_grid_pinpoints is {pairs!r}: a range like '(1x1),...,(6x6)' should be there.")
        (low_x, low_y), (top_x, top_y) = ends[0], ends[-1]
        return [
            [high * tile_px, wide * tile_px] for wide in range(low_x, top_x + 1) for high in range(low_y, top_y + 1)
        ]
    if not isinstance(pairs, list) or not pairs:
        raise ModelError(f"image_grid_pinpoints is {pairs!r}: a list of [width, height] should be there.")
    return [[int(high), int(wide)] for wide, high in pairs]
