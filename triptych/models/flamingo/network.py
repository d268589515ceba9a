"""The network of OpenFlamingo and Otter: a tower, a perceiver resampler, a language model with cross-attention within.

Importing this file is what plain transformers needs to open such a folder: it makes ``AutoConfig`` and
``AutoModelForImageTextToText`` know model types ``flamingo`` and ``otter``. Weights have the published names
(``vision_encoder.``, ``perceiver.``, ``lang_encoder.``), so published folders load as they are.

Shapes: N images, F frames of a medium, C channels and H x W pixels, P feature positions, C channels of the tower, L
latents a medium, B rows, T tokens a row, M media a row, H hidden size, V vocabulary. What transformers calls by name
(``input_ids``, ``pixel_values``, ...) keeps that name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    Cache,
    GenerationMixin,
    PreTrainedModel,
)
from transformers import initialization as init
from transformers.modeling_outputs import CausalLMOutputWithPast

from triptych.core.errors import ModelError
from triptych.models.flamingo.blocks import GatedCrossAttention, PerceiverResampler
from triptych.models.flamingo.cache import MediaCache
from triptych.models.flamingo.config import FlamingoConfig, OtterConfig
from triptych.models.flamingo.language import add_layers, check_language, layers_of
from triptych.models.flamingo.media import Mark, Medium, lay_out, media_of, sight
from triptych.models.memory.transfer import send


class FlamingoForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """A causal language model that sees images and videos beside its words."""

    config_class = FlamingoConfig
    main_input_name = "input_ids"
    input_modalities: ClassVar[list[str]] = ["image", "text"]  # type: ignore[misc]
    supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = [  # type: ignore[misc]
        "FlamingoLayer",
        "PerceiverBlock",
        "CLIPEncoderLayer",
    ]
    _supports_sdpa = True

    def __init__(self, config: FlamingoConfig) -> None:
        """Build it, all gates closed.

        Raises:
            ModelError: the language model is of a type that media were not tried with.
        """
        super().__init__(config)
        check_language(config.text)
        self.vision_encoder = AutoModel.from_config(config.vision_config)
        self.perceiver = make_resampler(config)
        self.lang_encoder = AutoModelForCausalLM.from_config(config.text_config)
        self.config.vision_config = self.vision_encoder.config
        self.config.text_config = self.lang_encoder.config
        add_layers(self.lang_encoder, make_cross_attention(config, layers=len(layers_of(self.lang_encoder))))
        self.post_init()  # type: ignore[no-untyped-call]

    @property
    def body(self) -> nn.Module:
        """The language model without its head."""
        body: nn.Module = self.lang_encoder.get_submodule(self.lang_encoder.base_model_prefix)
        return body

    def get_input_embeddings(self) -> nn.Module:
        """Return the language model's embedding table."""
        table: nn.Module = self.lang_encoder.get_input_embeddings()
        return table

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's embedding table."""
        self.lang_encoder.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """Return the language model's head."""
        head: nn.Module = self.lang_encoder.get_output_embeddings()
        return head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the language model's head."""
        self.lang_encoder.set_output_embeddings(new_embeddings)

    def see(self, pixels_NCHW: Tensor) -> Tensor:
        """Return the tower's features_NPC: of its last layer, before its last norm."""
        weight = next(self.vision_encoder.parameters())
        features: Tensor = self.vision_encoder(send(pixels_NCHW, weight.device, dtype=weight.dtype)).last_hidden_state
        if features.dim() == 4:
            return features.flatten(2).transpose(1, 2)
        return features[:, 1:] if self.config.vision_feature_select_strategy == "default" else features

    def resample(self, features: Sequence[Tensor], media: Sequence[Medium]) -> list[Tensor]:
        """Return latents_LC of each medium; equal media are computed once.

        Args:
            features: features_PC of each image, all of one shape.
            media: of the images.

        Raises:
            ModelError: a medium has more frames, or a conversation more media, than the model knows.
        """
        weight = self.perceiver.latents
        numbered = self.perceiver.media_time_embs is not None
        keys = [(medium.images, medium.number if numbered else 0) for medium in media]
        found: dict[tuple[tuple[int, ...], int], Tensor] = {}
        for frames in sorted({len(images) for images, _ in keys}):
            alike = [key for key in dict.fromkeys(keys) if len(key[0]) == frames]
            stacked = torch.stack([torch.stack([features[image] for image in images]) for images, _ in alike])
            seen = send(stacked, weight.device, dtype=weight.dtype)
            numbers_N = torch.tensor([number for _, number in alike])
            found.update(zip(alike, self.perceiver(seen, numbers_N), strict=True))
        return [found[key] for key in keys]

    def place(
        self, features: Sequence[Tensor], media: Sequence[Medium], *, shape: tuple[int, int]
    ) -> dict[str, Tensor]:
        """Return ``media`` [B, M, L, C] and ``sees`` [B, T, M], as ``forward`` takes them; nothing without media.

        Args:
            features: features_PC of each image.
            media: of the images.
            shape: (B, T).

        Raises:
            ModelError: as ``resample``.
        """
        if not media:
            return {}
        media_BMLC = lay_out(media, self.resample(features, media), rows=shape[0])
        sees_BTM = sight(media, shape, immediate=self.config.only_attend_immediate_media)
        return {"media": media_BMLC, "sees": send(sees_BTM, media_BMLC.device)}

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        media: Tensor | None = None,
        sees: Tensor | None = None,
        frames: Tensor | None = None,
        **more: object,
    ) -> CausalLMOutputWithPast:
        """Return logits, and with ``use_cache`` a ``MediaCache``.

        Args:
            input_ids: ids_BT, a conversation a row; ``config.image_token_id`` stands where an image, or a video, is.
            pixel_values: of all marks, row by row: [N, C, H, W], or [N, F, C, H, W] with the frames of videos.
            attention_mask: as the language model takes it.
            position_ids: likewise.
            past_key_values: of what stands before; any cache of transformers.
            inputs_embeds: embeds_BTH in place of ``input_ids``.
            labels: unshifted, -100 where nothing is learnt.
            use_cache: whether to keep keys, values and media.
            logits_to_keep: of so many last positions; 0: of all.
            media: from ``place``, in place of ``pixel_values``.
            sees: likewise.
            frames: how many of ``pixel_values`` [N, C, H, W] each mark has, row by row. None: one.
            more: handed on to the language model.

        Raises:
            ModelError: marks and pixels do not count the same.
        """
        if pixel_values is not None:
            placed = self._place_pixels(input_ids, pixel_values, frames)
            media, sees = placed["media"], placed["sees"]
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
        cache = None
        keep = self.config.text.use_cache if use_cache is None else use_cache
        if (keep and not self.training) or past_key_values is not None:
            cache = MediaCache.over(past_key_values, self.config.text)
            shape = (inputs_embeds.shape[0], inputs_embeds.shape[1])
            media, sees = cache.look(media, sees, shape=shape, immediate=self.config.only_attend_immediate_media)
        found = self.body(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=cache is not None,
            media=media,
            sees=sees,
            **more,
        )
        hidden_BTH: Tensor = found.last_hidden_state
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.get_output_embeddings()(hidden_BTH[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=logits.shape[-1])
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=cache)

    def _place_pixels(self, input_ids: Tensor | None, pixel_values: Tensor, frames: Tensor | None) -> dict[str, Tensor]:
        """Return what ``place`` returns, for pixels in the order of the marks."""
        marks_BT = None if input_ids is None else (input_ids == self.config.image_token_id).cpu()
        counted = 0 if marks_BT is None else int(marks_BT.sum())
        films = pixel_values.dim() == 5
        if films:
            counts = [pixel_values.shape[1]] * len(pixel_values)
            pixel_values = pixel_values.flatten(0, 1)
        else:
            counts = [1] * len(pixel_values) if frames is None else frames.tolist()
        if marks_BT is None or counted == 0 or (counted, sum(counts)) != (len(counts), len(pixel_values)):
            told = "" if frames is None else f", and `frames` tells of {sum(counts)} in {len(counts)} media"
            raise ModelError(
                f"input_ids hold {counted} image marks (id {self.config.image_token_id}) for {len(pixel_values)} "
                f"images{told}: one mark an image, a video being one."
            )
        owners = [place for place, count in zip(marks_BT.nonzero().tolist(), counts, strict=True) for _ in range(count)]
        media = media_of(
            [Mark(row, column, at) for at, (row, column) in enumerate(owners)],
            torch.zeros_like(marks_BT, dtype=torch.int64),
            join_adjacent=self.config.adjacent_images_are_frames and not films,
        )
        return self.place(self.see(pixel_values).unbind(), media, shape=(marks_BT.shape[0], marks_BT.shape[1]))

    def prepare_inputs_for_generation(  # type: ignore[override]
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        is_first_iteration: bool = False,
        **kwargs: Any,
    ) -> dict[str, object]:
        """Return what ``forward`` is given; pixels only once where a cache keeps their media."""
        inputs: dict[str, object] = super().prepare_inputs_for_generation(  # type: ignore[misc]
            input_ids,  # type: ignore[arg-type]
            is_first_iteration=is_first_iteration,
            **kwargs,
        )
        if is_first_iteration or not kwargs.get("use_cache", True):
            inputs["pixel_values"] = pixel_values
        else:
            inputs.pop("frames", None)
        return inputs

    def _expand_inputs_for_generation(  # type: ignore[override]
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor | None, dict[str, object]]:
        """Repeat each row for its beams or samples, and its images with it: these come row by row."""
        pixel_values, frames = kwargs.pop("pixel_values", None), kwargs.pop("frames", None)
        if expand_size > 1 and pixel_values is not None and input_ids is not None:
            counts = (input_ids == self.config.image_token_id).sum(dim=1).tolist()
            if frames is not None:
                each = frames.split(counts)
                counts = [int(own.sum()) for own in each]
                frames = torch.cat([own for own in each for _ in range(expand_size)])
            pixel_values = torch.cat([own for own in pixel_values.split(counts) for _ in range(expand_size)])
        shown = {"pixel_values": pixel_values, "frames": frames}
        ids_BT, more = super()._expand_inputs_for_generation(  # type: ignore[misc]
            expand_size,
            is_encoder_decoder,
            input_ids,  # type: ignore[arg-type]
            **kwargs,
        )
        return ids_BT, more | {name: tensor for name, tensor in shown.items() if tensor is not None}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Give a new module its first weights: gates closed, embeddings from a normal distribution."""
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, GatedCrossAttention):
            init.zeros_(module.attn_gate)
            init.zeros_(module.ff_gate)
        if isinstance(module, PerceiverResampler):
            for weight in (module.latents, module.frame_embs, module.media_time_embs):
                if weight is not None:
                    init.normal_(weight)


class OtterForConditionalGeneration(FlamingoForConditionalGeneration):
    """Flamingo's network under the class name that Otter's folders have."""

    config_class = OtterConfig


NETWORKS: Mapping[type[FlamingoConfig], type[FlamingoForConditionalGeneration]] = {
    FlamingoConfig: FlamingoForConditionalGeneration,
    OtterConfig: OtterForConditionalGeneration,
}


def make_resampler(config: FlamingoConfig) -> PerceiverResampler:
    """Return a new resampler."""
    return PerceiverResampler(
        config.vision.hidden_size,
        depth=config.resampler_depth,
        latents=config.resampler_latents,
        heads=config.cross_attn_heads,
        head_dim=config.cross_attn_head_dim,
        times=config.feed_forward_times,
        max_frames=config.max_num_frames,
        max_media=config.max_num_media,
    )


def make_cross_attention(config: FlamingoConfig, *, layers: int) -> list[GatedCrossAttention | None]:
    """Return new cross-attention before every n-th of so many layers, None before the others."""
    return [
        GatedCrossAttention(
            config.text.hidden_size,
            config.vision.hidden_size,
            heads=config.cross_attn_heads,
            head_dim=config.cross_attn_head_dim,
            times=config.feed_forward_times,
        )
        if (number + 1) % config.cross_attn_every_n_layers == 0
        else None
        for number in range(layers)
    ]


for _config, _network in NETWORKS.items():
    AutoModelForImageTextToText.register(_config, _network, exist_ok=True)
