"""Idefics3 and SmolVLM: a SigLIP tower for square tiles, patches gathered in squares, a causal language model.

Source: Laurençon et al. 2024, arXiv:2408.12637; Mantis-Idefics3 (arXiv:2405.01483); SmolVLM (arXiv:2504.05299). The
classes of transformers are adapted and not changed; their modules have the names of Idefics2's. An image is cut into
rows and columns of tiles, each with its place marked among the words, and the whole comes last; without splitting there
is the whole alone.

Shapes: N tiles of several images, S tiles of an image with its whole, C channels, H x W pixels of a tile, P patches of
a tile, D size of the tower, K tokens of an image; in tokens H is the hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
)
from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig

from triptych.core.errors import ModelError
from triptych.data.batch import Batch
from triptych.data.plan.cost_config import cost_of_config
from triptych.data.plan.costs import AROUND, Cost
from triptych.data.plan.costs_tiled import WHOLE, Split
from triptych.data.template import find_template
from triptych.data.text.jinja import IMAGE_MARK
from triptych.models import parts, toys
from triptych.models.disk.folder import Saved, read_note, template_in
from triptych.models.disk.tokenizer import as_filed
from triptych.models.families.idefics2 import Idefics2Model
from triptych.models.family import Family, Model, PartsPlan, Seen, plain_words
from triptych.models.memory.transfer import send
from triptych.models.outline import outline_by
from triptych.models.vision.preprocess import processed


class Idefics3Model(Idefics2Model):
    """An opened Idefics3 or SmolVLM: the modules of an Idefics2 under the same names, shown tiles instead."""

    family = "idefics3"

    @cached_property
    def cost(self) -> Cost:
        """Tokens of an image by its size: its tiles and the whole, with the marks of their places."""
        cost = cost_of_config(self.network.config.to_dict(), self.processor.image_processor.to_dict())
        assert isinstance(cost, Split)
        return replace(cost, blank_line=len(self.tokenizer("\n\n", add_special_tokens=False)["input_ids"]))

    def pixels(self, image: Image) -> Seen:
        """Return pixels [S, C, H, W] of the tiles and the whole, float32."""
        return processed(self.processor.image_processor, image)

    def encode(self, images: Sequence[Seen]) -> list[Seen]:
        """Return features [S, P, D] of each, float32."""
        if not images:
            return []
        tower = self._tower
        weight = next(tower.parameters())
        with parts.seeing(tower):
            pixels_NCHW = send(torch.cat([image.values for image in images]), weight.device, dtype=weight.dtype)
            features_NPD = tower(pixels_NCHW).last_hidden_state.float()
        tiles = features_NPD.split([len(image.values) for image in images])
        return [Seen(values_SPD, image.size) for values_SPD, image in zip(tiles, images, strict=True)]

    def project(self, features: Sequence[Seen], counts: Sequence[int] | None = None) -> list[Tensor]:
        """Return tokens_KH of each: those of its tiles one after the other."""
        weight = next(self._connector.parameters())
        tokens = self._connector(send(torch.cat([seen.values for seen in features]), weight.device, dtype=weight.dtype))
        return [each.flatten(0, 1) for each in tokens.split([len(seen.values) for seen in features])]

    def inputs(self, batch: Batch, images: Sequence[Seen]) -> dict[str, Tensor]:
        """Return what the network's own forward takes, of one conversation."""
        words = plain_words(batch)
        if not batch.slots:
            return words
        tiles = torch.cat([images[slot.image].values for slot in batch.slots])[None]
        return words | {"pixel_values": tiles, "pixel_attention_mask": torch.ones_like(tiles[:, :, 0]).long()}

    def processors(self) -> Sequence[Saved]:
        """Return processor and tokenizer, with the chat template: what ``AutoProcessor`` needs."""
        self.processor.chat_template = self.tokenizer.chat_template = self.template.jinja
        return (self.processor, self.tokenizer, self.processor.image_processor)


def open_folder(folder: Path, *, weights: bool = True) -> Model:
    """Open a saved folder, ours or anybody's Idefics3 or SmolVLM, with the dtype it was saved in.

    Args:
        folder: a Hugging Face folder.
        weights: False: shapes alone, to learn what conversations and images cost it.

    Raises:
        ModelError: weights are missing, or nothing says which template it was tuned with.
    """
    with parts.clear_errors(folder, "an Idefics3"):
        network = parts.load_saved(folder, weights=weights)
        # Not AutoProcessor: what it makes of a SmolVLM2 wants torchvision, for videos; images are prepared alike.
        processor = Idefics3Processor.from_pretrained(folder, backend="pil")
        parts.check_tokenizer(as_filed(processor.tokenizer, folder), folder)
    template = template_in(folder, processor.chat_template or processor.tokenizer.chat_template)
    return Idefics3Model(network, processor, template=template, sources=read_note(folder).parts)


def assemble(plan: PartsPlan) -> Model:
    """Refuse: the tower of an Idefics3 is its own, so none is put together from parts."""
    raise ModelError(
        f"family 'idefics3' is not put together from parts (here {plan.vision}): "
        "open a checkpoint, e.g. `open: HuggingFaceM4/Idefics3-8B-Llama3`."
    )


def tiny(seed: int, *, split: bool = True, template: str = "mantis_idefics_3_clean") -> Idefics3Model:
    """Return an Idefics3 with random weights: tiles of 16 pixels that cost 4 tokens, one token a byte."""
    tokenizer = toys.toy_tokenizer()
    places = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    specials = [AROUND, IMAGE_MARK, WHOLE, "<end_of_utterance>", *places]
    tokenizer.add_special_tokens({"additional_special_tokens": specials})
    config = Idefics3Config(
        text_config=toys.toy_llama(tokenizer, tied=False),
        vision_config=Idefics3VisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=16,
            patch_size=4,
        ),
        scale_factor=2,
        image_token_id=tokenizer.get_added_vocab()[IMAGE_MARK],
        tie_word_embeddings=False,
    )
    network = toys.seeded(seed, lambda: Idefics3ForConditionalGeneration(config)).float().eval()
    toys.enliven(network, seed=seed)
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": 32}, max_image_size={"longest_edge": 16}, do_image_splitting=split
    )
    chosen = find_template(template)
    processor = Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=chosen.jinja)
    network.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(chosen.stop)
    return Idefics3Model(network, processor, template=chosen, sources={})


FAMILY = Family(
    about="SigLIP on square tiles with their places marked + a causal language model (Mantis-Idefics3, SmolVLM)",
    model_types=("idefics3", "smolvlm"),
    assemble=assemble,
    open=open_folder,
    outline=outline_by(assemble, open_folder),
    samples={"split": tiny, "whole": partial(tiny, split=False)},
)
