"""LLaVA-NeXT (1.6): a view of the whole image and tiles of it, their padding cut off, new lines between their rows.

Source: Liu et al. 2024, LLaVA-NeXT. The class of transformers, ``LlavaNextForConditionalGeneration``, is adapted and
not changed: each of several images has its tiles. Tower, projector and language model are LLaVA's
(``families/llava.py``); how tiles are laid out is in ``models/vision/anyres.py``.

Shapes: S views of an image (the whole and its tiles), C channels, P feature positions of a view, D size of the tower,
K tokens of an image, H hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import (
    CLIPVisionConfig,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    SiglipVisionConfig,
)

from triptych.core.errors import ModelError
from triptych.data.batch import Batch
from triptych.data.plan.cost_config import cost_of_config
from triptych.data.plan.costs_tiled import AnyRes
from triptych.data.template import find_template
from triptych.data.text.jinja import IMAGE_MARK
from triptych.models import parts, toys
from triptych.models.disk.folder import Saved, chat_template_of
from triptych.models.families.llava import LlavaModel, open_parts
from triptych.models.family import Family, Model, PartsPlan, Seen, plain_words
from triptych.models.memory.transfer import send
from triptych.models.outline import outline_by
from triptych.models.parts import ImageProcessor
from triptych.models.vision.anyres import by_tiles, lay_out


class LlavaNextModel(LlavaModel):
    """An opened LLaVA-NeXT. Its pixels are [S, C, H, W]: the whole image and its tiles, row by row, float32."""

    family = "llava_next"

    @cached_property
    def cost(self) -> AnyRes:
        """Tokens of an image by its size: the view of the whole, the tiles without their padding, a new line a row."""
        cost = cost_of_config(self.network.config.to_dict(), self.processor.to_dict())
        assert isinstance(cost, AnyRes)
        return cost

    @property
    def _newline(self) -> nn.Parameter:
        return self.network.get_parameter("model.image_newline")

    def encode(self, images: Sequence[Seen]) -> list[Seen]:
        """Return features [S, P, D] of each, float32."""
        if not images:
            return []
        with parts.seeing(self._tower):
            features = by_tiles(self._see, [image.values for image in images])
        return [Seen(values_SPD, image.size) for values_SPD, image in zip(features, images, strict=True)]

    def project(self, features: Sequence[Seen], counts: Sequence[int] | None = None) -> list[Tensor]:
        """Return tokens_KH of each: the whole, then the tiles as one map with new lines."""
        views = self._projected([seen.values for seen in features])
        return [self._laid(views_SPH, seen) for views_SPH, seen in zip(views, features, strict=True)]

    def _projected(self, views: Sequence[Tensor]) -> list[Tensor]:
        """Return views [S, P, H] of each image's [S, P, D]."""
        weight = next(self._projector.parameters())
        return by_tiles(self._projector, [send(values_SPD, weight.device, dtype=weight.dtype) for values_SPD in views])

    def _laid(self, views_SPH: Tensor, seen: Seen) -> Tensor:
        tiles_KH = lay_out(views_SPH[1:], seen.size, cost=self.cost, newline_H=self._newline)
        return torch.cat([views_SPH[0], tiles_KH])

    def inputs(self, batch: Batch, images: Sequence[Seen]) -> dict[str, Tensor]:
        """Return what the network's own forward takes: images of few tiles are filled up with zeros."""
        shown = [images[slot.image] for slot in batch.slots]
        return plain_words(batch) | (padded(shown) if shown else {})

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the three parts; the new line is the projector's."""
        connects = nn.ModuleDict({"multi_modal_projector": self._projector})
        connects.register_parameter("image_newline", self._newline)
        return {**super().parts(), "projector": connects}

    def set_linear_projection(self, weight_CH: Tensor, bias_H: Tensor) -> None:
        """Refuse: tiles have features that stand for no whole image."""
        raise ModelError(f"family {self.family!r} is not aligned in closed form: align it with a gradient stage.")

    def processors(self) -> Sequence[Saved]:
        """Return processor and tokenizer, with the chat template: what ``AutoProcessor`` needs."""
        self.tokenizer.chat_template = chat_template_of(self.template, self.image_token)
        return (self._whole_processor(), self.tokenizer, self.processor)

    @property
    def image_token(self) -> str:
        """The image token as the tokenizer spells it."""
        return str(self.tokenizer.convert_ids_to_tokens(self.image_token_id))

    def _whole_processor(self) -> Saved:
        config = self.network.config
        dropped = config.vision_feature_select_strategy == "default"
        return LlavaNextProcessor(
            self.processor,
            self.tokenizer,
            patch_size=config.vision_config.patch_size,
            vision_feature_select_strategy=config.vision_feature_select_strategy,
            chat_template=self.tokenizer.chat_template,
            image_token=self.image_token,
            num_additional_image_tokens=self.cost.view - self.cost.tile_patches**2 + dropped,
        )


