"""LLaVA-OneVision: one image as a view and many tiles, several as a view each, frames of a video pooled.

Source: Li et al. 2024, arXiv:2408.03326. The class of transformers, ``LlavaOnevisionForConditionalGeneration``, is
adapted and not changed. What an image's slot has room for says which of the three it is (``project``): all its tiles,
brought down to ``anyres_max_N``; the whole alone, padded to a square, and a new line; the whole as it is, pooled two by
two, and behind the last frame of a video a new line. Images beside a video are as many as they are without it.
LLaVA-NeXT-Interleave's own checkpoints are of this family too: for them a frame is an image (``video_frames: whole``).
So are LLaVA-Video's: where a video's new lines stand (``mm_newline_position``; ``grid``: behind each row of a frame)
and how frames are pooled (``mm_spatial_pool_mode``) is read from config.json, of saved folders too. The class of
transformers reads neither.

Shapes: S views of an image, C channels, P feature positions of a view, D size of the tower, K tokens of an image, H
hidden size, Y rows and X columns of a frame's map, B rows, T tokens a row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import cast

import torch
from PIL.Image import Image, new
from torch import Tensor
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessorPil,
    SiglipVisionConfig,
)

from triptych.core.errors import ModelError
from triptych.data.batch import Batch, BatchSlot
from triptych.data.plan.cost_config import cost_of_config
from triptych.data.plan.costs_tiled import AnyRes
from triptych.data.template import find_template
from triptych.data.text.jinja import IMAGE_MARK
from triptych.models import toys
from triptych.models.disk.folder import Saved
from triptych.models.families.llava import open_parts
from triptych.models.families.llava_next import SIDES, LlavaNextModel, padded
from triptych.models.family import Family, Model, PartsPlan, Seen, plain_words
from triptych.models.outline import outline_by
from triptych.models.parts import ImageProcessor
from triptych.models.vision.anyres import NEWLINES, POOLS, pooled, pooled_side, tiles_of, with_row_ends

VIDEO_MARK = "<video>"
"""The token that transformers' own processor writes for a video. Frames are images here."""


