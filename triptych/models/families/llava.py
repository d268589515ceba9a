"""LLaVA: a vision tower, a projector, a causal language model; image tokens stand among the words.

Source: Liu et al. 2023, arXiv:2304.08485. Two classes of transformers are adapted, neither is changed: towers that give
a row of tokens (CLIP, SigLIP, DINOv2) make a ``LlavaForConditionalGeneration``, convolutional towers that give a map
NCHW (EfficientNet, ResNet, ConvNext) a ``FastVlmForConditionalGeneration``. Not here: loading of parts
(``models/parts.py``) and joining them (``models/join.py``).

Shapes: N images, C channels and H x W pixels, P feature positions of an image, C channels of the tower, K tokens of an
image (= P), H hidden size of the language model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypedDict, cast

import torch
from PIL.Image import Image
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from triptych.core.errors import ModelError
from triptych.core.files import sha256_of
from triptych.data.plan.costs import Cost, Fixed
from triptych.data.plan.rendering import Rendering
from triptych.data.template import Template, find_template
from triptych.models import parts, toys
from triptych.models.disk.folder import Saved, read_note, template_in
from triptych.models.disk.llava_checkpoint import config_of, image_processor_of, open_network
from triptych.models.disk.llava_kind import is_original, words_folder
from triptych.models.disk.locate import Provenance, locate, provenance
from triptych.models.disk.projector_file import open_projector
from triptych.models.disk.tokenizer import open_tokenizer
from triptych.models.family import Family, Model, PartsPlan, Seen
from triptych.models.join import ACTIVATION, add_image_token, generation, join, whole_processor
from triptych.models.memory.transfer import send
from triptych.models.outline import outline_parts
from triptych.models.parts import ImageProcessor, Language, Vision
from triptych.models.vision.fingerprint import Fingerprint
from triptych.models.vision.preprocess import processed
from triptych.models.vision.tower_trial import named, shape_of


class LlavaModel(Model):
    """An opened LLaVA."""

    family = "llava"

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
        self.template = template
        self.image_token_id = int(network.config.image_token_id)
        self.processor = processor
        self.sources = dict(sources)
        self._fingerprint = Fingerprint()

    @property
    def body(self) -> nn.Module:
        """The language model without its head."""
        return self.network.get_submodule("model.language_model")

    @property
    def _tower(self) -> PreTrainedModel:
        return cast(PreTrainedModel, self.network.get_submodule("model.vision_tower"))

    @property
    def _projector(self) -> nn.Module:
        return self.network.get_submodule("model.multi_modal_projector")

    @cached_property
    def cost(self) -> Cost:
        """One number of tokens for every image, as all are resized to one size."""
        try:
            tall = parts.blank_pixels(self.processor, 48, height=96)
            wide = parts.blank_pixels(self.processor, 96, height=48)
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"the image processor cannot prepare a picture ({parts.reason(error)}): "
                "give preprocessor_config.json the settings that it was published with."
            ) from error
        if tall.shape != wide.shape:
            raise ModelError("the image processor gives pictures of differing sizes; family 'llava' needs one size.")
        self._tower.eval()
        return Fixed(shape_of(self._tower, self._taken, pixels=tall).shape[1])

    def pixels(self, image: Image) -> Seen:
        """Return the image at the tower's size, normalised: CHW, float32."""
        return processed(self.processor, image)

    def encode(self, images: Sequence[Seen]) -> list[Seen]:
        """Return features_PC of each, float32: the layers and positions that the configuration names."""
        if not images:
            return []
        with parts.seeing(self._tower):
            features_NPC = self._see(torch.stack([image.values for image in images]))
        return [Seen(values, image.size) for values, image in zip(features_NPC, images, strict=True)]

    def _see(self, pixels_NCHW: Tensor) -> Tensor:
        """Return features_NPC."""
        tower = self._tower.eval()
        weight = next(tower.parameters())
        return self._taken(tower, send(pixels_NCHW, weight.device, dtype=weight.dtype))

    def _taken(self, tower: Callable[..., Any], pixels_NCHW: Tensor) -> Tensor:
        """Return features_NPC: of what the tower gives, what the configuration names."""
        config = self.network.config
        if config.model_type == "fast_vlm":
            map_NCHW: Tensor = tower(pixels_NCHW).last_hidden_state
            return map_NCHW.flatten(2).transpose(1, 2).float()
        chosen = config.vision_feature_layer
        layers = [chosen] if isinstance(chosen, int) else list(chosen)
        states = tower(pixels_NCHW, output_hidden_states=layers).hidden_states
        first = 1 if config.vision_feature_select_strategy == "default" else 0
        return torch.cat([states[layer][:, first:] for layer in layers], dim=-1).float()

    def project(self, features: Sequence[Seen], counts: Sequence[int] | None = None) -> list[Tensor]:
        """Return tokens_KH of each; K = P, whatever room there is."""
        weight = next(self._projector.parameters())
        features_NPC = torch.stack([seen.values for seen in features])
        return list(self._projector(send(features_NPC, weight.device, dtype=weight.dtype)))

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the three parts; ``language`` has the names of the causal language model it was made from."""
        return {"vision": self._tower, "projector": self._projector, "language": self.language_part}

    def fingerprint(self) -> str:
        """Return a sha256 of the tower's weights, the image preparation and which features are taken."""
        config = self.network.config
        taken = [config.model_type, config.vision_feature_layer, config.vision_feature_select_strategy]
        how = [*taken, self.processor.to_json_string()]
        return self._fingerprint.of(self._tower, settings=config.vision_config.to_dict(), how=how)

    def set_linear_projection(self, weight_CH: Tensor, bias_H: Tensor) -> None:
        """Make ``project(features)`` equal ``features @ weight_CH + bias_H``; the second layer keeps what it gets."""
        config = self.network.config
        if config.projector_hidden_act != ACTIVATION["linear"] or not config.multimodal_projector_bias:
            raise ModelError(
                "this model's projector is an mlp, which no linear map can be written into: "
                "choose `projector: linear`, or align it with a gradient stage."
            )
        first, second = self._projector.get_submodule("linear_1"), self._projector.get_submodule("linear_2")
        assert isinstance(first, nn.Linear)
        assert isinstance(second, nn.Linear)
        if weight_CH.shape != (first.in_features, first.out_features) or bias_H.shape != (first.out_features,):
            raise ModelError(f"a map of {tuple(weight_CH.shape)} does not fit this projector, {first}.")
        with torch.no_grad():
            first.weight.copy_(weight_CH.T)
            first.bias.copy_(bias_H)
            nn.init.eye_(second.weight)
            nn.init.zeros_(second.bias)

    def processors(self) -> Sequence[Saved]:
        """Return processor and tokenizer, with the chat template: what ``AutoProcessor`` needs."""
        tokens = self.cost.tokens((1, 1))
        processor = whole_processor(self.network.config, self.processor, tokenizer=self.tokenizer, tokens=tokens)
        return (processor, self.tokenizer, self.processor)


