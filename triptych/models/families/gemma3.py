"""Gemma 3: a SigLIP tower, patches averaged in squares, a language model with windows; an image sees itself whole.

Source: Gemma Team 2025, arXiv:2503.19786. The class of transformers, ``Gemma3ForConditionalGeneration``, is adapted and
not changed. Every picture is squeezed to one square (896 pixels) and makes 256 tokens, which see each other in both
directions, in training and in a prompt; words stay causal. Five layers of six look through a window of positions.
Words are scaled by the root of the hidden size as they leave the table, tokens of images are not.

Averaging has no weights and is done before features are kept: they are 256 of a picture, not its 4,096 patches.
Pan and scan (cut-outs of long pictures) is off, as published; a folder that has it on is refused.

Shapes: N images, C channels, H x W pixels, P squares of an image (= K tokens), D size of the tower; in tokens H is the
hidden size; B rows, T tokens a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor, nn
from transformers import (
    Cache,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessorPil,
    Gemma3Processor,
    Gemma3TextConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
    SiglipVisionConfig,
)

from triptych.core.errors import ModelError
from triptych.data.batch import Batch
from triptych.data.plan.cost_config import cost_of_config
from triptych.data.plan.costs import Cost
from triptych.data.plan.rendering import Rendering
from triptych.data.template import Template, find_template
from triptych.models import parts, toys
from triptych.models.attention.blocks import blocks_of
from triptych.models.disk.folder import Saved, read_note, template_in
from triptych.models.disk.locate import Provenance
from triptych.models.disk.recognise import STANDS_FOR, for_processor
from triptych.models.disk.tokenizer import as_filed
from triptych.models.family import Family, Model, PartsPlan, Seen, Woven, plain_words
from triptych.models.memory.transfer import send
from triptych.models.outline import outline_by
from triptych.models.vision.fingerprint import Fingerprint
from triptych.models.vision.preprocess import processed

BEGIN, END, TOKEN = STANDS_FOR["gemma3"], "<end_of_image>", "<image_soft_token>"
AROUND = (f"\n\n{BEGIN}", f"{END}\n\n")
"""What the published processor writes before and after an image's tokens."""
TYPES = "token_type_ids"
"""What transformers calls which tokens are those of images: 1 where they are."""


