"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: images of any size, and positions along three axes: time, height and width.

Source: arXiv:2409.12191, arXiv:2502.13923, arXiv:2511.21631. The classes of transformers are adapted and not changed.
Patches are merged in squares; their tokens stand at rows and columns, and the words after an image go on behind the
larger of its sides. Qwen3-VL hands what lower layers of its tower saw to the first layers of the language model.

A video is frames here, each an image; transformers' own processor merges two frames into one.

Shapes: N images, P patches, D numbers of a patch, G squares of an image (= K tokens), C size of the tower, M patches of
a square, L levels (1, and with Qwen3-VL those of lower layers), X numbers of a square over all levels, B rows, T tokens
a row, A axes of positions, H hidden size, V vocabulary; in ``levels_NX`` N counts the image tokens of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import torch
from PIL.Image import Image
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    Cache,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2VLImageProcessorPil,
)

from triptych.core.errors import ModelError
from triptych.data.batch import Batch
from triptych.data.plan.cost_config import cost_of_config
from triptych.data.plan.costs import Merged
from triptych.data.template import Template, find_template
from triptych.models import parts, toys
from triptych.models.attention.grid_positions import grid_positions
from triptych.models.disk.folder import Saved, chat_template_of, read_note, template_in
from triptych.models.disk.locate import Provenance
from triptych.models.disk.tokenizer import open_tokenizer
from triptych.models.family import Family, Model, PartsPlan, Seen, Woven, plain_words
from triptych.models.memory.transfer import send
from triptych.models.outline import outline_by
from triptych.models.parts import ImageProcessor
from triptych.models.vision.fingerprint import Fingerprint
from triptych.models.vision.pieces import see

LEVELS = "deepstack"
"""What lower layers of the tower saw, beside the embeddings: [B, T, (L - 1) * H]; zero where there is no image."""
MERGERS = ("merger", "deepstack_merger_list")
"""Modules of the tower that connect it to the language model."""


