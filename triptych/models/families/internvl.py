"""InternVL: an InternViT for square tiles, four patches gathered into one token, a causal language model.

Source: InternVL3 (arXiv:2504.10479) and 3.5 (arXiv:2508.18265). The class of transformers,
``InternVLForConditionalGeneration``, is adapted and not changed; folders of InternVL's own code are refused. A picture
is cut into the grid of tiles whose shape is nearest to its own, and the whole comes last; what fits one tile is that
alone. A frame of a video is one tile.

Shapes: S tiles of an image with its whole, C channels, H x W pixels of a tile, P patches of a tile, Y rows and X
columns of them, D size of the tower, K tokens of an image; in tokens H is the hidden size.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from math import isqrt
from pathlib import Path
from typing import Any, cast

import torch
from PIL.Image import Image
from torch import Tensor
from transformers import (
    AutoConfig,
    GotOcr2ImageProcessorPil,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLVisionConfig,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from triptych.core.errors import ModelError
from triptych.data.batch import Batch
from triptych.data.plan.cost_config import cost_of_config
from triptych.data.plan.costs_tiled import Tiles
from triptych.data.template import find_template
from triptych.data.text.spelling import spelling_of
from triptych.data.text.tokenise import tokeniser_of
from triptych.models import parts, toys
from triptych.models.disk.folder import Saved, chat_template_of, read_note, template_in
from triptych.models.disk.tokenizer import open_tokenizer
from triptych.models.families.llava import LlavaModel
from triptych.models.families.llava_onevision import ProcessorFile
from triptych.models.family import Family, Model, PartsPlan, Seen, plain_words
from triptych.models.memory.transfer import send
from triptych.models.outline import outline_by
from triptych.models.parts import ImageProcessor
from triptych.models.vision.anyres import by_tiles

MARK = "<IMG_CONTEXT>"
AROUND = ("<img>", "</img>")
"""What InternVL's processor writes around an image's tokens, so that a folder's chat template leaves it out."""
NAMED = {
    "start_image_token": AROUND[0],
    "end_image_token": AROUND[1],
    "context_image_token": MARK,
    "video_token": "<video>",
}
"""Tokens that its processor asks a tokenizer for, by what it calls them."""


