"""Idefics2: a SigLIP tower for images of any shape, a perceiver resampler, a causal language model.

Source: Laurençon et al. 2024, arXiv:2405.02246; Mantis-Idefics2 (arXiv:2405.01483). The class of transformers,
``Idefics2ForConditionalGeneration``, is adapted and not changed. An image keeps its shape: it is resized within
limits and the tower sees its patches; the resampler makes the same number of tokens (64) of any number of them. With
``do_image_splitting`` an image is shown as four quarters and the whole.

transformers' own processor writes a space between an image and a word that follows it at once. Mantis' did not, and it
is not written here: what the conversation says is what is read.

Shapes: N parts of several images, C channels, H x W pixels, S parts of an image (1, or 5 where it is split), P patches
of a part, D size of the tower, K tokens of an image; in tokens H is the hidden size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import torch
from PIL.Image import Image
from torch import Tensor, nn
from transformers import (
    AutoProcessor,
    Idefics2Config,
    Idefics2ForConditionalGeneration,
    Idefics2ImageProcessorPil,
    Idefics2Processor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)
from transformers.models.idefics2.configuration_idefics2 import Idefics2PerceiverConfig, Idefics2VisionConfig

from triptych.core.errors import ModelError
from triptych.data.batch import Batch
from triptych.data.plan.cost_config import cost_of_config
from triptych.data.plan.costs import AROUND, Cost
from triptych.data.template import Template, find_template
from triptych.data.text.jinja import IMAGE_MARK
from triptych.models import parts, toys
from triptych.models.disk.folder import Saved, read_note, template_in
from triptych.models.disk.locate import Provenance
from triptych.models.disk.tokenizer import as_filed
from triptych.models.family import Family, Model, PartsPlan, Seen, plain_words
from triptych.models.memory.transfer import send
from triptych.models.outline import outline_by
from triptych.models.vision.fingerprint import Fingerprint

T = TypeVar("T")

SPECIALS = (AROUND, IMAGE_MARK, "<end_of_utterance>")
PARTS_AT_ONCE = 8
"""Parts of images that the connector is given at once: it makes 14,336 numbers of each of 4,900 patches."""


class Idefics2Model(Model):
    """An opened Idefics2."""

    family = "idefics2"

    def __init__(
        self,
        network: PreTrainedModel,
        processor: ProcessorMixin,
        *,
        template: Template,
        sources: Mapping[str, Provenance],
    ) -> None:
        self.network = network
        self.processor = processor
        self.tokenizer: PreTrainedTokenizerBase = processor.tokenizer
        self.template = template
        self.image_token_id = int(network.config.image_token_id)
        self.sources = dict(sources)
        self._fingerprint = Fingerprint()

    @property
    def body(self) -> nn.Module:
        """The language model without its head."""
        return self.network.get_submodule("model.text_model")

    @property
    def _tower(self) -> nn.Module:
        return self.network.get_submodule("model.vision_model")

    @property
    def _connector(self) -> nn.Module:
        return self.network.get_submodule("model.connector")

    @cached_property
    def cost(self) -> Cost:
        """Tokens of an image: the number of the resampler's latents, for each of its parts."""
        return cost_of_config(self.network.config.to_dict(), self.processor.image_processor.to_dict())

    def pixels(self, image: Image) -> Seen:
        """Return pixels of the parts, [S, C + 1, H, W], float32: the last channel is 1 where there is an image.

        Parts of a split image differ in size; the smaller ones are padded.
        """
        size = image.size
        if min(size) < 2 and self.processor.image_processor.do_image_splitting:
            image = image.resize((max(2, size[0]), max(2, size[1])))  # one row of pixels has no quarters
        made = self.processor.image_processor(image, return_tensors="pt")
        values, real = made["pixel_values"][0].float(), made["pixel_attention_mask"][0].float()
        return Seen(torch.cat([values, real[:, None]], dim=1), size)

    def encode(self, images: Sequence[Seen]) -> list[Seen]:
        """Return features [S, P, D + 1] of each, float32: the last number is 1 where there is a patch, 0 in padding."""
        with parts.seeing(self._tower):
            return [
                Seen(features_SPD, image.size)
                for alike in _alike(images)
                for image, features_SPD in zip(alike, self._see([each.values for each in alike]), strict=True)
            ]

    def _see(self, images: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the features of images of one size, which the tower sees together."""
        tower, patch = self._tower, self.network.config.vision_config.patch_size
        weight = next(tower.parameters())
        pixels_NCHW = send(torch.cat(list(images)), weight.device, dtype=weight.dtype)
        real_NHW = pixels_NCHW[:, -1].unfold(1, patch, patch).unfold(2, patch, patch).sum(dim=(-1, -2)) == patch**2
        features_NPD = tower(pixels_NCHW[:, :-1], patch_attention_mask=real_NHW).last_hidden_state.float()
        marked = torch.cat([features_NPD, real_NHW.flatten(1)[..., None].to(features_NPD)], dim=-1)
        return list(marked.split([len(each) for each in images]))

    def project(self, features: Sequence[Seen], counts: Sequence[int] | None = None) -> list[Tensor]:
        """Return tokens_KH of each: those of its parts one after the other."""
        weight = next(self._connector.parameters())
        found: list[Tensor] = []
        for alike in _alike(features):
            marked_NPD = send(torch.cat([seen.values for seen in alike]), weight.device)
            tokens_NKH = torch.cat([self._connected(some, weight.dtype) for some in marked_NPD.split(PARTS_AT_ONCE)])
            found += [tokens.flatten(0, 1) for tokens in tokens_NKH.split([len(seen.values) for seen in alike])]
        return found

    def _connected(self, marked_NPD: Tensor, dtype: torch.dtype) -> Tensor:
        tokens_NKH: Tensor = self._connector(marked_NPD[..., :-1].to(dtype), attention_mask=marked_NPD[..., -1].bool())
        return tokens_NKH

    def inputs(self, batch: Batch, images: Sequence[Seen]) -> dict[str, Tensor]:
        """Return what the network's own forward takes, of one conversation."""
        words = plain_words(batch)
        shown = [part for slot in batch.slots for part in images[slot.image].values]
        if not shown:
            return words
        height, width = (max(part.shape[axis] for part in shown) for axis in (1, 2))
        padded = torch.stack(
            [nn.functional.pad(part, (0, width - part.shape[2], 0, height - part.shape[1])) for part in shown]
        )
        return words | {"pixel_values": padded[None, :, :-1], "pixel_attention_mask": padded[None, :, -1].long()}

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the three parts; ``projector`` is the connector: a projection and the resampler."""
        return {"vision": self._tower, "projector": self._connector, "language": self.language_part}

    def fingerprint(self) -> str:
        """Return a sha256 of the tower's weights and the image preparation."""
        config = self.network.config
        how = [config.model_type, self.processor.image_processor.to_json_string()]
        return self._fingerprint.of(self._tower, settings=config.vision_config.to_dict(), how=how)

    def processors(self) -> Sequence[Saved]:
        """Return processor and tokenizer, with the chat template: what ``AutoProcessor`` needs."""
        self.processor.chat_template = self.tokenizer.chat_template = _for_processor(self.template)
        return (self.processor, self.tokenizer, self.processor.image_processor)


def _for_processor(template: Template) -> str:
    """Return a template for a processor that puts the marks around images itself, and would make three of our two."""
    return template.jinja.replace(AROUND, "")


def _alike(seen: Iterable[Seen]) -> Iterable[list[Seen]]:
    """Yield runs of neighbours whose values have one shape: order stays, and what is alike goes together."""
    for _, run in groupby(seen, key=lambda each: tuple(each.values.shape[1:])):
        yield list(run)


def open_folder(folder: Path, *, weights: bool = True) -> Model:
    """Open a saved folder, ours or anybody's Idefics2, with the dtype it was saved in.

    Args:
        folder: a Hugging Face folder.
        weights: False: shapes alone, to learn what conversations and images cost it.

    Raises:
        ModelError: weights are missing, or nothing says which template it was tuned with.
    """
    with parts.clear_errors(folder, "an Idefics2"):
        network = parts.load_saved(folder, weights=weights)
        processor = AutoProcessor.from_pretrained(folder, backend="pil")
        parts.check_tokenizer(as_filed(processor.tokenizer, folder), folder)
    jinja = processor.chat_template or processor.tokenizer.chat_template
    template = template_in(folder, jinja)
    return Idefics2Model(network, processor, template=template, sources=read_note(folder).parts)


def assemble(plan: PartsPlan) -> Model:
    """Refuse: the tower of an Idefics2 is its own, so none is put together from parts."""
    raise ModelError(
        f"family 'idefics2' is not put together from parts (here {plan.vision}): "
        "open a checkpoint, e.g. `open: HuggingFaceM4/idefics2-8b`."
    )


def tiny(seed: int, *, split: bool = False, template: str = "mantis_idefics_2_clean") -> Idefics2Model:
    """Return an Idefics2 with random weights: patches of 8 pixels, 4 tokens a part, one token a byte."""
    tokenizer = toys.toy_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIALS)})
    language = toys.toy_llama(tokenizer, tied=False)
    config = Idefics2Config(
        text_config=language,
        vision_config=Idefics2VisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=32,
            patch_size=8,
        ),
        perceiver_config=Idefics2PerceiverConfig(
            hidden_size=language.hidden_size,
            resampler_n_latents=4,
            resampler_depth=2,
            resampler_n_heads=4,
            resampler_head_dim=12,
            num_key_value_heads=2,
            rms_norm_eps=language.rms_norm_eps,
        ),
        image_token_id=tokenizer.get_added_vocab()[IMAGE_MARK],
        tie_word_embeddings=False,
    )
    network = toys.seeded(seed, lambda: Idefics2ForConditionalGeneration(config)).float().eval()
    toys.enliven(network, seed=seed)
    images = Idefics2ImageProcessorPil(size={"shortest_edge": 16, "longest_edge": 40}, do_image_splitting=split)
    chosen = find_template(template)
    processor = Idefics2Processor(images, tokenizer, image_seq_len=4, chat_template=_for_processor(chosen))
    network.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(chosen.stop)
    return Idefics2Model(network, processor, template=chosen, sources={})


FAMILY = Family(
    about="SigLIP for pictures of any shape + perceiver resampler + a causal language model (Mantis-Idefics2)",
    model_types=("idefics2",),
    assemble=assemble,
    open=open_folder,
    outline=outline_by(assemble, open_folder),
    samples={"whole": tiny, "split": partial(tiny, split=True)},
)