def put_together(
    vision: Vision, language: Language, *, plan: PartsPlan, sources: Mapping[str, Provenance]
) -> LlavaModel:
    """Return a model of loaded parts; ``plan`` says what stands between them.

    Raises:
        ModelError: the parts do not fit together, or an image costs other than the plan's tokens.
    """
    template = find_template(plan.template)
    network = join(vision, language, template=template, projector=plan.projector, seed=plan.seed)
    if plan.projector_weights is not None:
        projector = network.get_submodule("model.multi_modal_projector")
        file = open_projector(projector, plan.projector_weights, kind=plan.projector)
        sources = {**sources, "projector": Provenance(plan.projector_weights, "", "unknown", sha256_of(file))}
    model = LlavaModel(network, language.tokenizer, processor=vision.processor, template=template, sources=sources)
    with named(plan.vision):
        tokens = model.cost.tokens((1, 1))
    if plan.image_tokens is not None and tokens != plan.image_tokens:
        raise ModelError(
            f"{plan.vision} gives {tokens} tokens an image, not {plan.image_tokens}: leave it to the tower."
        )
    return model


def assemble(plan: PartsPlan) -> Model:
    """Load the parts and put them together.

    Raises:
        NotFoundError: a part is not there.
        ModelError: the parts do not fit together.
    """
    seen = locate(plan.vision, image_tokens=plan.image_tokens)
    spoken = locate(plan.language)
    sources = {
        "vision": provenance(plan.vision, seen),
        "language": provenance(plan.language, spoken),
    }
    return put_together(parts.load_vision(seen), parts.load_language(spoken), plan=plan, sources=sources)