class InternVLModel(LlavaModel):
    """An opened InternVL. Its pixels are [S, C, H, W], float32: tiles row by row, then the whole."""

    family = "internvl"

    @cached_property
    def cost(self) -> Tiles:
        """Tokens of an image by the shape of its grid, and what the template writes between two frames of a video.

        Raises:
            ModelError: the template writes images in another way than InternVL's processor.
        """
        cost = cost_of_config(self.network.config.to_dict(), self.processor.to_dict())
        assert isinstance(cost, Tiles)
        marks, words = self._between(), tokeniser_of(self.tokenizer)
        added = self.tokenizer.get_added_vocab()
        count = sum(1 if mark in added else len(words.ids([mark])[0]) for mark in marks)
        return replace(cost, between=marks, between_tokens=count)

    def _between(self) -> tuple[str, ...]:
        """Return what the template writes between two images side by side; nothing where it tells their numbers."""
        template, spans = self.template, spelling_of(self.template, self.tokenizer).spans
        texts = (template.image_after, template.image_before)
        if not (texts[0].startswith(AROUND[1]) and texts[1].endswith(AROUND[0])) or template.image_between is not None:
            raise ModelError(
                f"template {template.name!r} does not write {AROUND[0]} and {AROUND[1]} around images, where "
                "InternVL's processor always puts them: take `template: internvl`."
            )
        if any("{k}" in text for text in texts):
            return ()
        said = [span for text in texts for span in spans[text]]
        return tuple(
            span if isinstance(span, str) else str(self.tokenizer.convert_ids_to_tokens(span)) for span in said
        )

    def shown_as(self, span: int) -> str:
        """Return ``tile`` of a frame of a video and of an image that is one tile; empty: all of its tiles."""
        return "tile" if span in (self.cost.frame, self.cost.frame + self.cost.between_tokens) else ""

    def pixels_in(self, image: Image, span: int) -> Seen:
        """Return pixels [S, C, H, W] of what is shown in so many positions, float32: the whole alone, or all tiles."""
        return self._cut(image, tiles=not self.shown_as(span))

    def pixels(self, image: Image) -> Seen:
        """Return pixels [S, C, H, W] of the tiles and the whole, float32."""
        return self._cut(image, tiles=True)

    def _cut(self, image: Image, *, tiles: bool) -> Seen:
        made = self.processor(image, crop_to_patches=tiles, return_tensors="pt")  # type: ignore[call-arg]
        return Seen(made["pixel_values"].float(), image.size)

    def encode(self, images: Sequence[Seen]) -> list[Seen]:
        """Return features [S, P, D] of each, float32, without the class token's."""
        if not images:
            return []
        with parts.seeing(self._tower):
            features = by_tiles(self._see, [image.values for image in images])
        return [Seen(values_SPD, image.size) for values_SPD, image in zip(features, images, strict=True)]

    def _taken(self, tower: Callable[..., Any], pixels_NCHW: Tensor) -> Tensor:
        """Return features_NPD: of the last layer after the norm that some towers have behind it."""
        if self.network.config.vision_feature_layer != -1:
            return super()._taken(tower, pixels_NCHW)
        features_NPD: Tensor = tower(pixels_NCHW).last_hidden_state[:, 1:].float()
        return features_NPD

    def project(self, features: Sequence[Seen], counts: Sequence[int] | None = None) -> list[Tensor]:
        """Return tokens_KH of each: those of its tiles one after the other; the whole where a slot has room for one."""
        rooms = [None] * len(features) if counts is None else counts
        shown = [
            seen.values[-1:] if room == self.cost.tile_tokens else seen.values
            for seen, room in zip(features, rooms, strict=True)
        ]
        weight = next(self._projector.parameters())
        given = [send(values_SPD, weight.device, dtype=weight.dtype) for values_SPD in shown]
        return [tokens_SKH.flatten(0, 1) for tokens_SKH in by_tiles(self._gathered, given)]

    def _gathered(self, tiles_SPD: Tensor) -> Tensor:
        """Return the projected tokens [S, K, H] of tiles, neighbouring patches side by side in each."""
        network, side = cast(InternVLForConditionalGeneration, self.network), isqrt(tiles_SPD.shape[1])
        maps_SYXD = tiles_SPD.unflatten(1, (side, side))
        maps_SYXD = network.model.pixel_shuffle(maps_SYXD, scale_factor=network.config.downsample_ratio)
        tokens_SKH: Tensor = self._projector(maps_SYXD.flatten(1, 2))
        return tokens_SKH

    def inputs(self, batch: Batch, images: Sequence[Seen]) -> dict[str, Tensor]:
        """Return what the network's own forward takes: the tiles of all images, one after the other."""
        if not batch.slots:
            return plain_words(batch)
        shown = [
            images[slot.image].values[-1:] if self.shown_as(slot.stop - slot.start) else images[slot.image].values
            for slot in batch.slots
        ]
        return plain_words(batch) | {"pixel_values": torch.cat(shown)}

    def set_linear_projection(self, weight_CH: Tensor, bias_H: Tensor) -> None:
        """Refuse: its projector is no linear map."""
        raise ModelError(f"family {self.family!r} is not aligned in closed form: align it with a gradient stage.")

    def processors(self) -> Sequence[Saved]:
        """Return processor and tokenizer, with the chat template: what ``AutoProcessor`` needs."""
        jinja = chat_template_of(self.template, str(self.tokenizer.convert_ids_to_tokens(self.image_token_id)))
        for mark in AROUND:
            jinja = jinja.replace(mark, "")
        self.tokenizer.chat_template = jinja
        settings = {
            "processor_class": "InternVLProcessor",
            "image_seq_length": self.cost.tile_tokens,
            "image_processor": json.loads(self.processor.to_json_string()),
        }
        return (ProcessorFile(settings), self.tokenizer, self.processor)


def open_folder(folder: Path, *, weights: bool = True) -> Model:
    """Open a saved folder, ours or anybody's InternVL in the layout of transformers, with the dtype it was saved in.

    Args:
        folder: a Hugging Face folder.
        weights: False: shapes alone, to learn what conversations and images cost it.

    Raises:
        ModelError: weights are missing, its settings are none of an InternVL's, or nothing says which template it was
            tuned with.
    """
    with parts.clear_errors(folder, "an InternVL"):
        network = parts.load_saved(folder, weights=weights)
        tokenizer = open_tokenizer(folder)
        parts.check_tokenizer(tokenizer, folder)
        processor = parts.load_image_processor(folder)
    _check_settings(network.config, processor, folder)
    # Published folders say of their language model alone that its table and head are two; the class takes them as one.
    if weights and network.get_output_embeddings().weight is not network.get_input_embeddings().weight:
        network.config.tie_word_embeddings = False
    _spell_out(tokenizer, str(tokenizer.convert_ids_to_tokens(network.config.image_token_id)))
    template = template_in(folder, tokenizer.chat_template)
    return InternVLModel(network, tokenizer, processor=processor, template=template, sources=read_note(folder).parts)


