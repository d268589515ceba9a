"""LLaVA: a vision tower, a projector, a causal language model; image tokens stand among the words.

Source: Liu et al. 2023, arXiv:2304.08485. Two classes of transformers are adapted, neither is changed: towers that give
a row of tokens (CLIP, SigLIP, DINOv2) make a ``LlavaForConditionalGeneration``, convolutional towers that give a map
NCHW (EfficientNet, ResNet, ConvNext) a ``FastVlmForConditionalGeneration``. Not here: loading of parts
(``models/parts.py``) and joining them (``models/join.py``).

Shapes: N distinct images, P feature positions an image, C channels of the tower, K tokens an image (= P), H hidden
size of the language model, B rows, T tokens a row, V vocabulary.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from triptych.core.errors import ModelError
from triptych.core.files import part_folder, replace_folder
from triptych.core.records import ImageRef
from triptych.data.batch import BatchSlot
from triptych.data.plan.rendering import Rendering
from triptych.data.template import Template, find_template, template_names, template_of_jinja
from triptych.models import parts, toys
from triptych.models.attention import PackAttention
from triptych.models.family import Family, Model, PartsPlan
from triptych.models.join import ACTIVATION, join, whole_processor
from triptych.models.outline import outline_parts
from triptych.models.parts import ImageProcessor, Language, Provenance, Vision
from triptych.models.splice import splice

NOTE = "triptych.json"
"""What a saved folder says beside what Hugging Face folders say: the template's name, and whence the parts are."""

BOOKKEEPING = ("architectures", "dtype", "transformers_version")
"""What a tower's configuration says that changes nothing of what the tower gives."""


