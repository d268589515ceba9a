"""Flamingo: OpenFlamingo and Otter. Images and videos stand beside the words, which see them by cross-attention.

Sources: Alayrac et al. 2022, arXiv:2204.14198; OpenFlamingo, arXiv:2308.01390; Otter, arXiv:2305.03726. The network is
our own (``models/flamingo``), as transformers has none. A medium costs the conversation one position, the token
``<image>``; a word sees the medium before it in its own conversation, so that a demonstration's words see its own image
alone. Each image is a medium, so that the order of a pair shows; with ``adjacent_images_are_frames`` in config.json, or
with embeddings for several frames and no such key, images with nothing between them are the frames of one medium and
have one ``<image>``, as Otter's own code writes it.

Shapes: N images, P feature positions of an image, C channels of the tower, L latents a medium, M media a row, B rows,
T tokens a row, A axes of positions, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import torch
from PIL.Image import Image
from pydantic import Field
from torch import Tensor, nn
from transformers import (
    Cache,
    CLIPImageProcessorPil,
    PreTrainedTokenizerBase,
)

from triptych.core.config import Settings
from triptych.core.errors import ModelError
from triptych.data.batch import Batch
from triptych.data.plan.costs import Cost, Fixed
from triptych.data.plan.rendering import Rendering
from triptych.data.template import Template, find_template
from triptych.models import parts, toys
from triptych.models.disk.folder import NOTE, Saved, read_note, template_in
from triptych.models.disk.locate import Provenance, locate, provenance
from triptych.models.disk.tokenizer import open_tokenizer
from triptych.models.family import Family, Model, PartsPlan, Seen, Woven
from triptych.models.flamingo.config import FlamingoConfig
from triptych.models.flamingo.join import join, name_image_token, teach
from triptych.models.flamingo.language import cross_attention_of, plain_language
from triptych.models.flamingo.media import Mark, Medium, media_of
from triptych.models.flamingo.network import FlamingoForConditionalGeneration
from triptych.models.flamingo.toys import FILMS, toy_mpt, toy_network
from triptych.models.join import whole_processor
from triptych.models.memory.transfer import send
from triptych.models.parts import ImageProcessor, Language
from triptych.models.splice import count_marks
from triptych.models.vision.fingerprint import Fingerprint
from triptych.models.vision.preprocess import processed

COSTS = {False: Fixed(1), True: Fixed(1, frame=1, joins=True)}
"""A medium's token, by whether neighbouring images are one; what it shows stands beside the words."""
JOINING = ("adjacent_images_are_frames", "max_num_frames")
"""Settings that say it."""
USUAL = {"otter": "otter"}
"""Templates of published folders that name none, by their ``model_type``."""


def clip_cropped(side: int) -> CLIPImageProcessorPil:
    """Return OpenFlamingo's image preparation, CLIP's own: what is beside the square in the middle is cut away."""
    return CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})


def otter_squashed(side: int) -> CLIPImageProcessorPil:
    """Return the image preparation of Otter's training: the whole image as a square, statistics of three digits."""
    return CLIPImageProcessorPil(
        size={"height": side, "width": side},
        do_center_crop=False,
        image_mean=[0.481, 0.458, 0.408],
        image_std=[0.269, 0.261, 0.276],
    )


PREPARATION = {"flamingo": clip_cropped, "otter": otter_squashed}
"""Image processors by the ``model_type`` of folders without; each takes the side of the tower's images in pixels."""