def open_folder(folder: Path, *, weights: bool = True) -> Model:
    """Open a saved folder, ours or anybody's LLaVA, with the dtype it was saved in.

    Args:
        folder: a Hugging Face folder.
        weights: False: shapes alone, to learn what conversations and images cost it.

    Raises:
        ModelError: weights are missing, its tower does not take its images, or nothing says which template it was
            tuned with.
    """
    model = LlavaModel(**open_parts(folder, "a LLaVA", weights=weights))
    if weights:
        with named(folder):
            _ = model.cost  # what its tower does not take is said now, and not in the first pass
    return model


class OpenedParts(TypedDict):
    """What a folder holds, as a model of this kind takes it."""

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    processor: ImageProcessor
    template: Template
    sources: Mapping[str, Provenance]


def open_parts(folder: Path, what: str, *, weights: bool) -> OpenedParts:
    """Open what a folder holds: one of transformers, or of LLaVA's own code (``models/disk/llava_checkpoint.py``).

    Args:
        folder: holds a config.json.
        what: it should be, for messages: ``a LLaVA``.
        weights: False: shapes alone.

    Raises:
        NotFoundError: a part that it names is not there.
        ModelError: weights are missing, or nothing says which template it was tuned with.
    """
    with parts.clear_errors(folder, what):
        config, words = config_of(folder), words_folder(folder)
        tokenizer = open_tokenizer(words, config=config)
        template = template_in(folder, tokenizer.chat_template, words=words)
        if is_original(folder):
            network = open_network(folder, weights=weights)
            processor = image_processor_of(folder)
            token = add_image_token(Language(network, tokenizer), template)
            network.config.image_token_index = token
            network.generation_config = generation(template, tokenizer)
        else:
            network = parts.load_saved(folder, weights=weights)
            processor = parts.load_image_processor(folder)
    _check_layers(network.config, folder)
    sources = read_note(folder).parts
    return OpenedParts(network=network, tokenizer=tokenizer, processor=processor, template=template, sources=sources)


def _check_layers(config: PreTrainedConfig, folder: Path) -> None:
    """Refuse layers that the tower has not; 0 is what it gives its first one."""
    chosen = getattr(config, "vision_feature_layer", None)
    count = getattr(config.vision_config, "num_hidden_layers", None)
    if chosen is None or count is None:
        return
    for layer in [chosen] if isinstance(chosen, int) else chosen:
        if not -count - 1 <= layer <= count:
            raise ModelError(
                f"{folder}: vision_feature_layer is {chosen} in config.json, but its tower has {count} layers: "
                f"give numbers from {-count - 1} to {count}."
            )


def outline(what: PartsPlan | Path) -> Rendering:
    """Return what conversations cost such a model, from configurations alone; raises as ``assemble`` and ``open``."""
    if isinstance(what, PartsPlan):
        return outline_parts(what)
    return open_folder(what, weights=False).rendering


def toy(plan: PartsPlan) -> LlavaModel:
    """Return a LLaVA of toy parts, their weights from the plan's seed; for ``tiny`` and for tests.

    Raises:
        ModelError: no toy part is called so.
    """
    if plan.vision not in toys.TOWERS or plan.language not in toys.LANGUAGES:
        raise ModelError(
            f"toy parts are vision: {', '.join(toys.TOWERS)} and language: {', '.join(toys.LANGUAGES)}, "
            f"not vision: {plan.vision} and language: {plan.language}."
        )
    vision, language = toys.TOWERS[plan.vision](plan.seed), toys.LANGUAGES[plan.language](plan.seed)
    return put_together(vision, language, plan=plan, sources={"vision": toys.PROVENANCE, "language": toys.PROVENANCE})


def _sample(vision: str, seed: int) -> LlavaModel:
    return toy(
        PartsPlan(vision=vision, language="llama", projector="linear", image_tokens=None, template="chatml", seed=seed)
    )


FAMILY = Family(
    about="any vision tower + projector + any causal language model of transformers",
    model_types=("llava", "fast_vlm"),
    assemble=assemble,
    open=open_folder,
    outline=outline,
    samples={vision: partial(_sample, vision) for vision in toys.TOWERS},
)
