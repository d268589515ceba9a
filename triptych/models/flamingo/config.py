"""What a Flamingo is made of: the configurations behind ``config.json`` of OpenFlamingo and of Otter.

Not the network (``network.py``). The keys of the published folders keep their names and meanings; the others have
defaults under which a published folder means what it always meant. Sources: OpenFlamingo (Awadalla et al. 2023,
arXiv:2308.01390), Otter (Li et al. 2023, arXiv:2305.03726).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig


@strict
class FlamingoConfig(PreTrainedConfig):
    """An OpenFlamingo: a tower, a resampler, and cross-attention between a language model's layers."""

    model_type = "flamingo"
    sub_configs: ClassVar[dict[str, type[PreTrainedConfig]]] = {"vision_config": AutoConfig, "text_config": AutoConfig}  # type: ignore[dict-item]

    vision_config: dict | PreTrainedConfig | None = None  # type: ignore[type-arg]
    text_config: dict | PreTrainedConfig | None = None  # type: ignore[type-arg]
    cross_attn_every_n_layers: int = 4
    """There is cross-attention before every n-th layer of the language model."""
    only_attend_immediate_media: bool = True
    """A word sees the medium before it alone; False: all before it."""
    max_num_frames: int | None = None
    """Frames a medium may have, each with an embedding of its own. None: frames have none."""
    max_num_media: int | None = None
    """Media a conversation may have, each with an embedding of its own. None: media have none."""
    image_token_id: int | None = None
    """The token that stands where a medium is. The published folders leave it to the tokenizer's ``<image>``."""
    adjacent_images_are_frames: bool | None = None
    """Images with nothing between them are the frames of one medium; False: each image is a medium. None, as the
    published folders have it, becomes whether there are embeddings for several frames."""
    vision_feature_select_strategy: Literal["default", "full"] = "default"
    """``default``: the tower's first position is a class token, which is left out. ``full``: it has none."""
    resampler_depth: int = 6
    resampler_latents: int = 64
    """Positions a medium has for cross-attention."""
    cross_attn_heads: int = 8
    """Attention heads, of the resampler and of cross-attention."""
    cross_attn_head_dim: int = 64
    feed_forward_times: int = 4
    """The inner size of feed-forward layers, in hidden sizes."""
    tie_word_embeddings: bool = False
    """Has no effect: whether head and embeddings are tied is said in ``text_config``."""

    @property
    def vision(self) -> PreTrainedConfig:
        """The tower's configuration."""
        assert isinstance(self.vision_config, PreTrainedConfig)
        return self.vision_config

    @property
    def text(self) -> PreTrainedConfig:
        """The language model's configuration."""
        assert isinstance(self.text_config, PreTrainedConfig)
        return self.text_config

    def __post_init__(self, **kwargs: object) -> None:
        """Read the two inner configurations: CLIP's and Llama's where none is given."""
        if self.adjacent_images_are_frames is None:
            self.adjacent_images_are_frames = (self.max_num_frames or 1) > 1
        for name, usual in (("vision_config", "clip_vision_model"), ("text_config", "llama")):
            inner = getattr(self, name) or {}
            if not isinstance(inner, dict | PreTrainedConfig):
                raise ValueError(f"{name} is {inner!r}: an object {{...}} should be there.")
            if isinstance(inner, dict):
                settings = _readable(inner)
                setattr(self, name, AutoConfig.for_model(settings.pop("model_type", usual), **settings))
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]


@strict
class OtterConfig(FlamingoConfig):
    """An Otter: OpenFlamingo's network, tuned on MIMIC-IT, whose folders call themselves so."""

    model_type = "otter"


def _readable(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as transformers reads them: of MPT's attention it takes 0 and no 0.0, which folders say too."""
    settings = dict(given)
    attention = settings.get("attn_config")
    if isinstance(attention, dict):
        whole = {key: attention[key] for key in ("attn_pdrop", "alibi_bias_max") if key in attention}
        whole = {key: int(each) for key, each in whole.items() if isinstance(each, float) and each.is_integer()}
        settings["attn_config"] = attention | whole
    return settings


for _config in (FlamingoConfig, OtterConfig):
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
