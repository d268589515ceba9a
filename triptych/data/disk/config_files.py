"""The keys of others' mixture files, typed: an unknown key or a value of another kind is refused.

Not what they mean: ``configs`` says that. Taken from ``mantis/train/data.py`` of TIGER-AI-Lab/Mantis, ``train.py`` of
LLaVA-NeXT and ``pipeline/mimicit_utils/data.py`` of Luodian/Otter.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from triptych.core.config import Settings


class MantisEntry(Settings):
    """One entry of Mantis' ``data``."""

    name: str
    path: str
    format: Literal["chat", "chat_video", "classification", "qwen2_video_classification", "siglip_video"]
    split: str
    type: str = "huggingface"
    max_size: Annotated[int, Field(ge=1)] | None = None
    shuffle: bool = False
    max_num_images: Annotated[int, Field(ge=1)] | None = None
    max_num_frames: Annotated[int, Field(ge=1)] | None = None
    fps: Annotated[float, Field(gt=0)] | None = None
    video_dir: str | None = None
    max_seq_len: int | None = None
    max_image_size: int | str | tuple[int, ...] | None = None
    vl_only: bool = False
    revision: str | None = None
    offline_sha: str | None = None
    packing_same_mm_media: bool = False


class MantisConfig(Settings):
    """Mantis' data configuration."""

    data: Annotated[tuple[MantisEntry, ...], Field(min_length=1)]


class LlavaEntry(Settings):
    """One entry of LLaVA's ``datasets``."""

    json_path: str
    sampling_strategy: str = "all"


class LlavaConfig(Settings):
    """LLaVA's and M4-Instruct's mixture."""

    datasets: Annotated[tuple[LlavaEntry, ...], Field(min_length=1)]


class MimicitEntry(Settings):
    """One subset in a group of MIMIC-IT."""

    mimicit_path: str
    images_path: str | None = None
    train_config_path: str | None = None
    num_samples: int | None = None
    task_description: str | tuple[str, ...] = ()


Group = dict[str, MimicitEntry]


class MimicitConfig(Settings):
    """MIMIC-IT's groups."""

    IMAGE_TEXT: Group = Field(default_factory=dict)
    TEXT_ONLY: Group = Field(default_factory=dict)
    VIDEO_TEXT: Group = Field(default_factory=dict)
    IMAGE_TEXT_IN_CONTEXT: Group = Field(default_factory=dict)