class LlavaOnevisionModel(LlavaNextModel):
    """An opened LLaVA-OneVision."""

    family = "llava_onevision"

    @cached_property
    def cost(self) -> AnyRes:
        """Tokens of an image by its size and whether it stands alone; of a frame by its pooled sides and new lines."""
        cost = cost_of_config(self.network.config.to_dict(), self.processor.to_dict())
        assert isinstance(cost, AnyRes)
        if cost.frame is None:
            return cost
        side = pooled_side(cost.tile_patches, self._pool)
        ends = {"one_token": 0, "no_token": 0, "frame": 1, "grid": side}[self._newlines]
        return replace(cost, frame=side**2 + ends, video_end=int(self._newlines == "one_token"))

    @property
    def _pool(self) -> str:
        return str(getattr(self.network.config, "mm_spatial_pool_mode", POOLS[0]))

    @property
    def _newlines(self) -> str:
        return str(getattr(self.network.config, "mm_newline_position", NEWLINES[0]))

    def shown_as(self, span: int) -> str:
        """Return ``view`` of several images, ``frame`` of a video, ``tiles`` of an image alone."""
        return "view" if span == self.cost.among_others else "frame" if self._is_frame(span) else "tiles"

    def pixels_in(self, image: Image, span: int) -> Seen:
        """Return pixels [S, C, tile, tile] of the views that an image is made of there, float32."""
        return self.pixels(image, span)

    def pixels(self, image: Image, tokens: int | None = None) -> Seen:
        """Return pixels [S, C, tile, tile], float32.

        Args:
            image: the image.
            tokens: K that it has room for, where that is known: then what it is shown as, nothing else. None: all
                that it may be shown as, the whole padded to a square, the whole as it is, then the tiles.
        """
        views: list[Tensor] = []
        if tokens in (None, self.cost.among_others):
            # The processor pads the images of a conversation that has several.
            alone_of_two = self.processor([[image, new("RGB", (1, 1))]], return_tensors="pt")  # type: ignore[arg-type]
            views.append(alone_of_two["pixel_values"][0])
        if self._is_frame(tokens):
            # One tile is the least that the processor cuts; the whole comes before it.
            one = [[self.cost.tile_px, self.cost.tile_px]]
            made = self.processor(image, image_grid_pinpoints=one, return_tensors="pt")  # type: ignore[call-arg]
            views.append(made["pixel_values"][0][:1])
        elif tokens != self.cost.among_others:
            views.append(self.processor(image, return_tensors="pt")["pixel_values"][0])
        return Seen(torch.cat(views).float(), image.size)

    def project(self, features: Sequence[Seen], counts: Sequence[int] | None = None) -> list[Tensor]:
        """Return tokens_KH of each: as much of it as its slot has room for; without ``counts`` as it stands alone."""
        rooms = [self.cost.tokens(seen.size) for seen in features] if counts is None else counts
        views = self._projected([self._used(seen, room) for seen, room in zip(features, rooms, strict=True)])
        return [self._fitted(*each) for each in zip(views, features, rooms, strict=True)]

    def _is_frame(self, room: int | None) -> bool:
        frame = self.cost.frame
        return frame is not None and room in (frame, frame + self.cost.video_end)

    def _used(self, seen: Seen, room: int) -> Tensor:
        """Return the features [S, P, D] of the views that an image in a slot of so much room is made of.

        Raises:
            ModelError: an image is never shown in so many tokens.
        """
        tiles = tiles_of(self.cost, seen.size)
        if room == self.cost.among_others:
            return seen.values[:1]
        if self._is_frame(room):
            return seen.values[:1] if len(seen.values) == 1 else seen.values[-tiles - 1 : -tiles]
        if room != self.cost.tokens(seen.size) or len(seen.values) <= tiles:
            shown = f"{self.cost.tokens(seen.size)} tokens alone, {self.cost.among_others} among others"
            shown += "" if self.cost.frame is None else f", {self.cost.frame} as a frame"
            raise ModelError(
                f"a picture of {seen.size[0]}x{seen.size[1]} pixels is {shown}; "
                f"its slot has {room}. Render with the model's own `rendering`."
            )
        return seen.values[-tiles - 1 :]

    def _fitted(self, views_SPH: Tensor, seen: Seen, room: int) -> Tensor:
        if room == self.cost.among_others:
            return torch.cat([views_SPH[0], self._newline.to(views_SPH)[None]])
        if self._is_frame(room):
            frame_YXH = pooled(views_SPH[0], self.cost.tile_patches, way=self._pool)
            if self._newlines == "grid":
                return with_row_ends(frame_YXH, self._newline)
            return torch.cat([frame_YXH.flatten(0, 1), self._newline.to(frame_YXH)[None]])[:room]
        return self._laid(views_SPH, seen)

    def inputs(self, batch: Batch, images: Sequence[Seen]) -> dict[str, Tensor]:
        """Return what the network's own forward takes: whether a conversation has several images decides their views.

        A video's frames have its video token there. ``images`` as ``pixels(image)`` gives them.

        Raises:
            ModelError: videos have differing numbers of frames, or are shown otherwise than that forward does it.
        """
        frames = [slot for slot in batch.slots if self._is_frame(slot.stop - slot.start)]
        slots = [slot for slot in batch.slots if slot not in frames]
        found = plain_words(batch) | (self._videos(batch, frames, images) if frames else {})
        if not slots:
            return found
        rows = [slot.row for slot in slots]
        shown = [
            Seen(seen.values[:1] if rows.count(slot.row) > 1 else seen.values[1:], seen.size)
            for slot in slots
            for seen in [images[slot.image]]
        ]
        counts = [rows.count(row) for row in dict.fromkeys(rows)]
        return found | padded(shown) | {"batch_num_images": torch.tensor(counts)}

    def _videos(self, batch: Batch, frames: Sequence[BatchSlot], images: Sequence[Seen]) -> dict[str, Tensor]:
        """Return the frames' pixels by video, and the words with a video's token where they stand."""
        if (self._pool, self._newlines) != (POOLS[0], NEWLINES[0]):
            raise ModelError(
                f"videos with mm_newline_position {self._newlines!r} and mm_spatial_pool_mode {self._pool!r} are shown "
                f"here alone: the network of transformers has only {NEWLINES[0]!r} and {POOLS[0]!r}."
            )
        ids_BT = batch.ids_BT.clone()
        videos: list[list[Tensor]] = [[]]
        for slot in frames:
            ids_BT[slot.row, slot.start : slot.stop] = self.network.config.video_token_id
            videos[-1].append(images[slot.image].values[1])
            if slot.stop - slot.start != self.cost.frame:
                videos.append([])
        whole = [torch.stack(video) for video in videos if video]
        if len({len(video) for video in whole}) > 1:
            raise ModelError(
                f"videos of {', '.join(str(len(video)) for video in whole)} frames: the network of transformers takes "
                "one number of frames. Give it conversations one by one."
            )
        return {"input_ids": ids_BT, "pixel_values_videos": torch.stack(whole)}

    def _whole_processor(self) -> Saved:
        config = self.network.config
        return ProcessorFile(
            {
                "processor_class": "LlavaOnevisionProcessor",
                "image_token": self.image_token,
                "video_token": VIDEO_MARK,
                "num_image_tokens": self.cost.tile_patches**2,
                "vision_feature_select_strategy": config.vision_feature_select_strategy,
                "vision_aspect_ratio": config.vision_aspect_ratio,
                "image_processor": json.loads(self.processor.to_json_string()),
            }
        )