def padded(images: Sequence[Seen]) -> dict[str, Tensor]:
    """Return pixels of images with differing tiles in one rectangle, and their sizes as (height, width)."""
    most = max(len(image.values) for image in images)
    filled = [nn.functional.pad(seen.values, (0, 0) * 3 + (0, most - len(seen.values))) for seen in images]
    sizes = [(seen.size[1], seen.size[0]) for seen in images]
    return {"pixel_values": torch.stack(filled), "image_sizes": torch.tensor(sizes)}


def open_folder(folder: Path, *, weights: bool = True) -> Model:
    """Open a saved folder, ours or anybody's LLaVA-NeXT, with the dtype it was saved in.

    Args:
        folder: a Hugging Face folder, or one of LLaVA's own code (``models/disk/llava_checkpoint.py``).
        weights: False: shapes alone, to learn what conversations and images cost it.

    Raises:
        ModelError: weights are missing, or nothing says which template it was tuned with.
    """
    return LlavaNextModel(**open_parts(folder, "a LLaVA-NeXT", weights=weights))


def assemble(plan: PartsPlan) -> Model:
    """Refuse: a new model of parts is a LLaVA."""
    raise ModelError(
        f"family 'llava_next' is not put together from parts (here {plan.vision}): use family llava, "
        "or open a checkpoint, e.g. `open: llava-hf/llava-v1.6-vicuna-7b-hf`."
    )


SIDES: Mapping[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "image_size": 16,
    "patch_size": 4,
}
"""A toy's tower: tiles of 16 pixels, four patches along a side."""


def tiny(seed: int, *, tower: str = "clip", template: str = "chatml") -> LlavaNextModel:
    """Return a LLaVA-NeXT with random weights, one token a byte.

    Args:
        seed: of the weights.
        tower: ``clip``, or ``siglip``, which has no class token.
        template: name of its chat template.
    """
    tokenizer = toys.toy_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_MARK]})
    towers = {
        "clip": CLIPVisionConfig(**SIDES, num_hidden_layers=3),
        "siglip": SiglipVisionConfig(**SIDES, num_hidden_layers=2, vision_use_head=False),
    }
    grids = [[16, 32], [32, 16], [32, 32], [48, 16], [16, 48]]
    config = LlavaNextConfig(
        vision_config=towers[tower],
        text_config=toys.toy_llama(tokenizer, tied=False),
        image_token_index=tokenizer.get_added_vocab()[IMAGE_MARK],
        image_grid_pinpoints=grids,
        vision_feature_layer=-2 if tower == "clip" else -1,
        vision_feature_select_strategy="default" if tower == "clip" else "full",
    )
    network = toys.seeded(seed, lambda: LlavaNextForConditionalGeneration(config)).float().eval()
    toys.enliven(network, seed=seed)
    images = LlavaNextImageProcessorPil(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}, image_grid_pinpoints=grids
    )
    chosen = find_template(template)
    network.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(chosen.stop)
    processor = cast(ImageProcessor, images)
    return LlavaNextModel(network, tokenizer, processor=processor, template=chosen, sources={})


FAMILY = Family(
    about="LLaVA-NeXT (1.6): a view of the whole, tiles of it, new lines between their rows",
    model_types=("llava_next",),
    assemble=assemble,
    open=open_folder,
    outline=outline_by(assemble, open_folder),
    samples={"clip": tiny, "siglip": partial(tiny, tower="siglip")},
)