class FlamingoModel(Model):
    """An opened Flamingo."""

    network: FlamingoForConditionalGeneration
    splices = False

    def __init__(
        self,
        network: FlamingoForConditionalGeneration,
        tokenizer: PreTrainedTokenizerBase,
        *,
        processor: ImageProcessor,
        template: Template,
        sources: Mapping[str, Provenance],
    ) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.template = template
        self.family = "flamingo"
        self.image_token_id = int(network.config.image_token_id)
        self.processor = processor
        self.sources = dict(sources)
        self._fingerprint = Fingerprint()

    @property
    def cost(self) -> Cost:
        """One position a medium, whatever the image."""
        return COSTS[bool(self.network.config.adjacent_images_are_frames)]

    @property
    def body(self) -> nn.Module:
        """The language model without its head, cross-attention within."""
        return self.network.body

    def pixels(self, image: Image) -> Seen:
        """Return the image at the tower's size, normalised: CHW, float32."""
        return processed(self.processor, image)

    def encode(self, images: Sequence[Seen]) -> list[Seen]:
        """Return features_PC of each, float32: the tower's last layer, without its class token."""
        if not images:
            return []
        with parts.seeing(self.network.vision_encoder):
            features_NPC = self.network.see(torch.stack([image.values for image in images])).float()
        return [Seen(values, image.size) for values, image in zip(features_NPC, images, strict=True)]

    def project(self, features: Sequence[Seen], counts: Sequence[int] | None = None) -> list[Tensor]:
        """Return latents_LC of each image as a medium of its own, the first of its conversation."""
        alone = [Medium(row=0, start=0, stop=0, next=0, images=(at,), number=0) for at in range(len(features))]
        return self.network.resample([seen.values for seen in features], alone)

    def weave(self, batch: Batch, features: Sequence[Seen]) -> Woven:
        """Return the batch's words, and beside them ``media`` [B, M, L, C] and ``sees`` [B, T, M]."""
        media = media_of(
            list(self._marks(batch, images=len(features))),
            batch.segments_BT,
            join_adjacent=self.network.config.adjacent_images_are_frames,
        )
        rows, width = batch.ids_BT.shape
        media_inputs = self.network.place([seen.values for seen in features], media, shape=(rows, width))
        words_BTH = self.network.get_input_embeddings()(send(batch.ids_BT, self.device))
        return Woven(words_BTH, send(batch.positions_BT[None], self.device), batch.segments_BT, media_inputs)

    def _marks(self, batch: Batch, *, images: int) -> Iterator[Mark]:
        """Yield where each image stands: one without a mark of its own at that of the image before it."""
        marked_BT = batch.ids_BT == self.image_token_id
        counts = count_marks(marked_BT, batch.slots, images=images)
        for slot in batch.slots:
            shares = self.cost.joins and slot.stop == slot.start > 0
            column = slot.start - shares
            if counts[slot.image] != (not shares) or not marked_BT[slot.row, column]:
                raise ModelError(
                    f"image {slot.image} has {counts[slot.image]} image marks, not 1. "
                    "Render with the model's own `rendering`."
                )
            yield Mark(slot.row, column, slot.image)

    def hidden(self, woven: Woven) -> Tensor:
        """Return hidden_BTH after the body's last norm."""
        return self._packs.hidden(
            woven.embeds_BTH, woven.segments_BT, positions_ABT=woven.positions_ABT, **woven.extra_inputs
        )

    def run(self, woven: Woven, *, mask: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """Return logits_BV of the last position, and the cache of all, which carries the media."""
        found = self.network(
            inputs_embeds=woven.embeds_BTH,
            attention_mask=mask,
            position_ids=woven.positions_ABT[0],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **woven.extra_inputs,
        )
        assert found.past_key_values is not None
        return found.logits[:, -1], found.past_key_values

    def inputs(self, batch: Batch, images: Sequence[Seen]) -> dict[str, Tensor]:
        """Return what the network's ``forward`` and ``generate`` take: see the base; and the frames of each mark."""
        given = super().inputs(batch, images)
        if not self.cost.joins or not batch.slots:
            return given
        begins = [at for at, slot in enumerate(batch.slots) if slot.stop > slot.start]
        counts = [after - at for at, after in zip(begins, [*begins[1:], len(batch.slots)], strict=True)]
        return given | {"frames": torch.tensor(counts)}

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the three parts; ``language`` has the names of the causal language model it was made from."""
        connecting = {
            "perceiver": self.network.perceiver,
            "gated_cross_attn_layers": cross_attention_of(self.network.lang_encoder),
        }
        return {
            "vision": self.network.vision_encoder,
            "projector": nn.ModuleDict(connecting),
            "language": plain_language(self.network.lang_encoder),
        }

    def fingerprint(self) -> str:
        """Return a sha256 of the tower's weights, the image preparation and which features are taken."""
        config = self.network.config
        how = ["flamingo", config.vision_feature_select_strategy, self.processor.to_json_string()]
        return self._fingerprint.of(self.network.vision_encoder, settings=config.vision_config.to_dict(), how=how)

    def processors(self) -> Sequence[Saved]:
        """Return processor and tokenizer. Plain transformers opens the folder once ``flamingo.network`` is imported."""
        return (
            whole_processor(self.network.config, self.processor, tokenizer=self.tokenizer, tokens=1),
            self.tokenizer,
            self.processor,
        )


Count = Annotated[int, Field(ge=1)]


class Between(Settings):
    """What a recipe may say of what stands between tower and language model: keys of ``FlamingoConfig``."""

    cross_attn_every_n_layers: Count = 4
    """Left out: chosen so that there are eight blocks of cross-attention."""
    only_attend_immediate_media: bool = True
    max_num_frames: Count = 1
    """Left out: frames have no embeddings. The same holds for ``max_num_media``."""
    max_num_media: Count = 1
    adjacent_images_are_frames: bool = False
    """Left out: true if ``max_num_frames`` is more than 1."""
    resampler_depth: Count = 6
    resampler_latents: Count = 64
    cross_attn_heads: Count = 8
    cross_attn_head_dim: Count = 64
    feed_forward_times: Count = 4


def assemble(plan: PartsPlan) -> Model:
    """Load the parts and put them together, all gates closed; the plan's ``projector`` is of no effect.

    Raises:
        NotFoundError: a part is not there.
        ModelError: the parts do not fit together.
    """
    if plan.projector_weights is not None:
        raise ModelError("model.parts.projector_weights: a flamingo has a resampler, no projector; leave the key out.")
    seen = locate(plan.vision, image_tokens=plan.image_tokens)
    spoken = locate(plan.language)
    vision, language = parts.load_vision(seen), parts.load_language(spoken)
    template = find_template(plan.template)
    return FlamingoModel(
        join(vision, language, template=template, seed=plan.seed, settings=plan.settings),
        language.tokenizer,
        processor=vision.processor,
        template=template,
        sources={
            "vision": provenance(plan.vision, seen),
            "language": provenance(plan.language, spoken),
        },
    )


def open_folder(folder: Path, *, weights: bool = True) -> Model:
    """Open a saved folder, ours or a published one, with the dtype it was saved in.

    Args:
        folder: a Hugging Face folder with a tokenizer.
        weights: False: shapes alone, to learn what conversations and images cost it.

    Raises:
        ModelError: weights are missing, or nothing says which template it was tuned with.
    """
    with parts.clear_errors(folder, "a flamingo"):
        network = parts.load_saved(folder, weights=weights)
        tokenizer = open_tokenizer(folder)
    assert isinstance(network, FlamingoForConditionalGeneration)
    name_image_token(network, tokenizer)
    return FlamingoModel(
        network,
        tokenizer,
        processor=_processor(folder, network),
        template=_template(folder, network, tokenizer),
        sources=read_note(folder).parts,
    )


def outline(what: PartsPlan | Path) -> Rendering:
    """Return what conversations cost such a model, from configurations alone; raises as ``assemble`` and ``open``."""
    if isinstance(what, Path):
        return open_folder(what, weights=False).rendering
    template = find_template(what.template)
    locate(what.vision, image_tokens=what.image_tokens)
    spoken = locate(what.language)
    with parts.clear_errors(spoken, "a tokenizer"):
        tokenizer = open_tokenizer(spoken)
    said: dict[str, Any] = {key: what.settings[key] for key in JOINING if key in what.settings}
    cost = COSTS[bool(FlamingoConfig(**said).adjacent_images_are_frames)]
    return Rendering(template, tokenizer, teach(tokenizer, template), cost)


def _processor(folder: Path, network: FlamingoForConditionalGeneration) -> ImageProcessor:
    """Return the folder's image preparation; for a published folder that has none, what it was trained with."""
    if (folder / "preprocessor_config.json").is_file() or (folder / "processor_config.json").is_file():
        return parts.load_image_processor(folder)
    side = network.config.vision_config.image_size
    return cast(ImageProcessor, PREPARATION[network.config.model_type](side))


def _template(folder: Path, network: FlamingoForConditionalGeneration, tokenizer: PreTrainedTokenizerBase) -> Template:
    usual = USUAL.get(network.config.model_type)
    if usual is not None and not (folder / NOTE).is_file() and tokenizer.chat_template is None:
        return find_template(usual)
    return template_in(folder, tokenizer.chat_template)


def _sample(language: str, films: bool, seed: int) -> FlamingoModel:
    spoken: Language = toy_mpt(seed) if language == "mpt" else toys.LANGUAGES[language](seed)
    template = find_template("otter_simple")
    network, processor = toy_network(spoken, template, seed=seed, settings=FILMS if films else {})
    sources = {"vision": toys.PROVENANCE, "language": toys.PROVENANCE}
    return FlamingoModel(network, spoken.tokenizer, processor=processor, template=template, sources=sources)


FAMILY = Family(
    about="OpenFlamingo, Otter: perceiver resampler and gated cross-attention in a Llama, MPT, Qwen or GPT-NeoX",
    model_types=("flamingo", "otter"),
    assemble=assemble,
    open=open_folder,
    outline=outline,
    settings=Between,
    samples={
        "llama": partial(_sample, "llama", False),
        "mpt": partial(_sample, "mpt", False),
        "films": partial(_sample, "llama", True),
    },
)