@dataclass(frozen=True, slots=True)
class ProcessorFile:
    """processor_config.json. transformers makes a processor that knows videos only where torchvision is installed."""

    settings: Mapping[str, object]

    def save_pretrained(self, save_directory: Path) -> object:
        """Write it."""
        save_directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.settings, indent=2, sort_keys=True) + "\n"
        return (save_directory / "processor_config.json").write_text(text, encoding="utf-8")


def open_folder(folder: Path, *, weights: bool = True) -> Model:
    """Open a saved folder, ours or anybody's LLaVA-OneVision, with the dtype it was saved in.

    Args:
        folder: a Hugging Face folder, or one of LLaVA's own code (``models/disk/llava_checkpoint.py``).
        weights: False: shapes alone, to learn what conversations and images cost it.

    Raises:
        ModelError: weights are missing, or nothing says which template it was tuned with.
    """
    return LlavaOnevisionModel(**open_parts(folder, "a LLaVA-OneVision", weights=weights))


def assemble(plan: PartsPlan) -> Model:
    """Refuse: a new model of parts is a LLaVA."""
    raise ModelError(
        f"family 'llava_onevision' is not put together from parts (here {plan.vision}): use family llava, "
        "or open a checkpoint, e.g. `open: llava-hf/llava-onevision-qwen2-0.5b-ov-hf`."
    )


def tiny(
    seed: int,
    *,
    most: int = 9,
    patch_px: int = 4,
    frames: str = "pooled",
    template: str = "llava_qwen_1_5_clean",
) -> LlavaOnevisionModel:
    """Return a LLaVA-OneVision with random weights, one token a byte.

    Args:
        seed: of the weights.
        most: of ``anyres_max_N``.
        patch_px: of the tower; 16 px a tile.
        frames: of a video, ``pooled``, or ``whole`` as LLaVA-NeXT-Interleave has them.
        template: name of its chat template.
    """
    tokenizer = toys.toy_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_MARK, VIDEO_MARK]})
    grids = [[16 * rows, 16 * columns] for rows in range(1, 4) for columns in range(1, 4)]
    image, video = (tokenizer.get_added_vocab()[mark] for mark in (IMAGE_MARK, VIDEO_MARK))
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(
            **(dict(SIDES) | {"patch_size": patch_px}), num_hidden_layers=2, vision_use_head=False
        ),
        text_config=toys.toy_llama(tokenizer, tied=False),
        image_token_index=image,
        video_token_index=video,
        image_grid_pinpoints=grids,
        vision_aspect_ratio=f"anyres_max_{most}",
    )
    config.update({"video_frames": frames})
    network = toys.seeded(seed, lambda: LlavaOnevisionForConditionalGeneration(config)).float().eval()
    toys.enliven(network, seed=seed)
    with torch.no_grad():
        network.lm_head.weight[[image, video]] = 0.0  # no model says them
    images = LlavaOnevisionImageProcessorPil(
        size={"height": 16, "width": 16}, image_grid_pinpoints=grids, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    chosen = find_template(template)
    network.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(chosen.stop)
    processor = cast(ImageProcessor, images)
    return LlavaOnevisionModel(network, tokenizer, processor=processor, template=chosen, sources={})


FAMILY = Family(
    about="LLaVA-OneVision: a view and many tiles of one picture, a view of each of several, frames pooled",
    model_types=("llava_onevision",),
    assemble=assemble,
    open=open_folder,
    outline=outline_by(assemble, open_folder),
    samples={"anyres": tiny, "brought_down": partial(tiny, most=2), "odd_side": partial(tiny, patch_px=5)},
)