class LlavaModel(Model):
    """An opened LLaVA."""

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
        self.family = "llava"
        self.image_token_id = int(network.config.image_token_id)
        self.processor = processor
        self.sources = dict(sources)
        self._hashed: tuple[tuple[tuple[int, int], ...], str] | None = None
        self._packs = PackAttention(self._body, network.config.text_config)

    @property
    def _tower(self) -> nn.Module:
        return self.network.get_submodule("model.vision_tower")

    @property
    def _projector(self) -> nn.Module:
        return self.network.get_submodule("model.multi_modal_projector")

    @property
    def _body(self) -> nn.Module:
        return self.network.get_submodule("model.language_model")

    @cached_property
    def _feature_shape(self) -> tuple[int, int]:
        tall, wide = (parts.blank_pixels(self.processor, *size) for size in ((48, 96), (96, 48)))
        if tall.shape != wide.shape:
            raise ModelError("the image processor gives pictures of differing sizes; family 'llava' needs one size.")
        with torch.no_grad():
            positions, channels = self.encode(tall).shape[1:]
        return positions, channels

    def count_image_tokens(self, image: ImageRef) -> int:
        """Return K: the same for every picture, as all are brought to one size."""
        return self._feature_shape[0]

    def feature_shape(self) -> tuple[int, int]:
        """Return (P, C) of ``encode``."""
        return self._feature_shape

    def pixels(self, image: Image) -> Tensor:
        """Return the picture at the tower's size, normalised: CHW, float32."""
        return self.processor(image, return_tensors="pt")["pixel_values"][0].float()

    def encode(self, pixels_NCHW: Tensor) -> Tensor:
        """Return features_NPC, float32: the layers and positions that the configuration names."""
        tower, config = self._tower.eval(), self.network.config
        weight = next(tower.parameters())
        trained = any(each.requires_grad for each in tower.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and trained):
            pixels = pixels_NCHW.to(weight.device, weight.dtype)
            if config.model_type == "fast_vlm":
                map_NCHW: Tensor = tower(pixels).last_hidden_state
                return map_NCHW.flatten(2).transpose(1, 2).float()
            chosen = config.vision_feature_layer
            layers = [chosen] if isinstance(chosen, int) else list(chosen)
            states = tower(pixels, output_hidden_states=layers).hidden_states
            first = 1 if config.vision_feature_select_strategy == "default" else 0
            return torch.cat([states[layer][:, first:] for layer in layers], dim=-1).float()

    def project(self, features_NPC: Tensor) -> Tensor:
        """Return tokens_NKH; K = P."""
        weight = next(self._projector.parameters())
        tokens_NKH: Tensor = self._projector(features_NPC.to(weight.device, weight.dtype))
        return tokens_NKH

    def embed(self, ids_BT: Tensor, slots: Sequence[BatchSlot], tokens_NKH: Tensor | None) -> Tensor:
        """Return embeds_BTH with every slot filled; see ``models/splice.py`` for the errors."""
        table = self.network.get_input_embeddings()
        ids_BT = ids_BT.to(self.device)
        return splice(table(ids_BT), ids_BT == self.image_token_id, slots, tokens_NKH)

    def hidden(self, embeds_BTH: Tensor, *, segments_BT: Tensor | None, positions_BT: Tensor | None) -> Tensor:
        """Return hidden_BTH after the body's last norm."""
        return self._packs.hidden(embeds_BTH, segments_BT, positions_BT)

    def head(self, hidden_NH: Tensor) -> Tensor:
        """Return logits_NV."""
        logits_NV: Tensor = self.network.get_output_embeddings()(hidden_NH)
        return logits_NV

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the three parts; ``language`` has the names of the causal language model it was made from."""
        language = nn.ModuleDict({"model": self._body, "lm_head": self.network.get_output_embeddings()})
        return {"vision": self._tower, "projector": self._projector, "language": language}

    def fingerprint(self) -> str:
        """Return a sha256 of the tower's weights, the picture preparation and which features are taken."""
        weights = dict(sorted(self._tower.state_dict(keep_vars=True).items()))
        state = tuple((weight.data_ptr(), weight._version) for weight in weights.values())
        if self._hashed is not None and self._hashed[0] == state:
            return self._hashed[1]
        config = self.network.config
        how = [config.model_type, config.vision_feature_layer, config.vision_feature_select_strategy]
        settings = {
            key: value
            for key, value in config.vision_config.to_dict().items()
            if key not in BOOKKEEPING and not key.startswith("_")
        }
        digest = hashlib.sha256(json.dumps([how, settings], default=str, sort_keys=True).encode("utf-8"))
        digest.update(self.processor.to_json_string().encode("utf-8"))
        for name, weight in weights.items():
            digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
            digest.update(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        self._hashed = (state, digest.hexdigest())
        return self._hashed[1]

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

    def save(self, folder: Path) -> None:
        """Write the Hugging Face folder, with what ``AutoProcessor`` needs and a ``triptych.json``."""
        if any("lora_" in name for name, _ in self.network.named_parameters()):
            raise ModelError(f"{folder}: an adapter is not merged yet; merge it, or save its state alone.")
        if folder.is_dir() and any(folder.iterdir()) and not (folder / "config.json").is_file():
            raise ModelError(f"{folder} holds other things than a model. Save to another folder, or empty it.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside the folder first: whoever is killed while writing leaves no half model under the folder's name.
        work = part_folder(folder)
        try:
            with parts.quiet():
                self.network.save_pretrained(work)
            processor = whole_processor(
                self.network.config, self.processor, self.tokenizer, tokens=self._feature_shape[0]
            )
            processor.save_pretrained(work)
            self.tokenizer.save_pretrained(work)
            self.processor.save_pretrained(work)
            note = {
                "template": self.template.name,
                "image_tokens": self._feature_shape[0],
                "parts": {name: asdict(source) for name, source in self.sources.items()},
            }
            (work / NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
            work.chmod(0o755)
            replace_folder(folder, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def put_together(
    vision: Vision, language: Language, plan: PartsPlan, *, sources: Mapping[str, Provenance]
) -> LlavaModel:
    """Return a model of loaded parts; ``plan`` says what stands between them.

    Raises:
        ModelError: the parts do not fit together, or an image costs other than the plan's tokens.
    """
    template = find_template(plan.template)
    network = join(vision, language, template, projector=plan.projector, seed=plan.seed)
    model = LlavaModel(network, language.tokenizer, processor=vision.processor, template=template, sources=sources)
    tokens = model.feature_shape()[0]
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
    seen = parts.locate(plan.vision, image_tokens=plan.image_tokens)
    spoken = parts.locate(plan.language)
    sources = {
        "vision": parts.provenance(plan.vision, seen),
        "language": parts.provenance(plan.language, spoken),
    }
    return put_together(parts.load_vision(seen), parts.load_language(spoken), plan, sources=sources)


def open_folder(folder: Path, *, weights: bool = True) -> Model:
    """Open a saved folder, ours or anybody's LLaVA, with the dtype it was saved in.

    Args:
        folder: a Hugging Face folder.
        weights: False: shapes alone, to learn what conversations and images cost it.

    Raises:
        ModelError: weights are missing, or nothing says which template it was tuned with.
    """
    with parts.clear_errors(folder, "a LLaVA"):
        if weights:
            network = parts.load_network(partial(AutoModelForImageTextToText.from_pretrained, dtype="auto"), folder)
        else:
            with torch.device("meta"):
                network = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder))
        tokenizer = AutoTokenizer.from_pretrained(folder)
    note = json.loads((folder / NOTE).read_text(encoding="utf-8")) if (folder / NOTE).is_file() else {}
    return LlavaModel(
        network,
        tokenizer,
        processor=parts.load_image_processor(folder),
        template=_template(folder, note.get("template"), tokenizer.chat_template),
        sources={name: Provenance(**source) for name, source in note.get("parts", {}).items()},
    )


def outline(what: PartsPlan | Path) -> Rendering:
    """Return what conversations cost such a model, from configurations alone; raises as ``assemble`` and ``open``."""
    if isinstance(what, PartsPlan):
        return outline_parts(what)
    return open_folder(what, weights=False).rendering


def _template(folder: Path, name: str | None, jinja: str | None) -> Template:
    """Return the template a folder was tuned with: the noted one, else the one whose chat template it carries."""
    if name in template_names():
        return find_template(name)
    if name is None and jinja is not None and (template := template_of_jinja(jinja)):
        return template
    what = "its chat template is none that is known" if name is None else f"template {name!r} is not known"
    raise ModelError(
        f'{folder}: {what}. Write {{"template": NAME}} into {folder / NOTE}; there are: {", ".join(template_names())}.'
    )


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
    return put_together(vision, language, plan, sources={"vision": toys.PROVENANCE, "language": toys.PROVENANCE})


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