class Gemma3Model(Model):
    """An opened Gemma 3."""

    family = "gemma3"

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
        return self.network.get_submodule("model.language_model")

    @property
    def _tower(self) -> nn.Module:
        return self.network.get_submodule("model.vision_tower")

    @property
    def _projector(self) -> nn.Module:
        return self.network.get_submodule("model.multi_modal_projector")

    @cached_property
    def cost(self) -> Cost:
        """One number of tokens for every image, as all are squeezed to one size."""
        return cost_of_config(self.network.config.to_dict(), self.processor.image_processor.to_dict())

    @property
    def rendering(self) -> Rendering:
        """How conversations become its tokens. Raises ModelError: the template writes images in another way."""
        template = self.template
        if (template.image_before, template.image_after) != AROUND or template.image_between is not None:
            raise ModelError(
                f"template {template.name!r} does not write {BEGIN} and {END} around images, with the two line ends on "
                "either side that Gemma 3's processor always puts there: take `template: gemma3`."
            )
        return super().rendering

    def pixels(self, image: Image) -> Seen:
        """Return the image at the tower's size, normalised: CHW, float32."""
        return processed(self.processor.image_processor, image)

    def encode(self, images: Sequence[Seen]) -> list[Seen]:
        """Return features_PD of each, float32: the tower's last output, averaged in squares."""
        if not images:
            return []
        tower = self._tower
        weight = next(tower.parameters())
        with parts.seeing(tower):
            pixels_NCHW = torch.stack([image.values for image in images])
            patches_NPD = tower(send(pixels_NCHW, weight.device, dtype=weight.dtype)).last_hidden_state
            side = int(self._projector.patches_per_image)  # type: ignore[arg-type]
            map_NDHW = patches_NPD.transpose(1, 2).unflatten(2, (side, side))
            squares_NDP = self._projector.get_submodule("avg_pool")(map_NDHW).flatten(2)
        features_NPD = squares_NDP.transpose(1, 2).float()
        return [Seen(values_PD, image.size) for values_PD, image in zip(features_NPD, images, strict=True)]

    def project(self, features: Sequence[Seen], counts: Sequence[int] | None = None) -> list[Tensor]:
        """Return tokens_KH of each; K = P, whatever room there is."""
        weight_DH = self._projector.get_parameter("mm_input_projection_weight")
        features_NPD = send(torch.stack([seen.values for seen in features]), weight_DH.device, dtype=weight_DH.dtype)
        return list(torch.matmul(self._projector.get_submodule("mm_soft_emb_norm")(features_NPD), weight_DH))

    def weave(self, batch: Batch, features: Sequence[Seen]) -> Woven:
        """Return words and images, and which tokens are those of images, where there are any."""
        woven = super().weave(batch, features)
        return replace(woven, extra_inputs={TYPES: self._types(batch)}) if batch.slots else woven

    def _types(self, batch: Batch) -> Tensor:
        return (batch.ids_BT == self.image_token_id).long()

    def hidden(self, woven: Woven) -> Tensor:
        """Return the last hidden_BTH; an image's tokens see each other, and no conversation of a row sees another."""
        types_BT = woven.extra_inputs.get(TYPES)
        return self._packs.hidden(
            woven.embeds_BTH,
            woven.segments_BT,
            positions_ABT=woven.positions_ABT,
            blocks_BT=None if types_BT is None else blocks_of(types_BT == 1, woven.segments_BT),
        )

    def run(self, woven: Woven, *, mask: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """Return logits_BV of the last position, and the cache of all."""
        types_BT = woven.extra_inputs.get(TYPES)
        if types_BT is None:
            return super().run(woven, mask=mask, cache=cache)
        known = mask.shape[-1] - types_BT.shape[-1]  # in the cache; of these no image goes on
        found = self.network(
            inputs_embeds=woven.embeds_BTH,
            attention_mask=mask,
            position_ids=woven.positions_ABT[0],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            token_type_ids=nn.functional.pad(types_BT, (known, 0)),
        )
        return found.logits[:, -1], found.past_key_values

    def inputs(self, batch: Batch, images: Sequence[Seen]) -> dict[str, Tensor]:
        """Return what the network's own forward takes: a conversation a row."""
        words = plain_words(batch)
        if not batch.slots:
            return words
        shown = torch.stack([images[slot.image].values for slot in batch.slots])
        return words | {TYPES: self._types(batch), "pixel_values": shown}

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the three parts; ``projector`` is a norm and a matrix."""
        return {"vision": self._tower, "projector": self._projector, "language": self.language_part}

    def fingerprint(self) -> str:
        """Return a sha256 of the tower's weights, the image preparation and how patches are averaged."""
        config = self.network.config
        how = [config.model_type, config.mm_tokens_per_image, self.processor.image_processor.to_json_string()]
        return self._fingerprint.of(self._tower, settings=config.vision_config.to_dict(), how=how)

    def processors(self) -> Sequence[Saved]:
        """Return processor and tokenizer, with the chat template: what ``AutoProcessor`` needs."""
        self.processor.chat_template = self.tokenizer.chat_template = for_processor(self.template, BEGIN)
        return (self.processor, self.tokenizer, self.processor.image_processor)


def open_folder(folder: Path, *, weights: bool = True) -> Model:
    """Open a saved folder, ours or anybody's Gemma 3, with the dtype it was saved in.

    Args:
        folder: a Hugging Face folder.
        weights: False: shapes alone, to learn what conversations and images cost it.

    Raises:
        ModelError: weights are missing, nothing says which template it was tuned with, or its processor shows pictures
            in another way than the published one.
    """
    with parts.clear_errors(folder, "a Gemma 3"):
        network = parts.load_saved(folder, weights=weights)
        processor = Gemma3Processor.from_pretrained(folder, backend="pil")
        parts.check_tokenizer(as_filed(processor.tokenizer, folder), folder)
    template = template_in(folder, processor.chat_template or processor.tokenizer.chat_template)
    model = Gemma3Model(network, processor, template=template, sources=read_note(folder).parts)
    _ = model.cost  # what cannot be counted is said now
    return model


def assemble(plan: PartsPlan) -> Model:
    """Refuse: the projector of a Gemma 3 fits its own tower and words, so none is put together from parts."""
    raise ModelError(
        f"family 'gemma3' is not put together from parts (here {plan.vision}): "
        "open a checkpoint, e.g. `open: google/gemma-3-4b-it`."
    )


def tiny(seed: int, *, window: int = 12, image_px: int = 16, template: str = "gemma3") -> Gemma3Model:
    """Return a Gemma 3 with random weights: pictures in squares of 8 pixels, one token a byte.

    Args:
        seed: of the weights.
        window: positions through which every other layer looks.
        image_px: side of a picture; 16 cost 4 tokens, 32 cost 16.
        template: name of its chat template.
    """
    tokenizer = toys.toy_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<start_of_turn>", "<end_of_turn>", BEGIN, END, TOKEN]})
    tokenizer._set_model_specific_special_tokens({"boi_token": BEGIN, "eoi_token": END, "image_token": TOKEN})
    added, words = tokenizer.get_added_vocab(), toys.toy_llama(tokenizer, tied=True).to_dict()
    shared = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    more = ("num_key_value_heads", "max_position_embeddings", "bos_token_id", "eos_token_id", "pad_token_id")
    config = Gemma3Config(
        text_config=Gemma3TextConfig(
            **{name: words[name] for name in (*shared, *more)},
            head_dim=12,
            query_pre_attn_scalar=12,
            sliding_window=window,
            layer_types=["sliding_attention", "full_attention"],
        ),
        vision_config=SiglipVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=image_px,
            patch_size=4,
            vision_use_head=False,
        ),
        mm_tokens_per_image=(image_px // 8) ** 2,
        boi_token_index=added[BEGIN],
        eoi_token_index=added[END],
        image_token_index=added[TOKEN],
    )
    network = toys.seeded(seed, lambda: Gemma3ForConditionalGeneration(config)).float().eval()
    toys.enliven(network, seed=seed)
    chosen = find_template(template)
    images = Gemma3ImageProcessorPil(size={"height": image_px, "width": image_px})
    processor = Gemma3Processor(images, tokenizer, image_seq_length=(image_px // 8) ** 2)
    network.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(chosen.stop)
    return Gemma3Model(network, processor, template=chosen, sources={})


FAMILY = Family(
    about="SigLIP, averaged to 256 tokens that see each other + a language model with windows (Gemma 3)",
    model_types=("gemma3",),
    assemble=assemble,
    open=open_folder,
    outline=outline_by(assemble, open_folder),
    samples={"windowed": tiny, "wide": partial(tiny, window=512)},
)