def _check_settings(config: PreTrainedConfig, processor: ImageProcessor, folder: Path) -> None:
    """Refuse features that transformers' class does not take, and an image processor of another kind."""
    layer, strategy = config.vision_feature_layer, config.vision_feature_select_strategy
    count = config.vision_config.num_hidden_layers
    if not isinstance(layer, int) or not -count - 1 <= layer <= count:
        raise ModelError(
            f"{folder}: vision_feature_layer is {layer!r} in config.json, but its tower has {count} layers: "
            f"give one number from {-count - 1} to {count}."
        )
    if strategy != "default":
        raise ModelError(
            f"{folder}: vision_feature_select_strategy is {strategy!r} in config.json: with the class token a tile is "
            "no square of patches. Say 'default'."
        )
    if not hasattr(type(processor), "crop_to_patches"):  # settings of the JSON are attributes, whoever reads them
        raise ModelError(
            f"{folder}: the image processor, a {type(processor).__name__}, cuts no tiles: "
            "bring the published preprocessor_config.json, which says GotOcr2ImageProcessor."
        )


def _spell_out(tokenizer: PreTrainedTokenizerBase, mark: str) -> None:
    """Let a chat template write what stands around an image, which a folder's leaves to the processor."""
    start, end = AROUND
    if isinstance(tokenizer.chat_template, str):
        tokenizer.chat_template = tokenizer.chat_template.replace(mark, f"{start}{mark}{end}")


def assemble(plan: PartsPlan) -> Model:
    """Refuse: the tower of an InternVL is its own, so none is put together from parts."""
    raise ModelError(
        f"family 'internvl' is not put together from parts (here {plan.vision}): "
        "open a checkpoint, e.g. `open: OpenGVLab/InternVL3-1B-hf`."
    )


def tiny(seed: int, *, words: str = "qwen2", most: int = 4, template: str = "internvl") -> InternVLModel:
    """Return an InternVL with random weights: tiles of 16 pixels that cost 4 tokens, one token a byte.

    Args:
        seed: of the weights.
        words: ``model_type`` of its language model.
        most: tiles of an image, without the whole; 1: the whole alone.
        template: name of its chat template.
    """
    bytewise = toys.toy_tokenizer()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytewise.backend_tokenizer,
        bos_token=bytewise.bos_token,
        eos_token=bytewise.eos_token,
        pad_token=bytewise.pad_token,
        clean_up_tokenization_spaces=False,
        extra_special_tokens=NAMED,
    )
    text = toys.toy_llama(tokenizer, tied=False).to_dict()
    sizes = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    more = ("num_key_value_heads", "max_position_embeddings", "bos_token_id", "eos_token_id", "pad_token_id")
    config = InternVLConfig(
        text_config=AutoConfig.for_model(
            words,
            **{name: text[name] for name in (*sizes, *more)},
            head_dim=12,
            initializer_range=0.2,
            tie_word_embeddings=False,
        ),
        vision_config=InternVLVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=16,
            patch_size=4,
            attention_bias=True,
        ),
        image_token_id=tokenizer.get_added_vocab()[MARK],
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    network = toys.seeded(seed, lambda: InternVLForConditionalGeneration(config)).float().eval()
    toys.enliven(network, seed=seed)
    images = GotOcr2ImageProcessorPil(size={"height": 16, "width": 16}, max_patches=most)
    chosen = find_template(template)
    network.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(chosen.stop)
    processor = cast(ImageProcessor, images)
    return InternVLModel(network, tokenizer, processor=processor, template=chosen, sources={})


FAMILY = Family(
    about="InternViT on square tiles, four patches a token + a causal language model (InternVL3, InternVL3.5)",
    model_types=("internvl",),
    elsewhere={
        "internvl_chat": "needs InternVL's own code, which is not run here: open the folder that is published beside "
        "it for transformers, named with -hf, or -HF from 3.5 on (OpenGVLab/InternVL3-1B-hf)."
    },
    assemble=assemble,
    open=open_folder,
    outline=outline_by(assemble, open_folder),
    samples={"qwen2": tiny, "qwen3": partial(tiny, words="qwen3"), "whole": partial(tiny, words="llama", most=1)},
)
