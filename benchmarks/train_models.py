"""The models that the training benchmark trains. Measures nothing.

A model is one saved folder that all trainers open: SmolLM2-135M-Instruct with its real weights (the starter's), and a
projector and a vision tower of a published shape, both with random weights. Its chat template is the model's own with
generation marks, as Hugging Face's trainers need them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig

from triptych.core.errors import NotFoundError
from triptych.data.plan.costs import AROUND
from triptych.data.plan.costs_tiled import WHOLE
from triptych.data.template import find_template
from triptych.data.text.jinja import IMAGE_MARK
from triptych.models.disk.locate import locate
from triptych.models.families.idefics3 import Idefics3Model
from triptych.models.family import PartsPlan, assemble

SEED = 7
LANGUAGE = "starter:smollm2-135m-instruct"
TEMPLATE = "chatml"


@dataclass(frozen=True, slots=True)
class Shape:
    """What is trained: the shape of its tower, and its language model."""

    about: str
    image_px: int
    patch_px: int
    hidden: int = 768
    layers: int = 12
    heads: int = 12
    inner: int = 3072
    gathered: int = 1
    """Patches along a side of the square that the projector makes one token of; more than 1: an Idefics3."""
    small: bool = False
    """Whether the language model is cut down to two small layers of random weights."""

    @property
    def tokens(self) -> int:
        """Tokens of an image."""
        return (self.image_px // self.patch_px // self.gathered) ** 2

    @property
    def sizes(self) -> dict[str, Any]:
        """Of its tower, as transformers calls them."""
        return {
            "hidden_size": self.hidden,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "image_size": self.image_px,
            "patch_size": self.patch_px,
        }

    @property
    def tower(self) -> Literal["vision_tower", "vision_model"]:
        """What its network calls its tower."""
        return "vision_tower" if self.gathered == 1 else "vision_model"


MODELS: Mapping[str, Shape] = {
    "clip-b-32-256": Shape("LLaVA of SmolLM2-135M-Instruct and CLIP ViT-B/32 at 256 px", 256, 32),
    "siglip-b-16-224": Shape("LLaVA of SmolLM2-135M-Instruct and a tower of SigLIP base/16's size at 224 px", 224, 16),
    "clip-l-14-336": Shape(
        "LLaVA of SmolLM2-135M-Instruct and CLIP ViT-L/14 at 336 px",
        336,
        14,
        hidden=1024,
        layers=24,
        heads=16,
        inner=4096,
    ),
    "siglip-so400m-14-384": Shape(
        "LLaVA of SmolLM2-135M-Instruct and a tower of SigLIP so400m/14's size at 384 px",
        384,
        14,
        hidden=1152,
        layers=27,
        heads=16,
        inner=4304,
    ),
    "smolvlm-256m": Shape("SmolVLM-256M: SmolLM2-135M-Instruct and SigLIP base/16 at 512 px", 512, 16, gathered=4),
    "toy": Shape("a toy, to try the benchmark itself", 64, 8, hidden=64, layers=2, heads=4, inner=256, small=True),
    "toy-gathered": Shape(
        "a toy SmolVLM, likewise", 64, 8, hidden=64, layers=2, heads=4, inner=256, gathered=2, small=True
    ),
}


def make_model(folder: Path, name: str) -> Path:
    """Return the model's folder, made the first time.

    Raises:
        NotFoundError: the starter's language model is not installed.
    """
    model, shape = folder / f"model-{name}", MODELS[name]
    if (model / "config.json").is_file():
        return model
    language = _small_language(folder / "language") if shape.small else LANGUAGE
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        if shape.gathered == 1:
            _make_llava(shape, language, tower=folder / f"tower-{name}", model=model)
        else:
            _make_idefics3(shape, language, model)
    (model / "chat_template.jinja").write_text(with_generation_marks(model / "chat_template.jinja"), encoding="utf-8")
    return model


def _make_llava(shape: Shape, language: str, *, tower: Path, model: Path) -> None:
    """Save a tower, and a LLaVA of it."""
    CLIPVisionModel(CLIPVisionConfig(**shape.sizes)).save_pretrained(tower)
    side = {"height": shape.image_px, "width": shape.image_px}
    CLIPImageProcessorPil(size=side, do_center_crop=False).save_pretrained(tower)
    plan = PartsPlan(
        vision=str(tower), language=language, projector="mlp", image_tokens=None, template=TEMPLATE, seed=SEED
    )
    assemble("llava", plan).save(model)


def _make_idefics3(shape: Shape, language: str, model: Path) -> None:
    """Save an Idefics3 of the language model's weights, its pictures not cut into tiles (as Mantis tunes several)."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(locate(language))
    speaker: PreTrainedModel = AutoModelForCausalLM.from_pretrained(locate(language), dtype=torch.float32)
    tokenizer.add_special_tokens({"additional_special_tokens": [AROUND, IMAGE_MARK, WHOLE, "<end_of_utterance>"]})
    speaker.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    text = speaker.config.to_dict() | {"tie_word_embeddings": False}
    config = Idefics3Config(
        text_config=text,
        vision_config=Idefics3VisionConfig(**shape.sizes),
        scale_factor=shape.gathered,
        image_token_id=tokenizer.get_added_vocab()[IMAGE_MARK],
        tie_word_embeddings=False,
    )
    network = Idefics3ForConditionalGeneration(config)
    network.model.text_model.load_state_dict(speaker.model.state_dict())
    network.lm_head.weight.data.copy_(speaker.get_input_embeddings().weight)
    edge = {"longest_edge": shape.image_px}
    images = Idefics3ImageProcessorPil(size=edge, max_image_size=edge, do_image_splitting=False)
    template = find_template(TEMPLATE)
    processor = Idefics3Processor(images, tokenizer, image_seq_len=shape.tokens, chat_template=template.jinja)
    network.generation_config.eos_token_id = tokenizer.eos_token_id
    Idefics3Model(network.float().eval(), processor, template=template, sources={}).save(model)


def _small_language(folder: Path) -> str:
    """Make a language model of two small layers with the starter's tokenizer; return its folder."""
    starter = locate(LANGUAGE)
    config = AutoConfig.from_pretrained(starter)
    config.hidden_size, config.intermediate_size, config.num_hidden_layers = 64, 128, 2
    config.num_attention_heads, config.num_key_value_heads, config.head_dim = 4, 2, 16
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(starter).save_pretrained(folder)
    return str(folder)


def with_generation_marks(template: Path) -> str:
    """Return ChatML in Jinja, its replies marked: the same text that the folder's own template writes.

    Raises:
        NotFoundError: the folder has no template of its own.
    """
    if not template.is_file():
        raise NotFoundError(f"{template}: a saved model has no chat template; the peers need one.")
    part = "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    content = (
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
        f"{{% for part in message['content'] %}}{part}{{% endfor %}}{{% endif %}}"
    )
    return (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
        "{% if message['role'] == 'assistant' %}"
        f"{{% generation %}}{content}{{{{ '<|im_end|>' }}}}{{% endgeneration %}}{{{{ '\\n' }}}}"
        f"{{% else %}}{content}{{{{ '<|im_end|>\\n' }}}}{{% endif %}}{{% endfor %}}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    )