class QwenVLModel(Model):
    """An opened Qwen2-VL, Qwen2.5-VL or Qwen3-VL."""

    def __init__(
        self,
        network: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        processor: ImageProcessor,
        template: Template,
        sources: Mapping[str, Provenance],
    ) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.processor = processor
        self.template = template
        self.family = "qwen_vl"
        self.image_token_id = int(network.config.image_token_id)
        self.sources = dict(sources)
        self._fingerprint = Fingerprint()

    @property
    def body(self) -> nn.Module:
        """The language model without its head."""
        return self.network.get_submodule("model.language_model")

    @property
    def _visual(self) -> nn.Module:
        return self.network.get_submodule("model.visual")

    @property
    def _mergers(self) -> list[nn.Module]:
        """The module that merges patches, and those of lower layers: as the tower comes by these, not as listed."""
        visual = self._visual
        if not hasattr(visual, MERGERS[1]):
            return [visual.get_submodule(MERGERS[0])]
        listed, config = list(visual.get_submodule(MERGERS[1]).children()), self.network.config.vision_config
        layers = list(config.deepstack_visual_indexes)
        lower = [listed[layers.index(layer)] for layer in range(config.depth) if layer in layers]
        return [visual.get_submodule(MERGERS[0]), *lower]

    @cached_property
    def cost(self) -> Merged:
        """Tokens of an image by its size: its squares of patches."""
        cost = cost_of_config(self.network.config.to_dict(), self.processor.to_dict())
        assert isinstance(cost, Merged)
        return cost

    def pixels(self, image: Image) -> Seen:
        """Return the patches [G * M, D], float32, square by square."""
        return Seen(self.processor(image, return_tensors="pt")["pixel_values"].float(), image.size)

    def encode(self, images: Sequence[Seen]) -> list[Seen]:
        """Return features [G, L * M * C] of each, float32: what the mergers are given, in reading order."""
        if not images:
            return []
        visual, grids_N3 = self._visual.eval(), torch.tensor([self._grid(image) for image in images])
        tower = self.parts()["vision"]
        weight = next(tower.parameters())
        squares = [len(image.values) // self.cost.merge**2 for image in images]
        with parts.seeing(tower), _watched(self._mergers) as given:
            patches_PD = send(torch.cat([image.values for image in images]), weight.device, dtype=weight.dtype)
            windows_G = see(visual, patches_PD, grids_N3=grids_N3)
        features_GX = torch.cat([each.reshape(sum(squares), -1) for each in given], dim=-1).float()
        if windows_G is not None:
            features_GX = features_GX[torch.argsort(windows_G)]
        rows = features_GX.split(squares)
        return [Seen(values_GX, image.size) for values_GX, image in zip(rows, images, strict=True)]

    def project(self, features: Sequence[Seen], counts: Sequence[int] | None = None) -> list[Tensor]:
        """Return tokens_KH of each; those of lower layers are not among them."""
        return [tokens[0] for tokens in self._project(features)]

    def _project(self, features: Sequence[Seen]) -> list[list[Tensor]]:
        """Return tokens_KH of each image, level by level."""
        weight = next(self._mergers[0].parameters())
        given = send(torch.cat([seen.values for seen in features]), weight.device, dtype=weight.dtype)
        squares = [len(seen.values) for seen in features]
        levels = given.chunk(len(self._mergers), dim=-1)
        merged = [
            merger(level_GX.reshape(len(given) * self.cost.merge**2, -1)).split(squares)
            for merger, level_GX in zip(self._mergers, levels, strict=True)
        ]
        return [list(each) for each in zip(*merged, strict=True)]

    def weave(self, batch: Batch, features: Sequence[Seen]) -> Woven:
        """Return words and images with positions on three axes, and what lower layers saw."""
        woven = super().weave(batch, features)
        grids = [(high // self.cost.merge, wide // self.cost.merge) for _, high, wide in map(self._grid, features)]
        woven = replace(woven, positions_ABT=send(grid_positions(batch, grids), woven.embeds_BTH.device))
        if len(self._mergers) == 1 or not features:
            return woven
        lower = [torch.cat(tokens[1:], dim=-1) for tokens in self._project(features)]
        levels_BTX = woven.embeds_BTH.new_zeros(*batch.ids_BT.shape, lower[0].shape[-1])
        for slot in batch.slots:
            levels_BTX[slot.row, slot.start : slot.stop] = lower[slot.image].to(levels_BTX)
        return replace(woven, extra_inputs={LEVELS: levels_BTX, "images": batch.ids_BT == self.image_token_id})

    def _grid(self, image: Seen) -> tuple[int, int, int]:
        """Return patches along time, height and width."""
        wide, high = self.cost.target(image.size)
        return 1, high // self.cost.patch_px, wide // self.cost.patch_px

    def hidden(self, woven: Woven) -> Tensor:
        """Return hidden_BTH; lower layers' tokens are added where the images are."""
        return self._packs.hidden(
            woven.embeds_BTH, woven.segments_BT, positions_ABT=woven.positions_ABT, **_levels(woven)
        )

    def run(self, woven: Woven, *, mask: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """Return logits_BV of the last position, and the cache of all."""
        if not woven.extra_inputs:
            return super().run(woven, mask=mask, cache=cache)
        found = self.body(
            inputs_embeds=woven.embeds_BTH,
            attention_mask=mask,
            position_ids=woven.positions_ABT,
            past_key_values=cache,
            use_cache=True,
            **_levels(woven),
        )
        return self.head(found.last_hidden_state[:, -1]), found.past_key_values

    def inputs(self, batch: Batch, images: Sequence[Seen]) -> dict[str, Tensor]:
        """Return what the network's own forward takes: a conversation a row."""
        words = plain_words(batch)
        if not batch.slots:
            return words
        shown = [images[slot.image] for slot in batch.slots]
        return words | {
            "mm_token_type_ids": (batch.ids_BT == self.image_token_id).int(),
            "pixel_values": torch.cat([image.values for image in shown]),
            "image_grid_thw": torch.tensor([self._grid(image) for image in shown]),
        }

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the three parts; ``projector`` is what merges patches, of all layers."""
        modules = dict(self._visual.named_children())
        return {
            "vision": nn.ModuleDict({name: module for name, module in modules.items() if name not in MERGERS}),
            "projector": nn.ModuleDict({name: module for name, module in modules.items() if name in MERGERS}),
            "language": self.language_part,
        }

    def fingerprint(self) -> str:
        """Return a sha256 of the tower's weights and the image preparation."""
        config = self.network.config
        how = [config.model_type, self.processor.to_json_string()]
        return self._fingerprint.of(self.parts()["vision"], settings=config.vision_config.to_dict(), how=how)

    def processors(self) -> Sequence[Saved]:
        """Return processor and tokenizer, with the chat template: what ``AutoProcessor`` needs."""
        token = self.tokenizer.convert_ids_to_tokens(self.image_token_id)
        self.tokenizer.chat_template = chat_template_of(self.template, str(token))
        return (self.tokenizer, self.processor)


def _levels(woven: Woven) -> dict[str, Any]:
    """Return what Qwen3-VL's language model is given besides: where images are, and their tokens level by level."""
    if not woven.extra_inputs:
        return {}
    images_BT = woven.extra_inputs["images"]
    places = [send(each, woven.embeds_BTH.device) for each in images_BT.cpu().nonzero(as_tuple=True)]
    levels_NX = woven.extra_inputs[LEVELS][*places]
    count = levels_NX.shape[-1] // woven.embeds_BTH.shape[-1]
    marked = send(images_BT, woven.embeds_BTH.device)
    return {"visual_pos_masks": marked, "deepstack_visual_embeds": list(levels_NX.chunk(count, dim=-1))}


@contextmanager
def _watched(modules: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """Keep what each module is given, by their order here, while the block runs; they hand it on, and do no work."""
    given: dict[int, Tensor] = {}
    found: list[Tensor] = []

    def keep(number: int, values: Tensor, *_more: object) -> Tensor:
        given[number] = values
        return values

    for number, module in enumerate(modules):
        module.forward = partial(keep, number)
    try:
        yield found
        found += [given[number] for number in range(len(modules))]
    finally:
        for module in modules:
            del module.forward  # that of its class is there again


def open_folder(folder: Path, *, weights: bool = True) -> Model:
    """Open a saved folder, ours or anybody's Qwen-VL, with the dtype it was saved in.

    Args:
        folder: a Hugging Face folder.
        weights: False: shapes alone, to learn what conversations and images cost it.

    Raises:
        ModelError: weights are missing, or nothing says which template it was tuned with.
    """
    with parts.clear_errors(folder, "a Qwen-VL"):
        network = parts.load_saved(folder, weights=weights)
        tokenizer = open_tokenizer(folder)
        parts.check_tokenizer(tokenizer, folder)
    return QwenVLModel(
        network,
        tokenizer,
        processor=parts.load_image_processor(folder),
        template=template_in(folder, tokenizer.chat_template),
        sources=read_note(folder).parts,
    )


def assemble(plan: PartsPlan) -> Model:
    """Refuse: the tower of a Qwen-VL is its own, so none is put together from parts."""
    raise ModelError(
        f"family 'qwen_vl' is not put together from parts (here {plan.vision}): "
        "open a checkpoint, e.g. `open: Qwen/Qwen2.5-VL-3B-Instruct`."
    )


TOWERS: Mapping[str, Mapping[str, object]] = {
    "qwen2_vl": {"embed_dim": 32, "hidden_size": 48, "mlp_ratio": 2},
    "qwen2_5_vl": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "out_hidden_size": 48,
        "window_size": 16,
        "fullatt_block_indexes": [1],
    },
    "qwen3_vl": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "out_hidden_size": 48,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0, 1],
    },
}
"""Sizes of the toys' towers."""


def tiny(seed: int, *, kind: str = "qwen2_vl", template: str = "mantis_qwen2_vl_clean") -> QwenVLModel:
    """Return a Qwen-VL with random weights: squares of 8 pixels, one token a byte.

    Args:
        seed: of the weights.
        kind: its ``model_type``, one of ``TOWERS``.
        template: name of its chat template.
    """
    tokenizer = toys.toy_tokenizer()
    marks = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    start, end, image, video = (tokenizer.get_added_vocab()[mark] for mark in marks)
    text = toys.toy_llama(tokenizer, tied=False).to_dict()
    shared = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    more = ("num_key_value_heads", "max_position_embeddings", "bos_token_id", "eos_token_id", "pad_token_id")
    tower = {"depth": 2, "num_heads": 4, "patch_size": 4, "temporal_patch_size": 2, "in_channels": 3}
    config = AutoConfig.for_model(
        kind,
        text_config={name: text[name] for name in (*shared, *more)}
        | {"head_dim": 12, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 2, 2]}},
        vision_config={**tower, "spatial_merge_size": 2, **TOWERS[kind]},
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
        tie_word_embeddings=False,
    )
    network = toys.seeded(seed, lambda: AutoModelForImageTextToText.from_config(config)).float().eval()
    toys.enliven(network, seed=seed)
    processor = Qwen2VLImageProcessorPil(patch_size=4, size={"shortest_edge": 64, "longest_edge": 1024})
    chosen = find_template(template)
    network.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(chosen.stop)
    return QwenVLModel(network, tokenizer, processor=cast(ImageProcessor, processor), template=chosen, sources={})


FAMILY = Family(
    about="a tower for pictures of any size + a language model with positions along time, height and width",
    model_types=("qwen2_vl", "qwen2_5_vl", "qwen3_vl"),
    assemble=assemble,
    open=open_folder,
    outline=outline_by(assemble, open_folder),
    samples={kind: partial(tiny, kind=kind) for kind in TOWERS},
)
